/* SPDX-License-Identifier: MIT */
/* The dict, stepped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nouns/dict/step.h"

shmseg_dict dict;

/* --- operations --------------------------------------------------------------------------- */

/* Each process opens it anew, and reads the key then. */
void step_dict_fix_hash(void) {
  for (size_t i = 0; i < 2; i++) {
    dict.key[i] = 0x5bd1e995u + i * 2;
    __atomic_store_n((uint64_t *)(void *)(step_segment.data + DICT_KEY) + i, dict.key[i],
                     __ATOMIC_SEQ_CST);
  }
}

/* Of a long one each cell has a byte that could be no other cell's, between zeroes: what is written to memory
 * that was never used changes nothing else, and so there are few states. */
const void *step_dict_text(char letter, size_t size) {
  static unsigned char bytes[DICT_LONG];
  for (size_t i = 0; i < size && i < DICT_LONG; i++)
    bytes[i] = i >= DICT_CELL && i % DICT_CELL != 0
                   ? 0
                   : (unsigned char)((unsigned char)letter + 7 * i + 31 * (i / DICT_CELL));
  return bytes;
}

static int store(shmseg_dict *to, char key, const shmseg_dict_value *value,
                 const shmseg_dict_how *how) {
  int64_t patience = 0;
  bool forcible;
  int err;
  STEP_UNTIL_DONE(err, shmseg_dict_store(to, &key, 1, value, how, &forcible, &patience));
  return err;
}

int step_dict_set(shmseg_dict *to, char key, char letter, size_t size, const shmseg_dict_how *how) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING,
                              .bytes = step_dict_text(letter, size),
                              .size = size };
  return store(to, key, &value, how);
}

void step_dict_set_number(char key, int64_t number) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER, .integer = number };
  step_expect(store(&dict, key, &value, NULL) == 0);
}

int step_dict_unset(shmseg_dict *to, char key) {
  int64_t patience = 0;
  int err;
  STEP_UNTIL_DONE(err, shmseg_dict_delete(to, &key, 1, NULL, &patience));
  return err;
}

int step_dict_add(shmseg_dict *to, char key, int64_t more, int64_t *sum) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = more },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  shmseg_dict_value result;
  int64_t patience = 0;
  bool forcible;
  int err;
  STEP_UNTIL_DONE(err, shmseg_dict_incr(to, &key, 1, &step, &result, &forcible, &patience));
  *sum = err ? 0 : result.integer;
  return err;
}

int step_dict_push(shmseg_dict *to, char key, bool left, char letter, size_t size) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING,
                              .bytes = step_dict_text(letter, size),
                              .size = size };
  int64_t patience = 0;
  uint64_t length;
  int err;
  STEP_UNTIL_DONE(err, shmseg_dict_push(to, &key, 1, left, &value, &length, &patience));
  return err;
}

bool step_dict_pops(shmseg_dict *from, char key, bool left, char letter, size_t size) {
  static unsigned char bytes[DICT_LONG];
  shmseg_dict_value value;
  int64_t patience = 0;
  int err;
  STEP_UNTIL_DONE(err,
                  shmseg_dict_pop(from, &key, 1, left, bytes, sizeof bytes, &value, &patience));
  return err == 0 && value.type == SHMSEG_DICT_STRING && value.size == size &&
         memcmp(bytes, step_dict_text(letter, size), size) == 0;
}

/* --- what is in it ------------------------------------------------------------------------ */

typedef struct {
  char *text;
  size_t available;
  uint64_t count, cells; /* of what is live */
} telling;

static void tell_text(telling *t, const unsigned char *bytes, uint64_t size) {
  size_t length = strlen(t->text);
  char letter = size > 0 ? (char)bytes[0] : '0';
  bool whole = size <= DICT_LONG && memcmp(bytes, step_dict_text(letter, size), size) == 0;
  snprintf(t->text + length, t->available - length, "%c%llu", whole ? letter : '?',
           (unsigned long long)size);
}

static void tell_number(telling *t, int64_t number) {
  size_t length = strlen(t->text);
  snprintf(t->text + length, t->available - length, "%lld", (long long)number);
}

static void tell_word(telling *t, const char *word) {
  size_t length = strlen(t->text);
  snprintf(t->text + length, t->available - length, "%s", word);
}

static const char *tell_list(telling *t, char key) {
  static unsigned char bytes[DICT_LONG];
  size_t size, at = 0;
  uint64_t count, number;
  if (shmseg_dict_elements(&dict, &key, 1, bytes, sizeof bytes, &size, &count) != 0)
    return "the elements of a list cannot be read";
  tell_word(t, "[");
  for (uint64_t i = 0; i < count && at + 9 <= size; i++) {
    bool is_string = bytes[at] == SHMSEG_DICT_STRING;
    memcpy(&number, bytes + at + 1, sizeof number);
    at += 9;
    tell_word(t, i > 0 ? " " : "");
    if (is_string)
      tell_text(t, bytes + at, number);
    else
      tell_number(t, (int64_t)number);
    at += is_string ? (size_t)number : 0;
    t->cells += dict_cells_for(ELEMENT_BYTES + (is_string ? number : 0));
  }
  tell_word(t, "]");
  return at == size && count > 0 ? NULL : "a list has other elements than it says";
}

static const char *tell_value(telling *t, char key, const shmseg_dict_value *value) {
  int64_t ttl = -1;
  const char *wrong = NULL;
  tell_word(t, t->count++ ? " " : "");
  tell_word(t, (char[]){ key, ':', '\0' });
  if (value->type == SHMSEG_DICT_STRING)
    tell_text(t, value->bytes, value->size);
  else if (value->type == SHMSEG_DICT_LIST)
    wrong = tell_list(t, key);
  else
    tell_number(t, value->type == SHMSEG_DICT_FLOAT ? (int64_t)value->number : value->integer);
  tell_word(t, value->type == SHMSEG_DICT_FLOAT ? ".0" : "");
  if (shmseg_dict_ttl(&dict, &key, 1, &ttl) != 0 || ttl < 0)
    return "no time to live";
  tell_word(t, ttl > 0 ? "~" : "");
  bool has_bytes = value->type == SHMSEG_DICT_STRING;
  t->cells += dict_cells_for(ITEM_KEY + 1 + (has_bytes ? value->size : 0));
  return wrong;
}

static const char *tell_values(telling *t) {
  static unsigned char bytes[DICT_LONG];
  const char *wrong = NULL;
  t->text[0] = '\0';
  for (char key = 'a'; !wrong && key <= 'z'; key++) {
    shmseg_dict_value value;
    int err = shmseg_dict_get(&dict, &key, 1, bytes, sizeof bytes, &value);
    if (err == 0)
      wrong = tell_value(t, key, &value);
    else if (err != SHMSEG_EMPTY)
      wrong = "a value cannot be read";
  }
  tell_word(t, t->count == 0 ? "empty" : "");
  return wrong;
}

/* The keys that a scan finds are those that were found. */
static const char *scan_all(uint64_t expected) {
  unsigned char keys[256];
  uint64_t cursor = 0, count = 0;
  size_t size;
  int err;
  while ((err = shmseg_dict_scan(&dict, &cursor, "", 0, keys, sizeof keys, &size)) == 0)
    count += size / 5;
  return err == SHMSEG_EMPTY && count == expected ? NULL : "a scan finds other keys";
}

/* Readers that were there before know that a word is another one: by the epoch, which has followed each word,
 * or has been moved by a repair. */
static const char *tell_epoch(uint64_t repaired) {
  uint64_t epoch = load_relaxed(dict_word64(&dict, dict_stripe_at(0, STRIPE_EPOCH)));
  uint64_t line = dict_line_at(&dict, 0, 0);
  if (epoch < repaired * DICT_VERSIONS)
    return "a repair has not moved the epoch";
  for (uint64_t at = line; repaired == 0 && at < line + LINE_SIZE; at += 8) {
    uint64_t word = load_relaxed(dict_word64(&dict, at));
    bool is_word = at == line + LINE_CHAIN || at >= line + LINE_SLOTS;
    if (is_word && (word >> WORD_VERSION & (DICT_VERSIONS - 1)) > epoch)
      return "the epoch has not followed a word";
  }
  return NULL;
}

/* Before the next writer comes, and after that: it mends what a death has left, and that is seen by no
 * reader but in the counts. */
const char *step_dict_tell(char *text, size_t available) {
  char before[256];
  telling t = { .text = before, .available = sizeof before };
  shmseg_dict_stats stats;
  const char *wrong = tell_values(&t);
  if (!wrong && step_dict_unset(&dict, 'Z') != 0) /* there is none */
    wrong = "it cannot be written to";
  wrong = wrong ? wrong : shmseg_dict_check(&dict);
  t = (telling){ .text = text, .available = available };
  wrong = wrong ? wrong : tell_values(&t);
  wrong = wrong ? wrong : scan_all(t.count);
  if (!wrong && strcmp(before, text) != 0)
    wrong = "a repair has changed what is read";
  if (!wrong && shmseg_dict_get_stats(&dict, &stats) != 0)
    wrong = "no counts";
  wrong = wrong ? wrong : tell_epoch(stats.repaired);
  if (wrong)
    return wrong;
  uint64_t used = (stats.capacity - stats.free) / DICT_CELL;
  size_t length = strlen(text);
  if (used != t.cells)
    snprintf(text + length, available - length, " %+d", (int)(used - t.cells));
  return NULL;
}

/* --- a full use --------------------------------------------------------------------------- */

static const char *use_values(shmseg_dict *other) {
  int64_t sum;
  if (step_dict_set(other, 'P', 'p', 100, NULL) != 0 ||
      step_dict_set(&dict, 'P', 'q', 300, NULL) != 0 ||
      step_dict_set(other, 'P', 'r', 1, NULL) != 0 || step_dict_unset(&dict, 'P') != 0)
    return "a value cannot be stored";
  for (int64_t i = 1; i <= 3; i++)
    if (step_dict_add(i % 2 ? other : &dict, 'N', 2, &sum) != 0 || sum != 2 * i)
      return "a number cannot be added to";
  if (step_dict_push(other, 'L', true, 'b', 8) != 0 ||
      step_dict_push(&dict, 'L', false, 'c', 100) != 0 ||
      step_dict_push(&dict, 'L', true, 'a', 0) != 0 ||
      !step_dict_pops(other, 'L', false, 'c', 100) || !step_dict_pops(&dict, 'L', true, 'a', 0) ||
      !step_dict_pops(other, 'L', true, 'b', 8))
    return "a list cannot be used";
  return step_dict_unset(other, 'N') == 0 ? NULL : "a number cannot be deleted";
}

static const char *use_claim(shmseg_dict *other) {
  shmseg_dict_outcome outcome;
  int64_t patience = 0;
  for (char key = 'a'; key <= 'd'; key++) {
    shmseg_dict_claim claim = { 0 };
    if (shmseg_dict_claim_take(other, &key, 1, &claim, &outcome, 0, &patience) != 0 ||
        outcome != SHMSEG_DICT_CLAIMED || !shmseg_dict_claim_is_valid(other, &claim))
      return "a claim cannot be taken";
    shmseg_dict_claim_end(other, &claim, &key, 1, SHMSEG_DICT_ENDED);
  }
  return NULL;
}

static bool is_empty(void) {
  shmseg_dict_stats stats;
  return shmseg_dict_get_stats(&dict, &stats) == 0 && stats.count == 0 && stats.bytes == 0 &&
         stats.free == stats.capacity;
}

static const char *take_all_out(shmseg_dict *other) {
  uint64_t cursor = 0, freed = 0;
  int64_t patience = 0;
  int err;
  for (char key = 'a'; key <= 'z'; key++)
    if (step_dict_unset(key % 2 ? &dict : other, key) != 0)
      return "a key cannot be deleted";
  STEP_UNTIL_DONE(err, shmseg_dict_flush_expired(other, 0, &cursor, &freed, &patience));
  return err == 0 && is_empty() ? NULL : "memory is lost";
}

/* There is room for just so many items, and all that is evicted or flushed comes back. */
static const char *fill(shmseg_dict *other) {
  const shmseg_dict_how safe = { .safe = true };
  uint64_t cells = dict.object.capacity / DICT_CELL, half = cells / 2;
  size_t large = (size_t)(half * DICT_CELL - ITEM_KEY - 1);
  if (step_dict_set(other, 'A', 'a', large, &safe) != 0 ||
      step_dict_set(&dict, 'B', 'b', large, &safe) != 0)
    return "room is lost";
  if (step_dict_set(other, 'C', 'c', 1, &safe) != ENOMEM)
    return "more room than there is";
  if (step_dict_set(other, 'B', 'd', large, &safe) != 0 ||
      step_dict_set(&dict, 'C', 'c', 1, NULL) != 0)
    return "no room on top of all";
  if (shmseg_dict_flush_all(other) != 0 || step_dict_set(&dict, 'D', 'd', large, &safe) != 0 ||
      step_dict_set(other, 'E', 'e', large, &safe) != 0)
    return "what was flushed stays";
  const char *wrong = shmseg_dict_check(&dict);
  if (wrong || step_dict_unset(other, 'D') != 0 || step_dict_unset(&dict, 'E') != 0)
    return wrong ? wrong : "a key cannot be deleted";
  return take_all_out(other);
}

static const char *use_with(shmseg_dict *other) {
  const char *wrong = use_values(other);
  wrong = wrong ? wrong : use_claim(other);
  wrong = wrong ? wrong : take_all_out(other);
  wrong = wrong ? wrong : fill(other);
  return wrong ? wrong : shmseg_dict_check(&dict);
}

/* What is in it; then all that can be done with it, by two handles. */
static const char *use(void) {
  static char found[256];
  shmseg_segment segment;
  shmseg_dict other;
  const char *wrong = step_dict_tell(found, sizeof found);
  if (wrong)
    return wrong;
  if (step_open_other(&segment) != 0 ||
      shmseg_dict_open(&other, shmseg_segment_whole(&segment), SHMSEG_WRITE, NULL, NULL) != 0)
    return "no second handle";
  wrong = use_with(&other);
  shmseg_dict_close(&other);
  shmseg_segment_close(&segment);
  return wrong ? wrong : found;
}

/* --- what is played ----------------------------------------------------------------------- */

static const shmseg_object_options small = { .capacity = DICT_CAPACITY, .items = 1 };
static const shmseg_object_options large = { .capacity = DICT_LARGE_CAPACITY, .items = 1 };

#define STEP_DICT(part, name_of_it, title, as_new_it, options_of_it, keeps_none)                   \
  static const step_structure step_dict_##part = {                                                 \
    .kind = &shmseg_dict_kind,                                                                     \
    .handle = &dict.object,                                                                        \
    .options = &(options_of_it),                                                                   \
    .as_new = as_new_it,                                                                           \
    .noun = title,                                                                                 \
    .name = name_of_it,                                                                            \
    .use = use,                                                                                    \
    .keeps_nothing = keeps_none,                                                                   \
    .cases = dict_##part##_cases,                                                                  \
  };                                                                                               \
  STEP_PLAY(step_dict_##part)

STEP_DICT(store, "dict", "dict", "empty", small, true);
STEP_DICT(number, "dict.number", "dict, numbers", NULL, small, true);
STEP_DICT(list, "dict.list", "dict, lists", NULL, small, true);
STEP_DICT(claim, "dict.claim", "dict, claims", NULL, small, false);
STEP_DICT(death, "dict.death", "dict, mended", NULL, small, true);
STEP_DICT(large, "dict.large", "dict, large values", NULL, large, true);
