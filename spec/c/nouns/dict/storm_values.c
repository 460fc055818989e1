/* SPDX-License-Identifier: MIT */
/* The dict in the storm: values. Each has one writer. */
#include <errno.h>
#include <stdio.h>

#include "nouns/dict/storm.h"

#define LONGEST 2000
#define BALLAST 4000 /* bytes */

/* --- values ------------------------------------------------------------------------------------- */

size_t dict_key_of(char *key, char kind, unsigned worker, unsigned number) {
  return (size_t)sprintf(key, "%c%u.%u", kind, worker, number);
}

/* What is stored, or was read. */
static union {
  struct {
    uint64_t worker, key, number, size;
  };
  unsigned char bytes[LONGEST];
} value;

#define VALUE_MIN 32

static unsigned char value_byte(size_t i) {
  return (unsigned char)(value.number * 7 + i + i / 251);
}

static size_t value_compose(unsigned key, uint64_t number) {
  size_t most = storm_draw(8) == 0 ? here->longest : here->longest / 8;
  value.worker = storm_me;
  value.key = key;
  value.number = number;
  value.size = VALUE_MIN + storm_draw(most - VALUE_MIN);
  for (size_t i = VALUE_MIN; i < value.size; i++)
    value.bytes[i] = value_byte(i);
  return (size_t)value.size;
}

static bool value_is(const shmseg_dict_value *read, unsigned worker, unsigned key) {
  if (read->type != SHMSEG_DICT_STRING || read->size < VALUE_MIN || value.size != read->size ||
      value.worker != worker || value.key != key)
    return false;
  for (size_t i = VALUE_MIN; i < read->size; i++)
    if (value.bytes[i] != value_byte(i))
      return false;
  return true;
}

/* May the state be what a reader found between two looks at the ledger? It has begun after the first of them, and before
 * the second. */
static bool is_between(uint64_t done, uint64_t begun, bool there, bool may_be_gone) {
  if (there)
    return value.number >= STATE_NUMBER(done) && value.number <= STATE_NUMBER(begun) &&
           (done != begun || STATE_HOW(done) != ABSENT);
  return may_be_gone || done != begun || STATE_HOW(done) != PRESENT;
}

/* Reads somebody's value: is it there? */
static bool look_at(unsigned worker, unsigned key, uint64_t *done, uint64_t *begun) {
  dict_account *its = &here->books->workers[worker];
  char name[32];
  size_t size = dict_key_of(name, 'v', worker, key);
  shmseg_dict_value read;
  *done = read_word(&its->done[key]);
  storm_begin("dict: get", 0);
  int err = shmseg_dict_get(&here->dict, name, size, value.bytes, sizeof value.bytes, &read);
  storm_end(err == SHMSEG_EMPTY ? 0 : err, false);
  *begun = read_word(&its->begun[key]);
  if (err == SHMSEG_TIMEOUT)
    *begun = *done + 4; /* nothing is known */
  storm_expect(err != 0 || value_is(&read, worker, key));
  return err == 0;
}

void dict_get_any(void) {
  uint64_t done, begun;
  unsigned worker = (unsigned)storm_draw(STORM_WORKERS_MAX / 2), key = (unsigned)storm_draw(KEYS);
  bool there = look_at(worker, key, &done, &begun);
  storm_expect(is_between(done, begun, there, here->evicts));
}

/* What is there of one's own key, perhaps after the death of who had it before. */
void dict_settle(unsigned key) {
  dict_account *me = mine();
  uint64_t done, begun;
  bool there = look_at(storm_me, key, &done, &begun);
  storm_expect(is_between(done, begun, there, here->evicts));
  if (there)
    storm_expect(value.number == STATE_NUMBER(done) || value.number == STATE_NUMBER(begun));
  if (there && value.number == STATE_NUMBER(begun))
    done = STATE_HOW(begun) == ABSENT ? done : begun;
  if (!there) {
    me->lost += done == begun && STATE_HOW(done) == PRESENT &&
                me->flushes[key] == read_word(&here->books->flushes);
    done = STATE(STATE_NUMBER(begun), ABSENT);
  }
  /* a time to live may have been given, or taken, before the death */
  if (there && done != begun && STATE_NUMBER(done) == STATE_NUMBER(begun))
    done = STATE(STATE_NUMBER(done), BRIEF);
  write_word(&me->begun[key], done);
  write_word(&me->done[key], done);
}

static void change(unsigned key, uint64_t state, int (*call)(unsigned key, uint64_t state)) {
  dict_account *me = mine();
  uint64_t flushed = read_word(&here->books->flushed);
  me->flushes[key] = read_word(&here->books->flushes);
  if (me->flushes[key] != flushed) /* one is going on */
    me->flushes[key] = UINT64_MAX;
  write_word(&me->begun[key], state);
  int err = call(key, state);
  if (err == 0)
    write_word(&me->done[key], state);
  else
    write_word(&me->begun[key], me->done[key]);
  storm_end(err == ENOMEM || err == SHMSEG_EMPTY ? 0 : err, err != SHMSEG_TIMEOUT);
}

static int call_store(unsigned key, uint64_t state) {
  char name[32];
  size_t length = dict_key_of(name, 'v', storm_me, key),
         size = value_compose(key, STATE_NUMBER(state));
  shmseg_dict_value stored = { .type = SHMSEG_DICT_STRING, .bytes = value.bytes, .size = size };
  shmseg_dict_how how = { .ttl = STATE_HOW(state) == BRIEF ? (int64_t)(1 + storm_draw(20)) : 0,
                          .safe = storm_draw(4) == 0 };
  int64_t patience = 0;
  bool forcible;
  int err;
  storm_begin("dict: store", 0);
  UNTIL_DONE(err,
             shmseg_dict_store(&here->dict, name, length, &stored, &how, &forcible, &patience));
  return err;
}

static int call_delete(unsigned key, uint64_t state) {
  char name[32];
  size_t length = dict_key_of(name, 'v', storm_me, key);
  int64_t patience = 0;
  int err;
  (void)state;
  storm_begin("dict: delete", 0);
  UNTIL_DONE(err, shmseg_dict_delete(&here->dict, name, length, NULL, &patience));
  return err;
}

static int call_expire(unsigned key, uint64_t state) {
  char name[32];
  size_t length = dict_key_of(name, 'v', storm_me, key);
  int64_t patience = 0, ttl = STATE_HOW(state) == BRIEF ? (int64_t)(1 + storm_draw(20)) : 0;
  int err;
  storm_begin("dict: expire", 0);
  UNTIL_DONE(err, shmseg_dict_expire(&here->dict, name, length, ttl, &patience));
  return err;
}

void dict_change_own(void) {
  unsigned key = (unsigned)storm_draw(KEYS);
  dict_settle(key);
  uint64_t was = mine()->done[key], number = ++mine()->number, drawn = storm_draw(8);
  if (drawn < 4)
    change(key, STATE(number, PRESENT), call_store);
  else if (drawn == 4)
    change(key, STATE(number, BRIEF), call_store);
  else if (drawn == 5)
    change(key, STATE(number, ABSENT), call_delete);
  else if (STATE_HOW(was) == PRESENT)
    change(key, STATE(STATE_NUMBER(was), BRIEF), call_expire);
}

int dict_store_ballast(void) {
  static unsigned char zeroes[BALLAST];
  shmseg_dict_value stored = { .type = SHMSEG_DICT_STRING, .bytes = zeroes, .size = BALLAST };
  char key[32];
  size_t length = dict_key_of(key, 'b', storm_me, (unsigned)++mine()->number);
  int64_t patience = 0;
  bool forcible;
  int err;
  storm_begin("dict: store ballast", 0);
  UNTIL_DONE(err, shmseg_dict_store(&here->dict, key, length, &stored, NULL, &forcible, &patience));
  mine()->ballast += err == 0;
  storm_end(err == ENOMEM ? 0 : err, err != SHMSEG_TIMEOUT);
  return err;
}
