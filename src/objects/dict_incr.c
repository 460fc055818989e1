/* SPDX-License-Identifier: MIT */
/* Adding to a number. One that is added to is hot: its value is in its line of the index, and takes the
 * line's lock alone. dict.c has the protocol. */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "objects/dict_find.h"

/* --- numbers ------------------------------------------------------------------------------ */

/* An integer or a float, as it is in ITEM_NUMBER. */
typedef struct {
  uint32_t type;
  uint64_t bits;
  bool is_exact; /* of a step: an integer sum must be one that a double holds */
} incr_number;

static incr_number incr_number_of(const shmseg_dict_value *value) {
  return (incr_number){ (uint32_t)value->type, (uint64_t)value->integer, false };
}

static incr_number incr_step(const shmseg_dict_step *step) {
  incr_number number = incr_number_of(&step->step);
  number.is_exact = step->exact;
  return number;
}

static double incr_as_float(incr_number number) {
  double value;
  if (number.type == SHMSEG_DICT_INTEGER)
    return (double)(int64_t)number.bits;
  memcpy(&value, &number.bits, sizeof value);
  return value;
}

/* Has the integer no more than 53 bits, but for zeroes behind them? */
static bool incr_is_exact(uint64_t bits) {
  uint64_t size = (int64_t)bits < 0 ? 0 - bits : bits;
  return size == 0 || size >> __builtin_ctzll(size) >> 53 == 0;
}

/* ERANGE: the step is exact, and the sum would not be. */
static int incr_sum(incr_number number, incr_number step, incr_number *sum) {
  *sum = (incr_number){ SHMSEG_DICT_INTEGER, number.bits + step.bits, false };
  if (number.type != SHMSEG_DICT_INTEGER || step.type != SHMSEG_DICT_INTEGER) {
    double value = incr_as_float(number) + incr_as_float(step);
    sum->type = SHMSEG_DICT_FLOAT;
    memcpy(&sum->bits, &value, sizeof value);
  } else if (step.is_exact && !incr_is_exact(sum->bits)) {
    return ERANGE;
  }
  return 0;
}

static void incr_tell(incr_number sum, int32_t flags, shmseg_dict_value *result) {
  *result = (shmseg_dict_value){ .type = (shmseg_dict_type)sum.type, .flags = flags };
  result->integer = (int64_t)sum.bits;
}

/* --- a hot number -------------------------------------------------------------------------- */

/* Does the sum have the type that the item has? */
static bool incr_keeps_type(const dict_found *found, incr_number step) {
  return found->head.type == SHMSEG_DICT_INTEGER ? step.type == SHMSEG_DICT_INTEGER
                                                 : found->head.type == SHMSEG_DICT_FLOAT;
}

/* Adds to the number, whose word was hot. SHMSEG_CHANGED: it is another one by now. A death under the line's
 * lock leaves the number before or after the one store. */
__attribute__((always_inline)) static inline int incr_add(const shmseg_dict *dict, uint32_t id,
                                                          const dict_key *key,
                                                          const dict_found *found, incr_number step,
                                                          incr_number *sum, int64_t *deadline) {
  const shmseg_segment *segment = dict->object.segment;
  uint32_t *lock = dict_word32(dict, key->line + LINE_LOCK);
  uint64_t *number = dict_word64(dict, key->line + LINE_HOT);
  bool is_dirty;
  int err = shmseg_lock_enter_patiently(segment, lock, id, DICT_PATIENCE, deadline, &is_dirty);
  if (err)
    return err;
  err = dict_prove(dict, key->stripe, found);
  if (!err)
    err = incr_sum((incr_number){ found->head.type, load_relaxed(number), false }, step, sum);
  if (!err)
    store_relaxed(number, sum->bits); /* publishes; the unlock's swap is behind it */
  int left = shmseg_lock_release(segment, lock, id, SHMSEG_LOCK_FREE, 1);
  return err ? err : left;
}

/* Adds to what was found, without the stripe's lock. SHMSEG_CHANGED: that lock is needed. A number whose key is
 * claimed is not hot: who takes the claim cools it, and who makes it hot again voids the claim. */
static inline int incr_found(const shmseg_dict *dict, const dict_key *key, const dict_found *found,
                             incr_number step, shmseg_dict_value *result, int64_t *deadline) {
  incr_number sum = { 0 };
  uint32_t id;
  int64_t now = 0;
  if (!dict_is_hot(found) || !incr_keeps_type(found, step) || !dict_is_live(dict, found, &now))
    return SHMSEG_CHANGED;
  int err = shmseg_object_begin(&dict->object, &id);
  if (!err)
    err = incr_add(dict, id, key, found, step, &sum, deadline);
  if (err == ERANGE)
    incr_tell(sum, (int32_t)found->head.flags, result);
  if (err)
    return err;
  dict_notify(dict, key->stripe, key->line);
  dict_use(dict, key->stripe, key->line, found->entry);
  incr_tell(sum, (int32_t)found->head.flags, result);
  return 0;
}

static inline int incr_fast(const shmseg_dict *dict, const dict_key *key, incr_number step,
                            shmseg_dict_value *result, int64_t *deadline) {
  dict_found found;
  return dict_find(dict, key, &found) != 0 ? SHMSEG_CHANGED
                                           : incr_found(dict, key, &found, step, result, deadline);
}

int shmseg_dict_find_hot(const shmseg_dict *dict, const void *key, size_t key_size,
                         shmseg_dict_spot *spot) {
  dict_found found;
  int err = shmseg_dict_find_lasting(dict, key, key_size, &found, spot);
  return err || dict_is_hot(&found) ? err : SHMSEG_CHANGED;
}

int shmseg_dict_incr_at(shmseg_dict *dict, const shmseg_dict_spot *spot,
                        const shmseg_dict_step *step, shmseg_dict_value *result,
                        int64_t *deadline) {
  int err = shmseg_object_ready(&dict->object);
  if (err)
    return err;
  uint64_t line = spot->at / LINE_SIZE * LINE_SIZE;
  dict_key key = { .stripe = spot->stripe, .line = line };
  dict_found found = { .epoch = spot->epoch, .at = spot->at, .word = spot->word };
  found.entry = (int)((spot->at - line - LINE_SLOTS) / 8);
  found.head.type = spot->type;
  found.head.stamp = spot->flush;
  return incr_found(dict, &key, &found, incr_step(step), result, deadline);
}

/* --- under the stripe's lock ----------------------------------------------------------------- */

/* Another number in the place of the live one, of the same type: it becomes hot, if it has a slot. */
static int incr_in_place(dict_op *op, const dict_key *key, dict_found *found, incr_number step,
                         incr_number *sum) {
  /* nobody adds to it between the look at the sum and the store */
  int err = step.is_exact ? shmseg_dict_cool(op, key->line, found) : 0;
  if (!err && !dict_is_hot(found))
    err = incr_sum((incr_number){ found->head.type, found->head.number, false }, step, sum);
  if (err)
    return err;
  dict_void(op, key);
  if (dict_is_hot(found)) {
    err = incr_add(op->dict, op->id, key, found, step, sum, op->deadline);
    err = err == SHMSEG_CHANGED ? SHMSEG_CORRUPT : err;
  } else if (found->entry == DICT_CHAIN) {
    store_release(dict_word64(op->dict, dict_cell_at(op->dict, found->cell) + ITEM_NUMBER),
                  sum->bits); /* publishes */
  } else {
    err = shmseg_dict_heat(op, key->line, found, sum->bits);
  }
  if (!err)
    shmseg_dict_use(op->dict, op->stripe, key->line, found->entry);
  return err;
}

/* A live item. */
static int incr_live(dict_op *op, const dict_key *key, dict_found *found, incr_number step,
                     incr_number *sum, bool *forcible) {
  if (!dict_is_number(found->head.type))
    return SHMSEG_WRONG_TYPE;
  if (incr_keeps_type(found, step))
    return incr_in_place(op, key, found, step, sum);
  int err = shmseg_dict_cool(op, key->line, found);
  if (!err)
    err = incr_sum((incr_number){ found->head.type, found->head.number, false }, step, sum);
  if (err)
    return err;
  dict_head head = {
    .type = sum->type, .flags = found->head.flags, .number = sum->bits, .expiry = found->head.expiry
  };
  return shmseg_dict_put(op, key, found, &head, NULL, false, forcible);
}

/* No live item; a stale one may be there. */
static int incr_begin(dict_op *op, const dict_key *key, dict_found *old,
                      const shmseg_dict_step *step, incr_number *sum, bool *forcible) {
  if (step->init.type == 0)
    return SHMSEG_EMPTY;
  int err = incr_sum(incr_number_of(&step->init), incr_step(step), sum);
  if (err)
    return err;
  dict_head head = { .type = sum->type,
                     .number = sum->bits,
                     .expiry = shmseg_dict_expiry(step->ttl, &op->now) };
  return shmseg_dict_put(op, key, old, &head, NULL, false, forcible);
}

/* Can there be a number under that key? */
static int incr_measure(const shmseg_dict *dict, const dict_key *key) {
  return dict_cells_for(ITEM_KEY + (uint64_t)key->size) > dict->quota ? EFBIG : 0;
}

/* Under the lock. */
static int incr_look(dict_op *op, const dict_key *key, const shmseg_dict_step *step,
                     shmseg_dict_value *result, bool *forcible) {
  dict_found found;
  incr_number sum = { 0 };
  int err = dict_refused(op, incr_measure(op->dict, key));
  if (err)
    return err;
  err = shmseg_dict_look(op, key, &found);
  if (err && err != SHMSEG_EMPTY)
    return err;
  bool is_there = err == 0;
  bool is_live = is_there && !dict_is_stale(&found.head, op->flush, &op->now);
  uint32_t flags = is_live ? found.head.flags : 0;
  if (is_live)
    err = incr_live(op, key, &found, incr_step(step), &sum, forcible);
  else
    err = incr_begin(op, key, is_there ? &found : NULL, step, &sum, forcible);
  if (!err || err == ERANGE)
    incr_tell(sum, (int32_t)flags, result);
  return err;
}

__attribute__((noinline)) static int incr_slowly(shmseg_dict *dict, const dict_key *key,
                                                 const shmseg_dict_step *step,
                                                 shmseg_dict_value *result, bool *forcible,
                                                 int64_t *deadline) {
  dict_op op = { .dict = dict, .stripe = key->stripe, .deadline = deadline };
  int err = shmseg_dict_enter(&op);
  return err ? err : shmseg_dict_finish(&op, key, incr_look(&op, key, step, result, forcible));
}

static int incr_check(const shmseg_dict_step *step) {
  if (!dict_is_number((uint32_t)step->step.type) || step->ttl < 0 ||
      (step->init.type != 0 && !dict_is_number((uint32_t)step->init.type)))
    return EINVAL;
  return 0;
}

int shmseg_dict_incr(shmseg_dict *dict, const void *key, size_t key_size,
                     const shmseg_dict_step *step, shmseg_dict_value *result, bool *forcible,
                     int64_t *deadline) {
  dict_key where;
  *forcible = false;
  int err = dict_target(dict, key, key_size, &where);
  if (!err)
    err = incr_check(step);
  if (!err)
    err = incr_fast(dict, &where, incr_step(step), result, deadline);
  return err == SHMSEG_CHANGED ? incr_slowly(dict, &where, step, result, forcible, deadline) : err;
}
