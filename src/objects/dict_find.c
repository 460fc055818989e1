/* SPDX-License-Identifier: MIT */
/* Finding a key in a dict without a lock, and proving what was read. dict.c has the protocol. */
#include "objects/dict_find.h"

int shmseg_dict_overtaken(dict_retry *retry) {
  int err = shmseg_wait_overtaken(&retry->patience, 0);
  return ++retry->tries < FIND_TRIES ? SHMSEG_CHANGED : err;
}

/* The chain's word proves all that is read in it. */
static int find_in_chain(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  uint32_t next = dict_word_cell(found->word);
  found->cell = 0;
  for (int i = 0; i < DICT_CHAIN_MAX && next != 0; i++) {
    found->before = found->cell;
    found->cell = next;
    if (!dict_is_cell(dict, next))
      return dict_garbage(dict, key->stripe, found);
    const uint64_t *words = dict_word64(dict, dict_cell_at(dict, next));
    if (!dict_load_words(dict, words, next, &found->head))
      return dict_garbage(dict, key->stripe, found);
    if (dict_is_key(dict, words, next, &found->head, key))
      return 0;
    next = found->head.next;
  }
  if (next != 0)
    return dict_garbage(dict, key->stripe, found);
  int err = dict_prove(dict, key->stripe, found);
  return err ? err : SHMSEG_EMPTY;
}

/* Are all words of the line words of an index? */
static bool find_is_valid(const shmseg_dict *dict, uint64_t line) {
  uint64_t valid = load_relaxed(dict_word64(dict, line + LINE_CHAIN));
  for (int i = 0; i < DICT_SLOTS; i++)
    valid &= load_relaxed(dict_word64(dict, dict_slot_at(line, i)));
  return valid & WORD_VALID;
}

int shmseg_dict_find_behind(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  found->at = key->line + LINE_CHAIN;
  found->word = load_acquire(dict_word64(dict, found->at));
  found->entry = DICT_CHAIN;
  if (dict_word_cell(found->word) != 0)
    return find_in_chain(dict, key, found);
  bool is_valid = find_is_valid(dict, key->line);
  int err = segment_status(dict->object.segment);
  return err ? err : is_valid ? SHMSEG_EMPTY : SHMSEG_CORRUPT;
}

int shmseg_dict_find(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  return dict_find(dict, key, found);
}

void shmseg_dict_use(const shmseg_dict *dict, uint32_t stripe, uint64_t line, int entry) {
  dict_use(dict, stripe, line, entry);
}
