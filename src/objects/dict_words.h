/* SPDX-License-Identifier: MIT */
/* The types of the dict, and how its words are read and put together, inline. dict_layout.h says where they are;
 * dict.c describes the whole. */
#ifndef SHMSEG_OBJECTS_DICT_WORDS_H
#define SHMSEG_OBJECTS_DICT_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/word.h"
#include "objects/dict_layout.h"
#include "objects/object.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* --- types -------------------------------------------------------------------------------- */

/* A key and where it belongs. */
typedef struct {
  const void *bytes; /* private */
  uint32_t size;
  uint32_t stripe, tag;
  uint64_t hash;
  uint64_t line; /* offset of its line in the object */
} dict_key;

/* A private copy of what an item begins with. */
typedef struct {
  uint32_t key_size, type, run, flags;
  uint64_t number, expiry, stamp;
  uint32_t next;
} dict_head;

/* Memory of count cells, the first run of which are contiguous. */
typedef struct {
  uint32_t cell, run;
  uint64_t count;
} dict_block;

/* Where an item is, and what proves that it is still the same: the word at the offset `at`. */
typedef struct {
  uint64_t epoch, at, word;
  uint32_t cell, before; /* before: the item before it in the chain; 0: it is the first */
  int entry;             /* 0 to DICT_SLOTS - 1: a slot; DICT_CHAIN */
  dict_head head;
} dict_found;

/* An operation that writes, from shmseg_dict_enter() to shmseg_dict_leave(). */
typedef struct {
  shmseg_dict *dict;
  uint32_t id;
  uint32_t stripe;
  uint64_t *words; /* the stripe's: from dict_enter on */
  int64_t *deadline;
  uint64_t flush; /* the flush stamp, read under the lock */
  int64_t now;    /* milliseconds; 0: the clock was not read yet */
  bool is_large;  /* shmseg_dict_take() has taken the large lock */
  bool is_broken; /* what is derived may be wrong: the next owner is to repair the stripe */
} dict_op;

/* --- words (inline) ----------------------------------------------------------------------- */

static inline uint32_t *dict_word32(const shmseg_dict *dict, uint64_t offset) {
  return shmseg_object_at(&dict->object, offset);
}

static inline uint64_t *dict_word64(const shmseg_dict *dict, uint64_t offset) {
  return shmseg_object_at(&dict->object, offset);
}

static inline uint64_t dict_stripe_at(uint32_t stripe, uint64_t offset) {
  return DICT_STRIPES + (uint64_t)stripe * STRIPE_SIZE + offset;
}

/* A word of the op's stripe, whose lock is held. */
static inline uint64_t *dict_own(const dict_op *op, uint64_t offset) {
  return op->words + offset / 8;
}

/* Offset of the line of that number in the stripe. */
static inline uint64_t dict_line_at(const shmseg_dict *dict, uint32_t stripe, uint64_t line) {
  return dict->at_lines + (stripe * dict->lines + line) * LINE_SIZE;
}

static inline uint64_t dict_slot_at(uint64_t line, int slot) {
  return line + LINE_SLOTS + (uint64_t)slot * 8;
}

/* The offset of an entry's word: a slot's, or the chain's. */
static inline uint64_t dict_entry_at(uint64_t line, int entry) {
  return entry == DICT_CHAIN ? line + LINE_CHAIN : dict_slot_at(line, entry);
}

static inline uint64_t dict_cell_at(const shmseg_dict *dict, uint64_t cell) {
  return dict->at_cells + cell * DICT_CELL;
}

static inline uint64_t dict_link_at(const shmseg_dict *dict, uint64_t cell) {
  return dict->at_links + cell * 4;
}

static inline uint32_t dict_word_cell(uint64_t word) {
  return (uint32_t)(word >> WORD_CELL);
}

static inline uint32_t dict_word_tag(uint64_t word) {
  return (uint32_t)(word >> WORD_TAG) & WORD_TAG_MASK;
}

/* Can that cell begin an item? Page 0 has none. */
static inline bool dict_is_cell(const shmseg_dict *dict, uint64_t cell) {
  return cell >= DICT_PAGE && cell < dict->cells;
}

/* Can so many cells, one behind the other, begin with that one? */
static inline bool dict_is_run(const shmseg_dict *dict, uint64_t cell, uint64_t count) {
  return dict_is_cell(dict, cell) && count != 0 && count <= dict->cells - cell;
}

static inline uint64_t dict_cells_for(uint64_t bytes) {
  return bytes / DICT_CELL + (bytes % DICT_CELL != 0);
}

/* Does the item have bytes of a value behind its key? */
static inline bool dict_has_bytes(uint32_t type) {
  return type == SHMSEG_DICT_STRING || type == SHMSEG_DICT_CODED;
}

/* Is it what incr adds to? */
static inline bool dict_is_number(uint32_t type) {
  return type == SHMSEG_DICT_INTEGER || type == SHMSEG_DICT_FLOAT;
}

static inline uint64_t dict_item_size(const dict_head *head) {
  return ITEM_KEY + head->key_size + (dict_has_bytes(head->type) ? head->number : 0);
}

static inline uint64_t dict_element_size(const dict_head *head) {
  return ELEMENT_BYTES + (dict_has_bytes(head->type) ? head->number : 0);
}

/* Bytes of an item as they are counted: of the key and the value; those of a list's elements are not among
 * them. */
static inline uint64_t dict_item_bytes(const dict_head *head) {
  uint64_t value = dict_has_bytes(head->type) ? head->number : sizeof head->number;
  return head->key_size + (head->type == SHMSEG_DICT_LIST ? 0 : value);
}

static inline uint64_t dict_element_bytes(const dict_head *head) {
  return dict_has_bytes(head->type) ? head->number : sizeof head->number;
}

static inline dict_block dict_item_block(const dict_found *found) {
  dict_block block = { found->cell, found->head.run, dict_cells_for(dict_item_size(&found->head)) };
  return block;
}

static inline dict_block dict_element_block(uint32_t cell, const dict_head *element) {
  dict_block block = { cell, element->run, dict_cells_for(dict_element_size(element)) };
  return block;
}

/* The first and the last element of a list, by its ITEM_NUMBER. */
static inline uint32_t dict_list_first(uint64_t ends) {
  return (uint32_t)ends;
}

static inline uint32_t dict_list_last(uint64_t ends) {
  return (uint32_t)(ends >> 32);
}

static inline uint64_t dict_list_ends(uint32_t first, uint32_t last) {
  return first | (uint64_t)last << 32;
}

/* Is it a number whose value is at LINE_HOT? A chain's word says nothing of that. */
static inline bool dict_is_hot(const dict_found *found) {
  return found->entry != DICT_CHAIN && found->word & WORD_HOT;
}

/* What an entry leads to, for who has the stripe's lock, or looks at a quiet dict: its head is not read, and
 * nothing is to be proved. */
static inline dict_found dict_entry(const shmseg_dict *dict, uint64_t line, int entry) {
  dict_found found = { .at = dict_entry_at(line, entry), .entry = entry };
  found.word = load_acquire(dict_word64(dict, found.at));
  found.cell = dict_word_cell(found.word);
  return found;
}

/* A word that had this value when the epoch was that, and has it now: was it the same all the while? Its
 * version comes again after DICT_VERSIONS epochs. While the epoch is the same one word was changed at
 * most, and it got another version (D3): so a word counts also when its epoch has not followed yet. */
static inline bool dict_is_same(uint64_t word, uint64_t epoch, uint64_t now) {
  uint64_t version = word >> WORD_VERSION & (DICT_VERSIONS - 1);
  return now == epoch || now - epoch < ((version - epoch - 1) & (DICT_VERSIONS - 1));
}

/* Has the item expired, or was it flushed? *now is read from the clock when it is 0 and needed. */
static inline bool dict_is_stale(const dict_head *head, uint64_t flush, int64_t *now) {
  if (head->stamp != flush)
    return true;
  if (head->expiry == 0)
    return false;
  if (*now == 0)
    *now = shmseg_clock_wall();
  return (int64_t)head->expiry <= *now;
}

#pragma GCC visibility pop

#endif
