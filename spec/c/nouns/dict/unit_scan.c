/* SPDX-License-Identifier: MIT */
/* objects/dict_scan.c, dict_elements.c: all keys of a dict, all elements of a list, and what is counted. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nouns/dict/help.h"

#define CAPACITY (64 * 1024)
#define KEYS 600

static unsigned char buffer[CAPACITY];
static size_t size;
static uint64_t count, cursor;
static bool forcible;
static int seen[KEYS]; /* how often "key:<i>" came */

static void set_up(void) {
  open_dict(CAPACITY, 0, 0);
  cursor = 0;
  memset(seen, 0, sizeof seen);
}

static const test_fixture fresh = { set_up, close_dict };

static void set(const char *key, size_t bytes, int64_t ttl) {
  static const char some[CAPACITY];
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = some, .size = bytes };
  const shmseg_dict_how how = { .ttl = ttl };
  patience = 0;
  must(shmseg_dict_store(&d, key, strlen(key), &value, &how, &forcible, &patience) == 0);
}

static void delete (const char *key) {
  patience = 0;
  must(shmseg_dict_delete(&d, key, strlen(key), NULL, &patience) == 0);
}

static const char *key_of(int i) {
  static char key[20];
  snprintf(key, sizeof key, "key:%d", i);
  return key;
}

static void set_keys(int from, int to) {
  for (int i = from; i < to; i++)
    set(key_of(i), 1, 0);
}

/* The next place that has some. */
static int scan(const char *prefix) {
  return shmseg_dict_scan(&d, &cursor, prefix, strlen(prefix), buffer, sizeof buffer, &size);
}

/* Counts the keys that came: how many. */
static int note(void) {
  int keys = 0;
  for (size_t at = 0; at < size; keys++) {
    uint32_t length;
    int i;
    char key[20] = "";
    memcpy(&length, buffer + at, 4);
    must(length <= size - at - 4);
    memcpy(key, buffer + at + 4, length < 19 ? length : 19);
    if (sscanf(key, "key:%d", &i) == 1 && i >= 0 && i < KEYS)
      seen[i]++;
    at += 4 + length;
  }
  return keys;
}

static int scan_all(const char *prefix) {
  int keys = 0, err;
  cursor = 0;
  while ((err = scan(prefix)) == 0)
    keys += note();
  check(err == SHMSEG_EMPTY && size == 0);
  return keys;
}

static bool all_seen_once(int from, int to) {
  bool once = true;
  for (int i = from; i < to; i++)
    once = once && seen[i] == 1;
  return once;
}

/* --- keys ----------------------------------------------------------------------------------- */

TEST_WITH(fresh, every_key, "a scan gives each key once") {
  check(scan_all("") == 0);
  set_keys(0, KEYS);
  check(scan_all("") == KEYS && all_seen_once(0, KEYS));
}

TEST_WITH(fresh, prefixes, "a scan with a prefix gives the keys that begin with it") {
  set_keys(0, 100);
  set("k", 1, 0);
  set("other", 1, 0);
  check(scan_all("key:") == 100 && all_seen_once(0, 100));
  check(scan_all("k") == 101 && scan_all("o") == 1 && scan_all("key:99") == 1);
  check(scan_all("key:990") == 0 && scan_all("x") == 0);
}

TEST_WITH(fresh, stale_keys, "a scan leaves out what has expired or was flushed") {
  set_keys(0, 10);
  set("t", 1, 1);
  usleep(3000);
  check(scan_all("") == 10);
  must(shmseg_dict_flush_all(&d) == 0);
  check(scan_all("") == 0);
  set_keys(3, 4);
  check(scan_all("") == 1);
}

TEST_WITH(fresh, changes, "a key that stays comes once while others come, go and are replaced") {
  int err;
  set_keys(0, 400);
  for (int i = 0; (err = scan("")) == 0; i++) {
    note();
    for (int k = 0; k < 40; k++)
      set(key_of((7 * i + 11 * k) % 200), (size_t)(k * 8), 0); /* of another size */
    for (int k = 400; k < KEYS; k += 3)
      if ((i + k) % 2)
        set(key_of(k), 1, 0);
      else
        delete (key_of(k));
  }
  check(err == SHMSEG_EMPTY && all_seen_once(0, 400));
  for (int i = 400; i < KEYS; i++)
    check(seen[i] <= 1);
}

TEST_WITH(fresh, deleted_keys, "keys may be deleted as they come") {
  set_keys(0, 200);
  for (int i = 0; scan("") == 0; i++) {
    note();
    for (int k = 0; k < 200; k++)
      if (seen[k] == 1)
        delete (key_of(k));
  }
  check(all_seen_once(0, 200) && scan_all("") == 0);
}

TEST_WITH(fresh, small_buffer, "a scan with too little room tells how much is needed, and stays") {
  set_keys(0, 100);
  uint64_t before = cursor;
  buffer[3] = 'b';
  check(shmseg_dict_scan(&d, &cursor, "", 0, buffer, 3, &size) == SHMSEG_TOO_SMALL);
  check(size > 3 && cursor == before && buffer[3] == 'b');
  size_t needed = size;
  check(shmseg_dict_scan(&d, &cursor, "", 0, buffer, needed, &size) == 0 && size == needed);
  check(cursor != before);
}

TEST_WITH(fresh, long_keys, "a scan gives keys of any size") {
  static char key[50000];
  memset(key, 'k', sizeof key - 1);
  set(key, 1, 0);
  check(scan("kkk") == 0 && size == 4 + sizeof key - 1);
  check(memcmp(buffer + 4, key, sizeof key - 1) == 0);
}

TEST_WITH(fresh, wild_cursor, "a cursor that is none ends a scan") {
  set_keys(0, 10);
  cursor = UINT64_MAX;
  check(scan("") == SHMSEG_EMPTY && cursor == UINT64_MAX);
}

TEST_WITH(fresh, broken, "a scan over what cannot be an item is corrupt") {
  dict_key where;
  dict_found found;
  set("k", 1, 0);
  must(shmseg_dict_locate(&d, "k", 1, &where) == 0 && shmseg_dict_find(&d, &where, &found) == 0);
  uint64_t at = dict_cell_at(&d, found.cell);
  uint64_t head = number_at(&ours, at);
  set_number(&ours, at, 0);
  check(scan("") == SHMSEG_CORRUPT && cursor <= where.line);
  set_number(&ours, at, head);
  set_number(&ours, found.at, 0);
  check(scan("") == SHMSEG_CORRUPT);
  set_number(&ours, found.at, WORD_VALID); /* a chain that is a ring */
  set_number(&ours, where.line + LINE_CHAIN, WORD_VALID | (uint64_t)found.cell << WORD_CELL);
  set_word(&ours, at + ITEM_NEXT, found.cell);
  check(scan("") == SHMSEG_CORRUPT);
}

TEST(large, "a scan of a large empty dict comes back now and then") {
  int interrupted = 0, err;
  open_dict(8 << 20, 0, 200000);
  must(d.stripes * d.lines > 3 * 16384);
  set("k", 1, 0);
  cursor = 0;
  while ((err = scan("k")) != SHMSEG_EMPTY) {
    must(err == SHMSEG_INTERRUPTED || err == 0);
    interrupted += err != 0;
    if (!err)
      check(note() == 1);
  }
  check(interrupted >= 3);
  close_dict();
}

/* --- while others write ---------------------------------------------------------------------- */

static shmseg_segment others;
static shmseg_dict theirs;
static char long_bytes[30000];

/* Traps the second page of the block's bytes; the others have a mapping of their own. */
static void surprise_at(uint32_t cell, void (*surprise)(void)) {
  same_segment(&others, &ours);
  must(shmseg_dict_open(&theirs, (shmseg_slice){ &others, 0, others.size }, SHMSEG_WRITE, NULL,
                        NULL) == 0);
  uint64_t at = dict_cell_at(&d, cell) + DICT_CELL;
  set_trap(ours.data + (at + PAGE - 1) / PAGE * PAGE + PAGE, surprise);
}

static void close_theirs(void) {
  shmseg_dict_close(&theirs);
  shmseg_segment_close(&others);
}

static uint32_t cell_of(const char *key, dict_found *found) {
  dict_key where;
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  must(shmseg_dict_find(&d, &where, found) == 0);
  return found->cell;
}

static void replace_key(void) {
  const shmseg_dict_how how = { 0 };
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER };
  int64_t deadline = 0;
  must(shmseg_dict_store(&theirs, long_bytes, strlen(long_bytes), &value, &how, &forcible,
                         &deadline) == 0);
}

TEST_WITH(fresh, overtaken, "a key that is replaced while it is copied comes once") {
  dict_found found;
  memset(long_bytes, 'k', sizeof long_bytes - 1);
  set(long_bytes, 1, 0);
  surprise_at(cell_of(long_bytes, &found), replace_key);
  check(scan("") == 0 && size == 4 + sizeof long_bytes - 1);
  check(memcmp(buffer + 4, long_bytes, sizeof long_bytes - 1) == 0);
  check(scan("") == SHMSEG_EMPTY);
  close_theirs();
}

/* --- lists ---------------------------------------------------------------------------------- */

static void push(const char *key, const shmseg_dict_value *value) {
  uint64_t length;
  patience = 0;
  must(shmseg_dict_push(&d, key, strlen(key), false, value, &length, &patience) == 0);
}

static void push_integer(const char *key, int64_t integer) {
  push(key, &(shmseg_dict_value){ .type = SHMSEG_DICT_INTEGER, .integer = integer });
}

static void push_string(const char *key, const char *bytes, size_t length) {
  push(key, &(shmseg_dict_value){ .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = length });
}

static int elements(const char *key, size_t available) {
  return shmseg_dict_elements(&d, key, strlen(key), buffer, available, &size, &count);
}

/* Is that element at that place of the buffer? Gives the next place, 0 for another one. */
static size_t is_element(size_t at, int type, uint64_t number, const char *bytes) {
  uint64_t there;
  memcpy(&there, buffer + at + 1, 8);
  if (buffer[at] != type || there != number)
    return 0;
  if (!bytes)
    return at + 9;
  return memcmp(buffer + at + 9, bytes, number) == 0 ? at + 9 + number : 0;
}

TEST_WITH(fresh, all_elements, "all elements of a list come from the left") {
  static char bytes[5000];
  memset(bytes, 'e', sizeof bytes);
  push_integer("l", -1);
  push_string("l", "", 0);
  push_string("l", bytes, sizeof bytes);
  push("l", &(shmseg_dict_value){ .type = SHMSEG_DICT_FLOAT, .number = -0.0 });
  check(elements("l", sizeof buffer) == 0 && count == 4 && size == 4 * 9 + sizeof bytes);
  size_t at = is_element(0, SHMSEG_DICT_INTEGER, UINT64_MAX, NULL);
  at = at ? is_element(at, SHMSEG_DICT_STRING, 0, "") : 0;
  at = at ? is_element(at, SHMSEG_DICT_STRING, sizeof bytes, bytes) : 0;
  at = at ? is_element(at, SHMSEG_DICT_FLOAT, (uint64_t)1 << 63, NULL) : 0;
  check(at == size);
}

/* The first element goes, and its cells are another value's. */
static void pop_first(void) {
  static unsigned char taken[sizeof long_bytes];
  shmseg_dict_value value;
  int64_t deadline = 0;
  must(shmseg_dict_pop(&theirs, "l", 1, true, taken, sizeof taken, &value, &deadline) == 0);
  replace_key();
}

TEST_WITH(fresh, popped, "elements that are popped while they are copied are not among them") {
  dict_found found;
  memset(long_bytes, 'e', sizeof long_bytes - 1);
  push_string("l", long_bytes, sizeof long_bytes - 1);
  push_integer("l", 7);
  cell_of("l", &found);
  surprise_at((uint32_t)found.head.number, pop_first);
  check(elements("l", sizeof buffer) == 0 && count == 1 && size == 9);
  check(is_element(0, SHMSEG_DICT_INTEGER, 7, NULL) == 9);
  close_theirs();
}

TEST_WITH(fresh, little_room, "elements without room tell how much they need") {
  for (int i = 0; i < 10; i++)
    push_integer("l", i);
  buffer[89] = 'b';
  check(elements("l", 89) == SHMSEG_TOO_SMALL && size == 90 && count == 10 && buffer[89] == 'b');
  check(elements("l", 90) == 0 && is_element(81, SHMSEG_DICT_INTEGER, 9, NULL) == 90);
}

TEST_WITH(fresh, no_list, "elements and length are a live list's") {
  uint64_t length;
  set("s", 1, 0);
  push_integer("l", 1);
  push_integer("l", 2);
  check(shmseg_dict_length(&d, "l", 1, &length) == 0 && length == 2);
  check(shmseg_dict_length(&d, "s", 1, &length) == SHMSEG_WRONG_TYPE);
  check(shmseg_dict_length(&d, "x", 1, &length) == SHMSEG_EMPTY);
  check(elements("s", 9) == SHMSEG_WRONG_TYPE && elements("x", 9) == SHMSEG_EMPTY);
  shmseg_dict_value value;
  check(shmseg_dict_get(&d, "l", 1, buffer, 9, &value) == 0 && value.type == SHMSEG_DICT_LIST);
  check(value.integer == 2 && value.flags == 0);
  must(shmseg_dict_flush_all(&d) == 0);
  check(elements("l", 9) == SHMSEG_EMPTY);
  check(shmseg_dict_length(&d, "l", 1, &length) == SHMSEG_EMPTY);
}

TEST_WITH(fresh, broken_lists, "a list that leads nowhere, or never ends, is corrupt") {
  dict_key where;
  dict_found found;
  for (int i = 0; i < 3; i++)
    push_integer("l", i);
  must(shmseg_dict_locate(&d, "l", 1, &where) == 0 && shmseg_dict_find(&d, &where, &found) == 0);
  uint64_t first = dict_cell_at(&d, (uint32_t)found.head.number);
  uint32_t next = word_at(&ours, first + ELEMENT_NEXT);
  const uint32_t nowhere[] = { 0, 63, (uint32_t)d.cells, UINT32_MAX, (uint32_t)found.head.number };
  for (int i = 0; i < 5; i++) {
    set_word(&ours, first + ELEMENT_NEXT, nowhere[i]);
    check(elements("l", sizeof buffer) == SHMSEG_CORRUPT);
  }
  set_word(&ours, first + ELEMENT_NEXT, next);
  check(elements("l", sizeof buffer) == 0);
  set_number(&ours, first + ELEMENT_HEAD, SHMSEG_DICT_STRING | 1 << 8);
  set_number(&ours, first + ELEMENT_NUMBER, UINT64_MAX - 8);
  check(elements("l", sizeof buffer) == SHMSEG_CORRUPT);
}

/* --- statistics ------------------------------------------------------------------------------ */

static shmseg_dict_stats stats(void) {
  shmseg_dict_stats s;
  must(shmseg_dict_get_stats(&d, &s) == 0);
  return s;
}

TEST_WITH(fresh, counts, "the statistics count items, their bytes, and the room that is left") {
  shmseg_dict_stats s = stats();
  check(s.count == 0 && s.bytes == 0 && s.capacity == CAPACITY && s.free == CAPACITY);
  set("k", 10, 0);   /* 51 bytes: a cell */
  set("key", 30, 0); /* 73 bytes: two */
  s = stats();
  check(s.count == 2 && s.bytes == 44 && s.free == CAPACITY - 3 * 64);
  delete ("k");
  s = stats();
  check(s.count == 1 && s.bytes == 33 && s.free == CAPACITY - 2 * 64);
  must(shmseg_dict_flush_all(&d) == 0);
  s = stats();
  check(s.count == 0 && s.bytes == 0 && s.free == CAPACITY - 2 * 64);
}

TEST_WITH(fresh, wild_counts, "statistics that somebody has written over are bounded") {
  set("k", 1, 0);
  set_number(&ours, dict_stripe_at(0, STRIPE_COUNT), UINT64_MAX);
  set_number(&ours, dict_stripe_at(0, STRIPE_USED), UINT64_MAX);
  set_number(&ours, dict_stripe_at(0, STRIPE_EVICTED), (uint64_t)1 << 60);
  shmseg_dict_stats s = stats();
  check(s.count == SHMSEG_COUNT_MAX && s.free == 0 && s.evicted == SHMSEG_COUNT_MAX);
}

int main(int argc, char **argv) {
  (void)argc;
  test_run(argv);
  return help_end();
}
