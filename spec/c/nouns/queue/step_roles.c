/* SPDX-License-Identifier: MIT */
/* The queue, stepped: who plays in the cases, and what they leave. */
#include <string.h>

#include "nouns/queue/step.h"

/* --- states ----------------------------------------------------------------------------------- */

void queue_push_now(char letter, size_t size) {
  step_expect(queue_push(&queue, letter, size, 0) == 0);
}

void queue_push_a(void) {
  queue_push_now('a', 8);
}

void queue_push_two(void) {
  queue_push_a(), queue_push_now('b', 8);
}

void queue_push_three(void) {
  queue_push_two(), queue_push_now('c', 8);
}

/* Empty, with 16 bytes to the end of the ring: a long message wraps in its bytes. */
void queue_turn(void) {
  queue_push_two();
  step_expect(queue_takes(&queue, 'a', 8) && queue_takes(&queue, 'b', 8));
}

/* Empty, with 8 bytes to the end of the ring: a message wraps behind its size. */
void queue_turn_more(void) {
  queue_turn();
  queue_push_now('x', 0);
  step_expect(queue_takes(&queue, 'x', 0));
}

void queue_push_wrapped(void) {
  queue_push_now('a', 24), queue_push_now('b', 8);
}

void queue_shut(void) {
  step_expect(shmseg_queue_shutdown(&queue) == 0);
}

/* --- sleepers --------------------------------------------------------------------------------- */

/* A consumer gives back in the end what it has got, in its order: the user finds it there, or not, as
 * if nobody had been asleep. A producer takes its own back. */
static queue_records got;
static size_t pushed;

static void sleep_for(uint64_t max) {
  int err;
  STEP_UNTIL_OVER(
      err, shmseg_queue_take(&queue, got.words, sizeof got.words, max, &got.used, SHMSEG_FOREVER));
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED || err == SHMSEG_SHUTDOWN);
}

void queue_sleep_for_message(void) {
  sleep_for(1);
}

void queue_sleep_for_messages(void) {
  sleep_for(UINT64_MAX);
}

/* By one store: another consumer may still wait. */
void queue_give_back(void) {
  shmseg_source messages[3];
  size_t count = 0, given = 0;
  while (count < 3 && (messages[count].bytes = queue_next(&got, &messages[count].size)) != NULL)
    messages[count++].segment = NULL;
  step_expect(shmseg_queue_push_many(&queue, messages, count, &given, 0) == 0 && given == count);
}

/* Pushes so many messages, whose letters are p and q, as far as it comes. */
static int push_until_over(size_t count, size_t size) {
  static unsigned char bytes[2][STEP_CAPACITY];
  shmseg_source messages[2];
  size_t now;
  int err;
  for (size_t i = 0; i < count; i++) {
    memcpy(bytes[i], step_message((char)('p' + i), size), size);
    messages[i] = (shmseg_source){ bytes[i], size, NULL };
  }
  do {
    bool over = *step_over;
    err = shmseg_queue_push_many(&queue, messages + pushed, count - pushed, &now, SHMSEG_FOREVER);
    pushed += now;
    if (over)
      break;
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

void queue_sleep_for_room(void) {
  int err = push_until_over(1, 8);
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED || err == SHMSEG_SHUTDOWN);
}

void queue_sleep_for_more_room(void) {
  step_expect(push_until_over(1, 24) == SHMSEG_INTERRUPTED);
}

void queue_sleep_for_room_for_two(void) {
  int err = push_until_over(2, 8);
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED);
}

void queue_withdraw(void) {
  queue_records all;
  size_t size, found = 0;
  const unsigned char *bytes;
  if (pushed == 0)
    return;
  step_expect(queue_take(&queue, &all, UINT64_MAX, 0) == 0);
  while ((bytes = queue_next(&all, &size)) != NULL) {
    if (found < pushed && step_is_message(bytes, size, (char)('p' + found), 8))
      found++;
    else
      step_expect(shmseg_queue_push(&queue, bytes, size, 0) == 0);
  }
  step_expect(found == pushed);
}
