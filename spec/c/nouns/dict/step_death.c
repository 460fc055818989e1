/* SPDX-License-Identifier: MIT */
/* The dict, stepped: the next owner mends what a writer's death has left, and dies in that, too. */
#include <errno.h>

#include "nouns/dict/step.h"
#include "objects/dict_arena.h"

/* --- states ------------------------------------------------------------------------------- */

/* Texts with slots and in the chain, a hot number, a list, a claim of the dead, a spare run. */
static void have_all(void) {
  shmseg_dict_claim claim = { 0 };
  shmseg_dict_outcome outcome;
  int64_t patience = 0, sum;
  step_dict_fix_hash();
  step_expect(step_dict_set(&dict, 'a', 'x', 100, NULL) == 0);
  step_dict_set_number('n', 6);
  step_expect(step_dict_add(&dict, 'n', 1, &sum) == 0);
  step_expect(step_dict_push(&dict, 'l', false, 'x', 8) == 0);
  step_expect(step_dict_push(&dict, 'l', false, 'y', 8) == 0);
  step_expect(step_dict_push(&dict, 'l', false, 'z', 8) == 0);
  for (char key = 'b'; key <= 'e'; key++)
    step_expect(step_dict_set(&dict, key, key, 8, NULL) == 0);
  step_expect(step_dict_set(&dict, 'f', 'f', 8, NULL) == 0 && step_dict_unset(&dict, 'f') == 0);
  step_expect(shmseg_dict_claim_take(&dict, "q", 1, &claim, &outcome, 0, &patience) == 0);
}

/* --- what the dead have left -------------------------------------------------------------- */

static dict_op enter(void) {
  static int64_t patience;
  dict_op op = { .dict = &dict, .deadline = &patience };
  step_expect(shmseg_dict_enter(&op) == 0);
  return op;
}

static uint64_t item_of(const dict_op *op, const char *key, dict_key *where, dict_found *found) {
  step_expect(shmseg_dict_locate(&dict, key, 1, where) == 0 &&
              shmseg_dict_look(op, where, found) == 0);
  return dict_cell_at(&dict, found->cell);
}

/* Memory that nothing leads to, and counts of something else. */
static void die_storing(void) {
  dict_op op = enter();
  dict_block block;
  step_expect(shmseg_dict_take(&op, 3, 0, &block) == 0);
  dict_count(&op, 5, 500, 7);
}

/* A list that is shorter by now at both ends, though its count does not say so. */
static void die_popping(void) {
  dict_op op = enter();
  dict_key where;
  dict_found found;
  dict_head first;
  uint64_t at = item_of(&op, "l", &where, &found), second;
  step_expect(shmseg_dict_read_element(&dict, (uint32_t)found.head.number, &first));
  second = first.next;
  __atomic_store_n(dict_word64(&dict, at + ITEM_NUMBER), second | second << 32, __ATOMIC_SEQ_CST);
}

/* The word is out, and the epoch has not followed. */
static void die_publishing(void) {
  dict_op op = enter();
  dict_key where;
  dict_found found;
  item_of(&op, "b", &where, &found);
  uint64_t *epoch = dict_word64(&dict, dict_stripe_at(0, STRIPE_EPOCH)), was = load_relaxed(epoch);
  step_expect(shmseg_dict_remove(&op, where.line, &found) == 0);
  __atomic_store_n(epoch, was, __ATOMIC_SEQ_CST);
}

/* Marks in some owners. */
static void die_mending(void) {
  dict_op op = enter();
  dict_key where;
  dict_found found;
  item_of(&op, "a", &where, &found);
  step_expect(shmseg_dict_mark(&op, dict_item_block(&found)));
}

/* The owners say something else than the arena's masks, bins and counts. */
static void die_in_arena(void) {
  dict_op op = enter();
  dict_block block;
  step_expect(shmseg_dict_arena_enter(&op) == 0);
  step_expect(shmseg_dict_arena_take(&op, 2, &block) == 0);
  owners_write(&dict, block.cell, 1, DICT_FREE);
  __atomic_store_n(page_mask(&dict, 1), 0x5555, __ATOMIC_SEQ_CST);
  __atomic_store_n(dict_word64(&dict, DICT_GRANTED), 1, __ATOMIC_SEQ_CST);
}

/* --- operations --------------------------------------------------------------------------- */

static void set_larger(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 300, NULL) == 0);
}

static void unset_a(void) {
  step_expect(step_dict_unset(&dict, 'a') == 0);
}

static void push_left(void) {
  step_expect(step_dict_push(&dict, 'l', true, 'w', 8) == 0);
}

static void pop_left(void) {
  step_expect(step_dict_pops(&dict, 'l', true, 'x', 8));
}

static void add(void) {
  int64_t sum;
  step_expect(step_dict_add(&dict, 'n', 1, &sum) == 0 && sum == 8);
}

#define REST " c:c8 d:d8 e:e8"

const step_case dict_death_cases[] = {
  { .sentence = "a larger value, another writer died",
    .actors = { AFTER(have_all), AFTER(die_storing) },
    .operate = set_larger,
    .outcomes = { "a:x100 b:b8" REST " l:[x8 y8 z8] n:7",
                  "a:z300 b:b8" REST " l:[x8 y8 z8] n:7" } },
  { .sentence = "pop, somebody died publishing",
    .actors = { AFTER(have_all), AFTER(die_publishing) },
    .operate = pop_left,
    .outcomes = { "a:x100" REST " l:[x8 y8 z8] n:7", "a:x100" REST " l:[y8 z8] n:7" } },
  { .sentence = "push, somebody died popping at both ends",
    .actors = { AFTER(have_all), AFTER(die_popping) },
    .operate = push_left,
    .outcomes = { "a:x100 b:b8" REST " l:[y8] n:7", "a:x100 b:b8" REST " l:[w8 y8] n:7" } },
  { .sentence = "delete, somebody died mending",
    .actors = { AFTER(have_all), AFTER(die_mending) },
    .operate = unset_a,
    .outcomes = { "a:x100 b:b8" REST " l:[x8 y8 z8] n:7", "b:b8" REST " l:[x8 y8 z8] n:7" } },
  { .sentence = "delete, somebody died in the arena",
    .actors = { AFTER(have_all), AFTER(die_in_arena) },
    .operate = unset_a,
    .outcomes = { "a:x100 b:b8" REST " l:[x8 y8 z8] n:7", "b:b8" REST " l:[x8 y8 z8] n:7" } },
  { .sentence = "add to a hot number, another writer died",
    .actors = { AFTER(have_all), AFTER(die_storing) },
    .operate = add,
    .outcomes = { "a:x100 b:b8" REST " l:[x8 y8 z8] n:7",
                  "a:x100 b:b8" REST " l:[x8 y8 z8] n:8" } },
  { 0 },
};
