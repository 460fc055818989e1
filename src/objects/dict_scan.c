/* SPDX-License-Identifier: MIT */
/* Reading a whole dict without a lock: its keys, line by line, and what its stripes have counted. */
#include <string.h>

#include "objects/dict_find.h"

/* Keys are put one behind the other, each with its size before it. */
#define SCAN_SIZE 4

/* Lines that one call looks at, at most. */
#define LINES_SCANNED 16384

/* A line that is read, and where its keys are put. */
typedef struct {
  const shmseg_dict *dict;
  const void *prefix;
  size_t prefix_size;
  unsigned char *buffer;
  size_t available;
  uint64_t size; /* of the line's keys so far */
  uint32_t stripe;
  int64_t now;
} scan;

static bool scan_begins(const scan *s, dict_block block, const dict_head *head) {
  return s->prefix_size <= head->key_size &&
         (s->prefix_size == 0 ||
          shmseg_dict_equals(s->dict, block, ITEM_KEY, s->prefix, s->prefix_size));
}

/* Adds the item's key if it is asked for. What has no room is only counted. */
static int scan_add(scan *s, const dict_found *found) {
  const dict_head *head = &found->head;
  dict_block block = { found->cell, head->run, 0 };
  uint64_t at = s->size;
  if (!dict_is_live(s->dict, found, &s->now) || !scan_begins(s, block, head))
    return 0;
  s->size += SCAN_SIZE + head->key_size;
  if (s->size > s->available)
    return 0;
  memcpy(s->buffer + at, &head->key_size, SCAN_SIZE);
  return shmseg_dict_read(s->dict, block, ITEM_KEY, s->buffer + at + SCAN_SIZE, head->key_size);
}

/* All items that the word leads to: one, or a chain. */
static int scan_entry_once(scan *s, dict_found *found) {
  found->epoch = dict_epoch(s->dict, s->stripe);
  found->word = load_acquire(dict_word64(s->dict, found->at));
  uint32_t next = dict_word_cell(found->word);
  int most = found->entry == DICT_CHAIN ? DICT_CHAIN_MAX : 1;
  for (int i = 0; i < most && next != 0; i++) {
    found->cell = next;
    if (!dict_load_head(s->dict, next, &found->head) || scan_add(s, found) != 0)
      return dict_garbage(s->dict, s->stripe, found);
    next = found->entry == DICT_CHAIN ? found->head.next : 0;
  }
  if (next != 0 || (found->word & WORD_VALID) == 0)
    return dict_garbage(s->dict, s->stripe, found);
  return dict_word_cell(found->word) == 0 ? segment_status(s->dict->object.segment)
                                          : dict_prove(s->dict, s->stripe, found);
}

/* Each entry is read anew by itself: a key stays in its entry, so it comes once. */
static int scan_line(scan *s, uint64_t line, dict_retry *retry) {
  s->size = 0;
  for (int entry = 0; entry <= DICT_CHAIN; entry++) {
    dict_found found = { .at = dict_entry_at(line, entry), .entry = entry };
    uint64_t before = s->size;
    int err;
    do {
      s->size = before;
      err = dict_again(scan_entry_once(s, &found), retry);
    } while (err == SHMSEG_CHANGED);
    if (err)
      return err;
  }
  return s->size <= s->available ? 0 : SHMSEG_TOO_SMALL;
}

int shmseg_dict_scan(const shmseg_dict *dict, uint64_t *cursor, const void *prefix,
                     size_t prefix_size, void *buffer, size_t available, size_t *size) {
  scan s = { dict, prefix, prefix_size, buffer, available, 0, 0, 0 };
  dict_retry retry = { 0 };
  int err = shmseg_object_ready(&dict->object);
  uint64_t at = *cursor, lines = dict->stripes * dict->lines;
  for (int i = 0; !err && s.size == 0; i++, at++) {
    s.stripe = at < lines ? (uint32_t)(at / dict->lines) : 0;
    if (i == LINES_SCANNED)
      err = SHMSEG_INTERRUPTED;
    else if (at < lines)
      err = scan_line(&s, dict_line_at(dict, s.stripe, at % dict->lines), &retry);
    else
      err = SHMSEG_EMPTY;
  }
  *size = err && err != SHMSEG_TOO_SMALL ? 0 : (size_t)s.size;
  if (!err)
    *cursor = at;
  if (err == SHMSEG_INTERRUPTED)
    *cursor = at - 1; /* that line was not looked at */
  return err;
}

/* --- statistics --------------------------------------------------------------------------- */

/* What peers have written may be any number: a sum stays one that every Lua has. */
static void scan_sum(const shmseg_dict *dict, uint32_t stripe, uint64_t counter, uint64_t *sum) {
  uint64_t more = load_relaxed(dict_word64(dict, dict_stripe_at(stripe, counter)));
  *sum = more < SHMSEG_COUNT_MAX - *sum ? *sum + more : SHMSEG_COUNT_MAX;
}

int shmseg_dict_get_stats(const shmseg_dict *dict, shmseg_dict_stats *stats) {
  int err = shmseg_object_ready(&dict->object);
  if (err)
    return err;
  uint64_t flush = dict_flush(dict), used = 0;
  *stats = (shmseg_dict_stats){ .capacity = dict->object.capacity };
  for (uint32_t i = 0; i < dict->stripes; i++) {
    if (load_acquire(dict_word64(dict, dict_stripe_at(i, STRIPE_STAMP))) == flush) {
      scan_sum(dict, i, STRIPE_COUNT, &stats->count);
      scan_sum(dict, i, STRIPE_BYTES, &stats->bytes);
    }
    scan_sum(dict, i, STRIPE_USED, &used);
    scan_sum(dict, i, STRIPE_EVICTED, &stats->evicted);
    scan_sum(dict, i, STRIPE_EXPIRED, &stats->expired);
    scan_sum(dict, i, STRIPE_REFUSED, &stats->refused);
    scan_sum(dict, i, STRIPE_REPAIRED, &stats->repaired);
  }
  used = used < dict->quota ? used * DICT_CELL : stats->capacity;
  stats->free = used < stats->capacity ? stats->capacity - used : 0;
  return segment_status(dict->object.segment);
}
