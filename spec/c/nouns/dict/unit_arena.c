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

/* --- what is derived ---------------------------------------------------------------------- */

/* Is all that is derived right? The blocks are no items: nothing leads to them. */
static bool is_derived(void) {
  const char *wrong = shmseg_dict_check(&d);
  if (wrong && strcmp(wrong, "D2: a cell that nothing leads to") != 0)
    printf("# %s\n", wrong);
  return !wrong || strcmp(wrong, "D2: a cell that nothing leads to") == 0;
}

static void take_some(void) {
  for (int i = 0; i < 100; i++)
    check(take(i, 1 + draw(30), 0) == 0);
  for (int i = 0; i < 100; i += 2)
    give(i);
  check(is_derived());
}

#define DIRTY (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY)

TEST_WITH(
    fresh, derived,
    "after a death in the arena masks, bins and the number of granted cells come from owners") {
  take_some();
  uint64_t granted = granted_cells();
  for (uint64_t at = DICT_GRANTED; at < DICT_STRIPES; at += 8)
    set_number(&ours, at, 0x1234567890abcdef);
  memset(ours.data + d.at_pages, 0x5a, (size_t)(d.at_owners - d.at_pages));
  set_word(&ours, DICT_ARENA_LOCK, DIRTY);
  check(shmseg_dict_give_spare(&op) > 0 && !op.is_broken);
  check(granted_cells() == in_use && granted >= in_use && is_derived());
  for (int i = 0; i < 100; i += 2)
    check(take(i, 1 + draw(30), 0) == 0);
  check(is_derived());
}

TEST_WITH(fresh, lies,
          "where bins or masks cannot be, it is corrupt, and the next one derives them anew") {
  take_some();
  set_number(&ours, DICT_FILLED, UINT64_MAX);
  memset(ours.data + DICT_BINS, 0xff, 64 * 4);
  dict_block block;
  check(shmseg_dict_give_spare(&op) > 0 || op.is_broken);
  op.is_broken = false;
  int err = shmseg_dict_take(&op, 50, 0, &block);
  check(err == 0 || err == SHMSEG_CORRUPT);
  check(err == 0 || word_at(&ours, DICT_ARENA_LOCK) == DIRTY);
  err = shmseg_dict_take(&op, 50, 0, &block);
  check(err == 0 && is_derived());
  shmseg_dict_give(&op, block);
  shmseg_dict_give(&op,
                   block); /* twice: the owners know better than to free it twice in the arena */
  shmseg_dict_give_spare(&op);
  check(op.is_broken && word_at(&ours, DICT_ARENA_LOCK) == DIRTY);
}

TEST_WITH(fresh, first_page, "a fresh page that cannot be costs no memory that is in use") {
  take_some();
  set_word(&ours, DICT_FRESH, UINT32_MAX);
  set_word(&ours, DICT_ARENA_LOCK, DIRTY);
  for (int i = 0; i < 100; i += 2)
    check(take(i, 1 + draw(30), 0) == 0);
  check(is_derived());
}

/* --- the large lock ------------------------------------------------------------------------ */

TEST_WITH(fresh, large, "a block of several pages on top of the quota needs the large lock") {
  check(take(0, QUOTA / 2, 0) == 0 && !op.is_large && take(1, QUOTA / 2, 0) == 0);
  check(take(2, QUOTA / 2 + 1, QUOTA / 2) == ENOMEM && !op.is_large);
  shmseg_segment other;
  uint32_t id;
  same_segment(&other, &ours);
  must(shmseg_owner_identity(&other, &id) == 0);
  set_word(&ours, DICT_LARGE_LOCK, id);
  check(take(2, QUOTA / 2, QUOTA / 2) == SHMSEG_INTERRUPTED && !op.is_large && !blocks[2].there);
  check(word_at(&ours, DICT_ARENA_LOCK) == SHMSEG_LOCK_FREE && granted_cells() == QUOTA);
  check(take(3, DICT_PAGE, DICT_PAGE) == 0 && !op.is_large);
  give(3);
  shmseg_segment_close(&other); /* it is dead */
  check(take(2, QUOTA / 2, QUOTA / 2) == 0 && op.is_large);
  check((word_at(&ours, DICT_LARGE_LOCK) & SHMSEG_LOCK_STATE) == op.id);
  give(0);
  check(granted_cells() <= QUOTA + SPARE_CELLS && is_derived());
}

/* --- spare runs ---------------------------------------------------------------------------- */

TESTS(spare) {
  open_dict(STRIPED, 0, 0);
  test_begin(
      "a stripe of several takes a page at once, and then replaces without the arena's lock");
  op = in_stripe(7);
  memset(uses, 0, sizeof uses);
  in_use = 0;
  check(take(0, 2, 0) == 0 && granted_cells() == DICT_PAGE);
  set_word(&ours, DICT_ARENA_LOCK, 0); /* nobody could take that */
  for (int i = 1; i < 1000; i++) {
    check(take(i % 2, 2, 2) == 0);
    give((i + 1) % 2);
  }
  for (int i = 2; i < 30; i++)
    check(take(i, 2, 0) == 0);
  dict_block block;
  check(shmseg_dict_take(&op, 20, 0, &block) == SHMSEG_CORRUPT);
  test_done();
  test_begin("the cells that a stripe keeps to spare are few, and all of them go back");
  set_word(&ours, DICT_ARENA_LOCK, SHMSEG_LOCK_FREE);
  for (int i = 1; i < 30; i++)
    give(i);
  check(granted_cells() <= in_use + SPARE_CELLS && is_derived() && !op.is_broken);
  check(shmseg_dict_give_spare(&op) > 0 && shmseg_dict_give_spare(&op) == 0);
  check(granted_cells() == in_use && is_derived());
  test_done();
  test_begin("spare runs that cannot be are corrupt");
  uint64_t at = dict_stripe_at(7, STRIPE_SPARE);
  set_word(&ours, at, SPARE_RUNS + 1);
  check(shmseg_dict_take(&op, 1, 0, &block) == SHMSEG_CORRUPT);
  set_word(&ours, at, 1);
  set_word(&ours, at + 4, 4);
  set_word(&ours, dict_stripe_at(7, STRIPE_RUNS), (uint32_t)d.cells - 1);
  set_word(&ours, dict_stripe_at(7, STRIPE_RUNS) + 4, 4);
  check(shmseg_dict_take(&op, 4, 0, &block) == SHMSEG_CORRUPT);
  test_done();
  close_dict();
}

TEST_WITH(fresh, excess, "spare cells do not come on top of what exceeds the quota for a moment") {
  check(take(0, DICT_PAGE, 0) == 0 && take(1, 2, 0) == 0 && take(2, QUOTA - DICT_PAGE - 2, 0) == 0);
  check(take(3, DICT_PAGE, DICT_PAGE) == 0);
  give(0);
  check(take(4, 2, 2) == 0);
  give(1);
  check(granted_cells() == QUOTA + DICT_PAGE && take(5, DICT_PAGE, DICT_PAGE) == 0);
  check(granted_cells() == QUOTA + DICT_PAGE && in_use == QUOTA + DICT_PAGE);
  give(3);
  check(take(6, 1, 0) == ENOMEM && is_derived());
}

TESTS(stripes) {
  open_dict(STRIPED, 0, 0);
  test_begin("stripes that replace all they have stay within a page each on top of the quota");
  static dict_block mine[64][16];
  uint64_t share = d.quota / d.stripes / 16, stripes = d.stripes;
  must(stripes == 64);
  for (uint32_t round = 0; round < 20; round++)
    for (uint32_t stripe = 0; stripe < 64; stripe++) {
      dict_block new = { 0, 0, 0 };
      uint32_t i = round % 16;
      uint64_t count = mine[stripe][i].count;
      op = in_stripe(stripe);
      check(shmseg_dict_take(&op, share, count, &new) == 0 || count == 0);
      if (count != 0)
        shmseg_dict_give(&op, mine[stripe][i]);
      mine[stripe][i] = new;
      check(!op.is_broken && granted_cells() <= d.quota + stripes * DICT_PAGE);
    }
  check(is_derived());
  test_done();
  close_dict();
}

/* --- bytes in cells ------------------------------------------------------------------------ */

/* Free cells lie apart: blocks consist of many runs. */
static void scatter(void) {
  for (int i = 0; i < BLOCKS; i++)
    check(take(i, 1 + (uint64_t)i % 5, 0) == 0);
  int rest = BLOCKS;
  dict_block block;
  while (rest-- > 0 && granted_cells() + DICT_PAGE <= QUOTA)
    must(shmseg_dict_take(&op, DICT_PAGE, 0, &block) == 0);
  for (int i = 0; i < BLOCKS; i += 2)
    give(i);
}

TEST_WITH(fresh, bytes, "bytes are the same at each offset of a block of many runs") {
  static unsigned char in[3000], out[3000];
  dict_block block;
  scatter();
  for (size_t i = 0; i < sizeof in; i++)
    in[i] = (unsigned char)draw(256);
  set_word(&ours, DICT_FRESH, (uint32_t)(d.cells / DICT_PAGE)); /* no fresh page is left */
  must(shmseg_dict_take(&op, dict_cells_for(sizeof in), 0, &block) == 0);
  check(block.run < block.count && shmseg_dict_write(&d, block, 0, in, sizeof in) == 0);
  for (uint64_t from = 0; from < sizeof in; from += 1 + draw(50))
    for (uint64_t size = 0; size <= sizeof in - from; size += 1 + draw(400)) {
      memset(out, 0, sizeof out);
      check(shmseg_dict_read(&d, block, from, out, size) == 0);
      check(memcmp(out, in + from, (size_t)size) == 0);
      check(shmseg_dict_equals(&d, block, from, in + from, size));
      out[size ? size - 1 : 0] ^= 1;
      check(size == 0 || !shmseg_dict_equals(&d, block, from, out, size));
      check(shmseg_dict_write(&d, block, from, in + from, size) == 0);
    }
  check(shmseg_dict_read(&d, block, 0, out, sizeof out) == 0 && memcmp(in, out, sizeof in) == 0);
}

TEST_WITH(fresh, links, "links that lead out of the dict, or in a circle, are corrupt or end") {
  unsigned char out[512];
  dict_block block = { 100, 1, 8 };
  static const uint32_t wrong[] = { 0, 1, DICT_PAGE - 1, UINT32_MAX };
  for (int i = 0; i < 4; i++) {
    set_word(&ours, dict_link_at(&d, 100), wrong[i]);
    check(shmseg_dict_read(&d, block, 0, out, 65) == SHMSEG_CORRUPT);
    check(!shmseg_dict_equals(&d, block, 0, out, 65));
    check(shmseg_dict_read(&d, block, 0, out, 64) == 0);
  }
  set_word(&ours, dict_link_at(&d, 100), 100);
  check(shmseg_dict_read(&d, block, 0, out, sizeof out) == 0);
  check(shmseg_dict_read(&d, block, 0, out, UINT64_MAX) == SHMSEG_CORRUPT);
  check(shmseg_dict_read(&d, block, UINT64_MAX, out, 2) == SHMSEG_CORRUPT);
  check(!shmseg_dict_mark(&op, block)); /* it is nobody's, and twice in it */
  block = (dict_block){ (uint32_t)d.cells - 1, 2, 2 };
  check(shmseg_dict_read(&d, block, 0, out, 128) == SHMSEG_CORRUPT);
}

/* --- marks -------------------------------------------------------------------------------- */

TEST(marks, "what is marked stays, and only the stripe's other cells become free") {
  open_dict(STRIPED, 0, 0);
  in_use = 0;
  memset(blocks, 0, sizeof blocks);
  memset(uses, 0, sizeof uses);
  op = in_stripe(1);
  dict_op other = in_stripe(0);
  dict_block theirs;
  must(shmseg_dict_take(&other, DICT_PAGE, 0, &theirs) == 0);
  take_some();
  check(!shmseg_dict_mark(&op, theirs) && shmseg_dict_mark(&op, blocks[1].block));
  check(!shmseg_dict_mark(&op, blocks[1].block));
  for (int i = 50; i < 100; i++)
    if (blocks[i].there) {
      blocks[i].there = false; /* as if a death had left it */
      check(shmseg_dict_each_run(&d, blocks[i].block, unuse_run, &in_use) == 0);
    }
  mark_blocks();
  set_number(&ours, dict_stripe_at(1, STRIPE_SPARE), 0);
  check(shmseg_dict_sweep(&op) == 0 && granted_cells() == in_use + DICT_PAGE && is_derived());
  close_dict();
}
