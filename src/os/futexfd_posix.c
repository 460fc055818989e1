/* SPDX-License-Identifier: MIT */
/* A descriptor that becomes readable when a word changes: there is none but on Linux. Untested. */
#if !defined(__linux__)
#include "os/futexfd.h"

#include <errno.h>
#include <stddef.h>

int shmseg_futexfd_open(shmseg_futexfd *f) {
  (void)f;
  return ENOTSUP;
}

int shmseg_futexfd_open_timer(shmseg_futexfd *f) {
  (void)f;
  return ENOTSUP;
}

int shmseg_futexfd_begin(shmseg_futexfd *f, const shmseg_futexfd_word *word) {
  (void)f, (void)word;
  return ENOTSUP;
}

int shmseg_futexfd_wait(shmseg_futexfd *f, const shmseg_futexfd_word *word, uint32_t seen) {
  (void)f, (void)word, (void)seen;
  return ENOTSUP;
}

void shmseg_futexfd_raise(shmseg_futexfd *f) {
  (void)f;
}

void shmseg_futexfd_end(shmseg_futexfd *f) {
  (void)f;
}

void shmseg_futexfd_close(shmseg_futexfd *f) {
  (void)f;
}

bool shmseg_futexfd_is_ours(const shmseg_futexfd *f) {
  (void)f;
  return true;
}

const char *shmseg_futexfd_way(void) {
  return NULL;
}

#else
typedef int shmseg_futexfd_posix_is_empty; /* ISO C forbids an empty file */
#endif
