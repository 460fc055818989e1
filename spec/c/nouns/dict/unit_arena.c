/* SPDX-License-Identifier: MIT */
/* objects/dict_pages.c, dict_arena.c, dict_sweep.c: blocks of cells, the quota, spare runs; what is derived, and what
 * lies about it. */
#include <errno.h>

#include "core/lock.h"
#include "nouns/dict/help.h"

#define CAPACITY (256 * 1024)
#define STRIPED (4 * 1024 * 1024)
#define QUOTA (CAPACITY / 64)
#define BLOCKS 512

static dict_op op;
static struct {
  dict_block block;
  bool there;
} blocks[BLOCKS];
static uint8_t uses[65536]; /* of each cell: how many blocks have it */
static uint64_t in_use;

static void set_up(void) {
  open_dict(CAPACITY, 0, 0);
  op = in_stripe(0);
  memset(blocks, 0, sizeof blocks);
  memset(uses, 0, sizeof uses);
  in_use = 0;
}

static const test_fixture fresh = { set_up, close_dict };

static int use_run(void *context, uint32_t cell, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (++uses[cell + i] > 1)
      return EEXIST;
  *(uint64_t *)context += count;
  return 0;
}

static int unuse_run(void *context, uint32_t cell, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    uses[cell + i]--;
  *(uint64_t *)context -= count;
  return 0;
}

static int take(int i, uint64_t count, uint64_t allowance) {
  int err = shmseg_dict_take(&op, count, allowance, &blocks[i].block);
  if (err)
    return err;
  blocks[i].there = true;
  uint64_t before = in_use;
  check(blocks[i].block.count == count && blocks[i].block.run <= DICT_PAGE);
  check(shmseg_dict_each_run(&d, blocks[i].block, use_run, &in_use) == 0);
  check(in_use == before + count);
  return 0;
}

static void give(int i) {
  check(shmseg_dict_each_run(&d, blocks[i].block, unuse_run, &in_use) == 0);
  blocks[i].there = false;
  shmseg_dict_give(&op, blocks[i].block);
}

static uint32_t drawn = 1;

static uint32_t draw(uint32_t below) {
  drawn = drawn * 1664525 + 1013904223;
  return (drawn >> 8) % below;
}

/* Mostly short, some of several pages. */
static uint64_t draw_size(void) {
  return draw(8) == 0 ? 1 + draw(QUOTA / 2) : 1 + draw(40);
}

static void mark_blocks(void) {
  check(shmseg_dict_unmark(&op) == 0);
  for (int i = 0; i < BLOCKS; i++)
    check(!blocks[i].there || shmseg_dict_mark(&op, blocks[i].block));
}

/* Frees what no block has, as repair does. */
static void sweep(void) {
  mark_blocks();
  set_number(&ours, dict_stripe_at(op.stripe, STRIPE_SPARE), 0);
  check(shmseg_dict_sweep(&op) == 0 && granted_cells() == in_use);
}

TEST_WITH(fresh, exact,
          "one stripe's blocks have as many cells as the quota, not one more, whatever is spare") {
  for (int round = 0; round < 3000; round++) {
    int i = (int)draw(BLOCKS);
    uint64_t size = draw_size(), old = blocks[i].there ? blocks[i].block.count : 0;
    if (blocks[i].there && draw(2) == 0) {
      give(i);
      continue;
    }
    dict_block before = blocks[i].block;
    int err = take(i, size, old);
    check(err == (in_use - (err ? 0 : size) + size - old <= QUOTA ? 0 : ENOMEM));
    if (!err && old != 0) {
      check(shmseg_dict_each_run(&d, before, unuse_run, &in_use) == 0);
      shmseg_dict_give(&op, before);
    }
    if (op.is_large)
      must(shmseg_lock_release(&ours, dict_word32(&d, DICT_LARGE_LOCK), op.id, SHMSEG_LOCK_FREE,
                               1) == 0);
    op.is_large = false;
    check(!op.is_broken && granted_cells() >= in_use && granted_cells() <= in_use + SPARE_CELLS);
  }
  sweep();
}
