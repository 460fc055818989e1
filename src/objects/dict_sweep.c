/* SPDX-License-Identifier: MIT */
/* The cells of a dict's stripe that are in use are marked, and all others freed: for repair. dict.c describes
 * the whole, dict_pages.c the arena.
 *
 * A stripe's cells lie in pages before DICT_FRESH. Their owners are written by the stripe alone, byte by
 * byte. A death leaves marks, and the next repair begins with taking them away. */
#include <string.h>

#include "core/segment.h"
#include "objects/dict_arena.h"

/* Gives those cells of the page another owner. */
static void sweep_own(const shmseg_dict *dict, uint32_t page, uint64_t bits, uint8_t owner) {
  for (; bits != 0; bits &= bits - 1)
    owners_write(dict, page * DICT_PAGE + (uint32_t)__builtin_ctzll(bits), 1, owner);
}

int shmseg_dict_unmark(dict_op *op) {
  uint8_t owners[DICT_PAGE], own = owners_own(op);
  uint32_t fresh = arena_fresh(op->dict);
  for (uint32_t page = 1; page < fresh; page++) {
    owners_read(op->dict, page * DICT_PAGE, DICT_PAGE, owners);
    sweep_own(op->dict, page, owners_equal(owners, own | DICT_MARKED), own);
  }
  return segment_status(op->dict->object.segment);
}

/* Each page's cells are freed before its marks go. */
int shmseg_dict_sweep(dict_op *op) {
  uint8_t owners[DICT_PAGE], own = owners_own(op);
  int err = shmseg_dict_arena_enter(op);
  if (err)
    return err;
  uint32_t fresh = arena_fresh(op->dict);
  for (uint32_t page = 1; !err && page < fresh; page++) {
    owners_read(op->dict, page * DICT_PAGE, DICT_PAGE, owners);
    uint64_t unused = owners_equal(owners, own);
    if (unused != 0)
      err = shmseg_dict_arena_free(op, page, unused);
    sweep_own(op->dict, page, owners_equal(owners, own | DICT_MARKED), own);
  }
  return shmseg_dict_arena_leave(op, err);
}

/* --- marking ------------------------------------------------------------------------------ */

/* How far a block was marked. */
typedef struct {
  const dict_op *op;
  uint64_t cells;
} sweep_marking;

/* Marks a run, up to the first cell that cannot be marked. */
static int sweep_mark_run(void *context, uint32_t cell, uint32_t count) {
  sweep_marking *marking = context;
  const shmseg_dict *dict = marking->op->dict;
  uint8_t own = owners_own(marking->op), owner;
  for (uint32_t i = 0; i < count; i++, marking->cells++) {
    owners_read(dict, cell + i, 1, &owner);
    if (owner != own)
      return SHMSEG_CORRUPT;
    owners_write(dict, cell + i, 1, own | DICT_MARKED);
  }
  return 0;
}

static int sweep_unmark_run(void *context, uint32_t cell, uint32_t count) {
  const dict_op *op = context;
  for (uint32_t i = 0; i < count; i++)
    owners_write(op->dict, cell + i, 1, owners_own(op));
  return 0;
}

void shmseg_dict_unmark_block(dict_op *op, dict_block block) {
  shmseg_dict_each_run(op->dict, block, sweep_unmark_run, op);
}

bool shmseg_dict_mark(dict_op *op, dict_block block) {
  sweep_marking marking = { op, 0 };
  if (shmseg_dict_each_run(op->dict, block, sweep_mark_run, &marking) == 0)
    return true;
  block.count = marking.cells;
  shmseg_dict_unmark_block(op, block);
  return false;
}
