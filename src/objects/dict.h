/* SPDX-License-Identifier: MIT */
/* What the files of the dict offer each other. dict_words.h has the types; dict.c describes the whole. */
#ifndef SHMSEG_OBJECTS_DICT_H
#define SHMSEG_OBJECTS_DICT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/word.h"
#include "objects/dict_words.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* --- dict.c: keys ------------------------------------------------------------------------- */

/* Says where a key of that hash belongs. */
static inline void dict_place(const shmseg_dict *dict, uint64_t hash, dict_key *key) {
  key->hash = hash;
  key->stripe = (uint32_t)(hash >> 58) & (dict->stripes - 1);
  key->tag = (uint32_t)(hash >> 48) & WORD_TAG_MASK;
  key->line = dict_line_at(dict, key->stripe, ((hash & UINT32_MAX) * dict->lines) >> 32);
}

/* Checks the key and says where it belongs. EINVAL; SHMSEG_EMPTY: the dict is read-only and has no hash
 * key yet, so nothing is in it; what shmseg_object_ready() says. */
int shmseg_dict_locate(const shmseg_dict *dict, const void *key, size_t size, dict_key *where);

/* --- dict_cells.c: bytes in cells --------------------------------------------------------- */

/* The address of those bytes, if all of them are in the block's first run; else NULL. */
static inline unsigned char *dict_in_run(const shmseg_dict *dict, dict_block block, uint64_t from,
                                         uint64_t size) {
  uint64_t room = (uint64_t)block.run * DICT_CELL;
  if (!dict_is_run(dict, block.cell, block.run) || size > room || from > room - size)
    return NULL;
  return shmseg_object_at(&dict->object, dict_cell_at(dict, block.cell) + from);
}

int shmseg_dict_read_slowly(const shmseg_dict *dict, dict_block block, uint64_t from, void *to,
                            uint64_t size);
bool shmseg_dict_equals_slowly(const shmseg_dict *dict, dict_block block, uint64_t from,
                               const void *bytes, uint64_t size);

/* Copies size bytes, from that offset in the block on. Follows links; SHMSEG_CORRUPT when they lead out
 * of the dict. What a peer changes meanwhile is copied as any mixture. block.count is not used. */
static inline int shmseg_dict_read(const shmseg_dict *dict, dict_block block, uint64_t from,
                                   void *to, uint64_t size) {
  const unsigned char *at = dict_in_run(dict, block, from, size);
  if (!at)
    return shmseg_dict_read_slowly(dict, block, from, to, size);
  copy_from_shared(to, at, (size_t)size);
  return 0;
}

/* The same into a block that is ours, and not published. */
int shmseg_dict_write(const shmseg_dict *dict, dict_block block, uint64_t from, const void *bytes,
                      uint64_t size);

/* Are those bytes there? False also when links lead out of the dict. Short ones are compared word by word:
 * a cell has whole words, so the last one may be read beyond the bytes. */
static inline bool shmseg_dict_equals(const shmseg_dict *dict, dict_block block, uint64_t from,
                                      const void *bytes, uint64_t size) {
  unsigned char *at = dict_in_run(dict, block, from, size);
  if (!at || from % 8 != 0 || size > DICT_CELL)
    return shmseg_dict_equals_slowly(dict, block, from, bytes, size);
  const unsigned char *mine = bytes;
  size_t left = (size_t)size;
  for (; left >= 8; left -= 8, at += 8, mine += 8) {
    uint64_t word = load_relaxed((uint64_t *)(void *)at);
    if (memcmp(&word, mine, 8) != 0)
      return false;
  }
  if (left == 0)
    return true;
  uint64_t word = load_relaxed((uint64_t *)(void *)at);
  return memcmp(&word, mine, left) == 0;
}

/* Calls visit for each contiguous run of the block: 0, SHMSEG_CORRUPT, or what visit returned. */
int shmseg_dict_each_run(const shmseg_dict *dict, dict_block block,
                         int (*visit)(void *context, uint32_t cell, uint32_t count), void *context);

/* Reads what an item, or an element, begins with. False: that cannot be one (a peer is changing it, or
 * has written over it). */
bool shmseg_dict_read_head(const shmseg_dict *dict, uint32_t cell, dict_head *head);

/* An element: head->key_size is 0, ->flags its previous one, ->next its next one. */
bool shmseg_dict_read_element(const shmseg_dict *dict, uint32_t cell, dict_head *head);

/* Writes an item's head and key into its block (head->run is the block's), before it is published. */
int shmseg_dict_write_head(const shmseg_dict *dict, dict_block block, const dict_head *head,
                           const void *key);

/* --- dict_find.c: reading without a lock --------------------------------------------------- */

/* Looks for the key, live or stale: 0; SHMSEG_EMPTY: it was not there at some moment of the call, and
 * found->epoch is set; SHMSEG_CHANGED: look again. Also under the stripe's lock. */
int shmseg_dict_find(const shmseg_dict *dict, const dict_key *key, dict_found *found);

/* dict_read.c: a live item that does not expire, proved, and its spot. SHMSEG_CHANGED: there is none. */
int shmseg_dict_find_lasting(const shmseg_dict *dict, const void *key, size_t key_size,
                             dict_found *found, shmseg_dict_spot *spot);

/* Notes that the entry is used: writes its mark if it differs from the stripe's age, and the segment is
 * writable. */
void shmseg_dict_use(const shmseg_dict *dict, uint32_t stripe, uint64_t line, int entry);

/* The item's number: from the line when the word is hot. */
static inline uint64_t dict_number(const shmseg_dict *dict, uint64_t line,
                                   const dict_found *found) {
  return dict_is_hot(found) ? load_relaxed(dict_word64(dict, line + LINE_HOT)) : found->head.number;
}

/* --- dict_arena.c: free memory ------------------------------------------------------------- */

/* Takes a block of count cells for the stripe whose lock is held; allowance cells are then to be given back by
 * the same operation. If that is growth, the cells that are not free, with these, and without allowance and what
 * the stripe has to spare, must be at most the quota: else ENOMEM. What does not grow may always exceed it
 * meanwhile; a block of more than a page needs the large lock for that, which this takes, and dict_leave gives
 * back. SHMSEG_INTERRUPTED, SHMSEG_TIMEOUT. */
int shmseg_dict_take(dict_op *op, uint64_t count, uint64_t allowance, dict_block *block);

/* Gives a block back, which nothing refers to any more and no word proves. If the arena cannot be
 * locked, op->is_broken. */
void shmseg_dict_give(dict_op *op, dict_block block);

/* Gives the spare runs of the op's stripe back to the arena. Gives how many cells that were. */
uint64_t shmseg_dict_give_spare(dict_op *op);

/* --- dict_sweep.c: marks of repair --------------------------------------------------------- */

/* Frees all cells of the op's stripe that do not have DICT_MARKED, and takes the marks away. */
int shmseg_dict_sweep(dict_op *op);

/* Marks the block's cells. False: not all of them are the stripe's, or one is marked already: then none
 * is marked anew. */
bool shmseg_dict_mark(dict_op *op, dict_block block);

/* Takes the marks of a block away that shmseg_dict_mark() has marked. */
void shmseg_dict_unmark_block(dict_op *op, dict_block block);

/* Takes old marks of the stripe's cells away. */
int shmseg_dict_unmark(dict_op *op);

/* --- dict_stripe.c: writing under a stripe's lock ------------------------------------------- */

/* What a call that writes a key begins with: says where it belongs, and enters its stripe. dict and deadline
 * are set. The errors of shmseg_dict_locate(), but for SHMSEG_EMPTY, and of shmseg_dict_enter(). */
int shmseg_dict_begin(dict_op *op, const void *key, size_t size, dict_key *where);

/* What it ends with: leaves, and wakes those who watch the key's line if err is 0. */
int shmseg_dict_finish(dict_op *op, const dict_key *where, int err);

/* Locks op->stripe, repairs it if its last owner died, and reads the flush stamp. dict, stripe and
 * deadline are set. SHMSEG_INTERRUPTED, SHMSEG_TIMEOUT, SHMSEG_READ_ONLY, … */
int shmseg_dict_enter(dict_op *op);

/* The same without waiting, for another stripe of an operation that has one: SHMSEG_TIMEOUT when
 * somebody living has it. */
int shmseg_dict_try_enter(dict_op *op);

/* Unlocks, and gives err; or what befell the segment meanwhile. After SHMSEG_CORRUPT, or if op->is_broken,
 * the stripe is left to be repaired. */
int shmseg_dict_leave(dict_op *op, int err);

/* shmseg_dict_find() under the stripe's lock, where nothing can change: no SHMSEG_CHANGED. */
int shmseg_dict_look(const dict_op *op, const dict_key *key, dict_found *found);

/* Looks again for an item that was left alone while others of its chain may have gone to make room. */
static inline int dict_look_again(const dict_op *op, const dict_key *key, dict_found *found) {
  if (load_relaxed(dict_own(op, STRIPE_EPOCH)) == found->epoch)
    return 0;
  int err = shmseg_dict_look(op, key, found);
  return err == SHMSEG_EMPTY ? SHMSEG_CORRUPT : err;
}

/* The counts that are there hold for another flush stamp. */
__attribute__((cold)) void shmseg_dict_count_anew(dict_op *op);

static inline void dict_add(uint64_t *word, int64_t more) {
  store_relaxed(word, load_relaxed(word) + (uint64_t)more);
}

/* The stripe's count and bytes change by so much, and its used cells. Items and bytes of a flushed item
 * are not counted any more. */
static inline void dict_count(dict_op *op, int64_t items, int64_t bytes, int64_t cells) {
  if (load_relaxed(dict_own(op, STRIPE_STAMP)) != op->flush)
    shmseg_dict_count_anew(op);
  dict_add(dict_own(op, STRIPE_COUNT), items);
  dict_add(dict_own(op, STRIPE_BYTES), bytes);
  dict_add(dict_own(op, STRIPE_USED), cells);
}

/* Adds 1 to a counter of the stripe. */
static inline void dict_tell(dict_op *op, uint64_t counter) {
  dict_add(dict_own(op, counter), 1);
}

/* Counts a write that ends with err among the refused ones, if there was no room for it. Gives err. */
static inline int dict_refused(dict_op *op, int err) {
  if (err == ENOMEM || err == EFBIG)
    dict_tell(op, STRIPE_REFUSED);
  return err;
}

/* Takes the mark of those who watch the line away, and wakes them. */
__attribute__((cold)) void shmseg_dict_wake(const shmseg_dict *dict, uint32_t stripe,
                                            uint64_t line);

/* Wakes those who watch the line. The caller has changed a word, and passed a swap, as the unlock is one: so
 * it sees the mark of everyone who has looked before the change could be seen. */
static inline void dict_notify(const shmseg_dict *dict, uint32_t stripe, uint64_t line) {
  if (load_ordered(dict_word32(dict, line + LINE_MARKS)) & DICT_WATCHED)
    shmseg_dict_wake(dict, stripe, line);
}

/* --- dict_age.c: the ages of a stripe --------------------------------------------------------- */

#define DICT_AGES ((uint64_t)8) /* in which the stripe's whole share is written */
#define DICT_AGE_STEP 64 /* cells that are written from one step of the hand to the next one */

/* So many cells were written since the age grew, and so many before this operation: it may grow. */
void shmseg_dict_age(dict_op *op, uint64_t before, uint64_t written);

/* Notes that cells were written. */
static inline void dict_written(dict_op *op, uint64_t cells) {
  uint64_t before = load_relaxed(dict_own(op, STRIPE_WRITTEN)), written = before + cells;
  if (before / DICT_AGE_STEP == written / DICT_AGE_STEP &&
      written * DICT_AGES * op->dict->stripes < op->dict->quota)
    store_relaxed(dict_own(op, STRIPE_WRITTEN), written);
  else
    shmseg_dict_age(op, before, written);
}

/* --- dict_index.c: the words that publish --------------------------------------------------- */

/* These publish by one store, and move the stripe's epoch. A hot word is changed under its line's lock.
 * 0, SHMSEG_INTERRUPTED, SHMSEG_TIMEOUT (the line's lock; nothing has changed). They count nothing,
 * and free nothing. */

/* Puts a finished item that has no entry into a free slot, or the chain. */
int shmseg_dict_insert(dict_op *op, const dict_key *key, uint32_t cell, bool is_timed);

/* Puts a finished item in the place of another one. Its ITEM_NEXT is 0, and is set here in a chain. */
int shmseg_dict_replace(dict_op *op, uint64_t line, const dict_found *found, uint32_t cell,
                        bool is_timed);

/* Takes an item out. */
int shmseg_dict_remove(dict_op *op, uint64_t line, const dict_found *found);

/* Gives the item's word another version, after its list has changed; and WORD_TIMED as said. */
int shmseg_dict_renew(dict_op *op, uint64_t line, const dict_found *found, bool is_timed);

/* Makes a number in a slot hot, with another value: what its word says. found->word follows. */
int shmseg_dict_heat(dict_op *op, uint64_t line, dict_found *found, uint64_t number);

/* The item is not hot any more, and its number is in found->head. found->word follows. */
int shmseg_dict_cool(dict_op *op, uint64_t line, dict_found *found);

/* Removes the item, frees and counts all that it has, its cells and its elements, and wakes those who
 * watch it. */
int shmseg_dict_drop(dict_op *op, uint64_t line, const dict_found *found);

/* --- dict_list.c: all elements of a list ----------------------------------------------------- */

/* Frees the elements of a list that nothing refers to any more, first | last << 32, and counts their
 * cells. Gives their bytes, which the caller counts. If they are not all found, op->is_broken. */
uint64_t shmseg_dict_give_list(dict_op *op, uint64_t ends, uint64_t count);

/* The bytes of a list's elements, under the stripe's lock, and how many cells they have. */
uint64_t shmseg_dict_list_bytes(const dict_op *op, uint64_t ends, uint64_t count, uint64_t *cells);

/* --- dict_expire.c ---------------------------------------------------------------------------- */

/* The moment that is ttl milliseconds from now, for ITEM_EXPIRY; 0: never. *now as for dict_is_stale(). */
uint64_t shmseg_dict_expiry(int64_t ttl, int64_t *now);

/* --- dict_store.c: an item for a key -------------------------------------------------------- */

/* Makes an item and puts it in the place of old, NULL if the key is not there. Of head all is set but
 * key_size, run, stamp and next; bytes are those of the value, if its type has some. Changes nothing when
 * it fails, but it may have evicted. */
int shmseg_dict_put(dict_op *op, const dict_key *key, dict_found *old, dict_head *head,
                    const void *bytes, bool is_safe, bool *forcible);

/* --- dict_evict.c: room --------------------------------------------------------------------- */

/* Takes a block, as shmseg_dict_take(); makes room if there is none: by what has expired, and unless
 * is_safe, or the dict's evict is SHMSEG_DICT_NONE, by what was not used for long. The item at keep is
 * left alone. Items of other stripes go when the own one has none left. ENOMEM; SHMSEG_TIMEOUT: others
 * hold what could go. *forcible is set when a live item went. */
int shmseg_dict_room(dict_op *op, uint64_t count, uint64_t allowance, uint32_t keep, bool is_safe,
                     bool *forcible, dict_block *block);

/* --- dict_claim.c --------------------------------------------------------------------------- */

/* Voids the claim on the key, if there is one. Before the key is written, under its stripe's lock. */
void shmseg_dict_void(dict_op *op, const dict_key *key);

static inline void dict_void(dict_op *op, const dict_key *key) {
  if (load_relaxed(dict_own(op, STRIPE_CLAIMS)) != 0)
    shmseg_dict_void(op, key);
}

/* Under the stripe's lock: is the claim still ours, and not void? */
bool shmseg_dict_claim_holds(const dict_op *op, const shmseg_dict_claim *claim);

/* Counts the stripe's claim words anew, after a death. */
void shmseg_dict_recount_claims(dict_op *op);

/* --- dict_wait.c ----------------------------------------------------------------------------- */

/* Says that somebody is about to sleep until the key's line changes, or its claim. Gives the key for
 * shmseg_eventcount_wait(), 0 through a read-only handle. Loads behind it see each change whose writer has
 * not seen that. */
uint32_t shmseg_dict_ask(const shmseg_dict *dict, const dict_key *key);

/* Sleeps until such a change, as shmseg_eventcount_wait(). */
int shmseg_dict_sleep(const shmseg_dict *dict, const dict_key *key, uint32_t watched,
                      int64_t deadline);

/* --- dict_repair.c -------------------------------------------------------------------------- */

/* Makes anew what can be derived of the op's stripe, whose lock is held: free cells, counts. */
int shmseg_dict_repair(dict_op *op);

/* --- dict_check.c --------------------------------------------------------------------------- */

/* Names the first invariant that is broken, or NULL. */
const char *shmseg_dict_check_all(const shmseg_dict *dict);

#pragma GCC visibility pop

#endif
