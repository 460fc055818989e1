/* SPDX-License-Identifier: MIT */
#if defined(__linux__)
#include "os/futexfd_ways.h"
#include <errno.h>
int shmseg_futexfd_thread_open(shmseg_futexfd *f) {
  (void)f;
  return ENOTSUP;
}
int shmseg_futexfd_thread_begin(shmseg_futexfd *f, bool same) {
  (void)f, (void)same;
  return ENOTSUP;
}
int shmseg_futexfd_thread_wait(shmseg_futexfd *f, const shmseg_futexfd_word *word, uint32_t seen) {
  (void)f, (void)word, (void)seen;
  return ENOTSUP;
}
void shmseg_futexfd_thread_close(shmseg_futexfd *f) {
  (void)f;
}
#else
typedef int shmseg_futexfd_thread_linux_is_empty; /* ISO C forbids an empty file */
#endif
