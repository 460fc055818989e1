/* SPDX-License-Identifier: MIT */
/* objects/dict_expire and objects/dict_claim where there are many lines, and many stripes. */
#include <string.h>

#include "nouns/dict/help.h"
#include "unit/help.h"

#define STRIPED ((uint64_t)4 << 20) /* from this capacity on */
#define MANY 500

static uint64_t cursor, freed;

static const char *key_of(int i) {
  static char key[16];
  snprintf(key, sizeof key, "key%d", i);
  return key;
}

static void set_many(void) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER };
  bool forcible;
  for (int i = 0; i < MANY; i++)
    check(shmseg_dict_store(&d, key_of(i), strlen(key_of(i)), &value, NULL, &forcible, &patience) ==
          0);
}

/* Sweeps all of it; gives how many calls that were. */
static int sweep(uint64_t max) {
  int calls = 1, err;
  cursor = freed = 0;
  while ((err = shmseg_dict_flush_expired(&d, max, &cursor, &freed, &patience)) ==
         SHMSEG_INTERRUPTED)
    calls++;
  check(err == 0);
  return calls;
}

static bool is_empty(void) {
  shmseg_dict_stats stats;
  return shmseg_dict_get_stats(&d, &stats) == 0 && stats.count == 0 &&
         stats.free == stats.capacity && shmseg_dict_check(&d) == NULL;
}

static void set_up_lines(void) {
  open_dict(STRIPED - 1, SHMSEG_DICT_LRU, 60000);
}

static void set_up_stripes(void) {
  open_dict(STRIPED, SHMSEG_DICT_LRU, 0);
}

static const test_fixture of_lines = { set_up_lines, close_dict };
static const test_fixture of_stripes = { set_up_stripes, close_dict };

TEST_WITH(of_lines, interrupted, "a long sweep lets its caller look around, and goes on") {
  check(d.stripes == 1 && d.lines > 16384);
  set_many();
  check(sweep(0) == 2 && freed == 0);
  check(shmseg_dict_flush_all(&d) == 0);
  check(sweep(0) == 2 && freed == MANY && is_empty());
}

TEST_WITH(of_stripes, swept, "a sweep goes through all stripes") {
  check(d.stripes == 64);
  set_many();
  check(shmseg_dict_flush_all(&d) == 0);
  sweep(MANY - 1);
  check(freed == MANY - 1);
  sweep(0);
  check(freed == 1 && is_empty());
}

TEST_WITH(of_stripes, claimed,
          "each stripe has its claims, which end, and are void after a flush") {
  shmseg_dict_claim claims[64] = { { 0 } };
  shmseg_dict_outcome outcome;
  for (int i = 0; i < 64; i++) {
    int err = shmseg_dict_claim_take(&d, key_of(i), strlen(key_of(i)), &claims[i], &outcome, 0,
                                     &patience);
    check(err == 0 && outcome == SHMSEG_DICT_CLAIMED);
    check(claims[i].offset >= d.at_claims && claims[i].offset < d.at_lines);
  }
  for (int i = 0; i < 64; i++)
    check(shmseg_dict_claim_is_valid(&d, &claims[i]));
  set_many();
  for (int i = 0; i < 64; i++)
    check(!shmseg_dict_claim_is_valid(&d, &claims[i]));
  for (int i = 0; i < 64; i++)
    shmseg_dict_claim_end(&d, &claims[i], key_of(i), strlen(key_of(i)), SHMSEG_DICT_ENDED);
  set_many();
  for (uint32_t i = 0; i < d.stripes; i++)
    check(number_at(&ours, dict_stripe_at(i, STRIPE_CLAIMS)) == 0);
}
