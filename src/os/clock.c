/* SPDX-License-Identifier: MIT */
/* Time: a clock that only goes forward, and sleeping on it. */
#define _GNU_SOURCE
#include "os/clock.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000

int64_t shmseg_clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

int shmseg_clock_sleep(int64_t nanoseconds) {
  struct timespec duration = { (time_t)(nanoseconds / SECOND), (long)(nanoseconds % SECOND) };
  return nanosleep(&duration, NULL) == 0 ? 0 : errno;
}

int shmseg_clock_processors(void) {
  static int known; /* the same value whoever writes it */
  int processors = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (processors == 0) {
    processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
    __atomic_store_n(&known, processors, __ATOMIC_RELAXED);
  }
  return processors;
}
