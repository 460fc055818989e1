/* SPDX-License-Identifier: MIT */
/* What the kernel tells in lines below /proc: mappings and locks. */
#define _GNU_SOURCE
#include "os/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/sysmacros.h>
#endif

#include "os/descriptor.h"

/* --- lines -------------------------------------------------------------------------------- */

int shmseg_proc_open(shmseg_proc *file, const char *path) {
  file->at = file->end = 0;
  file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  int err = file->fd < 0 ? errno : shmseg_descriptor_raise(&file->fd);
  if (err)
    file->fd = 0;
  return err;
}

void shmseg_proc_close(shmseg_proc *file) {
  if (file->fd > 0)
    close(file->fd);
  file->fd = 0;
}

/* SHMSEG_EMPTY: there is no more. */
static int proc_fill(shmseg_proc *file) {
  ssize_t count;
  do
    count = read(file->fd, file->bytes, sizeof file->bytes);
  while (count < 0 && errno == EINTR);
  file->at = 0;
  file->end = count > 0 ? (size_t)count : 0;
  return count > 0 ? 0 : count < 0 ? errno : SHMSEG_EMPTY;
}

int shmseg_proc_next(shmseg_proc *file, char line[SHMSEG_PROC_LINE]) {
  size_t length = 0;
  bool has_begun = false;
  for (;;) {
    int err = file->at < file->end ? 0 : proc_fill(file);
    if (err && !(err == SHMSEG_EMPTY && has_begun))
      return err;
    const char *from = file->bytes + file->at;
    size_t rest = file->end - file->at;
    const char *stop = rest > 0 ? memchr(from, '\n', rest) : NULL;
    size_t count = stop ? (size_t)(stop - from) : rest;
    size_t room = SHMSEG_PROC_LINE - 1 - length;
    size_t kept = count < room ? count : room;
    memcpy(line + length, from, kept);
    length += kept;
    line[length] = '\0';
    file->at += count + (stop != NULL);
    if (stop || err)
      return 0;
    has_begun = true;
  }
}

/* --- what stands in them ------------------------------------------------------------------ */

/* Passes over spaces, and then over what is no space. False at the end of the line. */
static bool proc_skip_word(const char **text) {
  *text += strspn(*text, " \t");
  size_t length = strcspn(*text, " \t");
  *text += length;
  return length > 0;
}

static int proc_digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Reads a number, behind which stands end, or any space or the end of the line when end is 0. */
static bool proc_number(const char **text, unsigned base, char end, uint64_t *number) {
  const char *first = *text;
  *number = 0;
  for (; proc_digit(**text) < (int)base; (*text)++)
    *number = *number * base + (uint64_t)proc_digit(**text);
  bool is_whole = end ? **text == end : strchr(" \t", **text) != NULL; /* or '\0' */
  return *text != first && is_whole;
}

/* Reads "fe:00", and what follows it, and then the inode. */
static bool proc_identity(const char **text, char between, shmseg_identity *identity) {
  uint64_t major, minor;
  *text += strspn(*text, " \t");
  if (!proc_number(text, 16, ':', &major))
    return false;
  (*text)++;
  if (!proc_number(text, 16, between, &minor))
    return false;
  (*text)++;
  identity->device = (uint64_t)makedev((unsigned)major, (unsigned)minor);
  return proc_number(text, 10, '\0', &identity->inode);
}

/* "7f12-7f13 rw-s 00000000 00:1b 1234      /dev/shm/a name (deleted)": the name does not count. */
bool shmseg_proc_mapping(const char *line, shmseg_identity *identity) {
  for (int i = 0; i < 3; i++)
    if (!proc_skip_word(&line))
      return false;
  return proc_identity(&line, ' ', identity) && identity->inode != 0;
}

/* Passes over the word if it is next. */
static bool proc_take_word(const char **text, const char *word) {
  *text += strspn(*text, " \t");
  size_t length = strlen(word);
  if (strncmp(*text, word, length) != 0 || !strchr(" \t", (*text)[length]))
    return false;
  *text += length;
  return true;
}

static int proc_pid(const char **text) {
  uint64_t number;
  *text += strspn(*text, " \t");
  if (**text == '-')
    return proc_skip_word(text) ? -1 : 0;
  return proc_number(text, 10, '\0', &number) && number <= INT32_MAX ? (int)number : 0;
}

/* "1: -> FLOCK  ADVISORY  READ 4711 00:1b:1234 0 EOF": the arrow stands before one that waits. */
bool shmseg_proc_read_lock(const char *line, shmseg_proc_lock *lock) {
  uint64_t number;
  memset(lock, 0, sizeof *lock);
  proc_take_word(&line, "lock:");
  line += strspn(line, " \t");
  if (!proc_number(&line, 10, ':', &number))
    return false;
  line++;
  lock->is_waiting = proc_take_word(&line, "->");
  lock->is_flock = proc_take_word(&line, "FLOCK");
  lock->is_ofd = !lock->is_flock && proc_take_word(&line, "OFDLCK");
  if (!lock->is_flock && !lock->is_ofd && !proc_skip_word(&line))
    return false;
  if (!proc_skip_word(&line)) /* ADVISORY */
    return false;
  lock->is_write = proc_take_word(&line, "WRITE");
  if (!lock->is_write && !proc_skip_word(&line))
    return false;
  lock->pid = proc_pid(&line);
  if (!proc_identity(&line, ':', &lock->identity))
    return false;
  line += strspn(line, " \t");
  return proc_number(&line, 10, '\0', &lock->start);
}
