/* SPDX-License-Identifier: MIT */
/* Reading one key of a dict. A reader takes no lock, and writes only the mark of use. */
#include <string.h>

#include "objects/dict_find.h"

/* Copies the bytes behind the key. */
static inline int read_bytes(const shmseg_dict *dict, const dict_key *key, const dict_found *found,
                             void *buffer) {
  const dict_head *head = &found->head;
  uint64_t from = ITEM_KEY + (uint64_t)key->size; /* is known before the head is there */
  const void *at = dict_part(dict, found->cell, head, from, head->number);
  if (!at)
    return shmseg_dict_read(dict, (dict_block){ found->cell, head->run, 0 }, from, buffer,
                            head->number);
  copy_from_shared(buffer, at, (size_t)head->number);
  return 0;
}

/* There is no live value. */
static int read_nothing(const dict_found *found, int err, shmseg_dict_value *value) {
  *value = (shmseg_dict_value){ .token = { 0, 0, found->epoch } };
  return err;
}

/* Says in value what the item is. number: as dict_number() gives it. */
static inline void read_describe(const dict_found *found, uint64_t number, void *buffer,
                                 bool is_stale, shmseg_dict_value *value) {
  const dict_head *head = &found->head;
  bool has_bytes = dict_has_bytes(head->type), is_list = head->type == SHMSEG_DICT_LIST;
  value->type = (shmseg_dict_type)head->type;
  value->flags = is_list ? 0 : (int32_t)head->flags;
  value->integer = is_list ? (int64_t)head->flags : (int64_t)number;
  if (head->type == SHMSEG_DICT_BOOLEAN)
    value->integer = number != 0;
  value->bytes = has_bytes ? buffer : NULL;
  value->size = has_bytes ? (size_t)number : 0;
  value->token = (shmseg_dict_token){ found->word, number, found->epoch };
  if (is_stale)
    value->token.word = value->token.number = 0;
  value->stale = is_stale;
}

/* One look. SHMSEG_CHANGED: a writer was faster, and what was copied may be torn. */
static inline int read_once(const shmseg_dict *dict, const dict_key *key, void *buffer,
                            size_t available, bool takes_stale, shmseg_dict_value *value) {
  dict_found found;
  int64_t now = 0;
  int err = dict_find(dict, key, &found);
  if (err)
    return read_nothing(&found, err, value);
  bool is_stale = !dict_is_live(dict, &found, &now), fits = true;
  bool is_given = takes_stale || !is_stale;
  uint64_t number = found.head.number;
  if (is_given && dict_has_bytes(found.head.type)) {
    fits = number <= available;
    if (fits && read_bytes(dict, key, &found, buffer) != 0)
      return read_nothing(&found, dict_garbage(dict, key->stripe, &found), value);
  } else {
    number = dict_number(dict, key->line, &found);
  }
  err = dict_prove(dict, key->stripe, &found);
  if (err || !is_given)
    return read_nothing(&found, err ? err : SHMSEG_EMPTY, value);
  read_describe(&found, number, buffer, is_stale, value);
  if (!is_stale)
    dict_use(dict, key->stripe, key->line, found.entry);
  return fits ? 0 : SHMSEG_TOO_SMALL;
}

static inline int read_value(const shmseg_dict *dict, const void *key, size_t key_size,
                             void *buffer, size_t available, bool takes_stale,
                             shmseg_dict_value *value) {
  dict_key where;
  dict_retry retry = { 0 };
  int err = dict_locate(dict, key, key_size, &where);
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

/* --- copies that are kept ------------------------------------------------------------------ */

/* A word without WORD_TIMED says that the item does not expire, or none of its chain. */
int shmseg_dict_find_lasting(const shmseg_dict *dict, const void *key, size_t key_size,
                             dict_found *found, shmseg_dict_spot *spot) {
  dict_key where;
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (!err)
    err = dict_find(dict, &where, found);
  if (!err)
    err = dict_prove(dict, where.stripe, found);
  if (err)
    return err == SHMSEG_EMPTY ? SHMSEG_CHANGED : err;
  uint64_t flush = dict_flush(dict);
  if (found->word & WORD_TIMED || found->head.stamp != flush)
    return SHMSEG_CHANGED;
  *spot = (shmseg_dict_spot){ found->at, found->word,  found->epoch,
                              flush,     where.stripe, found->head.type };
  return 0;
}

/* The bytes of an item do not change while the word is the same. So the word and the flush stamp prove the
 * value. */
int shmseg_dict_find_spot(const shmseg_dict *dict, const void *key, size_t key_size,
                          const shmseg_dict_token *token, shmseg_dict_spot *spot) {
  dict_found found;
  int err = shmseg_dict_find_lasting(dict, key, key_size, &found, spot);
  if (err)
    return err;
  bool is_seen = found.word == token->word && dict_is_same(found.word, token->epoch, found.epoch);
  return dict_has_bytes(found.head.type) && is_seen ? 0 : SHMSEG_CHANGED;
}

bool shmseg_dict_is_current(const shmseg_dict *dict, const shmseg_dict_spot *spot) {
  if (shmseg_object_ready(&dict->object) != 0)
    return false;
  uint64_t word = load_acquire(dict_word64(dict, spot->at)); /* before the epoch that led to it */
  uint64_t now = dict_epoch(dict, spot->stripe), flush = dict_flush(dict);
  if (word != spot->word || flush != spot->flush || !dict_is_same(word, spot->epoch, now) ||
      segment_status(dict->object.segment) != 0)
    return false;
  uint64_t line = spot->at / LINE_SIZE * LINE_SIZE, in_line = spot->at - line;
  dict_use(dict, spot->stripe, line,
           in_line == LINE_CHAIN ? DICT_CHAIN : (int)((in_line - LINE_SLOTS) / 8));
  return true;
}

_Static_assert(DICT_STRIPES % LINE_SIZE == 0 && STRIPE_SIZE % LINE_SIZE == 0, "lines are aligned");

/* --- many keys ---------------------------------------------------------------------------- */

uint64_t shmseg_dict_prefetch(const shmseg_dict *dict, const void *key, size_t key_size) {
  dict_key where;
  if (shmseg_dict_locate(dict, key, key_size, &where) != 0)
    return 0;
  __builtin_prefetch(dict_word64(dict, where.line));
  return where.hash;
}

/* Any number is some key's. What is fetched is not looked at, but must be there. */
void shmseg_dict_prefetch_item(const shmseg_dict *dict, uint64_t number) {
  dict_key where;
  if (shmseg_object_ready(&dict->object) != 0)
    return;
  dict_place(dict, number, &where);
  for (unsigned hits = dict_hits(dict_word64(dict, where.line + LINE_SLOTS), &where); hits != 0;
       hits &= hits - 1) {
    uint64_t at = dict_slot_at(where.line, __builtin_ctz(hits));
    uint32_t cell = dict_word_cell(load_relaxed(dict_word64(dict, at)));
    if (!dict_is_cell(dict, cell))
      continue;
    const unsigned char *item = shmseg_object_at(&dict->object, dict_cell_at(dict, cell));
    __builtin_prefetch(item);
    __builtin_prefetch(item + DICT_CELL);
  }
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
