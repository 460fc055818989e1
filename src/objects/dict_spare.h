/* SPDX-License-Identifier: MIT */
/* The spare runs of a stripe, inline: what is replaced by something of its size needs no other memory.
 * dict_arena.c describes them. */
#ifndef SHMSEG_OBJECTS_DICT_SPARE_H
#define SHMSEG_OBJECTS_DICT_SPARE_H

#include <errno.h>

#include "objects/dict_arena.h"

#pragma GCC visibility push(hidden)

/* What the stripe has in reserve, and where that stands. */
typedef struct {
  uint32_t *words; /* STRIPE_SPARE, and STRIPE_RUNS behind it */
  uint32_t runs, cells;
} dict_spare;

_Static_assert(STRIPE_RUNS == STRIPE_SPARE + 8, "the runs are behind their number");

static inline int spare_read(const dict_op *op, dict_spare *spare) {
  spare->words = (uint32_t *)dict_own(op, STRIPE_SPARE);
  spare->runs = load_relaxed(spare->words);
  spare->cells = load_relaxed(spare->words + 1);
  return spare->runs <= SPARE_RUNS && spare->cells <= SPARE_CELLS ? 0 : SHMSEG_CORRUPT;
}

static inline void spare_write(const dict_spare *spare, uint32_t runs, uint32_t cells) {
  store_relaxed(spare->words, runs);
  store_relaxed(spare->words + 1, cells);
}

static inline dict_run spare_run(const dict_spare *spare, uint32_t i) {
  const uint32_t *words = spare->words + 2 + (size_t)2 * i;
  dict_run run = { load_relaxed(words), load_relaxed(words + 1) };
  return run;
}

static inline void spare_set(const dict_spare *spare, uint32_t i, dict_run run) {
  uint32_t *words = spare->words + 2 + (size_t)2 * i;
  store_relaxed(words, run.cell);
  store_relaxed(words + 1, run.count);
}

static inline bool spare_has_room(const dict_spare *spare, uint64_t cells) {
  return spare->runs < SPARE_RUNS && cells <= SPARE_CELLS - spare->cells;
}

static inline void spare_add(dict_spare *spare, dict_run run) {
  spare_set(spare, spare->runs, run);
  spare->runs++;
  spare->cells += run.count;
  spare_write(spare, spare->runs, spare->cells);
}

/* shmseg_dict_take() of what does not grow, where the latest spare run has that length. */
__attribute__((always_inline)) static inline bool
dict_take_spare(const dict_op *op, uint64_t count, uint64_t allowance, dict_block *block) {
  dict_spare spare;
  if (count > allowance || spare_read(op, &spare) != 0 || spare.runs == 0)
    return false;
  dict_run run = spare_run(&spare, spare.runs - 1);
  if (run.count != count || run.count > spare.cells || !dict_is_run(op->dict, run.cell, run.count))
    return false;
  spare_write(&spare, spare.runs - 1, spare.cells - run.count);
  *block = (dict_block){ run.cell, run.count, count };
  fence_release(); /* as in shmseg_dict_take() */
  return true;
}

/* shmseg_dict_give() of what the spare runs have room for. */
__attribute__((always_inline)) static inline bool dict_give_spare(const dict_op *op,
                                                                  dict_block block) {
  dict_spare spare;
  if (block.run != block.count || spare_read(op, &spare) != 0 ||
      !spare_has_room(&spare, block.count) || !dict_is_run(op->dict, block.cell, block.run))
    return false;
  spare_add(&spare, (dict_run){ block.cell, block.run });
  return true;
}

#pragma GCC visibility pop

#endif
