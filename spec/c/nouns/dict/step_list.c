/* SPDX-License-Identifier: MIT */
/* The dict, stepped: lists. */
#include <errno.h>

#include "nouns/dict/step.h"

/* --- states ------------------------------------------------------------------------------- */

static void be_empty(void) {
  step_dict_fix_hash();
}

static void have_one(void) {
  step_dict_fix_hash();
  step_expect(step_dict_push(&dict, 'l', false, 'x', 8) == 0);
}

static void have_three(void) {
  have_one();
  step_expect(step_dict_push(&dict, 'l', false, 'y', 100) == 0);
  step_expect(step_dict_push(&dict, 'l', false, 'z', 8) == 0);
}

static void have_in_chain(void) {
  step_dict_fix_hash();
  for (char key = 'a'; key <= 'e'; key++)
    step_expect(step_dict_set(&dict, key, key, 8, NULL) == 0);
  step_expect(step_dict_push(&dict, 'l', false, 'x', 8) == 0);
  step_expect(step_dict_push(&dict, 'l', false, 'y', 8) == 0);
}

static void have_flushed(void) {
  have_three();
  step_expect(shmseg_dict_flush_all(&dict) == 0);
}

static void have_full(void) {
  have_three();
  step_expect(step_dict_set(&dict, 'a', 'a', 600, NULL) == EFBIG);
  step_expect(step_dict_set(&dict, 'a', 'a', 500, NULL) == 0);
  step_expect(step_dict_set(&dict, 'b', 'b', 8, NULL) == 0);
}

static void have_number(void) {
  step_dict_fix_hash();
  step_dict_set_number('l', 1);
}

/* --- operations --------------------------------------------------------------------------- */

static void push_first(void) {
  step_expect(step_dict_push(&dict, 'l', true, 'w', 100) == 0);
}

static void push_left(void) {
  push_first();
}

static void push_right(void) {
  step_expect(step_dict_push(&dict, 'l', false, 'w', 8) == 0);
}

static void push_number(void) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER, .integer = 42 };
  int64_t patience = 0;
  uint64_t length;
  step_expect(shmseg_dict_push(&dict, "l", 1, false, &value, &length, &patience) == 0 &&
              length == 2);
}

static void push_in_vain(void) {
  step_expect(step_dict_push(&dict, 'l', false, 'w', 100) == ENOMEM);
}

static void push_on_number(void) {
  step_expect(step_dict_push(&dict, 'l', false, 'w', 100) == SHMSEG_WRONG_TYPE);
}

static void pop_left(void) {
  step_expect(step_dict_pops(&dict, 'l', true, 'x', 8));
}

static void pop_right(void) {
  step_expect(step_dict_pops(&dict, 'l', false, 'z', 8));
}

static void pop_two(void) {
  step_expect(step_dict_pops(&dict, 'l', true, 'x', 8) &&
              step_dict_pops(&dict, 'l', true, 'y', 100));
}

static void pop_last_in_chain(void) {
  step_expect(step_dict_pops(&dict, 'l', false, 'y', 8));
}

/* Takes what a peek has shown, perhaps after another one has gone. */
static int pop_shown(bool left, bool changed) {
  unsigned char bytes[8];
  shmseg_dict_value value;
  int64_t patience = 0;
  step_expect(shmseg_dict_peek(&dict, "l", 1, left, bytes, sizeof bytes, &value) == 0 &&
              value.size == 8);
  step_expect(!changed || step_dict_pops(&dict, 'l', true, 'x', 8));
  return shmseg_dict_pop_seen(&dict, "l", 1, left, &value.token, &patience);
}

static void pop_seen(void) {
  step_expect(pop_shown(true, false) == 0);
}

static void pop_seen_late(void) {
  step_expect(pop_shown(false, true) == SHMSEG_CHANGED);
}

static void pop_in_vain(void) {
  unsigned char bytes[8];
  shmseg_dict_value value;
  int64_t patience = 0;
  step_expect(shmseg_dict_pop(&dict, "l", 1, true, bytes, 7, &value, &patience) ==
              SHMSEG_TOO_SMALL);
}

static void unset(void) {
  step_expect(step_dict_unset(&dict, 'l') == 0);
}

static void replace(void) {
  step_expect(step_dict_set(&dict, 'l', 't', 100, NULL) == 0);
}

static void expire(void) {
  int64_t patience = 0;
  step_expect(shmseg_dict_expire(&dict, "l", 1, 3600000, &patience) == 0);
}

static void sleep_for_change(void) {
  shmseg_dict_value value;
  int err;
  step_expect(shmseg_dict_get(&dict, "l", 1, NULL, 0, &value) == 0);
  STEP_UNTIL_OVER(err, shmseg_dict_wait(&dict, "l", 1, &value.token, SHMSEG_FOREVER));
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED);
}

#define WATCHER                                                                                    \
  { STEP_SLEEPS, sleep_for_change, NULL }

#define THREE "l:[x8 y100 z8]"
#define FIVE "a:a8 b:b8 c:c8 d:d8 e:e8"

const step_case dict_list_cases[] = {
  { .sentence = "push the first element",
    .actors = { AFTER(be_empty) },
    .operate = push_first,
    .outcomes = { "empty", "l:[w100]" } },
  { .sentence = "push on the left",
    .actors = { AFTER(have_three) },
    .operate = push_left,
    .outcomes = { THREE, "l:[w100 x8 y100 z8]" } },
  { .sentence = "push on the right",
    .actors = { AFTER(have_three) },
    .operate = push_right,
    .outcomes = { THREE, "l:[x8 y100 z8 w8]" } },
  { .sentence = "push a number on the right of one",
    .actors = { AFTER(have_one) },
    .operate = push_number,
    .outcomes = { "l:[x8]", "l:[x8 42]" } },
  { .sentence = "push to a list in a chain",
    .actors = { AFTER(have_in_chain) },
    .operate = push_right,
    .outcomes = { FIVE " l:[x8 y8]", FIVE " l:[x8 y8 w8]" } },
  { .sentence = "push over a list that was flushed",
    .actors = { AFTER(have_flushed) },
    .operate = push_first,
    .outcomes = { "empty +5", "empty", "l:[w100]" } },
  { .sentence = "push in vain, full",
    .actors = { AFTER(have_full) },
    .operate = push_in_vain,
    .outcomes = { "a:a500 b:b8 " THREE } },
  { .sentence = "push to what is no list",
    .actors = { AFTER(have_number) },
    .operate = push_on_number,
    .outcomes = { "l:1" } },
  { .sentence = "push, somebody waits for a change",
    .actors = { AFTER(have_three), WATCHER },
    .operate = push_right,
    .outcomes = { THREE, "l:[x8 y100 z8 w8]" },
    .wakes = 1 },
  { .sentence = "pop on the left",
    .actors = { AFTER(have_three) },
    .operate = pop_left,
    .outcomes = { THREE, "l:[y100 z8]" } },
  { .sentence = "pop on the right",
    .actors = { AFTER(have_three) },
    .operate = pop_right,
    .outcomes = { THREE, "l:[x8 y100]" } },
  { .sentence = "pop two, up to the last one",
    .actors = { AFTER(have_three) },
    .operate = pop_two,
    .outcomes = { THREE, "l:[y100 z8]", "l:[z8]" } },
  { .sentence = "pop the only one",
    .actors = { AFTER(have_one) },
    .operate = pop_left,
    .outcomes = { "l:[x8]", "empty" } },
  { .sentence = "pop what was seen",
    .actors = { AFTER(have_three) },
    .operate = pop_seen,
    .outcomes = { THREE, "l:[y100 z8]" } },
  { .sentence = "pop what was seen, but the list has changed",
    .actors = { AFTER(have_three) },
    .operate = pop_seen_late,
    .outcomes = { THREE, "l:[y100 z8]" } },
  { .sentence = "pop of a list in a chain",
    .actors = { AFTER(have_in_chain) },
    .operate = pop_last_in_chain,
    .outcomes = { FIVE " l:[x8 y8]", FIVE " l:[x8]" } },
  { .sentence = "pop into too little room",
    .actors = { AFTER(have_three) },
    .operate = pop_in_vain,
    .outcomes = { THREE } },
  { .sentence = "delete a list",
    .actors = { AFTER(have_three) },
    .operate = unset,
    .outcomes = { THREE, "empty" } },
  { .sentence = "a text in the place of a list",
    .actors = { AFTER(have_three) },
    .operate = replace,
    .outcomes = { THREE, "l:t100" } },
  { .sentence = "a list that was flushed lives again",
    .actors = { AFTER(have_flushed) },
    .operate = expire,
    .outcomes = { "empty +5", THREE "~" } },
  { 0 },
};
