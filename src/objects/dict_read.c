/* SPDX-License-Identifier: MIT */
/* Reading one key of a dict. A reader takes no lock, and writes only the mark of use. */
#include <string.h>

#include "objects/dict_find.h"

/* Copies the bytes behind the key. */
static inline int read_bytes(const shmseg_dict *dict, const dict_found *found, void *buffer) {
  const dict_head *head = &found->head;
  uint64_t from = ITEM_KEY + head->key_size;
  dict_block block = { found->cell, head->run, 0 };
  if (from + head->number > dict_run_size(head))
    return shmseg_dict_read(dict, block, from, buffer, head->number);
  const void *at = shmseg_object_at(&dict->object, dict_cell_at(dict, found->cell) + from);
  copy_from_shared(buffer, at, (size_t)head->number);
  return 0;
}

/* Says in value what the item is. number: as dict_number() gives it. */
static inline void read_describe(const dict_found *found, uint64_t number, void *buffer, bool stale,
                                 shmseg_dict_value *value) {
  const dict_head *head = &found->head;
  value->type = (shmseg_dict_type)head->type;
  value->flags = (int32_t)head->flags;
  value->integer = (int64_t)number;
  value->stale = stale;
  if (dict_has_bytes(head->type)) {
    value->bytes = buffer;
    value->size = (size_t)number;
  } else if (head->type == SHMSEG_DICT_LIST) {
    value->integer = (int64_t)head->flags;
    value->flags = 0;
  } else if (head->type == SHMSEG_DICT_BOOLEAN) {
    value->integer = number != 0;
  }
  if (!stale) {
    value->token.word = found->word;
    value->token.number = number;
  }
}

/* One look. SHMSEG_CHANGED: a writer was faster, and what was copied may be torn. */
static inline int read_once(const shmseg_dict *dict, const dict_key *key, void *buffer,
                            size_t available, bool takes_stale, shmseg_dict_value *value) {
  dict_found found;
  int64_t now = 0;
  int err = shmseg_dict_find(dict, key, &found);
  *value = (shmseg_dict_value){ .token = { 0, 0, found.epoch } };
  if (err)
    return err;
  uint64_t number = dict_number(dict, key->line, &found);
  bool is_stale = !dict_is_live(dict, &found, &now), fits = true;
  if (dict_has_bytes(found.head.type) && (takes_stale || !is_stale)) {
    number = found.head.number; /* no honest word is hot */
    fits = number <= available;
    if (fits && read_bytes(dict, &found, buffer) != 0)
      return shmseg_dict_garbage(dict, key->stripe, &found);
  }
  err = dict_prove(dict, key->stripe, &found);
  if (err)
    return err;
  if (is_stale && !takes_stale)
    return SHMSEG_EMPTY;
  read_describe(&found, number, buffer, is_stale, value);
  if (!is_stale)
    shmseg_dict_use(dict, key->stripe, key->line, found.entry);
  return fits ? 0 : SHMSEG_TOO_SMALL;
}

static inline int read_value(const shmseg_dict *dict, const void *key, size_t key_size,
                             void *buffer, size_t available, bool takes_stale,
                             shmseg_dict_value *value) {
  dict_key where;
  dict_retry retry = { 0 };
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (err) {
    *value = (shmseg_dict_value){ 0 };
    return err;
  }
  do
    err = dict_again(read_once(dict, &where, buffer, available, takes_stale, value), &retry);
  while (err == SHMSEG_CHANGED);
  return err;
}

int shmseg_dict_get(const shmseg_dict *dict, const void *key, size_t key_size, void *buffer,
                    size_t available, shmseg_dict_value *value) {
  return read_value(dict, key, key_size, buffer, available, false, value);
}

int shmseg_dict_get_stale(const shmseg_dict *dict, const void *key, size_t key_size, void *buffer,
                          size_t available, shmseg_dict_value *value) {
  return read_value(dict, key, key_size, buffer, available, true, value);
}

void shmseg_dict_prefetch(const shmseg_dict *dict, const void *key, size_t key_size) {
  dict_key where;
  if (shmseg_dict_locate(dict, key, key_size, &where) == 0)
    __builtin_prefetch(dict_word64(dict, where.line));
}

/* --- times -------------------------------------------------------------------------------- */

/* Milliseconds from one moment to another one, which may be any numbers. */
static int64_t read_between(int64_t from, int64_t to) {
  int64_t between;
  if (!__builtin_sub_overflow(to, from, &between))
    return between;
  return to > from ? INT64_MAX : -INT64_MAX;
}

/* What is left of a life, by an item's head. */
static int64_t read_left(const dict_head *head, uint64_t flush) {
  if (head->stamp == flush && head->expiry == 0)
    return 0;
  int64_t now = shmseg_clock_wall(), end = (int64_t)head->expiry;
  if (head->stamp == flush) {
    int64_t left = read_between(now, end);
    return left != 0 ? left : -1;
  }
  if (head->expiry == 0 || end > (int64_t)flush)
    end = (int64_t)flush;
  int64_t left = read_between(now, end); /* the flush stamp may be ahead of the clock */
  return left < 0 ? left : -1;
}

static int read_ttl_once(const shmseg_dict *dict, const dict_key *key, int64_t *ttl) {
  dict_found found;
  int err = shmseg_dict_find(dict, key, &found);
  if (err)
    return err;
  *ttl = read_left(&found.head, dict_flush(dict));
  return dict_prove(dict, key->stripe, &found);
}

int shmseg_dict_ttl(const shmseg_dict *dict, const void *key, size_t key_size, int64_t *ttl) {
  dict_key where;
  dict_retry retry = { 0 };
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (err)
    return err;
  do
    err = dict_again(read_ttl_once(dict, &where, ttl), &retry);
  while (err == SHMSEG_CHANGED);
  return err;
}
