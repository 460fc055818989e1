/* SPDX-License-Identifier: MIT */
/* Memory for the items of a dict: blocks from the arena, and each stripe's spare runs. dict.c describes
 * the whole, dict_pages.c the arena.
 *
 * A spare run belongs to its stripe, and nothing is in it. It is taken and given under the stripe's lock
 * alone. So what is replaced by something of its size needs no other lock. */
#include <errno.h>

#include "core/lock.h"
#include "objects/dict_arena.h"
#include "objects/dict_spare.h"

/* --- spare runs --------------------------------------------------------------------------- */

/* The run that fits: the latest of that length, or else the shortest that is longer. SPARE_RUNS: none. */
static uint32_t spare_find(const dict_spare *spare, uint32_t count, dict_run *run) {
  uint32_t found = SPARE_RUNS;
  for (uint32_t i = spare->runs; i > 0; i--) {
    dict_run seen = spare_run(spare, i - 1);
    if (seen.count < count || (found != SPARE_RUNS && seen.count >= run->count))
      continue;
    found = i - 1;
    *run = seen;
    if (seen.count == count)
      break;
  }
  return found;
}

/* Takes a block from the spare runs. ENOMEM: none is long enough. */
static int spare_take(const shmseg_dict *dict, const dict_spare *spare, uint64_t count,
                      dict_block *block) {
  dict_run run;
  uint32_t i = count <= spare->cells ? spare_find(spare, (uint32_t)count, &run) : SPARE_RUNS;
  if (i == SPARE_RUNS)
    return ENOMEM;
  if (!dict_is_run(dict, run.cell, run.count) || run.count > spare->cells)
    return SHMSEG_CORRUPT;
  *block = (dict_block){ run.cell, (uint32_t)count, count };
  if (run.count > count) {
    spare_set(spare, i, (dict_run){ run.cell + block->run, run.count - block->run });
    spare_write(spare, spare->runs, spare->cells - block->run);
    return 0;
  }
  if (i != spare->runs - 1)
    spare_set(spare, i, spare_run(spare, spare->runs - 1));
  spare_write(spare, spare->runs - 1, spare->cells - block->run);
  return 0;
}

/* Gives all of them to the arena, whose lock is held. A death in it: the stripe is repaired. */
static int spare_flush(dict_op *op, dict_spare *spare) {
  int err = 0;
  for (uint32_t i = 0; !err && i < spare->runs; i++) {
    dict_run run = spare_run(spare, i);
    err = dict_is_run(op->dict, run.cell, run.count) && run.count <= SPARE_CELLS
              ? shmseg_dict_arena_give(op, run.cell, run.count)
              : SHMSEG_CORRUPT;
  }
  spare->runs = spare->cells = 0;
  spare_write(spare, 0, 0);
  return err;
}

/* --- the quota ---------------------------------------------------------------------------- */

/* May the stripe use so many cells more, when allowance of its own go? What does not grow always may, for it
 * is on top of the quota for a moment only (D7); and it does not look at a line that others write to. */
static inline bool arena_allows(const shmseg_dict *dict, const dict_spare *spare, uint64_t count,
                                uint64_t allowance) {
  if (count <= allowance)
    return true;
  uint64_t granted = arena_granted(dict);
  uint64_t used = granted > spare->cells ? granted - spare->cells : 0;
  return used <= dict->quota && count - allowance <= dict->quota - used;
}

static bool arena_exceeds(const shmseg_dict *dict, uint64_t count) {
  uint64_t granted = arena_granted(dict);
  return granted > dict->quota || count > dict->quota - granted;
}

/* Is nobody at work in the arena, nor dead in it? Then the number of granted cells is right. */
static bool arena_is_in_order(const shmseg_dict *dict) {
  return load_acquire(dict_word32(dict, DICT_ARENA_LOCK)) == SHMSEG_LOCK_FREE;
}

/* Locks the arena for a block of so many cells, and before it the large lock if the block needs that. The
 * operation may have it from a block before. */
static int arena_enter_for(dict_op *op, const dict_spare *spare, uint64_t count,
                           uint64_t allowance) {
  int err = shmseg_dict_arena_enter(op);
  if (err || count <= DICT_PAGE || op->is_large || !arena_exceeds(op->dict, count) ||
      !arena_allows(op->dict, spare, count, allowance))
    return err;
  bool is_dirty; /* it protects no words */
  err = shmseg_dict_arena_leave(op, 0);
  if (!err)
    err = shmseg_lock_enter_patiently(op->dict->object.segment,
                                      dict_word32(op->dict, DICT_LARGE_LOCK), op->id, DICT_PATIENCE,
                                      op->deadline, &is_dirty);
  op->is_large = !err;
  return err ? err : shmseg_dict_arena_enter(op);
}

/* --- the operations ----------------------------------------------------------------------- */

/* With several stripes a page is taken at once where the quota has it, and a fresh page or a free one is
 * there; what is left of it is spare. */
static int arena_refill(dict_op *op, dict_spare *spare, uint32_t count, dict_block *block) {
  dict_run run;
  int err = shmseg_dict_arena_take_run(op, DICT_PAGE, &run);
  if (err)
    return err;
  if (run.count < count) /* it was no page */
    return SHMSEG_CORRUPT;
  *block = (dict_block){ run.cell, count, count };
  if (run.count > count)
    spare_add(spare, (dict_run){ run.cell + count, run.count - count });
  return 0;
}

static bool arena_may_refill(const shmseg_dict *dict, const dict_spare *spare, uint64_t count) {
  uint64_t whole = (uint64_t)1 << (DICT_PAGE - 1);
  bool has_page =
      load_relaxed(dict_word64(dict, DICT_FILLED)) & whole || arena_fresh(dict) < pages_end(dict);
  return dict->stripes > 1 && has_page && count < DICT_PAGE && !arena_exceeds(dict, DICT_PAGE) &&
         spare_has_room(spare, DICT_PAGE - count);
}

/* Under the arena's lock. What exceeds the quota for a moment exceeds it by no more than itself: so the
 * spare runs go first. */
static int arena_take_allowed(dict_op *op, dict_spare *spare, uint64_t count, uint64_t allowance,
                              dict_block *block) {
  if (!arena_allows(op->dict, spare, count, allowance))
    return ENOMEM;
  if (arena_may_refill(op->dict, spare, count))
    return arena_refill(op, spare, (uint32_t)count, block);
  int err = arena_exceeds(op->dict, count) ? spare_flush(op, spare) : 0;
  return err ? err : shmseg_dict_arena_take(op, count, block);
}

/* From the arena, where no spare run is long enough. */
__attribute__((noinline)) static int arena_take_new(dict_op *op, dict_spare *spare, uint64_t count,
                                                    uint64_t allowance, dict_block *block) {
  bool is_allowed = arena_allows(op->dict, spare, count, allowance);
  if (!is_allowed && arena_is_in_order(op->dict))
    return ENOMEM;
  int err = arena_enter_for(op, spare, count, allowance);
  if (!err)
    err = shmseg_dict_arena_leave(op, arena_take_allowed(op, spare, count, allowance, block));
  return err;
}

/* The fence pairs with the one in dict_prove(): who has read a byte that is written from now on sees
 * the word that does not lead to these cells any more, or leads to something else (D4). */
int shmseg_dict_take(dict_op *op, uint64_t count, uint64_t allowance, dict_block *block) {
  dict_spare spare;
  int err = spare_read(op, &spare);
  if (err || count == 0 || count > op->dict->cells)
    return err ? err : ENOMEM;
  err = arena_allows(op->dict, &spare, count, allowance)
            ? spare_take(op->dict, &spare, count, block)
            : ENOMEM;
  if (err == ENOMEM)
    err = arena_take_new(op, &spare, count, allowance, block);
  fence_release();
  return err;
}

/* To the arena: what is long, or in several runs; or else all spare runs, so that there is room for it. */
static int arena_give_old(dict_op *op, dict_spare *spare, dict_block block, bool is_short) {
  int err = shmseg_dict_arena_enter_fully(op);
  if (err)
    return err;
  if (is_short)
    return shmseg_dict_arena_leave(op, spare_flush(op, spare));
  return shmseg_dict_arena_leave(op,
                                 shmseg_dict_each_run(op->dict, block, shmseg_dict_arena_give, op));
}

void shmseg_dict_give(dict_op *op, dict_block block) {
  if (dict_give_spare(op, block))
    return;
  dict_spare spare;
  int err = spare_read(op, &spare);
  bool is_short = block.run == block.count && block.count <= SPARE_CELLS;
  if (!err && !dict_is_run(op->dict, block.cell, block.run))
    err = SHMSEG_CORRUPT;
  if (!err)
    err = arena_give_old(op, &spare, block, is_short);
  if (!err && is_short)
    spare_add(&spare, (dict_run){ block.cell, block.run });
  if (err)
    op->is_broken = true;
}

uint64_t shmseg_dict_give_spare(dict_op *op) {
  dict_spare spare;
  int err = spare_read(op, &spare);
  uint64_t cells = err ? 0 : spare.cells;
  if (!err && cells != 0)
    err = shmseg_dict_arena_enter_fully(op);
  if (!err && cells != 0)
    err = shmseg_dict_arena_leave(op, spare_flush(op, &spare));
  op->is_broken |= err != 0;
  return err ? 0 : cells;
}
