/* SPDX-License-Identifier: MIT */
/* Repair of a dict's stripe whose last owner died: what the index leads to is marked, everything else becomes
 * free, and what is derived is made anew. dict.c describes the whole.
 *
 * A death in it leaves marks and the lock of a dead owner: the next repair takes the marks away and does
 * it all again. Only what no honest process writes is dropped here. */
#include "core/segment.h"
#include "objects/dict.h"

/* What is found in the stripe. */
typedef struct {
  dict_op *op;
  uint64_t count, bytes; /* of items that were not flushed */
  uint64_t cells;
} repair;

/* Is the item in the line of its key, and its tag in its word? */
static bool repair_belongs(const shmseg_dict *dict, uint64_t line, const dict_found *found) {
  unsigned char bytes[SHMSEG_DICT_KEY_MAX]; /* only what is read of it is touched */
  dict_key key;
  return shmseg_dict_read(dict, dict_item_block(found), ITEM_KEY, bytes, found->head.key_size) ==
             0 &&
         shmseg_dict_locate(dict, bytes, found->head.key_size, &key) == 0 && key.line == line &&
         (found->entry == DICT_CHAIN || key.tag == dict_word_tag(found->word));
}

/* --- lists -------------------------------------------------------------------------------- */

/* The list ends with that element, and has so many: what a death behind ITEM_NUMBER leaves is the count, the
 * rest only lies. */
static void repair_list_ends(const repair *r, dict_found *found, uint32_t last, uint32_t count) {
  uint64_t at = dict_cell_at(r->op->dict, found->cell);
  uint64_t *head = dict_word64(r->op->dict, at + ITEM_HEAD);
  uint64_t ends = dict_list_ends(dict_list_first(found->head.number), last);
  if (ends != found->head.number)
    store_relaxed(dict_word64(r->op->dict, at + ITEM_NUMBER), ends);
  if (count != found->head.flags)
    store_relaxed(head, (load_relaxed(head) & UINT32_MAX) | (uint64_t)count << 32);
  found->head.number = ends;
  found->head.flags = count;
}

/* Marks the elements, from the first to the last one, or to the first that cannot be. Each one leads to
 * the next; that it leads back is mended. False: there is none. */
static bool repair_list(repair *r, dict_found *found, uint64_t *bytes) {
  const shmseg_dict *dict = r->op->dict;
  uint32_t cell = dict_list_first(found->head.number), last = dict_list_last(found->head.number);
  uint32_t before = 0, count = 0;
  dict_head element;
  while (before != last || count == 0) {
    if (!shmseg_dict_read_element(dict, cell, &element))
      break;
    dict_block block = dict_element_block(cell, &element);
    if (!shmseg_dict_mark(r->op, block)) /* so a circle ends */
      break;
    if (count > 0 && element.flags != before)
      store_relaxed(dict_word32(dict, dict_cell_at(dict, cell) + ELEMENT_BEFORE), before);
    r->cells += block.count;
    *bytes += dict_element_bytes(&element);
    before = cell;
    cell = element.next;
    count++;
  }
  if (count > 0)
    repair_list_ends(r, found, before, count);
  return count > 0;
}

/* --- items -------------------------------------------------------------------------------- */

/* Reads the item's head, and marks and counts all that it has, if it can be there. *leads_on: its ITEM_NEXT
 * may be followed. */
static bool repair_item(repair *r, uint64_t line, dict_found *found, bool *leads_on) {
  const dict_op *op = r->op;
  *leads_on = shmseg_dict_read_head(op->dict, found->cell, &found->head);
  if (!*leads_on || !repair_belongs(op->dict, line, found))
    return false;
  if (dict_is_hot(found) && !dict_is_number(found->head.type))
    return false;
  dict_block block = dict_item_block(found);
  *leads_on = shmseg_dict_mark(r->op, block); /* so a circle ends */
  uint64_t bytes = dict_item_bytes(&found->head);
  if (!*leads_on)
    return false;
  if (found->head.type == SHMSEG_DICT_LIST && !repair_list(r, found, &bytes)) {
    shmseg_dict_unmark_block(r->op, block);
    return false;
  }
  bool is_counted = found->head.stamp == op->flush;
  r->cells += block.count;
  r->count += is_counted;
  r->bytes += is_counted ? bytes : 0;
  return true;
}

/* Does the word have to be stored again? A list may have changed without it; and an item that can expire
 * is found by WORD_TIMED. */
static bool repair_renews(const dict_found *found) {
  return found->head.type == SHMSEG_DICT_LIST ||
         (found->head.expiry != 0 && !(found->word & WORD_TIMED));
}

static int repair_slot(repair *r, uint64_t line, int entry, bool *has_hot) {
  dict_found found = dict_entry(r->op->dict, line, entry);
  bool leads_on;
  if (found.cell == 0 && found.word & WORD_VALID && !(found.word & WORD_HOT))
    return 0;
  if (!(found.word & WORD_VALID) || !repair_item(r, line, &found, &leads_on))
    return shmseg_dict_remove(r->op, line, &found);
  bool is_hot = found.word & WORD_HOT;
  int err = is_hot && *has_hot ? shmseg_dict_cool(r->op, line, &found) : 0;
  *has_hot |= is_hot;
  if (err || !repair_renews(&found))
    return err;
  return shmseg_dict_renew(r->op, line, &found, found.word & WORD_TIMED || found.head.expiry != 0);
}

static int repair_chain(repair *r, uint64_t line) {
  dict_found found = dict_entry(r->op->dict, line, DICT_CHAIN);
  bool is_new = !(found.word & WORD_VALID), is_timed = found.word & WORD_TIMED;
  uint32_t cell = found.cell;
  int err = 0;
  for (int i = 0; !err && cell != 0; i++) {
    bool leads_on = false;
    found.cell = cell;
    bool is_kept = i < DICT_CHAIN_MAX && repair_item(r, line, &found, &leads_on);
    cell = leads_on ? found.head.next : 0;
    if (is_kept) {
      is_new |= repair_renews(&found);
      is_timed |= found.head.expiry != 0;
      found.before = found.cell;
      continue;
    }
    found.head.next = cell;
    err = shmseg_dict_remove(r->op, line, &found);
  }
  found.word = load_relaxed(dict_word64(r->op->dict, found.at));
  return err || !is_new ? err : shmseg_dict_renew(r->op, line, &found, is_timed);
}

static int repair_lines(repair *r) {
  const shmseg_dict *dict = r->op->dict;
  int err = 0;
  for (uint64_t i = 0; !err && i < dict->lines; i++) {
    uint64_t line = dict_line_at(dict, r->op->stripe, i);
    bool has_hot = false;
    for (int entry = 0; !err && entry < DICT_SLOTS; entry++)
      err = repair_slot(r, line, entry, &has_hot);
    err = err ? err : repair_chain(r, line);
  }
  return err ? err : segment_status(dict->object.segment);
}

/* --- the stripe --------------------------------------------------------------------------- */

static void repair_counts(const repair *r) {
  store_relaxed(dict_own(r->op, STRIPE_COUNT), r->count);
  store_relaxed(dict_own(r->op, STRIPE_BYTES), r->bytes);
  store_release(dict_own(r->op, STRIPE_STAMP), r->op->flush); /* as in dict_count() */
  store_relaxed(dict_own(r->op, STRIPE_USED), r->cells);
  shmseg_dict_recount_claims(r->op);
  store_relaxed(dict_own(r->op, STRIPE_REPAIRED),
                load_relaxed(dict_own(r->op, STRIPE_REPAIRED)) + 1);
}

/* The epoch first: a word may have the version of the epoch that did not follow it, and the next word will
 * have that again. */
int shmseg_dict_repair(dict_op *op) {
  repair r = { op, 0, 0, 0 };
  store_release(dict_own(op, STRIPE_EPOCH),
                load_relaxed(dict_own(op, STRIPE_EPOCH)) + DICT_VERSIONS);
  int err = shmseg_dict_unmark(op);
  if (!err)
    err = repair_lines(&r);
  if (!err) {
    store_relaxed(dict_own(op, STRIPE_SPARE), 0);
    err = shmseg_dict_sweep(op);
  }
  if (!err)
    repair_counts(&r);
  return err ? err : segment_status(op->dict->object.segment);
}
