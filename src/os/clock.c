/* SPDX-License-Identifier: MIT */
/* Time: a clock that only goes forward, and sleeping on it; and the time of day. */
#define _GNU_SOURCE
#include "os/clock.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000

int64_t shmseg_clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

int64_t shmseg_clock_wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int shmseg_clock_sleep(int64_t nanoseconds) {
  struct timespec duration = { (time_t)(nanoseconds / SECOND), (long)(nanoseconds % SECOND) };
  return nanosleep(&duration, NULL) == 0 ? 0 : errno;
}

#if defined(__linux__)
/* Those that the calling thread may run on, which sysconf does not know of. */
static int clock_ask(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
  return (int)sysconf(_SC_NPROCESSORS_ONLN); /* a machine of more than 1,024 */
}
#else
static int clock_ask(void) {
  return (int)sysconf(_SC_NPROCESSORS_ONLN);
}
#endif

/* All threads of the process share the answer, which is a hint. */
int shmseg_clock_processors(void) {
  static int known;
  static unsigned calls;
  unsigned call = __atomic_load_n(&calls, __ATOMIC_RELAXED);
  __atomic_store_n(&calls, call + 1, __ATOMIC_RELAXED);
  if (call % SHMSEG_CLOCK_RECOUNT == 0)
    __atomic_store_n(&known, clock_ask(), __ATOMIC_RELAXED);
  return __atomic_load_n(&known, __ATOMIC_RELAXED);
}
