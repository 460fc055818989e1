/* SPDX-License-Identifier: MIT */
/* What the processes of the scheduler do with a dict, and note in the history. */
#include <errno.h>
#include <string.h>

#include "nouns/dict/schedule.h"
#include "objects/dict.h"
#include "schedule/ledger.h"

#define HOUR 3600000 /* milliseconds */

dict_model dict_world;

static shmseg_dict *handle_of(int p) {
  return w.current == NOBODY ? &dict_world.maker : &dict_world.handles[p];
}

/* --- operations ------------------------------------------------------------------------------- */

char dict_key_name(unsigned key) {
  return (char)('a' + key);
}

/* A call has ended; a time-out is told only where somebody was stopped or dead, and changes nothing. */
static void end(int p, dict_event *event, int err) {
  w.processes[p].last = err;
  if (event->entry &&
      (err == SHMSEG_TIMEOUT || err == SHMSEG_CHANGED || err == EEXIST || err == SHMSEG_WRONG_TYPE))
    ledger_refused(event->entry);
  else if (event->entry && err == 0)
    ledger_done(event->entry, 0);
  expect(err != SHMSEG_TIMEOUT || w.excused, "%c: a time-out", event->op);
  if (err == SHMSEG_TIMEOUT)
    history_forget(event);
  else
    history_end(event, err);
}

static shmseg_dict_value value_of(int p, unsigned key, size_t size, unsigned char *bytes,
                                  int *entry) {
  *entry = ledger_write(p, key, size, bytes);
  return (shmseg_dict_value){ .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
}

/* Other keys may be evicted. What is noted of them never ends: it may have happened or not. */
static void begin_eviction(int p, unsigned key, dict_event *gone[KEYS]) {
  for (unsigned other = 0; other < KEYS; other++)
    gone[other] = other != key && dict_world.evicts ? history_add(p, 'v', other, 0) : NULL;
}

static void end_eviction(bool forcible, dict_event *gone[KEYS]) {
  for (unsigned other = 0; other < KEYS; other++)
    if (gone[other] && !forcible)
      history_forget(gone[other]);
}

static void store(int p, char op, unsigned key, size_t size, const shmseg_dict_how *how) {
  dict_event *gone[KEYS];
  unsigned char bytes[LEDGER_ROOM];
  char name = dict_key_name(key);
  int64_t deadline = 0;
  int entry, err;
  bool forcible;
  shmseg_dict_value value = value_of(p, key, size, bytes, &entry);
  begin_eviction(p, key, gone);
  dict_event *event = history_add(p, op, key, entry);
  do
    err = op == 'C' ? shmseg_dict_claim_store(handle_of(p), &dict_world.claims[p], &name, 1, &value,
                                              how, &forcible, &deadline)
                    : shmseg_dict_store(handle_of(p), &name, 1, &value, how, &forcible, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end_eviction(forcible, gone);
  end(p, event, err);
}

/* What was read, as the history has it. */
static dict_state told_of(unsigned key, const shmseg_dict_value *value) {
  dict_state told = { 0 };
  if (value->type == SHMSEG_DICT_STRING) {
    told.type = VALUE;
    must(value->size <= LEDGER_BUFFER, "a value of %zu bytes", value->size);
    told.entry = ledger_seen(key, value->bytes, value->size, 0);
  } else {
    told.type = value->type == SHMSEG_DICT_LIST ? LIST : NUMBER;
    told.number = value->integer;
  }
  return told;
}

static void get(int p, unsigned key) {
  ledger_buffer buffer;
  shmseg_dict_value value;
  char name = dict_key_name(key);
  dict_event *event = history_add(p, 'g', key, 0);
  ledger_wipe(&buffer);
  int err = shmseg_dict_get(handle_of(p), &name, 1, buffer.bytes, LEDGER_BUFFER, &value);
  ledger_guard(&buffer);
  if (err == 0)
    event->told = told_of(key, &value);
  dict_world.seen[p] = value.token;
  end(p, event, err);
}

static void delete (int p, unsigned key) {
  char name = dict_key_name(key);
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, 'd', key, 0);
  do
    err = shmseg_dict_delete(handle_of(p), &name, 1, NULL, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

static void incr(int p, unsigned key) {
  static const shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                                         .init = { .type = SHMSEG_DICT_INTEGER } };
  shmseg_dict_value result;
  char name = dict_key_name(key);
  int64_t deadline = 0;
  int err;
  bool forcible;
  dict_event *event = history_add(p, 'i', key, 0);
  do
    err = shmseg_dict_incr(handle_of(p), &name, 1, &step, &result, &forcible, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  if (err == 0)
    event->told = (dict_state){ .type = NUMBER, .number = result.integer };
  end(p, event, err);
}

static void expire(int p, char op, unsigned key) {
  char name = dict_key_name(key);
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, op, key, 0);
  do
    err = shmseg_dict_expire(handle_of(p), &name, 1, op == 'X' ? HOUR : 0, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

static void flush(int p) {
  dict_event *event = history_add(p, 'f', 0, 0);
  end(p, event, shmseg_dict_flush_all(handle_of(p)));
}

static void flush_expired(int p) {
  uint64_t cursor = 0, freed = 0;
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, 'F', 0, 0);
  do
    err = shmseg_dict_flush_expired(handle_of(p), 0, &cursor, &freed, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void push(int p, char op, unsigned key) {
  unsigned char bytes[LEDGER_ROOM];
  char name = dict_key_name(key);
  uint64_t length;
  int64_t deadline = 0;
  int entry, err;
  shmseg_dict_value value = value_of(p, key, 16, bytes, &entry);
  dict_event *event = history_add(p, op, key, entry);
  do
    err = shmseg_dict_push(handle_of(p), &name, 1, op == 'P', &value, &length, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  if (err == 0)
    event->told.number = (int64_t)length;
  end(p, event, err);
}

static void pop(int p, char op, unsigned key) {
  ledger_buffer buffer;
  shmseg_dict_value value;
  char name = dict_key_name(key);
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, op, key, 0);
  ledger_wipe(&buffer);
  do
    err = shmseg_dict_pop(handle_of(p), &name, 1, op == 'q', buffer.bytes, LEDGER_BUFFER, &value,
                          &deadline);
  while (err == SHMSEG_INTERRUPTED);
  ledger_guard(&buffer);
  if (err == 0)
    event->told.entry = told_of(key, &value).entry;
  end(p, event, err);
}

/* One record for each element: its type, its size, its bytes. */
static dict_state told_of_list(unsigned key, const unsigned char *bytes, size_t size,
                               uint64_t count) {
  dict_state told = { .type = LIST };
  uint64_t each;
  must(size <= 200, "elements of %zu bytes", size);
  for (size_t at = 0; at < size && !w.hostile; at += 9 + each) {
    memcpy(&each, bytes + at + 1, sizeof each);
    must(told.number < LONGEST && at + 9 + each <= size, "what was read is no list");
    told.list[told.number++] = ledger_seen(key, bytes + at + 9, (size_t)each, 0);
  }
  expect((uint64_t)told.number == count, "%llu elements", (unsigned long long)count);
  return told;
}

static void elements(int p, unsigned key) {
  unsigned char bytes[200];
  char name = dict_key_name(key);
  size_t size = 0;
  uint64_t count = 0;
  dict_event *event = history_add(p, 'e', key, 0);
  int err = shmseg_dict_elements(handle_of(p), &name, 1, bytes, sizeof bytes, &size, &count);
  if (err == 0)
    event->told = told_of_list(key, bytes, size, count);
  end(p, event, err);
}

static void length(int p, unsigned key) {
  char name = dict_key_name(key);
  uint64_t count = 0;
  dict_event *event = history_add(p, 'l', key, 0);
  int err = shmseg_dict_length(handle_of(p), &name, 1, &count);
  if (err == 0)
    event->told = (dict_state){ .type = LIST, .number = (int64_t)count };
  end(p, event, err);
}

/* --- waiting and claims ----------------------------------------------------------------------- */

static void wait(int p, unsigned key) {
  char name = dict_key_name(key);
  int err;
  get(p, key);
  dict_event *event = history_add(p, 'w', key, 0);
  do
    err = shmseg_dict_wait(handle_of(p), &name, 1, &dict_world.seen[p], SHMSEG_FOREVER);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

static void claim(int p, unsigned key) {
  shmseg_dict_outcome outcome = SHMSEG_DICT_ENDED;
  char name = dict_key_name(key);
  int64_t patience = 0;
  int err;
  dict_event *event = history_add(p, 'c', key, 0);
  do
    err = shmseg_dict_claim_take(handle_of(p), &name, 1, &dict_world.claims[p], &outcome,
                                 SHMSEG_FOREVER, &patience);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
  if (err || outcome != SHMSEG_DICT_CLAIMED) {
    history_forget(event);
    return;
  }
  expect(dict_world.claimed == NOBODY || !engine_lives(dict_world.claimed), "two have the claim");
  dict_world.claimed = p;
}

/* Stores what was claimed, or ends the claim. */
static void use_claim(int p, char op, unsigned key) {
  char name = dict_key_name(key);
  if (dict_world.claims[p].offset == 0)
    return;
  dict_world.claimed = NOBODY;
  if (op == 'C') {
    store(p, 'C', key, 16, NULL);
    return;
  }
  dict_event *event = history_add(p, 'n', key, 0);
  shmseg_dict_claim_end(handle_of(p), &dict_world.claims[p], &name, 1, SHMSEG_DICT_NO_VALUE);
  end(p, event, 0);
}

void dict_do(int p, char op, unsigned key) {
  const shmseg_dict_how add = { .add = true }, same = { .token = &dict_world.seen[p] };
  switch (op) {
  case 's': store(p, op, key, 16, NULL); break;
  case 'S': store(p, op, key, 24, NULL); break;
  case 'a': store(p, op, key, 16, &add); break;
  case 'k': store(p, op, key, 16, &same); break;
  case 'd': delete (p, key); break;
  case 'i': incr(p, key); break;
  case 'g': get(p, key); break;
  case 'x':
  case 'X': expire(p, op, key); break;
  case 'f': flush(p); break;
  case 'F': flush_expired(p); break;
  case 'p':
  case 'P': push(p, op, key); break;
  case 'q':
  case 'Q': pop(p, op, key); break;
  case 'e': elements(p, key); break;
  case 'l': length(p, key); break;
  case 'w': wait(p, key); break;
  case 'c': claim(p, key); break;
  case 'C':
  case 'n': use_claim(p, op, key); break;
  }
}
