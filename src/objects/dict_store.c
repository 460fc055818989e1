/* SPDX-License-Identifier: MIT */
/* Storing a value under a key, and deleting a key. dict.c has the protocol. */
#include <errno.h>
#include <string.h>

#include "objects/dict_find.h"
#include "objects/dict_spare.h"

/* --- an item for a key -------------------------------------------------------------------- */

/* Where the block is in several runs. */
__attribute__((noinline)) static int store_fill_runs(const dict_op *op, const dict_key *key,
                                                     dict_block block, const dict_head *head,
                                                     const void *bytes, uint64_t size) {
  int err = shmseg_dict_write_head(op->dict, block, head, key->bytes);
  if (!err && size > 0)
    err = shmseg_dict_write(op->dict, block, ITEM_KEY + key->size, bytes, size);
  return err;
}

/* Writes the item into a block that is ours: after the fence of shmseg_dict_take() (D4). */
__attribute__((always_inline)) static inline int store_fill(const dict_op *op, const dict_key *key,
                                                            dict_block block, dict_head *head,
                                                            const void *bytes) {
  const shmseg_dict *dict = op->dict;
  uint64_t size = dict_has_bytes(head->type) ? head->number : 0;
  unsigned char *at = dict_in_run(dict, block, 0, ITEM_KEY + key->size + size);
  int err = 0;
  head->run = block.run;
  if (at) {
    dict_store_head((uint64_t *)(void *)at, block.run, head);
    copy_to_shared(at + ITEM_KEY, key->bytes, key->size);
    if (size > 0)
      copy_to_shared(at + ITEM_KEY + key->size, bytes, (size_t)size);
  } else {
    err = store_fill_runs(op, key, block, head, bytes, size);
  }
  return err ? err : segment_status(dict->object.segment);
}

/* Publishes a finished item. */
__attribute__((always_inline)) static inline int
store_publish(dict_op *op, const dict_key *key, dict_found *old, dict_block block, bool is_timed) {
  if (!old) {
    dict_void(op, key);
    return shmseg_dict_insert(op, key, block.cell, is_timed);
  }
  int err = dict_look_again(op, key, old);
  if (err)
    return err;
  dict_void(op, key);
  return shmseg_dict_replace(op, key->line, old, block.cell, is_timed);
}

/* Counts the new item, and frees the old one, whose block is given, in one go: this is done for each value that
 * is stored. */
__attribute__((always_inline)) static inline void store_account(dict_op *op, const dict_found *old,
                                                                dict_block block,
                                                                const dict_head *head,
                                                                uint64_t cells) {
  int64_t items = 1, bytes = (int64_t)dict_item_bytes(head), more = (int64_t)cells;
  if (old) {
    uint64_t less = dict_item_bytes(&old->head);
    if (old->head.type == SHMSEG_DICT_LIST)
      less += shmseg_dict_give_list(op, old->head.number, old->head.flags);
    if (old->head.stamp == op->flush) {
      items = 0;
      bytes -= (int64_t)less;
    }
    if (dict_is_stale(&old->head, op->flush, &op->now))
      dict_tell(op, STRIPE_EXPIRED);
    more -= (int64_t)block.count;
    if (!dict_give_spare(op, block))
      shmseg_dict_give(op, block);
  }
  dict_count(op, items, bytes, more);
  dict_written(op, cells);
}

/* The cells that go with the old item, which has so many of its own: those of a list's elements, too, if they
 * are needed. */
static inline uint64_t store_allowance(const dict_op *op, const dict_found *old, uint64_t own,
                                       uint64_t cells) {
  uint64_t elements = 0;
  if (old->head.type == SHMSEG_DICT_LIST && own < cells)
    shmseg_dict_list_bytes(op, old->head.number, old->head.flags, &elements);
  return own + elements;
}

/* A block from the arena, or what goes for it. */
static int store_room(dict_op *op, uint64_t cells, uint64_t allowance, const dict_found *old,
                      bool is_safe, bool *forcible, dict_block *block) {
  return dict_refused(
      op, shmseg_dict_room(op, cells, allowance, old ? old->cell : 0, is_safe, forcible, block));
}

/* cells: of the new item, whose key_size is set. */
__attribute__((always_inline)) static inline int store_put(dict_op *op, const dict_key *key,
                                                           dict_found *old, dict_head *head,
                                                           uint64_t cells, const void *bytes,
                                                           bool is_safe, bool *forcible) {
  head->stamp = op->flush;
  head->next = 0;
  dict_block block, before = { 0, 0, 0 };
  if (old)
    before = dict_item_block(old);
  uint64_t allowance = old ? store_allowance(op, old, before.count, cells) : 0;
  int err = dict_take_spare(op, cells, allowance, &block)
                ? 0
                : store_room(op, cells, allowance, old, is_safe, forcible, &block);
  if (err)
    return err;
  err = store_fill(op, key, block, head, bytes);
  if (!err)
    err = store_publish(op, key, old, block, head->expiry != 0);
  if (err) {
    shmseg_dict_give(op, block);
    return err;
  }
  store_account(op, old, before, head, cells);
  return 0;
}

int shmseg_dict_put(dict_op *op, const dict_key *key, dict_found *old, dict_head *head,
                    const void *bytes, bool is_safe, bool *forcible) {
  head->key_size = key->size;
  uint64_t cells = dict_cells_for(dict_item_size(head));
  return store_put(op, key, old, head, cells, bytes, is_safe, forcible);
}

/* --- conditions --------------------------------------------------------------------------- */

#define INTEGERS 9223372036854775808.0 /* 2^63 */

/* Is that float the integer? As numbers, not as roundings of them. */
static bool store_is_integer(double number, int64_t integer) {
  return number >= -INTEGERS && number < INTEGERS && (int64_t)number == integer &&
         (double)(int64_t)number == number;
}

static bool store_numbers_equal(const shmseg_dict_value *a, const shmseg_dict_value *b) {
  bool is_float = a->type == SHMSEG_DICT_FLOAT;
  if (a->type == b->type)
    return is_float ? a->number == b->number : a->integer == b->integer;
  return is_float ? store_is_integer(a->number, b->integer)
                  : store_is_integer(b->number, a->integer);
}

bool shmseg_dict_values_equal(const shmseg_dict_value *a, const shmseg_dict_value *b) {
  if (dict_is_number(a->type) && dict_is_number(b->type))
    return store_numbers_equal(a, b);
  if (a->type != b->type)
    return false;
  if (a->type == SHMSEG_DICT_BOOLEAN)
    return (a->integer != 0) == (b->integer != 0);
  return dict_has_bytes(a->type) && a->size == b->size &&
         (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* Is the item's value equal to that one? It is not hot. */
static bool store_equals(const dict_op *op, const dict_found *found,
                         const shmseg_dict_value *value) {
  const dict_head *head = &found->head;
  if (dict_has_bytes(head->type))
    return head->type == value->type && head->number == value->size &&
           shmseg_dict_equals(op->dict, dict_item_block(found), ITEM_KEY + head->key_size,
                              value->bytes, value->size);
  shmseg_dict_value theirs = { .type = (shmseg_dict_type)head->type };
  theirs.integer = (int64_t)head->number; /* a float's bits, too */
  return shmseg_dict_values_equal(&theirs, value);
}

/* Is the key's state that of the token? word is the live item's, before it was cooled; 0: there is none. */
static bool store_is_token(const dict_found *found, uint64_t word, const shmseg_dict_token *token) {
  if (word == 0)
    return token->word == 0;
  return token->word == word && token->number == found->head.number &&
         dict_is_same(word, token->epoch, found->epoch);
}

/* May the key, which has a live item at found or none, be changed as how says? */
__attribute__((noinline)) static int store_may(dict_op *op, const dict_key *key,
                                               const shmseg_dict_how *how, dict_found *found,
                                               bool is_live) {
  bool is_list = is_live && found->head.type == SHMSEG_DICT_LIST;
  uint64_t word = is_live ? found->word : 0;
  if (how->claim && !shmseg_dict_claim_holds(op, how->claim))
    return SHMSEG_CHANGED;
  if (is_live && how->add) {
    shmseg_dict_use(op->dict, op->stripe, key->line, found->entry);
    return EEXIST;
  }
  if (!is_live && how->replace)
    return SHMSEG_EMPTY;
  if (is_list && (how->token || how->expected || how->keep))
    return SHMSEG_WRONG_TYPE;
  if (is_live &&
      (how->token || how->expected)) { /* nobody adds to the number after it is compared */
    int err = shmseg_dict_cool(op, key->line, found);
    if (err)
      return err;
  }
  if (how->token && !store_is_token(found, word, how->token))
    return SHMSEG_CHANGED;
  return how->expected && !(is_live && store_equals(op, found, how->expected)) ? SHMSEG_CHANGED : 0;
}

/* Does how name a condition? Most have none, so there are no branches. */
static inline bool store_has_condition(const shmseg_dict_how *how) {
  return how->add | how->replace | how->keep | (how->token != NULL) | (how->expected != NULL) |
         (how->claim != NULL);
}

/* What was found under the lock. *is_there: the key has an item; *is_live: one that lives. Nobody else changes
 * a word now. */
static inline int store_state(dict_op *op, const dict_found *found, int err, bool *is_there,
                              bool *is_live) {
  *is_there = err == 0;
  *is_live = *is_there && !dict_is_stale(&found->head, op->flush, &op->now);
  return err == SHMSEG_EMPTY ? 0 : err == SHMSEG_CHANGED ? SHMSEG_CORRUPT : err;
}

/* --- storing ------------------------------------------------------------------------------ */

/* What the item of a value begins with: EINVAL for none that can be stored. */
static inline int store_describe(const shmseg_dict_value *value, dict_head *head) {
  *head = (dict_head){ .type = (uint32_t)value->type,
                       .flags = (uint32_t)value->flags,
                       .number = (uint64_t)value->integer };
  switch (value->type) {
  case SHMSEG_DICT_BOOLEAN: head->number = value->integer != 0; return 0;
  case SHMSEG_DICT_INTEGER:
  case SHMSEG_DICT_FLOAT: return 0;
  case SHMSEG_DICT_STRING:
  case SHMSEG_DICT_CODED: head->number = value->size; return 0;
  default: return EINVAL;
  }
}

/* Can there be such an item, of so many cells? */
static inline int store_measure(const shmseg_dict *dict, const dict_head *head, uint64_t cells) {
  bool is_large = dict_has_bytes(head->type) && head->number > dict->object.capacity / 2;
  return is_large || cells > dict->quota ? EFBIG : 0;
}

/* The spare run that was added last will most often be the new item's: it comes while the key is looked
 * for. */
static inline void store_expect_block(const dict_op *op) {
  const uint32_t *spare = (const uint32_t *)dict_own(op, STRIPE_SPARE);
  uint32_t last = load_relaxed(spare) - 1;
  if (last >= SPARE_RUNS)
    return;
  uint32_t cell = load_relaxed(spare + (STRIPE_RUNS - STRIPE_SPARE) / 4 + (size_t)2 * last);
  if (!dict_is_cell(op->dict, cell))
    return;
  const unsigned char *at = shmseg_object_at(&op->dict->object, dict_cell_at(op->dict, cell));
  __builtin_prefetch(at, 1);
  __builtin_prefetch(at + DICT_CELL, 1);
}

/* Under the lock. */
static inline int store_value(dict_op *op, const dict_key *key, dict_head *head, const void *bytes,
                              const shmseg_dict_how *how, bool *forcible) {
  dict_found found;
  bool is_there, is_live;
  store_expect_block(op);
  uint64_t cells = dict_cells_for(dict_item_size(head));
  int err = dict_refused(op, store_measure(op->dict, head, cells));
  if (err)
    return err;
  err = store_state(op, &found, dict_find(op->dict, key, &found), &is_there, &is_live);
  if (!err && store_has_condition(how))
    err = store_may(op, key, how, &found, is_live);
  if (err)
    return err;
  if (how->keep && is_live) {
    head->expiry = found.head.expiry;
    head->flags = found.head.flags;
  } else {
    head->expiry = how->ttl != 0 ? shmseg_dict_expiry(how->ttl, &op->now) : 0;
  }
  return store_put(op, key, is_there ? &found : NULL, head, cells, bytes, how->safe, forcible);
}

/* Another process may have written what a value is stored by: that comes all at once, while the lock is
 * taken. */
static inline void store_expect(const shmseg_dict *dict, const dict_key *key) {
  const unsigned char *stripe = shmseg_object_at(&dict->object, dict_stripe_at(key->stripe, 0));
  __builtin_prefetch(stripe + STRIPE_SPARE, 1);
  __builtin_prefetch(stripe + STRIPE_WRITTEN, 1);
  __builtin_prefetch(dict_word64(dict, key->line), 1);
}

int shmseg_dict_store(shmseg_dict *dict, const void *key, size_t key_size,
                      const shmseg_dict_value *value, const shmseg_dict_how *how, bool *forcible,
                      int64_t *deadline) {
  static const shmseg_dict_how plain;
  dict_op op = { .dict = dict, .deadline = deadline };
  dict_key where;
  dict_head head;
  *forcible = false;
  how = how ? how : &plain;
  int err = dict_target(dict, key, key_size, &where);
  if (!err)
    err = how->ttl < 0 ? EINVAL : store_describe(value, &head);
  if (err)
    return err;
  store_expect(dict, &where);
  head.key_size = where.size;
  op.stripe = where.stripe;
  err = shmseg_dict_enter(&op);
  if (err)
    return err;
  err = store_value(&op, &where, &head, value->bytes, how, forcible);
  return shmseg_dict_finish(&op, &where, err);
}

/* --- deleting ----------------------------------------------------------------------------- */

/* Under the lock. Who computes a value for the key is told, also when it is not there. */
static int store_remove(dict_op *op, const dict_key *key, const shmseg_dict_how *how) {
  dict_found found;
  bool is_there, is_live;
  int err = store_state(op, &found, shmseg_dict_look(op, key, &found), &is_there, &is_live);
  if (!err && how)
    err = store_may(op, key, how, &found, is_live);
  if (err)
    return err;
  dict_void(op, key);
  if (!is_there)
    return 0;
  err = shmseg_dict_drop(op, key->line, &found);
  if (!err && !is_live)
    dict_tell(op, STRIPE_EXPIRED);
  return err;
}

int shmseg_dict_delete(shmseg_dict *dict, const void *key, size_t key_size,
                       const shmseg_dict_how *how, int64_t *deadline) {
  dict_op op = { .dict = dict, .deadline = deadline };
  dict_key where;
  int err = shmseg_dict_begin(&op, key, key_size, &where);
  return err ? err : shmseg_dict_finish(&op, &where, store_remove(&op, &where, how));
}
