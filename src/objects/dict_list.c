/* SPDX-License-Identifier: MIT */
/* Lists of a dict: elements that are put on, and taken off, either end. */
#include <errno.h>

#include "objects/dict.h"

/* An element that is not in its list yet. */
typedef struct {
  const shmseg_dict_value *value;
  bool left;
  uint64_t bytes, cells;
  dict_block block;
} list_new;

/* --- all elements of a list ----------------------------------------------------------------- */

/* Where a walk through a list is; left bounds it, since a peer may have made it a ring. */
typedef struct {
  uint32_t cell, last; /* cell: the next element; 0: there is none */
  uint64_t left;
} list_walk;

/* No honest list has more elements than there are cells, whatever its count says. */
static list_walk list_walk_from(const dict_op *op, uint64_t ends, uint64_t count) {
  uint64_t most = count < op->dict->cells ? count : op->dict->cells;
  return (list_walk){ dict_list_first(ends), dict_list_last(ends), most };
}

/* False: that was the last one (then walk->cell is 0), or the list is broken. */
static bool list_next(const dict_op *op, list_walk *walk, dict_block *block, dict_head *element) {
  uint32_t cell = walk->cell;
  if (cell == 0 || walk->left == 0 || !shmseg_dict_read_element(op->dict, cell, element))
    return false;
  *block = dict_element_block(cell, element);
  walk->cell = cell == walk->last ? 0 : element->next;
  walk->left--;
  return true;
}

/* After an element that cannot be given back the others are left to repair, too. */
uint64_t shmseg_dict_give_list(dict_op *op, uint64_t ends, uint64_t count) {
  list_walk walk = list_walk_from(op, ends, count);
  uint64_t bytes = 0, cells = 0;
  dict_block block;
  dict_head element;
  while (!op->is_broken && list_next(op, &walk, &block, &element)) {
    bytes += dict_element_bytes(&element);
    cells += block.count;
    shmseg_dict_give(op, block);
  }
  op->is_broken |= walk.cell != 0;
  dict_count(op, 0, 0, -(int64_t)cells);
  return bytes;
}

uint64_t shmseg_dict_list_bytes(const dict_op *op, uint64_t ends, uint64_t count, uint64_t *cells) {
  list_walk walk = list_walk_from(op, ends, count);
  uint64_t bytes = 0;
  dict_block block;
  dict_head element;
  *cells = 0;
  while (list_next(op, &walk, &block, &element)) {
    bytes += dict_element_bytes(&element);
    *cells += block.count;
  }
  return bytes;
}

/* --- pushing ---------------------------------------------------------------------------------- */

/* Can there be such an element, under such a key? */
static int list_measure(const shmseg_dict *dict, size_t key_size, list_new *new) {
  const shmseg_dict_value *value = new->value;
  bool is_string = value->type == SHMSEG_DICT_STRING;
  if (!is_string && value->type != SHMSEG_DICT_INTEGER && value->type != SHMSEG_DICT_FLOAT)
    return EINVAL;
  if (is_string && value->size > dict->object.capacity / 2)
    return EFBIG;
  new->bytes = is_string ? value->size : sizeof value->integer;
  new->cells = dict_cells_for(ELEMENT_BYTES + (is_string ? value->size : 0));
  return new->cells + dict_cells_for(ITEM_KEY + key_size) > dict->quota ? EFBIG : 0;
}

/* Expired memory is reclaimed for it, but nothing live goes. */
static int list_room(dict_op *op, uint64_t cells, uint32_t keep, dict_block *block) {
  bool forcible;
  return dict_refused(op, shmseg_dict_room(op, cells, 0, keep, true, &forcible, block));
}

/* Writes the element into its block, between two others or none: after the fence of shmseg_dict_take() (D4). */
static int list_write(const dict_op *op, const list_new *new, uint32_t before, uint32_t next) {
  const shmseg_dict *dict = op->dict;
  const shmseg_dict_value *value = new->value;
  bool is_string = value->type == SHMSEG_DICT_STRING;
  uint64_t at = dict_cell_at(dict, new->block.cell);
  store_relaxed(dict_word32(dict, at + ELEMENT_NEXT), next);
  store_relaxed(dict_word32(dict, at + ELEMENT_BEFORE), before);
  store_relaxed(dict_word64(dict, at + ELEMENT_HEAD), value->type | (uint64_t) new->block.run << 8);
  store_relaxed(dict_word64(dict, at + ELEMENT_NUMBER),
                is_string ? (uint64_t)value->size : (uint64_t)value->integer);
  int err =
      is_string ? shmseg_dict_write(dict, new->block, ELEMENT_BYTES, value->bytes, value->size) : 0;
  return err ? err : segment_status(dict->object.segment);
}

/* Gives the list other ends, and its item's word another version. */
static void list_publish(dict_op *op, const dict_key *key, const dict_found *found, uint64_t ends,
                         uint64_t count) {
  const shmseg_dict *dict = op->dict;
  uint64_t at = dict_cell_at(dict, found->cell);
  dict_void(op, key);
  /* Publish. Pairs with the acquire that reads the ends: from here the list is another one. */
  store_release(dict_word64(dict, at + ITEM_NUMBER), ends);
  uint64_t *head = dict_word64(dict, at + ITEM_HEAD);
  store_relaxed(head, (load_relaxed(head) & UINT32_MAX) | count << 32);
  /* What is published is not taken back: without a new version the next owner repairs the stripe. */
  if (shmseg_dict_renew(op, key->line, found, found->word & WORD_TIMED))
    op->is_broken = true;
  shmseg_dict_use(dict, op->stripe, key->line, found->entry);
}

/* Puts the element, whose block is taken, on an end of a list. */
static int list_append(dict_op *op, const dict_key *key, const dict_found *found,
                       const list_new *new) {
  const shmseg_dict *dict = op->dict;
  uint32_t first = dict_list_first(found->head.number), last = dict_list_last(found->head.number);
  uint32_t cell = new->block.cell;
  if (!dict_is_cell(dict, first) || !dict_is_cell(dict, last))
    return SHMSEG_CORRUPT;
  int err = list_write(op, new, new->left ? 0 : last, new->left ? first : 0);
  if (err)
    return err;
  if (new->left)
    store_relaxed(dict_word32(dict, dict_cell_at(dict, first) + ELEMENT_BEFORE), cell);
  else
    store_relaxed(dict_word32(dict, dict_cell_at(dict, last) + ELEMENT_NEXT), cell);
  uint64_t ends = new->left ? dict_list_ends(cell, last) : dict_list_ends(first, cell);
  list_publish(op, key, found, ends, (uint64_t)found->head.flags + 1);
  return 0;
}

/* A push to a live list. */
static int list_extend(dict_op *op, const dict_key *key, dict_found *found, list_new *new) {
  int err = list_room(op, new->cells, found->cell, &new->block);
  if (err)
    return err;
  err = dict_look_again(op, key, found);
  if (!err)
    err = list_append(op, key, found, new);
  if (err) {
    shmseg_dict_give(op, new->block);
    return err;
  }
  dict_count(op, 0, (int64_t) new->bytes, (int64_t) new->cells);
  dict_written(op, new->cells);
  return 0;
}

/* Makes the item of a list of one element, whose blocks are taken. */
static int list_create(dict_op *op, const dict_key *key, const list_new *new, dict_block item) {
  dict_head head = { .key_size = key->size,
                     .type = SHMSEG_DICT_LIST,
                     .run = item.run,
                     .flags = 1,
                     .number = dict_list_ends(new->block.cell, new->block.cell),
                     .stamp = op->flush };
  int err = list_write(op, new, 0, 0);
  if (!err)
    err = shmseg_dict_write_head(op->dict, item, &head, key->bytes);
  if (!err)
    err = segment_status(op->dict->object.segment);
  if (err)
    return err;
  dict_void(op, key);
  return shmseg_dict_insert(op, key, item.cell, false);
}

/* A push to a key that is not there. */
static int list_begin(dict_op *op, const dict_key *key, list_new *new) {
  uint64_t cells = dict_cells_for(ITEM_KEY + (uint64_t)key->size);
  dict_block item;
  int err = list_room(op, cells, 0, &item);
  if (err)
    return err;
  err = list_room(op, new->cells, 0, &new->block);
  if (!err) {
    err = list_create(op, key, new, item);
    if (err)
      shmseg_dict_give(op, new->block);
  }
  if (err) {
    shmseg_dict_give(op, item);
    return err;
  }
  cells += new->cells;
  dict_count(op, 1, (int64_t)(key->size + new->bytes), (int64_t)cells);
  dict_written(op, cells);
  return 0;
}

/* Under the lock. Drops what is stale. */
static int list_push(dict_op *op, const dict_key *key, list_new *new, uint64_t *length) {
  dict_found found;
  int err = dict_refused(op, list_measure(op->dict, key->size, new));
  if (err)
    return err;
  err = shmseg_dict_look(op, key, &found);
  if (!err && dict_is_stale(&found.head, op->flush, &op->now)) {
    err = shmseg_dict_drop(op, key->line, &found);
    if (err)
      return err;
    dict_tell(op, STRIPE_EXPIRED);
    err = SHMSEG_EMPTY;
  }
  *length = err ? 1 : (uint64_t)found.head.flags + 1;
  if (err == SHMSEG_EMPTY)
    return list_begin(op, key, new);
  if (err)
    return err;
  return found.head.type == SHMSEG_DICT_LIST ? list_extend(op, key, &found, new)
                                             : SHMSEG_WRONG_TYPE;
}

int shmseg_dict_push(shmseg_dict *dict, const void *key, size_t key_size, bool left,
                     const shmseg_dict_value *value, uint64_t *length, int64_t *deadline) {
  dict_key where;
  dict_op op = { .dict = dict, .deadline = deadline };
  list_new new = { .value = value, .left = left };
  int err = shmseg_dict_begin(&op, key, key_size, &where);
  return err ? err : shmseg_dict_finish(&op, &where, list_push(&op, &where, &new, length));
}

/* --- popping ---------------------------------------------------------------------------------- */

/* Copies the element for the caller. SHMSEG_TOO_SMALL, SHMSEG_CORRUPT. */
static int list_copy(const dict_op *op, dict_block block, const dict_head *element, void *buffer,
                     size_t available, shmseg_dict_value *value) {
  *value = (shmseg_dict_value){ .type = (shmseg_dict_type)element->type };
  if (!dict_has_bytes(element->type)) {
    value->integer = (int64_t)element->number;
    return 0;
  }
  value->size = (size_t)element->number;
  value->bytes = buffer;
  if (value->size > available)
    return SHMSEG_TOO_SMALL;
  return shmseg_dict_read(op->dict, block, ELEMENT_BYTES, buffer, value->size);
}

/* Takes an element, which is not the last one, off its list. */
static int list_shorten(dict_op *op, const dict_key *key, const dict_found *found, bool left,
                        dict_block block, const dict_head *element) {
  uint32_t first = dict_list_first(found->head.number), last = dict_list_last(found->head.number);
  uint32_t rest = left ? element->next : element->flags;
  if (!dict_is_cell(op->dict, rest))
    return SHMSEG_CORRUPT;
  list_publish(op, key, found, left ? dict_list_ends(rest, last) : dict_list_ends(first, rest),
               (uint64_t)found->head.flags - 1);
  dict_count(op, 0, -(int64_t)dict_element_bytes(element), -(int64_t)block.count);
  if (!op->is_broken) /* D4 */
    shmseg_dict_give(op, block);
  return 0;
}

/* What becomes of the element that is popped. */
typedef struct {
  bool left;
  const shmseg_dict_token *seen; /* it was read in that state of the list; NULL: in any */
  void *buffer;
  size_t available;
  shmseg_dict_value *value; /* NULL: it is not copied */
} list_taking;

static bool list_is_seen(const dict_found *found, const shmseg_dict_token *seen) {
  return found->word == seen->word && found->head.number == seen->number &&
         dict_is_same(found->word, seen->epoch, found->epoch);
}

/* Under the lock. */
static int list_pop(dict_op *op, const dict_key *key, const list_taking *taking) {
  bool left = taking->left;
  dict_found found;
  int err = shmseg_dict_look(op, key, &found);
  if (err)
    return err;
  if (dict_is_stale(&found.head, op->flush, &op->now))
    return SHMSEG_EMPTY;
  if (found.head.type != SHMSEG_DICT_LIST)
    return SHMSEG_WRONG_TYPE;
  if (taking->seen && !list_is_seen(&found, taking->seen))
    return SHMSEG_CHANGED;
  uint32_t first = dict_list_first(found.head.number), last = dict_list_last(found.head.number);
  dict_head element;
  if (!shmseg_dict_read_element(op->dict, left ? first : last, &element))
    return SHMSEG_CORRUPT;
  dict_block block = dict_element_block(left ? first : last, &element);
  if (taking->value)
    err = list_copy(op, block, &element, taking->buffer, taking->available, taking->value);
  if (!err)
    err = segment_status(op->dict->object.segment);
  if (err)
    return err;
  if (first != last)
    return list_shorten(op, key, &found, left, block, &element);
  dict_void(op, key);
  return shmseg_dict_drop(op, key->line, &found);
}

static int list_take(shmseg_dict *dict, const void *key, size_t key_size, const list_taking *taking,
                     int64_t *deadline) {
  dict_key where;
  dict_op op = { .dict = dict, .deadline = deadline };
  int err = shmseg_dict_begin(&op, key, key_size, &where);
  return err ? err : shmseg_dict_finish(&op, &where, list_pop(&op, &where, taking));
}

int shmseg_dict_pop(shmseg_dict *dict, const void *key, size_t key_size, bool left, void *buffer,
                    size_t available, shmseg_dict_value *value, int64_t *deadline) {
  list_taking taking = { left, NULL, buffer, available, value };
  return list_take(dict, key, key_size, &taking, deadline);
}

int shmseg_dict_pop_seen(shmseg_dict *dict, const void *key, size_t key_size, bool left,
                         const shmseg_dict_token *seen, int64_t *deadline) {
  list_taking taking = { .left = left, .seen = seen };
  return list_take(dict, key, key_size, &taking, deadline);
}
