/* SPDX-License-Identifier: MIT */
/* The arena of a dict, for the files that take from it and look at it. dict_pages.c describes it. */
#ifndef SHMSEG_OBJECTS_DICT_ARENA_H
#define SHMSEG_OBJECTS_DICT_ARENA_H

#include "objects/dict.h"

#pragma GCC visibility push(hidden)

/* Cells that lie one behind the other. */
typedef struct {
  uint32_t cell, count;
} dict_run;

/* --- owners (inline) ---------------------------------------------------------------------- */

/* Owners are copied, not loaded: neighbours belong to others, who write to theirs at any time. */
static inline void owners_read(const shmseg_dict *dict, uint32_t cell, uint32_t count,
                               uint8_t *owners) {
  copy_from_shared(owners, shmseg_object_at(&dict->object, dict->at_owners + cell), count);
}

/* At most a page. */
static inline void owners_write(const shmseg_dict *dict, uint32_t cell, uint32_t count,
                                uint8_t owner) {
  uint8_t owners[DICT_PAGE];
  memset(owners, owner, sizeof owners);
  copy_to_shared(shmseg_object_at(&dict->object, dict->at_owners + cell), owners, count);
}

/* Which of a page's cells have that owner? Most pages have none of a stripe's. */
static inline uint64_t owners_equal(const uint8_t *owners, uint8_t owner) {
  uint64_t bits = 0;
  if (!memchr(owners, owner, DICT_PAGE))
    return 0;
  for (uint32_t i = 0; i < DICT_PAGE; i++)
    bits |= (uint64_t)(owners[i] == owner) << i;
  return bits;
}

static inline uint8_t owners_own(const dict_op *op) {
  return (uint8_t)(op->stripe + DICT_OWNED);
}

/* --- pages (inline) ----------------------------------------------------------------------- */

static inline uint32_t pages_end(const shmseg_dict *dict) {
  return (uint32_t)(dict->cells / DICT_PAGE);
}

static inline uint64_t *page_mask(const shmseg_dict *dict, uint32_t page) {
  return dict_word64(dict, dict->at_pages + (uint64_t)page * PAGE_SIZE_IN_TABLE);
}

static inline uint32_t *page_next(const shmseg_dict *dict, uint32_t page) {
  return dict_word32(dict, dict->at_pages + (uint64_t)page * PAGE_SIZE_IN_TABLE + 8);
}

static inline uint32_t *page_before(const shmseg_dict *dict, uint32_t page) {
  return dict_word32(dict, dict->at_pages + (uint64_t)page * PAGE_SIZE_IN_TABLE + 12);
}

static inline uint32_t *bin_head(const shmseg_dict *dict, uint32_t bin) {
  return dict_word32(dict, DICT_BINS + (uint64_t)(bin - 1) * 4);
}

/* The first page that was never used. It is not derived, but all pages may count as used. */
static inline uint32_t arena_fresh(const shmseg_dict *dict) {
  uint32_t fresh = load_relaxed(dict_word32(dict, DICT_FRESH));
  return fresh >= 1 && fresh <= pages_end(dict) ? fresh : pages_end(dict);
}

/* How many cells are not free. */
static inline uint64_t arena_granted(const shmseg_dict *dict) {
  return load_relaxed(dict_word64(dict, DICT_GRANTED));
}

/* --- dict_pages.c ------------------------------------------------------------------------- */

/* The longest run of bits. */
uint32_t shmseg_dict_arena_longest(uint64_t bits);

/* Locks the arena, and derives what is derived if its last owner died. SHMSEG_INTERRUPTED, SHMSEG_TIMEOUT. */
int shmseg_dict_arena_enter(const dict_op *op);

/* The same for what cannot be called again: never SHMSEG_INTERRUPTED. */
int shmseg_dict_arena_enter_fully(const dict_op *op);

/* Unlocks, and gives err; or what befell the segment. After an error that is not ENOMEM the next owner derives
 * everything anew. */
int shmseg_dict_arena_leave(const dict_op *op, int err);

/* The others are called under the lock. SHMSEG_CORRUPT: what is derived cannot be right. */

/* Takes a run of at most so many cells, at most a page: the shortest that has so many, or else the
 * longest. ENOMEM: there is no free cell. */
int shmseg_dict_arena_take_run(const dict_op *op, uint32_t most, dict_run *run);

/* Takes a block in as few runs as there are; all of it, or nothing and ENOMEM. */
int shmseg_dict_arena_take(dict_op *op, uint64_t count, dict_block *block);

/* Gives a run back, whatever pages it is in: a visit of shmseg_dict_each_run(), whose context is a dict_op. */
int shmseg_dict_arena_give(void *context, uint32_t cell, uint32_t count);

/* Frees those cells of the page, which are the stripe's. */
int shmseg_dict_arena_free(const dict_op *op, uint32_t page, uint64_t bits);

#pragma GCC visibility pop

#endif
