/* SPDX-License-Identifier: MIT */
/* When items of a dict end: one, by its expiry; all at once, by the flush stamp. And freeing those that
 * have ended. */
#include <errno.h>

#include "core/eventcount.h"
#include "objects/dict.h"

/* Lines that are swept under one hold of a stripe's lock, and by one call. */
#define LINES_HELD 256
#define LINES_SWEPT 16384

uint64_t shmseg_dict_expiry(int64_t ttl, int64_t *now) {
  if (ttl == 0)
    return 0;
  if (*now == 0)
    *now = shmseg_clock_wall();
  int64_t end;
  if (__builtin_add_overflow(*now, ttl, &end))
    end = ttl > 0 ? INT64_MAX : 1;
  return end > 0 ? (uint64_t)end : 1;
}

/* --- one item --------------------------------------------------------------------------------- */

/* The stripe counts an item again that was flushed. */
static void expire_count(dict_op *op, const dict_head *head) {
  uint64_t bytes = dict_item_bytes(head), cells;
  if (head->type == SHMSEG_DICT_LIST)
    bytes += shmseg_dict_list_bytes(op, head->number, head->flags, &cells);
  dict_count(op, 1, (int64_t)bytes, 0);
}

/* Under the lock. A word without WORD_TIMED says that the item does not expire: so it has that before the
 * expiry is stored, and loses it after that is gone. */
static int expire_item(dict_op *op, const dict_key *key, int64_t ttl) {
  const shmseg_dict *dict = op->dict;
  dict_found found;
  int err = shmseg_dict_look(op, key, &found);
  if (err)
    return err;
  uint64_t expiry = shmseg_dict_expiry(ttl, &op->now);
  bool was_flushed = found.head.stamp != op->flush;
  if (expiry != 0) {
    err = shmseg_dict_renew(op, key->line, &found, true);
    if (err)
      return err;
  }
  dict_void(op, key);
  uint64_t at = dict_cell_at(dict, found.cell);
  store_relaxed(dict_word64(dict, at + ITEM_EXPIRY), expiry);
  /* Publish, of a flushed one: who sees this stamp sees the expiry before it. */
  store_release(dict_word64(dict, at + ITEM_STAMP), op->flush);
  if (was_flushed)
    expire_count(op, &found.head);
  if (expiry == 0)
    shmseg_dict_renew(op, key->line, &found, false); /* else the item is looked at in vain */
  return 0;
}

int shmseg_dict_expire(shmseg_dict *dict, const void *key, size_t key_size, int64_t ttl,
                       int64_t *deadline) {
  dict_key where;
  dict_op op = { .dict = dict, .deadline = deadline };
  int err = shmseg_dict_begin(&op, key, key_size, &where);
  return err ? err : shmseg_dict_finish(&op, &where, expire_item(&op, &where, ttl));
}

/* --- all items -------------------------------------------------------------------------------- */

/* If another one's flush comes between, it is as good: it is later than this call's beginning. */
int shmseg_dict_flush_all(shmseg_dict *dict) {
  const shmseg_segment *segment = dict->object.segment;
  int err = shmseg_object_ready(&dict->object);
  if (err)
    return err;
  if (!segment->writable)
    return SHMSEG_READ_ONLY;
  uint64_t *word = dict_word64(dict, DICT_FLUSH);
  uint64_t seen = load_relaxed(word);
  int64_t now = shmseg_clock_wall();
  err = segment_status(segment);
  if (err)
    return err;
  if (seen == 0 || seen > INT64_MAX)
    return SHMSEG_CORRUPT;
  cas_ordered(word, &seen, now > (int64_t)seen ? (uint64_t)now : seen + 1);
  for (uint32_t i = 0; i < dict->stripes; i++)
    shmseg_eventcount_notify(dict_word32(dict, dict_stripe_at(i, STRIPE_EVENTCOUNT)));
  return segment_status(segment);
}

/* --- what has ended --------------------------------------------------------------------------- */

/* Where a sweep of a line is. */
typedef struct {
  uint64_t line;
  uint64_t left; /* items that may still be freed */
  uint64_t *freed;
} expire_sweep;

/* Frees the item that was found, if it is stale. *dropped tells. */
static int expire_one(dict_op *op, expire_sweep *sweep, dict_found *found, bool *dropped) {
  *dropped = false;
  if (!shmseg_dict_read_head(op->dict, found->cell, &found->head))
    return SHMSEG_CORRUPT;
  if (sweep->left == 0 || !dict_is_stale(&found->head, op->flush, &op->now))
    return 0;
  int err = shmseg_dict_drop(op, sweep->line, found);
  if (err)
    return err;
  dict_tell(op, STRIPE_EXPIRED);
  *dropped = true;
  sweep->left--;
  ++*sweep->freed;
  return 0;
}

/* Each drop gives the chain's word another version. */
static int expire_chain(dict_op *op, expire_sweep *sweep) {
  dict_found found = dict_entry(op->dict, sweep->line, DICT_CHAIN);
  for (int i = 0; i < DICT_CHAIN_MAX && found.cell != 0; i++) {
    bool dropped;
    int err = expire_one(op, sweep, &found, &dropped);
    if (err)
      return err;
    uint32_t before = dropped ? found.before : found.cell, next = found.head.next;
    found = dict_entry(op->dict, sweep->line, DICT_CHAIN);
    found.before = before;
    found.cell = next;
  }
  return found.cell == 0 ? 0 : SHMSEG_CORRUPT;
}

static int expire_line(dict_op *op, expire_sweep *sweep) {
  bool dropped;
  for (int i = 0; i < DICT_SLOTS; i++) {
    dict_found found = dict_entry(op->dict, sweep->line, i);
    int err = found.cell != 0 ? expire_one(op, sweep, &found, &dropped) : 0;
    if (err)
      return err;
  }
  return expire_chain(op, sweep);
}

/* Sweeps some lines of a stripe. *cursor is the next line of all. */
static int expire_lines(dict_op *op, uint64_t max, uint64_t *cursor, uint64_t *freed) {
  const shmseg_dict *dict = op->dict;
  uint64_t line = *cursor % dict->lines;
  uint64_t end = dict->lines - line < LINES_HELD ? dict->lines : line + LINES_HELD;
  for (; line < end; line++, ++*cursor) {
    expire_sweep sweep = { dict_line_at(dict, op->stripe, line), max - *freed, freed };
    int err = sweep.left > 0 ? expire_line(op, &sweep) : 0;
    if (err || sweep.left == 0)
      return err;
  }
  return 0;
}

int shmseg_dict_flush_expired(shmseg_dict *dict, uint64_t max, uint64_t *cursor, uint64_t *freed,
                              int64_t *deadline) {
  uint64_t began = *cursor, most = max == 0 ? UINT64_MAX : max;
  int err = shmseg_object_ready(&dict->object);
  while (!err && *cursor < dict->stripes * dict->lines && *freed < most) {
    if (*cursor - began >= LINES_SWEPT)
      return SHMSEG_INTERRUPTED; /* the caller may look around */
    dict_op op = { .dict = dict, .deadline = deadline };
    op.stripe = (uint32_t)(*cursor / dict->lines);
    err = shmseg_dict_enter(&op);
    if (err)
      return err;
    err = shmseg_dict_leave(&op, expire_lines(&op, most, cursor, freed));
    if (!err)
      *deadline = 0; /* the next stripe has a patience of its own */
  }
  return err;
}
