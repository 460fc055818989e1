/* SPDX-License-Identifier: MIT */
/* objects/broadcast: many messages by one store, and many that are read at once. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "options.h"
#include "unit/help.h"

#define CAPACITY 100
#define LENGTH 120 /* of the ring */
#define LOCK 128
#define PUBLISHED 64
#define FLOOR 192
#define ENDS 200

static shmseg_segment ours;
static shmseg_broadcast a;
static shmseg_subscription s;
static shmseg_subscription_batch batch;
static char got[8][CAPACITY];
static uint64_t sequence, floor_found;
static size_t published;

static void set_up(void) {
  new_segment(&ours, place_of(fresh_name()), PAGE);
  must(shmseg_broadcast_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                             OF_CAPACITY(CAPACITY), NULL) == 0);
  must(shmseg_broadcast_subscribe(&a, SHMSEG_FROM_NEW, &s) == 0);
  memset(&batch, 0, sizeof batch);
}

static void tear_down(void) {
  shmseg_broadcast_close(&a);
  shmseg_segment_close(&ours);
}

static const test_fixture fresh = { set_up, tear_down };

/* Publishes count messages of 8 bytes, which begin with letters from that one on. */
static int publish_many(char letter, size_t count) {
  static char bytes[16][8];
  shmseg_source messages[16];
  int64_t deadline = 0;
  for (size_t i = 0; i < count; i++) {
    memset(bytes[i], (char)(letter + (char)i), 8);
    messages[i] = (shmseg_source){ bytes[i], 8, NULL };
  }
  return shmseg_broadcast_publish_many(&a, messages, count, &published, &deadline, &sequence);
}

/* Adds as many as are there to the batch. */
static int copy_all(void) {
  int err = shmseg_subscription_look(&s, &batch, 0);
  while (!err && (err = shmseg_subscription_show(&s, &batch)) == 0)
    err = shmseg_subscription_copy(&s, &batch, got[batch.count - 1]);
  return err;
}

/* Is all that is there this many messages, from that letter and number on? */
static bool gets(char letter, uint64_t count, uint64_t first, uint64_t lost) {
  int err;
  do
    err = copy_all();
  while (err == SHMSEG_CHANGED);
  if (err != SHMSEG_EMPTY || shmseg_subscription_confirm(&s, &batch, &floor_found) != 0)
    return false;
  for (uint64_t i = 0; i < count; i++)
    if (got[i][0] != (char)(letter + (char)i) || got[i][7] != got[i][0])
      return false;
  bool good = batch.count == count && batch.sequence == first && batch.lost == lost;
  shmseg_subscription_advance(&s, &batch);
  return good;
}

TEST_WITH(fresh, lists, "a list is published by one store, with the other end each time") {
  uint64_t number = 0;
  for (size_t count = 1; count <= 5; count++) { /* as many as fit */
    uint64_t word = number_at(&ours, PUBLISHED);
    check(publish_many('a', count) == 0 && published == count && sequence == number + count);
    check(number_at(&ours, PUBLISHED) == (word ^ 2) + (count << 2));
    check(gets('a', count, number + 1, 0) && !shmseg_broadcast_check(&a));
    number += count;
  }
  check(publish_many('a', 7) == 0 && published == 7 && sequence == number + 7); /* in two pieces */
  check(gets('c', 5, number + 3, 2));
  check(shmseg_subscription_look(&s, &batch, 0) == SHMSEG_TIMEOUT);
}

TEST_WITH(fresh, refused, "no list of none, or with a message that is too large, is published") {
  const shmseg_source large[] = { { "a", 1, NULL }, { got, CAPACITY + 1, NULL } };
  int64_t deadline = 0;
  published = 9;
  check(publish_many('a', 0) == EINVAL && published == 0);
  check(shmseg_broadcast_publish_many(&a, large, 2, &published, &deadline, &sequence) == EINVAL);
  check(published == 0 && number_at(&ours, PUBLISHED) == 1 << 2);
  check(shmseg_broadcast_shutdown(&a) == 0 && publish_many('a', 2) == SHMSEG_SHUTDOWN);
  check(published == 0 && word_at(&ours, LOCK) == SHMSEG_LOCK_FREE);
}

TEST_WITH(fresh, cut_source,
          "a source that is cut publishes nothing of its piece, and leaves the lock clean") {
  shmseg_segment source;
  int64_t deadline = 0;
  new_segment(&source, place_of(fresh_name()), PAGE);
  const shmseg_source messages[] = { { "a", 1, NULL }, { source.data, 8, &source } };
  must(ftruncate(source.fd, 0) == 0);
  check(shmseg_broadcast_publish_many(&a, messages, 2, &published, &deadline, &sequence) ==
        SHMSEG_TRUNCATED);
  check(published == 0 && word_at(&ours, LOCK) == SHMSEG_LOCK_FREE);
  check(!shmseg_broadcast_check(&a) && number_at(&ours, PUBLISHED) == 1 << 2);
  check(publish_many('a', 2) == 0 && gets('a', 2, 1, 0));
  shmseg_segment_close(&source);
}

TEST_WITH(fresh, prefix, "of a batch that is overtaken what lies from floor on can be kept") {
  check(publish_many('a', 5) == 0 && copy_all() == SHMSEG_EMPTY);
  check(publish_many('x', 2) == 0);
  check(shmseg_subscription_confirm(&s, &batch, &floor_found) == SHMSEG_CHANGED);
  check(floor_found == LENGTH + 48 && batch.count == 5);
  batch.position = floor_found;
  batch.sequence += 2, batch.lost += 2, batch.count -= 2;
  check(shmseg_subscription_confirm(&s, &batch, &floor_found) == 0);
  shmseg_subscription_advance(&s, &batch);
  check(s.sequence == 6 && got[2][0] == 'c' && gets('x', 2, 6, 0));
}

TEST_WITH(fresh, part, "a batch can be set back to one of its messages") {
  check(publish_many('a', 3) == 0 && copy_all() == SHMSEG_EMPTY);
  batch.end = batch.position + SHMSEG_BROADCAST_RECORD(8);
  batch.count = 1;
  shmseg_subscription_advance(&s, &batch);
  check(gets('b', 2, 2, 0));
}

TEST_WITH(fresh, forged,
          "bytes of a message where an overwritten record was, and that look like one, are none") {
  const uint64_t forged[6] = {
    0, 0, 0, 0, 3, 60
  }; /* the last two lie where the third record did */
  check(publish_many('a', 2) == 0 && gets('a', 2, 1, 0) && publish_many('c', 3) == 0);
  check(shmseg_broadcast_publish(&a, forged, sizeof forged, &sequence) == 0 && sequence == 6);
  check(copy_all() == SHMSEG_CHANGED && number_at(&ours, FLOOR) == LENGTH + 72);
  check(shmseg_subscription_look(&s, &batch, 0) == 0 && batch.sequence == 4 && batch.lost == 1);
}

TEST_WITH(fresh, last, "a subscription begins with the last ones, or the oldest") {
  check(publish_many('a', 7) == 0);
  for (uint64_t n = 1; n <= 9; n++) {
    uint64_t count = n < 5 ? n : 5;
    check(shmseg_broadcast_subscribe(&a, SHMSEG_FROM_LAST(n), &s) == 0);
    check(gets((char)('h' - (char)count), count, 8 - count, 0));
  }
}

TEST_WITH(fresh, counted, "what is there is counted") {
  shmseg_broadcast_stats stats;
  check(shmseg_broadcast_count(&a, &stats) == 0 && stats.first == 1 && stats.next == 1);
  check(stats.bytes == 0 && stats.capacity == CAPACITY && !stats.shut);
  check(publish_many('a', 7) == 0 && shmseg_broadcast_shutdown(&a) == 0);
  check(shmseg_broadcast_count(&a, &stats) == 0 && stats.first == 3 && stats.next == 8);
  check(stats.bytes == 120 && stats.shut);
  set_number(&ours, FLOOR, LENGTH - 8);
  check(shmseg_broadcast_count(&a, &stats) == SHMSEG_TIMEOUT);
  must(ftruncate(ours.fd, 0) == 0);
  check(shmseg_broadcast_count(&a, &stats) == SHMSEG_TRUNCATED);
}
