/* SPDX-License-Identifier: MIT */
/* Memory for the items of a dict: blocks from the arena, and each stripe's spare runs. dict.c describes
 * the whole, dict_pages.c the arena.
 *
 * A spare run belongs to its stripe, and nothing is in it. It is taken and given under the stripe's lock
 * alone. So what is replaced by something of its size needs no other lock. */
#include <errno.h>

#include "core/lock.h"
#include "objects/dict_arena.h"

/* --- spare runs --------------------------------------------------------------------------- */

/* What the stripe has in reserve. */
typedef struct {
  uint32_t runs, cells;
} arena_spare;

static int spare_read(const dict_op *op, arena_spare *spare) {
  uint64_t at = dict_stripe_at(op->stripe, STRIPE_SPARE);
  spare->runs = load_relaxed(dict_word32(op->dict, at));
  spare->cells = load_relaxed(dict_word32(op->dict, at + 4));
  return spare->runs <= SPARE_RUNS && spare->cells <= SPARE_CELLS ? 0 : SHMSEG_CORRUPT;
}

static void spare_write(const dict_op *op, uint32_t runs, uint32_t cells) {
  uint64_t at = dict_stripe_at(op->stripe, STRIPE_SPARE);
  store_relaxed(dict_word32(op->dict, at), runs);
  store_relaxed(dict_word32(op->dict, at + 4), cells);
}

static uint64_t spare_run_at(const dict_op *op, uint32_t i) {
  return dict_stripe_at(op->stripe, STRIPE_RUNS) + (uint64_t)i * 8;
}

static dict_run spare_run(const dict_op *op, uint32_t i) {
  uint64_t at = spare_run_at(op, i);
  dict_run run = { load_relaxed(dict_word32(op->dict, at)),
                   load_relaxed(dict_word32(op->dict, at + 4)) };
  return run;
}

static void spare_set(const dict_op *op, uint32_t i, dict_run run) {
  uint64_t at = spare_run_at(op, i);
  store_relaxed(dict_word32(op->dict, at), run.cell);
  store_relaxed(dict_word32(op->dict, at + 4), run.count);
}

/* The run that fits: the latest of that length, or else the shortest that is longer. SPARE_RUNS: none. */
static uint32_t spare_find(const dict_op *op, const arena_spare *spare, uint32_t count,
                           dict_run *run) {
  uint32_t found = SPARE_RUNS;
  for (uint32_t i = spare->runs; i > 0; i--) {
    dict_run seen = spare_run(op, i - 1);
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
static int spare_take(const dict_op *op, const arena_spare *spare, uint64_t count,
                      dict_block *block) {
  dict_run run;
  uint32_t i = count <= spare->cells ? spare_find(op, spare, (uint32_t)count, &run) : SPARE_RUNS;
  if (i == SPARE_RUNS)
    return ENOMEM;
  if (!dict_is_run(op->dict, run.cell, run.count) || run.count > spare->cells)
    return SHMSEG_CORRUPT;
  *block = (dict_block){ run.cell, (uint32_t)count, count };
  if (run.count > count) {
    spare_set(op, i, (dict_run){ run.cell + block->run, run.count - block->run });
    spare_write(op, spare->runs, spare->cells - block->run);
    return 0;
  }
  if (i != spare->runs - 1)
    spare_set(op, i, spare_run(op, spare->runs - 1));
  spare_write(op, spare->runs - 1, spare->cells - block->run);
  return 0;
}

static bool spare_has_room(const arena_spare *spare, uint64_t cells) {
  return spare->runs < SPARE_RUNS && cells <= SPARE_CELLS - spare->cells;
}

static void spare_add(const dict_op *op, arena_spare *spare, dict_run run) {
  spare_set(op, spare->runs, run);
  spare->runs++;
  spare->cells += run.count;
  spare_write(op, spare->runs, spare->cells);
}

/* Gives all of them to the arena, whose lock is held. A death in it: the stripe is repaired. */
static int spare_flush(dict_op *op, arena_spare *spare) {
  int err = 0;
  for (uint32_t i = 0; !err && i < spare->runs; i++) {
    dict_run run = spare_run(op, i);
    err = dict_is_run(op->dict, run.cell, run.count) && run.count <= SPARE_CELLS
              ? shmseg_dict_arena_give(op, run.cell, run.count)
              : SHMSEG_CORRUPT;
  }
  *spare = (arena_spare){ 0, 0 };
  spare_write(op, 0, 0);
  return err;
}

/* --- the quota ---------------------------------------------------------------------------- */

/* May the stripe use so many cells more, when allowance of its own go? What does not grow always may, for it
 * is on top of the quota for a moment only (D7); and it does not look at a line that others write to. */
static bool arena_allows(const shmseg_dict *dict, const arena_spare *spare, uint64_t count,
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
static int arena_enter_for(dict_op *op, const arena_spare *spare, uint64_t count,
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
static int arena_refill(dict_op *op, arena_spare *spare, uint32_t count, dict_block *block) {
  dict_run run;
  int err = shmseg_dict_arena_take_run(op, DICT_PAGE, &run);
  if (err)
    return err;
  if (run.count < count) /* it was no page */
    return SHMSEG_CORRUPT;
  *block = (dict_block){ run.cell, count, count };
  if (run.count > count)
    spare_add(op, spare, (dict_run){ run.cell + count, run.count - count });
  return 0;
}

static bool arena_may_refill(const shmseg_dict *dict, const arena_spare *spare, uint64_t count) {
  uint64_t whole = (uint64_t)1 << (DICT_PAGE - 1);
  bool has_page =
      load_relaxed(dict_word64(dict, DICT_FILLED)) & whole || arena_fresh(dict) < pages_end(dict);
  return dict->stripes > 1 && has_page && count < DICT_PAGE && !arena_exceeds(dict, DICT_PAGE) &&
         spare_has_room(spare, DICT_PAGE - count);
}

/* Under the arena's lock. What exceeds the quota for a moment exceeds it by no more than itself: so the
 * spare runs go first. */
static int arena_take_allowed(dict_op *op, arena_spare *spare, uint64_t count, uint64_t allowance,
                              dict_block *block) {
  if (!arena_allows(op->dict, spare, count, allowance))
    return ENOMEM;
  if (arena_may_refill(op->dict, spare, count))
    return arena_refill(op, spare, (uint32_t)count, block);
  int err = arena_exceeds(op->dict, count) ? spare_flush(op, spare) : 0;
  return err ? err : shmseg_dict_arena_take(op, count, block);
}

/* The fence pairs with the one in shmseg_dict_confirm(): who has read a byte that is written from now on sees
 * the word that does not lead to these cells any more, or leads to something else (D4). */
int shmseg_dict_take(dict_op *op, uint64_t count, uint64_t allowance, dict_block *block) {
  arena_spare spare;
  int err = spare_read(op, &spare);
  if (err || count == 0 || count > op->dict->cells)
    return err ? err : ENOMEM;
  bool is_allowed = arena_allows(op->dict, &spare, count, allowance);
  if (!is_allowed && arena_is_in_order(op->dict))
    return ENOMEM;
  err = is_allowed ? spare_take(op, &spare, count, block) : ENOMEM;
  if (err == ENOMEM) {
    err = arena_enter_for(op, &spare, count, allowance);
    if (err)
      return err;
    err = shmseg_dict_arena_leave(op, arena_take_allowed(op, &spare, count, allowance, block));
  }
  fence_release();
  return err;
}

void shmseg_dict_give(dict_op *op, dict_block block) {
  arena_spare spare;
  int err = spare_read(op, &spare);
  bool is_short = block.run == block.count && block.count <= SPARE_CELLS;
  if (!err && !dict_is_run(op->dict, block.cell, block.run))
    err = SHMSEG_CORRUPT;
  if (!err && (!is_short || !spare_has_room(&spare, block.count))) {
    err = shmseg_dict_arena_enter_fully(op);
    if (!err && is_short)
      err = shmseg_dict_arena_leave(op, spare_flush(op, &spare));
    else if (!err)
      err = shmseg_dict_arena_leave(
          op, shmseg_dict_each_run(op->dict, block, shmseg_dict_arena_give, op));
  }
  if (!err && is_short)
    spare_add(op, &spare, (dict_run){ block.cell, block.run });
  op->is_broken |= err != 0;
}

uint64_t shmseg_dict_give_spare(dict_op *op) {
  arena_spare spare;
  int err = spare_read(op, &spare);
  uint64_t cells = err ? 0 : spare.cells;
  if (!err && cells != 0)
    err = shmseg_dict_arena_enter_fully(op);
  if (!err && cells != 0)
    err = shmseg_dict_arena_leave(op, spare_flush(op, &spare));
  op->is_broken |= err != 0;
  return err ? 0 : cells;
}
