/* SPDX-License-Identifier: MIT */
/* The dict, stepped: numbers that are added to, and values that are compared before they change. */
#include <errno.h>

#include "nouns/dict/step.h"

/* --- states ------------------------------------------------------------------------------- */

static void be_empty(void) {
  step_dict_fix_hash();
}

static void have_number(void) {
  step_dict_fix_hash();
  step_dict_set_number('a', 5);
}

static void add(char key, int64_t more, int64_t expected) {
  int64_t sum;
  step_expect(step_dict_add(&dict, key, more, &sum) == 0 && sum == expected);
}

static void have_hot(void) {
  have_number();
  add('a', 2, 7);
}

static void have_two_hot(void) {
  have_hot();
  step_dict_set_number('b', 1);
}

static void have_in_chain(void) {
  step_dict_fix_hash();
  for (char key = 'b'; key <= 'f'; key++)
    step_expect(step_dict_set(&dict, key, key, 8, NULL) == 0);
  step_dict_set_number('a', 5);
}

static void have_flushed(void) {
  have_hot();
  step_expect(shmseg_dict_flush_all(&dict) == 0);
}

/* Who adds to the number has died with its line's lock. */
static void die_adding(void) {
  step_enter_lock(dict_line_at(&dict, 0, 0) + LINE_LOCK);
}

/* --- operations --------------------------------------------------------------------------- */

static void add_first(void) {
  add('a', 2, 2);
}

static void add_cold(void) {
  add('a', 2, 7);
}

static void add_hot(void) {
  add('a', 3, 10);
}

static void add_to_b(void) {
  add('b', 2, 3);
}

static void add_half(void) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_FLOAT, .number = 2.0 } };
  shmseg_dict_value result;
  int64_t patience = 0;
  bool forcible;
  step_expect(shmseg_dict_incr(&dict, "a", 1, &step, &result, &forcible, &patience) == 0 &&
              result.number == 9.0);
}

static void add_in_vain(void) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 } };
  shmseg_dict_value result;
  int64_t patience = 0;
  bool forcible;
  step_expect(shmseg_dict_incr(&dict, "a", 1, &step, &result, &forcible, &patience) ==
              SHMSEG_EMPTY);
}

static void replace_hot(void) {
  step_expect(step_dict_set(&dict, 'a', 'x', 100, NULL) == 0);
}

static void unset_hot(void) {
  step_expect(step_dict_unset(&dict, 'a') == 0);
}

/* Stores where 7 is there. */
static int compare(int64_t expected) {
  shmseg_dict_value old = { .type = SHMSEG_DICT_INTEGER, .integer = expected };
  shmseg_dict_how how = { .expected = &old };
  return step_dict_set(&dict, 'a', 'x', 100, &how);
}

static void compare_equal(void) {
  step_expect(compare(7) == 0);
}

static void compare_other(void) {
  step_expect(compare(8) == SHMSEG_CHANGED);
}

static void swap_token(void) {
  shmseg_dict_value value;
  step_expect(shmseg_dict_get(&dict, "a", 1, NULL, 0, &value) == 0);
  shmseg_dict_token token = value.token;
  step_expect(step_dict_set(&dict, 'a', 'x', 100, &(shmseg_dict_how){ .token = &token }) == 0);
}

static void sleep_for_change(void) {
  shmseg_dict_value value;
  int err;
  step_expect(shmseg_dict_get(&dict, "a", 1, NULL, 0, &value) == 0);
  STEP_UNTIL_OVER(err, shmseg_dict_wait(&dict, "a", 1, &value.token, SHMSEG_FOREVER));
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED);
}

#define WATCHER                                                                                    \
  { STEP_SLEEPS, sleep_for_change, NULL }

#define FIVE " b:b8 c:c8 d:d8 e:e8 f:f8"

const step_case dict_number_cases[] = {
  { .sentence = "add to what is not there",
    .actors = { AFTER(be_empty) },
    .operate = add_first,
    .outcomes = { "empty", "a:2" } },
  { .sentence = "add in vain",
    .actors = { AFTER(be_empty) },
    .operate = add_in_vain,
    .outcomes = { "empty" } },
  { .sentence = "add to a cold number",
    .actors = { AFTER(have_number) },
    .operate = add_cold,
    .outcomes = { "a:5", "a:7" } },
  { .sentence = "add to a hot number",
    .actors = { AFTER(have_hot) },
    .operate = add_hot,
    .outcomes = { "a:7", "a:10" } },
  { .sentence = "add to a hot number, another adder died",
    .actors = { AFTER(have_hot), AFTER(die_adding) },
    .operate = add_hot,
    .outcomes = { "a:7", "a:10" } },
  { .sentence = "add to a hot number, somebody waits",
    .actors = { AFTER(have_hot), WATCHER },
    .operate = add_hot,
    .outcomes = { "a:7", "a:10" },
    .wakes = 1 },
  { .sentence = "add to a cold number of a line that has a hot one",
    .actors = { AFTER(have_two_hot) },
    .operate = add_to_b,
    .outcomes = { "a:7 b:1", "a:7 b:3" } },
  { .sentence = "add to a number in a chain",
    .actors = { AFTER(have_in_chain) },
    .operate = add_cold,
    .outcomes = { "a:5" FIVE, "a:7" FIVE } },
  { .sentence = "add to a number that was flushed",
    .actors = { AFTER(have_flushed) },
    .operate = add_first,
    .outcomes = { "empty +1", "a:2" } },
  { .sentence = "a hot integer becomes a float",
    .actors = { AFTER(have_hot) },
    .operate = add_half,
    .outcomes = { "a:7", "a:9.0" } },
  { .sentence = "a hot number becomes a text",
    .actors = { AFTER(have_hot) },
    .operate = replace_hot,
    .outcomes = { "a:7", "a:x100" } },
  { .sentence = "a hot number is deleted",
    .actors = { AFTER(have_hot) },
    .operate = unset_hot,
    .outcomes = { "a:7", "empty" } },
  { .sentence = "a hot number is compared, and replaced",
    .actors = { AFTER(have_hot) },
    .operate = compare_equal,
    .outcomes = { "a:7", "a:x100" } },
  { .sentence = "a hot number is compared in vain",
    .actors = { AFTER(have_hot) },
    .operate = compare_other,
    .outcomes = { "a:7" } },
  { .sentence = "a hot number is replaced by its token",
    .actors = { AFTER(have_hot) },
    .operate = swap_token,
    .outcomes = { "a:7", "a:x100" } },
  { 0 },
};
