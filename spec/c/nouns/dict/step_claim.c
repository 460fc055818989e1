/* SPDX-License-Identifier: MIT */
/* The dict, stepped: claims. Their owner's death gives them back: a user takes each one. */
#include <errno.h>

#include "nouns/dict/step.h"

static shmseg_dict_claim claim;

static int take(int64_t deadline, shmseg_dict_outcome *outcome) {
  int64_t patience = 0;
  int err;
  STEP_UNTIL_DONE(err, shmseg_dict_claim_take(&dict, "a", 1, &claim, outcome, deadline, &patience));
  return err;
}

static int store(size_t size) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING,
                              .bytes = step_dict_text('x', size),
                              .size = size };
  int64_t patience = 0;
  bool forcible;
  int err;
  STEP_UNTIL_DONE(
      err, shmseg_dict_claim_store(&dict, &claim, "a", 1, &value, NULL, &forcible, &patience));
  return err;
}

/* --- states ------------------------------------------------------------------------------- */

static void be_empty(void) {
  step_dict_fix_hash();
}

static void have_b(void) {
  step_dict_fix_hash();
  step_expect(step_dict_set(&dict, 'b', 'y', 100, NULL) == 0);
}

static void take_it(void) {
  shmseg_dict_outcome outcome;
  step_expect(take(0, &outcome) == 0 && outcome == SHMSEG_DICT_CLAIMED);
}

static void take_and_void(void) {
  take_it();
  step_expect(step_dict_set(&dict, 'a', 'z', 8, NULL) == 0);
}

static void take_and_flush(void) {
  take_it();
  step_expect(shmseg_dict_flush_all(&dict) == 0);
}

/* --- operations --------------------------------------------------------------------------- */

static void store_it(void) {
  step_expect(store(100) == 0);
}

static void store_in_vain(void) {
  step_expect(store(100) == SHMSEG_CHANGED && claim.offset == 0);
}

static void store_too_much(void) {
  step_expect(store(2000) == EFBIG && claim.offset == 0);
}

static void end_it(void) {
  shmseg_dict_claim_end(&dict, &claim, "a", 1, SHMSEG_DICT_NO_VALUE);
}

static void void_it(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 8, NULL) == 0);
  step_expect(!shmseg_dict_claim_is_valid(&dict, &claim));
}

static void void_by_delete(void) {
  step_expect(step_dict_unset(&dict, 'a') == 0);
  step_expect(!shmseg_dict_claim_is_valid(&dict, &claim));
}

static void take_in_vain(void) {
  shmseg_dict_outcome outcome;
  step_expect(take(0, &outcome) == SHMSEG_TIMEOUT && claim.offset == 0);
}

static void take_twice(void) {
  shmseg_dict_outcome outcome;
  shmseg_dict_claim first = claim;
  claim = (shmseg_dict_claim){ 0 };
  step_expect(take(0, &outcome) == SHMSEG_HELD);
  claim = first;
}

static void give(void) {
  shmseg_dict_claim_end(&dict, &claim, "a", 1, SHMSEG_DICT_ENDED);
}

/* Is told how it ended, or has it when its owner has died. */
static void sleep_for(shmseg_dict_outcome end) {
  shmseg_dict_outcome outcome;
  int64_t patience = 0;
  int err;
  STEP_UNTIL_OVER(
      err, shmseg_dict_claim_take(&dict, "a", 1, &claim, &outcome, SHMSEG_FOREVER, &patience));
  step_expect(err == SHMSEG_INTERRUPTED ||
              (err == 0 && (outcome == SHMSEG_DICT_CLAIMED || outcome == end)));
}

static void sleep_for_store(void) {
  sleep_for(SHMSEG_DICT_ENDED);
}

static void sleep_for_end(void) {
  sleep_for(SHMSEG_DICT_NO_VALUE);
}

static void sleep_for_failure(void) {
  sleep_for(SHMSEG_DICT_FAILED);
}

#define CLAIMANT(sleep_for_it)                                                                     \
  { STEP_SLEEPS, sleep_for_it, give }

const step_case dict_claim_cases[] = {
  { .sentence = "take", .actors = { AFTER(have_b) }, .operate = take_it, .outcomes = { "b:y100" } },
  { .sentence = "take by who has no identity yet",
    .actors = { AFTER(be_empty) },
    .operate = take_it,
    .outcomes = { "empty" },
    TAKES_IDENTITY },
  { .sentence = "take a dead one's",
    .actors = { AFTER(have_b), AFTER(take_it) },
    .operate = take_it,
    .outcomes = { "b:y100" } },
  { .sentence = "take in vain with a timeout of 0, its owner lives",
    .actors = { AFTER(have_b), { STEP_STAYS, take_it, give } },
    .operate = take_in_vain,
    .outcomes = { "b:y100" } },
  { .sentence = "take one's own",
    .actors = { AFTER(have_b) },
    .prepare = take_it,
    .operate = take_twice,
    .outcomes = { "b:y100" } },
  { .sentence = "store",
    .actors = { AFTER(have_b) },
    .prepare = take_it,
    .operate = store_it,
    .outcomes = { "b:y100", "a:x100 b:y100" } },
  { .sentence = "store, somebody waits",
    .actors = { AFTER(be_empty), CLAIMANT(sleep_for_store) },
    .prepare = take_it,
    .operate = store_it,
    .outcomes = { "empty", "a:x100" },
    .wakes = 1 },
  { .sentence = "store in vain, another value is there",
    .actors = { AFTER(have_b) },
    .prepare = take_and_void,
    .operate = store_in_vain,
    .outcomes = { "a:z8 b:y100" } },
  { .sentence = "store in vain, all was flushed",
    .actors = { AFTER(have_b) },
    .prepare = take_and_flush,
    .operate = store_in_vain,
    .outcomes = { "empty +3" } },
  { .sentence = "store too much, somebody waits",
    .actors = { AFTER(have_b), CLAIMANT(sleep_for_failure) },
    .prepare = take_it,
    .operate = store_too_much,
    .outcomes = { "b:y100" },
    .wakes = 1 },
  { .sentence = "end",
    .actors = { AFTER(have_b) },
    .prepare = take_it,
    .operate = end_it,
    .outcomes = { "b:y100" } },
  { .sentence = "end, two wait",
    .actors = { AFTER(have_b), CLAIMANT(sleep_for_end), CLAIMANT(sleep_for_end) },
    .prepare = take_it,
    .operate = end_it,
    .outcomes = { "b:y100" },
    .wakes = 2 },
  { .sentence = "a value voids it",
    .actors = { AFTER(have_b) },
    .prepare = take_it,
    .operate = void_it,
    .outcomes = { "b:y100", "a:z8 b:y100" } },
  { .sentence = "a delete voids it",
    .actors = { AFTER(have_b) },
    .prepare = take_it,
    .operate = void_by_delete,
    .outcomes = { "b:y100" } },
  { 0 },
};
