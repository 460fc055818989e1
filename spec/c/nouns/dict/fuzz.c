/* SPDX-License-Identifier: MIT */
/* Dicts, for the fuzzer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

enum {
  GET,
  GET_STALE,
  TTL,
  ELEMENTS,
  LENGTH,
  SCAN,
  COUNT,
  WAIT,
  STORE,
  FILL,
  DELETE,
  INCR,
  PUSH,
  POP,
  EXPIRE,
  FLUSH,
  CLAIM,
  VERBS
};

#define WAYS 15
#define LARGEST (4 << 20) /* capacity: it has many stripes */
#define CLAIMS 3

static shmseg_dict handles[FUZZ_HANDLES];
static const unsigned char bytes[LARGEST + 1];

/* What a handle has seen, and holds. */
static struct {
  shmseg_dict_token token;
  uint64_t cursor;
  shmseg_dict_claim claims[CLAIMS];
  int claimed[CLAIMS]; /* which key */
  /* a call that was interrupted goes on with these, if it is repeated */
  int operation;
  int64_t deadline, patience;
  uint32_t chance;
} kept[FUZZ_HANDLES];

static uint32_t chance;    /* of the run's choices */
static uint32_t favourite; /* the first of three keys */
static bool is_repeated;   /* the call before was interrupted, and this is it again */

static uint32_t draw(uint32_t below) {
  chance = chance * 1664525 + 1013904223;
  return (chance >> 16) % below;
}

static uint64_t capacity(unsigned choice) {
  static const uint64_t some[] = { 1, 640, 4096, 5000, 16384, 16384, 20000, 65536 };
  bool is_real =
      fuzz_longest < 100; /* runs in the OS of fuzz/os.c are to be many, so they are small */
  return is_real && choice % 32 == 31 ? LARGEST : some[choice % 8];
}

static void opened(int handle) {
  memset(&kept[handle], 0, sizeof kept[handle]);
  if (handle == 0)
    chance = 1, favourite = UINT32_MAX;
}

/* --- what is given -------------------------------------------------------------------------- */

#define KEYS 24

/* Short keys, and some that end in the second cell, in a third one, or far behind. */
static size_t key_of(int i, char *key) {
  static const size_t sizes[] = { 1, 8, 16, 24, 25, 88, 89, 3000 };
  size_t size = i < 16 ? 2 : sizes[i - 16];
  memset(key, 'k', size);
  key[0] = (char)('a' + i);
  return size;
}

static size_t some_size(const shmseg_dict *dict) {
  size_t most = (size_t)dict->object.capacity;
  const size_t sizes[] = { 0, 1, 8, 24, 25, 64, 500, most / 8, most / 4, most / 2, most / 2 + 1 };
  size_t size = sizes[draw(11)];
  return size < sizeof bytes ? size : sizeof bytes;
}

static shmseg_dict_value some_value(const shmseg_dict *dict) {
  static const int types[] = { SHMSEG_DICT_BOOLEAN, SHMSEG_DICT_INTEGER, SHMSEG_DICT_INTEGER,
                               SHMSEG_DICT_FLOAT,   SHMSEG_DICT_STRING,  SHMSEG_DICT_STRING,
                               SHMSEG_DICT_STRING,  SHMSEG_DICT_CODED };
  shmseg_dict_value value = { .type = (shmseg_dict_type)types[draw(8)] };
  value.flags = (int32_t)draw(3) - 1;
  if (value.type == SHMSEG_DICT_STRING || value.type == SHMSEG_DICT_CODED) {
    value.bytes = bytes;
    value.size = some_size(dict);
  } else if (value.type == SHMSEG_DICT_FLOAT) {
    value.number = draw(3) / 2.0;
  } else {
    value.integer = draw(2);
  }
  return value;
}

static int64_t some_ttl(void) {
  static const int64_t some[] = { 0, 0, 0, 1, 2, 50, 100000, INT64_MAX };
  return some[draw(8)];
}

/* --- reading -------------------------------------------------------------------------------- */

/* Calls with memory that is no larger than it has to be. */
static void *some_room(const shmseg_dict *dict, size_t *room) {
  const size_t rooms[] = { 0, 1, 30, 600, (size_t)dict->object.capacity };
  *room = rooms[draw(5)];
  return malloc(*room ? *room : 1);
}

static void check_value(int err, size_t room, const shmseg_dict_value *value) {
  bool has_bytes = value->type == SHMSEG_DICT_STRING || value->type == SHMSEG_DICT_CODED;
  if (err == 0 && (value->type < SHMSEG_DICT_BOOLEAN || value->type > SHMSEG_DICT_LIST))
    fuzz_fail("a value of no type");
  if (err == 0 && has_bytes && value->size > room)
    fuzz_fail("more was copied than there is room for");
  if (err == SHMSEG_TOO_SMALL && (!has_bytes || value->size <= room))
    fuzz_fail("what is needed cannot be");
}

static int get(int handle, bool stale, const char *key, size_t size) {
  const shmseg_dict *dict = &handles[handle];
  shmseg_dict_value value;
  size_t room;
  void *buffer = some_room(dict, &room);
  int err = stale ? shmseg_dict_get_stale(dict, key, size, buffer, room, &value)
                  : shmseg_dict_get(dict, key, size, buffer, room, &value);
  check_value(err, room, &value);
  kept[handle].token = value.token;
  free(buffer);
  return err;
}

static int get_ttl(const shmseg_dict *dict, const char *key, size_t size) {
  int64_t ttl;
  uint64_t number = shmseg_dict_prefetch(dict, key, size);
  shmseg_dict_prefetch_item(dict, draw(2) ? number : draw(UINT32_MAX) * (uint64_t)draw(UINT32_MAX));
  return shmseg_dict_ttl(dict, key, size, &ttl);
}

static int get_elements(const shmseg_dict *dict, const char *key, size_t key_size) {
  size_t room, size, at = 0;
  uint64_t count;
  unsigned char *buffer = some_room(dict, &room);
  int err = shmseg_dict_elements(dict, key, key_size, buffer, room, &size, &count);
  if (err == SHMSEG_TOO_SMALL && size <= room)
    fuzz_fail("elements that need less than there is");
  while (err == 0 && count-- > 0) {
    uint64_t number;
    if (at + 9 > size)
      fuzz_fail("fewer elements than are told");
    memcpy(&number, buffer + at + 1, sizeof number);
    at += 9 + (buffer[at] == SHMSEG_DICT_STRING ? number : 0);
  }
  if (err == 0 && (at != size || size > room))
    fuzz_fail("elements that are no list");
  free(buffer);
  return err;
}

static int get_length(const shmseg_dict *dict, const char *key, size_t size) {
  uint64_t length;
  return shmseg_dict_length(dict, key, size, &length);
}

static int scan(int handle) {
  const shmseg_dict *dict = &handles[handle];
  uint64_t before = draw(5) == 0 ? 0 : kept[handle].cursor, cursor = before;
  size_t room, size;
  unsigned char *buffer = some_room(dict, &room);
  int err = shmseg_dict_scan(dict, &cursor, bytes, draw(2) * draw(3), buffer, room, &size);
  if (err == 0 && (size == 0 || size > room || cursor <= before))
    fuzz_fail("keys that cannot be");
  for (size_t at = 0; err == 0 && at < size;) {
    uint32_t length;
    memcpy(&length, buffer + at, sizeof length);
    if (length == 0 || length > SHMSEG_DICT_KEY_MAX || length > size - at - 4)
      fuzz_fail("a key that cannot be");
    at += 4 + length;
  }
  kept[handle].cursor = cursor;
  free(buffer);
  return err;
}

static int get_counts(const shmseg_dict *dict) {
  shmseg_dict_stats stats;
  int err = shmseg_dict_get_stats(dict, &stats);
  if (err == 0 && (stats.free > stats.capacity || stats.count > (uint64_t)1 << 53))
    fuzz_fail("counts that cannot be");
  return err;
}

/* --- writing -------------------------------------------------------------------------------- */

static shmseg_dict_how some_how(int handle, shmseg_dict_value *expected) {
  uint32_t bits = draw(64);
  shmseg_dict_how how = { .add = bits % 8 == 1, .replace = bits % 8 == 2, .safe = bits & 8 };
  how.keep = bits % 8 == 3;
  how.ttl = some_ttl();
  if (bits % 8 == 4)
    how.token = &kept[handle].token;
  if (bits % 8 == 5) {
    *expected = some_value(&handles[handle]);
    how.expected = expected;
  }
  return how;
}

static int store(int handle, const char *key, size_t size) {
  shmseg_dict *dict = &handles[handle];
  shmseg_dict_value expected, value = some_value(dict);
  shmseg_dict_how how = some_how(handle, &expected);
  bool forcible;
  return shmseg_dict_store(dict, key, size, &value, &how, &forcible, &kept[handle].patience);
}

/* Numbers, or lists, at many keys. */
static int fill(int handle) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER };
  const shmseg_dict_how how = { .ttl = some_ttl() };
  bool forcible, lists = draw(3) == 0;
  int err = 0;
  for (int i = 0; err == 0 && i < KEYS; i++) {
    char key[SHMSEG_DICT_KEY_MAX];
    uint64_t length;
    size_t size = key_of(i, key);
    err = lists ? shmseg_dict_push(&handles[handle], key, size, i % 2, &value, &length,
                                   &kept[handle].patience)
                : shmseg_dict_store(&handles[handle], key, size, &value, &how, &forcible,
                                    &kept[handle].patience);
    if (err == SHMSEG_WRONG_TYPE)
      err = 0;
  }
  return err;
}

static int take_out(int handle, const char *key, size_t size) {
  shmseg_dict_value expected;
  shmseg_dict_how how = some_how(handle, &expected);
  return shmseg_dict_delete(&handles[handle], key, size, draw(2) ? &how : NULL,
                            &kept[handle].patience);
}

static int incr(int handle, const char *key, size_t size) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 } };
  shmseg_dict_value result;
  bool forcible;
  if (draw(3) == 0)
    step.step = (shmseg_dict_value){ .type = SHMSEG_DICT_FLOAT, .number = 0.5 };
  if (draw(3) != 0)
    step.init = (shmseg_dict_value){ .type = SHMSEG_DICT_INTEGER };
  step.ttl = some_ttl();
  return shmseg_dict_incr(&handles[handle], key, size, &step, &result, &forcible,
                          &kept[handle].patience);
}

static int push(int handle, const char *key, size_t size) {
  shmseg_dict_value value = some_value(&handles[handle]);
  uint64_t length;
  return shmseg_dict_push(&handles[handle], key, size, draw(2), &value, &length,
                          &kept[handle].patience);
}

static int pop(int handle, const char *key, size_t size) {
  shmseg_dict *dict = &handles[handle];
  shmseg_dict_value value;
  size_t room;
  bool left = draw(2);
  void *buffer = some_room(dict, &room);
  int err = shmseg_dict_pop(dict, key, size, left, buffer, room, &value, &kept[handle].patience);
  check_value(err, room, &value);
  free(buffer);
  return err;
}

static int flush(int handle) {
  shmseg_dict *dict = &handles[handle];
  uint64_t cursor = 0, freed = 0;
  if (draw(3) == 0)
    return shmseg_dict_flush_all(dict);
  int err = shmseg_dict_flush_expired(dict, draw(3), &cursor, &freed, &kept[handle].patience);
  return err;
}

/* Takes a claim that the handle does not have; or ends, asks for, or stores by one that it has. */
static int claim(int handle, int i, const char *key, size_t size, int64_t deadline) {
  shmseg_dict *dict = &handles[handle];
  int n = i % CLAIMS;
  shmseg_dict_claim *it = &kept[handle].claims[n];
  shmseg_dict_outcome outcome;
  bool forcible;
  if (it->offset == 0) {
    if (!is_repeated)
      *it = (shmseg_dict_claim){ 0 };
    kept[handle].claimed[n] = i;
    return shmseg_dict_claim_take(dict, key, size, it, &outcome, deadline, &kept[handle].patience);
  }
  char claimed[SHMSEG_DICT_KEY_MAX];
  size_t claimed_size = key_of(kept[handle].claimed[n], claimed);
  shmseg_dict_value value = some_value(dict);
  shmseg_dict_how how = { .ttl = some_ttl() };
  switch (draw(4)) {
  case 0: shmseg_dict_claim_is_valid(dict, it); return 0;
  case 1: shmseg_dict_claim_end(dict, it, claimed, claimed_size, SHMSEG_DICT_FAILED); return 0;
  default:
    return shmseg_dict_claim_store(dict, it, claimed, claimed_size, &value, &how, &forcible,
                                   &kept[handle].patience);
  }
}

/* --- operations ----------------------------------------------------------------------------- */

static int call(int handle, int verb, int64_t deadline) {
  char key[SHMSEG_DICT_KEY_MAX];
  int i = (int)(draw(3) ? (favourite + draw(3)) % KEYS : draw(KEYS)); /* often one of three */
  size_t size = key_of(i, key);
  const shmseg_dict *dict = &handles[handle];
  switch (verb) {
  case GET:
  case GET_STALE: return get(handle, verb == GET_STALE, key, size);
  case TTL: return get_ttl(dict, key, size);
  case ELEMENTS: return get_elements(dict, key, size);
  case LENGTH: return get_length(dict, key, size);
  case SCAN: return scan(handle);
  case COUNT: return get_counts(dict);
  case WAIT: return shmseg_dict_wait(dict, key, size, &kept[handle].token, deadline);
  case DELETE: return take_out(handle, key, size);
  case INCR: return incr(handle, key, size);
  case PUSH: return push(handle, key, size);
  case POP: return pop(handle, key, size);
  case EXPIRE:
    return shmseg_dict_expire(&handles[handle], key, size, some_ttl(), &kept[handle].patience);
  case FLUSH: return flush(handle);
  case CLAIM: return claim(handle, i, key, size, deadline);
  case FILL: return fill(handle);
  default: return store(handle, key, size);
  }
}

/* One that was interrupted is the same when it is repeated. */
static int operate(int handle, int operation, int64_t deadline) {
  is_repeated = kept[handle].operation == operation && kept[handle].deadline == deadline;
  if (is_repeated) {
    chance = kept[handle].chance;
  } else {
    chance += (uint32_t)operation / VERBS;
    if (favourite == UINT32_MAX)
      favourite = (uint32_t)operation % KEYS;
    kept[handle].patience = 0;
    kept[handle].chance = chance;
  }
  int err = call(handle, operation % VERBS, deadline);
  kept[handle].operation = operation;
  kept[handle].deadline = err == SHMSEG_INTERRUPTED ? deadline : 0;
  return err;
}

/* A writer waits for others as long as that takes, within its patience. */
static bool is_patient(int operation) {
  return operation % VERBS >= STORE;
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_dict_kind,
  .handles = handles,
  .number = capacity,
  .opened = opened,
  .operations = WAYS * VERBS,
  .operate = operate,
  .patient = is_patient,
};
