/* SPDX-License-Identifier: MIT */
/* Waiting: the only place that sleeps or wakes. */
#include "shared/wait.h"

#include "os/clock.h"
#include "shmseg.h"

/* No sleep is longer. A signal that comes just before the sleep begins, or to another thread,
 * is noticed after this time; so is what a dead or hostile peer does not tell us. */
#define SLICE ((int64_t)50 * 1000000)

#define PAUSE ((int64_t)1000000)

int64_t shmseg_wait_deadline(int64_t nanoseconds) {
  int64_t now = shmseg_clock_now();
  return nanoseconds > SHMSEG_FOREVER - now ? SHMSEG_FOREVER : now + nanoseconds;
}

/* Nanoseconds to sleep: what is left, at most limit; 0 when nothing is left. */
static int64_t left(int64_t deadline, int64_t limit) {
  int64_t now = shmseg_clock_now();
  if (now >= deadline)
    return 0;
  return deadline - now < limit ? deadline - now : limit;
}

int shmseg_wait_sleep(int64_t deadline) {
  int64_t duration = left(deadline, SLICE);
  if (duration == 0)
    return SHMSEG_TIMEOUT;
  shmseg_clock_sleep(duration);
  return SHMSEG_INTERRUPTED;
}

int shmseg_wait_pause(int64_t deadline) {
  int64_t duration = left(deadline, PAUSE);
  if (duration == 0)
    return SHMSEG_TIMEOUT;
  shmseg_clock_sleep(duration);
  return 0;
}
