/* SPDX-License-Identifier: MIT */
/* Writing under a stripe's lock: entering, leaving, and what a stripe counts. */
#include <errno.h>

#include "core/eventcount.h"
#include "core/lock.h"
#include "objects/dict_find.h"

static uint32_t *stripe_lock(const dict_op *op) {
  return (uint32_t *)dict_own(op, STRIPE_LOCK);
}

static void stripe_find(dict_op *op) {
  op->words = dict_word64(op->dict, dict_stripe_at(op->stripe, 0));
}

/* The lock is ours; what a dead owner has left is mended first. */
static int stripe_begin(dict_op *op, bool is_dirty) {
  op->now = 0;
  op->is_large = false;
  op->is_broken = is_dirty;
  op->flush = load_acquire(dict_word64(op->dict, DICT_FLUSH)); /* pairs with flush's swap */
  if (!is_dirty)
    return 0;
  int err = shmseg_dict_repair(op);
  if (err)
    return shmseg_dict_leave(op, err);
  op->is_broken = false;
  return 0;
}

int shmseg_dict_enter(dict_op *op) {
  bool is_dirty;
  int err = shmseg_object_begin(&op->dict->object, &op->id);
  stripe_find(op);
  if (!err)
    err = shmseg_lock_enter_patiently(op->dict->object.segment, stripe_lock(op), op->id,
                                      DICT_PATIENCE, op->deadline, &is_dirty);
  return err ? err : stripe_begin(op, is_dirty);
}

int shmseg_dict_try_enter(dict_op *op) {
  bool is_dirty;
  stripe_find(op);
  int err = shmseg_lock_take(op->dict->object.segment, stripe_lock(op), op->id, 0, 0, &is_dirty);
  return err ? err : stripe_begin(op, is_dirty);
}

/* shmseg_dict_take() may have taken it. */
static int stripe_give_large(dict_op *op) {
  if (!op->is_large)
    return 0;
  op->is_large = false;
  return shmseg_lock_release(op->dict->object.segment, dict_word32(op->dict, DICT_LARGE_LOCK),
                             op->id, SHMSEG_LOCK_FREE, 1);
}

int shmseg_dict_leave(dict_op *op, int err) {
  const shmseg_segment *segment = op->dict->object.segment;
  int given = stripe_give_large(op), status = segment_status(segment);
  err = err ? err : given;
  if (status || op->is_broken || err == SHMSEG_CORRUPT)
    return shmseg_lock_leave_dirty(segment, stripe_lock(op), op->id, status ? status : err);
  status = shmseg_lock_release(segment, stripe_lock(op), op->id, SHMSEG_LOCK_FREE, 1);
  return status ? status : err;
}

int shmseg_dict_begin(dict_op *op, const void *key, size_t size, dict_key *where) {
  int err = dict_target(op->dict, key, size, where);
  if (err)
    return err;
  op->stripe = where->stripe;
  return shmseg_dict_enter(op);
}

int shmseg_dict_finish(dict_op *op, const dict_key *where, int err) {
  err = shmseg_dict_leave(op, err);
  if (!err)
    dict_notify(op->dict, where->stripe, where->line);
  return err;
}

int shmseg_dict_look(const dict_op *op, const dict_key *key, dict_found *found) {
  int err = shmseg_dict_find(op->dict, key, found);
  return err == SHMSEG_CHANGED ? SHMSEG_CORRUPT : err; /* nobody else changes a word now */
}

/* --- counts ------------------------------------------------------------------------------- */

/* After a flush nothing is counted that was stored before. */
void shmseg_dict_count_anew(dict_op *op) {
  store_relaxed(dict_own(op, STRIPE_COUNT), 0);
  store_relaxed(dict_own(op, STRIPE_BYTES), 0);
  store_release(dict_own(op, STRIPE_STAMP), op->flush); /* who sees it sees no older counts */
}

/* --- waking ------------------------------------------------------------------------------- */

void shmseg_dict_wake(const shmseg_dict *dict, uint32_t stripe, uint64_t line) {
  if (and_ordered(dict_word32(dict, line + LINE_MARKS), ~DICT_WATCHED) & DICT_WATCHED)
    shmseg_eventcount_notify(dict_word32(dict, dict_stripe_at(stripe, STRIPE_EVENTCOUNT)));
}
