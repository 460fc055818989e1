/* SPDX-License-Identifier: MIT */
/* The dict, stepped: values of several runs of memory. */
#include "nouns/dict/step.h"

/* --- states ------------------------------------------------------------------------------- */

static void be_empty(void) {
  step_dict_fix_hash();
}

static void have_large(void) {
  step_dict_fix_hash();
  step_expect(step_dict_set(&dict, 'a', 'x', 4500, NULL) == 0);
}

/* A live one that has no room but on top of all, and takes the lock of large blocks. */
static void have_full(void) {
  have_large();
  step_expect(step_dict_set(&dict, 'b', 'y', 5000, NULL) == 0);
}

/* --- operations --------------------------------------------------------------------------- */

static void set_first(void) {
  step_expect(step_dict_set(&dict, 'a', 'x', 4500, NULL) == 0);
}

static void set_smaller(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 300, NULL) == 0);
}

static void set_on_top(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 4400, &(shmseg_dict_how){ .safe = true }) == 0);
}

static void unset(void) {
  step_expect(step_dict_unset(&dict, 'a') == 0);
}

static void die_replacing(void) {
  step_enter_lock(DICT_LARGE_LOCK);
  step_enter_lock(DICT_STRIPES + STRIPE_LOCK);
}

const step_case dict_large_cases[] = {
  { .sentence = "store",
    .actors = { AFTER(be_empty) },
    .operate = set_first,
    .outcomes = { "empty", "a:x4500" } },
  { .sentence = "a smaller one",
    .actors = { AFTER(have_large) },
    .operate = set_smaller,
    .outcomes = { "a:x4500", "a:z300" } },
  { .sentence = "another one on top of all",
    .actors = { AFTER(have_full) },
    .operate = set_on_top,
    .outcomes = { "a:x4500 b:y5000", "a:z4400 b:y5000" } },
  { .sentence = "another one on top of all, another writer died",
    .actors = { AFTER(have_full), AFTER(die_replacing) },
    .operate = set_on_top,
    .outcomes = { "a:x4500 b:y5000", "a:z4400 b:y5000" } },
  { .sentence = "delete",
    .actors = { AFTER(have_full) },
    .operate = unset,
    .outcomes = { "a:x4500 b:y5000", "b:y5000" } },
  { 0 },
};
