/* SPDX-License-Identifier: MIT */
/* objects/dict_store and dict_index: values of all types; conditions; what cannot be stored; chains; counts. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "nouns/dict/help.h"
#include "unit/help.h"

#define CAPACITY 65536
#define MANY 300

static unsigned char buffer[CAPACITY], big[CAPACITY];
static shmseg_dict_value got;
static bool forcible;

static void set_up(void) {
  open_dict(CAPACITY, SHMSEG_DICT_LRU, 0);
}

static void set_up_small(void) {
  open_dict(4096, SHMSEG_DICT_NONE, 0);
}

static void set_up_small_lru(void) {
  open_dict(4096, SHMSEG_DICT_LRU, 0);
}

/* As few lines as there can be: so there are chains. */
static void set_up_chains(void) {
  open_dict(CAPACITY, SHMSEG_DICT_LRU, 1);
}

static void tear_down(void) {
  must(shmseg_dict_check(&d) == NULL);
  close_dict();
}

static const test_fixture fresh = { set_up, tear_down }, small = { set_up_small, tear_down },
                          small_lru = { set_up_small_lru, tear_down },
                          chains = { set_up_chains, tear_down };

/* --- calls --------------------------------------------------------------------------------- */

static shmseg_dict_value string(const void *bytes, size_t size) {
  return (shmseg_dict_value){ .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
}

static shmseg_dict_value integer(int64_t number) {
  return (shmseg_dict_value){ .type = SHMSEG_DICT_INTEGER, .integer = number };
}

static shmseg_dict_value floating(double number) {
  return (shmseg_dict_value){ .type = SHMSEG_DICT_FLOAT, .number = number };
}

static int store(const char *key, shmseg_dict_value value, shmseg_dict_how how) {
  return shmseg_dict_store(&d, key, strlen(key), &value, &how, &forcible, &patience);
}

static int set(const char *key, const char *bytes) {
  return store(key, string(bytes, strlen(bytes)), (shmseg_dict_how){ 0 });
}

static int get(const char *key) {
  return shmseg_dict_get(&d, key, strlen(key), buffer, sizeof buffer, &got);
}

static bool has(const char *key, const char *bytes) {
  return get(key) == 0 && got.type == SHMSEG_DICT_STRING && got.size == strlen(bytes) &&
         memcmp(buffer, bytes, got.size) == 0;
}

static int del(const char *key) {
  return shmseg_dict_delete(&d, key, strlen(key), NULL, &patience);
}

static int add_one(const char *key) {
  shmseg_dict_step step = { .step = integer(1) };
  return shmseg_dict_incr(&d, key, strlen(key), &step, &got, &forcible, &patience);
}

static int push(const char *key) {
  uint64_t length;
  shmseg_dict_value value = string("element", 7);
  return shmseg_dict_push(&d, key, strlen(key), false, &value, &length, &patience);
}

static int64_t ttl_of(const char *key) {
  int64_t ttl = 0;
  return shmseg_dict_ttl(&d, key, strlen(key), &ttl) == 0 ? ttl : INT64_MIN;
}

static shmseg_dict_stats stats_now(void) {
  shmseg_dict_stats stats = { 0 };
  check(shmseg_dict_get_stats(&d, &stats) == 0);
  return stats;
}

static const char *name_of(int i) {
  static char name[4][16];
  static int next;
  char *one = name[next++ % 4];
  snprintf(one, sizeof name[0], "key %d", i);
  return one;
}

/* --- values -------------------------------------------------------------------------------- */

TEST_WITH(fresh, types, "a value of each type comes back as it was, bit for bit, with its flags") {
  double numbers[] = { 0.0, -0.0, 1.5, INFINITY, -INFINITY, NAN, 0x1p-1074 };
  int64_t integers[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    check(store("n", floating(numbers[i]), (shmseg_dict_how){ 0 }) == 0 && get("n") == 0);
    check(got.type == SHMSEG_DICT_FLOAT && memcmp(&got.number, &numbers[i], 8) == 0);
  }
  for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
    shmseg_dict_value value = integer(integers[i]);
    value.flags = (int32_t)-i;
    check(store("i", value, (shmseg_dict_how){ 0 }) == 0 && get("i") == 0);
    check(got.type == SHMSEG_DICT_INTEGER && got.integer == integers[i] && got.flags == -(int)i);
  }
  shmseg_dict_value value = { .type = SHMSEG_DICT_BOOLEAN, .integer = 7 };
  check(store("b", value, (shmseg_dict_how){ 0 }) == 0 && get("b") == 0);
  check(got.type == SHMSEG_DICT_BOOLEAN && got.integer == 1);
  value = string("", 0);
  value.type = SHMSEG_DICT_CODED;
  value.flags = INT32_MIN;
  check(store("c", value, (shmseg_dict_how){ 0 }) == 0 && get("c") == 0);
  check(got.type == SHMSEG_DICT_CODED && got.size == 0 && got.flags == INT32_MIN);
}

TEST_WITH(fresh, sizes,
          "values of all sizes up to half of the capacity come back whole, in any order") {
  for (size_t i = 0; i < sizeof big; i++)
    big[i] = (unsigned char)(i * 7 + (i >> 8));
  size_t sizes[] = { 0, 1, 20, 21, 63, 64, 65, 4000, 4096, 4097, 20000, CAPACITY / 2 };
  size_t count = sizeof sizes / sizeof *sizes;
  for (size_t i = 0; i < count * count; i++) {
    size_t size = sizes[i % count], other = sizes[i / count];
    check(store("k", string(big, other), (shmseg_dict_how){ 0 }) == 0);
    check(store("k", string(big + 1, size), (shmseg_dict_how){ 0 }) == 0 && get("k") == 0);
    check(got.size == size && memcmp(buffer, big + 1, size) == 0);
  }
  check(stats_now().count == 1 && !forcible);
}

TEST_WITH(fresh, replaced, "a store replaces value, type, flags and expiry") {
  shmseg_dict_value value = string("long enough to need more than one cell of the arena", 51);
  value.flags = 5;
  check(store("k", value, (shmseg_dict_how){ .ttl = 100000 }) == 0 && ttl_of("k") > 99000);
  check(store("k", integer(3), (shmseg_dict_how){ 0 }) == 0 && get("k") == 0);
  check(got.type == SHMSEG_DICT_INTEGER && got.flags == 0 && ttl_of("k") == 0);
}

TEST_WITH(fresh, kept, "keep leaves the expiry and the flags of a live value, and of no other") {
  shmseg_dict_value value = string("old", 3);
  value.flags = 5;
  check(store("k", value, (shmseg_dict_how){ .ttl = 100000 }) == 0);
  check(store("k", string("new", 3), (shmseg_dict_how){ .keep = true, .ttl = 5 }) == 0);
  check(has("k", "new") && got.flags == 5 && ttl_of("k") > 99000);
  value.flags = 6;
  check(shmseg_dict_flush_all(&d) == 0);
  check(store("k", value, (shmseg_dict_how){ .keep = true, .ttl = 50000 }) == 0);
  check(has("k", "old") && got.flags == 6 && ttl_of("k") > 49000 && ttl_of("k") <= 50000);
}

/* --- conditions ---------------------------------------------------------------------------- */

TEST_WITH(fresh, add_replace, "add stores where nothing lives, replace where something does") {
  shmseg_dict_how add = { .add = true }, replace = { .replace = true };
  check(store("k", string("1", 1), replace) == SHMSEG_EMPTY && get("k") == SHMSEG_EMPTY);
  check(store("k", string("1", 1), add) == 0 && has("k", "1"));
  check(store("k", string("2", 1), add) == EEXIST && has("k", "1"));
  check(store("k", string("3", 1), replace) == 0 && has("k", "3"));
  check(shmseg_dict_flush_all(&d) == 0);
  check(store("k", string("4", 1), replace) == SHMSEG_EMPTY && get("k") == SHMSEG_EMPTY);
  check(store("k", string("4", 1), add) == 0 && has("k", "4"));
  check(push("list") == 0 && store("list", string("1", 1), add) == EEXIST);
  check(store("list", string("1", 1), replace) == 0 && has("list", "1"));
}

static int store_seen(const char *key, const shmseg_dict_token *token) {
  return store(key, string("new", 3), (shmseg_dict_how){ .token = token });
}

TEST_WITH(fresh, tokens, "a store with a token changes the state that was seen, and no other one") {
  check(get("k") == SHMSEG_EMPTY);
  shmseg_dict_token absent = got.token, seen;
  check(store_seen("k", &absent) == 0 && has("k", "new"));
  check(store_seen("k", &absent) == SHMSEG_CHANGED);
  check(get("k") == 0);
  seen = got.token;
  check(store_seen("k", &seen) == 0 && store_seen("k", &seen) == SHMSEG_CHANGED);
  check(get("k") == 0);
  seen = got.token;
  check(del("k") == 0 && store_seen("k", &seen) == SHMSEG_CHANGED && get("k") == SHMSEG_EMPTY);
  check(set("k", "new") == 0 && store_seen("k", &seen) == SHMSEG_CHANGED);
  check(get("k") == 0);
  seen = got.token;
  check(shmseg_dict_flush_all(&d) == 0 && store_seen("k", &seen) == SHMSEG_CHANGED);
  check(store_seen("k", &absent) == 0);
}

TEST_WITH(fresh, hot_tokens, "a token of a number does not outlive an incr, also where it is hot") {
  check(store("n", integer(1), (shmseg_dict_how){ 0 }) == 0);
  for (int i = 0; i < 3; i++) {
    check(get("n") == 0);
    shmseg_dict_token seen = got.token;
    check(add_one("n") == 0 && store_seen("n", &seen) == SHMSEG_CHANGED);
    check(get("n") == 0 && got.integer == 2 + i);
  }
  check(add_one("n") == 0 && get("n") == 0 && got.integer == 5);
  check(store_seen("n", &got.token) == 0 && has("n", "new"));
}

static int store_equal(shmseg_dict_value expected) {
  return store("k", string("new", 3), (shmseg_dict_how){ .expected = &expected });
}

/* Is that value in the key taken for the other one? */
static bool is_equal(shmseg_dict_value there, shmseg_dict_value expected) {
  check(store("k", there, (shmseg_dict_how){ 0 }) == 0);
  return store_equal(expected) == 0;
}

TEST_WITH(fresh, expected,
          "an expected value is compared as a number, or as bytes of the same type") {
  shmseg_dict_value coded = string("a", 1), yes = { .type = SHMSEG_DICT_BOOLEAN, .integer = 1 };
  coded.type = SHMSEG_DICT_CODED;
  check(is_equal(integer(1), integer(1)) && is_equal(integer(1), floating(1.0)) &&
        is_equal(floating(1.0), integer(1)) && is_equal(floating(0.0), floating(-0.0)));
  check(!is_equal(integer(1), integer(2)) && !is_equal(floating(NAN), floating(NAN)) &&
        !is_equal(integer((1LL << 53) + 1), floating(0x1p53)) &&
        !is_equal(floating(0x1p53), integer((1LL << 53) + 1)) &&
        !is_equal(floating(0x1p63), integer(INT64_MAX)) &&
        !is_equal(integer(INT64_MAX), floating(0x1p63)) && !is_equal(integer(1), floating(1.5)) &&
        !is_equal(integer(1), floating(INFINITY)) && !is_equal(integer(1), floating(NAN)));
  check(is_equal(string("a", 1), string("a", 1)) && is_equal(coded, coded) && is_equal(yes, yes));
  check(!is_equal(string("a", 1), coded) && !is_equal(string("a", 1), string("b", 1)) &&
        !is_equal(string("a", 1), string("ab", 2)) && !is_equal(yes, integer(1)) &&
        !is_equal(integer(1), yes) && !is_equal(integer(1), string("1", 1)));
  check(store("k", integer(1), (shmseg_dict_how){ 0 }) == 0 && add_one("k") == 0 &&
        add_one("k") == 0 && store_equal(integer(2)) == SHMSEG_CHANGED);
  check(store_equal(integer(3)) == 0 && del("k") == 0 && store_equal(integer(3)) == SHMSEG_CHANGED);
}

TEST_WITH(fresh, lists,
          "a list is replaced, with all its elements, but by no condition on a value") {
  shmseg_dict_value one = integer(1);
  shmseg_dict_token token = { 0, 0, 0 };
  uint64_t free_before = stats_now().free;
  for (int i = 0; i < 50; i++)
    check(push("list") == 0);
  check(store("list", one, (shmseg_dict_how){ .expected = &one }) == SHMSEG_WRONG_TYPE);
  check(store("list", one, (shmseg_dict_how){ .token = &token }) == SHMSEG_WRONG_TYPE);
  check(store("list", one, (shmseg_dict_how){ .keep = true }) == SHMSEG_WRONG_TYPE);
  check(stats_now().bytes == 4 + 50 * 7);
  check(store("list", one, (shmseg_dict_how){ 0 }) == 0 && get("list") == 0 && got.integer == 1);
  check(stats_now().free == free_before - 64 && stats_now().bytes == 4 + 8);
}

/* --- what is not stored -------------------------------------------------------------------- */

TEST_WITH(fresh, misuse, "what is no value, no key or no time to live is refused") {
  shmseg_dict_value list = { .type = SHMSEG_DICT_LIST }, none = { 0 };
  shmseg_dict_how plain = { 0 };
  check(store("k", list, plain) == EINVAL && store("k", none, plain) == EINVAL);
  check(store("", integer(1), plain) == EINVAL);
  check(store("k", integer(1), (shmseg_dict_how){ .ttl = -1 }) == EINVAL);
  check(get("k") == SHMSEG_EMPTY && shmseg_dict_delete(&d, "", 0, NULL, &patience) == EINVAL);
  shmseg_dict_close(&d);
  check(store("k", integer(1), plain) == SHMSEG_CLOSED && del("k") == SHMSEG_CLOSED);
  must(shmseg_dict_open(&d, shmseg_segment_whole(&ours), SHMSEG_WRITE, NULL, NULL) == 0);
}

TEST_WITH(fresh, read_only, "through a read-only handle nothing is stored or deleted, nor tried") {
  shmseg_segment reader;
  shmseg_dict writable = d;
  must(shmseg_segment_from_fd(&reader, ours.fd, false) == 0);
  for (int i = 0; i < 2; i++) { /* before the hash has a key, and after */
    must(shmseg_dict_open(&d, shmseg_segment_whole(&reader), SHMSEG_READ, NULL, NULL) == 0);
    check(set("k", "1") == SHMSEG_READ_ONLY && del("k") == SHMSEG_READ_ONLY);
    check(add_one("k") == SHMSEG_READ_ONLY);
    shmseg_dict_close(&d);
    set_number(&ours, DICT_KEY, 0);
  }
  d = writable;
  shmseg_segment_close(&reader);
  set_number(&ours, DICT_KEY, d.key[0]);
  check(get("k") == SHMSEG_EMPTY);
}

TEST_WITH(small_lru, too_big, "what can never fit is refused at once, and nothing goes for it") {
  check(set("k", "old") == 0);
  check(store("k", string(big, 2049), (shmseg_dict_how){ 0 }) == EFBIG && has("k", "old"));
  memset(big, 'k', sizeof big);
  shmseg_dict_how plain = { 0 };
  shmseg_dict_value value = integer(1);
  check(shmseg_dict_store(&d, big, 4096 - 40, &value, &plain, &forcible, &patience) == 0);
  check(forcible && get("k") == SHMSEG_EMPTY && set("k", "old") == 0);
  check(shmseg_dict_store(&d, big, 4096 - 39, &value, &plain, &forcible, &patience) == EFBIG);
  check(!forcible && has("k", "old") && stats_now().refused == 2);
  check(store("k", string(big, 2048), plain) == 0 && get("k") == 0 && got.size == 2048);
}

TEST_WITH(small, full,
          "a full dict that evicts nothing keeps what it has, and replaces it in place") {
  int n = 0;
  while (set(name_of(n), "value") == 0)
    n++;
  check(n == 64 && stats_now().free == 0 && stats_now().refused == 1 && !forcible);
  for (int i = 0; i < n; i++)
    check(has(name_of(i), "value") && set(name_of(i), "other") == 0 && has(name_of(i), "other"));
  check(store(name_of(0), string(big, 100), (shmseg_dict_how){ 0 }) == ENOMEM);
  check(has(name_of(0), "other") && del(name_of(1)) == 0 && del(name_of(2)) == 0);
  check(store(name_of(0), string(big, 100), (shmseg_dict_how){ 0 }) == 0);
  check(store(name_of(0), string("1", 1), (shmseg_dict_how){ 0 }) == 0);
  check(set(name_of(n), "value") == 0 && set(name_of(1), "value") == 0);
  check(set(name_of(2), "value") == ENOMEM && stats_now().count == 64);
}

/* --- deleting ------------------------------------------------------------------------------- */

TEST_WITH(fresh, deleting, "delete takes a key of any type away, and one that is not there") {
  shmseg_dict_value one = integer(1), two = integer(2);
  shmseg_dict_how how = { .expected = &two };
  uint64_t free_before = stats_now().free;
  check(del("k") == 0 && set("k", "1") == 0 && del("k") == 0 && get("k") == SHMSEG_EMPTY);
  check(push("k") == 0 && push("k") == 0 && del("k") == 0 && get("k") == SHMSEG_EMPTY);
  check(store("k", one, (shmseg_dict_how){ 0 }) == 0 && get("k") == 0);
  shmseg_dict_how seen = { .token = &got.token };
  check(shmseg_dict_delete(&d, "k", 1, &how, &patience) == SHMSEG_CHANGED && add_one("k") == 0);
  check(shmseg_dict_delete(&d, "k", 1, &how, &patience) == 0 && get("k") == SHMSEG_EMPTY);
  check(store("k", one, (shmseg_dict_how){ 0 }) == 0);
  check(shmseg_dict_delete(&d, "k", 1, &seen, &patience) == SHMSEG_CHANGED && get("k") == 0);
  shmseg_dict_how add = { .add = true }, replace = { .replace = true };
  check(shmseg_dict_delete(&d, "k", 1, &add, &patience) == EEXIST && get("k") == 0);
  check(shmseg_dict_delete(&d, "k", 1, &seen, &patience) == 0);
  check(shmseg_dict_delete(&d, "k", 1, &add, &patience) == 0 &&
        shmseg_dict_delete(&d, "k", 1, &replace, &patience) == SHMSEG_EMPTY);
  shmseg_dict_stats stats = stats_now();
  check(stats.free == free_before && stats.count == 0 && stats.bytes == 0);
}

/* --- the index ------------------------------------------------------------------------------ */

/* The value of each key is its name and the round, but for those that were deleted. */
static void check_all(const int *rounds) {
  char text[32];
  for (int i = 0; i < MANY; i++) {
    snprintf(text, sizeof text, "%d in %d", i, rounds[i]);
    check(rounds[i] < 0 ? get(name_of(i)) == SHMSEG_EMPTY : has(name_of(i), text));
  }
}

TEST_WITH(chains, chained,
          "keys of one chain are stored, replaced and deleted, and the others stay") {
  int rounds[MANY];
  char text[32];
  for (int round = 0; round < 6; round++) {
    for (int i = 0; i < MANY; i++) {
      bool goes = round > 0 && (i * 7 + round) % 3 == 0;
      rounds[i] = goes ? -1 : round;
      snprintf(text, sizeof text, "%d in %d", i, round);
      check(goes ? del(name_of(i)) == 0 : set(name_of(i), text) == 0);
    }
    check_all(rounds);
    check(shmseg_dict_check(&d) == NULL);
  }
}

TEST_WITH(fresh, versions, "a word whose version would come again gets another one") {
  check(set("k", "1") == 0 && get("k") == 0);
  shmseg_dict_token seen = got.token;
  uint64_t *epoch = dict_word64(&d, dict_stripe_at(0, STRIPE_EPOCH));
  *epoch += DICT_VERSIONS - 1; /* as after so many changes of other keys */
  check(set("k", "2") == 0 && get("k") == 0);
  check((got.token.word ^ seen.word) >> WORD_VERSION & (DICT_VERSIONS - 1));
  seen = got.token;
  *epoch += DICT_VERSIONS; /* the word may be another one by now, though it is the same */
  check(store_seen("k", &seen) == SHMSEG_CHANGED && get("k") == 0);
  check(store_seen("k", &got.token) == 0);
}

/* --- counts --------------------------------------------------------------------------------- */

TEST_WITH(fresh, counts, "count and bytes are those of what was stored since the last flush") {
  uint64_t free_before = stats_now().free;
  check(set("abc", "12345") == 0 && store("d", integer(1), (shmseg_dict_how){ 0 }) == 0);
  shmseg_dict_stats stats = stats_now();
  check(stats.count == 2 && stats.bytes == 3 + 5 + 1 + 8 && stats.free == free_before - 128);
  check(set("abc", "1") == 0 && stats_now().bytes == 3 + 1 + 1 + 8);
  check(shmseg_dict_flush_all(&d) == 0 && stats_now().count == 0 && stats_now().bytes == 0);
  check(stats_now().free == free_before - 128 && set("abc", "12") == 0);
  stats = stats_now();
  check(stats.count == 1 && stats.bytes == 5 && stats.expired == 1);
  check(del("d") == 0 && stats_now().count == 1 && stats_now().expired == 2);
  check(del("abc") == 0 && stats_now().free == free_before && stats_now().bytes == 0);
}

/* --- locks ---------------------------------------------------------------------------------- */

TEST_WITH(fresh, held, "who has to wait for a lock has changed nothing, and is called again") {
  dict_key where;
  check(store("n", integer(1), (shmseg_dict_how){ 0 }) == 0 && add_one("n") == 0);
  must(shmseg_dict_locate(&d, "n", 1, &where) == 0);
  uint64_t locks[] = { dict_stripe_at(0, STRIPE_LOCK), where.line + LINE_LOCK };
  for (int i = 0; i < 2; i++) {
    shmseg_dict_stats before = stats_now();
    child other = child_inside(&ours, locks[i]);
    check(set("n", "text") == SHMSEG_INTERRUPTED && patience != 0);
    check(del("n") == SHMSEG_INTERRUPTED && get("n") == 0 && got.integer == 2);
    check(stats_now().free == before.free && stats_now().count == before.count);
    child_tell(&other);
    check(child_end(&other) == 0);
  }
  check(set("n", "text") == 0 && has("n", "text") && add_one("n") == SHMSEG_WRONG_TYPE);
  check(del("n") == 0 && stats_now().count == 0);
}
