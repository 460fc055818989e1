/* SPDX-License-Identifier: MIT */
/* The event, stepped. */
#include "step/step.h"

#define WORD 64

static shmseg_event event;

/* What it is; then all that can be done with it. */
static const char *use(void) {
  bool was, set = false;
  uint32_t began = 0, before = 0;
  if (shmseg_event_is_set(&event, &was) != 0)
    return "it does not tell";
  if (shmseg_event_wait(&event, &began, 0) != (was ? 0 : SHMSEG_TIMEOUT))
    return "a wait says another thing than is_set";
  if (shmseg_event_clear(&event) != 0 || shmseg_event_is_set(&event, &set) != 0 || set)
    return "it cannot be cleared";
  if (shmseg_event_wait(&event, &before, 0) != SHMSEG_TIMEOUT)
    return "a wait does not wait";
  if (shmseg_event_set(&event) != 0 || shmseg_event_is_set(&event, &set) != 0 || !set)
    return "it cannot be set";
  if (shmseg_event_clear(&event) != 0 || shmseg_event_wait(&event, &before, 0) != 0)
    return "a set that was cleared at once ends no wait";
  return was ? "set" : "clear";
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static void set(void) {
  step_expect(shmseg_event_set(&event) == 0);
}

static void clear(void) {
  step_expect(shmseg_event_clear(&event) == 0);
}

static void set_and_clear(void) {
  set();
  clear();
}

static int wait_within(int64_t milliseconds) {
  int err;
  uint32_t began = 0;
  int64_t deadline = step_deadline(milliseconds);
  STEP_UNTIL_DONE(err, shmseg_event_wait(&event, &began, deadline));
  return err;
}

static void wait_long(void) {
  step_expect(wait_within(5000) == 0);
}

static void wait_or_not(void) {
  int err;
  uint32_t began = 0;
  STEP_UNTIL_OVER(err, shmseg_event_wait(&event, &began, SHMSEG_FOREVER));
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED);
}

static void wait_in_vain(void) {
  step_expect(wait_within(20) == SHMSEG_TIMEOUT);
}

/* The last count before it begins again at 1. */
static void wrap(void) {
  uint32_t *word = (uint32_t *)(step_segment.data + WORD);
  __atomic_store_n(word, 0xfffffffeu, __ATOMIC_SEQ_CST);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define SETTER                                                                                     \
  { STEP_DIES, set, NULL }
#define WRAPPER                                                                                    \
  { STEP_DIES, wrap, NULL }
#define SLEEPER                                                                                    \
  { STEP_SLEEPS, wait_or_not, NULL }

static const step_case cases[] = {
  { .sentence = "set", .operate = set, .outcomes = { "clear", "set" } },
  { .sentence = "set, already set", .actors = { SETTER }, .operate = set, .outcomes = { "set" } },
  { .sentence = "set at the wrap",
    .actors = { WRAPPER },
    .operate = set,
    .outcomes = { "clear", "set" } },
  { .sentence = "set, three sleep",
    .actors = { SLEEPER, SLEEPER, SLEEPER },
    .operate = set,
    .outcomes = { "clear", "set" },
    .wakes = 1 },
  { .sentence = "clear, set by somebody dead",
    .actors = { SETTER },
    .operate = clear,
    .outcomes = { "set", "clear" } },
  { .sentence = "clear, already clear", .operate = clear, .outcomes = { "clear" } },
  { .sentence = "set and clear at once, three sleep",
    .actors = { SLEEPER, SLEEPER, SLEEPER },
    .operate = set_and_clear,
    .outcomes = { "clear", "set", "clear" },
    .wakes = 1 },
  { .sentence = "wait, set", .actors = { SETTER }, .operate = wait_long, .outcomes = { "set" } },
  { .sentence = "wait in vain", .operate = wait_in_vain, .outcomes = { "clear" } },
  { 0 },
};

static const step_structure step_event = {
  .kind = &shmseg_event_kind,
  .handle = &event.object,
  .as_new = "clear",
  .use = use,
  .sleepers_write_nothing = true,
  .cases = cases,
};

STEP_PLAY(step_event);
