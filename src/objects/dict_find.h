/* SPDX-License-Identifier: MIT */
/* What all that reads a dict without a lock does for each key, inline: an item's head, its key, and the
 * proof that they were the item's. */
#ifndef SHMSEG_OBJECTS_DICT_FIND_H
#define SHMSEG_OBJECTS_DICT_FIND_H

#include <string.h>

#include "core/hash.h"
#include "core/wait.h"
#include "objects/dict.h"

#pragma GCC visibility push(hidden)

/* Tries at least: a process that seldom runs may be late at the second one. */
#define FIND_TRIES 8

/* Reads that writers have overtaken so far; zeroes at first. */
typedef struct {
  int tries;
  int64_t patience;
} dict_retry;

/* What becomes of a read that gave err: SHMSEG_CHANGED, look again; for 100 ms, then SHMSEG_TIMEOUT. */
__attribute__((cold)) int shmseg_dict_overtaken(dict_retry *retry);

static inline int dict_again(int err, dict_retry *retry) {
  return __builtin_expect(err == SHMSEG_CHANGED, 0) ? shmseg_dict_overtaken(retry) : err;
}

/* As shmseg_dict_locate(). */
static inline int dict_locate(const shmseg_dict *dict, const void *key, size_t size,
                              dict_key *where) {
  if (!shmseg_object_is_proved(&dict->object) || size - 1 >= SHMSEG_DICT_KEY_MAX ||
      dict->key[0] == 0 || dict->key[1] == 0)
    return shmseg_dict_locate(dict, key, size, where);
  where->bytes = key;
  where->size = (uint32_t)size;
  dict_place(dict, shmseg_hash(dict->key, key, size), where);
  return 0;
}

/* The same for a call that writes: SHMSEG_READ_ONLY, no SHMSEG_EMPTY. The line comes while the stripe is
 * locked. */
static inline int dict_target(const shmseg_dict *dict, const void *key, size_t size,
                              dict_key *where) {
  int err = dict_locate(dict, key, size, where);
  if (err == SHMSEG_EMPTY || (!err && !dict->object.segment->writable))
    return SHMSEG_READ_ONLY;
  if (err)
    return err;
  __builtin_prefetch(dict_word64(dict, where->line));
  return 0;
}

/* A word at that offset of the object that begins there. */
static inline uint64_t *dict_word(unsigned char *base, uint64_t offset) {
  return (uint64_t *)(void *)(base + offset);
}

static inline uint64_t dict_epoch(const shmseg_dict *dict, uint32_t stripe) {
  return load_acquire(dict_word64(dict, dict_stripe_at(stripe, STRIPE_EPOCH)));
}

static inline uint64_t dict_flush(const shmseg_dict *dict) {
  return load_acquire(dict_word64(dict, DICT_FLUSH));
}

/* Can an item look like this, at that cell, which is one? */
static inline bool dict_is_head(const shmseg_dict *dict, uint32_t cell, const dict_head *head) {
  uint64_t cells = dict->cells;
  return head->key_size != 0 && head->type - 1 < SHMSEG_DICT_LIST && head->run != 0 &&
         cell + (uint64_t)head->run <= cells &&
         (!dict_has_bytes(head->type) || head->number <= cells * DICT_CELL);
}

/* Loads an item's head from where that cell is. The stamp is loaded before the expiry: expire stores them
 * the other way round. What a list's ends and the link of a chain lead to is seen, too. */
static inline bool dict_load_words(const shmseg_dict *dict, const uint64_t *words, uint32_t cell,
                                   dict_head *head) {
  __builtin_prefetch(words + DICT_CELL / 8); /* most items have a second cell, or half of one */
  uint64_t first = load_relaxed(words + ITEM_HEAD / 8);
  head->key_size = (uint32_t)(first & 0xffff);
  head->type = (uint32_t)(first >> 16 & 0xff);
  head->run = (uint32_t)(first >> 24 & 0xff);
  head->flags = (uint32_t)(first >> 32);
  head->stamp = load_acquire(words + ITEM_STAMP / 8);
  head->expiry = load_relaxed(words + ITEM_EXPIRY / 8);
  head->number = load_acquire(words + ITEM_NUMBER / 8);
  head->next = load_acquire((const uint32_t *)(words + ITEM_NEXT / 8));
  return dict_is_head(dict, cell, head);
}

/* As shmseg_dict_read_head(). */
static inline bool dict_load_head(const shmseg_dict *dict, uint32_t cell, dict_head *head) {
  return dict_is_cell(dict, cell) &&
         dict_load_words(dict, dict_word64(dict, dict_cell_at(dict, cell)), cell, head);
}

/* Writes an item's head to where it is to begin. */
static inline void dict_store_head(uint64_t *words, uint32_t run, const dict_head *head) {
  uint64_t first = head->key_size | (uint64_t)head->type << 16 | (uint64_t)run << 24 |
                   (uint64_t)head->flags << 32;
  store_relaxed(words + ITEM_HEAD / 8, first);
  store_relaxed(words + ITEM_NUMBER / 8, head->number);
  store_relaxed(words + ITEM_EXPIRY / 8, head->expiry);
  store_relaxed(words + ITEM_STAMP / 8, head->stamp);
  store_relaxed((uint32_t *)(words + ITEM_NEXT / 8), head->next);
}

/* The address of so many bytes of an item, if they are in its first run; else NULL. The head is one. */
static inline const void *dict_part(const shmseg_dict *dict, uint32_t cell, const dict_head *head,
                                    uint64_t from, uint64_t size) {
  if (from + size > (uint64_t)head->run * DICT_CELL)
    return NULL;
  return shmseg_object_at(&dict->object, dict_cell_at(dict, cell) + from);
}

/* Are those the first bytes of a word, less than 8? Without a call. */
static inline bool dict_begins_with(const uint64_t *word, const unsigned char *bytes,
                                    uint32_t size) {
  const unsigned char *at = (const unsigned char *)word;
  uint32_t half, other;
  uint16_t quarter, another;
  if (size & 4) {
    memcpy(&half, at, 4);
    memcpy(&other, bytes, 4);
    if (half != other)
      return false;
    at += 4, bytes += 4;
  }
  if (size & 2) {
    memcpy(&quarter, at, 2);
    memcpy(&another, bytes, 2);
    if (quarter != another)
      return false;
    at += 2, bytes += 2;
  }
  return (size & 1) == 0 || *at == *bytes;
}

/* Is that the item's key, whose words are there? It is compared word by word: a word that it ends in is the
 * item's, too. */
static inline bool dict_is_key(const shmseg_dict *dict, const uint64_t *words, uint32_t cell,
                               const dict_head *head, const dict_key *key) {
  uint32_t size = key->size;
  const unsigned char *ours = key->bytes;
  if (head->key_size != size)
    return false;
  if (ITEM_KEY + (uint64_t)size > (uint64_t)head->run * DICT_CELL)
    return shmseg_dict_equals(dict, (dict_block){ cell, head->run, 0 }, ITEM_KEY, ours, size);
  uint64_t mine, word;
  for (words += ITEM_KEY / 8; size >= 8; size -= 8, ours += 8, words++) {
    memcpy(&mine, ours, 8);
    if (load_relaxed(words) != mine)
      return false;
  }
  if (size == 0)
    return true;
  word = load_relaxed(words);
  return dict_begins_with(&word, ours, size);
}

/* After something of the item was copied: 0 when it was the item's all the while. SHMSEG_CHANGED,
 * SHMSEG_TRUNCATED, … */
static inline int dict_prove(const shmseg_dict *dict, uint32_t stripe, const dict_found *found) {
  fence_acquire(); /* what was copied was loaded before this; pairs with the fence of who writes to cells */
  uint64_t word = load_acquire(dict_word64(dict, found->at)); /* before the epoch that led to it */
  uint64_t now = load_relaxed(dict_word64(dict, dict_stripe_at(stripe, STRIPE_EPOCH)));
  int err = segment_status(dict->object.segment);
  if (err)
    return err;
  return word == found->word && dict_is_same(word, found->epoch, now) ? 0 : SHMSEG_CHANGED;
}

/* What was read cannot be: SHMSEG_CORRUPT, if it was the item's. */
__attribute__((cold)) static inline int dict_garbage(const shmseg_dict *dict, uint32_t stripe,
                                                     const dict_found *found) {
  int err = dict_prove(dict, stripe, found);
  return err ? err : SHMSEG_CORRUPT;
}

/* Was it live when the flush stamp was loaded? That is after the head: what was stored since a flush is
 * not taken for flushed. */
static inline bool dict_is_live(const shmseg_dict *dict, const dict_found *found, int64_t *now) {
  return !dict_is_stale(&found->head, dict_flush(dict), now);
}

/* No slot has the key: it may be in the chain. */
int shmseg_dict_find_behind(const shmseg_dict *dict, const dict_key *key, dict_found *found);

/* Bit i: slot i's word has the key's tag. Which slot it is cannot be foreseen, so nothing branches. */
static inline unsigned dict_hits(const uint64_t *slots, const dict_key *key) {
  const uint64_t mask = WORD_TAG_MASK << WORD_TAG, tag = (uint64_t)key->tag << WORD_TAG;
  unsigned hit0 = ((load_acquire(slots) ^ tag) & mask) == 0;
  unsigned hit1 = ((load_acquire(slots + 1) ^ tag) & mask) == 0;
  unsigned hit2 = ((load_acquire(slots + 2) ^ tag) & mask) == 0;
  unsigned hit3 = ((load_acquire(slots + 3) ^ tag) & mask) == 0;
  unsigned hit4 = ((load_acquire(slots + 4) ^ tag) & mask) == 0;
  return hit0 | hit1 << 1 | hit2 << 2 | hit3 << 3 | hit4 << 4;
}

_Static_assert(DICT_SLOTS == 5, "dict_hits");

/* As shmseg_dict_find(). A word that changes after its tag was seen is another key's then, or nothing:
 * so this one was not there for a moment. */
static inline int dict_find(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  unsigned char *base = shmseg_object_at(&dict->object, 0); /* worked out once */
  const uint64_t *slots = dict_word(base, key->line + LINE_SLOTS);
  found->epoch = load_acquire(dict_word(base, dict_stripe_at(key->stripe, STRIPE_EPOCH)));
  for (unsigned hits = dict_hits(slots, key); hits != 0; hits &= hits - 1) {
    found->entry = __builtin_ctz(hits);
    found->at = dict_slot_at(key->line, found->entry);
    found->word = load_acquire(slots + found->entry);
    found->cell = dict_word_cell(found->word);
    found->before = 0;
    if (found->cell == 0)
      continue;
    if (!dict_is_cell(dict, found->cell))
      return dict_garbage(dict, key->stripe, found);
    const uint64_t *words = dict_word(base, dict_cell_at(dict, found->cell));
    if (!dict_load_words(dict, words, found->cell, &found->head))
      return dict_garbage(dict, key->stripe, found);
    if (dict_is_key(dict, words, found->cell, &found->head, key))
      return 0;
    int err = dict_prove(dict, key->stripe, found);
    if (err)
      return err;
  }
  return shmseg_dict_find_behind(dict, key, found);
}

/* Gives the entry's mark that age, if it has another one. */
static inline void dict_mark_use(uint32_t *marks, uint64_t age, int entry) {
  unsigned shift = 5u * (unsigned)entry;
  uint32_t seen = load_relaxed(marks);
  uint32_t mark = (uint32_t)(age & 31) << shift, mask = (uint32_t)31 << shift;
  if ((seen & mask) != mark)
    cas_ordered(marks, &seen,
                (seen & ~mask) | mark); /* one that fails is a use that is not noted */
}

/* As shmseg_dict_use(). */
static inline void dict_use(const shmseg_dict *dict, uint32_t stripe, uint64_t line, int entry) {
  if (!dict->object.segment->writable)
    return;
  uint64_t age = load_relaxed(dict_word64(dict, dict_stripe_at(stripe, STRIPE_AGE)));
  dict_mark_use(dict_word32(dict, line + LINE_MARKS), age, entry);
}

#pragma GCC visibility pop

#endif
