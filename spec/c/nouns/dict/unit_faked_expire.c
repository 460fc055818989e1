/* SPDX-License-Identifier: MIT */
/* objects/dict_expire over a fake clock: when items end, and what frees them. */
#include "nouns/dict/faked.h"

#define MANY 20

static uint64_t cursor, freed;

static int flush_expired(uint64_t max) {
  int err;
  cursor = freed = 0;
  do
    err = shmseg_dict_flush_expired(&a, max, &cursor, &freed, &patience);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

static const char *key_of(int i) {
  static char key[16];
  snprintf(key, sizeof key, "key%d", i);
  return key;
}

TEST_WITH(fresh, moments, "a moment that would be too late is the last one, and none is 0") {
  int64_t now = 0;
  check(shmseg_dict_expiry(0, &now) == 0 && now == 0);
  check(shmseg_dict_expiry(1, &now) == (uint64_t)shmseg_clock_wall() + 1);
  check(now == shmseg_clock_wall() && shmseg_dict_expiry(INT64_MAX, &now) == INT64_MAX);
  now = 5;
  check(shmseg_dict_expiry(-5, &now) == 1 && shmseg_dict_expiry(INT64_MIN, &now) == 1);
  now = -INT64_MAX;
  check(shmseg_dict_expiry(-INT64_MAX, &now) == 1 && shmseg_dict_expiry(7, &now) == 1);
}

TEST_WITH(fresh, ends,
          "a value ends with the millisecond that it was given, and stays for get_stale") {
  check(set(&a, "k", "v", 1000) == 0 && left("k") == 1000);
  pass_ms(999);
  check(has("k", "v") && left("k") == 1);
  pass_ms(1);
  check(get("k") == SHMSEG_EMPTY && left("k") < 0 && get_stale("k") == 0 && value.stale);
  pass_ms(500);
  check(left("k") == -500);
}

TEST_WITH(fresh, another, "a value can be given another time, or all time") {
  check(expire("k", 1000) == SHMSEG_EMPTY && set(&a, "k", "v", 0) == 0 && left("k") == 0);
  check(expire("k", 1000) == 0 && left("k") == 1000);
  check(expire("k", 10) == 0 && left("k") == 10);
  check(expire("k", 0) == 0 && left("k") == 0);
  pass_ms(100000);
  check(has("k", "v") && expire("k", INT64_MAX) == 0 && has("k", "v"));
  check(stats_now().count == 1 && stats_now().bytes == 2);
}

TEST_WITH(fresh, revived, "what has expired lives again when it gets time") {
  check(set(&a, "k", "v", 10) == 0 && push("l", "a") == 0 && expire("l", 10) == 0);
  pass_ms(10);
  check(get("k") == SHMSEG_EMPTY && expire("k", 5) == 0 && has("k", "v") && left("k") == 5);
  check(get("l") == SHMSEG_EMPTY && expire("l", 0) == 0 && get("l") == 0);
  check(value.type == SHMSEG_DICT_LIST && stats_now().count == 2 && stats_now().bytes == 4);
}

TEST_WITH(fresh, changed, "a key's state is another one after it was given another time") {
  check(set(&a, "k", "v", 10) == 0 && get("k") == 0);
  shmseg_dict_token before = value.token;
  check(expire("k", 20) == 0 && get("k") == 0);
  check(before.word != value.token.word);
}

TEST_WITH(fresh, number, "a number that is counted often gets another time, and keeps its value") {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER, .integer = 0 } };
  for (int i = 1; i <= MANY; i++) {
    check(shmseg_dict_incr(&a, "n", 1, &step, &value, &forcible, &patience) == 0);
    check(value.integer == i && expire("n", i % 2 * 1000) == 0 && left("n") == i % 2 * 1000);
  }
  pass_ms(1);
  check(get("n") == 0 && value.integer == MANY);
}

TEST_WITH(fresh, flushed,
          "after a flush nothing is there but for get_stale, and expire revives it") {
  check(set(&a, "k", "v", 0) == 0 && set(&a, "t", "v", 5000) == 0 && push("l", "abc") == 0);
  pass_ms(100);
  check(shmseg_dict_flush_all(&b) == 0);
  check(get("k") == SHMSEG_EMPTY && get("t") == SHMSEG_EMPTY && get("l") == SHMSEG_EMPTY);
  check(stats_now().count == 0 && stats_now().bytes == 0);
  pass_ms(20);
  check(left("k") == -20 && left("t") == -20 && get_stale("k") == 0 && value.stale);
  check(expire("k", 0) == 0 && has("k", "v") && stats_now().count == 1 && stats_now().bytes == 2);
  check(expire("l", 70) == 0 && left("l") == 70 && stats_now().bytes == 2 + 4);
  check(set(&a, "t", "new", 0) == 0 && stats_now().count == 3 && stats_now().bytes == 2 + 4 + 4);
}

TEST_WITH(fresh, flushed_twice,
          "each flush counts, also in one millisecond, and after the clock was set back") {
  for (int i = 0; i < 10; i++) {
    check(set(&a, "k", "v", 0) == 0 && has("k", "v") && shmseg_dict_flush_all(&a) == 0);
    check(get("k") == SHMSEG_EMPTY && left("k") < 0);
    fake.wall -= i < 5 ? 0 : 100000;
  }
}

TEST_WITH(fresh, clock,
          "a clock that is set forward ends what expires, and one that is set back does not") {
  check(set(&a, "k", "v", 10000) == 0);
  fake.wall -= 3600000;
  check(has("k", "v") && left("k") == 3610000);
  fake.wall += 2 * 3600000;
  check(get("k") == SHMSEG_EMPTY);
  fake.wall -= 2 * 3600000;
  check(has("k", "v"));
}

TEST_WITH(fresh, freed_all, "all that is stale is freed at once, and nothing else") {
  for (int i = 0; i < MANY; i++)
    check(set(&a, key_of(i), "value", i % 2 ? 10 : 0) == 0);
  check(push("l", "a") == 0 && push("l", "b") == 0 && expire("l", 10) == 0);
  check(flush_expired(0) == 0 && freed == 0);
  pass_ms(10);
  check(flush_expired(0) == 0 && freed == MANY / 2 + 1 && stats_now().count == MANY / 2);
  check(stats_now().expired == MANY / 2 + 1 && flush_expired(0) == 0 && freed == 0);
  for (int i = 0; i < MANY; i++)
    check(get_stale(key_of(i)) == (i % 2 ? SHMSEG_EMPTY : 0));
  check(shmseg_dict_flush_all(&a) == 0 && flush_expired(0) == 0 && freed == MANY / 2);
  check(stats_now().free == CAPACITY);
}

TEST_WITH(fresh, freed_some, "as many as are asked for are freed, and the next call goes on") {
  for (int i = 0; i < MANY; i++)
    check(set(&a, key_of(i), "value", 10) == 0);
  pass_ms(10);
  cursor = freed = 0;
  for (uint64_t i = 1; i <= MANY; i++)
    check(shmseg_dict_flush_expired(&a, i, &cursor, &freed, &patience) == 0 && freed == i);
  check(shmseg_dict_flush_expired(&a, MANY + 1, &cursor, &freed, &patience) == 0 && freed == MANY);
}

TEST_WITH(fresh, read_only, "through a handle that cannot write nothing ends") {
  check(set(&a, "k", "v", 10) == 0);
  pass_ms(10);
  theirs.writable = false; /* from the beginning: it has no identity */
  cursor = freed = 0;
  check(shmseg_dict_expire(&b, "k", 1, 0, &patience) == SHMSEG_READ_ONLY);
  check(shmseg_dict_flush_all(&b) == SHMSEG_READ_ONLY);
  check(shmseg_dict_flush_expired(&b, 0, &cursor, &freed, &patience) == SHMSEG_READ_ONLY);
}

/* --- a clock that jumps ------------------------------------------------------------------------ */

#define HOUR ((int64_t)3600000)

TEST_WITH(fresh, jumps_expire, "a new time to live counts from what the clock says then") {
  check(set(&a, "k", "v", 10000) == 0 && set(&a, "l", "v", 10000) == 0);
  fake.wall += HOUR;
  check(get("k") == SHMSEG_EMPTY && left("k") == 10000 - HOUR);
  check(expire("k", 500) == 0 && left("k") == 500 && set(&a, "l", "w", 500) == 0);
  fake.wall -= 2 * HOUR;
  check(left("k") == 2 * HOUR + 500 && has("l", "w") && expire("k", 500) == 0 && left("k") == 500);
  pass_ms(500);
  check(get("k") == SHMSEG_EMPTY && has("l", "w"));
}

TEST_WITH(fresh, jumps_number, "a number that is counted often ends, and begins, by the clock") {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER, .integer = 0 },
                            .ttl = 10000 };
  for (int i = 1; i <= 5; i++)
    check(shmseg_dict_incr(&a, "n", 1, &step, &value, &forcible, &patience) == 0 &&
          value.integer == i);
  fake.wall -= HOUR;
  check(shmseg_dict_incr(&a, "n", 1, &step, &value, &forcible, &patience) == 0);
  check(value.integer == 6 && left("n") == HOUR + 10000);
  fake.wall += 2 * HOUR;
  check(shmseg_dict_incr(&a, "n", 1, &step, &value, &forcible, &patience) == 0);
  check(value.integer == 1 && left("n") == 10000);
}

static uint64_t stamp_now(void) {
  return load_relaxed(dict_word64(&a, DICT_FLUSH));
}

TEST_WITH(fresh, jumps_flush,
          "a flush is stamped by the clock, or after the last one when that went back") {
  check(shmseg_dict_flush_all(&a) == 0);
  uint64_t first = stamp_now();
  check(first == (uint64_t)shmseg_clock_wall());
  fake.wall -= HOUR;
  check(set(&a, "k", "v", 0) == 0 && set(&a, "t", "v", 10) == 0 && has("k", "v"));
  check(shmseg_dict_flush_all(&b) == 0 && stamp_now() == first + 1);
  check(get("k") == SHMSEG_EMPTY && get("t") == SHMSEG_EMPTY && left("k") < 0);
  check(shmseg_dict_flush_all(&b) == 0 && stamp_now() == first + 2);
  fake.wall += 3 * HOUR;
  check(set(&a, "k", "v", 0) == 0 && has("k", "v") && shmseg_dict_flush_all(&a) == 0);
  check(stamp_now() == (uint64_t)shmseg_clock_wall() && get("k") == SHMSEG_EMPTY);
}

TEST_WITH(fresh, jumps_freed, "what a clock that was set back makes live again is not freed") {
  check(set(&a, "k", "v", 10000) == 0);
  fake.wall += HOUR;
  check(get("k") == SHMSEG_EMPTY);
  fake.wall -= HOUR;
  check(flush_expired(0) == 0 && freed == 0 && has("k", "v"));
  fake.wall += HOUR;
  check(flush_expired(0) == 0 && freed == 1 && get_stale("k") == SHMSEG_EMPTY);
  fake.wall -= HOUR;
  check(get_stale("k") == SHMSEG_EMPTY && stats_now().count == 0);
}

/* Sets keys until a live one goes, or that many are there. */
static int fill(int first, int most, int64_t ttl) {
  for (int i = 0; i < most; i++)
    if (set(&a, key_of(first + i), "value", ttl) != 0 || forcible)
      return i;
  return most;
}

TEST_WITH(fresh, jumps_evicted,
          "a clock that is set forward makes room of what expires, and one set back "
          "of live items") {
  int all = fill(0, 1000, 10000);
  check(all < 1000 && stats_now().expired == 0);
  fake.wall += HOUR;
  check(fill(2000, all, 10000) == all && stats_now().expired > 0);
  fake.wall -= 2 * HOUR;
  uint64_t evicted = stats_now().evicted, expired = stats_now().expired;
  check(set(&a, "one", "value", 10000) == 0 && forcible && has("one", "value"));
  check(stats_now().evicted > evicted && stats_now().expired == expired);
}

int main(int argc, char **argv) {
  (void)argc;
  test_run(argv);
  return test_end();
}
