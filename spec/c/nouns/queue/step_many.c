/* SPDX-License-Identifier: MIT */
/* The queue, stepped: several messages that are pushed, or taken, by one store. */
#include <errno.h>
#include <string.h>

#include "nouns/queue/step.h"

/* --- producers -------------------------------------------------------------------------------- */

/* Pushes messages of these sizes, whose letters are d, e, f and g: *pushed of them. */
static int push_sizes(const size_t *sizes, size_t count, size_t *pushed) {
  static unsigned char bytes[4][STEP_CAPACITY + 1];
  shmseg_source messages[4];
  size_t now = 0;
  int err;
  for (size_t i = 0; i < count; i++) {
    memcpy(bytes[i], step_message((char)('d' + i), sizes[i]), sizes[i]);
    messages[i] = (shmseg_source){ bytes[i], sizes[i], NULL };
  }
  *pushed = 0;
  do {
    err = shmseg_queue_push_many(&queue, messages + *pushed, count - *pushed, &now, 0);
    *pushed += now;
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

static void push_all(size_t count) {
  static const size_t sizes[] = { 8, 8, 8 };
  size_t pushed;
  step_expect(push_sizes(sizes, count, &pushed) == 0 && pushed == count);
}

static void push_none(void) {
  push_all(0);
}

static void push_one(void) {
  push_all(1);
}

static void push_two(void) {
  push_all(2);
}

static void push_three(void) {
  push_all(3);
}

static void push_short_and_long(void) {
  static const size_t sizes[] = { 7, 24 };
  size_t pushed;
  step_expect(push_sizes(sizes, 2, &pushed) == 0 && pushed == 2);
}

/* More than there is room for. */
static void push_four(size_t fit, int err) {
  static const size_t sizes[] = { 8, 8, 8, 8 };
  size_t pushed;
  step_expect(push_sizes(sizes, 4, &pushed) == err && pushed == fit);
}

static void push_three_of_four(void) {
  push_four(3, SHMSEG_TIMEOUT);
}

static void push_two_of_four(void) {
  push_four(2, SHMSEG_TIMEOUT);
}

static void push_in_vain(void) {
  push_four(0, SHMSEG_TIMEOUT);
}

static void push_shut(void) {
  push_four(0, SHMSEG_SHUTDOWN);
}

static void push_too_much(void) {
  static const size_t sizes[] = { 8, STEP_CAPACITY + 1 };
  size_t pushed;
  step_expect(push_sizes(sizes, 2, &pushed) == EINVAL && pushed == 0);
}

/* --- consumers -------------------------------------------------------------------------------- */

static void drain(void) {
  queue_records r;
  step_expect(queue_take(&queue, &r, UINT64_MAX, 0) == 0 && r.used == RING);
}

static void take_two(void) {
  queue_records r;
  step_expect(queue_take(&queue, &r, 2, 0) == 0 && r.used == 32);
}

/* Room for one and a half. */
static void take_what_fits(void) {
  uint64_t available[3];
  size_t used;
  step_expect(shmseg_queue_take(&queue, available, sizeof available, 9, &used, 0) == 0 &&
              used == 16);
}

/* Looks at messages of 8 bytes, whose letters are a, b and c. */
static shmseg_queue_batch look_at(uint64_t count) {
  shmseg_queue_batch batch;
  unsigned char copy[8];
  step_expect(shmseg_queue_look(&queue, &batch, count, 0) == 0);
  for (uint64_t i = 0; i < count; i++) {
    step_expect(shmseg_queue_next(&queue, &batch) == 0 && batch.size == sizeof copy);
    step_expect(shmseg_queue_copy(&queue, &batch, copy) == 0);
    step_expect(step_is_message(copy, sizeof copy, (char)('a' + i), sizeof copy));
  }
  step_expect(shmseg_queue_next(&queue, &batch) == SHMSEG_EMPTY);
  step_expect(shmseg_queue_confirm(&queue, &batch) == 0);
  return batch;
}

static void look(void) {
  look_at(3);
}

static void claim_two(void) {
  shmseg_queue_batch batch = look_at(2);
  step_expect(shmseg_queue_claim(&queue, &batch) == 0);
}

static void claim_three(void) {
  shmseg_queue_batch batch = look_at(3);
  step_expect(shmseg_queue_claim(&queue, &batch) == 0);
}

static void claim_the_rest(void) {
  shmseg_queue_batch batch = look_at(3);
  uint64_t head = batch.head;
  step_expect(queue_takes(&queue, 'a', 8));
  step_expect(shmseg_queue_confirm(&queue, &batch) == SHMSEG_CHANGED);
  step_expect(shmseg_queue_claim(&queue, &batch) == SHMSEG_CHANGED && batch.head == head + 16);
  step_expect(shmseg_queue_claim(&queue, &batch) == 0);
}

static void claim_too_late(void) {
  shmseg_queue_batch batch = look_at(2);
  uint64_t end = batch.end;
  take_two();
  push_one();
  step_expect(shmseg_queue_claim(&queue, &batch) == SHMSEG_CHANGED && batch.head == end);
}

/* --- cases ------------------------------------------------------------------------------------ */

const step_case queue_many_cases[] = {
  { .sentence = "push none",
    .operate = push_none,
    .outcomes = { "empty" },
    .changes_nothing = true },
  { .sentence = "push one by itself", .operate = push_one, .outcomes = { "empty", "d8" } },
  { .sentence = "push two at once", .operate = push_two, .outcomes = { "empty", "d8 e8" } },
  { .sentence = "push three at once", .operate = push_three, .outcomes = { "empty", "d8 e8 f8" } },
  { .sentence = "push three at once by who has no identity yet",
    .operate = push_three,
    .outcomes = { "empty", "d8 e8 f8" },
    TAKES_IDENTITY },
  { .sentence = "push three at once, around the end",
    .actors = { AFTER(queue_turn) },
    .operate = push_three,
    .outcomes = { "empty", "d8 e8 f8" } },
  { .sentence = "push a short one and a long one at once, around the end",
    .actors = { AFTER(queue_turn) },
    .operate = push_short_and_long,
    .outcomes = { "empty", "d7 e24" } },
  { .sentence = "push two at once behind another, the last that fit",
    .actors = { AFTER(queue_push_a) },
    .operate = push_two,
    .outcomes = { "a8", "a8 d8 e8" } },
  { .sentence = "push as many of four as fit",
    .operate = push_three_of_four,
    .outcomes = { "empty", "d8 e8 f8" } },
  { .sentence = "push as many of four as fit behind another",
    .actors = { AFTER(queue_push_a) },
    .operate = push_two_of_four,
    .outcomes = { "a8", "a8 d8 e8" } },
  { .sentence = "push several in vain, full",
    .actors = { AFTER(queue_push_three) },
    .operate = push_in_vain,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push several, one of which is larger than the capacity",
    .actors = { AFTER(queue_push_a) },
    .operate = push_too_much,
    .outcomes = { "a8" },
    .changes_nothing = true },
  { .sentence = "push several, shut",
    .actors = { AFTER(queue_push_a), AFTER(queue_shut) },
    .operate = push_shut,
    .outcomes = { "a8 shut" } },
  { .sentence = "push three at once, a producer died",
    .actors = { AFTER(queue_die_pushing) },
    .operate = push_three,
    .outcomes = { "empty", "d8 e8 f8" } },
  { .sentence = "push two at once, two consumers sleep",
    .actors = { QUEUE_CONSUMER_OF_ALL, QUEUE_CONSUMER_OF_ALL },
    .operate = push_two,
    .outcomes = { "empty", "d8 e8" },
    .wakes = 2 },
  { .sentence = "push three at once, a consumer of all sleeps",
    .actors = { QUEUE_CONSUMER_OF_ALL },
    .operate = push_three,
    .outcomes = { "empty", "d8 e8 f8" },
    .wakes = 1 },
  { .sentence = "take all of several",
    .actors = { AFTER(queue_push_three) },
    .operate = drain,
    .outcomes = { "a8 b8 c8", "empty" } },
  { .sentence = "take all of several, around the end",
    .actors = { AFTER(queue_turn), AFTER(queue_push_three) },
    .operate = drain,
    .outcomes = { "a8 b8 c8", "empty" } },
  { .sentence = "take two of three",
    .actors = { AFTER(queue_push_three) },
    .operate = take_two,
    .outcomes = { "a8 b8 c8", "c8" } },
  { .sentence = "take as many as there is room for",
    .actors = { AFTER(queue_push_three) },
    .operate = take_what_fits,
    .outcomes = { "a8 b8 c8", "b8 c8" } },
  { .sentence = "take all, two producers sleep",
    .actors = { AFTER(queue_push_three), QUEUE_PRODUCER, QUEUE_PRODUCER },
    .operate = drain,
    .outcomes = { "a8 b8 c8", "empty" },
    .wakes = 2 },
  { .sentence = "take all, a producer of two sleeps",
    .actors = { AFTER(queue_push_three),
                { STEP_SLEEPS, queue_sleep_for_room_for_two, queue_withdraw } },
    .operate = drain,
    .outcomes = { "a8 b8 c8", "empty" },
    .wakes = 1 },
  { .sentence = "take all, shut",
    .actors = { AFTER(queue_push_three), AFTER(queue_shut) },
    .operate = drain,
    .outcomes = { "a8 b8 c8 shut", "empty shut" } },
  { .sentence = "look at several, and claim none",
    .actors = { AFTER(queue_push_three), AFTER(queue_die_pushing) },
    .operate = look,
    .outcomes = { "a8 b8 c8" },
    .changes_nothing = true },
  { .sentence = "claim two of three by who has no identity, and takes none",
    .actors = { AFTER(queue_push_three) },
    .operate = claim_two,
    .outcomes = { "a8 b8 c8", "c8" },
    .no_identity = true },
  { .sentence = "claim three, around the end",
    .actors = { AFTER(queue_turn_more), AFTER(queue_push_three) },
    .operate = claim_three,
    .outcomes = { "a8 b8 c8", "empty" } },
  { .sentence = "claim two of three, a producer sleeps",
    .actors = { AFTER(queue_push_three), QUEUE_PRODUCER },
    .operate = claim_two,
    .outcomes = { "a8 b8 c8", "c8" },
    .wakes = 1 },
  { .sentence = "claim the rest of three of which the first was taken",
    .actors = { AFTER(queue_push_three) },
    .operate = claim_the_rest,
    .outcomes = { "a8 b8 c8", "b8 c8", "empty" } },
  { .sentence = "claim two that were taken, and one has come",
    .actors = { AFTER(queue_push_two) },
    .operate = claim_too_late,
    .outcomes = { "a8 b8", "empty", "d8" } },
  { 0 },
};
