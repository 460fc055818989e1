/* SPDX-License-Identifier: MIT */
/* The semaphore, stepped. */
#include "step/step.h"
#include "options.h"

#define PERMITS 3

static shmseg_semaphore semaphore;

static void close_it(void) {
  shmseg_semaphore_close(&semaphore);
}

/* All permits have come back, and not one more. */
static const char *use(void) {
  uint32_t value;
  for (int i = 0; i < PERMITS; i++)
    if (shmseg_semaphore_acquire(&semaphore, 0) != 0)
      return "a permit is lost";
  if (shmseg_semaphore_acquire(&semaphore, 0) != SHMSEG_TIMEOUT)
    return "a permit too many";
  if (shmseg_semaphore_value(&semaphore, &value) != 0 || value != 0)
    return "not all are counted as taken";
  for (int i = 0; i < PERMITS; i++)
    if (shmseg_semaphore_release(&semaphore) != 0)
      return "no release";
  if (shmseg_semaphore_value(&semaphore, &value) != 0 || value != PERMITS)
    return "not all are counted as free";
  return "whole";
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static int acquire_within(int64_t milliseconds) {
  int err;
  int64_t deadline = step_deadline(milliseconds);
  STEP_UNTIL_DONE(err, shmseg_semaphore_acquire(&semaphore, deadline));
  return err;
}

static void acquire(void) {
  step_expect(acquire_within(5000) == 0);
}

static void try_acquire(void) {
  step_expect(shmseg_semaphore_acquire(&semaphore, 0) == 0);
}

static void acquire_in_vain(void) {
  step_expect(acquire_within(20) == SHMSEG_TIMEOUT);
}

static void release(void) {
  step_expect(shmseg_semaphore_release(&semaphore) == 0);
}

static void acquire_and_release(void) {
  acquire();
  release();
}

static void acquire_two(void) {
  acquire();
  acquire();
}

static void acquire_all(void) {
  acquire_two();
  acquire();
}

static void release_all(void) {
  for (int i = 0; i < PERMITS; i++)
    release();
}

static void count(void) {
  uint32_t value;
  step_expect(shmseg_semaphore_value(&semaphore, &value) == 0 && value == PERMITS);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define DEAD_ONE                                                                                   \
  { STEP_DIES, acquire, NULL }
#define DEAD_ALL                                                                                   \
  { STEP_DIES, acquire_all, NULL }
#define DEAD_ASKER                                                                                 \
  { STEP_DIES, acquire_in_vain, NULL }
#define LIVE_ALL                                                                                   \
  { STEP_STAYS, acquire_all, release_all }
#define SLEEPER                                                                                    \
  { STEP_SLEEPS, acquire_and_release, NULL }

static const step_case cases[] = {
  { .sentence = "acquire, all free", .operate = acquire, .outcomes = { "whole" } },
  { .sentence = "acquire all of them", .operate = acquire_all, .outcomes = { "whole" } },
  { .sentence = "acquire the last one",
    .prepare = acquire_two,
    .operate = acquire,
    .outcomes = { "whole" } },
  { .sentence = "acquire, one is a dead process's",
    .actors = { DEAD_ONE },
    .operate = acquire,
    .outcomes = { "whole" } },
  { .sentence = "acquire, all are dead processes'",
    .actors = { DEAD_ONE, DEAD_ONE, DEAD_ONE },
    .operate = acquire,
    .outcomes = { "whole" } },
  { .sentence = "acquire with a timeout of 0, all are a dead process's",
    .actors = { DEAD_ALL },
    .operate = try_acquire,
    .outcomes = { "whole" } },
  { .sentence = "acquire, all are a dead process's and flagged",
    .actors = { DEAD_ALL, DEAD_ASKER },
    .operate = acquire,
    .outcomes = { "whole" } },
  { .sentence = "acquire in vain, all are taken by the living",
    .actors = { LIVE_ALL },
    .operate = acquire_in_vain,
    .outcomes = { "whole" },
    .live = "whole" },
  { .sentence = "release", .prepare = acquire, .operate = release, .outcomes = { "whole" } },
  { .sentence = "release, flagged by somebody dead",
    .actors = { DEAD_ALL, DEAD_ASKER },
    .prepare = acquire,
    .operate = release,
    .outcomes = { "whole" } },
  { .sentence = "release, somebody sleeps",
    .actors = { SLEEPER },
    .prepare = acquire_all,
    .operate = release,
    .outcomes = { "whole" },
    .live = "whole",
    .wakes = 1 },
  { .sentence = "release, three sleep",
    .actors = { SLEEPER, SLEEPER, SLEEPER },
    .prepare = acquire_all,
    .operate = release,
    .outcomes = { "whole" },
    .live = "whole",
    .wakes = 1 },
  { .sentence = "value, all are a dead process's",
    .actors = { DEAD_ALL },
    .operate = count,
    .outcomes = { "whole" } },
  { .sentence = "close with two permits",
    .prepare = acquire_two,
    .operate = close_it,
    .outcomes = { "whole" } },
  { .sentence = "close with all permits, somebody sleeps",
    .actors = { SLEEPER },
    .prepare = acquire_all,
    .operate = close_it,
    .outcomes = { "whole" },
    .live = "whole",
    .wakes = 1 },
  { 0 },
};

static const step_structure step_semaphore = {
  .kind = &shmseg_semaphore_kind,
  .handle = &semaphore.object,
  .options = &(const shmseg_object_options){ .permits = PERMITS },
  .as_new = "whole",
  .use = use,
  .cases = cases,
};

STEP_PLAY(step_semaphore);
