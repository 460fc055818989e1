/* SPDX-License-Identifier: MIT */
/* The broadcast, stepped: several messages that are published by one store, or read as a batch. */
#include <string.h>

#include "nouns/broadcast/step.h"

/* Publishes messages of these sizes, whose letters are e, f, g and h. */
static void publish_sizes(const size_t *sizes, size_t count, uint64_t last) {
  static unsigned char bytes[4][STEP_CAPACITY];
  shmseg_source messages[4];
  size_t published = 0, now = 0;
  int64_t deadline = 0;
  uint64_t sequence = 0;
  int err;
  for (size_t i = 0; i < count; i++) {
    memcpy(bytes[i], step_message((char)('e' + i), sizes[i]), sizes[i]);
    messages[i] = (shmseg_source){ bytes[i], sizes[i], NULL };
  }
  do {
    err = shmseg_broadcast_publish_many(&broadcast, messages + published, count - published, &now,
                                        &deadline, &sequence);
    published += now;
  } while (err == SHMSEG_INTERRUPTED);
  step_expect(err == 0 && published == count && sequence == last);
}

static void publish_one(void) {
  publish_sizes((const size_t[]){ 8 }, 1, 3);
}

static void publish_two(void) {
  publish_sizes((const size_t[]){ 8, 8 }, 2, 2);
}

static void publish_two_over(void) {
  publish_sizes((const size_t[]){ 8, 8 }, 2, 4);
}

static void publish_two_behind_one(void) {
  publish_sizes((const size_t[]){ 0, 3 }, 2, 3);
}

static void publish_three(void) {
  publish_sizes((const size_t[]){ 0, 0, 1 }, 3, 5);
}

static void publish_three_in_two(void) {
  publish_sizes((const size_t[]){ 8, 8, 8 }, 3, 3);
}

/* --- starting states -------------------------------------------------------------------------- */

static void a(void) {
  broadcast_publish_now('a', 8);
}

static void two(void) {
  broadcast_publish_now('a', 8), broadcast_publish_now('b', 8);
}

/* The same, when three were published: the other end is in use. */
static void two_of_three(void) {
  broadcast_publish_now('z', 8), two();
}

static void publish_two_over_three(void) {
  publish_sizes((const size_t[]){ 8, 8 }, 2, 5);
}

static void shut(void) {
  step_expect(shmseg_broadcast_shutdown(&broadcast) == 0);
}

static void publish_shut(void) {
  const shmseg_source messages[2] = { { "x", 1, NULL }, { "y", 1, NULL } };
  int64_t deadline = 0;
  size_t published = 9;
  uint64_t sequence;
  step_expect(shmseg_broadcast_publish_many(&broadcast, messages, 2, &published, &deadline,
                                            &sequence) == SHMSEG_SHUTDOWN);
  step_expect(published == 0);
}

/* --- batches ---------------------------------------------------------------------------------- */

static void read_batch(void) {
  shmseg_subscription s;
  shmseg_subscription_batch batch = { 0 };
  unsigned char bytes[2][8];
  uint64_t floor;
  step_expect(shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_LAST(2), &s) == 0);
  step_expect(shmseg_subscription_look(&s, &batch, 0) == 0 && batch.sequence == 1);
  for (int i = 0; i < 2; i++) {
    step_expect(shmseg_subscription_show(&s, &batch) == 0 && batch.size == 8);
    step_expect(shmseg_subscription_copy(&s, &batch, bytes[i]) == 0);
    step_expect(step_is_message(bytes[i], 8, (char)('a' + i), 8));
  }
  step_expect(shmseg_subscription_show(&s, &batch) == SHMSEG_EMPTY);
  step_expect(shmseg_subscription_confirm(&s, &batch, &floor) == 0);
  shmseg_subscription_advance(&s, &batch);
  step_expect(shmseg_subscription_look(&s, &batch, 0) == SHMSEG_TIMEOUT);
}

static void count(void) {
  shmseg_broadcast_stats stats;
  step_expect(shmseg_broadcast_count(&broadcast, &stats) == 0);
  step_expect(stats.first == 2 && stats.next == 3 && stats.bytes == 24 && !stats.shut);
}

/* --- cases ------------------------------------------------------------------------------------ */

const step_case broadcast_many_cases[] = {
  { .sentence = "publish one, over the oldest",
    .actors = { AFTER(two), LATE_ONE },
    .operate = publish_one,
    .outcomes = { "1:a8 2:b8, then 3", "2:b8, then 3", "2:b8 3:e8, then 4" } },
  { .sentence = "publish two",
    .actors = { LATE_ONE },
    .operate = publish_two,
    .outcomes = { "none, then 1", "1:e8 2:f8, then 3" } },
  { .sentence = "publish two behind one",
    .actors = { AFTER(a), LATE_ONE },
    .operate = publish_two_behind_one,
    .outcomes = { "1:a8, then 2", "none, then 2", "2:0 3:f3, then 4" } },
  { .sentence = "publish two over two, around the end",
    .actors = { AFTER(two), LATE_ONE },
    .operate = publish_two_over,
    .outcomes = { "1:a8 2:b8, then 3", "none, then 3", "3:e8 4:f8, then 5" } },
  { .sentence = "publish two over two of three",
    .actors = { AFTER(two_of_three), LATE_ONE },
    .operate = publish_two_over_three,
    .outcomes = { "2:a8 3:b8, then 4", "none, then 4", "4:e8 5:f8, then 6" } },
  { .sentence = "publish three over two",
    .actors = { AFTER(two), LATE_ONE },
    .operate = publish_three,
    .outcomes = { "1:a8 2:b8, then 3", "none, then 3", "3:0 4:0 5:g1, then 6" } },
  { .sentence = "publish three, of which two fit",
    .actors = { LATE_ONE },
    .operate = publish_three_in_two,
    .outcomes = { "none, then 1", "1:e8 2:f8, then 3", "2:f8, then 3", "2:f8 3:g8, then 4" } },
  { .sentence = "publish two, a publisher died over the oldest",
    .actors = { AFTER(two), AFTER(broadcast_die_over_a) },
    .operate = publish_two_over,
    .outcomes = { "2:b8, then 3", "none, then 3", "3:e8 4:f8, then 5" } },
  { .sentence = "publish two, two sleep",
    .actors = { SLEEPER, SLEEPER },
    .operate = publish_two,
    .outcomes = { "none, then 1", "1:e8 2:f8, then 3" },
    .wakes = 2 },
  { .sentence = "publish two, shut",
    .actors = { AFTER(a), AFTER(shut) },
    .operate = publish_shut,
    .outcomes = { "1:a8, then 2, shut" } },
  { .sentence = "read the last two as a batch, a reader",
    .actors = { AFTER(two) },
    .prepare = broadcast_be_reader,
    .operate = read_batch,
    .outcomes = { "1:a8 2:b8, then 3" },
    .changes_nothing = true },
  { .sentence = "count, a publisher died over the oldest, a reader",
    .actors = { AFTER(two), AFTER(broadcast_die_over_a) },
    .prepare = broadcast_be_reader,
    .operate = count,
    .outcomes = { "2:b8, then 3" },
    .changes_nothing = true },
  { 0 },
};
