/* SPDX-License-Identifier: MIT */
/* objects/queue: messages, whole and in order; full, empty and shut; ends that die or are stopped. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "options.h"
#include "unit/help.h"

#define CAPACITY 100
#define LENGTH 112 /* of the ring */
#define PRODUCERS 64
#define TAIL 128
#define HEAD 192
#define RING 256

static shmseg_segment ours, reader;
static shmseg_queue a, b, r;
static const char *name;
static char bytes[CAPACITY + 1];
static uint64_t got[64]; /* aligned to 8 */
static size_t used;

static void set_up(void) {
  shmseg_options options = { 0 };
  name = fresh_name();
  new_segment(&ours, place_of(name), PAGE);
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, &options, NULL) == 0);
  must(shmseg_queue_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(CAPACITY),
                         NULL) == 0);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  must(shmseg_queue_open(&r, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_READ, NULL, NULL) == 0);
}

static void tear_down(void) {
  shmseg_queue_close(&a);
  shmseg_queue_close(&b);
  shmseg_queue_close(&r);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&reader);
}

static const test_fixture fresh = { set_up, tear_down };

/* Handles that have seen nothing yet. */
static void reopen(void) {
  must(shmseg_queue_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
}

/* Pushes so many equal bytes. */
static int push(char byte, size_t size) {
  memset(bytes, byte, sizeof bytes);
  return shmseg_queue_push(&a, bytes, size, 0);
}

/* Is the record at that word of what was taken so many equal bytes? */
static bool is_record(size_t at, char byte, size_t size) {
  const char *text = (const char *)(got + at + 1);
  for (size_t i = 0; i < size; i++)
    if (text[i] != byte)
      return false;
  return got[at] == size;
}

static int take(uint64_t max) {
  return shmseg_queue_take(&b, got, sizeof got, max, &used, 0);
}

/* Is the next message of so many equal bytes? */
static bool pops(char byte, size_t size) {
  return take(1) == 0 && used == SHMSEG_RECORD(size) && is_record(0, byte, size);
}

TEST(sizes, "a queue takes its capacity and a head, and a capacity that cannot be is refused") {
  shmseg_queue queue;
  bool created;
  check(shmseg_queue_size(OF_CAPACITY(1)) == 272 && shmseg_queue_size(OF_CAPACITY(8)) == 272 &&
        shmseg_queue_size(OF_CAPACITY(9)) == 280);
  check(shmseg_queue_size(NULL) == shmseg_queue_size(OF_CAPACITY(1)) &&
        shmseg_queue_size(OF_CAPACITY(SHMSEG_CAPACITY_MAX + 1)) == 0);
  check(shmseg_queue_size(OF_CAPACITY(UINT64_MAX)) == 0 &&
        shmseg_queue_size(OF_CAPACITY(SHMSEG_CAPACITY_MAX)) != 0);
  new_anonymous(&ours, PAGE);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                          OF_CAPACITY(SHMSEG_CAPACITY_MAX + 1), NULL) == EINVAL);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                          OF_CAPACITY(PAGE), NULL) == SHMSEG_TOO_SMALL);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, 271 }, SHMSEG_CREATE, OF_CAPACITY(1),
                          NULL) == SHMSEG_TOO_SMALL);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, 271 }, SHMSEG_CREATE, NULL, NULL) ==
        SHMSEG_TOO_SMALL);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 8, 400 }, SHMSEG_CREATE, OF_CAPACITY(1),
                          NULL) == EINVAL);
  check(word_at(&ours, 0) == 0);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, 287 }, SHMSEG_CREATE, NULL, &created) ==
            0 &&
        created);
  check(queue.object.capacity == 16 && queue.object.size == 280); /* what fits */
  shmseg_segment_close(&ours);
}

TEST_WITH(fresh, geometry, "who attaches takes the queue's capacity, and what disagrees is named") {
  shmseg_queue queue;
  shmseg_broadcast broadcast;
  bool created;
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, NULL,
                          &created) == 0 &&
        !created);
  check(queue.object.capacity == CAPACITY &&
        queue.object.size == shmseg_queue_size(OF_CAPACITY(CAPACITY)));
  int err = shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                              OF_CAPACITY(CAPACITY + 1), NULL);
  check(disagrees(err, &queue.object, "capacity"));
  err = shmseg_broadcast_open(&broadcast, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                              OF_CAPACITY(CAPACITY), NULL);
  check(disagrees(err, &broadcast.object, "kind"));
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, 367 }, SHMSEG_WRITE, NULL, NULL) ==
        SHMSEG_TOO_SMALL);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE_ONLY, NULL,
                          NULL) == EEXIST);
  set_number(&ours, 24, 2 * CAPACITY); /* what a handle has learnt, it does not read again */
  check(push('a', CAPACITY + 1) == EINVAL && push('a', CAPACITY) == 0 && pops('a', CAPACITY));
  err = shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL);
  check(disagrees(err, &queue.object, "size") && shmseg_queue_check(&a));
}

TEST_WITH(fresh, versions, "a queue of the first format is another version, and is left as it is") {
  shmseg_queue queue;
  set_word(&ours, 8, 1);
  int err = shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, NULL, NULL);
  check(disagrees(err, &queue.object, "version") && word_at(&ours, 8) == 1);
  check(queue.object.found == 1 && queue.object.wanted == 2);
}

TEST_WITH(fresh, messages,
          "messages of any size that fits, empty ones too, come out whole and in order") {
  check(take(1) == SHMSEG_TIMEOUT && used == 0);
  for (size_t lap = 0; lap < 8; lap++) /* each size begins at each place of the ring */
    for (size_t size = 0; size <= CAPACITY; size++) {
      char byte = (char)('a' + (size + lap) % 26);
      check(push(byte, size) == 0);
      bool second = push('+', lap) == 0; /* if there is room */
      check(second == (SHMSEG_RECORD(size) + SHMSEG_RECORD(lap) <= LENGTH));
      check(!shmseg_queue_check(&a) && pops(byte, size) && (!second || pops('+', lap)));
    }
  check(push('x', CAPACITY + 1) == EINVAL && take(1) == SHMSEG_TIMEOUT);
  check(shmseg_queue_push(&a, bytes, SIZE_MAX, 0) == EINVAL);
}

TEST_WITH(fresh, several,
          "take gives as many as were asked for, and as the buffer holds, but one at least") {
  for (size_t i = 1; i <= 6; i++)
    check(push((char)('0' + i), i) == 0);
  check(take(0) == EINVAL && used == 0);
  check(take(2) == 0 && used == 32 && is_record(0, '1', 1) && is_record(2, '2', 2));
  check(shmseg_queue_take(&b, got, 47, 100, &used, 0) == 0 && used == 32);
  check(is_record(0, '3', 3) && is_record(2, '4', 4));
  check(shmseg_queue_take(&b, got, 15, 1, &used, 0) == SHMSEG_TOO_SMALL && used == 16);
  check(shmseg_queue_take(&b, got, 0, 1, &used, 0) == SHMSEG_TOO_SMALL && used == 16);
  check(take(UINT64_MAX) == 0 && used == 32 && is_record(0, '5', 5) && is_record(2, '6', 6));
  check(take(1) == SHMSEG_TIMEOUT && used == 0);
}

TEST_WITH(fresh, full_and_empty,
          "a full queue and an empty one wait until the deadline, and say what is in them") {
  shmseg_queue_stats stats;
  uint64_t count;
  check(push('a', CAPACITY) == 0 && push('b', 0) == SHMSEG_TIMEOUT);
  check(shmseg_queue_bytes(&r, &count) == 0 && count == LENGTH);
  int64_t began = now_ms();
  check(push_fully(&a, "b", 1, in_ms(120)) == SHMSEG_TIMEOUT);
  check(pops('a', CAPACITY) && push('b', 9) == 0 && push('c', 0) == 0);
  check(shmseg_queue_count(&r, &stats) == 0 && stats.messages == 2 && stats.bytes == 32);
  check(stats.capacity == CAPACITY && !stats.shut && pops('b', 9) && pops('c', 0));
  check(take_fully(&b, got, sizeof got, 1, &used, in_ms(120)) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 238 && is_soon(began));
  check(shmseg_queue_bytes(&r, &count) == 0 && count == 0);
}

TEST_WITH(fresh, shut,
          "after a shutdown nothing is pushed, what is left is taken, and then it is over") {
  shmseg_queue_stats stats;
  check(push('a', 3) == 0 && push('b', 3) == 0);
  check(shmseg_queue_shutdown(&b) == 0 && shmseg_queue_shutdown(&b) == 0);
  check(push('x', 1) == SHMSEG_SHUTDOWN);
  check(shmseg_queue_push(&a, bytes, CAPACITY, SHMSEG_FOREVER) == SHMSEG_SHUTDOWN);
  check(shmseg_queue_count(&r, &stats) == 0 && stats.shut && stats.messages == 2);
  check(pops('a', 3) && pops('b', 3) && take(1) == SHMSEG_SHUTDOWN && used == 0);
  check(take_fully(&b, got, sizeof got, 1, &used, SHMSEG_FOREVER) == SHMSEG_SHUTDOWN);
  check(!shmseg_queue_check(&a));
}

TEST_WITH(fresh, read_only, "a read-only handle looks, and neither pushes nor takes nor shuts") {
  uint64_t count;
  check(push('a', 3) == 0 && shmseg_queue_bytes(&r, &count) == 0 && count == 16);
  check(shmseg_queue_push(&r, "x", 1, 0) == SHMSEG_READ_ONLY);
  check(shmseg_queue_take(&r, got, sizeof got, 1, &used, 0) == SHMSEG_READ_ONLY);
  check(shmseg_queue_shutdown(&r) == SHMSEG_READ_ONLY && !shmseg_queue_check(&r));
  check(pops('a', 3));
}

static void pop_one(void *argument) {
  (void)argument;
  say('w');
  int err = take_fully(&b, got, sizeof got, 1, &used, in_ms(5000));
  say(err == 0 && is_record(0, 'a', 5) ? 't' : err == SHMSEG_SHUTDOWN ? 's' : 'x');
}

static void push_one(void *argument) {
  (void)argument;
  say('w');
  int err = push_fully(&a, "ccccc", 5, in_ms(5000));
  say(err == 0 ? 'p' : err == SHMSEG_SHUTDOWN ? 's' : 'x');
}

/* Copies a message, and claims it when it is told to. */
static void copy_one(void *argument) {
  shmseg_queue_batch batch;
  (void)argument;
  must(shmseg_queue_look(&b, &batch, 1, 0) == 0 && shmseg_queue_next(&b, &batch) == 0);
  must(shmseg_queue_copy(&b, &batch, got) == 0);
  say('w');
  hear();
  say(shmseg_queue_claim(&b, &batch) == SHMSEG_CHANGED ? 'n' : 't');
}

static child start_waiting(void (*body)(void *argument)) {
  child c = child_start(body, NULL);
  must(child_hear(&c) == 'w');
  usleep(30000);
  return c;
}

TESTS(woken) {
  set_up();
  test_begin("a push wakes who waits for a message, a take who waits for room");
  child c = start_waiting(pop_one);
  int64_t began = now_ms();
  check(push('a', 5) == 0 && child_hear(&c) == 't' && is_soon(began));
  check(child_end(&c) == 0 && push('b', CAPACITY) == 0);
  c = start_waiting(push_one);
  began = now_ms();
  check(pops('b', CAPACITY) && child_hear(&c) == 'p' && is_soon(began));
  check(child_end(&c) == 0 && pops('c', 5));
  test_done();
  test_begin("a shutdown wakes all who wait at either end");
  child consumer = start_waiting(pop_one), other = start_waiting(pop_one);
  began = now_ms();
  check(shmseg_queue_shutdown(&a) == 0);
  check(child_hear(&consumer) == 's' && child_hear(&other) == 's' && is_soon(began));
  child_end(&consumer);
  child_end(&other);
  tear_down();
  set_up();
  check(push('b', CAPACITY) == 0);
  child producer = start_waiting(push_one);
  began = now_ms();
  check(shmseg_queue_shutdown(&a) == 0);
  check(child_hear(&producer) == 's' && is_soon(began) && pops('b', CAPACITY));
  child_end(&producer);
  test_done();
  tear_down();
}

static void pop_often(void *argument) {
  (void)argument;
  for (int i = 0; i < WAKES; i++)
    say(take_fully(&b, got, sizeof got, 1, &used, in_ms(5000)) == 0 ? sleep_ended() : 'x');
}

static void push_often(void *argument) {
  (void)argument;
  for (int i = 0; i < WAKES; i++)
    say(push_fully(&a, bytes, CAPACITY, in_ms(5000)) == 0 ? sleep_ended() : 'x');
}

static bool push_next(int round) {
  (void)round;
  return push('a', 5) == 0;
}

static bool take_next(int round) {
  (void)round;
  return take(1) == 0;
}

TEST_WITH(fresh, woken_each_time,
          "both ends are woken each time, and do not depend on the end of their interval") {
  child c = child_start(pop_often, NULL);
  check(wakes_each_time(&c, push_next) && child_end(&c) == 0);
  check(push('b', CAPACITY) == 0);
  c = child_start(push_often, NULL);
  check(wakes_each_time(&c, take_next) && child_end(&c) == 0);
}

TEST_WITH(
    fresh, dead_ends,
    "a producer or a consumer that dies half way has done nothing, and the next one goes on") {
  check(push('a', 5) == 0);
  child c = child_inside(&ours, PRODUCERS), d = start_waiting(copy_one);
  memset(ours.data + RING + 16, 'x', 40); /* as far as the producer got */
  child_kill(&c);
  child_kill(&d);
  int64_t began = now_ms();
  check(push('b', 6) == 0 && pops('a', 5) && pops('b', 6) && is_soon(began));
  check(word_at(&ours, PRODUCERS) == SHMSEG_LOCK_FREE && !shmseg_queue_check(&a));
}

TEST_WITH(fresh, stopped_producer,
          "a producer who is stopped inside keeps producers until their deadline, and consumers "
          "not at all") {
  check(push('a', 5) == 0);
  child c = child_inside(&ours, PRODUCERS);
  int64_t began = now_ms();
  check(push('x', 1) == SHMSEG_TIMEOUT && pops('a', 5) && take(1) == SHMSEG_TIMEOUT);
  check(is_soon(began));
  began = now_ms();
  check(push_fully(&a, "x", 1, in_ms(150)) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 149 && is_soon(began));
  check(shmseg_queue_shutdown(&a) == 0);
  check(push_fully(&a, "x", 1, in_ms(5000)) == SHMSEG_SHUTDOWN);
  check(take_fully(&b, got, sizeof got, 1, &used, in_ms(5000)) == SHMSEG_SHUTDOWN);
  child_tell(&c);
  check(child_end(&c) == 0);
}

TEST_WITH(fresh, stopped_consumer,
          "a consumer who is stopped while it copies keeps nobody, and takes nothing of others") {
  check(push('a', 5) == 0 && push('b', 6) == 0);
  child c = start_waiting(copy_one);
  check(pops('a', 5) && push('c', 7) == 0 && pops('b', 6));
  child_tell(&c);
  check(child_hear(&c) == 'n' && child_end(&c) == 0 && pops('c', 7));
}

/* Nobody is at the other end any more: it waits, and is told of the end by a third. */
static bool waits_alone(void (*body)(void *argument), child *stopped) {
  must(kill(stopped->pid, SIGSTOP) == 0);
  child waiting = start_waiting(body);
  bool good = shmseg_queue_shutdown(&b) == 0 && child_hear(&waiting) == 's';
  good = child_end(&waiting) == 0 && good;
  must(kill(stopped->pid, SIGCONT) == 0);
  return good;
}

TEST_WITH(fresh, consumer_stopped,
          "a producer at a full queue whose consumer is stopped waits until its deadline, or until "
          "a shutdown by a third") {
  child consumer = start_waiting(pop_one);
  must(kill(consumer.pid, SIGSTOP) == 0);
  check(push('b', CAPACITY) == 0 && push('c', 1) == SHMSEG_TIMEOUT);
  check(push_fully(&a, "c", 1, in_ms(120)) == SHMSEG_TIMEOUT && waits_alone(push_one, &consumer));
  check(child_hear(&consumer) == 'x' && child_end(&consumer) == 0); /* it has the other message */
  check(take(1) == SHMSEG_SHUTDOWN && !shmseg_queue_check(&a));
}

TEST_WITH(fresh, producer_stopped,
          "a consumer at an empty queue whose producer is stopped waits until its deadline, or "
          "until a shutdown by a third") {
  check(push('b', CAPACITY) == 0);
  child producer = start_waiting(push_one);
  must(kill(producer.pid, SIGSTOP) == 0);
  check(pops('b', CAPACITY) && take(1) == SHMSEG_TIMEOUT);
  check(take_fully(&b, got, sizeof got, 1, &used, in_ms(120)) == SHMSEG_TIMEOUT);
  check(waits_alone(pop_one, &producer) && child_hear(&producer) == 's');
  check(child_end(&producer) == 0 && take(1) == SHMSEG_SHUTDOWN && !shmseg_queue_check(&a));
}

TEST_WITH(fresh, forked, "a forked child uses the queue as a process of its own") {
  check(push('a', 5) == 0 && pops('a', 5));
  child c = start_waiting(pop_one);
  check(push('a', 5) == 0 && child_hear(&c) == 't' && child_end(&c) == 0);
  c = start_waiting(push_one);
  check(child_hear(&c) == 'p' && child_end(&c) == 0 && pops('c', 5));
}

/* Neither end goes on with these two words, and the lock is not kept. */
static bool refuses(uint64_t tail, uint64_t head) {
  uint64_t count;
  shmseg_queue_stats stats;
  set_number(&ours, TAIL, tail);
  set_number(&ours, HEAD, head);
  reopen();
  uint32_t dirty = SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY;
  bool good = push('x', 1) == SHMSEG_CORRUPT && word_at(&ours, PRODUCERS) == dirty;
  good = good && take(1) == SHMSEG_CORRUPT && used == 0;
  good = good && shmseg_queue_bytes(&r, &count) == SHMSEG_CORRUPT && count == 0;
  return good && shmseg_queue_count(&r, &stats) == SHMSEG_CORRUPT && shmseg_queue_check(&a);
}

TESTS(corrupt) {
  shmseg_queue_stats stats;
  set_up();
  test_begin("a head or a tail that cannot be is corrupt, and no lock stays behind");
  check(refuses(0, 0) && refuses(LENGTH << 1, 0) && refuses(0, LENGTH));
  check(refuses(LENGTH << 1, LENGTH + 8) && refuses((2 * LENGTH + 8) << 1, LENGTH));
  check(refuses((LENGTH + 4) << 1, LENGTH) && refuses((LENGTH + 8) << 1, LENGTH + 1));
  check(refuses((LENGTH - 8) << 1, LENGTH - 8) && refuses(UINT64_MAX - 1, LENGTH));
  set_number(&ours, TAIL, (LENGTH + 16) << 1);
  set_number(&ours, HEAD, LENGTH);
  reopen();
  test_done();
  test_begin("a record that cannot be is corrupt, and nothing of it is taken");
  static const uint64_t wrong[] = { 9, CAPACITY, CAPACITY + 1, UINT64_MAX, UINT64_MAX - 7 };
  for (int i = 0; i < 5; i++) {
    set_number(&ours, RING, wrong[i]);
    check(take(1) == SHMSEG_CORRUPT && number_at(&ours, HEAD) == LENGTH);
    check(shmseg_queue_count(&r, &stats) == SHMSEG_CORRUPT && shmseg_queue_check(&b));
  }
  set_number(&ours, RING, 8);
  check(take(1) == 0 && used == 16 && push('a', CAPACITY) == 0 && pops('a', CAPACITY));
  set_word(&ours, PRODUCERS, 0);
  check(push('x', 1) == SHMSEG_CORRUPT && shmseg_queue_check(&b));
  test_done();
  tear_down();
}

TEST_WITH(fresh, far_away, "positions may be as high as they like") {
  uint64_t start = ((uint64_t)1 << 62) - ((uint64_t)1 << 62) % LENGTH + 56;
  set_number(&ours, TAIL, start << 1);
  set_number(&ours, HEAD, start);
  reopen();
  for (size_t size = 0; size <= CAPACITY; size++)
    check(push('a', size) == 0 && pops('a', size) && !shmseg_queue_check(&a));
}

TEST_WITH(fresh, truncated,
          "after a cut a queue says so, and so does one whose segment is closed") {
  uint64_t count;
  check(push('a', 5) == 0);
  must(ftruncate(ours.fd, 0) == 0);
  check(take_fully(&b, got, sizeof got, 1, &used, SHMSEG_FOREVER) == SHMSEG_TRUNCATED);
  check(push('x', 1) == SHMSEG_TRUNCATED && shmseg_queue_shutdown(&a) == SHMSEG_TRUNCATED);
  check(shmseg_queue_bytes(&r, &count) == SHMSEG_TRUNCATED);
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  check(push('x', 1) == SHMSEG_TRUNCATED);
  must(shmseg_queue_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(CAPACITY),
                         NULL) == 0);
  reopen();
  check(push('b', 5) == 0 && pops('b', 5));
  shmseg_segment_close(&ours);
  check(push('x', 1) == SHMSEG_CLOSED && take(1) == SHMSEG_CLOSED && used == 0);
  shmseg_queue_close(&a);
  check(push('x', 1) == SHMSEG_CLOSED && shmseg_queue_shutdown(&a) == SHMSEG_CLOSED);
}
