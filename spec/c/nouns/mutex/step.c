/* SPDX-License-Identifier: MIT */
/* The mutex, stepped. */
#include "step/step.h"

static shmseg_mutex mutex;

static void close_it(void) {
  shmseg_mutex_close(&mutex);
}

/* Lock, be exclusive, unlock; then another one, who is told nothing. */
static const char *use(void) {
  bool abandoned, again;
  shmseg_segment segment;
  shmseg_mutex other;
  if (shmseg_mutex_lock(&mutex, 0, &abandoned) != 0)
    return "the lock is not to be had";
  if (step_open_other(&segment) != 0 ||
      shmseg_mutex_open(&other, shmseg_segment_whole(&segment), SHMSEG_WRITE, NULL, NULL) != 0)
    return "no second handle";
  const char *wrong = NULL;
  if (shmseg_mutex_lock(&other, 0, &again) != SHMSEG_TIMEOUT)
    wrong = "a second owner";
  else if (shmseg_mutex_unlock(&mutex) != 0)
    wrong = "no unlock";
  else if (shmseg_mutex_lock(&other, 0, &again) != 0 || again)
    wrong = "the unlocked lock is not free, or abandoned";
  else if (shmseg_mutex_unlock(&other) != 0)
    wrong = "no unlock by the second handle";
  shmseg_mutex_close(&other);
  shmseg_segment_close(&segment);
  return wrong ? wrong : abandoned ? "abandoned" : "clean";
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static int lock_within(int64_t milliseconds) {
  bool abandoned;
  int err;
  int64_t deadline = step_deadline(milliseconds);
  STEP_UNTIL_DONE(err, shmseg_mutex_lock(&mutex, deadline, &abandoned));
  return err;
}

static void lock(void) {
  step_expect(lock_within(5000) == 0);
}

static void try_lock(void) {
  bool abandoned;
  step_expect(shmseg_mutex_lock(&mutex, 0, &abandoned) == 0);
}

static void unlock(void) {
  step_expect(shmseg_mutex_unlock(&mutex) == 0);
}

static void lock_and_unlock(void) {
  lock();
  unlock();
}

/* Asks in vain: leaves its mark as a sleeper. */
static void lock_in_vain(void) {
  step_expect(lock_within(20) == SHMSEG_TIMEOUT);
}

static void try_in_vain(void) {
  bool abandoned;
  step_expect(shmseg_mutex_lock(&mutex, 0, &abandoned) == SHMSEG_TIMEOUT);
}

static void lock_and_close(void) {
  lock();
  shmseg_mutex_close(&mutex);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define DEAD_OWNER                                                                                 \
  { STEP_DIES, lock, NULL }
#define DEAD_ASKER                                                                                 \
  { STEP_DIES, lock_in_vain, NULL }
#define LIVE_OWNER                                                                                 \
  { STEP_STAYS, lock, unlock }
#define SLEEPER                                                                                    \
  { STEP_SLEEPS, lock_and_unlock, NULL }

static const step_case cases[] = {
  { .sentence = "lock, free", .operate = lock, .outcomes = { "clean", "abandoned" } },
  { .sentence = "lock by who has no identity yet",
    .operate = lock,
    .outcomes = { "clean", "abandoned" },
    TAKES_IDENTITY },
  { .sentence = "lock, the owner is dead",
    .actors = { DEAD_OWNER },
    .operate = lock,
    .outcomes = { "abandoned" } },
  { .sentence = "lock with a timeout of 0, the owner is dead",
    .actors = { DEAD_OWNER },
    .operate = try_lock,
    .outcomes = { "abandoned" } },
  { .sentence = "lock, the owner is dead and the word flagged",
    .actors = { DEAD_OWNER, DEAD_ASKER },
    .operate = lock,
    .outcomes = { "abandoned" } },
  { .sentence = "lock, abandoned by a close",
    .actors = { { STEP_DIES, lock_and_close, NULL } },
    .operate = lock,
    .outcomes = { "abandoned" } },
  { .sentence = "lock in vain, the owner lives",
    .actors = { LIVE_OWNER },
    .operate = lock_in_vain,
    .outcomes = { "abandoned" },
    .live = "clean" },
  { .sentence = "lock in vain with a timeout of 0, the owner lives",
    .actors = { LIVE_OWNER },
    .operate = try_in_vain,
    .outcomes = { "abandoned" },
    .live = "clean" },
  { .sentence = "unlock",
    .prepare = lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" } },
  { .sentence = "unlock after an abandoned lock",
    .actors = { DEAD_OWNER },
    .prepare = lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" } },
  { .sentence = "unlock, flagged by somebody dead",
    .actors = { DEAD_OWNER, DEAD_ASKER },
    .prepare = lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" } },
  { .sentence = "unlock, somebody sleeps",
    .actors = { SLEEPER },
    .prepare = lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" },
    .live = "clean",
    .wakes = 1 },
  { .sentence = "unlock, three sleep",
    .actors = { SLEEPER, SLEEPER, SLEEPER },
    .prepare = lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" },
    .live = "clean",
    .wakes = 1 },
  { .sentence = "close by the owner",
    .prepare = lock,
    .operate = close_it,
    .outcomes = { "abandoned" } },
  { .sentence = "close by the owner, somebody sleeps",
    .actors = { SLEEPER },
    .prepare = lock,
    .operate = close_it,
    .outcomes = { "abandoned" },
    .live = "clean",
    .wakes = 1 },
  { 0 },
};

static const step_structure step_mutex = {
  .kind = &shmseg_mutex_kind,
  .handle = &mutex.object,
  .as_new = "clean",
  .use = use,
  .cases = cases,
};

STEP_PLAY(step_mutex);
