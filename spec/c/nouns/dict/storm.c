/* SPDX-License-Identifier: MIT */
/* Dicts in the storm: a small one where nothing live goes, so that each write that was acknowledged is there
 * until its own writer changes it; and one of many stripes with large values, some of which are evicted or
 * flushed.
 *
 * Each value has one writer, and its account says what is acknowledged and what has begun: a reader finds
 * something between. Where the writer was killed, his successor finds one or the other. Numbers are added to,
 * elements are pushed and popped by all: none is lost or doubled, but for those that were in the hands of the
 * killed. Who has a claim is alone. Of the values that are gone each was evicted. In the end all memory
 * comes back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nouns/dict/storm.h"

#define CAPACITY ((uint64_t)12 << 10)
#define LARGE ((uint64_t)4 << 20)
#define VISITS 2000 /* keys that lie in all stripes */

static dict_arena strict = { .longest = 700 };
static dict_arena loose = { .longest = 2000, .evicts = true };
dict_arena *here;

/* What the large one has for itself. */
static void operate_on_all(void) {
  uint64_t drawn = storm_draw(4096);
  if (drawn == 0)
    dict_flush();
  else if (drawn < 256)
    dict_sweep();
  else
    (void)dict_store_ballast();
}

static void operate_once(dict_arena *place) {
  uint64_t drawn = storm_draw(32);
  if (drawn < 9)
    dict_change_own();
  else if (drawn < 15)
    dict_get_any();
  else if (drawn < 20)
    dict_add();
  else if (drawn < 22)
    dict_push();
  else if (drawn < 25)
    dict_pop_from((unsigned)storm_draw(LISTS));
  else if (drawn < 28)
    dict_claim_one();
  else if (drawn < 29)
    dict_wait_for_one();
  else if (place->evicts)
    operate_on_all();
  else if (drawn < 31)
    dict_scan_all();
  else
    dict_sweep();
}

/* Several of the small ones, which are short: so that kills find them. */
static void operate_on(dict_arena *place) {
  here = place;
  for (int i = place->evicts ? 3 : 0; i < 4; i++)
    operate_once(place);
}

static void bury_in(dict_arena *place, unsigned worker) {
  dict_account *its = &place->books->workers[worker];
  here = place;
  for (int i = 0; i < NUMBERS; i++) {
    its->doubts[i] += its->adding[i];
    its->adding[i] = 0;
  }
  if (its->pushing)
    dict_learn(its->pushing, DOUBTFUL);
  if (its->popping) {
    place->books->poppers_killed++;
    dict_learn((uint64_t)its->popped.integer, IN_HANDS);
    dict_learn(its->hands[0], IN_HANDS);
  }
  if (its->flushing) /* else it may be late for ever: then nothing is counted as lost */
    __atomic_fetch_add(&place->books->flushes, its->flushing == 1, __ATOMIC_SEQ_CST);
  if (its->flushing)
    __atomic_fetch_add(&place->books->flushed, 1, __ATOMIC_SEQ_CST);
  its->pushing = its->popping = its->flushing = 0;
}

/* --- in the end ----------------------------------------------------------------------------------- */

static int unset(const char *key, size_t length) {
  int64_t patience = 0;
  int err;
  UNTIL_DONE(err, shmseg_dict_delete(&here->dict, key, length, NULL, &patience));
  return err;
}

/* The next writer of each stripe mends what the dead have left. */
static const char *visit_all(void) {
  char key[32];
  for (unsigned i = 0; i < VISITS; i++)
    if (unset(key, dict_key_of(key, 'x', 0, i)) != 0)
      return "a stripe cannot be written to";
  return shmseg_dict_check(&here->dict);
}

static uint64_t count_ballast(void) {
  static unsigned char keys[65536];
  uint64_t cursor = 0, count = 0;
  size_t size;
  int err;
  do {
    err = shmseg_dict_scan(&here->dict, &cursor, "b", 1, keys, sizeof keys, &size);
    for (size_t at = 0; err == 0 && at < size; count++) {
      uint32_t length;
      memcpy(&length, keys + at, sizeof length);
      at += sizeof length + length;
    }
  } while (err == 0 || err == SHMSEG_INTERRUPTED);
  return count;
}

static const char *judge_values(void) {
  shmseg_dict_stats stats;
  uint64_t lost = 0;
  unsigned me = storm_me;
  for (storm_me = 0; storm_me < STORM_WORKERS_MAX; storm_me++) {
    for (unsigned key = 0; key < KEYS; key++)
      dict_settle(key);
    lost += mine()->lost + mine()->ballast;
  }
  storm_me = me;
  lost -= count_ballast();
  if (shmseg_dict_get_stats(&here->dict, &stats) != 0)
    return "no counts";
  printf(
      "# dict: %llu values evicted, of which %llu were missed, %llu flushes; %llu times mended\n",
      (unsigned long long)stats.evicted, (unsigned long long)lost,
      (unsigned long long)here->books->flushes, (unsigned long long)stats.repaired);
  /* who died may have evicted, and not counted it */
  return here->books->flushes == 0 && (int64_t)(lost - stats.evicted) > (int64_t)stats.repaired
             ? "values are lost that were not evicted"
             : NULL;
}

static const char *judge_number(unsigned number) {
  uint64_t added = 0, doubts = 0;
  shmseg_dict_value sum = { .integer = 0 };
  char key[32];
  size_t length = dict_key_of(key, 'n', 0, number);
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++) {
    added += here->books->workers[w].added[number];
    doubts += here->books->workers[w].doubts[number];
  }
  int err = shmseg_dict_get(&here->dict, key, length, NULL, 0, &sum);
  uint64_t found = err == 0 ? (uint64_t)sum.integer : 0;
  printf("# dict: %llu added, %llu perhaps, %llu found\n", (unsigned long long)added,
         (unsigned long long)doubts, (unsigned long long)found);
  return found < added || found > added + doubts ? "additions are lost, or doubled" : NULL;
}

static const char *judge_elements(void) {
  uint64_t pushed = 0, in_hands = 0;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    for (uint64_t i = 1; i < ELEMENTS; i++) {
      unsigned known = here->books->elements[w][i];
      pushed += known & PUSHED;
      in_hands += (known & (PUSHED | TAKEN | IN_HANDS)) == (PUSHED | IN_HANDS);
      if (known & TAKEN && !(known & (PUSHED | DOUBTFUL)))
        return "an element was popped that was not pushed";
      if (known & PUSHED && !(known & (TAKEN | IN_HANDS)))
        return "an element is lost that nobody had in his hands";
    }
  printf("# dict: %llu elements, %llu lost in the hands of %llu killed; %llu claims\n",
         (unsigned long long)pushed, (unsigned long long)in_hands,
         (unsigned long long)here->books->poppers_killed, (unsigned long long)here->books->claimed);
  return in_hands > here->books->poppers_killed ? "more is lost than killed" : NULL;
}

/* The dead have no claims. */
static bool can_claim(unsigned number) {
  char key[32];
  size_t length = dict_key_of(key, 'c', 0, number);
  shmseg_dict_claim claim = { 0 };
  shmseg_dict_outcome outcome;
  int64_t patience = 0;
  int err;
  UNTIL_DONE(err, shmseg_dict_claim_take(&here->dict, key, length, &claim, &outcome, 0, &patience));
  shmseg_dict_claim_end(&here->dict, &claim, key, length, SHMSEG_DICT_ENDED);
  return err == 0 && outcome == SHMSEG_DICT_CLAIMED;
}

/* All memory comes back. */
static const char *empty(void) {
  shmseg_dict_stats stats;
  char key[32];
  uint64_t cursor = 0, freed = 0;
  int64_t patience = 0;
  int err;
  bool good = true;
  for (unsigned i = 0; i < STORM_WORKERS_MAX * KEYS; i++)
    good &= unset(key, dict_key_of(key, 'v', i / KEYS, i % KEYS)) == 0;
  for (unsigned i = 0; i < NUMBERS; i++)
    good &= unset(key, dict_key_of(key, 'n', 0, i)) == 0;
  for (unsigned i = 0; i < CLAIMS; i++)
    good &= unset(key, dict_key_of(key, 'c', 0, i)) == 0;
  for (unsigned i = 0; i < LISTS; i++)
    good &= unset(key, dict_key_of(key, 'l', 0, i)) == 0;
  good &= shmseg_dict_flush_all(&here->dict) == 0;
  do
    err = shmseg_dict_flush_expired(&here->dict, 0, &cursor, &freed, &patience);
  while (err == SHMSEG_INTERRUPTED);
  good &= err == 0;
  good = good && shmseg_dict_get_stats(&here->dict, &stats) == 0;
  if (!good || stats.count != 0 || stats.bytes != 0 || stats.free != stats.capacity)
    return "memory is lost";
  return shmseg_dict_check(&here->dict);
}

static const char *finish_with(dict_arena *place) {
  here = place;
  const char *wrong = visit_all();
  wrong = wrong ? wrong : judge_values();
  for (unsigned i = 0; !wrong && !place->evicts && i < NUMBERS; i++)
    wrong = judge_number(i);
  for (unsigned i = 0; !wrong && i < LISTS; i++)
    while (dict_pop_from(i) == 0)
      continue;
  wrong = wrong || place->evicts ? wrong : judge_elements();
  for (unsigned i = 0; !wrong && i < CLAIMS; i++)
    wrong = can_claim(i) ? NULL : "a claim is lost";
  return wrong ? wrong : empty();
}

/* --- the nouns ------------------------------------------------------------------------------------ */

/* It is full from the beginning on. */
static int fill(void) {
  here = &loose;
  if (loose.books->filled)
    return 0;
  loose.books->filled = 1;
  for (uint64_t i = 0; i < LARGE / 4096; i++)
    if (dict_store_ballast() != 0)
      return EAGAIN;
  return 0;
}

#define STORM_DICT(arena, its_name, its_capacity, its_evict, its_items, its_opened)                \
  static void prepare_##arena(void) {                                                              \
    arena.books = storm_memory(sizeof *arena.books);                                               \
  }                                                                                                \
  static void operate_##arena(void) {                                                              \
    operate_on(&arena);                                                                            \
  }                                                                                                \
  static void bury_##arena(unsigned worker) {                                                      \
    bury_in(&arena, worker);                                                                       \
  }                                                                                                \
  static const char *finish_##arena(void) {                                                        \
    return finish_with(&arena);                                                                    \
  }                                                                                                \
  static const storm_noun storm_dict_##arena = {                                                   \
    .kind = &shmseg_dict_kind,                                                                     \
    .handle = &arena.dict.object,                                                                  \
    .options = &(const shmseg_object_options){ .capacity = its_capacity,                           \
                                               .evict = its_evict,                                 \
                                               .items = its_items },                               \
    .name = its_name,                                                                              \
    .opened = its_opened,                                                                          \
    .operate = operate_##arena,                                                                    \
    .finish = finish_##arena,                                                                      \
    .prepare = prepare_##arena,                                                                    \
    .bury = bury_##arena,                                                                          \
  };                                                                                               \
  STORM_PLAY(storm_dict_##arena)

STORM_DICT(strict, "dict", CAPACITY, SHMSEG_DICT_NONE, 20, NULL);
STORM_DICT(loose, "dict.large", LARGE, SHMSEG_DICT_LRU, 200, fill);
