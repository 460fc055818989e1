/* SPDX-License-Identifier: MIT */
/* The queue, stepped: the cases, and who plays in them. */
#include <errno.h>
#include <string.h>

#include "nouns/queue/step.h"

/* --- states ----------------------------------------------------------------------------------- */

static void push(char letter, size_t size) {
  step_expect(queue_push(&queue, letter, size, 0) == 0);
}

static void push_a(void) {
  push('a', 8);
}

static void push_two(void) {
  push_a(), push('b', 8);
}

static void push_three(void) {
  push_two(), push('c', 8);
}

/* Empty, with 16 bytes to the end of the ring: a long message wraps in its bytes. */
static void turn(void) {
  push_two();
  step_expect(queue_takes(&queue, 'a', 8) && queue_takes(&queue, 'b', 8));
}

/* Empty, with 8 bytes to the end of the ring: a message wraps behind its size. */
static void turn_more(void) {
  turn();
  push('x', 0);
  step_expect(queue_takes(&queue, 'x', 0));
}

static void push_wrapped(void) {
  push('a', 24), push('b', 8);
}

static void shut(void) {
  step_expect(shmseg_queue_shutdown(&queue) == 0);
}

/* --- producers -------------------------------------------------------------------------------- */

static void push_d(void) {
  push('d', 24);
}

static void push_nothing(void) {
  push('d', 0);
}

static void push_as_much(void) {
  push('d', STEP_CAPACITY);
}

static void push_last(void) {
  push('d', 8);
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

static void drain(void) {
  queue_records r;
  step_expect(queue_take(&queue, &r, UINT64_MAX, 0) == 0 && r.used == RING);
}

static void take_two(void) {
  queue_records r;
  step_expect(queue_take(&queue, &r, 2, 0) == 0 && r.used == 32);
}

static void take_into_less(void) {
  uint64_t available[1];
  size_t used;
  step_expect(shmseg_queue_take(&queue, available, sizeof available, 1, &used, 0) ==
              SHMSEG_TOO_SMALL);
}

/* Room for one and a half. */
static void take_what_fits(void) {
  uint64_t available[3];
  size_t used;
  step_expect(shmseg_queue_take(&queue, available, sizeof available, 9, &used, 0) == 0 &&
              used == 16);
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

/* --- sleepers --------------------------------------------------------------------------------- */

/* A consumer gives back in the end what it has got: the user finds it there, or not, as if nobody
 * had been asleep. A producer queue_takes its own back. */
static queue_records got;
static bool has_pushed;

static void sleep_for_message(void) {
  int err;
  STEP_UNTIL_OVER(
      err, shmseg_queue_take(&queue, got.words, sizeof got.words, 1, &got.used, SHMSEG_FOREVER));
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED || err == SHMSEG_SHUTDOWN);
}

static void give_back(void) {
  size_t size;
  const unsigned char *bytes = queue_next(&got, &size);
  step_expect(!bytes || shmseg_queue_push(&queue, bytes, size, 0) == 0);
}

static int push_until_over(size_t size) {
  int err;
  STEP_UNTIL_OVER(err, shmseg_queue_push(&queue, step_message('p', size), size, SHMSEG_FOREVER));
  return err;
}

static void sleep_for_room(void) {
  int err = push_until_over(8);
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED || err == SHMSEG_SHUTDOWN);
  has_pushed = err == 0;
}

static void sleep_for_more_room(void) {
  step_expect(push_until_over(24) == SHMSEG_INTERRUPTED);
}

static void withdraw(void) {
  queue_records all;
  size_t size;
  const unsigned char *bytes;
  if (!has_pushed)
    return;
  step_expect(queue_take(&queue, &all, UINT64_MAX, 0) == 0);
  while ((bytes = queue_next(&all, &size)) != NULL) {
    if (has_pushed && step_is_message(bytes, size, 'p', 8))
      has_pushed = false;
    else
      step_expect(shmseg_queue_push(&queue, bytes, size, 0) == 0);
  }
  step_expect(!has_pushed);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define CONSUMER                                                                                   \
  { STEP_SLEEPS, sleep_for_message, give_back }
#define PRODUCER                                                                                   \
  { STEP_SLEEPS, sleep_for_room, withdraw }

const step_case queue_cases[] = {
  { .sentence = "push", .operate = push_a, .outcomes = { "empty", "a8" } },
  { .sentence = "push by who has no identity yet",
    .operate = push_a,
    .outcomes = { "empty", "a8" },
    TAKES_IDENTITY },
  { .sentence = "push behind others, the last that fits",
    .actors = { AFTER(push_two) },
    .operate = push_last,
    .outcomes = { "a8 b8", "a8 b8 d8" } },
  { .sentence = "push an empty message", .operate = push_nothing, .outcomes = { "empty", "0" } },
  { .sentence = "push a message as large as can be",
    .operate = push_as_much,
    .outcomes = { "empty", "d40" } },
  { .sentence = "push a message as large as can be, around the end",
    .actors = { AFTER(turn) },
    .operate = push_as_much,
    .outcomes = { "empty", "d40" } },
  { .sentence = "push around the end of the ring",
    .actors = { AFTER(turn) },
    .operate = push_d,
    .outcomes = { "empty", "d24" } },
  { .sentence = "push around the end of the ring, behind the size",
    .actors = { AFTER(turn_more) },
    .operate = push_d,
    .outcomes = { "empty", "d24" } },
  { .sentence = "push three at once",
    .operate = push_three,
    .outcomes = { "empty", "a8", "a8 b8", "a8 b8 c8" } },
  { .sentence = "push in vain with a timeout of 0, full",
    .actors = { AFTER(push_three) },
    .operate = push_in_vain,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push in vain, full",
    .actors = { AFTER(push_three) },
    .operate = push_and_wait,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push more than the capacity",
    .actors = { AFTER(push_a) },
    .operate = push_too_much,
    .outcomes = { "a8" },
    .changes_nothing = true },
  { .sentence = "push, shut",
    .actors = { AFTER(push_a), AFTER(shut) },
    .operate = push_shut,
    .outcomes = { "a8 shut" } },
  { .sentence = "push, a producer died",
    .actors = { AFTER(queue_die_pushing) },
    .operate = push_a,
    .outcomes = { "empty", "a8" } },
  { .sentence = "push around the end, a producer died",
    .actors = { AFTER(turn), AFTER(push_a), AFTER(queue_die_pushing) },
    .operate = push_d,
    .outcomes = { "a8", "a8 d24" } },
  { .sentence = "push in vain with a timeout of 0, full, a producer died",
    .actors = { AFTER(push_three), AFTER(queue_die_pushing) },
    .operate = push_in_vain,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push, a consumer sleeps",
    .actors = { CONSUMER },
    .operate = push_a,
    .outcomes = { "empty", "a8" },
    .wakes = 1 },
  { .sentence = "push, two consumers sleep",
    .actors = { CONSUMER, CONSUMER },
    .operate = push_a,
    .outcomes = { "empty", "a8" },
    .wakes = 2 },
  { .sentence = "push, a producer sleeps for more room",
    .actors = { AFTER(push_two), { STEP_SLEEPS, sleep_for_more_room, NULL } },
    .operate = push_last,
    .outcomes = { "a8 b8", "a8 b8 d8" } },
  /* a word of one's own that one does not hold is a dead owner's */
  { .sentence = "push, a producer sleeps for the lock",
    .actors = { PRODUCER },
    .prepare = queue_be_producer,
    .operate = push_a,
    .outcomes = { "empty", "a8" },
    .wakes = 1 },
  { .sentence = "push in vain with a timeout of 0, a producer is inside and lives",
    .actors = { { STEP_STAYS, queue_be_producer, queue_leave } },
    .operate = push_in_vain,
    .outcomes = { "empty" } },
  { .sentence = "push, shut, a producer is inside and lives",
    .actors = { AFTER(shut), { STEP_STAYS, queue_be_producer, queue_leave } },
    .operate = push_shut,
    .outcomes = { "empty shut" } },
  { .sentence = "push, flagged by somebody dead",
    .actors = { AFTER(pop_and_wait) },
    .operate = push_a,
    .outcomes = { "empty", "a8" } },
  { .sentence = "pop the only one",
    .actors = { AFTER(push_a) },
    .operate = pop,
    .outcomes = { "a8", "empty" } },
  { .sentence = "pop by who has no identity, and takes none",
    .actors = { AFTER(push_two) },
    .operate = pop,
    .outcomes = { "a8 b8", "b8" },
    .no_identity = true },
  { .sentence = "pop around the end of the ring",
    .actors = { AFTER(turn), AFTER(push_wrapped) },
    .operate = pop_wrapped,
    .outcomes = { "a24 b8", "b8" } },
  { .sentence = "pop around the end of the ring, behind the size",
    .actors = { AFTER(turn_more), AFTER(push_wrapped) },
    .operate = pop_wrapped,
    .outcomes = { "a24 b8", "b8" } },
  { .sentence = "take all of several",
    .actors = { AFTER(push_three) },
    .operate = drain,
    .outcomes = { "a8 b8 c8", "empty" } },
  { .sentence = "take all of several, around the end",
    .actors = { AFTER(turn), AFTER(push_three) },
    .operate = drain,
    .outcomes = { "a8 b8 c8", "empty" } },
  { .sentence = "take two of three",
    .actors = { AFTER(push_three) },
    .operate = take_two,
    .outcomes = { "a8 b8 c8", "c8" } },
  { .sentence = "take as many as there is room for",
    .actors = { AFTER(push_three) },
    .operate = take_what_fits,
    .outcomes = { "a8 b8 c8", "b8 c8" } },
  { .sentence = "take with too little room",
    .actors = { AFTER(push_two) },
    .operate = take_into_less,
    .outcomes = { "a8 b8" } },
  { .sentence = "pop in vain with a timeout of 0, empty",
    .operate = pop_in_vain,
    .outcomes = { "empty" } },
  { .sentence = "pop in vain, empty", .operate = pop_and_wait, .outcomes = { "empty" } },
  { .sentence = "pop, shut and empty",
    .actors = { AFTER(shut) },
    .operate = pop_shut,
    .outcomes = { "empty shut" } },
  { .sentence = "pop the last one, shut",
    .actors = { AFTER(push_a), AFTER(shut) },
    .operate = pop,
    .outcomes = { "a8 shut", "empty shut" } },
  { .sentence = "pop, a producer died",
    .actors = { AFTER(push_two), AFTER(queue_die_pushing) },
    .operate = pop,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop, a producer sleeps",
    .actors = { AFTER(push_three), PRODUCER },
    .operate = pop,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "take all, two producers sleep",
    .actors = { AFTER(push_three), PRODUCER, PRODUCER },
    .operate = drain,
    .outcomes = { "a8 b8 c8", "empty" },
    .wakes = 2 },
  { .sentence = "claim",
    .actors = { AFTER(push_two) },
    .operate = claim,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "claim by who has no identity, and takes none, shut",
    .actors = { AFTER(push_a), AFTER(shut) },
    .operate = claim,
    .outcomes = { "a8 shut", "empty shut" },
    .no_identity = true },
  { .sentence = "claim, a producer sleeps",
    .actors = { AFTER(push_three), PRODUCER },
    .operate = claim,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "claim what was taken, a producer died",
    .actors = { AFTER(push_two), AFTER(queue_die_pushing) },
    .operate = claim_too_late,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "count, a reader",
    .actors = { AFTER(push_two), AFTER(queue_die_pushing) },
    .prepare = be_reader,
    .operate = count_two,
    .outcomes = { "a8 b8" },
    .changes_nothing = true },
  { .sentence = "shut", .operate = shut, .outcomes = { "empty", "empty shut" } },
  { .sentence = "shut with messages",
    .actors = { AFTER(push_two) },
    .operate = shut,
    .outcomes = { "a8 b8", "a8 b8 shut" } },
  { .sentence = "shut, already shut",
    .actors = { AFTER(shut) },
    .operate = shut,
    .outcomes = { "empty shut" },
    .changes_nothing = true },
  { .sentence = "shut, a producer died",
    .actors = { AFTER(push_two), AFTER(queue_die_pushing) },
    .operate = shut,
    .outcomes = { "a8 b8", "a8 b8 shut" } },
  { .sentence = "shut, a producer is inside and lives",
    .actors = { AFTER(push_a), { STEP_STAYS, queue_be_producer, queue_leave } },
    .operate = shut,
    .outcomes = { "a8", "a8 shut" } },
  { .sentence = "shut, two consumers sleep",
    .actors = { CONSUMER, CONSUMER },
    .operate = shut,
    .outcomes = { "empty", "empty shut" },
    .wakes = 2 },
  { .sentence = "shut, two producers sleep",
    .actors = { AFTER(push_three), PRODUCER, PRODUCER },
    .operate = shut,
    .outcomes = { "a8 b8 c8", "a8 b8 c8 shut" },
    .wakes = 2 },
  { 0 },
};
