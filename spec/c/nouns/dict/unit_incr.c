/* SPDX-License-Identifier: MIT */
/* objects/dict_incr: sums and their types; hot numbers, and what else is done to them; several processes. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "core/wait.h"
#include "nouns/dict/help.h"
#include "unit/help.h"

#define CAPACITY 65536
#define TURNS 100000 /* of each process */
#define KEYS 40

static unsigned char buffer[1000];
static shmseg_dict_value got, sum;
static bool forcible;

static void set_up(void) {
  open_dict(CAPACITY, SHMSEG_DICT_LRU, 0);
}

/* As few lines as there can be: so keys share lines, and there are chains. */
static void set_up_chains(void) {
  open_dict(CAPACITY, SHMSEG_DICT_LRU, 1);
  d.lines = 1;
}

static void tear_down(void) {
  must(shmseg_dict_check(&d) == NULL);
  close_dict();
}

static const test_fixture fresh = { set_up, tear_down };

/* --- calls --------------------------------------------------------------------------------- */

static shmseg_dict_value integer(int64_t number) {
  return (shmseg_dict_value){ .type = SHMSEG_DICT_INTEGER, .integer = number };
}

static shmseg_dict_value floating(double number) {
  return (shmseg_dict_value){ .type = SHMSEG_DICT_FLOAT, .number = number };
}

static int incr_with(const char *key, shmseg_dict_step step) {
  return shmseg_dict_incr(&d, key, strlen(key), &step, &sum, &forcible, &patience);
}

static int incr(const char *key, shmseg_dict_value by) {
  return incr_with(key, (shmseg_dict_step){ .step = by });
}

static int begin(const char *key, int64_t init, int64_t by, int64_t ttl) {
  shmseg_dict_step step = { .step = integer(by), .init = integer(init), .ttl = ttl };
  return incr_with(key, step);
}

static int store(const char *key, shmseg_dict_value value, int64_t ttl) {
  shmseg_dict_how how = { .ttl = ttl };
  return shmseg_dict_store(&d, key, strlen(key), &value, &how, &forcible, &patience);
}

static int get(const char *key) {
  return shmseg_dict_get(&d, key, strlen(key), buffer, sizeof buffer, &got);
}

/* Does the key have that integer, and was it the sum? */
static bool is_integer(const char *key, int64_t number) {
  return sum.type == SHMSEG_DICT_INTEGER && sum.integer == number && get(key) == 0 &&
         got.type == SHMSEG_DICT_INTEGER && got.integer == number;
}

static bool is_float(const char *key, double number) {
  return sum.type == SHMSEG_DICT_FLOAT && sum.number == number && get(key) == 0 &&
         got.type == SHMSEG_DICT_FLOAT && got.number == number;
}

static int64_t ttl_of(const char *key) {
  int64_t ttl = 0;
  return shmseg_dict_ttl(&d, key, strlen(key), &ttl) == 0 ? ttl : INT64_MIN;
}

static uint64_t line_of(const char *key) {
  dict_key where;
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  return where.line;
}

static bool is_hot(const char *key) {
  dict_key where;
  dict_found found;
  must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  must(shmseg_dict_find(&d, &where, &found) == 0);
  return found.entry != DICT_CHAIN && found.word & WORD_HOT;
}

/* --- sums ----------------------------------------------------------------------------------- */

TEST_WITH(fresh, integers, "integers stay integers, and wrap") {
  check(store("n", integer(40), 0) == 0 && incr("n", integer(2)) == 0 && is_integer("n", 42));
  check(incr("n", integer(-43)) == 0 && is_integer("n", -1) && is_hot("n"));
  check(store("n", integer(INT64_MAX), 0) == 0 && incr("n", integer(1)) == 0);
  check(is_integer("n", INT64_MIN) && incr("n", integer(-1)) == 0 && is_integer("n", INT64_MAX));
}

/* An integer is added that has to leave a sum which a double holds. */
static int incr_exactly(const char *key, int64_t by) {
  return incr_with(key, (shmseg_dict_step){ .step = integer(by), .exact = true });
}

TEST_WITH(fresh, exact,
          "a sum that no double holds is told, and not stored, where that is asked for") {
  const int64_t most = (int64_t)1 << 53;
  check(store("n", integer(most - 1), 0) == 0);
  for (int i = 0; i < 3; i++) { /* cold, then hot */
    check(incr_exactly("n", 2) == ERANGE && sum.integer == most + 1);
    check(get("n") == 0 && got.integer == most - 1);
    check(incr_exactly("n", 1) == 0 && is_integer("n", most) && is_hot("n"));
    check(incr_exactly("n", -1) == 0 && is_integer("n", most - 1));
  }
  check(incr_exactly("n", most - 1) == 0 && is_integer("n", 2 * most - 2));
  check(incr_exactly("n", 1) == ERANGE && incr("n", integer(1)) == 0);
  check(is_integer("n", 2 * most - 1) && store("n", integer(INT64_MIN + 1), 0) == 0);
  check(incr_exactly("n", -1) == 0);
  check(is_integer("n", INT64_MIN) && incr_exactly("n", 1) == ERANGE);
  shmseg_dict_step begun = { .step = integer(2), .init = integer(most - 1), .exact = true };
  check(incr_with("new", begun) == ERANGE && get("new") == SHMSEG_EMPTY);
}

TEST_WITH(fresh, exact_claimed, "a sum that is not stored leaves the claim on its key valid") {
  shmseg_dict_claim claim = { 0 };
  shmseg_dict_outcome outcome;
  check(store("n", integer((int64_t)1 << 53), 0) == 0 && incr("n", integer(0)) == 0);
  check(shmseg_dict_claim_take(&d, "n", 1, &claim, &outcome, 0, &patience) == 0);
  check(incr_exactly("n", 1) == ERANGE && shmseg_dict_claim_is_valid(&d, &claim));
  check(incr_exactly("n", 2) == 0 && !shmseg_dict_claim_is_valid(&d, &claim));
  shmseg_dict_claim_end(&d, &claim, "n", 1, SHMSEG_DICT_ENDED);
}

TEST_WITH(fresh, floats, "an integer and a float make a float, which stays one") {
  shmseg_dict_value value = integer(1);
  value.flags = 9;
  check(store("n", value, 100000) == 0 && incr("n", integer(1)) == 0);
  check(incr("n", floating(0.5)) == 0 && is_float("n", 2.5) && sum.flags == 9 && got.flags == 9);
  check(ttl_of("n") > 99000 && incr("n", integer(1)) == 0 && is_float("n", 3.5));
  check(incr("n", floating(INFINITY)) == 0 && incr("n", floating(-INFINITY)) == 0);
  check(isnan(sum.number) && get("n") == 0 && isnan(got.number) && got.flags == 9);
  check(store("n", floating(0x1p53), 0) == 0 && incr("n", integer(1)) == 0);
  check(is_float("n", 0x1p53));
}

TEST_WITH(fresh, kept,
          "the expiry and the flags of a live number stay, and init is of no meaning") {
  shmseg_dict_value value = integer(1);
  value.flags = -5;
  check(store("n", value, 100000) == 0);
  for (int i = 0; i < 3; i++)
    check(begin("n", 1000, 1, 5) == 0 && is_integer("n", 2 + i) && sum.flags == -5 &&
          got.flags == -5 && ttl_of("n") > 99000);
}

TEST_WITH(fresh, absent,
          "without a live number there has to be an init, and its time to live counts") {
  check(incr("n", integer(1)) == SHMSEG_EMPTY && get("n") == SHMSEG_EMPTY);
  check(begin("n", 10, 1, 100000) == 0 && is_integer("n", 11) && ttl_of("n") > 99000);
  check(incr("n", integer(1)) == 0 && incr("n", integer(1)) == 0 && is_hot("n"));
  check(shmseg_dict_flush_all(&d) == 0 && incr("n", integer(1)) == SHMSEG_EMPTY);
  check(get("n") == SHMSEG_EMPTY && begin("n", 5, 1, 0) == 0 && is_integer("n", 6));
  check(ttl_of("n") == 0 && got.flags == 0);
  shmseg_dict_step mixed = { .step = integer(1), .init = floating(0.5) };
  check(incr_with("f", mixed) == 0 && is_float("f", 1.5));
  check(begin("t", 1, 1, 100000) == 0 && incr("t", integer(1)) == 0 && incr("t", integer(1)) == 0);
  check(shmseg_dict_expire(&d, "t", 1, 1, &patience) == 0);
  shmseg_wait_nap(5 * MILLISECOND, SHMSEG_FOREVER);
  check(incr("t", integer(1)) == SHMSEG_EMPTY && begin("t", 7, 1, 0) == 0 && is_integer("t", 8));
}

TEST_WITH(fresh, wrong, "what is no number is not added to, nor is anything but a number added") {
  uint64_t length;
  shmseg_dict_value text = { .type = SHMSEG_DICT_STRING, .bytes = "1", .size = 1 };
  shmseg_dict_value yes = { .type = SHMSEG_DICT_BOOLEAN, .integer = 1 };
  check(store("s", text, 0) == 0 && store("b", yes, 0) == 0);
  check(shmseg_dict_push(&d, "l", 1, false, &text, &length, &patience) == 0);
  check(begin("s", 1, 1, 0) == SHMSEG_WRONG_TYPE && begin("b", 1, 1, 0) == SHMSEG_WRONG_TYPE &&
        begin("l", 1, 1, 0) == SHMSEG_WRONG_TYPE);
  check(incr("n", text) == EINVAL && incr("n", yes) == EINVAL && begin("n", 1, 1, -1) == EINVAL);
  check(incr_with("n", (shmseg_dict_step){ .step = integer(1), .init = text }) == EINVAL);
  check(get("s") == 0 && got.size == 1 && get("n") == SHMSEG_EMPTY);
}

TEST(too_big, "a number under a key that can never fit is refused, and nothing goes for it") {
  static char key[CAPACITY];
  shmseg_dict_step step = { .step = integer(1), .init = integer(1) };
  open_dict(4096, SHMSEG_DICT_LRU, 0);
  memset(key, 'k', sizeof key);
  check(store("n", integer(1), 0) == 0);
  check(shmseg_dict_incr(&d, key, 4096 - 39, &step, &sum, &forcible, &patience) == EFBIG);
  check(get("n") == 0 && !forcible);
  check(shmseg_dict_incr(&d, key, 4096 - 40, &step, &sum, &forcible, &patience) == 0 && forcible);
  check(get("n") == SHMSEG_EMPTY && sum.integer == 2);
  tear_down();
}

/* --- hot numbers ----------------------------------------------------------------------------- */

TEST(shared, "numbers that share a line take turns at being hot, and none is lost") {
  int64_t numbers[KEYS] = { 0 };
  int hot = 0;
  char key[16];
  set_up_chains();
  for (int i = 0; i < 20 * KEYS; i++) {
    int n = i * 7 % KEYS, by = i % 5 - 1;
    snprintf(key, sizeof key, "key %d", n);
    for (int k = 0; k < 1 + i % 3; k++) {
      numbers[n] += by;
      check(begin(key, 0, by, 0) == 0 && is_integer(key, numbers[n]));
    }
    hot += is_hot(key);
  }
  check(hot > 10 * DICT_SLOTS && hot < 20 * KEYS / 2); /* those that have slots */
  for (int n = 0; n < KEYS; n++) {
    snprintf(key, sizeof key, "key %d", n);
    check(get(key) == 0 && got.integer == numbers[n]);
    check(n % 2 == 0 || shmseg_dict_delete(&d, key, strlen(key), NULL, &patience) == 0);
  }
  for (int n = 0; n < KEYS; n++) {
    snprintf(key, sizeof key, "key %d", n);
    check(get(key) == (n % 2 == 0 ? 0 : SHMSEG_EMPTY));
  }
  close_dict();
}

TEST_WITH(fresh, other, "a hot number is replaced, deleted and revived like any other value") {
  check(begin("n", 0, 1, 0) == 0 && incr("n", integer(1)) == 0 && is_hot("n"));
  check(store("n", integer(10), 0) == 0 && !is_hot("n") && incr("n", integer(1)) == 0);
  check(is_integer("n", 11) && is_hot("n"));
  check(shmseg_dict_expire(&d, "n", 1, 100000, &patience) == 0 && ttl_of("n") > 99000);
  check(incr("n", integer(1)) == 0 && is_integer("n", 12) && ttl_of("n") > 99000);
  check(shmseg_dict_flush_all(&d) == 0 && shmseg_dict_expire(&d, "n", 1, 0, &patience) == 0);
  check(incr("n", integer(1)) == 0 && is_integer("n", 13) && ttl_of("n") == 0);
  check(shmseg_dict_delete(&d, "n", 1, NULL, &patience) == 0 && get("n") == SHMSEG_EMPTY);
  check(begin("n", 0, 1, 0) == 0 && is_integer("n", 1) && !is_hot("n"));
}

TEST_WITH(fresh, claimed, "an incr voids a claim on its key, also where the number is hot") {
  shmseg_dict_claim claim = { 0 };
  shmseg_dict_outcome outcome;
  check(begin("n", 0, 1, 0) == 0 && incr("n", integer(1)) == 0 && is_hot("n"));
  check(shmseg_dict_claim_take(&d, "n", 1, &claim, &outcome, 0, &patience) == 0);
  check(incr("m", integer(1)) == SHMSEG_EMPTY && shmseg_dict_claim_is_valid(&d, &claim));
  check(incr("n", integer(1)) == 0 && !shmseg_dict_claim_is_valid(&d, &claim));
  check(is_integer("n", 3) && is_hot("n"));
  shmseg_dict_claim_end(&d, &claim, "n", 1, SHMSEG_DICT_ENDED);
  check(incr("n", integer(1)) == 0 && is_integer("n", 4));
}

TEST_WITH(fresh, held,
          "who has to wait for the line has added nothing, and a dead owner is no matter") {
  check(begin("n", 0, 1, 0) == 0 && incr("n", integer(1)) == 0 && is_hot("n"));
  child other = child_inside(&ours, line_of("n") + LINE_LOCK);
  check(incr("n", integer(1)) == SHMSEG_INTERRUPTED && patience != 0 && get("n") == 0);
  check(got.integer == 2 && incr("n", floating(0.5)) == SHMSEG_INTERRUPTED && get("n") == 0);
  check(got.type == SHMSEG_DICT_INTEGER && got.integer == 2);
  check(child_kill(&other) == 256 + 9);
  check(incr("n", integer(1)) == 0 && is_integer("n", 3));
}

/* --- several processes ----------------------------------------------------------------------- */

static void add_many(void *key) {
  shmseg_segment mine;
  same_segment(&mine, &ours);
  must(shmseg_dict_open(&d, shmseg_segment_whole(&mine), SHMSEG_WRITE, NULL, NULL) == 0);
  say('r');
  hear();
  for (int i = 0; i < TURNS; i++) {
    int err;
    patience = 0;
    do
      err = incr(key, integer(1));
    while (err == SHMSEG_INTERRUPTED);
    if (err)
      _exit(1);
  }
  shmseg_segment_close(&mine);
}

/* Changes the line of the keys. On a busy machine a lock's owner may not run for an interval: then again. */
static void change_line(const char *one, int i) {
  int err;
  patience = 0;
  do
    err = shmseg_dict_expire(&d, one, strlen(one), i % 2 ? 0 : 100000, &patience);
  while (err == SHMSEG_INTERRUPTED);
  check(err == 0);
  do
    err = store("third", integer(i), 0);
  while (err == SHMSEG_INTERRUPTED);
  check(err == 0);
  do
    err = incr("third", integer(1));
  while (err == SHMSEG_INTERRUPTED);
  check(err == 0);
}

/* Two processes add to the keys, one each or both to one; this one changes the line meanwhile. */
static void check_together(const char *one, const char *two) {
  check(store(one, integer(0), 0) == 0 && store(two, integer(0), 0) == 0);
  child a = child_start(add_many, (void *)one), b = child_start(add_many, (void *)two);
  check(child_hear(&a) == 'r' && child_hear(&b) == 'r');
  child_tell(&a);
  child_tell(&b);
  for (int i = 0; i < 2000; i++)
    change_line(one, i);
  check(child_end(&a) == 0 && child_end(&b) == 0);
  bool is_one = strcmp(one, two) == 0;
  check(get(one) == 0 && got.integer == (is_one ? 2 : 1) * TURNS);
  check(get(two) == 0 && got.integer == (is_one ? 2 : 1) * TURNS);
}

TEST(together, "what several processes add to one key, or to two of one line, is all in the sum") {
  open_dict(4096, SHMSEG_DICT_LRU, 1);
  check_together("one", "one");
  check_together("one", "two");
  tear_down();
}
