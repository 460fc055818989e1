/* SPDX-License-Identifier: MIT */
/* objects/broadcast: each message to every subscriber, and exactly how many were missed. */
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
#define RING 256

static shmseg_segment ours, reader;
static shmseg_broadcast a, r;
static shmseg_subscription s;
static const char *name;
static char bytes[CAPACITY + 1], got[CAPACITY];
static uint64_t sequence, lost;
static size_t size;

static void set_up(void) {
  shmseg_options options = { 0 };
  name = fresh_name();
  new_segment(&ours, place_of(name), PAGE);
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, &options, NULL) == 0);
  must(shmseg_broadcast_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                             OF_CAPACITY(CAPACITY), NULL) == 0);
  must(shmseg_broadcast_open(&r, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_READ, NULL, NULL) == 0);
  must(shmseg_broadcast_subscribe(&r, SHMSEG_FROM_NEW, &s) == 0);
}

static void tear_down(void) {
  shmseg_broadcast_close(&a);
  shmseg_broadcast_close(&r);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&reader);
}

static const test_fixture fresh = { set_up, tear_down };

/* Publishes so many equal bytes; the sequence number, or 0. */
static uint64_t publish(char byte, size_t count) {
  uint64_t number = 0;
  memset(bytes, byte, sizeof bytes);
  return shmseg_broadcast_publish(&a, bytes, count, &number) == 0 ? number : 0;
}

static int next(shmseg_subscription *subscription, int64_t deadline) {
  int err;
  do
    err =
        shmseg_subscription_next(subscription, got, sizeof got, &size, &sequence, &lost, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

/* Does the next message have so many equal bytes, that number, and that many lost before it? */
static bool gets(uint64_t number, char byte, size_t count, uint64_t missing) {
  memset(got, '-', sizeof got);
  if (next(&s, 0) != 0)
    return false;
  for (size_t i = 0; i < sizeof got; i++)
    if (got[i] != (i < count ? byte : '-'))
      return false;
  return size == count && sequence == number && lost == missing;
}

static int subscribe(uint64_t from) {
  return shmseg_broadcast_subscribe(&r, from, &s);
}

TEST(sizes, "a broadcast takes its capacity and a head; a capacity that cannot be is refused") {
  shmseg_broadcast b;
  bool created;
  check(shmseg_broadcast_size(OF_CAPACITY(1)) == 280 &&
        shmseg_broadcast_size(OF_CAPACITY(8)) == 280);
  check(shmseg_broadcast_size(OF_CAPACITY(9)) == 288 &&
        shmseg_broadcast_size(NULL) == shmseg_broadcast_size(OF_CAPACITY(1)));
  check(shmseg_broadcast_size(OF_CAPACITY(SHMSEG_CAPACITY_MAX + 1)) == 0);
  check(shmseg_broadcast_size(OF_CAPACITY(UINT64_MAX)) == 0 &&
        shmseg_broadcast_size(OF_CAPACITY(SHMSEG_CAPACITY_MAX)) != 0);
  new_anonymous(&ours, PAGE);
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                              OF_CAPACITY(SHMSEG_CAPACITY_MAX + 1), NULL) == EINVAL);
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                              OF_CAPACITY(PAGE), NULL) == SHMSEG_TOO_SMALL);
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, 279 }, SHMSEG_CREATE, OF_CAPACITY(1),
                              NULL) == SHMSEG_TOO_SMALL);
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, 279 }, SHMSEG_CREATE, NULL, NULL) ==
        SHMSEG_TOO_SMALL);
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 8, 464 }, SHMSEG_CREATE, OF_CAPACITY(1),
                              NULL) == EINVAL);
  check(word_at(&ours, 0) == 0);
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, 295 }, SHMSEG_CREATE, NULL, &created) ==
            0 &&
        created);
  check(b.object.capacity == 16 && b.object.size == 288); /* what fits */
  shmseg_segment_close(&ours);
}

TEST_WITH(fresh, geometry,
          "who attaches takes the broadcast's capacity, and what disagrees is named") {
  shmseg_broadcast b;
  shmseg_cell cell;
  bool created;
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, NULL,
                              &created) == 0 &&
        !created);
  check(b.object.capacity == CAPACITY &&
        b.object.size == shmseg_broadcast_size(OF_CAPACITY(CAPACITY)));
  int err = shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                                  OF_CAPACITY(CAPACITY + 1), NULL);
  check(disagrees(err, &b.object, "capacity"));
  err = shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                         OF_CAPACITY(CAPACITY), NULL);
  check(disagrees(err, &cell.object, "kind"));
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, 320 }, SHMSEG_WRITE, NULL, NULL) ==
        SHMSEG_TOO_SMALL);
  check(shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE_ONLY, NULL,
                              NULL) == EEXIST);
  set_number(&ours, 24, 2 * CAPACITY); /* what a handle has learnt, it does not read again */
  check(publish('a', CAPACITY + 1) == 0 && publish('a', CAPACITY) == 1);
  check(gets(1, 'a', CAPACITY, 0));
  err = shmseg_broadcast_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL);
  check(disagrees(err, &b.object, "size") && shmseg_broadcast_check(&a));
}

TESTS(messages) {
  uint64_t number = 0;
  set_up();
  test_begin("messages of any size that fits, empty ones too, come whole, in order, with numbers");
  for (size_t lap = 0; lap < 16; lap++) /* each size begins at each place of the ring */
    for (size_t count = 0; count <= CAPACITY; count++) {
      char byte = (char)('a' + (count + lap) % 26);
      number++;
      check(publish(byte, count) == number && gets(number, byte, count, 0));
      check(!shmseg_broadcast_check(&a));
    }
  check(publish('x', CAPACITY + 1) == 0 && next(&s, 0) == SHMSEG_TIMEOUT);
  check(shmseg_broadcast_publish(&a, bytes, CAPACITY + 1, &sequence) == EINVAL);
  check(shmseg_broadcast_publish(&a, bytes, SIZE_MAX, &sequence) == EINVAL);
  test_done();
  test_begin("a message that is too large for the reader stays");
  check(publish('y', 20) == number + 1);
  check(shmseg_subscription_next(&s, got, 19, &size, &sequence, &lost, 0) == SHMSEG_TOO_SMALL);
  check(size == 20 && gets(number + 1, 'y', 20, 0));
  test_done();
  tear_down();
}

TEST_WITH(fresh, subscriptions, "a subscription begins at the new, at the oldest, or at a number") {
  check(subscribe(SHMSEG_FROM_OLDEST) == 0 && next(&s, 0) == SHMSEG_TIMEOUT);
  check(subscribe(1) == 0 && next(&s, 0) == SHMSEG_TIMEOUT);
  check(subscribe(2) == SHMSEG_OUT_OF_RANGE);
  for (char i = 1; i <= 9; i++) /* records of 24 bytes: 5 are there */
    check(publish((char)('0' + i), 8) == (uint64_t)i);
  check(subscribe(SHMSEG_FROM_OLDEST) == 0 && gets(5, '5', 8, 0) && gets(6, '6', 8, 0));
  check(subscribe(SHMSEG_FROM_NEW) == 0 && next(&s, 0) == SHMSEG_TIMEOUT);
  check(subscribe(7) == 0 && gets(7, '7', 8, 0) && gets(8, '8', 8, 0));
  check(subscribe(10) == 0 && next(&s, 0) == SHMSEG_TIMEOUT && publish('a', 8) == 10);
  check(gets(10, 'a', 8, 0) && subscribe(12) == SHMSEG_OUT_OF_RANGE);
  check(subscribe(UINT64_MAX / 2) == SHMSEG_OUT_OF_RANGE);
  check(subscribe(2) == 0 && gets(6, '6', 8, 4) && gets(7, '7', 8, 0)); /* what is gone is lost */
  check(subscribe(1) == 0 && gets(6, '6', 8, 5));
}

TEST_WITH(fresh, overwritten, "who falls behind is told exactly how many were lost") {
  check(publish('a', 8) == 1 && gets(1, 'a', 8, 0));
  for (char i = 2; i <= 6; i++)
    check(publish((char)('a' + i), 8) == (uint64_t)i);
  check(gets(2, 'c', 8, 0)); /* all 5 that fit are there */
  check(publish('x', 8) == 7 && publish('x', 8) == 8 && gets(4, 'e', 8, 1));
  check(publish('y', CAPACITY) == 9 && gets(9, 'y', CAPACITY, 4));
  for (uint64_t i = 10; i <= 1000; i++)
    check(publish('z', i % 50) == i);
  check(next(&s, 0) == 0 && sequence == 10 + lost);
  while (sequence < 1000)
    check(next(&s, 0) == 0 && lost == 0);
  check(next(&s, 0) == SHMSEG_TIMEOUT && !shmseg_broadcast_check(&r));
}

TEST_WITH(fresh, read_only, "a read-only handle subscribes, and neither publishes nor shuts") {
  check(shmseg_broadcast_publish(&r, "x", 1, &sequence) == SHMSEG_READ_ONLY);
  check(shmseg_broadcast_shutdown(&r) == SHMSEG_READ_ONLY);
  check(publish('a', 3) == 1 && gets(1, 'a', 3, 0) && !shmseg_broadcast_check(&r));
  check(shmseg_subscription_next(&s, got, sizeof got, &size, &sequence, &lost, SHMSEG_FOREVER) ==
        SHMSEG_INTERRUPTED); /* it cannot ask to be woken, and lets its caller look around */
}

TEST_WITH(fresh, shut,
          "after a shutdown nothing is published, what is left is read, and then it is over") {
  check(publish('a', 3) == 1 && publish('b', 3) == 2);
  check(shmseg_broadcast_shutdown(&a) == 0 && shmseg_broadcast_shutdown(&a) == 0);
  check(shmseg_broadcast_publish(&a, "x", 1, &sequence) == SHMSEG_SHUTDOWN);
  check(gets(1, 'a', 3, 0) && gets(2, 'b', 3, 0));
  check(next(&s, SHMSEG_FOREVER) == SHMSEG_SHUTDOWN && next(&s, 0) == SHMSEG_SHUTDOWN);
  check(subscribe(SHMSEG_FROM_OLDEST) == 0 && gets(1, 'a', 3, 0));
  check(subscribe(SHMSEG_FROM_NEW) == 0 && next(&s, 0) == SHMSEG_SHUTDOWN);
  check(!shmseg_broadcast_check(&a));
}

static void wait_for_next(void *argument) {
  shmseg_subscription own;
  must(shmseg_broadcast_subscribe(argument, SHMSEG_FROM_NEW, &own) == 0);
  say('w');
  int err = next(&own, in_ms(5000));
  say(err == 0 && size == 5 && memcmp(got, "aaaaa", 5) == 0 ? 'g' : 'x');
  say(next(&own, in_ms(5000)) == SHMSEG_SHUTDOWN ? 's' : 'x');
}

TEST_WITH(
    fresh, woken,
    "a message and a shutdown wake all who wait, readers too; a wait ends with its deadline") {
  child children[4];
  int64_t began = now_ms();
  check(next(&s, in_ms(120)) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 119 && is_soon(began));
  for (int i = 0; i < 4; i++) {
    children[i] = child_start(wait_for_next, i % 2 ? &a : &r);
    check(child_hear(&children[i]) == 'w');
  }
  usleep(30000);
  began = now_ms();
  check(publish('a', 5) == 1);
  for (int i = 0; i < 4; i++)
    check(child_hear(&children[i]) == 'g');
  check(is_soon(began));
  usleep(30000);
  began = now_ms();
  check(shmseg_broadcast_shutdown(&a) == 0);
  for (int i = 0; i < 4; i++)
    check(child_hear(&children[i]) == 's' && child_end(&children[i]) == 0);
  check(is_soon(began));
}

static void wait_often(void *argument) {
  shmseg_subscription own;
  must(shmseg_broadcast_subscribe(argument, 1, &own) == 0);
  for (int i = 0; i < WAKES; i++)
    say(next(&own, in_ms(5000)) == 0 ? sleep_ended() : 'x');
}

static bool publish_next(int round) {
  return publish('a', 1) == (uint64_t)round + 1;
}

TEST_WITH(fresh, woken_each_time,
          "sleepers are woken each time, and do not depend on the end of their interval") {
  child c = child_start(wait_often, &a);
  check(wakes_each_time(&c, publish_next) && child_end(&c) == 0);
}

TEST_WITH(fresh, dead_publisher,
          "a publisher that dies half way publishes nothing; what it made room in counts as lost") {
  for (char i = 1; i <= 4; i++)
    check(publish((char)('0' + i), 8) == (uint64_t)i);
  child c = child_inside(&ours, LOCK);
  set_number(&ours, FLOOR, LENGTH + 48); /* as far as it got */
  set_number(&ours, ENDS + 8, LENGTH + 4 * 24 + 72);
  memset(ours.data + RING + 96, 'x', 24);
  memset(ours.data + RING, 'x', 48);
  child_kill(&c);
  check(!shmseg_broadcast_check(&r) && gets(3, '3', 8, 2));
  int64_t began = now_ms();
  check(publish('5', 8) == 5 && is_soon(began));
  check(gets(4, '4', 8, 0) && gets(5, '5', 8, 0) && word_at(&ours, LOCK) == SHMSEG_LOCK_FREE);
}

TEST_WITH(fresh, stopped_publisher,
          "a publisher that is stopped keeps no subscriber, and not others from shutting down") {
  check(publish('a', 8) == 1);
  child c = child_inside(&ours, LOCK);
  int64_t began = now_ms();
  check(gets(1, 'a', 8, 0) && next(&s, 0) == SHMSEG_TIMEOUT);
  check(subscribe(SHMSEG_FROM_OLDEST) == 0 && gets(1, 'a', 8, 0));
  check(shmseg_broadcast_shutdown(&a) == 0 && next(&s, SHMSEG_FOREVER) == SHMSEG_SHUTDOWN);
  check(is_soon(began));
  child_tell(&c);
  check(child_end(&c) == 0);
}

TEST_WITH(fresh, moved, "a message is copied from where its segment is by then") {
  shmseg_subscription own;
  shmseg_subscription_batch batch = { 0 };
  uint64_t floor;
  must(shmseg_broadcast_subscribe(&a, SHMSEG_FROM_NEW, &own) == 0 && publish('a', 8) == 1);
  check(shmseg_subscription_look(&own, &batch, 0) == 0);
  check(shmseg_subscription_show(&own, &batch) == 0);
  must(shmseg_segment_resize(&ours, 16 * PAGE) == 0);
  check(shmseg_subscription_copy(&own, &batch, got) == 0 && memcmp(got, "aaaaaaaa", 8) == 0);
  check(shmseg_subscription_confirm(&own, &batch, &floor) == 0);
}

TEST_WITH(fresh, patience, "who publishes many waits for each store as long as for the first") {
  const shmseg_source message = { "a", 1, NULL };
  size_t published;
  int64_t left = in_ms(5000), over = 1;
  check(shmseg_broadcast_publish_many(&a, &message, 1, &published, &left, &sequence) == 0);
  check(left == 0);
  check(shmseg_broadcast_publish_many(&a, &message, 1, &published, &over, &sequence) == 0);
  check(over == 1); /* who has no time left gets no more */
}

/* With another value in a word of a broadcast of 4 messages, is publishing refused? */
static bool refuses(uint64_t offset, uint64_t value) {
  uint64_t before = number_at(&ours, offset);
  set_number(&ours, offset, value);
  bool good = shmseg_broadcast_publish(&a, bytes, CAPACITY, &sequence) == SHMSEG_CORRUPT &&
              word_at(&ours, LOCK) == (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY) &&
              shmseg_broadcast_check(&a);
  set_number(&ours, offset, before);
  return good && !shmseg_broadcast_check(&a);
}

/* With another value in a word, do subscriptions, old or new, end in an expected way? */
static bool harmless(uint64_t offset, uint64_t value) {
  uint64_t before = number_at(&ours, offset);
  shmseg_subscription old = s;
  set_number(&ours, offset, value);
  int err = next(&old, 0);
  bool good = err == 0 || err == SHMSEG_CORRUPT || err == SHMSEG_TIMEOUT;
  for (uint64_t from = 0; from < 4; from++) {
    uint64_t all[] = { SHMSEG_FROM_OLDEST, SHMSEG_FROM_NEW, 1, 3 };
    err = shmseg_broadcast_subscribe(&r, all[from], &old);
    if (err == 0)
      next(&old, 0);
    else
      good = good && (err == SHMSEG_CORRUPT || err == SHMSEG_TIMEOUT || err == SHMSEG_OUT_OF_RANGE);
  }
  set_number(&ours, offset, before);
  return good;
}

TESTS(corrupt) {
  set_up();
  test_begin("words that cannot be are corrupt for publishers, and no lock stays behind");
  for (char i = 1; i <= 4; i++)
    check(publish((char)('0' + i), 8) == (uint64_t)i);
  uint64_t end = LENGTH + 4 * 24;
  check(refuses(PUBLISHED, 0) && refuses(PUBLISHED, UINT64_MAX - 1));
  check(refuses(FLOOR, 0) && refuses(FLOOR, LENGTH - 8) && refuses(FLOOR, LENGTH + 1));
  check(refuses(FLOOR, end + 8) && refuses(FLOOR, UINT64_MAX));
  check(refuses(ENDS, 0) && refuses(ENDS, end + 32) && refuses(ENDS, end - 1));
  check(refuses(RING + 8, CAPACITY + 1) && refuses(RING + 8, UINT64_MAX));
  check(publish('5', 8) == 5 && word_at(&ours, LOCK) == SHMSEG_LOCK_FREE);
  test_done();
  test_begin("words that cannot be do subscribers no harm");
  check(subscribe(5) == 0);
  for (uint64_t low = 0; low < 8; low++) {
    check(harmless(FLOOR, LENGTH * 2 - 1 - low) && harmless(FLOOR, UINT64_MAX - low));
    check(harmless(ENDS + 8, LENGTH * 3 - 1 - low) && harmless(ENDS + 8, UINT64_MAX - low));
  }
  check(harmless(PUBLISHED, 0) && harmless(PUBLISHED, UINT64_MAX - 1));
  check(harmless(RING + 96, 6) && harmless(RING + 96 + 8, CAPACITY + 1));
  check(gets(5, '5', 8, 0));
  test_done();
  tear_down();
}

TEST_WITH(fresh, endless,
          "no number of messages that a peer makes up keeps a subscriber looking for one") {
  check(publish('a', 8) == 1);
  memset(ours.data + RING, 0, LENGTH); /* empty messages, one after another */
  set_number(&ours, RING, 1);
  set_number(&ours, PUBLISHED, (uint64_t)1 << 55 | 2);
  alarm(20); /* ends the test, if nothing else does */
  int64_t began = now_ms();
  check(subscribe((uint64_t)1 << 51) != 0 && is_soon(began));
  alarm(0);
}

/* Counts up for ever what a subscriber looks at, below what it has seen. */
static void count_up(void *argument) {
  (void)argument;
  uint64_t *word = (uint64_t *)(ours.data + PUBLISHED);
  say('c');
  for (uint64_t i = 1;; i = i % 1000 + 1)
    __atomic_store_n(word, i << 2, __ATOMIC_RELAXED);
}

TEST_WITH(fresh, restless,
          "a peer that never stops changing the published word does not outlast a deadline") {
  for (uint64_t i = 1; i <= 2000; i++)
    check(publish('a', 0) == i);
  check(subscribe(SHMSEG_FROM_NEW) == 0);
  child c = child_start(count_up, NULL);
  must(child_hear(&c) == 'c');
  alarm(20);
  for (int i = 0; i < 20; i++) {
    int64_t began = now_ms();
    check(next(&s, in_ms(i % 2 ? 0 : 20)) == SHMSEG_TIMEOUT && is_soon(began));
  }
  alarm(0);
  child_kill(&c);
}

TEST_WITH(fresh, truncated,
          "after a cut a broadcast says so, and so does one whose segment is closed") {
  check(publish('a', 5) == 1);
  must(ftruncate(ours.fd, 0) == 0);
  check(next(&s, SHMSEG_FOREVER) == SHMSEG_TRUNCATED);
  check(subscribe(SHMSEG_FROM_OLDEST) == SHMSEG_TRUNCATED);
  check(shmseg_broadcast_publish(&a, "x", 1, &sequence) == SHMSEG_TRUNCATED);
  check(shmseg_broadcast_shutdown(&a) == SHMSEG_TRUNCATED);
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  check(shmseg_broadcast_publish(&a, "x", 1, &sequence) == SHMSEG_TRUNCATED);
  must(shmseg_broadcast_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                             OF_CAPACITY(CAPACITY), NULL) == 0);
  check(publish('b', 5) == 1);
  shmseg_segment_close(&reader);
  check(next(&s, SHMSEG_FOREVER) == SHMSEG_CLOSED && subscribe(1) == SHMSEG_CLOSED);
  shmseg_broadcast_close(&a);
  check(shmseg_broadcast_publish(&a, "x", 1, &sequence) == SHMSEG_CLOSED);
}
