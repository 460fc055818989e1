/* SPDX-License-Identifier: MIT */
/* Does a quiet dict keep its invariants? dict.c has them.
 *
 * Under a lock that is not free, or dirty, what it protects may be wrong: it is left out. */
#include "core/eventcount.h"
#include "core/lock.h"
#include "objects/dict_arena.h"

static bool check_is_free(const shmseg_dict *dict, uint64_t lock) {
  return (load_acquire(dict_word32(dict, lock)) & ~SHMSEG_LOCK_WAITERS) == SHMSEG_LOCK_FREE;
}

/* --- the arena ---------------------------------------------------------------------------- */

/* The free cells of a page, by their owners. */
static uint64_t check_free(const shmseg_dict *dict, uint32_t page) {
  uint8_t owners[DICT_PAGE];
  owners_read(dict, page * DICT_PAGE, DICT_PAGE, owners);
  return owners_equal(owners, DICT_FREE);
}

static const char *check_masks(const shmseg_dict *dict, uint64_t *linked) {
  uint64_t granted = 0;
  uint32_t fresh = arena_fresh(dict);
  if (load_relaxed(dict_word32(dict, DICT_FRESH)) != fresh)
    return "the first fresh page";
  *linked = 0;
  for (uint32_t page = 1; page < pages_end(dict); page++) {
    uint64_t mask = check_free(dict, page);
    if (page >= fresh && mask != UINT64_MAX)
      return "D2: a fresh page";
    if (page < fresh && mask != load_relaxed(page_mask(dict, page)))
      return "D6: free cells";
    granted += DICT_PAGE - (uint64_t)__builtin_popcountll(mask);
    *linked += page < fresh && mask != 0;
  }
  return granted == arena_granted(dict) ? NULL : "D6: granted cells";
}

/* Takes the bin's pages off *linked. */
static const char *check_bin(const shmseg_dict *dict, uint32_t bin, uint64_t *linked) {
  uint32_t before = 0, page = load_relaxed(bin_head(dict, bin));
  uint64_t filled = load_relaxed(dict_word64(dict, DICT_FILLED));
  if ((page != 0) != (filled >> (bin - 1) & 1))
    return "D6: which bins are filled";
  for (; page != 0; page = load_relaxed(page_next(dict, before))) {
    if (page >= arena_fresh(dict) || *linked == 0 ||
        load_relaxed(page_before(dict, page)) != before ||
        shmseg_dict_arena_longest(load_relaxed(page_mask(dict, page))) != bin)
      return "D6: a bin";
    (*linked)--;
    before = page;
  }
  return NULL;
}

static const char *check_arena(const shmseg_dict *dict) {
  uint64_t linked;
  if (!check_is_free(dict, DICT_ARENA_LOCK))
    return shmseg_lock_valid(load_relaxed(dict_word32(dict, DICT_ARENA_LOCK))) ? NULL
                                                                               : "the arena's lock";
  const char *wrong = check_masks(dict, &linked);
  for (uint32_t bin = 1; !wrong && bin <= DICT_PAGE; bin++)
    wrong = check_bin(dict, bin, &linked);
  return !wrong && linked != 0 ? "D6: a page is in no bin" : wrong;
}

/* --- items -------------------------------------------------------------------------------- */

/* What the index of a stripe leads to. */
typedef struct {
  const shmseg_dict *dict;
  uint32_t stripe;
  uint64_t owned; /* cells, by their owners */
  uint64_t count, bytes, cells, flush;
} check_sum;

/* D2: are a run's cells the stripe's? */
static int check_run(void *context, uint32_t cell, uint32_t count) {
  const check_sum *sum = context;
  for (uint32_t i = 0; i < count; i++) {
    uint8_t owner;
    owners_read(sum->dict, cell + i, 1, &owner);
    if (owner != sum->stripe + DICT_OWNED)
      return SHMSEG_CORRUPT;
  }
  return 0;
}

static bool check_block(check_sum *sum, dict_block block) {
  sum->cells += block.count;
  return shmseg_dict_each_run(sum->dict, block, check_run, sum) == 0;
}

static bool check_list(check_sum *sum, const dict_head *list, uint64_t *bytes) {
  uint32_t cell = dict_list_first(list->number), before = 0;
  dict_head element;
  for (uint32_t i = 0; i < list->flags; i++) {
    if (!shmseg_dict_read_element(sum->dict, cell, &element) || (i > 0 && element.flags != before))
      return false;
    if (!check_block(sum, dict_element_block(cell, &element)))
      return false;
    *bytes += dict_element_bytes(&element);
    before = cell;
    cell = element.next;
  }
  return list->flags > 0 && before == dict_list_last(list->number);
}

/* Is what a search for the item's key finds the item? */
static const char *check_key(const shmseg_dict *dict, uint64_t line, const dict_found *found) {
  unsigned char bytes[SHMSEG_DICT_KEY_MAX]; /* only what is read of it is touched */
  uint32_t size = found->head.key_size;
  dict_key key;
  dict_found seen;
  if (shmseg_dict_read(dict, dict_item_block(found), ITEM_KEY, bytes, size) != 0 ||
      shmseg_dict_locate(dict, bytes, size, &key) != 0 || key.line != line ||
      shmseg_dict_find(dict, &key, &seen) != 0)
    return "D1: an item in another key's place";
  return seen.cell == found->cell ? NULL : "D1: a key twice";
}

static const char *check_item(check_sum *sum, uint64_t line, dict_found *found) {
  dict_head *head = &found->head;
  if (!shmseg_dict_read_head(sum->dict, found->cell, head))
    return "D1: an item's head";
  const char *wrong = check_key(sum->dict, line, found);
  if (wrong)
    return wrong;
  uint64_t bytes = dict_item_bytes(head);
  if (!check_block(sum, dict_item_block(found)))
    return "D2: an item's cells";
  if (head->type == SHMSEG_DICT_LIST && !check_list(sum, head, &bytes))
    return "D1: a list";
  if (head->expiry != 0 && !(found->word & WORD_TIMED))
    return "D1: an expiry that the index does not know of";
  sum->count += head->stamp == sum->flush;
  sum->bytes += head->stamp == sum->flush ? bytes : 0;
  return NULL;
}

static const char *check_chain(check_sum *sum, uint64_t line) {
  dict_found found = dict_entry(sum->dict, line, DICT_CHAIN);
  const char *wrong = NULL;
  if (!(found.word & WORD_VALID))
    return "D3: a chain's word";
  for (int i = 0; !wrong && found.cell != 0; i++) {
    wrong = i == DICT_CHAIN_MAX ? "D1: a chain without end" : check_item(sum, line, &found);
    found.cell = found.head.next;
  }
  return wrong;
}

static const char *check_line(check_sum *sum, uint64_t line) {
  const char *wrong = NULL;
  int hot = 0;
  if (!shmseg_lock_valid(load_relaxed(dict_word32(sum->dict, line + LINE_LOCK))))
    return "a line's lock";
  for (int entry = 0; !wrong && entry < DICT_SLOTS; entry++) {
    dict_found found = dict_entry(sum->dict, line, entry);
    hot += (found.word & WORD_HOT) != 0;
    if (!(found.word & WORD_VALID))
      wrong = "D3: a slot's word";
    else if (found.cell != 0)
      wrong = check_item(sum, line, &found);
  }
  if (!wrong && hot > 1)
    wrong = "D5: hot numbers";
  return wrong ? wrong : check_chain(sum, line);
}

/* --- stripes ------------------------------------------------------------------------------ */

static uint64_t check_word(const check_sum *sum, uint64_t offset) {
  return load_relaxed(dict_word64(sum->dict, dict_stripe_at(sum->stripe, offset)));
}

static const char *check_counts(const check_sum *sum) {
  uint64_t spare = dict_stripe_at(sum->stripe, STRIPE_SPARE_CELLS);
  bool is_counted = check_word(sum, STRIPE_STAMP) == sum->flush;
  if (sum->cells != check_word(sum, STRIPE_USED))
    return "D6: a stripe's used cells";
  if (sum->owned != sum->cells + load_relaxed(dict_word32(sum->dict, spare)))
    return "D2: a cell that nothing leads to";
  if (sum->count != (is_counted ? check_word(sum, STRIPE_COUNT) : 0))
    return "D6: a stripe's count";
  return sum->bytes == (is_counted ? check_word(sum, STRIPE_BYTES) : 0) ? NULL
                                                                        : "D6: a stripe's bytes";
}

#define OWNERS 256

/* How many cells each owner has; and is each one an owner? Marks are left in a stripe that is to be
 * repaired. */
static const char *check_owners(const shmseg_dict *dict, uint64_t *owned) {
  uint8_t owners[DICT_PAGE];
  for (uint32_t page = 1; page < pages_end(dict); page++) {
    owners_read(dict, page * DICT_PAGE, DICT_PAGE, owners);
    for (uint32_t i = 0; i < DICT_PAGE; i++)
      owned[owners[i]]++;
  }
  for (uint32_t owner = 0; owner < OWNERS; owner++) {
    uint32_t stripe = (owner & ~DICT_MARKED) - DICT_OWNED;
    bool is_stripe = (owner & ~DICT_MARKED) >= DICT_OWNED && stripe < dict->stripes;
    bool is_right = owner == DICT_FREE ||
                    (is_stripe && (!(owner & DICT_MARKED) ||
                                   !check_is_free(dict, dict_stripe_at(stripe, STRIPE_LOCK))));
    if (owned[owner] != 0 && !is_right)
      return "D2: an owner";
  }
  return NULL;
}

static const char *check_stripe(const shmseg_dict *dict, uint32_t stripe, uint64_t owned) {
  uint64_t lock = dict_stripe_at(stripe, STRIPE_LOCK);
  uint64_t eventcount = dict_stripe_at(stripe, STRIPE_EVENTCOUNT);
  check_sum sum = { .dict = dict, .stripe = stripe, .owned = owned };
  const char *wrong = NULL;
  sum.flush = load_relaxed(dict_word64(dict, DICT_FLUSH));
  if (!shmseg_lock_valid(load_relaxed(dict_word32(dict, lock))))
    return "a stripe's lock";
  if (!shmseg_eventcount_valid(load_relaxed(dict_word32(dict, eventcount))))
    return "a stripe's eventcount";
  if (!check_is_free(dict, lock))
    return NULL;
  for (uint64_t i = 0; !wrong && i < dict->lines; i++)
    wrong = check_line(&sum, dict_line_at(dict, stripe, i));
  return wrong ? wrong : check_counts(&sum);
}

const char *shmseg_dict_check_all(const shmseg_dict *dict) {
  uint64_t owned[OWNERS] = { 0 };
  const char *wrong = check_arena(dict);
  if (!wrong && !shmseg_lock_valid(load_relaxed(dict_word32(dict, DICT_LARGE_LOCK))))
    wrong = "the lock of large blocks";
  wrong = wrong ? wrong : check_owners(dict, owned);
  for (uint32_t stripe = 0; !wrong && stripe < dict->stripes; stripe++)
    wrong = check_stripe(dict, stripe, owned[stripe + DICT_OWNED]);
  return wrong;
}
