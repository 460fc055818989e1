/* SPDX-License-Identifier: MIT */
/* The queue, stepped: one message pushed or taken, and the shutdown. */
#include <errno.h>
#include <string.h>

#include "nouns/queue/step.h"

/* --- producers -------------------------------------------------------------------------------- */

static void push_d(void) {
  queue_push_now('d', 24);
}

static void push_nothing(void) {
  queue_push_now('d', 0);
}

static void push_as_much(void) {
  queue_push_now('d', STEP_CAPACITY);
}

static void push_last(void) {
  queue_push_now('d', 8);
}

static void push_in_vain(void) {
  step_expect(queue_push(&queue, 'd', 8, 0) == SHMSEG_TIMEOUT);
}

static void push_and_wait(void) {
  step_expect(queue_push(&queue, 'd', 8, step_deadline(20)) == SHMSEG_TIMEOUT);
}

static void push_shut(void) {
  step_expect(queue_push(&queue, 'd', 8, step_deadline(20)) == SHMSEG_SHUTDOWN);
}

static void push_too_much(void) {
  step_expect(queue_push(&queue, 'd', STEP_CAPACITY + 1, 0) == EINVAL);
}

/* --- consumers -------------------------------------------------------------------------------- */

static void pop(void) {
  step_expect(queue_takes(&queue, 'a', 8));
}

static void pop_wrapped(void) {
  step_expect(queue_takes(&queue, 'a', 24));
}

static void take_into_less(void) {
  uint64_t available[1];
  size_t used;
  step_expect(shmseg_queue_take(&queue, available, sizeof available, 1, &used, 0) ==
              SHMSEG_TOO_SMALL);
}

/* Claims the first message, perhaps after it was taken. */
static int claim_shown(bool taken_before) {
  shmseg_queue_batch batch;
  step_expect(shmseg_queue_look(&queue, &batch, 1, 0) == 0);
  step_expect(shmseg_queue_next(&queue, &batch) == 0);
  step_expect(step_is_message(batch.bytes, batch.size, 'a', 8));
  step_expect(!taken_before || queue_takes(&queue, 'a', 8));
  return shmseg_queue_claim(&queue, &batch);
}

static void claim(void) {
  step_expect(claim_shown(false) == 0);
}

static void claim_too_late(void) {
  step_expect(claim_shown(true) == SHMSEG_CHANGED);
}

static void pop_in_vain(void) {
  queue_records r;
  step_expect(queue_take(&queue, &r, 1, 0) == SHMSEG_TIMEOUT);
}

static void pop_and_wait(void) {
  queue_records r;
  step_expect(queue_take(&queue, &r, 1, step_deadline(20)) == SHMSEG_TIMEOUT);
}

static void pop_shut(void) {
  queue_records r;
  step_expect(queue_take(&queue, &r, 1, step_deadline(20)) == SHMSEG_SHUTDOWN);
}

static void be_reader(void) {
  static shmseg_segment segment;
  step_expect(step_open_reader(&segment) == 0);
  step_expect(shmseg_queue_open(&queue, shmseg_segment_whole(&segment), SHMSEG_READ, NULL, NULL) ==
              0);
}

static void count_two(void) {
  shmseg_queue_stats stats;
  uint64_t bytes;
  step_expect(shmseg_queue_count(&queue, &stats) == 0 && stats.messages == 2 && !stats.shut);
  step_expect(shmseg_queue_bytes(&queue, &bytes) == 0 && bytes == 32 && stats.bytes == 32);
}

/* --- cases ------------------------------------------------------------------------------------ */

const step_case queue_cases[] = {
  { .sentence = "push", .operate = queue_push_a, .outcomes = { "empty", "a8" } },
  { .sentence = "push by who has no identity yet",
    .operate = queue_push_a,
    .outcomes = { "empty", "a8" },
    TAKES_IDENTITY },
  { .sentence = "push behind others, the last that fits",
    .actors = { AFTER(queue_push_two) },
    .operate = push_last,
    .outcomes = { "a8 b8", "a8 b8 d8" } },
  { .sentence = "push an empty message", .operate = push_nothing, .outcomes = { "empty", "0" } },
  { .sentence = "push a message as large as can be",
    .operate = push_as_much,
    .outcomes = { "empty", "d40" } },
  { .sentence = "push a message as large as can be, around the end",
    .actors = { AFTER(queue_turn) },
    .operate = push_as_much,
    .outcomes = { "empty", "d40" } },
  { .sentence = "push around the end of the ring",
    .actors = { AFTER(queue_turn) },
    .operate = push_d,
    .outcomes = { "empty", "d24" } },
  { .sentence = "push around the end of the ring, behind the size",
    .actors = { AFTER(queue_turn_more) },
    .operate = push_d,
    .outcomes = { "empty", "d24" } },
  { .sentence = "push three at once",
    .operate = queue_push_three,
    .outcomes = { "empty", "a8", "a8 b8", "a8 b8 c8" } },
  { .sentence = "push in vain with a timeout of 0, full",
    .actors = { AFTER(queue_push_three) },
    .operate = push_in_vain,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push in vain, full",
    .actors = { AFTER(queue_push_three) },
    .operate = push_and_wait,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push more than the capacity",
    .actors = { AFTER(queue_push_a) },
    .operate = push_too_much,
    .outcomes = { "a8" },
    .changes_nothing = true },
  { .sentence = "push, shut",
    .actors = { AFTER(queue_push_a), AFTER(queue_shut) },
    .operate = push_shut,
    .outcomes = { "a8 shut" } },
  { .sentence = "push, a producer died",
    .actors = { AFTER(queue_die_pushing) },
    .operate = queue_push_a,
    .outcomes = { "empty", "a8" } },
  { .sentence = "push around the end, a producer died",
    .actors = { AFTER(queue_turn), AFTER(queue_push_a), AFTER(queue_die_pushing) },
    .operate = push_d,
    .outcomes = { "a8", "a8 d24" } },
  { .sentence = "push in vain with a timeout of 0, full, a producer died",
    .actors = { AFTER(queue_push_three), AFTER(queue_die_pushing) },
    .operate = push_in_vain,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push, a consumer sleeps",
    .actors = { QUEUE_CONSUMER },
    .operate = queue_push_a,
    .outcomes = { "empty", "a8" },
    .wakes = 1 },
  { .sentence = "push, two consumers sleep",
    .actors = { QUEUE_CONSUMER, QUEUE_CONSUMER },
    .operate = queue_push_a,
    .outcomes = { "empty", "a8" },
    .wakes = 2 },
  { .sentence = "push, a producer sleeps for more room",
    .actors = { AFTER(queue_push_two), { STEP_SLEEPS, queue_sleep_for_more_room, NULL } },
    .operate = push_last,
    .outcomes = { "a8 b8", "a8 b8 d8" } },
  /* a word of one's own that one does not hold is a dead owner's */
  { .sentence = "push, a producer sleeps for the lock",
    .actors = { QUEUE_PRODUCER },
    .prepare = queue_be_producer,
    .operate = queue_push_a,
    .outcomes = { "empty", "a8" },
    .wakes = 1 },
  { .sentence = "push in vain with a timeout of 0, a producer is inside and lives",
    .actors = { { STEP_STAYS, queue_be_producer, queue_leave } },
    .operate = push_in_vain,
    .outcomes = { "empty" } },
  { .sentence = "push, shut, a producer is inside and lives",
    .actors = { AFTER(queue_shut), { STEP_STAYS, queue_be_producer, queue_leave } },
    .operate = push_shut,
    .outcomes = { "empty shut" } },
  { .sentence = "push, flagged by somebody dead",
    .actors = { AFTER(pop_and_wait) },
    .operate = queue_push_a,
    .outcomes = { "empty", "a8" } },
  { .sentence = "pop the only one",
    .actors = { AFTER(queue_push_a) },
    .operate = pop,
    .outcomes = { "a8", "empty" } },
  { .sentence = "pop by who has no identity, and takes none",
    .actors = { AFTER(queue_push_two) },
    .operate = pop,
    .outcomes = { "a8 b8", "b8" },
    .no_identity = true },
  { .sentence = "pop around the end of the ring",
    .actors = { AFTER(queue_turn), AFTER(queue_push_wrapped) },
    .operate = pop_wrapped,
    .outcomes = { "a24 b8", "b8" } },
  { .sentence = "pop around the end of the ring, behind the size",
    .actors = { AFTER(queue_turn_more), AFTER(queue_push_wrapped) },
    .operate = pop_wrapped,
    .outcomes = { "a24 b8", "b8" } },
  { .sentence = "take with too little room",
    .actors = { AFTER(queue_push_two) },
    .operate = take_into_less,
    .outcomes = { "a8 b8" } },
  { .sentence = "pop in vain with a timeout of 0, empty",
    .operate = pop_in_vain,
    .outcomes = { "empty" } },
  { .sentence = "pop in vain, empty", .operate = pop_and_wait, .outcomes = { "empty" } },
  { .sentence = "pop, shut and empty",
    .actors = { AFTER(queue_shut) },
    .operate = pop_shut,
    .outcomes = { "empty shut" } },
  { .sentence = "pop the last one, shut",
    .actors = { AFTER(queue_push_a), AFTER(queue_shut) },
    .operate = pop,
    .outcomes = { "a8 shut", "empty shut" } },
  { .sentence = "pop, a producer died",
    .actors = { AFTER(queue_push_two), AFTER(queue_die_pushing) },
    .operate = pop,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop, a producer sleeps",
    .actors = { AFTER(queue_push_three), QUEUE_PRODUCER },
    .operate = pop,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "claim",
    .actors = { AFTER(queue_push_two) },
    .operate = claim,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "claim by who has no identity, and takes none, shut",
    .actors = { AFTER(queue_push_a), AFTER(queue_shut) },
    .operate = claim,
    .outcomes = { "a8 shut", "empty shut" },
    .no_identity = true },
  { .sentence = "claim, a producer sleeps",
    .actors = { AFTER(queue_push_three), QUEUE_PRODUCER },
    .operate = claim,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "claim what was taken, a producer died",
    .actors = { AFTER(queue_push_two), AFTER(queue_die_pushing) },
    .operate = claim_too_late,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "count, a reader",
    .actors = { AFTER(queue_push_two), AFTER(queue_die_pushing) },
    .prepare = be_reader,
    .operate = count_two,
    .outcomes = { "a8 b8" },
    .changes_nothing = true },
  { .sentence = "shut", .operate = queue_shut, .outcomes = { "empty", "empty shut" } },
  { .sentence = "shut with messages",
    .actors = { AFTER(queue_push_two) },
    .operate = queue_shut,
    .outcomes = { "a8 b8", "a8 b8 shut" } },
  { .sentence = "shut, already shut",
    .actors = { AFTER(queue_shut) },
    .operate = queue_shut,
    .outcomes = { "empty shut" },
    .changes_nothing = true },
  { .sentence = "shut, a producer died",
    .actors = { AFTER(queue_push_two), AFTER(queue_die_pushing) },
    .operate = queue_shut,
    .outcomes = { "a8 b8", "a8 b8 shut" } },
  { .sentence = "shut, a producer is inside and lives",
    .actors = { AFTER(queue_push_a), { STEP_STAYS, queue_be_producer, queue_leave } },
    .operate = queue_shut,
    .outcomes = { "a8", "a8 shut" } },
  { .sentence = "shut, two consumers sleep",
    .actors = { QUEUE_CONSUMER, QUEUE_CONSUMER },
    .operate = queue_shut,
    .outcomes = { "empty", "empty shut" },
    .wakes = 2 },
  { .sentence = "shut, two producers sleep",
    .actors = { AFTER(queue_push_three), QUEUE_PRODUCER, QUEUE_PRODUCER },
    .operate = queue_shut,
    .outcomes = { "a8 b8 c8", "a8 b8 c8 shut" },
    .wakes = 2 },
  { 0 },
};
