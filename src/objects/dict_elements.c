/* SPDX-License-Identifier: MIT */
/* Reading a list of a dict without a lock: its length, and all of its elements. The word of the list's
 * key proves them, since an element is given back only after that has changed. */
#include <string.h>

#include "objects/dict_find.h"

/* An element in the result is this many bytes, and those of a string. */
#define ELEMENT_RECORD 9

/* Where elements are put, and how much they take. */
typedef struct {
  unsigned char *buffer;
  size_t available;
  uint64_t size, count;
} elements;

/* Adds an element; its bytes are copied only where all of it has room. An honest one has more bytes in
 * the dict than here. */
static int elements_add(const shmseg_dict *dict, uint32_t cell, const dict_head *head,
                        elements *all) {
  uint64_t bytes = dict_has_bytes(head->type) ? head->number : 0, at = all->size;
  all->size += ELEMENT_RECORD + bytes;
  all->count++;
  if (bytes > dict->cells * DICT_CELL || all->size > dict->cells * DICT_CELL)
    return SHMSEG_CORRUPT;
  if (all->size > all->available)
    return 0;
  all->buffer[at] = (unsigned char)head->type;
  memcpy(all->buffer + at + 1, &head->number, 8);
  return shmseg_dict_read(dict, (dict_block){ cell, head->run, 0 }, ELEMENT_BYTES,
                          all->buffer + at + ELEMENT_RECORD, bytes);
}

/* Walks from the first element to the last. False: they cannot be a list's. The count that the item
 * has may be that of before the last push or pop, or after it. */
static bool elements_walk(const shmseg_dict *dict, const dict_head *list, elements *all) {
  uint32_t cell = dict_list_first(list->number), last = dict_list_last(list->number);
  uint64_t most = (uint64_t)list->flags + 1 < dict->cells ? (uint64_t)list->flags + 1 : dict->cells;
  for (uint64_t i = 0; i < most; i++) {
    dict_head head;
    if (!shmseg_dict_read_element(dict, cell, &head) || elements_add(dict, cell, &head, all) != 0)
      return false;
    if (cell == last)
      return true;
    cell = head.next;
  }
  return false;
}

/* Finds a live list. SHMSEG_EMPTY, SHMSEG_WRONG_TYPE; what is found is to be proved. */
static int elements_find(const shmseg_dict *dict, const dict_key *key, dict_found *found) {
  int64_t now = 0;
  int err = shmseg_dict_find(dict, key, found);
  if (err)
    return err;
  bool is_live = dict_is_live(dict, found, &now), is_list = found->head.type == SHMSEG_DICT_LIST;
  if (is_live && is_list)
    return 0;
  err = dict_prove(dict, key->stripe, found);
  return err ? err : is_live ? SHMSEG_WRONG_TYPE : SHMSEG_EMPTY;
}

static int elements_once(const shmseg_dict *dict, const dict_key *key, elements *all) {
  dict_found found;
  all->size = all->count = 0;
  int err = elements_find(dict, key, &found);
  if (err)
    return err;
  if (!elements_walk(dict, &found.head, all))
    return dict_garbage(dict, key->stripe, &found);
  err = dict_prove(dict, key->stripe, &found);
  if (err)
    return err;
  shmseg_dict_use(dict, key->stripe, key->line, found.entry);
  return all->size <= all->available ? 0 : SHMSEG_TOO_SMALL;
}

int shmseg_dict_elements(const shmseg_dict *dict, const void *key, size_t key_size, void *buffer,
                         size_t available, size_t *size, uint64_t *count) {
  dict_key where;
  dict_retry retry = { 0 };
  elements all = { buffer, available, 0, 0 };
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (err)
    return err;
  do
    err = dict_again(elements_once(dict, &where, &all), &retry);
  while (err == SHMSEG_CHANGED);
  *size = (size_t)all.size;
  *count = all.count;
  return err;
}

static int elements_length_once(const shmseg_dict *dict, const dict_key *key, uint64_t *length) {
  dict_found found;
  int err = elements_find(dict, key, &found);
  if (!err)
    err = dict_prove(dict, key->stripe, &found);
  if (err)
    return err;
  *length = found.head.flags;
  shmseg_dict_use(dict, key->stripe, key->line, found.entry);
  return 0;
}

int shmseg_dict_length(const shmseg_dict *dict, const void *key, size_t key_size,
                       uint64_t *length) {
  dict_key where;
  dict_retry retry = { 0 };
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (err)
    return err;
  do
    err = dict_again(elements_length_once(dict, &where, length), &retry);
  while (err == SHMSEG_CHANGED);
  return err;
}

/* --- one end ------------------------------------------------------------------------------- */

static int elements_peek_once(const shmseg_dict *dict, const dict_key *key, bool left, void *buffer,
                              size_t available, shmseg_dict_value *value) {
  dict_found found;
  dict_head head;
  int err = elements_find(dict, key, &found);
  *value = (shmseg_dict_value){ .token = { 0, 0, found.epoch } };
  if (err)
    return err;
  uint64_t ends = found.head.number;
  uint32_t cell = left ? dict_list_first(ends) : dict_list_last(ends);
  if (!shmseg_dict_read_element(dict, cell, &head))
    return dict_garbage(dict, key->stripe, &found);
  bool has_bytes = dict_has_bytes(head.type), fits = !has_bytes || head.number <= available;
  dict_block block = { cell, head.run, 0 };
  if (has_bytes && fits && shmseg_dict_read(dict, block, ELEMENT_BYTES, buffer, head.number) != 0)
    return dict_garbage(dict, key->stripe, &found);
  err = dict_prove(dict, key->stripe, &found);
  if (err)
    return err;
  value->type = (shmseg_dict_type)head.type;
  value->integer = (int64_t)head.number;
  value->bytes = has_bytes ? buffer : NULL;
  value->size = has_bytes ? (size_t)head.number : 0;
  value->token.word = found.word;
  value->token.number = found.head.number;
  return fits ? 0 : SHMSEG_TOO_SMALL;
}

int shmseg_dict_peek(const shmseg_dict *dict, const void *key, size_t key_size, bool left,
                     void *buffer, size_t available, shmseg_dict_value *value) {
  dict_key where;
  dict_retry retry = { 0 };
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (err) {
    *value = (shmseg_dict_value){ 0 };
    return err;
  }
  do
    err = dict_again(elements_peek_once(dict, &where, left, buffer, available, value), &retry);
  while (err == SHMSEG_CHANGED);
  return err;
}
