/* SPDX-License-Identifier: MIT */
/* The words of the index: each store of one publishes a change, and moves the stripe's epoch (D3). */
#include "core/lock.h"
#include "objects/dict_find.h"

static uint64_t index_version(uint64_t word) {
  return word >> WORD_VERSION & (DICT_VERSIONS - 1);
}

/* Stores a word with the next version: whoever loads it with acquire sees the item that it leads to.
 * bits: VALID, HOT, TIMED and the tag. Gives the word. */
static inline uint64_t index_publish(const dict_op *op, uint64_t at, uint64_t bits, uint32_t cell) {
  uint64_t *word = dict_word64(op->dict, at), *epoch = dict_own(op, STRIPE_EPOCH);
  uint64_t version = load_relaxed(epoch) + 1;
  if (index_version(load_relaxed(word)) == (version & (DICT_VERSIONS - 1)))
    store_release(epoch, version++);
  uint64_t next = bits | (version & (DICT_VERSIONS - 1)) << WORD_VERSION |
                  (uint64_t)cell << WORD_CELL | WORD_VALID;
  store_release(word, next);     /* pairs with the acquire in dict_find() */
  store_release(epoch, version); /* who sees it sees the word */
  return next;
}

/* --- the line's lock ----------------------------------------------------------------------- */

/* After a death there is nothing to mend: what is under the lock is one word. */
static int index_lock(const dict_op *op, uint64_t line) {
  bool is_dirty;
  return shmseg_lock_enter_patiently(op->dict->object.segment,
                                     dict_word32(op->dict, line + LINE_LOCK), op->id, DICT_PATIENCE,
                                     op->deadline, &is_dirty);
}

/* An error is the segment's, and stays until dict_leave says so. */
static void index_unlock(const dict_op *op, uint64_t line) {
  shmseg_lock_release(op->dict->object.segment, dict_word32(op->dict, line + LINE_LOCK), op->id,
                      SHMSEG_LOCK_FREE, 1);
}

__attribute__((noinline)) static int index_change_hot(const dict_op *op, uint64_t line, uint64_t at,
                                                      uint64_t bits, uint32_t cell) {
  int err = index_lock(op, line);
  if (err)
    return err;
  index_publish(op, at, bits, cell);
  index_unlock(op, line);
  return 0;
}

/* Changes a slot's word; a hot one under the line's lock, so that nobody adds to it afterwards. */
static inline int index_change(const dict_op *op, uint64_t line, const dict_found *found,
                               uint64_t bits, uint32_t cell) {
  if (found->word & WORD_HOT)
    return index_change_hot(op, line, found->at, bits, cell);
  index_publish(op, found->at, bits, cell);
  return 0;
}

/* --- items -------------------------------------------------------------------------------- */

static uint64_t index_bits(uint32_t tag, bool is_timed) {
  return (uint64_t)tag << WORD_TAG | (is_timed ? WORD_TIMED : 0);
}

static inline void index_set_next(const dict_op *op, uint32_t cell, uint32_t next) {
  store_release(dict_word32(op->dict, dict_cell_at(op->dict, cell) + ITEM_NEXT), next);
}

/* The chain gets another first item, or only another version. Its word is timed when one of its items may
 * be. */
static void index_chain(const dict_op *op, uint64_t line, uint32_t first, bool is_timed) {
  uint64_t at = line + LINE_CHAIN, word = load_relaxed(dict_word64(op->dict, at));
  bool was_timed = dict_word_cell(word) != 0 && word & WORD_TIMED;
  index_publish(op, at, index_bits(0, first != 0 && (is_timed || was_timed)), first);
}

/* What is behind `before` in the chain, or first, is now another item. Where a link publishes, who loads it
 * with acquire sees that item; the chain's word then says that something has changed. */
static void index_relink(const dict_op *op, uint64_t line, uint32_t before, uint32_t cell,
                         bool is_timed) {
  uint32_t first = cell;
  if (before != 0) {
    index_set_next(op, before, cell);
    first = dict_word_cell(load_relaxed(dict_word64(op->dict, line + LINE_CHAIN)));
  }
  index_chain(op, line, first, is_timed);
}

/* As shmseg_dict_use(), by a writer. */
static inline void index_use(const dict_op *op, uint64_t line, int entry) {
  dict_mark_use(dict_word32(op->dict, line + LINE_MARKS), load_relaxed(dict_own(op, STRIPE_AGE)),
                entry);
}

int shmseg_dict_insert(dict_op *op, const dict_key *key, uint32_t cell, bool is_timed) {
  int entry = 0;
  while (entry < DICT_SLOTS &&
         dict_word_cell(load_relaxed(dict_word64(op->dict, dict_slot_at(key->line, entry)))) != 0)
    entry++;
  if (entry < DICT_SLOTS) {
    index_publish(op, dict_slot_at(key->line, entry), index_bits(key->tag, is_timed), cell);
  } else {
    uint64_t chain = load_relaxed(dict_word64(op->dict, key->line + LINE_CHAIN));
    index_set_next(op, cell, dict_word_cell(chain));
    index_chain(op, key->line, cell, is_timed);
  }
  index_use(op, key->line, entry);
  return 0;
}

int shmseg_dict_replace(dict_op *op, uint64_t line, const dict_found *found, uint32_t cell,
                        bool is_timed) {
  if (found->entry == DICT_CHAIN) {
    index_set_next(op, cell, found->head.next);
    index_relink(op, line, found->before, cell, is_timed);
  } else {
    int err = index_change(op, line, found, index_bits(dict_word_tag(found->word), is_timed), cell);
    if (err)
      return err;
  }
  index_use(op, line, found->entry);
  return 0;
}

int shmseg_dict_remove(dict_op *op, uint64_t line, const dict_found *found) {
  if (found->entry != DICT_CHAIN)
    return index_change(op, line, found, 0, 0);
  index_relink(op, line, found->before, found->head.next, false);
  return 0;
}

int shmseg_dict_renew(dict_op *op, uint64_t line, const dict_found *found, bool is_timed) {
  if (found->entry == DICT_CHAIN) {
    index_chain(op, line, dict_word_cell(found->word), is_timed);
    return 0;
  }
  uint64_t bits = index_bits(dict_word_tag(found->word), is_timed) | (found->word & WORD_HOT);
  return index_change(op, line, found, bits, found->cell);
}

/* --- hot numbers (D5) ---------------------------------------------------------------------- */

static void index_set_number(const dict_op *op, uint32_t cell, uint64_t number) {
  fence_release(); /* D4: who reads this number sees that the word was hot meanwhile */
  store_relaxed(dict_word64(op->dict, dict_cell_at(op->dict, cell) + ITEM_NUMBER), number);
}

/* Under both locks: no item of the line is hot any more. The number is in both places, then the word says
 * where it is. */
static void index_cool_line(const dict_op *op, uint64_t line) {
  uint64_t number = load_relaxed(dict_word64(op->dict, line + LINE_HOT));
  for (int i = 0; i < DICT_SLOTS; i++) {
    uint64_t at = dict_slot_at(line, i), word = load_relaxed(dict_word64(op->dict, at));
    uint32_t cell = dict_word_cell(word);
    if (!(word & WORD_HOT) || !dict_is_cell(op->dict, cell))
      continue;
    index_set_number(op, cell, number);
    index_publish(op, at, index_bits(dict_word_tag(word), word & WORD_TIMED), cell);
  }
}

int shmseg_dict_heat(dict_op *op, uint64_t line, dict_found *found, uint64_t number) {
  int err = index_lock(op, line);
  if (err)
    return err;
  index_cool_line(op, line);
  fence_release(); /* who reads the number below sees that the one that was hot is not any more */
  store_relaxed(dict_word64(op->dict, line + LINE_HOT), number);
  uint64_t bits = index_bits(dict_word_tag(found->word), found->word & WORD_TIMED) | WORD_HOT;
  found->word = index_publish(op, found->at, bits, found->cell);
  index_unlock(op, line);
  return 0;
}

int shmseg_dict_cool(dict_op *op, uint64_t line, dict_found *found) {
  if (!dict_is_hot(found))
    return 0;
  int err = index_lock(op, line);
  if (err)
    return err;
  index_cool_line(op, line);
  found->word = load_relaxed(dict_word64(op->dict, found->at));
  found->head.number =
      load_relaxed(dict_word64(op->dict, dict_cell_at(op->dict, found->cell) + ITEM_NUMBER));
  index_unlock(op, line);
  return 0;
}

/* --- freeing ------------------------------------------------------------------------------- */

/* What was flushed is not counted any more. */
static void index_release(dict_op *op, const dict_found *found) {
  const dict_head *head = &found->head;
  dict_block block = dict_item_block(found);
  uint64_t bytes = dict_item_bytes(head);
  if (head->type == SHMSEG_DICT_LIST)
    bytes += shmseg_dict_give_list(op, head->number, head->flags);
  bool is_counted = head->stamp == op->flush;
  dict_count(op, is_counted ? -1 : 0, is_counted ? -(int64_t)bytes : 0, -(int64_t)block.count);
  shmseg_dict_give(op, block);
}

int shmseg_dict_drop(dict_op *op, uint64_t line, const dict_found *found) {
  int err = shmseg_dict_remove(op, line, found);
  if (err)
    return err;
  or_ordered(dict_word32(op->dict, line + LINE_MARKS), 0); /* a swap, before who watches is asked */
  dict_notify(op->dict, op->stripe, line);
  index_release(op, found);
  return 0;
}
