/* SPDX-License-Identifier: MIT */
/* Sleeping until a shared word changes, where the kernel offers nothing between processes: short
 * naps. Untested. */
#if !defined(__linux__)
#include "os/futex.h"

#include <errno.h>

#include "os/clock.h"

#define NAP 500000 /* nanoseconds */

int shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds) {
  int64_t deadline = shmseg_clock_now() + nanoseconds;
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == seen) {
    int64_t left = deadline - shmseg_clock_now();
    if (left <= 0)
      return ETIMEDOUT;
    int err = shmseg_clock_sleep(left < NAP ? left : NAP);
    if (err)
      return err;
  }
  return 0;
}

/* The sleepers look for themselves; nobody can say how many there are. */
int shmseg_futex_wake(const uint32_t *word, int count) {
  (void)word;
  (void)count;
  return 0;
}

#else
typedef int shmseg_futex_posix_is_empty; /* ISO C forbids an empty file */
#endif
