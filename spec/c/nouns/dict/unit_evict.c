/* SPDX-License-Identifier: MIT */
/* objects/dict_evict: who goes to make room, and who stays; what is exact; other stripes. */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "core/wait.h"
#include "nouns/dict/help.h"
#include "unit/help.h"

#define SMALL 65536          /* one stripe */
#define ITEMS (SMALL / 128)  /* of two cells */
#define STRIPED (4u << 20)   /* 64 of them */
#define LARGE (STRIPED / 2u) /* the largest value there */

static unsigned char bytes[LARGE], buffer[LARGE];
static shmseg_dict_value got;
static bool forcible;

static void set_up_lru(void) {
  open_dict(SMALL, SHMSEG_DICT_LRU, 0);
}

static void set_up_none(void) {
  open_dict(SMALL, SHMSEG_DICT_NONE, 0);
}

static void set_up_striped(void) {
  open_dict(STRIPED, SHMSEG_DICT_LRU, 0);
}

static void set_up_striped_none(void) {
  open_dict(STRIPED, SHMSEG_DICT_NONE, 0);
}

static void tear_down(void) {
  must(shmseg_dict_check(&d) == NULL);
  close_dict();
}

static const test_fixture lru = { set_up_lru, tear_down }, none = { set_up_none, tear_down },
                          striped = { set_up_striped, tear_down },
                          striped_none = { set_up_striped_none, tear_down };

/* --- calls --------------------------------------------------------------------------------- */

static const char *name_of(int i) {
  static char name[16];
  snprintf(name, sizeof name, "%08d", i);
  return name;
}

static int store(int i, size_t size, shmseg_dict_how how) {
  const char *key = name_of(i);
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
  return shmseg_dict_store(&d, key, strlen(key), &value, &how, &forcible, &patience);
}

static int set(int i, size_t size) {
  return store(i, size, (shmseg_dict_how){ 0 });
}

static bool has(int i) {
  const char *key = name_of(i);
  return shmseg_dict_get(&d, key, strlen(key), buffer, sizeof buffer, &got) == 0;
}

static int del(int i) {
  const char *key = name_of(i);
  return shmseg_dict_delete(&d, key, strlen(key), NULL, &patience);
}

static shmseg_dict_stats stats_now(void) {
  shmseg_dict_stats stats = { 0 };
  check(shmseg_dict_get_stats(&d, &stats) == 0);
  return stats;
}

/* Stores keys from that one on, until something goes for it, or it fails. Gives how many fitted before. */
static int fill_from(int first, size_t size, shmseg_dict_how how) {
  int n = 0;
  while (store(first + n, size, how) == 0 && !forcible)
    n++;
  return n;
}

static int fill(size_t size) {
  return fill_from(0, size, (shmseg_dict_how){ 0 });
}

/* As many as fit, which have expired when it returns. */
static void fill_with_expired(void) {
  for (int i = 0; i < ITEMS; i++)
    check(store(i, 24, (shmseg_dict_how){ .ttl = 1 }) == 0);
  shmseg_wait_nap(5 * MILLISECOND, SHMSEG_FOREVER);
}

static int count_of(int first, int count) {
  int n = 0;
  for (int i = first; i < first + count; i++)
    n += has(i);
  return n;
}

static uint32_t draw(uint32_t below) {
  static uint32_t state = 1;
  state = state * 1664525 + 1013904223;
  return (state >> 8) % below;
}

/* --- who goes ------------------------------------------------------------------------------- */

TEST_WITH(lru, full, "a full dict takes each new value, and says so when a live one went for it") {
  int n = fill(24);
  check(n == ITEMS && stats_now().free == 0 && stats_now().evicted == 1);
  for (int i = 0; i < 5 * n; i++)
    check(set(n + 1 + i, 24) == 0 && forcible && has(n + 1 + i));
  shmseg_dict_stats stats = stats_now();
  check(stats.count == (uint64_t)n && stats.evicted == 1 + 5 * (uint64_t)n && stats.refused == 0);
}

TEST_WITH(lru, stale, "what has expired or was flushed goes first, and is not said to have lived") {
  fill_with_expired();
  uint64_t expired = stats_now().expired;
  check(fill_from(ITEMS, 24, (shmseg_dict_how){ 0 }) == ITEMS);
  check(stats_now().expired == expired + ITEMS && stats_now().evicted == 1);
  check(shmseg_dict_flush_all(&d) == 0);
  check(fill_from(2 * ITEMS + 1, 24, (shmseg_dict_how){ .ttl = 100000 }) == ITEMS);
  check(stats_now().expired == expired + 2 * ITEMS && stats_now().evicted == 2);
}

TEST_WITH(lru, swept, "each flush gives all the room again, before anything live goes") {
  int n = fill(24);
  for (int i = 1; i < 2 * n; i++) /* the hand goes round */
    must(set(n + i, 24) == 0);
  for (int round = 1; round <= 3; round++) {
    uint64_t evicted = stats_now().evicted, expired = stats_now().expired;
    check(shmseg_dict_flush_all(&d) == 0);
    for (int i = 0; i < n; i++)
      check(set(round * 10000 + i, 24) == 0 && !forcible);
    check(stats_now().evicted == evicted && stats_now().expired == expired + (uint64_t)n);
    for (int i = 0; i < 2 * n; i++)
      must(set(round * 10000 + n + i, 24) == 0);
  }
}

TEST_WITH(lru, used, "what is used again and again stays while other values come and go") {
  int n = fill(24), kept = n / 8, there = count_of(0, kept);
  for (int i = 0; i < 20 * n; i++) {
    check(set(n + 1 + i, 24) == 0);
    has(i % kept);
  }
  check(there >= kept - 1 && count_of(0, kept) == there);
  check(count_of(kept, n - kept) == 0);
}

TEST_WITH(lru, ages, "nothing of the newest age goes while something of the oldest is there") {
  int n = fill(24);
  for (int i = 0; i < n / 2; i++) /* half of it is written anew: ages pass */
    check(set(i, 24) == 0 || forcible);
  for (int i = 0; i < n / 8; i++)
    check(set(2 * n + i, 24) == 0 && forcible);
  check(count_of(n / 2 - n / 16, n / 16) == n / 16 && count_of(2 * n, n / 8) == n / 8);
}

TEST(old, "what was not used is the oldest, however many ages have passed") {
  int hot = ITEMS / 8;
  for (int ages = 2; ages < 70; ages += ages < 29 ? 9 : 1) {
    set_up_lru();
    for (int i = 0; i < ITEMS; i++)
      check(set(i, 24) == 0 && !forcible);
    check(count_of(0, ITEMS) == ITEMS); /* from now on they are of one age */
    for (int i = 0; i < ages * hot; i++)
      check(set(i % hot, 24) == 0 && !forcible);
    for (int i = 0; i < ITEMS / 4; i++)
      check(set(ITEMS + i, 24) == 0 && forcible);
    check(count_of(0, hot) == hot && count_of(ITEMS, ITEMS / 4) == ITEMS / 4);
    tear_down();
  }
}

TEST_WITH(lru, mixed, "values of any size are stored, whatever is there") {
  for (int i = 0; i < 20000; i++) {
    size_t size = draw(8) ? draw(300) : draw(SMALL / 2 + 1);
    int key = (int)draw(600);
    check(draw(9) ? set(key, size) == 0 && has(key) && got.size == size : del(key) == 0);
  }
  check(stats_now().refused == 0 && shmseg_dict_check(&d) == NULL);
}

TEST(chained, "room is made in chains, too, and never of what is about to be replaced") {
  open_dict(SMALL, SHMSEG_DICT_LRU, 1);
  for (int i = 0; i < 20000; i++) {
    int key = (int)draw(400);
    size_t size = i % 400 ? draw(200) : SMALL / 2;
    int err = store(key, size, (shmseg_dict_how){ .replace = i % 2 });
    check(err == 0 || (err == SHMSEG_EMPTY && i % 2));
  }
  check(stats_now().refused == 0 && stats_now().evicted > 1000);
  tear_down();
}

/* --- who does not go ------------------------------------------------------------------------- */

TEST_WITH(none, kept, "a dict that evicts nothing refuses, and keeps all that it has") {
  int n = fill(24);
  check(n == ITEMS && !forcible && stats_now().refused == 1);
  check(set(n, 24) == ENOMEM && set(n, 0) == ENOMEM && count_of(0, n) == n);
  check(del(3) == 0 && set(n, 24) == 0 && set(3, 24) == ENOMEM && stats_now().evicted == 0);
}

TEST_WITH(none, reclaimed, "a dict that evicts nothing takes the memory of what has expired") {
  fill_with_expired();
  check(set(ITEMS, SMALL / 2) == 0 && stats_now().evicted == 0 && !forcible);
  check(fill_from(ITEMS + 1, 24, (shmseg_dict_how){ 0 }) == ITEMS / 2 - 1);
}

TEST_WITH(lru, safe, "a safe store takes what has expired, and nothing live") {
  shmseg_dict_how safe = { .safe = true };
  int n = fill_from(0, 24, safe);
  check(n == ITEMS && !forcible && store(n, 24, safe) == ENOMEM && count_of(0, n) == n);
  check(shmseg_dict_flush_all(&d) == 0);
  check(fill_from(n, 24, safe) == n && !forcible && stats_now().evicted == 0);
}

/* --- what is exact ---------------------------------------------------------------------------- */

TEST_WITH(lru, exact,
          "behind a value that others went for there is room for none but in its place") {
  for (size_t size = 1; size < 2000; size += 97) {
    int n = fill(size);
    check(del(n) == 0 && set(n, size) == 0 && !forcible);
    check(set(n + 1, size) == 0 && forcible);
    for (int i = 0; i <= n + 1; i++)
      check(del(i) == 0);
    check(stats_now().free == SMALL && stats_now().count == 0);
    for (int i = n - 1; i >= 0; i--)
      check(set(i, size) == 0 && !forcible);
    check(set(n, size) == 0 && forcible);
    for (int i = 0; i <= n; i++)
      check(del(i) == 0);
  }
}

TEST_WITH(lru, enough, "no more goes than is needed") {
  int n = fill(24);
  uint64_t before = stats_now().evicted;
  check(set(n + 1, 30 * 64 - 48) == 0 && forcible && stats_now().evicted == before + 15);
}

/* --- other stripes --------------------------------------------------------------------------- */

TEST_WITH(striped, half,
          "the largest value is stored in a full dict of many stripes, again and again") {
  int n = fill(64);
  check(n > (int)(STRIPED / 128 * 9 / 10));
  for (int i = 0; i < 4; i++)
    check(set(n + i, LARGE) == 0 && has(n + i) && got.size == LARGE);
  check(stats_now().refused == 0 && fill_from(2 * n, 64, (shmseg_dict_how){ 0 }) >= 0);
  for (int i = 0; i < 1000; i++)
    check(set(3 * n + i, draw(30000)) == 0 && has(3 * n + i));
}

TEST_WITH(striped_none, credit,
          "a dict of many stripes that evicts nothing is filled to the last cell") {
  int n = fill_from(0, 16, (shmseg_dict_how){ 0 });
  check(n == STRIPED / 64 && stats_now().free == 0 && count_of(0, n) == n);
  check(del(5) == 0 && set(n, 16) == 0 && set(5, 16) == ENOMEM);
  for (int i = 0; i < 100; i++)
    check(set(7 + i, 16) == 0);
}

/* Another participant holds all stripes but one. */
static void hold_others(uint32_t stripe, uint32_t word) {
  for (uint32_t i = 0; i < d.stripes; i++)
    if (i != stripe)
      set_word(&ours, dict_stripe_at(i, STRIPE_LOCK), word);
}

TEST_WITH(striped, held,
          "what others hold is passed over, and waited for when nothing else is left") {
  shmseg_segment theirs;
  dict_key where;
  uint32_t id;
  same_segment(&theirs, &ours);
  must(shmseg_owner_identity(&theirs, &id) == 0);
  int n = fill(64);
  must(shmseg_dict_locate(&d, name_of(n + 1), 8, &where) == 0);
  hold_others(where.stripe, id);
  for (int i = 0; i < 100; i++)
    check(set(n + 1, 64 * (size_t)i) == 0);
  patience = 0;
  check(set(n + 1, LARGE) == SHMSEG_INTERRUPTED && patience != 0 && has(n + 1) &&
        got.size == 99 * 64);
  patience = 1;
  check(set(n + 1, LARGE) == SHMSEG_TIMEOUT && has(n + 1));
  set_word(&ours, dict_stripe_at((where.stripe + 7) % 64, STRIPE_LOCK), SHMSEG_LOCK_FREE);
  check(set(n + 1, 40000) == 0 && has(n + 1));
  hold_others(where.stripe, SHMSEG_LOCK_FREE);
  check(set(n + 1, LARGE) == 0 && has(n + 1) && got.size == LARGE);
  shmseg_segment_close(&theirs);
}

TEST_WITH(striped, dead, "a stripe whose owner died gives room like any other one") {
  shmseg_segment theirs;
  dict_key where;
  uint32_t id;
  same_segment(&theirs, &ours);
  must(shmseg_owner_identity(&theirs, &id) == 0);
  int n = fill(64);
  must(shmseg_dict_locate(&d, name_of(n + 1), 8, &where) == 0);
  hold_others(where.stripe, id);
  shmseg_segment_close(&theirs);
  check(set(n + 1, LARGE) == 0 && has(n + 1) && stats_now().repaired > 0);
  for (int i = 0; i < 500; i++) /* every stripe is repaired before it is looked at as a whole */
    check(set(2 * n + i, 64) == 0);
}

TEST_WITH(striped_none, repaired, "the cells that a dead writer had taken are room at once") {
  dict_key where;
  dict_block block;
  must(shmseg_dict_locate(&d, name_of(1), 8, &where) == 0);
  dict_op dead = in_stripe((where.stripe + 9) % d.stripes);
  must(shmseg_dict_take(&dead, d.quota, 0, &block) == 0);
  set_word(&ours, dict_stripe_at(dead.stripe, STRIPE_LOCK), SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY);
  check(set(1, 24) == 0 && has(1) && stats_now().repaired == 1 && stats_now().refused == 0);
}
