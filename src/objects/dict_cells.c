/* SPDX-License-Identifier: MIT */
/* A dict's cells: the bytes of blocks, and what items and elements begin with. dict.c describes the whole. */
#include <string.h>

#include "objects/dict_find.h"

/* --- runs --------------------------------------------------------------------------------- */

static uint32_t cells_link(const shmseg_dict *dict, uint64_t cell) {
  return load_relaxed(dict_word32(dict, dict_link_at(dict, cell)));
}

/* How many cells, at most so many, lie one behind the other and are linked in that order. */
static uint64_t cells_linked(const shmseg_dict *dict, uint32_t cell, uint64_t most) {
  uint64_t count = 1;
  while (count < most && cell + count < dict->cells &&
         cells_link(dict, cell + count - 1) == cell + count)
    count++;
  return count;
}

/* Each turn takes a cell at least off the count, so a circle of links ends. */
int shmseg_dict_each_run(const shmseg_dict *dict, dict_block block,
                         int (*visit)(void *context, uint32_t cell, uint32_t count),
                         void *context) {
  uint64_t left = block.count;
  uint32_t cell = block.cell;
  uint64_t run = block.run < left ? block.run : left;
  if (left > dict->cells)
    return SHMSEG_CORRUPT;
  while (left > 0) {
    if (!dict_is_run(dict, cell, run))
      return SHMSEG_CORRUPT;
    uint32_t next = left > run ? cells_link(dict, cell + run - 1) : 0;
    int err = visit(context, cell, (uint32_t)run);
    if (err)
      return err;
    left -= run;
    cell = next;
    run = left > 0 && dict_is_cell(dict, cell) ? cells_linked(dict, cell, left) : 0;
  }
  return 0;
}

/* --- bytes -------------------------------------------------------------------------------- */

/* What is left of a copy or a comparison. Of `to` and `from` one is private, and used. */
typedef struct {
  const shmseg_dict *dict;
  uint64_t skip, size;
  unsigned char *to;
  const unsigned char *from;
} cells_copy;

/* The part of a run that belongs to the copy: its address; *count is 0 when there is none. */
static unsigned char *cells_part(cells_copy *copy, uint32_t cell, uint32_t run, size_t *count) {
  uint64_t room = (uint64_t)run * DICT_CELL;
  uint64_t skipped = copy->skip < room ? copy->skip : room;
  room -= skipped;
  *count = (size_t)(copy->size < room ? copy->size : room);
  copy->skip -= skipped;
  copy->size -= *count;
  return shmseg_object_at(&copy->dict->object, dict_cell_at(copy->dict, cell) + skipped);
}

static int cells_read(void *context, uint32_t cell, uint32_t run) {
  cells_copy *copy = context;
  size_t count;
  const unsigned char *part = cells_part(copy, cell, run, &count);
  copy_from_shared(copy->to, part, count);
  copy->to += count;
  return 0;
}

static int cells_write(void *context, uint32_t cell, uint32_t run) {
  cells_copy *copy = context;
  size_t count;
  unsigned char *part = cells_part(copy, cell, run, &count);
  copy_to_shared(part, copy->from, count);
  copy->from += count;
  return 0;
}

/* Bytes that are compared at once, through a private copy. */
#define COMPARED 256

static int cells_compare(void *context, uint32_t cell, uint32_t run) {
  cells_copy *copy = context;
  unsigned char bytes[COMPARED];
  size_t count;
  const unsigned char *part = cells_part(copy, cell, run, &count);
  for (size_t at = 0; at < count; at += COMPARED) {
    size_t piece = count - at < COMPARED ? count - at : COMPARED;
    copy_from_shared(bytes, part + at, piece);
    if (memcmp(bytes, copy->from + at, piece) != 0)
      return SHMSEG_CHANGED;
  }
  copy->from += count;
  return 0;
}

/* Calls visit for the runs that have those bytes. */
static int cells_each(cells_copy *copy, dict_block block,
                      int (*visit)(void *context, uint32_t cell, uint32_t run)) {
  uint64_t room = copy->dict->cells * DICT_CELL;
  if (copy->size > room || copy->skip > room - copy->size)
    return SHMSEG_CORRUPT;
  block.count = copy->size == 0 ? 0 : dict_cells_for(copy->skip + copy->size);
  return shmseg_dict_each_run(copy->dict, block, visit, copy);
}

int shmseg_dict_read_slowly(const shmseg_dict *dict, dict_block block, uint64_t from, void *to,
                            uint64_t size) {
  cells_copy copy = { dict, from, size, to, NULL };
  return cells_each(&copy, block, cells_read);
}

int shmseg_dict_write(const shmseg_dict *dict, dict_block block, uint64_t from, const void *bytes,
                      uint64_t size) {
  unsigned char *at = dict_in_run(dict, block, from, size);
  if (at) {
    copy_to_shared(at, bytes, (size_t)size);
    return 0;
  }
  cells_copy copy = { dict, from, size, NULL, bytes };
  return cells_each(&copy, block, cells_write);
}

bool shmseg_dict_equals_slowly(const shmseg_dict *dict, dict_block block, uint64_t from,
                               const void *bytes, uint64_t size) {
  cells_copy copy = { dict, from, size, NULL, bytes };
  return cells_each(&copy, block, cells_compare) == 0;
}

/* --- heads -------------------------------------------------------------------------------- */

static uint64_t cells_word(const shmseg_dict *dict, uint64_t offset) {
  return load_relaxed(dict_word64(dict, offset));
}

/* Can a block of so many bytes begin with that run? */
static bool cells_can_begin(const shmseg_dict *dict, uint32_t cell, uint32_t run, uint64_t size) {
  return size <= dict->cells * DICT_CELL && run <= DICT_PAGE && run <= dict_cells_for(size) &&
         dict_is_run(dict, cell, run);
}

bool shmseg_dict_read_head(const shmseg_dict *dict, uint32_t cell, dict_head *head) {
  return dict_load_head(dict, cell, head) &&
         cells_can_begin(dict, cell, head->run, dict_item_size(head));
}

bool shmseg_dict_read_element(const shmseg_dict *dict, uint32_t cell, dict_head *head) {
  if (!dict_is_cell(dict, cell))
    return false;
  uint64_t at = dict_cell_at(dict, cell);
  uint64_t first = cells_word(dict, at + ELEMENT_HEAD);
  *head = (dict_head){ .type = first & 0xff, .run = first >> 8 & 0xff };
  head->next = load_relaxed(dict_word32(dict, at + ELEMENT_NEXT));
  head->flags = load_relaxed(dict_word32(dict, at + ELEMENT_BEFORE));
  head->number = cells_word(dict, at + ELEMENT_NUMBER);
  if (head->type != SHMSEG_DICT_INTEGER && head->type != SHMSEG_DICT_FLOAT &&
      head->type != SHMSEG_DICT_STRING)
    return false;
  if (dict_has_bytes(head->type) && head->number > dict->cells * DICT_CELL)
    return false;
  return cells_can_begin(dict, cell, head->run, dict_element_size(head));
}

int shmseg_dict_write_head(const shmseg_dict *dict, dict_block block, const dict_head *head,
                           const void *key) {
  uint64_t at = dict_cell_at(dict, block.cell);
  if (!dict_is_run(dict, block.cell, block.run))
    return SHMSEG_CORRUPT;
  dict_store_head(dict_word64(dict, at), block.run, head);
  return shmseg_dict_write(dict, block, ITEM_KEY, key, head->key_size);
}
