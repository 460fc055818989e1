/* SPDX-License-Identifier: MIT */
/* Finding a key in a dict without a lock, and proving what was read. dict.c has the protocol. */
#include "objects/dict_find.h"

int shmseg_dict_overtaken(dict_retry *retry) {
  int err = shmseg_wait_overtaken(&retry->patience, 0);
  return ++retry->tries < FIND_TRIES ? SHMSEG_CHANGED : err;
}

int shmseg_dict_confirm(const shmseg_dict *dict, uint32_t stripe, const dict_found *found) {
  return dict_prove(dict, stripe, found);
}

int shmseg_dict_garbage(const shmseg_dict *dict, uint32_t stripe, const dict_found *found) {
  int err = dict_prove(dict, stripe, found);
  return err ? err : SHMSEG_CORRUPT;
}

/* The slot has the key's tag. SHMSEG_EMPTY: it is another one's. */
static inline int find_in_slot(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  found->cell = dict_word_cell(found->word);
  found->before = 0;
  if (!dict_load_head(dict, found->cell, &found->head))
    return shmseg_dict_garbage(dict, key->stripe, found);
  if (dict_is_key(dict, found->cell, &found->head, key))
    return 0;
  int err = dict_prove(dict, key->stripe, found);
  return err ? err : SHMSEG_EMPTY;
}

/* The chain's word proves all that is read in it. */
static int find_in_chain(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  uint32_t next = dict_word_cell(found->word);
  found->cell = 0;
  for (int i = 0; i < DICT_CHAIN_MAX && next != 0; i++) {
    found->before = found->cell;
    found->cell = next;
    if (!dict_load_head(dict, next, &found->head))
      return shmseg_dict_garbage(dict, key->stripe, found);
    if (dict_is_key(dict, next, &found->head, key))
      return 0;
    next = found->head.next;
  }
  if (next != 0)
    return shmseg_dict_garbage(dict, key->stripe, found);
  int err = dict_prove(dict, key->stripe, found);
  return err ? err : SHMSEG_EMPTY;
}

int shmseg_dict_find(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  uint64_t valid = WORD_VALID;
  found->epoch = dict_epoch(dict, key->stripe);
  for (int i = 0; i < DICT_SLOTS; i++) {
    uint64_t at = dict_slot_at(key->line, i), word = load_acquire(dict_word64(dict, at));
    valid &= word;
    if (dict_word_tag(word) != key->tag || dict_word_cell(word) == 0)
      continue;
    found->at = at;
    found->word = word;
    found->entry = i;
    int err = find_in_slot(dict, key, found);
    if (err != SHMSEG_EMPTY)
      return err;
  }
  found->at = key->line + LINE_CHAIN;
  found->word = load_acquire(dict_word64(dict, found->at));
  found->entry = DICT_CHAIN;
  int err = segment_status(dict->object.segment);
  if (err || (valid & found->word) == 0)
    return err ? err : SHMSEG_CORRUPT;
  return dict_word_cell(found->word) == 0 ? SHMSEG_EMPTY : find_in_chain(dict, key, found);
}

void shmseg_dict_use(const shmseg_dict *dict, uint32_t stripe, uint64_t line, int entry) {
  if (!dict->object.segment->writable)
    return;
  uint32_t *marks = dict_word32(dict, line + LINE_MARKS), seen = load_relaxed(marks);
  unsigned shift = 5u * (unsigned)entry;
  uint64_t age = load_relaxed(dict_word64(dict, dict_stripe_at(stripe, STRIPE_AGE)));
  uint32_t mark = (uint32_t)(age & 31) << shift, mask = (uint32_t)31 << shift;
  if ((seen & mask) != mark)
    cas_ordered(marks, &seen,
                (seen & ~mask) | mark); /* one that fails is a use that is not noted */
}
