/* SPDX-License-Identifier: MIT */
/* What all that reads a dict without a lock does for each key, inline: an item's head, its key, and the
 * proof that they were the item's. */
#ifndef SHMSEG_OBJECTS_DICT_FIND_H
#define SHMSEG_OBJECTS_DICT_FIND_H

#include <string.h>

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

static inline uint64_t dict_epoch(const shmseg_dict *dict, uint32_t stripe) {
  return load_acquire(dict_word64(dict, dict_stripe_at(stripe, STRIPE_EPOCH)));
}

static inline uint64_t dict_flush(const shmseg_dict *dict) {
  return load_acquire(dict_word64(dict, DICT_FLUSH));
}

/* Can an item look like this, at that cell? */
static inline bool dict_is_head(const shmseg_dict *dict, uint32_t cell, const dict_head *head) {
  return head->key_size != 0 && head->type - 1 < SHMSEG_DICT_LIST && head->run != 0 &&
         cell + (uint64_t)head->run <= dict->cells &&
         (!dict_has_bytes(head->type) || head->number <= dict->cells * DICT_CELL);
}

/* As shmseg_dict_read_head(). The stamp is loaded before the expiry: expire stores them the other way
 * round. What a list's ends and the link of a chain lead to is seen, too. */
static inline bool dict_load_head(const shmseg_dict *dict, uint32_t cell, dict_head *head) {
  if (!dict_is_cell(dict, cell))
    return false;
  uint64_t at = dict_cell_at(dict, cell);
  uint64_t word = load_relaxed(dict_word64(dict, at + ITEM_HEAD));
  head->key_size = (uint32_t)(word & 0xffff);
  head->type = (uint32_t)(word >> 16 & 0xff);
  head->run = (uint32_t)(word >> 24 & 0xff);
  head->flags = (uint32_t)(word >> 32);
  head->stamp = load_acquire(dict_word64(dict, at + ITEM_STAMP));
  head->expiry = load_relaxed(dict_word64(dict, at + ITEM_EXPIRY));
  head->number = load_acquire(dict_word64(dict, at + ITEM_NUMBER));
  head->next = load_acquire(dict_word32(dict, at + ITEM_NEXT));
  return dict_is_head(dict, cell, head);
}

/* Bytes of the item that lie in its first run. */
static inline uint64_t dict_run_size(const dict_head *head) {
  return (uint64_t)head->run * DICT_CELL;
}

/* Is that the item's key? It is compared word by word: a word that it ends in is the item's, too. */
static inline bool dict_is_key(const shmseg_dict *dict, uint32_t cell, const dict_head *head,
                               const dict_key *key) {
  uint32_t size = key->size, i = 0;
  if (head->key_size != size)
    return false;
  if (ITEM_KEY + (uint64_t)size > dict_run_size(head))
    return shmseg_dict_equals(dict, (dict_block){ cell, head->run, 0 }, ITEM_KEY, key->bytes, size);
  const unsigned char *ours = key->bytes;
  uint64_t mine, theirs, at = dict_cell_at(dict, cell) + ITEM_KEY;
  for (; size - i >= 8; i += 8) {
    memcpy(&mine, ours + i, 8);
    if (load_relaxed(dict_word64(dict, at + i)) != mine)
      return false;
  }
  if (i == size)
    return true;
  theirs = load_relaxed(dict_word64(dict, at + i));
  return memcmp(&theirs, ours + i, size - i) == 0;
}

/* As shmseg_dict_confirm(). */
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
__attribute__((cold)) int shmseg_dict_garbage(const shmseg_dict *dict, uint32_t stripe,
                                              const dict_found *found);

/* Was it live when the flush stamp was loaded? That is after the head: what was stored since a flush is
 * not taken for flushed. */
static inline bool dict_is_live(const shmseg_dict *dict, const dict_found *found, int64_t *now) {
  return !dict_is_stale(&found->head, dict_flush(dict), now);
}

#pragma GCC visibility pop

#endif
