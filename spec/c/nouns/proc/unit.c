/* SPDX-License-Identifier: MIT */
/* os/proc: lines of the kernel's, and what stands in them. */
#define _GNU_SOURCE
#include "os/proc.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit/help.h"

/* --- lines -------------------------------------------------------------------------------- */

/* A file that has that text. */
static void open_text(shmseg_proc *file, const char *text, size_t length) {
  char path[64];
  int fd = memfd_create("shmseg-unit", MFD_CLOEXEC);
  must(fd >= 0 && write(fd, text, length) == (ssize_t)length);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  must(shmseg_proc_open(file, path) == 0);
  close(fd);
}

TEST(lines, "each line comes once and in order, empty ones and the last one without an end, too") {
  static const char text[] = "first\n\n third line \nlast";
  static const char *const expected[] = { "first", "", " third line ", "last" };
  char line[SHMSEG_PROC_LINE];
  shmseg_proc file;
  int descriptors = count_descriptors();
  open_text(&file, text, sizeof text - 1);
  for (int i = 0; i < 4; i++)
    check(shmseg_proc_next(&file, line) == 0 && strcmp(line, expected[i]) == 0);
  check(shmseg_proc_next(&file, line) == SHMSEG_EMPTY);
  check(shmseg_proc_next(&file, line) == SHMSEG_EMPTY);
  shmseg_proc_close(&file);
  shmseg_proc_close(&file); /* twice is harmless */
  check(count_descriptors() == descriptors);
}

TEST(long_lines,
     "of a long line come its first bytes, and then the next line, wherever a read ends") {
  static char text[40000];
  char line[SHMSEG_PROC_LINE];
  shmseg_proc file;
  for (size_t length = 4000; length < 4200; length += 7) {
    memset(text, 'a', length);
    text[length] = '\n';
    memset(text + length + 1, 'b', 255);
    memcpy(text + length + 256, "\nc\n", 3);
    open_text(&file, text, length + 259);
    check(shmseg_proc_next(&file, line) == 0 && strspn(line, "a") == SHMSEG_PROC_LINE - 1);
    check(shmseg_proc_next(&file, line) == 0 && strspn(line, "b") == SHMSEG_PROC_LINE - 1);
    check(shmseg_proc_next(&file, line) == 0 && strcmp(line, "c") == 0);
    check(shmseg_proc_next(&file, line) == SHMSEG_EMPTY);
    shmseg_proc_close(&file);
  }
}

TEST(absent, "a file that is not there, or cannot be read, is an error and leaves nothing open") {
  char line[SHMSEG_PROC_LINE];
  shmseg_proc file;
  int descriptors = count_descriptors();
  check(shmseg_proc_open(&file, "/proc/0/maps") == ENOENT && file.fd == 0);
  shmseg_proc_close(&file);
  must(shmseg_proc_open(&file, "/proc") == 0);
  check(shmseg_proc_next(&file, line) == EISDIR);
  shmseg_proc_close(&file);
  check(count_descriptors() == descriptors);
}

/* --- mappings ----------------------------------------------------------------------------- */

static bool maps(const char *line, unsigned major, unsigned minor, uint64_t inode) {
  shmseg_identity found;
  return shmseg_proc_mapping(line, &found) && found.device == makedev(major, minor) &&
         found.inode == inode;
}

static bool maps_nothing(const char *line) {
  shmseg_identity found;
  return !shmseg_proc_mapping(line, &found);
}

TEST(mapping, "of a mapping its device and inode are read, whatever name stands behind them") {
  check(maps("7f8a-7f8b rw-s 00000000 00:1b 1234 /dev/shm/x", 0, 0x1b, 1234));
  check(maps("7f8a-7f8b rw-s 00000000 00:1b 1234                     /dev/shm/a b (deleted)", 0,
             0x1b, 1234));
  check(maps("7f8a-7f8b rw-s 00000000 00:1b 1234 /dev/shm/1-2 rw-s 0 ff:ff 9", 0, 0x1b, 1234));
  check(maps("7f8a-7f8b rw-s 00000000 00:1b 1234 /dev/shm/new\\012line", 0, 0x1b, 1234));
  check(maps("7f8a-7f8b rw-s 00000000 103:fffff 18446744073709551615", 0x103, 0xfffff, UINT64_MAX));
  check(maps("0-1 r--p fffffffffffff000 fe:00 7", 0xfe, 0, 7));
}

TEST(no_mapping,
     "memory without a file is no mapping, and neither is a line that is cut or of junk") {
  static const char whole[] = "7f8a-7f8b rw-s 00000000 00:1b ";
  check(maps_nothing("7f8a-7f8b rw-p 00000000 00:00 0                    [stack]"));
  check(maps_nothing("7f8a-7f8b rw-p 00000000 00:00 0"));
  check(maps_nothing("7f8a-7f8b rw-p 00000000 00:1b x"));
  check(maps_nothing("7f8a-7f8b rw-p 00000000 00:1b 12x /dev/shm/x"));
  check(maps_nothing("7f8a-7f8b rw-p 00000000 0g:1b 12 /dev/shm/x"));
  for (size_t length = 0; length < sizeof whole; length++) {
    char cut[sizeof whole] = { 0 };
    memcpy(cut, whole, length);
    check(maps_nothing(cut));
  }
}

/* --- locks -------------------------------------------------------------------------------- */

TEST(flock, "of a flock its process, device and inode are read") {
  shmseg_proc_lock lock;
  check(shmseg_proc_read_lock("1: FLOCK  ADVISORY  READ 4711 00:1b:1234 0 EOF", &lock));
  check(lock.is_flock && !lock.is_ofd && !lock.is_write && !lock.is_waiting && lock.pid == 4711);
  check(lock.identity.device == makedev(0, 0x1b) && lock.identity.inode == 1234);
  check(shmseg_proc_read_lock("12345: FLOCK  ADVISORY  WRITE 1 103:fffff:5 0 EOF", &lock));
  check(lock.is_flock && lock.is_write && lock.identity.device == makedev(0x103, 0xfffff));
}

TEST(waiting, "a lock that somebody waits for is known as such") {
  shmseg_proc_lock lock;
  check(shmseg_proc_read_lock("1: -> FLOCK  ADVISORY  WRITE 4711 00:1b:1234 0 EOF", &lock));
  check(lock.is_flock && lock.is_write && lock.is_waiting && lock.pid == 4711);
  check(shmseg_proc_read_lock("1:  -> FLOCK  ADVISORY  READ 4711 00:1b:1234 0 EOF", &lock));
  check(lock.is_waiting && !lock.is_write);
}

TEST(range, "of a description's range the first byte is read, and there is no process") {
  static const char line[] =
      "lock:\t1: OFDLCK ADVISORY  WRITE -1 00:1b:1234 4611686018427387920 4611686018427387920";
  shmseg_proc_lock lock;
  check(shmseg_proc_read_lock(line, &lock) && lock.is_ofd && !lock.is_flock && lock.is_write);
  check(lock.pid == -1 && lock.start == 4611686018427387920u && lock.identity.inode == 1234);
  check(shmseg_proc_read_lock("2: POSIX  ADVISORY  READ  99 fe:00:7 0 EOF", &lock));
  check(!lock.is_ofd && !lock.is_flock && lock.pid == 99);
}

TEST(no_lock, "other lines of a descriptor are no locks, and neither is a line that is cut") {
  static const char whole[] = "1: FLOCK  ADVISORY  READ 4711 00:1b:1234 0";
  static const char *const others[] = { "pos:\t0",
                                        "flags:\t0100002",
                                        "mnt_id:\t27",
                                        "ino:\t1234",
                                        "eventfd-count: 0",
                                        "lock:",
                                        "lock:\t",
                                        "",
                                        ":",
                                        "1:" };
  shmseg_proc_lock lock;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    check(!shmseg_proc_read_lock(others[i], &lock));
  for (size_t length = 0; length < sizeof whole - 2; length++) {
    char cut[sizeof whole] = { 0 };
    memcpy(cut, whole, length);
    check(!shmseg_proc_read_lock(cut, &lock));
  }
}
