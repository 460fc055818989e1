/* SPDX-License-Identifier: MIT */
/* objects/dict.c: opening, sizes and geometry, keys and where they belong. */
#include <errno.h>

#include "nouns/dict/help.h"

static uint64_t size_of(uint64_t capacity, uint64_t evict, uint64_t items) {
  shmseg_object_options options = { .capacity = capacity, .evict = evict, .items = items };
  return shmseg_dict_size(&options);
}

TEST(sizes,
     "a dict is larger than its capacity, by little for a large one; what cannot be is refused") {
  check(size_of(1, 0, 0) != 0 && size_of(64, SHMSEG_DICT_LRU, 1) != 0);
  check(size_of(1 << 20, SHMSEG_DICT_NONE, 1) > 1 << 20);
  check(size_of(1 << 20, SHMSEG_DICT_NONE, 1) == size_of(1 << 20, SHMSEG_DICT_LRU, 1));
  check(size_of(1 << 20, 0, 100000) > size_of(1 << 20, 0, 1000));
  check(size_of(1 << 30, 0, 0) < (uint64_t)2 << 30);
  check(size_of((uint64_t)1 << 37, 0, 0) != 0 && size_of(((uint64_t)1 << 37) + 1, 0, 0) == 0);
  check(size_of(UINT64_MAX, 0, 0) == 0 && size_of(1 << 20, 3, 0) == 0);
  check(size_of(1 << 20, 0, UINT64_MAX) != 0); /* there are no more lines than cells */
}

/* All parts lie one behind the other, the last one to the end. */
static bool is_laid_out(uint64_t capacity, uint64_t evict, uint64_t items, uint32_t stripes) {
  open_dict(capacity, evict, items);
  uint64_t quota = capacity / DICT_CELL == 0 ? 1 : capacity / DICT_CELL;
  bool is_good = d.quota == quota && d.stripes == stripes && d.lines > 0;
  is_good = is_good && d.at_claims == dict_stripe_at(stripes, 0);
  is_good = is_good && d.at_lines == d.at_claims + (uint64_t)d.claim_lines * LINE_SIZE;
  is_good = is_good && d.at_pages == d.at_lines + stripes * d.lines * LINE_SIZE;
  is_good = is_good && d.at_owners % SHMSEG_ALIGN == 0 && d.at_owners >= d.at_pages + d.cells / 4;
  is_good = is_good && d.at_links == d.at_owners + d.cells && d.at_links % 8 == 0;
  is_good = is_good && d.at_cells == d.at_links + d.cells * 4 && d.at_cells % 8 == 0;
  is_good = is_good && d.object.size == d.at_cells + d.cells * DICT_CELL;
  is_good = is_good && d.cells % DICT_PAGE == 0 && d.cells > quota + (uint64_t)stripes * DICT_PAGE;
  is_good = is_good && !shmseg_dict_check(&d);
  close_dict();
  return is_good;
}

TEST(layout, "small dicts have one stripe, large ones many, and each word has its place") {
  check(is_laid_out(1, 0, 0, 1) && is_laid_out(16384, 0, 0, 1) && is_laid_out(100001, 0, 7, 1));
  check(is_laid_out((4 << 20) - 1, SHMSEG_DICT_NONE, 0, 1));
  check(is_laid_out(4 << 20, SHMSEG_DICT_LRU, 0, 64) && is_laid_out(9999999, 0, 12345, 64));
}

TEST(geometry, "who attaches takes the dict's geometry, and what disagrees is named") {
  shmseg_dict other;
  bool created;
  open_dict(100000, SHMSEG_DICT_NONE, 500);
  shmseg_slice slice = { &ours, 0, (size_t)d.object.size };
  check(shmseg_dict_open(&other, slice, SHMSEG_CREATE, NULL, &created) == 0 && !created);
  check(other.quota == d.quota && other.lines == d.lines && other.at_cells == d.at_cells);
  check(other.key[0] == d.key[0] && other.key[1] == d.key[1] && other.key[0] != 0);
  shmseg_dict_close(&other);
  shmseg_object_options options = { .capacity = 100001 };
  int err = shmseg_dict_open(&other, slice, SHMSEG_CREATE, &options, NULL);
  check(disagrees(err, &other.object, "capacity"));
  options = (shmseg_object_options){ .evict = SHMSEG_DICT_LRU };
  err = shmseg_dict_open(&other, slice, SHMSEG_CREATE, &options, NULL);
  check(disagrees(err, &other.object, "evict"));
  options = (shmseg_object_options){ .items = 501 };
  err = shmseg_dict_open(&other, slice, SHMSEG_CREATE, &options, NULL);
  check(disagrees(err, &other.object, "items"));
  close_dict();
}

TEST(fits, "without a capacity a dict is the largest that fits its place") {
  for (size_t size = 64 * 1024; size < 8 * 1024 * 1024; size = size * 3 + 8) {
    shmseg_dict dict;
    new_anonymous(&ours, size);
    must(shmseg_dict_open(&dict, (shmseg_slice){ &ours, 0, size }, SHMSEG_CREATE, NULL, NULL) == 0);
    check(dict.object.size <= size && dict.object.capacity % DICT_CELL == 0);
    check(size_of(dict.object.capacity + DICT_CELL, 0, 0) > size);
    shmseg_dict_close(&dict);
    shmseg_segment_close(&ours);
  }
}

TEST(keys, "a key has 1 to 65,535 bytes, and belongs to one line; keys spread over all of them") {
  static char bytes[SHMSEG_DICT_KEY_MAX + 1];
  dict_key key, same;
  open_dict(4 << 20, 0, 0);
  check(shmseg_dict_locate(&d, bytes, 0, &key) == EINVAL);
  check(shmseg_dict_locate(&d, bytes, sizeof bytes, &key) == EINVAL);
  check(shmseg_dict_locate(&d, bytes, SHMSEG_DICT_KEY_MAX, &key) == 0);
  uint64_t stripes = 0, tags = 0;
  for (int i = 0; i < 2000; i++) {
    size_t size = (size_t)snprintf(bytes, sizeof bytes, "key %d", i);
    check(shmseg_dict_locate(&d, bytes, size, &key) == 0);
    check(shmseg_dict_locate(&d, bytes, size, &same) == 0 && same.line == key.line &&
          same.tag == key.tag);
    check(key.line >= dict_line_at(&d, key.stripe, 0) && key.tag <= WORD_TAG_MASK);
    check(key.line <= dict_line_at(&d, key.stripe, d.lines - 1) && key.stripe < d.stripes);
    stripes |= (uint64_t)1 << key.stripe;
    tags |= (uint64_t)1 << key.tag % 64;
  }
  check(stripes == UINT64_MAX && tags == UINT64_MAX);
  close_dict();
}

TEST(unlike, "two dicts place the same keys in different lines") {
  dict_key key;
  uint64_t lines[2][50];
  for (int dict = 0; dict < 2; dict++) {
    open_dict(1 << 20, 0, 0);
    for (int i = 0; i < 50; i++) {
      check(shmseg_dict_locate(&d, &i, sizeof i, &key) == 0);
      lines[dict][i] = key.line;
    }
    close_dict();
  }
  check(memcmp(lines[0], lines[1], sizeof lines[0]) != 0);
}
