/* SPDX-License-Identifier: MIT */
/* A dict: keys and values for unrelated processes. Here is the description of all its files, and the
 * kind.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), geometry: capacity, evict, items
 *             64      16    the key of the hash: two words, 0 until a handle that may write draws them
 *             80      8     flush stamp
 *             128           the arena: its lock, the large lock, the first fresh page, and what is
 *                           derived: granted cells, bins of pages
 *             512           stripes, 256 bytes each: lock, epoch, counts, hand, eventcount, spare runs
 *                           then lines of claims, 64 bytes each: 8 words
 *                           then the index: lines of 64 bytes, the same number for each stripe: lock,
 *                           marks, chain word, hot number, 5 slot words
 *                           then the table of pages, 16 bytes each: free cells, next, previous
 *                           then the owners, a byte for each cell
 *                           then the links, 4 bytes for each cell
 *                           then the cells, 64 bytes each; 64 of them are a page. Page 0 is never used
 *             dict_layout.h has the offsets inside of these.
 *
 *             A key's hash tells its stripe, its line and its tag. An item is a block of cells: head,
 *             key, value. The first cells of a block are contiguous, its head says how many; where that
 *             run ends, the link of its last cell leads on, cell by cell, to the others. What is in cells
 *             is used for anything again; everything else keeps its meaning for ever.
 *
 *             Small dicts have one stripe. The capacity is a quota of cells. There are more cells than
 *             that: for the largest value, and a page for each stripe, so that a new value is
 *             complete before the old one goes.
 *
 * INVARIANTS  D1  an item is there if a slot, or a chain that begins in a line, leads to it: in the
 *                 line of its key, once. Its head, key and bytes do not change while it is there; but for
 *                 ITEM_NUMBER of a number or list, how many elements a list has, ITEM_EXPIRY, ITEM_STAMP
 *                 and ITEM_NEXT, each by one store.
 *             D2  a cell's owner is DICT_FREE, or the stripe that may write to it. All cells of a
 *                 stripe's items and elements are the stripe's, each in one block.
 *             D3  every store of an index word gives it a version: 1 more than the epoch, which follows.
 *                 If the word has that one from 2^20 epochs before, the epoch moves first. So a word is
 *                 the same only if nothing in its slot, or in its chain, was changed.
 *             D4  a cell is given back only after the word that proves what was in it has another
 *                 version; and who writes to cells passes a fence before.
 *             D5  in a line at most one slot word is HOT. LINE_HOT is written under the line's lock.
 *             D6  derived, so wrong for a while, or after a death: counts, used, claims; the arena's
 *                 granted, bins and free cells (from the owners); spare runs (nothing refers to them).
 *                 A hint: how many lines the hand has passed since a flush.
 *             D7  granted - quota is at most a page for each stripe, and the large lock's owner's block.
 *
 * PROTOCOL    read    load the epoch, then the slot word, with acquire; compare the key, copy; fence;
 *                     the word is still the same, and the epoch has not moved so far that its version
 *                     could have come again (dict_is_same): then by D3 and D4 the copy is the item's. A
 *                     miss needs no more than that each word was seen once, since a key that stays keeps its slot or
 *                     its chain. In a chain the chain's word proves all of its items.
 *             write   lock the stripe; take cells (owner first), fence, write the item, void the
 *                     claim on the key, store the index word with release: that publishes. Then the
 *                     epoch; the old block is given back, and counts follow. Unlock, notify.
 *             incr    of a hot number: the line's lock, the word is still the same, one store to
 *                     LINE_HOT. To make a number hot: both locks, LINE_HOT, then the word. To cool it:
 *                     ITEM_NUMBER, then the word.
 *             lists   ITEM_NUMBER has first and last element in one word, and that store publishes. What
 *                     links beyond them say is of no meaning. Then the item's word gets another version.
 *             evict   as delete, by the victim's stripe's lock. An operation that has a stripe locks
 *                     another one only if it is free, or its owner dead.
 *             flush   the flush stamp grows by compare-and-swap: items with another stamp are stale.
 *                     expire stores the expiry, then the stamp with release: a reader loads the stamp first.
 *             wait    prepare the stripe's eventcount, set WATCHED in the line's marks, look, sleep. A
 *                     writer changes the word, then looks at the marks: with WATCHED set it takes
 *                     it away and notifies. Both write before they look; the eventcount's own flag is in the
 *                     word that is slept on, so WATCHED may go while others still sleep: they were woken.
 *             claim   dict_claim.c has it. A number whose key is claimed is not hot.
 *
 * CRASHES     A word below is what the next operation finds after a kill behind the store that is named.
 *
 *             killed behind          the index says    what is left, and who mends it
 *             owners of new cells    old item          cells that nothing refers to: repair frees them
 *             bytes of the item      old item          the same
 *             claim voided           old item          the same; the claim's value is not stored
 *             index word             new item          the old block, counts, epoch: repair
 *             ITEM_NEXT (in a chain) new item          the same; the chain's word has the old version
 *             epoch                  new item          the old block and counts: repair
 *             first owners given     new item          the rest of the old block: repair
 *             spare run, counts      new item          repair counts anew
 *             unlock                 new item          watchers are not woken: their interval ends
 *             a claim's word         the same item     the claim, until its owner is probed; its count
 *             WORD_TIMED (expire)    old expiry        the word says more than there is
 *             LINE_HOT (incr)        the sum           the line's lock: nothing else to mend
 *             LINE_HOT (to be hot)   old number        not hot, so LINE_HOT is of no meaning
 *             ITEM_NUMBER (to cool)  hot number        the same number in both
 *             ITEM_NUMBER (list)     new list          popped element, count, version: repair
 *             ITEM_EXPIRY (expire)   flushed: stale    the stamp is the old one; else the new expiry
 *             owners, no bins        -                 arena's lock is dirty: bins from the owners
 *
 *             Repair of a stripe: its dead owner is known by the lock word. The epoch moves by
 *             DICT_VERSIONS, so that every reader looks again; what the index leads to is marked in the owners,
 *             and all other cells of the stripe become free; counts are made anew. A death in it leaves marks,
 *             which the next repair takes away first. */
#include "objects/dict.h"

#include <errno.h>

#include "core/eventcount.h"
#include "core/hash.h"
#include "core/lock.h"
#include "os/random.h"

/* From this capacity on there are STRIPES stripes. */
#define STRIPED ((uint64_t)4 << 20)
#define STRIPES 64
#define CLAIM_LINES 16 /* at least */

/* Cells are numbered by 32 bits, all of them. */
#define CAPACITY_MAX ((uint64_t)1 << 37)

_Static_assert(STRIPES + DICT_OWNED <= DICT_MARKED, "a stripe's number is an owner");
_Static_assert(DICT_BINS + 64 * 4 <= DICT_STRIPES, "the bins");
_Static_assert(STRIPE_RUNS + SPARE_RUNS * 8 <= STRIPE_SIZE, "the spare runs");
_Static_assert(LINE_SLOTS + DICT_SLOTS * 8 == LINE_SIZE, "the slots");

static uint64_t dict_quota(uint64_t capacity) {
  return capacity < DICT_CELL ? 1 : capacity / DICT_CELL;
}

/* Cells of the largest item: half of the capacity, and the longest key; but what is more than the whole
 * quota is refused. */
static uint64_t dict_largest(uint64_t capacity) {
  uint64_t cells = dict_cells_for(ITEM_KEY + SHMSEG_DICT_KEY_MAX + capacity / 2);
  uint64_t quota = dict_quota(capacity);
  return cells < quota ? cells : quota;
}

/* Fewer expected items than this would make long chains. */
static uint64_t dict_lines(uint64_t quota, uint64_t items, uint64_t stripes) {
  uint64_t lines = items / 3 < quota / 64 ? quota / 64 : items / 3;
  lines = lines > quota ? quota : lines;
  return lines / stripes + 1;
}

/* Works the geometry out, into a handle: 0 for one that cannot be, or the size. */
static uint64_t dict_work_out(const uint64_t *geometry, shmseg_dict *dict) {
  uint64_t capacity = geometry[0];
  if (capacity == 0 || capacity > CAPACITY_MAX || geometry[2] == 0 ||
      (geometry[1] != SHMSEG_DICT_LRU && geometry[1] != SHMSEG_DICT_NONE))
    return 0;
  dict->quota = dict_quota(capacity);
  dict->stripes = capacity < STRIPED ? 1 : STRIPES;
  dict->claim_lines = dict->stripes < CLAIM_LINES ? CLAIM_LINES : dict->stripes;
  dict->lines = dict_lines(dict->quota, geometry[2], dict->stripes);
  uint64_t room = dict->quota + dict_largest(capacity) + (uint64_t)dict->stripes * DICT_PAGE;
  dict->cells = (room / DICT_PAGE + 2) * DICT_PAGE;
  dict->at_claims = DICT_STRIPES + (uint64_t)dict->stripes * STRIPE_SIZE;
  dict->at_lines = dict->at_claims + (uint64_t)dict->claim_lines * LINE_SIZE;
  dict->at_pages = dict->at_lines + dict->stripes * dict->lines * LINE_SIZE;
  dict->at_owners = dict->at_pages + dict->cells / DICT_PAGE * PAGE_SIZE_IN_TABLE;
  dict->at_owners = (dict->at_owners + SHMSEG_ALIGN - 1) / SHMSEG_ALIGN * SHMSEG_ALIGN;
  dict->at_links = dict->at_owners + dict->cells;
  dict->at_cells = dict->at_links + dict->cells * 4;
  return dict->at_cells + dict->cells * DICT_CELL;
}

static uint64_t dict_size(const uint64_t *geometry) {
  shmseg_dict dict = { 0 };
  return dict_work_out(geometry, &dict);
}

/* As many items as there are if each has 128 bytes. */
static void dict_complete(uint64_t *geometry) {
  if (geometry[1] == 0)
    geometry[1] = SHMSEG_DICT_LRU;
  if (geometry[2] == 0)
    geometry[2] = dict_quota(geometry[0]) / 2 + 1;
}

/* The largest capacity is found by halving, since its parts grow in steps. */
static void dict_fit(uint64_t available, uint64_t *geometry) {
  uint64_t low = 0, high = available < CAPACITY_MAX ? available : CAPACITY_MAX;
  while (geometry[0] == 0 && low < high) {
    uint64_t tried[SHMSEG_GEOMETRY] = { low + (high - low + 1) / 2, geometry[1], geometry[2] };
    dict_complete(tried);
    uint64_t size = dict_size(tried);
    if (size != 0 && size <= available)
      low = tried[0];
    else
      high = tried[0] - 1;
  }
  if (geometry[0] == 0)
    geometry[0] = low / DICT_CELL * DICT_CELL;
  if (geometry[0] != 0)
    dict_complete(geometry);
}

static int dict_build(const uint64_t *geometry, shmseg_words *words) {
  shmseg_dict d = { 0 };
  dict_work_out(geometry, &d);
  uint64_t lines = d.stripes * d.lines;
  int n = 0;
  words[n++] = (shmseg_words){ DICT_FLUSH, 1, 8, 1, 0 };
  words[n++] = (shmseg_words){ DICT_ARENA_LOCK, 1, 4, SHMSEG_LOCK_FREE, 0 };
  words[n++] = (shmseg_words){ DICT_LARGE_LOCK, 1, 4, SHMSEG_LOCK_FREE, 0 };
  words[n++] = (shmseg_words){ DICT_FRESH, 1, 4, 1, 0 };
  uint64_t at = DICT_STRIPES;
  words[n++] = (shmseg_words){ at + STRIPE_LOCK, d.stripes, 4, SHMSEG_LOCK_FREE, STRIPE_SIZE };
  words[n++] = (shmseg_words){ at + STRIPE_EPOCH, d.stripes, 8, 1, STRIPE_SIZE };
  words[n++] =
      (shmseg_words){ at + STRIPE_EVENTCOUNT, d.stripes, 4, SHMSEG_EVENTCOUNT_START, STRIPE_SIZE };
  words[n++] = (shmseg_words){ d.at_claims, d.claim_lines * (uint64_t)8, 8, SHMSEG_LOCK_FREE, 0 };
  words[n++] = (shmseg_words){ d.at_lines + LINE_LOCK, lines, 4, SHMSEG_LOCK_FREE, LINE_SIZE };
  words[n++] = (shmseg_words){ d.at_lines + LINE_CHAIN, lines, 8, WORD_VALID, LINE_SIZE };
  for (int i = 0; i < DICT_SLOTS; i++)
    words[n++] = (shmseg_words){ dict_slot_at(d.at_lines, i), lines, 8, WORD_VALID, LINE_SIZE };
  words[n++] = (shmseg_words){ d.at_owners, d.cells / 8, 8, 0x0101010101010101, 0 };
  return n;
}

/* --- the key of the hash ------------------------------------------------------------------- */

/* Each word is drawn once, by whoever is first. Odd, so it is not 0. */
static void dict_draw_key(shmseg_dict *dict) {
  for (int i = 0; i < 2; i++) {
    uint64_t *word = dict_word64(dict, DICT_KEY + 8 * (uint64_t)i);
    uint64_t seen = load_acquire(word), drawn;
    if (seen == 0 && dict->object.segment->writable && shmseg_random_draw(&drawn) == 0 &&
        cas_ordered(word, &seen, drawn | 1))
      seen = drawn | 1;
    dict->key[i] = seen;
  }
}

static void dict_open(shmseg_object *object) {
  shmseg_dict *dict = (shmseg_dict *)object;
  dict_work_out(object->geometry, dict);
  dict_draw_key(dict);
}

int shmseg_dict_locate(const shmseg_dict *dict, const void *key, size_t size, dict_key *where) {
  int err = shmseg_object_ready(&dict->object);
  if (err)
    return err;
  if (size == 0 || size > SHMSEG_DICT_KEY_MAX)
    return EINVAL;
  if (dict->key[0] == 0 || dict->key[1] == 0) { /* a read-only handle that was opened early */
    dict_draw_key((shmseg_dict *)dict);
    if (dict->key[0] == 0 || dict->key[1] == 0)
      return dict->object.segment->writable ? EAGAIN : SHMSEG_EMPTY;
  }
  where->bytes = key;
  where->size = (uint32_t)size;
  dict_place(dict, shmseg_hash(dict->key, key, size), where);
  return 0;
}

/* --- the kind ----------------------------------------------------------------------------- */

static const char *dict_check(const shmseg_object *object) {
  return shmseg_dict_check_all((const shmseg_dict *)object);
}

static const char *const dict_evictions[] = { "lru", "none", NULL };

_Static_assert(SHMSEG_DICT_LRU == 1 && SHMSEG_DICT_NONE == 2, "in the order of their names");

static int dict_inspect(const shmseg_object *object, shmseg_part *parts) {
  const shmseg_dict *d = (const shmseg_dict *)object;
  uint64_t stripes = d->stripes, lines = stripes * d->lines, claims = d->claim_lines * (uint64_t)8;
  int n = 0;
  parts[n++] = (shmseg_part){ "arena", SHMSEG_PART_LOCK, DICT_ARENA_LOCK, 1, 0 };
  parts[n++] = (shmseg_part){ "large", SHMSEG_PART_LOCK, DICT_LARGE_LOCK, 1, 0 };
  uint64_t at = DICT_STRIPES;
  parts[n++] = (shmseg_part){ "stripe", SHMSEG_PART_LOCK, at + STRIPE_LOCK, stripes, STRIPE_SIZE };
  parts[n++] = (shmseg_part){ "line", SHMSEG_PART_LOCK, d->at_lines + LINE_LOCK, lines, LINE_SIZE };
  parts[n++] = (shmseg_part){ "claim", SHMSEG_PART_CLAIM, d->at_claims, claims, 8 };
  parts[n++] = (shmseg_part){ "changes", SHMSEG_PART_EVENTCOUNT, at + STRIPE_EVENTCOUNT, stripes,
                              STRIPE_SIZE };
  return n;
}

const shmseg_kind shmseg_dict_kind = {
  .name = "dict",
  .number = 8,
  .version = 1,
  .handle_size = sizeof(shmseg_dict),
  .numbers = { SHMSEG_NUMBER(capacity), SHMSEG_CHOICE(evict, dict_evictions),
               SHMSEG_NUMBER(items) },
  .size = dict_size,
  .fit = dict_fit,
  .build = dict_build,
  .open = dict_open,
  .check = dict_check,
  .inspect = dict_inspect,
};
