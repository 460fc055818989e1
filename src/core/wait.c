/* SPDX-License-Identifier: MIT */
/* Waiting for peers: the only place that sleeps on a word, or wakes a sleeper. */
#include "core/wait.h"

#include <errno.h>

#include "core/segment.h"
#include "core/word.h"
#include "os/clock.h"
#include "os/futex.h"

/* Nanoseconds of the longest sleep. A signal that comes just before it, or to another thread, is
 * noticed when it is over; so is a change for which a dead or hostile peer wakes nobody. */
#if !defined(SHMSEG_INTERVAL)
#define SHMSEG_INTERVAL 50000000
#endif

#define PAUSE 1000000

/* Nanoseconds for which peers may be faster at each try. */
#define OVERTAKEN 100000000

/* Nanoseconds: about what a futex sleep and wake cost. A peer that is awake answers sooner. */
#define SPIN 20000
#define SPIN_LOOKS 64    /* between two looks at the clock */
#define SPIN_BURST 64    /* after so many failures in a row there is no spin, */
#define SPIN_PERIOD 1024 /* and after so many it is tried again */

int64_t shmseg_wait_deadline(int64_t nanoseconds) {
  int64_t now = shmseg_clock_now();
  return nanoseconds > SHMSEG_FOREVER - now ? SHMSEG_FOREVER : now + nanoseconds;
}

int64_t shmseg_wait_patience(int64_t *deadline, int64_t nanoseconds) {
  if (*deadline == 0)
    *deadline = shmseg_wait_deadline(nanoseconds);
  return *deadline;
}

/* Nanoseconds to sleep: what is left, at most limit; 0 when nothing is left. */
static int64_t wait_duration(int64_t deadline, int64_t limit) {
  int64_t now = shmseg_clock_now();
  if (now >= deadline)
    return 0;
  return deadline - now < limit ? deadline - now : limit;
}

int shmseg_wait_sleep(int64_t deadline) {
  int64_t duration = wait_duration(deadline, SHMSEG_INTERVAL);
  if (duration == 0)
    return SHMSEG_TIMEOUT;
  shmseg_clock_sleep(duration);
  return SHMSEG_INTERRUPTED;
}

int shmseg_wait_nap(int64_t nanoseconds, int64_t deadline) {
  int64_t duration = wait_duration(deadline, nanoseconds);
  if (duration == 0)
    return SHMSEG_TIMEOUT;
  shmseg_clock_sleep(duration);
  return 0;
}

int shmseg_wait_pause(int64_t deadline) {
  return shmseg_wait_nap(PAUSE, deadline);
}

bool shmseg_wait_left(int64_t deadline) {
  return wait_duration(deadline, 1) > 0;
}

int shmseg_wait_again(int64_t deadline) {
  return shmseg_wait_left(deadline) ? SHMSEG_INTERRUPTED : SHMSEG_TIMEOUT;
}

int shmseg_wait_overtaken(int64_t *patience, int64_t deadline) {
  return shmseg_wait_left(shmseg_wait_patience(patience, OVERTAKEN)) ? SHMSEG_CHANGED
                                                                     : shmseg_wait_again(deadline);
}

/* Is a spin worth it, after so many failures in a row? Two processes on one processor fail until
 * the system moves one of them, which it does when both have wanted to run for milliseconds. */
static bool wait_is_worth_spinning(uint32_t failures) {
  return failures % SPIN_PERIOD < SPIN_BURST && shmseg_clock_processors() > 1;
}

shmseg_spinner shmseg_wait_spin_begin(shmseg_spin *spin) {
  bool is_worth = wait_is_worth_spinning(spin->failures);
  spin->failures++;
  spin->looks = 0;
  if (!is_worth)
    return (shmseg_spinner){ spin, 0, 0 };
  shmseg_spinner spinner = { spin, shmseg_clock_now() + SPIN, 0 };
  for (uint32_t i = 0; i < spin->pauses; i++)
    spin_pause();
  return spinner;
}

bool shmseg_wait_spin_again(shmseg_spinner *spinner) {
  if (spinner->deadline == 0)
    return false;
  spin_pause();
  return ++spinner->looks % SPIN_LOOKS != 0 || shmseg_clock_now() < spinner->deadline;
}

int shmseg_wait_spin_found(const shmseg_spinner *spinner) {
  if (spinner->deadline != 0) {
    spinner->spin->failures = 0;
    spinner->spin->looks = spinner->looks + 1;
  }
  return 0;
}

void shmseg_wait_spin_adapt(shmseg_spin *spin, bool longer, uint32_t most) {
  uint32_t more = 2 * spin->pauses + 1;
  spin->pauses = !longer ? spin->pauses / 2 : more < most ? more : most;
}

bool shmseg_wait_spin(const uint32_t *word, uint32_t seen, unsigned *pauses) {
  if (shmseg_clock_processors() < 2)
    return false;
  int64_t deadline = shmseg_clock_now() + SPIN;
  do {
    for (unsigned i = 0; i < *pauses; i++)
      spin_pause();
    if (*pauses < SPIN_LOOKS)
      *pauses *= 2;
    if (load_relaxed(word) != seen)
      return true;
  } while (shmseg_clock_now() < deadline);
  return false;
}

#if defined(SHMSEG_COUNT_LATE)
uint64_t shmseg_wait_late;

static void wait_count_late(const uint32_t *word, uint32_t seen, int err) {
  if (err == ETIMEDOUT && load_ordered(word) != seen)
    shmseg_wait_late++;
}
#else
static void wait_count_late(const uint32_t *word, uint32_t seen, int err) {
  (void)word, (void)seen, (void)err;
}
#endif

/* Has the word changed? A word on a missing page reads as zero and proves nothing. */
static int wait_look(const shmseg_segment *segment, const uint32_t *word, uint32_t seen) {
  bool changed = load_ordered(word) != seen;
  int err = segment_status(segment);
  return err ? err : changed ? 0 : SHMSEG_INTERRUPTED;
}

int shmseg_wait_word(const shmseg_segment *segment, const uint32_t *word, uint32_t seen,
                     int64_t deadline) {
  int err = wait_look(segment, word, seen);
  if (err != SHMSEG_INTERRUPTED)
    return err;
  int64_t duration = wait_duration(deadline, SHMSEG_INTERVAL);
  if (duration == 0)
    return SHMSEG_TIMEOUT;
  err = shmseg_futex_wait(word, seen, duration);
  wait_count_late(word, seen, err);
  if (err == EFAULT)
    return SHMSEG_TRUNCATED;
  return wait_look(segment, word, seen);
}

int shmseg_wait_wake(const uint32_t *word, int count) {
  return shmseg_futex_wake(word, count);
}
