/* SPDX-License-Identifier: MIT */
/* The counting signal, stepped. */
#include "step/step.h"

#define MOST 5

static shmseg_semaphore signal;

/* How many are there; then all that can be done with it. */
static const char *use(void) {
  static const char *const counts[MOST + 1] = { "0", "1", "2", "3", "4", "5" };
  uint32_t count, value;
  if (shmseg_semaphore_value(&signal, &count) != 0 || count > MOST)
    return "no count";
  if (shmseg_semaphore_post(&signal, MOST + 1 - count) != SHMSEG_TOO_MANY)
    return "more than the most";
  if (count < MOST && shmseg_semaphore_post(&signal, MOST - count) != 0)
    return "less than the most";
  for (int i = 0; i < MOST; i++)
    if (shmseg_semaphore_acquire(&signal, 0) != 0)
      return "a post is lost";
  if (shmseg_semaphore_acquire(&signal, 0) != SHMSEG_TIMEOUT)
    return "a post too many";
  if (shmseg_semaphore_value(&signal, &value) != 0 || value != 0)
    return "not all are taken";
  return counts[count];
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static int acquire_within(int64_t milliseconds) {
  int err;
  int64_t deadline = step_deadline(milliseconds);
  STEP_UNTIL_DONE(err, shmseg_semaphore_acquire(&signal, deadline));
  return err;
}

static void acquire(void) {
  step_expect(acquire_within(5000) == 0);
}

static void acquire_or_not(void) {
  int err;
  STEP_UNTIL_OVER(err, shmseg_semaphore_acquire(&signal, SHMSEG_FOREVER));
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED);
}

static void try_in_vain(void) {
  step_expect(shmseg_semaphore_acquire(&signal, 0) == SHMSEG_TIMEOUT);
}

static void acquire_in_vain(void) {
  step_expect(acquire_within(20) == SHMSEG_TIMEOUT);
}

static void post_one(void) {
  step_expect(shmseg_semaphore_post(&signal, 1) == 0);
}

static void post_three(void) {
  step_expect(shmseg_semaphore_post(&signal, 3) == 0);
}

static void post_too_many(void) {
  step_expect(shmseg_semaphore_post(&signal, 4) == SHMSEG_TOO_MANY);
}

static void close_it(void) {
  shmseg_semaphore_close(&signal);
}

static void acquire_two(void) {
  acquire();
  acquire();
}

/* --- cases ------------------------------------------------------------------------------------ */

#define SLEEPER                                                                                    \
  { STEP_SLEEPS, acquire_or_not, NULL }

static const step_case cases[] = {
  { .sentence = "post", .operate = post_one, .outcomes = { "0", "1" } },
  { .sentence = "post three at once", .operate = post_three, .outcomes = { "0", "3" } },
  { .sentence = "post, two are there",
    .actors = { AFTER(post_three) },
    .prepare = acquire,
    .operate = post_three,
    .outcomes = { "2", "5" } },
  { .sentence = "post too many",
    .actors = { AFTER(post_three) },
    .operate = post_too_many,
    .outcomes = { "3" },
    .changes_nothing = true },
  { .sentence = "post, flagged by somebody dead",
    .actors = { AFTER(acquire_in_vain) },
    .operate = post_one,
    .outcomes = { "0", "1" } },
  { .sentence = "post, somebody sleeps",
    .actors = { SLEEPER },
    .operate = post_one,
    .outcomes = { "0", "1" },
    .live = "0",
    .wakes = 1 },
  { .sentence = "post three, three sleep",
    .actors = { SLEEPER, SLEEPER, SLEEPER },
    .operate = post_three,
    .outcomes = { "0", "3" },
    .live = "0",
    .wakes = 3 },
  { .sentence = "acquire",
    .actors = { AFTER(post_three) },
    .operate = acquire,
    .outcomes = { "3", "2" } },
  { .sentence = "acquire the last one",
    .actors = { AFTER(post_one) },
    .operate = acquire,
    .outcomes = { "1", "0" } },
  { .sentence = "acquire two",
    .actors = { AFTER(post_three) },
    .operate = acquire_two,
    .outcomes = { "3", "2", "1" } },
  { .sentence = "acquire with a timeout of 0 where none is",
    .operate = try_in_vain,
    .outcomes = { "0" },
    .changes_nothing = true },
  { .sentence = "acquire in vain", .operate = acquire_in_vain, .outcomes = { "0" } },
  { .sentence = "close with two acquired",
    .actors = { AFTER(post_three) },
    .prepare = acquire_two,
    .operate = close_it,
    .outcomes = { "1" },
    .changes_nothing = true },
  { 0 },
};

static const step_structure step_signal = {
  .kind = &shmseg_semaphore_kind,
  .handle = &signal.object,
  .options = &(const shmseg_object_options){ .permits = MOST, .signal = SHMSEG_SEMAPHORE_SIGNAL },
  .noun = "signal",
  .as_new = "0",
  .use = use,
  .cases = cases,
};

STEP_PLAY(step_signal);
