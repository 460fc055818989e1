/* SPDX-License-Identifier: MIT */
/* Where only POSIX is there: no presence. What resizes a backing has its only flock there, and shared
 * memory objects refuse any on some systems. Untested. */
#if !defined(__linux__)
#define _GNU_SOURCE
#include "os/presence.h"

#include <errno.h>
#include <unistd.h>

int shmseg_presence_enter(int fd, struct stat *status) {
  return fstat(fd, status) == 0 ? ENOTSUP : errno;
}

bool shmseg_presence_is_due(const struct stat *status) {
  (void)status;
  return false;
}

void shmseg_presence_close(int fd) {
  close(fd);
}

void shmseg_presence_drop_all(void) {}

int shmseg_presence_exclude(int fd) {
  (void)fd;
  return ENOTSUP;
}

void shmseg_presence_readmit(int fd) {
  (void)fd;
}

bool shmseg_presence_is_lock(const shmseg_proc_lock *lock) {
  (void)lock;
  return false;
}

#else
typedef int shmseg_presence_posix_is_empty; /* ISO C forbids an empty file */
#endif
