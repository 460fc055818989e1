/* SPDX-License-Identifier: MIT */
/* Dicts: values are whole, and what was written before them is seen; numbers and lists lose nothing; who has a
 * claim is alone. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "race/race.h"

#define CAPACITY 32000
#define VALUES 4    /* of each thread */
#define LARGEST 500 /* bytes of a value */

typedef struct {
  uint64_t thread, number;
  unsigned char bytes[LARGEST - 16];
} message;

static uint64_t *notes[RACE_THREADS];  /* plain words: what is stored after them is read before */
static uint64_t *pushed[RACE_THREADS]; /* the same, of elements */
static uint64_t guarded;               /* by the claim */
static int rounds, added, claimed, popped, missed;

static size_t key_of(char *key, char kind, uint32_t thread, uint32_t number) {
  return (size_t)sprintf(key, "%c%u.%u", kind, thread, number);
}

#define UNTIL_DONE(err, call)                                                                      \
  do                                                                                               \
    err = call;                                                                                    \
  while (err == SHMSEG_INTERRUPTED)

/* --- values ------------------------------------------------------------------------------------- */

static void store(shmseg_dict *dict, participant *p, int number) {
  message m = { (uint64_t)p->number, (uint64_t)number, { 0 } };
  size_t more = race_draw(p, 4) ? race_draw(p, 60) : race_draw(p, sizeof m.bytes);
  char key[32];
  size_t length = key_of(key, 'v', (uint32_t)p->number, race_draw(p, VALUES));
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = &m, .size = 16 + more };
  shmseg_dict_how how = { .ttl = race_draw(p, 8) ? 0 : 1 };
  int64_t patience = 0;
  bool forcible;
  int err;
  memset(m.bytes, number % 251, more);
  notes[p->number][number] = (uint64_t)number + more;
  UNTIL_DONE(err, shmseg_dict_store(dict, key, length, &value, &how, &forcible, &patience));
  race_must(err == 0);
}

static void get(shmseg_dict *dict, participant *p) {
  message m;
  shmseg_dict_value value;
  char key[32];
  uint32_t thread = race_draw(p, RACE_THREADS);
  size_t length = key_of(key, 'v', thread, race_draw(p, VALUES));
  int err = shmseg_dict_get(dict, key, length, &m, sizeof m, &value);
  race_must(err == 0 || err == SHMSEG_EMPTY || err == SHMSEG_TIMEOUT);
  if (err)
    return;
  race_must(value.size >= 16 && m.thread == thread && m.number <= (uint64_t)rounds);
  for (size_t i = 0; i < value.size - 16; i++)
    race_must(m.bytes[i] == m.number % 251);
  race_must(notes[thread][m.number] == m.number + value.size - 16);
}

static void end_one(shmseg_dict *dict, participant *p) {
  char key[32];
  size_t length = key_of(key, 'v', (uint32_t)p->number, race_draw(p, VALUES));
  int64_t patience = 0;
  int err;
  if (race_draw(p, 2))
    UNTIL_DONE(err, shmseg_dict_delete(dict, key, length, NULL, &patience));
  else
    UNTIL_DONE(err, shmseg_dict_expire(dict, key, length, 1 + race_draw(p, 3), &patience));
  race_must(err == 0 || err == SHMSEG_EMPTY);
}

/* --- numbers, lists, claims ---------------------------------------------------------------------- */

static void add(shmseg_dict *dict, participant *p) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  shmseg_dict_value sum;
  int64_t patience = 0;
  bool forcible;
  int err;
  if (race_draw(p, 4)) {
    UNTIL_DONE(err, shmseg_dict_incr(dict, "n", 1, &step, &sum, &forcible, &patience));
    race_must(err == 0);
  } else if ((err = shmseg_dict_get(dict, "n", 1, NULL, 0, &sum)) == 0) {
    shmseg_dict_value next = { .type = SHMSEG_DICT_INTEGER, .integer = sum.integer + 1 };
    shmseg_dict_how how = { .token = &sum.token };
    UNTIL_DONE(err, shmseg_dict_store(dict, "n", 1, &next, &how, &forcible, &patience));
    race_must(err == 0 || err == SHMSEG_CHANGED);
  }
  __atomic_add_fetch(&added, err == 0, __ATOMIC_RELAXED);
}

static void push(shmseg_dict *dict, participant *p, int number) {
  int64_t element = (int64_t)p->number << 32 | number, patience = 0;
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER, .integer = element };
  uint64_t length;
  int err;
  pushed[p->number][number] = (uint64_t)element;
  UNTIL_DONE(err, shmseg_dict_push(dict, "l", 1, race_draw(p, 2), &value, &length, &patience));
  race_must(err == 0 || err == ENOMEM);
  if (err)
    pushed[p->number][number] = 0;
}

static bool pop(shmseg_dict *dict, participant *p) {
  shmseg_dict_value value;
  int64_t patience = 0;
  int err;
  bool left = race_draw(p, 2);
  if (race_draw(p, 2))
    UNTIL_DONE(err, shmseg_dict_pop(dict, "l", 1, left, NULL, 0, &value, &patience));
  else if ((err = shmseg_dict_peek(dict, "l", 1, left, NULL, 0, &value)) == 0)
    UNTIL_DONE(err, shmseg_dict_pop_seen(dict, "l", 1, left, &value.token, &patience));
  race_must(err == 0 || err == SHMSEG_EMPTY || err == SHMSEG_CHANGED || err == SHMSEG_TIMEOUT);
  if (err)
    return false;
  uint64_t *note = &pushed[value.integer >> 32][value.integer & UINT32_MAX];
  race_must(*note == (uint64_t)value.integer);
  *note = 0;
  __atomic_add_fetch(&popped, 1, __ATOMIC_RELAXED);
  return true;
}

static void claim(shmseg_dict *dict, participant *p) {
  shmseg_dict_claim held = { 0 };
  shmseg_dict_outcome outcome = SHMSEG_DICT_ENDED;
  shmseg_dict_value one = { .type = SHMSEG_DICT_INTEGER, .integer = 1 };
  int64_t patience = 0, deadline = race_draw(p, 2) ? 0 : race_ms(2);
  bool forcible;
  int err;
  UNTIL_DONE(err, shmseg_dict_claim_take(dict, "c", 1, &held, &outcome, deadline, &patience));
  race_must(err == 0 || err == SHMSEG_TIMEOUT);
  if (err || outcome != SHMSEG_DICT_CLAIMED)
    return;
  guarded++;
  claimed++;
  if (race_draw(p, 2)) {
    shmseg_dict_claim_end(dict, &held, "c", 1, SHMSEG_DICT_ENDED);
    return;
  }
  patience = 0;
  UNTIL_DONE(err, shmseg_dict_claim_store(dict, &held, "c", 1, &one, NULL, &forcible, &patience));
  race_must(err == 0);
}

/* --- all of it ----------------------------------------------------------------------------------- */

static void look(shmseg_dict *dict) {
  unsigned char keys[2000];
  shmseg_dict_stats stats;
  uint64_t cursor = 0, count;
  size_t size;
  int err;
  race_must(shmseg_dict_get_stats(dict, &stats) == 0 && stats.free <= stats.capacity);
  err = shmseg_dict_length(dict, "l", 1, &count);
  race_must(err == 0 || err == SHMSEG_EMPTY || err == SHMSEG_TIMEOUT);
  do
    err = shmseg_dict_scan(dict, &cursor, "v", 1, keys, sizeof keys, &size);
  while (err == 0 || err == SHMSEG_INTERRUPTED);
  race_must(err == SHMSEG_EMPTY || err == SHMSEG_TIMEOUT);
}

static void sweep(shmseg_dict *dict) {
  uint64_t cursor = 0, freed = 0;
  int64_t patience = 0;
  int err;
  UNTIL_DONE(err, shmseg_dict_flush_expired(dict, 1, &cursor, &freed, &patience));
  race_must(err == 0);
}

static void operate(shmseg_dict *dict, participant *p, int number) {
  switch (race_draw(p, 16)) {
  case 0:
  case 1:
  case 2: store(dict, p, number); return;
  case 3: end_one(dict, p); return;
  case 4:
  case 5:
  case 6: add(dict, p); return;
  case 7: push(dict, p, number); return;
  case 8: (void)pop(dict, p); return;
  case 9: claim(dict, p); return;
  case 10: sweep(dict); return;
  case 11: look(dict); return;
  default: get(dict, p);
  }
}

/* The last one looks at what is left. */
static void finish(shmseg_dict *dict, participant *p) {
  static int finished;
  shmseg_dict_value sum;
  if (__atomic_add_fetch(&finished, 1, __ATOMIC_ACQ_REL) < RACE_THREADS)
    return;
  while (pop(dict, p))
    continue;
  for (int i = 0; i < RACE_THREADS; i++)
    for (int number = 1; number <= rounds; number++)
      missed += pushed[i][number] != 0;
  race_must(shmseg_dict_get(dict, "n", 1, NULL, 0, &sum) == 0 && sum.integer == added);
  race_must(guarded == (uint64_t)claimed);
  const char *wrong = shmseg_dict_check(dict);
  printf("# %s\n", wrong ? wrong : "all invariants hold");
  race_must(!wrong);
}

static void body(participant *p) {
  shmseg_dict dict;
  shmseg_object_options options = { .capacity = CAPACITY, .evict = SHMSEG_DICT_NONE, .items = 20 };
  race_must(shmseg_dict_open(&dict, (shmseg_slice){ &p->segment, 0, RACE_SIZE }, SHMSEG_CREATE,
                             &options, NULL) == 0);
  for (int i = 1; i <= rounds; i++)
    operate(&dict, p, i);
  finish(&dict, p);
  shmseg_dict_close(&dict);
}

int main(void) {
  rounds = race_rounds();
  for (int i = 0; i < RACE_THREADS; i++) {
    notes[i] = calloc((size_t)rounds + 1, sizeof **notes);
    pushed[i] = calloc((size_t)rounds + 1, sizeof **pushed);
  }
  race_run(body);
  printf("# %d added, %d popped, %d claimed\n", added, popped, claimed);
  test("values are whole, nothing is lost, and who claims is alone", missed == 0);
  return test_end();
}
