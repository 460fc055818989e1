/* SPDX-License-Identifier: MIT */
/* Sleeping until a shared word changes: Linux futexes, not private to the process. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os/futex.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "os/futex_call.h"

#define SECOND ((int64_t)1000000000)

/* No sleep is longer, but in a test that has longer intervals. */
#if defined(SHMSEG_INTERVAL)
#define LONGEST ((int64_t)(SHMSEG_INTERVAL))
#else
#define LONGEST SECOND
#endif

int shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds) {
  struct {
    kernel_time seconds, nanoseconds;
  } timeout;
  nanoseconds = nanoseconds < LONGEST ? nanoseconds : LONGEST;
  timeout.seconds = (kernel_time)(nanoseconds / SECOND);
  timeout.nanoseconds = (kernel_time)(nanoseconds % SECOND);
  if (syscall(FUTEX_CALL, word, FUTEX_WAIT, seen, &timeout, NULL, 0) == 0)
    return 0;
  return errno == EAGAIN ? 0 : errno; /* EAGAIN: the word was another already */
}

int shmseg_futex_wake(const uint32_t *word, int count) {
  return (int)syscall(FUTEX_CALL, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

#else
typedef int shmseg_futex_linux_is_empty; /* ISO C forbids an empty file */
#endif
