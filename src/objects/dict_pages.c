/* SPDX-License-Identifier: MIT */
/* The arena of a dict: its free memory, which all stripes share. dict.c describes the whole.
 *
 * The owners tell which cells are free. Derived from them, under the arena's lock: each page's free cells as
 * bits; for each n from 1 to 64 a bin, the pages whose longest free run is n; which bins have pages; and
 * how many cells are not free. Pages from DICT_FRESH on were never used: all of their cells are free, and
 * they are in no bin. */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "core/wait.h"
#include "objects/dict_arena.h"

#define ALL_FREE UINT64_MAX

/* --- bits --------------------------------------------------------------------------------- */

static uint64_t bits_at(uint32_t first, uint32_t count) {
  return (count < 64 ? ((uint64_t)1 << count) - 1 : UINT64_MAX) << first;
}

static uint32_t bits_count(uint64_t bits) {
  return (uint32_t)__builtin_popcountll(bits);
}

/* Of bits that are not 0. */
static uint32_t bits_lowest(uint64_t bits) {
  return (uint32_t)__builtin_ctzll(bits);
}

static uint32_t bits_highest(uint64_t bits) {
  return 63 - (uint32_t)__builtin_clzll(bits);
}

/* Where runs of so many bits begin. */
static uint64_t bits_runs(uint64_t bits, uint32_t count) {
  for (uint32_t have = 1; have < count;) {
    uint32_t step = have < count - have ? have : count - have;
    bits &= bits >> step;
    have += step;
  }
  return bits;
}

/* The longest run of bits. power[i] says where 2^i bits begin: the longest run is put together from
 * these, the long ones first. */
uint32_t shmseg_dict_arena_longest(uint64_t bits) {
  uint64_t power[6] = { bits };
  int i = 0;
  if (bits == 0 || bits == ALL_FREE)
    return bits == 0 ? 0 : 64;
  for (; i < 5 && (power[i] & power[i] >> (1u << i)) != 0; i++)
    power[i + 1] = power[i] & power[i] >> (1u << i);
  uint32_t length = 1u << i;
  uint64_t begin = power[i];
  while (--i >= 0) {
    uint64_t longer = begin & power[i] >> length;
    if (longer != 0) {
      begin = longer;
      length += 1u << i;
    }
  }
  return length;
}

/* --- pages and bins ----------------------------------------------------------------------- */

/* Everything here is under the arena's lock. SHMSEG_CORRUPT: what is derived cannot be right, and the lock
 * is left dirty, so that the next owner derives it anew. */

static void bin_fill(const shmseg_dict *dict, uint32_t bin, bool has_pages) {
  uint64_t *filled = dict_word64(dict, DICT_FILLED);
  uint64_t bit = (uint64_t)1 << (bin - 1);
  uint64_t bits = load_relaxed(filled);
  store_relaxed(filled, has_pages ? bits | bit : bits & ~bit);
}

static void bin_link(const shmseg_dict *dict, uint32_t bin, uint32_t page) {
  uint32_t next = load_relaxed(bin_head(dict, bin));
  next = next < pages_end(dict) ? next : 0;
  store_relaxed(page_next(dict, page), next);
  store_relaxed(page_before(dict, page), 0);
  if (next != 0)
    store_relaxed(page_before(dict, next), page);
  store_relaxed(bin_head(dict, bin), page);
  bin_fill(dict, bin, true);
}

static int bin_unlink(const shmseg_dict *dict, uint32_t bin, uint32_t page) {
  uint32_t next = load_relaxed(page_next(dict, page));
  uint32_t before = load_relaxed(page_before(dict, page));
  if (next >= pages_end(dict) || before >= pages_end(dict))
    return SHMSEG_CORRUPT;
  uint32_t *leads = before != 0 ? page_next(dict, before) : bin_head(dict, bin);
  if (load_relaxed(leads) != page)
    return SHMSEG_CORRUPT;
  store_relaxed(leads, next);
  if (next != 0)
    store_relaxed(page_before(dict, next), before);
  else if (before == 0)
    bin_fill(dict, bin, false);
  return 0;
}

/* The page has these free cells from now on. */
static int page_change(const shmseg_dict *dict, uint32_t page, uint64_t mask) {
  uint32_t old = shmseg_dict_arena_longest(load_relaxed(page_mask(dict, page)));
  uint32_t bin = shmseg_dict_arena_longest(mask);
  int err = old != bin && old != 0 ? bin_unlink(dict, old, page) : 0;
  if (err)
    return err;
  store_relaxed(page_mask(dict, page), mask);
  if (old != bin && bin != 0)
    bin_link(dict, bin, page);
  return 0;
}

static void granted_change(const shmseg_dict *dict, uint64_t more, uint64_t less) {
  store_relaxed(dict_word64(dict, DICT_GRANTED), arena_granted(dict) + more - less);
}

/* --- the lock ----------------------------------------------------------------------------- */

static uint32_t *arena_lock(const shmseg_dict *dict) {
  return dict_word32(dict, DICT_ARENA_LOCK);
}

/* Derives everything from the owners. A death in it leaves the lock dirty again. */
static void arena_derive(const shmseg_dict *dict) {
  uint8_t owners[DICT_PAGE];
  uint64_t granted = 0;
  uint32_t fresh = arena_fresh(dict);
  store_relaxed(dict_word32(dict, DICT_FRESH), fresh);
  store_relaxed(dict_word64(dict, DICT_FILLED), 0);
  for (uint32_t bin = 1; bin <= DICT_PAGE; bin++)
    store_relaxed(bin_head(dict, bin), 0);
  for (uint32_t page = 1; page < fresh; page++) {
    owners_read(dict, page * DICT_PAGE, DICT_PAGE, owners);
    uint64_t mask = owners_equal(owners, DICT_FREE);
    store_relaxed(page_mask(dict, page), mask);
    if (mask != 0)
      bin_link(dict, shmseg_dict_arena_longest(mask), page);
    granted += DICT_PAGE - bits_count(mask);
  }
  store_relaxed(dict_word64(dict, DICT_GRANTED), granted);
}

static int arena_entered(const dict_op *op, int err, bool dirty) {
  if (!err && dirty)
    arena_derive(op->dict);
  return err;
}

int shmseg_dict_arena_enter(const dict_op *op) {
  bool dirty;
  int err = shmseg_lock_enter_patiently(op->dict->object.segment, arena_lock(op->dict), op->id,
                                        DICT_PATIENCE, op->deadline, &dirty);
  return arena_entered(op, err, dirty);
}

int shmseg_dict_arena_enter_fully(const dict_op *op) {
  bool dirty;
  int64_t deadline = shmseg_wait_patience(op->deadline, DICT_PATIENCE);
  int err;
  do
    err =
        shmseg_lock_enter(op->dict->object.segment, arena_lock(op->dict), op->id, deadline, &dirty);
  while (err == SHMSEG_INTERRUPTED);
  return arena_entered(op, err, dirty);
}

int shmseg_dict_arena_leave(const dict_op *op, int err) {
  const shmseg_segment *segment = op->dict->object.segment;
  if (!err || err == ENOMEM)
    err = segment_status(segment) ? segment_status(segment) : err;
  if (err && err != ENOMEM)
    return shmseg_lock_leave_dirty(segment, arena_lock(op->dict), op->id, err);
  int left = shmseg_lock_release(segment, arena_lock(op->dict), op->id, SHMSEG_LOCK_FREE, 1);
  return left ? left : err;
}

/* --- giving back -------------------------------------------------------------------------- */

int shmseg_dict_arena_free(const dict_op *op, uint32_t page, uint64_t bits) {
  const shmseg_dict *dict = op->dict;
  uint64_t left = bits;
  while (left != 0) {
    uint32_t first = bits_lowest(left);
    uint64_t rest = ~(left >> first);
    uint32_t count = rest == 0 ? 64 : bits_lowest(rest);
    owners_write(dict, page * DICT_PAGE + first, count, DICT_FREE);
    left &= ~bits_at(first, count);
  }
  granted_change(dict, 0, bits_count(bits));
  return page_change(dict, page, load_relaxed(page_mask(dict, page)) | bits);
}

/* A run inside of one page. All of it is the stripe's: else a cell would be free twice. */
static int arena_give_part(const dict_op *op, uint32_t cell, uint32_t count) {
  uint8_t owners[DICT_PAGE], own[DICT_PAGE];
  memset(own, owners_own(op), sizeof own);
  owners_read(op->dict, cell, count, owners);
  if (memcmp(owners, own, count) != 0)
    return SHMSEG_CORRUPT;
  return shmseg_dict_arena_free(op, cell / DICT_PAGE, bits_at(cell % DICT_PAGE, count));
}

int shmseg_dict_arena_give(void *context, uint32_t cell, uint32_t count) {
  int err = 0;
  while (!err && count > 0) {
    uint32_t room = DICT_PAGE - cell % DICT_PAGE;
    uint32_t part = count < room ? count : room;
    err = arena_give_part(context, cell, part);
    cell += part;
    count -= part;
  }
  return err;
}

/* --- taking ------------------------------------------------------------------------------- */

/* Puts the next page to use. A death behind the first store: its cells are free, as the owners say. */
static uint32_t arena_put_to_use(const shmseg_dict *dict) {
  uint32_t fresh = arena_fresh(dict);
  if (fresh == pages_end(dict))
    return 0;
  store_relaxed(dict_word32(dict, DICT_FRESH), fresh + 1);
  store_relaxed(page_mask(dict, fresh), ALL_FREE);
  bin_link(dict, DICT_PAGE, fresh);
  return fresh;
}

/* The page with the shortest run that has so many cells; a fresh one; the one with the longest run. 0: all
 * are taken. */
static uint32_t arena_find(const shmseg_dict *dict, uint32_t count) {
  uint64_t filled = load_relaxed(dict_word64(dict, DICT_FILLED));
  uint64_t fitting = filled >> (count - 1) << (count - 1);
  if (fitting != 0)
    return load_relaxed(bin_head(dict, bits_lowest(fitting) + 1));
  uint32_t fresh = arena_put_to_use(dict);
  if (fresh != 0 || filled == 0)
    return fresh;
  return load_relaxed(bin_head(dict, bits_highest(filled) + 1));
}

/* A death behind the owners: nothing refers to the cells, and the
 * stripe's repair frees them. */
int shmseg_dict_arena_take_run(const dict_op *op, uint32_t most, dict_run *run) {
  const shmseg_dict *dict = op->dict;
  uint32_t page = arena_find(dict, most);
  if (page == 0 || page >= pages_end(dict))
    return page == 0 ? ENOMEM : SHMSEG_CORRUPT;
  uint64_t mask = load_relaxed(page_mask(dict, page));
  uint32_t longest = shmseg_dict_arena_longest(mask);
  run->count = longest < most ? longest : most;
  if (run->count == 0)
    return SHMSEG_CORRUPT;
  uint32_t first = bits_lowest(bits_runs(mask, run->count));
  run->cell = page * DICT_PAGE + first;
  owners_write(dict, run->cell, run->count, owners_own(op));
  granted_change(dict, run->count, 0);
  return page_change(dict, page, mask & ~bits_at(first, run->count));
}

/* Links the run's cells, and the block's last one to it. */
static void arena_chain(const shmseg_dict *dict, uint32_t last, dict_run run) {
  uint32_t links[DICT_PAGE];
  store_relaxed(dict_word32(dict, dict_link_at(dict, last)), run.cell);
  for (uint32_t i = 0; i < run.count; i++)
    links[i] = run.cell + i + 1; /* the last one is of no meaning until another run follows */
  copy_to_shared(dict_word32(dict, dict_link_at(dict, run.cell)), links, run.count * sizeof *links);
}

/* What a failure leaves half taken is given back. */
int shmseg_dict_arena_take(dict_op *op, uint64_t count, dict_block *block) {
  *block = (dict_block){ 0, 0, 0 };
  uint32_t last = 0;
  int err = 0;
  while (!err && block->count < count) {
    uint64_t left = count - block->count;
    dict_run run;
    err = shmseg_dict_arena_take_run(op, left < DICT_PAGE ? (uint32_t)left : DICT_PAGE, &run);
    if (err)
      break;
    if (block->count == 0)
      *block = (dict_block){ run.cell, run.count, run.count };
    else {
      arena_chain(op->dict, last, run);
      block->count += run.count;
    }
    last = run.cell + run.count - 1;
  }
  if (err == ENOMEM && block->count != 0) {
    int given = shmseg_dict_each_run(op->dict, *block, shmseg_dict_arena_give, op);
    return given ? given : err;
  }
  return err;
}
