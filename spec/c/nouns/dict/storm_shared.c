/* SPDX-License-Identifier: MIT */
/* The dict in the storm: numbers, lists and claims, which are everybody's; and what concerns all keys. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nouns/dict/storm.h"

/* --- numbers ------------------------------------------------------------------------------------- */

static int add_by_incr(const char *key, size_t length, int64_t *sum) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  shmseg_dict_value result = { .integer = 0 };
  int64_t patience = 0;
  bool forcible;
  int err;
  UNTIL_DONE(err, shmseg_dict_incr(&here->dict, key, length, &step, &result, &forcible, &patience));
  *sum = result.integer;
  return err;
}

/* The same by one try to replace what was read. */
static int add_by_cas(const char *key, size_t length, int64_t *sum) {
  shmseg_dict_value seen = { .integer = 0 };
  int err = shmseg_dict_get(&here->dict, key, length, NULL, 0, &seen);
  if (err != 0)
    return err;
  shmseg_dict_value next = { .type = SHMSEG_DICT_INTEGER, .integer = seen.integer + 1 };
  shmseg_dict_how how = { .token = storm_draw(2) ? &seen.token : NULL };
  how.expected = how.token ? NULL : &seen;
  int64_t patience = 0;
  bool forcible;
  storm_nap();
  UNTIL_DONE(err, shmseg_dict_store(&here->dict, key, length, &next, &how, &forcible, &patience));
  *sum = next.integer;
  return err;
}

void dict_add(void) {
  static int64_t last[NUMBERS];
  unsigned number = (unsigned)storm_draw(NUMBERS);
  char key[32];
  size_t length = dict_key_of(key, 'n', 0, number);
  int64_t sum = 0;
  write_word(&mine()->adding[number], 1);
  storm_begin("dict: add", 0);
  int err = storm_draw(8) ? add_by_incr(key, length, &sum) : add_by_cas(key, length, &sum);
  if (err == 0)
    write_word(&mine()->added[number], mine()->added[number] + 1);
  write_word(&mine()->adding[number], 0);
  storm_end(err == ENOMEM || err == SHMSEG_EMPTY || err == SHMSEG_CHANGED ? 0 : err, true);
  storm_expect(err != 0 || here->evicts || sum > last[number]);
  last[number] = err || here->evicts ? last[number] : sum;
}

/* --- lists --------------------------------------------------------------------------------------- */

unsigned dict_learn(uint64_t element, unsigned what) {
  unsigned worker = (unsigned)(element >> 32) % STORM_WORKERS_MAX;
  return __atomic_fetch_or(&here->books->elements[worker][element % ELEMENTS], (unsigned char)what,
                           __ATOMIC_SEQ_CST);
}

/* Numbers, and texts of several sizes that begin with them. */
void dict_push(void) {
  uint64_t element = ++mine()->number | (uint64_t)storm_me << 32, bytes[32] = { element };
  shmseg_dict_value pushed = { .type = SHMSEG_DICT_INTEGER, .integer = (int64_t)element };
  char key[32];
  size_t length = dict_key_of(key, 'l', 0, (unsigned)storm_draw(LISTS));
  int64_t patience = 0;
  uint64_t now;
  int err;
  if (element % ELEMENTS == 0 || mine()->number >= ELEMENTS)
    return;
  if (storm_draw(2)) {
    pushed.type = SHMSEG_DICT_STRING;
    pushed.bytes = bytes;
    pushed.size = 8 + storm_draw(sizeof bytes - 8);
  }
  bool left = storm_draw(2);
  write_word(&mine()->pushing, element);
  storm_begin("dict: push", 0);
  UNTIL_DONE(err, shmseg_dict_push(&here->dict, key, length, left, &pushed, &now, &patience));
  if (err == 0)
    dict_learn(element, PUSHED);
  write_word(&mine()->pushing, 0);
  storm_end(err == ENOMEM ? 0 : err, true);
}

/* The same in two steps, after a pause. */
static int pop_seen(const char *key, size_t length, bool left) {
  dict_account *me = mine();
  int64_t patience = 0;
  int err;
  err = shmseg_dict_peek(&here->dict, key, length, left, me->hands, sizeof me->hands, &me->popped);
  if (err)
    return err;
  storm_nap();
  UNTIL_DONE(err,
             shmseg_dict_pop_seen(&here->dict, key, length, left, &me->popped.token, &patience));
  return err;
}

/* The element is in the hands, which outlive the worker, before the call comes back. */
int dict_pop_from(unsigned list) {
  dict_account *me = mine();
  char key[32];
  size_t length = dict_key_of(key, 'l', 0, list);
  int64_t patience = 0;
  int err;
  bool left = storm_draw(2);
  me->popped.type = SHMSEG_DICT_INTEGER;
  me->popped.integer = 0;
  me->hands[0] = 0;
  write_word(&me->popping, 1);
  storm_begin("dict: pop", 0);
  if (storm_draw(2))
    err = pop_seen(key, length, left);
  else
    UNTIL_DONE(err, shmseg_dict_pop(&here->dict, key, length, left, me->hands, sizeof me->hands,
                                    &me->popped, &patience));
  uint64_t element =
      me->popped.type == SHMSEG_DICT_STRING ? me->hands[0] : (uint64_t)me->popped.integer;
  if (err == 0) {
    unsigned was = dict_learn(element, TAKEN);
    storm_expect(element != 0 && !(was & TAKEN));
  }
  write_word(&me->popping, 0);
  storm_end(err == SHMSEG_EMPTY || err == SHMSEG_CHANGED ? 0 : err, err != SHMSEG_TIMEOUT);
  return err;
}

/* --- claims -------------------------------------------------------------------------------------- */

void dict_claim_one(void) {
  unsigned number = (unsigned)storm_draw(CLAIMS);
  char key[32];
  size_t length = dict_key_of(key, 'c', 0, number);
  shmseg_dict_claim held = { 0 };
  shmseg_dict_outcome outcome = SHMSEG_DICT_ENDED;
  int64_t patience = 0, deadline = storm_short_deadline();
  bool forcible;
  int err;
  storm_begin("dict: claim", deadline);
  UNTIL_DONE(
      err, shmseg_dict_claim_take(&here->dict, key, length, &held, &outcome, deadline, &patience));
  storm_end(err, false);
  if (err || outcome != SHMSEG_DICT_CLAIMED)
    return;
  uint64_t bit = storm_bit(number), others = number ? STORM_SECOND_BITS : STORM_FIRST_BITS;
  storm_expect((storm_enter(bit) & others) == 0);
  storm_nap();
  storm_leave(bit);
  __atomic_fetch_add(&here->books->claimed, 1, __ATOMIC_RELAXED);
  if (storm_draw(2)) {
    shmseg_dict_claim_end(&here->dict, &held, key, length, SHMSEG_DICT_ENDED);
    return;
  }
  shmseg_dict_value one = { .type = SHMSEG_DICT_INTEGER, .integer = 1 };
  patience = 0;
  storm_begin("dict: claim, store", 0);
  UNTIL_DONE(err, shmseg_dict_claim_store(&here->dict, &held, key, length, &one, NULL, &forcible,
                                          &patience));
  storm_end(err == ENOMEM || err == SHMSEG_CHANGED ? 0 : err, true);
}

/* --- the rest ------------------------------------------------------------------------------------ */

void dict_wait_for_one(void) {
  shmseg_dict_value seen;
  char key[32];
  size_t length = dict_key_of(key, 'v', (unsigned)storm_draw(4), (unsigned)storm_draw(KEYS));
  int64_t deadline = storm_short_deadline();
  storm_begin("dict: wait", deadline);
  int err = shmseg_dict_get(&here->dict, key, length, NULL, 0, &seen);
  if (err == 0 || err == SHMSEG_EMPTY || err == SHMSEG_TOO_SMALL)
    UNTIL_DONE(err, shmseg_dict_wait(&here->dict, key, length, &seen.token, deadline));
  storm_end(err, false);
}

/* One's own values that are there come once. */
void dict_scan_all(void) {
  unsigned char keys[2048];
  unsigned times[KEYS] = { 0 }, worker, key;
  uint64_t cursor = 0;
  size_t size;
  int err;
  storm_begin("dict: scan", 0);
  do {
    err = shmseg_dict_scan(&here->dict, &cursor, "v", 1, keys, sizeof keys, &size);
    for (size_t at = 0; err == 0 && at < size;) {
      char name[32] = "";
      uint32_t length;
      memcpy(&length, keys + at, 4);
      memcpy(name, keys + at + 4, length < sizeof name ? length : sizeof name - 1);
      at += 4 + length;
      if (sscanf(name, "v%u.%u", &worker, &key) == 2 && worker == storm_me && key < KEYS)
        times[key]++;
    }
  } while (err == 0 || err == SHMSEG_INTERRUPTED);
  storm_end(err == SHMSEG_EMPTY ? 0 : err, false);
  for (unsigned i = 0; i < KEYS && err == SHMSEG_EMPTY; i++)
    if (mine()->done[i] == mine()->begun[i] && STATE_HOW(mine()->done[i]) != BRIEF)
      storm_expect(times[i] == (STATE_HOW(mine()->done[i]) == PRESENT));
}

void dict_sweep(void) {
  uint64_t cursor = 0, freed = 0;
  int64_t patience = 0;
  int err;
  storm_begin("dict: flush_expired", 0);
  UNTIL_DONE(err,
             shmseg_dict_flush_expired(&here->dict, 1 + storm_draw(4), &cursor, &freed, &patience));
  storm_end(err, true);
}

void dict_flush(void) {
  write_word(&mine()->flushing, 1);
  __atomic_fetch_add(&here->books->flushes, 1, __ATOMIC_SEQ_CST);
  write_word(&mine()->flushing, 2);
  storm_begin("dict: flush_all", 0);
  storm_end(shmseg_dict_flush_all(&here->dict), true);
  write_word(&mine()->flushing, 0);
  __atomic_fetch_add(&here->books->flushed, 1, __ATOMIC_SEQ_CST);
}
