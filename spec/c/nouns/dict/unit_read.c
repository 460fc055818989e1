/* SPDX-License-Identifier: MIT */
/* objects/dict_find.c, dict_read.c: what a reader without a lock gives, also while others write, and when
 * somebody has written over the dict. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "nouns/dict/help.h"

#define CAPACITY (64 * 1024)
#define LONG (CAPACITY / 2)

static shmseg_segment others;
static shmseg_dict theirs;
static unsigned char buffer[CAPACITY];
static shmseg_dict_value got;
static bool forcible;

static void set_up(void) {
  open_dict(CAPACITY, 0, 0);
  same_segment(&others, &ours);
  must(shmseg_dict_open(&theirs, (shmseg_slice){ &others, 0, others.size }, SHMSEG_WRITE, NULL,
                        NULL) == 0);
}

static void tear_down(void) {
  shmseg_dict_close(&theirs);
  shmseg_segment_close(&others);
  close_dict();
}

static const test_fixture fresh = { set_up, tear_down };

static int store(const char *key, const shmseg_dict_value *value, int64_t ttl) {
  const shmseg_dict_how how = { .ttl = ttl };
  int64_t deadline = 0;
  return shmseg_dict_store(&theirs, key, strlen(key), value, &how, &forcible, &deadline);
}

static void set(const char *key, const char *bytes, int64_t ttl) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = strlen(bytes) };
  must(store(key, &value, ttl) == 0);
}

static void set_integer(const char *key, int64_t integer) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER, .integer = integer };
  must(store(key, &value, 0) == 0);
}

static int get(const char *key) {
  return shmseg_dict_get(&d, key, strlen(key), buffer, sizeof buffer, &got);
}

static int get_stale(const char *key) {
  return shmseg_dict_get_stale(&d, key, strlen(key), buffer, sizeof buffer, &got);
}

static bool is_string(const char *bytes) {
  return got.type == SHMSEG_DICT_STRING && got.size == strlen(bytes) && got.bytes == buffer &&
         memcmp(buffer, bytes, got.size) == 0;
}

static int64_t ttl_of(const char *key) {
  int64_t ttl = INT64_MIN;
  must(shmseg_dict_ttl(&d, key, strlen(key), &ttl) == 0);
  return ttl;
}

/* A value of many cells, each byte of which is that one. */
static void set_long(const char *key, int byte, size_t size) {
  static unsigned char bytes[LONG];
  memset(bytes, byte, size);
  shmseg_dict_value value = { .type = SHMSEG_DICT_CODED, .bytes = bytes, .size = size };
  must(store(key, &value, 0) == 0);
}

static bool is_long(int byte, size_t size) {
  bool same = got.type == SHMSEG_DICT_CODED && got.size == size;
  for (size_t i = 0; same && i < size; i++)
    same = buffer[i] == byte;
  return same;
}

static dict_found found;
static dict_key where;

/* Where the key is: in `where` and `found`. */
static void find(const char *key) {
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  must(shmseg_dict_find(&d, &where, &found) == 0);
}

static unsigned char *address(uint64_t offset) {
  return ours.data + offset;
}

/* --- values -------------------------------------------------------------------------------- */

TEST_WITH(fresh, numbers, "a get gives numbers and booleans, bit for bit, and flags") {
  shmseg_dict_value value = { .type = SHMSEG_DICT_FLOAT, .number = -0.0, .flags = -5 };
  must(store("f", &value, 0) == 0);
  check(get("f") == 0 && got.type == SHMSEG_DICT_FLOAT && got.flags == -5);
  check(got.integer == INT64_MIN && !got.stale && !got.bytes);
  set_integer("i", INT64_MAX);
  check(get("i") == 0 && got.type == SHMSEG_DICT_INTEGER && got.integer == INT64_MAX);
  value = (shmseg_dict_value){ .type = SHMSEG_DICT_BOOLEAN, .integer = 1 };
  must(store("b", &value, 0) == 0);
  check(get("b") == 0 && got.type == SHMSEG_DICT_BOOLEAN && got.integer == 1 && got.flags == 0);
}

TEST_WITH(fresh, strings, "a get copies strings, also empty ones and those of many runs") {
  set("k", "value", 0);
  set("empty", "", 0);
  set_long("long", 7, LONG);
  check(get("k") == 0 && is_string("value"));
  check(get("empty") == 0 && is_string(""));
  check(get("long") == 0 && is_long(7, LONG));
}

TEST_WITH(fresh, fragments, "a value is read whole when its cells lie in many places") {
  char key[16];
  for (int i = 0; i < 900; i++) {
    snprintf(key, sizeof key, "%d", i);
    set(key, "x", 0);
  }
  for (int i = 0; i < 900; i += 2) { /* every second cell is free */
    int64_t deadline = 0;
    snprintf(key, sizeof key, "%d", i);
    must(shmseg_dict_delete(&theirs, key, strlen(key), NULL, &deadline) == 0);
  }
  set_long("long", 9, 20000);
  find("long");
  check(found.head.run < dict_cells_for(dict_item_size(&found.head)));
  check(get("long") == 0 && is_long(9, 20000));
  check(get("1") == 0 && is_string("x"));
}

TEST_WITH(fresh, keys, "a key of any size is told from others that differ in one byte") {
  static char key[CAPACITY];
  for (size_t size = 1; size < 300; size += size < 80 ? 1 : 37) {
    memset(key, 'k', size);
    key[size] = '\0';
    set_integer(key, (int64_t)size);
    check(get(key) == 0 && got.integer == (int64_t)size);
    key[size - 1] = 'j';
    check(get(key) == SHMSEG_EMPTY);
  }
  memset(key, 'k', 40000);
  key[40000] = '\0';
  set_integer(key, -1);
  check(get(key) == 0 && got.integer == -1);
  find(key);
  *address(dict_cell_at(&d, found.cell)) ^= 1; /* its size */
  check(get(key) == SHMSEG_EMPTY);
}

TEST_WITH(fresh, chains, "a key is found wherever in a crowded line it is") {
  char key[16];
  int in_chain = 0;
  for (int i = 0; i < 800; i++) {
    snprintf(key, sizeof key, "%d", i);
    set_integer(key, i);
  }
  for (int i = 0; i < 800; i++) {
    snprintf(key, sizeof key, "%d", i);
    find(key);
    in_chain += found.entry == DICT_CHAIN;
    check(get(key) == 0 && got.integer == i);
  }
  check(in_chain > 0 && get("800") == SHMSEG_EMPTY);
}

TEST_WITH(fresh, absent, "a get of nothing says so, with a token of word 0") {
  check(get("k") == SHMSEG_EMPTY && got.token.word == 0 && got.token.epoch != 0 && got.type == 0);
  check(get_stale("k") == SHMSEG_EMPTY);
  int64_t ttl;
  check(shmseg_dict_ttl(&d, "k", 1, &ttl) == SHMSEG_EMPTY);
}

TEST_WITH(fresh, wrong_keys, "a key of no byte, or too many, is refused") {
  static const char bytes[SHMSEG_DICT_KEY_MAX + 1];
  check(shmseg_dict_get(&d, "", 0, buffer, 9, &got) == EINVAL && got.token.epoch == 0);
  check(shmseg_dict_get(&d, bytes, sizeof bytes, buffer, 9, &got) == EINVAL);
  check(shmseg_dict_get(&d, bytes, sizeof bytes - 1, buffer, 9, &got) == SHMSEG_EMPTY);
}

TEST_WITH(fresh, too_small, "a buffer that is too small stays as it is, and the size is told") {
  set("k", "value", 0);
  memset(buffer, 'b', sizeof buffer);
  check(shmseg_dict_get(&d, "k", 1, buffer, 4, &got) == SHMSEG_TOO_SMALL && got.size == 5);
  check(buffer[0] == 'b');
  check(shmseg_dict_get(&d, "k", 1, buffer, 5, &got) == 0 && is_string("value"));
  check(buffer[5] == 'b');
}

TEST_WITH(fresh, tokens, "a token differs whenever the value does") {
  set_integer("k", 1);
  check(get("k") == 0);
  shmseg_dict_token first = got.token;
  check(get("k") == 0 && memcmp(&first, &got.token, sizeof first) == 0 && first.word != 0);
  set_integer("k", 1);
  check(get("k") == 0 && got.token.word != first.word);
}

TEST_WITH(fresh, hot, "a number that is added to is read where it is") {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 2 } };
  shmseg_dict_value sum;
  set_integer("k", 40);
  check(get("k") == 0);
  shmseg_dict_token first = got.token;
  for (int i = 0; i < 3; i++) {
    int64_t deadline = 0;
    must(shmseg_dict_incr(&theirs, "k", 1, &step, &sum, &forcible, &deadline) == 0);
    check(get("k") == 0 && got.integer == sum.integer);
    check(got.token.word != first.word || got.token.number != first.number);
    first = got.token;
  }
  find("k");
  check(found.word & WORD_HOT && dict_number(&d, where.line, &found) == 46);
}

/* --- time ----------------------------------------------------------------------------------- */

TEST_WITH(fresh, expired, "a value that has expired is there for get_stale alone") {
  set("k", "value", 1);
  usleep(3000);
  check(get("k") == SHMSEG_EMPTY && got.token.word == 0);
  check(get_stale("k") == 0 && is_string("value") && got.stale && got.token.word == 0);
  check(ttl_of("k") < 0 && ttl_of("k") > -60000);
}

TEST_WITH(fresh, flushed, "a value that was flushed is there for get_stale alone") {
  set("k", "value", 0);
  set("t", "value", 100000);
  must(shmseg_dict_flush_all(&theirs) == 0);
  check(ttl_of("k") < 0 && ttl_of("k") > -60000 && ttl_of("t") < 0 && ttl_of("t") > -60000);
  check(get("k") == SHMSEG_EMPTY && get_stale("k") == 0 && is_string("value") && got.stale);
  set("k", "other", 0);
  check(get("k") == 0 && is_string("other") && !got.stale && ttl_of("k") == 0);
}

TEST_WITH(fresh, ttls, "a ttl is what is left, never 0 where there is an end") {
  set("k", "value", 0);
  set("t", "value", 100000);
  check(ttl_of("k") == 0);
  check(ttl_of("t") > 40000 && ttl_of("t") <= 100000);
  find("t");
  int64_t *expiry = (int64_t *)address(dict_cell_at(&d, found.cell) + ITEM_EXPIRY);
  for (int i = 0; i < 1000; i++) { /* also at the very millisecond */
    *expiry = shmseg_clock_wall();
    check(ttl_of("t") < 0);
  }
  *expiry = INT64_MAX;
  check(ttl_of("t") > 0 && get("t") == 0);
  *expiry = INT64_MIN;
  check(ttl_of("t") < 0 && get("t") == SHMSEG_EMPTY);
}

/* --- marks ---------------------------------------------------------------------------------- */

static uint32_t *marks(void) {
  return (uint32_t *)address(where.line + LINE_MARKS);
}

static uint32_t mark(void) {
  return *marks() >> 5 * found.entry & 31;
}

TEST_WITH(fresh, use, "a get of a live value marks its use, and leaves the other marks alone") {
  set("k", "value", 0);
  find("k");
  *(uint64_t *)address(dict_stripe_at(0, STRIPE_AGE)) = 37;
  *marks() |= DICT_WATCHED;
  uint32_t before = *marks();
  check(ttl_of("k") == 0 && mark() == 0);
  check(get("k") == 0 && mark() == 5);
  check((*marks() ^ before) == (uint32_t)5 << 5 * found.entry);
  *marks() = before;
  must(shmseg_dict_flush_all(&theirs) == 0);
  check(get_stale("k") == 0 && *marks() == before);
}

TEST_WITH(fresh, read_only, "a get through a read-only handle writes nothing") {
  shmseg_segment segment;
  shmseg_dict reader = { 0 };
  set("k", "value", 0);
  find("k");
  *(uint64_t *)address(dict_stripe_at(0, STRIPE_AGE)) = 37;
  must(shmseg_segment_from_fd(&segment, ours.fd, false) == 0);
  must(shmseg_dict_open(&reader, (shmseg_slice){ &segment, 0, segment.size }, SHMSEG_READ, NULL,
                        NULL) == 0);
  check(shmseg_dict_get(&reader, "k", 1, buffer, sizeof buffer, &got) == 0 && is_string("value"));
  check(mark() == 0);
  shmseg_dict_close(&reader);
  shmseg_segment_close(&segment);
}

/* --- while others write ---------------------------------------------------------------------- */

/* The first page that has only bytes of the value. */
static unsigned char *page_of_value(int after) {
  uint64_t at = dict_cell_at(&d, found.cell) + DICT_CELL;
  return address((at + PAGE - 1) / PAGE * PAGE + (uint64_t)after * PAGE);
}

static void replace_long(void) {
  set_long("k", 2, 20000);
}

/* And what was in the old cells is something else, too. */
static void replace_twice(void) {
  set_long("k", 2, 20000);
  set_long("other", 3, 20000);
}

static void delete_long(void) {
  int64_t deadline = 0;
  must(shmseg_dict_delete(&theirs, "k", 1, NULL, &deadline) == 0);
  set_long("other", 3, 20000);
}

TEST_WITH(fresh, replaced, "a value that is replaced while it is copied is read anew") {
  set_long("k", 1, 20000);
  find("k");
  set_trap(page_of_value(1), replace_long);
  check(get("k") == 0 && is_long(2, 20000));
  find("k");
  set_trap(page_of_value(1), replace_twice);
  check(get("k") == 0 && is_long(2, 20000));
}

TEST_WITH(fresh, deleted, "a value that is deleted while it is copied is not there") {
  set_long("k", 1, 20000);
  find("k");
  set_trap(page_of_value(1), delete_long);
  check(get("k") == SHMSEG_EMPTY && get("other") == 0 && is_long(3, 20000));
}

static int surprises;

static void overtake(void) {
  surprises++;
  *(uint64_t *)(others.data + dict_stripe_at(0, STRIPE_EPOCH)) += DICT_VERSIONS;
  set_trap(page_of_value(surprises % 2), overtake);
}

TEST_WITH(fresh, overtaken, "a read that is overtaken each time ends after a while") {
  set_long("k", 1, 20000);
  find("k");
  surprises = 0;
  set_trap(page_of_value(0), overtake);
  int64_t began = now_ms();
  check(get("k") == SHMSEG_TIMEOUT && surprises >= 8);
  check(now_ms() - began >= 99);
  disarm_trap();
  check(get("k") == 0 && is_long(1, 20000));
}

/* --- versions ------------------------------------------------------------------------------- */

static uint64_t word_of_version(uint64_t version) {
  return WORD_VALID | (version & (DICT_VERSIONS - 1)) << WORD_VERSION | (uint64_t)64 << WORD_CELL;
}

TEST(same, "a word is the same while its version cannot have come again") {
  uint64_t n = DICT_VERSIONS, word = word_of_version(1000);
  check(dict_is_same(word, 1000, 1000) && dict_is_same(word, 5000, 5000));
  check(dict_is_same(word, 999, 999)); /* its epoch has not followed yet */
  check(dict_is_same(word, 1000, 1000 + n - 2));
  check(!dict_is_same(word, 1000, 1000 + n - 1)); /* the next one may be there */
  check(!dict_is_same(word, 1000, 1000 + n) && !dict_is_same(word, 5000, 5000 + n));
  check(dict_is_same(word, n + 900, n + 998) && !dict_is_same(word, n + 900, n + 999));
  check(!dict_is_same(word, 999, 1000) && !dict_is_same(word, 1000, 999));
}

/* --- strangers ------------------------------------------------------------------------------- */

TEST_WITH(fresh, no_word, "a word of the index that is 0 is nobody's") {
  set("k", "value", 0);
  find("k");
  for (int i = 0; i <= DICT_SLOTS; i++) {
    uint64_t at = i < DICT_SLOTS ? dict_slot_at(where.line, i) : where.line + LINE_CHAIN;
    uint64_t before = number_at(&ours, at);
    set_number(&ours, at, 0);
    check(get("k") == (i == found.entry ? SHMSEG_CORRUPT : 0));
    set_number(&ours, at, before);
  }
  check(get("k") == 0);
}

/* Is a dict with that number in the item's word corrupt? */
static bool is_refused(uint64_t offset, uint64_t value) {
  uint64_t at = dict_cell_at(&d, found.cell) + offset, before = number_at(&ours, at);
  set_number(&ours, at, value);
  int err = get("k");
  set_number(&ours, at, before);
  return err == SHMSEG_CORRUPT && get("k") == 0;
}

TEST_WITH(fresh, no_item, "what cannot be an item is corrupt") {
  set("k", "value", 0);
  find("k");
  uint64_t head = *(uint64_t *)address(dict_cell_at(&d, found.cell));
  check(is_refused(ITEM_HEAD, head & ~(uint64_t)0xffff));
  check(is_refused(ITEM_HEAD, head & ~(uint64_t)0xff0000));
  check(is_refused(ITEM_HEAD, (head & ~(uint64_t)0xff0000) | 7 << 16));
  check(is_refused(ITEM_HEAD, head & ~(uint64_t)0xff000000));
  check(is_refused(ITEM_NUMBER, UINT64_MAX));
  check(is_refused(ITEM_NUMBER, d.cells * DICT_CELL + 1));
  const uint64_t nowhere[] = { 1, DICT_PAGE - 1, d.cells, UINT32_MAX };
  for (int i = 0; i < 4; i++) {
    set_number(&ours, found.at, (found.word & UINT32_MAX) | nowhere[i] << WORD_CELL);
    check(get("k") == SHMSEG_CORRUPT);
  }
}

TEST_WITH(fresh, links, "links that lead out of the dict, or nowhere, are corrupt") {
  set_long("k", 1, 20000);
  find("k");
  uint64_t at = dict_link_at(&d, found.cell + found.head.run - 1);
  uint32_t before = word_at(&ours, at);
  const uint32_t nowhere[] = { 0, 1, (uint32_t)d.cells, UINT32_MAX };
  for (int i = 0; i < 4; i++) {
    set_word(&ours, at, nowhere[i]);
    check(get("k") == SHMSEG_CORRUPT);
  }
  set_word(&ours, at, before);
  check(get("k") == 0 && is_long(1, 20000));
}

TEST_WITH(fresh, ring, "a chain that is a ring ends") {
  set("k", "value", 0);
  find("k");
  set_number(&ours, where.line + LINE_CHAIN, WORD_VALID | (uint64_t)found.cell << WORD_CELL);
  set_number(&ours, found.at, WORD_VALID);
  set_word(&ours, dict_cell_at(&d, found.cell) + ITEM_NEXT, found.cell);
  check(get("k") == 0 && is_string("value"));
  char key[16]; /* another one of the same line */
  dict_key other = { 0 };
  for (int i = 0; other.line != where.line; i++) {
    snprintf(key, sizeof key, "%d", i);
    must(shmseg_dict_locate(&d, key, strlen(key), &other) == 0);
  }
  check(get(key) == SHMSEG_CORRUPT);
}

TEST(cut, "a dict that was cut is truncated, not empty or corrupt") {
  shmseg_object_options options = { .capacity = CAPACITY };
  uint64_t size = shmseg_dict_size(&options), cursor = 0;
  int64_t ttl;
  size_t used;
  shmseg_dict_stats stats;
  new_segment(&ours, fresh_place(), (size_t)size);
  must(shmseg_dict_open(&d, (shmseg_slice){ &ours, 0, (size_t)size }, SHMSEG_CREATE, &options,
                        NULL) == 0);
  for (int i = 0; i < 5; i++) {
    must(ftruncate(ours.fd, (off_t)size) == 0 && shmseg_segment_refresh(&ours) == 0);
    must(ftruncate(ours.fd, 0) == 0);
    int err = i == 0   ? get("k")
              : i == 1 ? get_stale("k")
              : i == 2 ? shmseg_dict_ttl(&d, "k", 1, &ttl)
              : i == 3 ? shmseg_dict_scan(&d, &cursor, NULL, 0, buffer, sizeof buffer, &used)
                       : shmseg_dict_get_stats(&d, &stats);
    check(err == SHMSEG_TRUNCATED);
  }
  close_dict();
}

int main(int argc, char **argv) {
  (void)argc;
  test_run(argv);
  return help_end();
}
