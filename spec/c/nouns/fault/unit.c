/* SPDX-License-Identifier: MIT */
/* os/fault: a hole under a mapping becomes a code. */
#define _GNU_SOURCE
#include "os/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "os/map.h"
#include "unit/help.h"

typedef struct {
  int fd;
  volatile unsigned char *bytes;
  size_t length;
  shmseg_fault *record;
} mapping;

static mapping map_pages(size_t pages) {
  mapping m = { .length = pages * PAGE };
  void *base;
  m.fd = memfd_create("shmseg-unit", MFD_CLOEXEC);
  must(m.fd >= 0 && ftruncate(m.fd, (off_t)m.length) == 0);
  must(shmseg_map_open(&base, m.length, m.length, m.fd, true) == 0);
  must(shmseg_fault_watch(&m.record, base, m.length, m.fd, 0) == 0);
  m.bytes = base;
  return m;
}

static void unmap(mapping *m) {
  shmseg_fault_forget(m->record);
  shmseg_map_close((void *)(uintptr_t)m->bytes, m->length);
  close(m->fd);
}

/* A hole that is nobody's business of ours. */
static volatile unsigned char *foreign_hole(void) {
  int fd = memfd_create("foreign", MFD_CLOEXEC);
  void *base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  must(fd >= 0 && base != MAP_FAILED);
  close(fd);
  return base;
}

static volatile sig_atomic_t host_saw;
static volatile unsigned char *host_hole;

static void host_handler(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  host_saw = info->si_addr == (void *)(uintptr_t)host_hole ? 1 : 2;
  mmap((void *)(uintptr_t)host_hole, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
       0);
}

static void meet_host(void *argument) {
  struct sigaction action = { .sa_sigaction = host_handler, .sa_flags = SA_SIGINFO };
  (void)argument;
  test_begin("a host's own handler still sees its own faults, and none of ours");
  must(sigaction(SIGBUS, &action, NULL) == 0);
  mapping m = map_pages(2);
  host_hole = foreign_hole();
  check(*host_hole == 0 && host_saw == 1);
  host_saw = 0;
  must(ftruncate(m.fd, 0) == 0);
  check(m.bytes[0] == 0 && host_saw == 0 && shmseg_fault_code(m.record) == SHMSEG_TRUNCATED);
  unmap(&m);
  test_done();
  _exit(test_end());
}

/* Before any other test of this program: the host's handler has to be the earlier one. */
TESTS(host_first) {
  child c = child_start(meet_host, NULL);
  must(child_end(&c) == 0);
}

TEST(truncated, "a page that a peer has cut off reads as zeroes, and the code is truncated") {
  mapping m = map_pages(8);
  memset((void *)(uintptr_t)m.bytes, 7, m.length);
  check(shmseg_fault_code(m.record) == 0);
  must(ftruncate(m.fd, 3 * PAGE) == 0);
  check(m.bytes[PAGE] == 7 && shmseg_fault_code(m.record) == 0);
  check(m.bytes[5 * PAGE] == 0 && shmseg_fault_code(m.record) == SHMSEG_TRUNCATED);
  check(m.bytes[3 * PAGE - 1] == 7);
  m.bytes[7 * PAGE] = 1; /* the hole is private memory now, all of it */
  check(m.bytes[7 * PAGE] == 1 && m.bytes[3 * PAGE] == 0);
  unmap(&m);
}

TEST(moved, "a mapping that was mapped again over a hole is whole, and its code is cleared") {
  mapping m = map_pages(4);
  must(ftruncate(m.fd, PAGE) == 0);
  m.bytes[3 * PAGE] = 1;
  check(shmseg_fault_code(m.record) == SHMSEG_TRUNCATED);
  must(ftruncate(m.fd, 4 * PAGE) == 0);
  void *base = (void *)(uintptr_t)m.bytes;
  check(shmseg_map_again(base, m.length, m.length, m.fd, true) == 0);
  shmseg_fault_move(m.record, base, m.length);
  check(shmseg_fault_code(m.record) == 0 && m.bytes[3 * PAGE] == 0);
  must(ftruncate(m.fd, 0) == 0);
  check(m.bytes[0] == 0 && shmseg_fault_code(m.record) == SHMSEG_TRUNCATED);
  unmap(&m);
}

TEST(told_apart, "of two mappings only the one that met a hole has a code") {
  mapping a = map_pages(2), b = map_pages(2);
  must(ftruncate(b.fd, 0) == 0);
  check(b.bytes[PAGE] == 0);
  check(shmseg_fault_code(b.record) == SHMSEG_TRUNCATED && shmseg_fault_code(a.record) == 0);
  shmseg_fault *record = b.record;
  unmap(&b);
  b = map_pages(2);
  check(b.record == record && shmseg_fault_code(b.record) == 0); /* records are used again */
  unmap(&a);
  unmap(&b);
}

TEST(proved, "a proof of a mapping lasts until a hole, a move or the end takes it away") {
  mapping a = map_pages(2), b = map_pages(2);
  shmseg_fault *record = b.record;
  unsigned first = shmseg_fault_prove(record);
  a.bytes[0] = b.bytes[PAGE] = 1;
  check(first != 0 && record->proof == first && shmseg_fault_prove(record) == first);
  check(shmseg_fault_prove(a.record) != first);
  shmseg_fault_move(record, (void *)(uintptr_t)b.bytes, b.length);
  check(record->proof == 0);
  unsigned second = shmseg_fault_prove(record);
  must(ftruncate(b.fd, 0) == 0);
  check(second != 0 && second != first && b.bytes[PAGE] == 0 && record->proof == 0);
  unsigned third = shmseg_fault_prove(record);
  unmap(&b);
  check(record->proof == 0);
  b = map_pages(2);
  check(b.record == record && record->proof == 0 && shmseg_fault_prove(record) != third);
  check(a.record->proof != 0);
  unmap(&a);
  unmap(&b);
}

/* A tmpfs of two pages, in a mount namespace of this child. */
static void fill_small_tmpfs(void *argument) {
  char folder[] = "/tmp/shmseg-unit-XXXXXX", path[64];
  (void)argument;
  if ((unshare(CLONE_NEWNS) != 0 || mount("", "/", "", MS_REC | MS_PRIVATE, NULL) != 0) ||
      !mkdtemp(folder) || mount("none", folder, "tmpfs", 0, "size=8k") != 0) {
    say('-');
    return;
  }
  snprintf(path, sizeof path, "%s/full", folder);
  shmseg_segment segment;
  shmseg_options options = { .size = 8 * PAGE, .perm = 0600, .sparse = true };
  shmseg_place place = { SHMSEG_FILE, path };
  int err = shmseg_segment_open(&segment, place, SHMSEG_CREATE_ONLY, &options, NULL);
  say(err == 0 ? 'o' : 'x');
  for (size_t page = 0; page < 8; page++)
    segment.data[page * PAGE] = 1;
  say(shmseg_segment_status(&segment) == ENOSPC ? 'f' : 'x');
  shmseg_segment_close(&segment);
  options.sparse = false;
  shmseg_place other = { SHMSEG_FILE, strcat(path, "2") };
  err = shmseg_segment_open(&segment, other, SHMSEG_CREATE_ONLY, &options, NULL);
  say(err == ENOSPC && access(path, F_OK) != 0 ? 'n' : 'x');
  umount2(folder, MNT_DETACH);
  rmdir(folder);
}

TESTS(full) {
  static const char sentence[] = "a full file system is ENOSPC, at creation or at the first write";
  child c = child_start(fill_small_tmpfs, NULL);
  char answer = child_hear(&c);
  if (answer == '-') {
    test_skip(sentence, "mounting is refused");
  } else {
    test_begin(sentence);
    check(answer == 'o' && child_hear(&c) == 'f' && child_hear(&c) == 'n');
    test_done();
  }
  child_end(&c);
}

static void die_of_foreign_fault(void *argument) {
  mapping m = map_pages(1);
  (void)argument, (void)m;
  say((char)*foreign_hole());
}

static void die_of_sent_signal(void *argument) {
  mapping m = map_pages(1);
  (void)argument, (void)m;
  raise(SIGBUS);
}

TEST(chained, "a SIGBUS that is not ours goes to the handler before ours, or kills as ever") {
  child c = child_start(die_of_foreign_fault, NULL);
  check(child_end(&c) == 256 + SIGBUS);
  c = child_start(die_of_sent_signal, NULL);
  check(child_end(&c) == 256 + SIGBUS);
}

static void *cut_and_touch(void *good) {
  for (int i = 0; i < 200; i++) {
    mapping m = map_pages(16);
    must(ftruncate(m.fd, 5 * PAGE) == 0);
    unsigned sum = 0;
    for (size_t page = 0; page < 16; page++)
      sum += m.bytes[page * PAGE];
    *(bool *)good = *(bool *)good && sum == 0 && shmseg_fault_code(m.record) == SHMSEG_TRUNCATED;
    unmap(&m);
  }
  return NULL;
}

TEST(threads, "threads that meet holes at the same time do not meet each other") {
  pthread_t ids[4];
  bool good[4];
  for (int i = 0; i < 4; i++) {
    good[i] = true;
    must(pthread_create(&ids[i], NULL, cut_and_touch, &good[i]) == 0);
  }
  for (int i = 0; i < 4; i++)
    check(pthread_join(ids[i], NULL) == 0 && good[i]);
}

TESTS(errno_kept) {
  mapping m = map_pages(1);
  must(ftruncate(m.fd, 0) == 0);
  errno = 77;
  unsigned char zero = m.bytes[0];
  test("a fault leaves errno as it was", zero == 0 && errno == 77);
  unmap(&m);
}

static void block_and_open(void *argument) {
  sigset_t bus, seen;
  (void)argument;
  sigemptyset(&bus);
  sigaddset(&bus, SIGBUS);
  must(pthread_sigmask(SIG_BLOCK, &bus, NULL) == 0);
  mapping m = map_pages(2);
  must(pthread_sigmask(SIG_BLOCK, NULL, &seen) == 0);
  _exit(!sigismember(&seen, SIGBUS) && ftruncate(m.fd, 0) == 0 && m.bytes[PAGE] == 0 ? 0 : 1);
}

TESTS(blocked) {
  child c = child_start(block_and_open, NULL);
  test("a thread that has SIGBUS blocked lets it through from its first mapping on",
       child_end(&c) == 0);
}
