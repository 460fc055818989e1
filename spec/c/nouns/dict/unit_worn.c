/* SPDX-License-Identifier: MIT */
/* The dict's memory after very many sets of all sizes: it fits as much as when it was fresh. Without sanitizers,
 * since the sets are many: SHMSEG_SPEC_SCALE=32 makes 10 million of them, by default there is a share. */
#include <stdlib.h>
#include <string.h>

#include "nouns/dict/help.h"
#include "unit/help.h"

#define SMALL 65536        /* one stripe */
#define STRIPED (4u << 20) /* 64 of them */
#define SETS 10000000 /* at scale 32; an eighth of it in the striped one, whose values are larger */
#define KEYS 200      /* of the sets: about twice as many as fit */
#define FILLERS 100000 /* more than fit */

static unsigned char bytes[STRIPED / 8];
static uint32_t state;

static uint32_t draw(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % below;
}

/* Sizes of 1 byte to an eighth of the capacity, the small ones more often: their logarithm is drawn. */
static size_t draw_size(uint32_t capacity) {
  uint32_t most = capacity / 8, size = 1 + draw(most);
  for (uint32_t n = draw(16); n > 0 && size > 1; n--)
    size = 1 + size / 2;
  return size;
}

static int store(const char *key, size_t size, bool *forcible) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
  return shmseg_dict_store(&d, key, strlen(key), &value, NULL, forcible, &patience);
}

static void clear(void) {
  uint64_t cursor = 0, freed = 0;
  int err;
  check(shmseg_dict_flush_all(&d) == 0);
  do
    err = shmseg_dict_flush_expired(&d, 0, &cursor, &freed, &patience);
  while (err == SHMSEG_INTERRUPTED);
  check(err == 0);
}

/* Stores new keys until one has no room, or something goes for it. Gives the bytes that are live then. */
static uint64_t fill(uint32_t capacity, uint32_t seed) {
  shmseg_dict_stats stats = { 0 };
  bool forcible = false;
  state = seed;
  for (int i = 0; i < FILLERS && !forcible; i++) {
    char key[16];
    snprintf(key, sizeof key, "f%d", i);
    if (store(key, draw_size(capacity), &forcible) != 0)
      break;
  }
  check(shmseg_dict_get_stats(&d, &stats) == 0 && stats.count > 0);
  return stats.bytes;
}

/* Sets, and with evict none deletes where there is no room. */
static void churn(uint32_t capacity, int64_t sets) {
  int64_t refused = 0;
  bool forcible;
  char key[16];
  for (int64_t i = 0; i < sets; i++) {
    snprintf(key, sizeof key, "k%u", draw(KEYS));
    size_t size = draw_size(capacity);
    for (int tries = 0; store(key, size, &forcible) != 0 && tries < KEYS; tries++) {
      char other[16];
      snprintf(other, sizeof other, "k%u", draw(KEYS));
      check(shmseg_dict_delete(&d, other, strlen(other), NULL, &patience) == 0);
      refused++;
    }
  }
  printf("# %lld sets, %lld deletes for want of room\n", (long long)sets, (long long)refused);
}

static void wear_out(uint32_t capacity, uint64_t evict, int64_t sets) {
  enum { FILLS = 8 };
  uint64_t fresh = 0, worn = 0;
  const char *scale = getenv("SHMSEG_SPEC_SCALE");
  open_dict(capacity, evict, 0);
  for (uint32_t i = 1; i <= FILLS; i++, clear())
    fresh += fill(capacity, i);
  state = 2463534242;
  churn(capacity, sets * (scale ? atoi(scale) : 1) / 32);
  check(shmseg_dict_check(&d) == NULL);
  for (uint32_t i = 1; i <= FILLS; i++) {
    clear();
    worn += fill(capacity, i);
  }
  check(shmseg_dict_check(&d) == NULL && worn >= fresh / 10 * 9);
  printf("# fresh it fits %llu bytes, then %llu, of %u\n", (unsigned long long)(fresh / FILLS),
         (unsigned long long)(worn / FILLS), capacity);
  close_dict();
}

TEST(worn, "after very many sets of random sizes a small dict fits as much as when it was fresh") {
  wear_out(SMALL, SHMSEG_DICT_LRU, SETS);
  wear_out(SMALL, SHMSEG_DICT_NONE, SETS / 4);
}

TEST(worn_stripes, "after very many sets of random sizes a dict of 64 stripes fits as much, too") {
  wear_out(STRIPED, SHMSEG_DICT_LRU, SETS / 8);
  wear_out(STRIPED, SHMSEG_DICT_NONE, SETS / 32);
}

int main(int argc, char **argv) {
  (void)argc;
  test_run(argv);
  return test_end();
}
