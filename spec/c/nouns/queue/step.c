/* SPDX-License-Identifier: MIT */
/* The queue, stepped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nouns/queue/step.h"
#include "options.h"

shmseg_queue queue;

/* --- records ---------------------------------------------------------------------------------- */

const unsigned char *queue_next(queue_records *r, size_t *size) {
  const unsigned char *bytes = (const unsigned char *)r->words + r->next;
  uint64_t stored;
  if (r->next >= r->used)
    return NULL;
  memcpy(&stored, bytes, sizeof stored);
  *size = (size_t)stored;
  r->next += (size_t)SHMSEG_RECORD(stored);
  return bytes + sizeof stored;
}

int queue_take(shmseg_queue *from, queue_records *r, uint64_t max, int64_t deadline) {
  int err;
  r->next = 0;
  STEP_UNTIL_DONE(err, shmseg_queue_take(from, r->words, sizeof r->words, max, &r->used, deadline));
  return err;
}

bool queue_takes(shmseg_queue *from, char letter, size_t size) {
  queue_records r;
  size_t there = 0;
  if (queue_take(from, &r, 1, 0) != 0)
    return false;
  const unsigned char *bytes = queue_next(&r, &there);
  return bytes && step_is_message(bytes, there, letter, size) && !queue_next(&r, &there);
}

int queue_push(shmseg_queue *to, char letter, size_t size, int64_t deadline) {
  int err;
  STEP_UNTIL_DONE(err, shmseg_queue_push(to, step_message(letter, size), size, deadline));
  return err;
}

/* --- inside of the lock ------------------------------------------------------------------------- */

void queue_die_pushing(void) {
  uint64_t tail = *(uint64_t *)(step_segment.data + TAIL) >> 1;
  uint64_t head = *(uint64_t *)(step_segment.data + HEAD);
  step_enter_lock(PRODUCERS);
  for (; tail < head + RING; tail++)
    step_segment.data[RING_AT + tail % RING] = 0xee;
}

void queue_be_producer(void) {
  step_enter_lock(PRODUCERS);
}

void queue_leave(void) {
  __atomic_store_n((uint32_t *)(step_segment.data + PRODUCERS), 1, __ATOMIC_SEQ_CST);
}

/* --- a full use ------------------------------------------------------------------------------- */

/* Takes all: "a8 b24", "empty", "a8 shut". */
static const char *tell_all(char *text, size_t available, bool *shut) {
  shmseg_queue_stats stats;
  queue_records r = { .used = 0 };
  uint64_t count = 0;
  size_t size;
  const unsigned char *bytes;
  if (shmseg_queue_count(&queue, &stats) != 0)
    return "it cannot be counted";
  *shut = stats.shut;
  if (stats.messages > 0 && queue_take(&queue, &r, UINT64_MAX, 0) != 0)
    return "the messages cannot be taken";
  while ((bytes = queue_next(&r, &size)) != NULL) {
    strcat(text, count++ ? " " : "");
    step_tell(text, available, bytes, size);
  }
  if (count != stats.messages || r.used != stats.bytes)
    return "another number of messages than was counted";
  strcat(text, count ? "" : "empty");
  strcat(text, *shut ? " shut" : "");
  return queue_take(&queue, &r, 1, 0) == (*shut ? SHMSEG_SHUTDOWN : SHMSEG_TIMEOUT)
             ? NULL
             : "there is more than all";
}

/* The empty queue has room for just the ring. */
static const char *fill_and_empty(shmseg_queue *other) {
  for (int i = 0; i < 3; i++)
    if (queue_push(i % 2 ? &queue : other, (char)('p' + i), 8, 0) != 0)
      return "room is lost";
  if (queue_push(other, 'x', 0, 0) != SHMSEG_TIMEOUT)
    return "more room than there is";
  if (!queue_takes(&queue, 'p', 8) || queue_push(&queue, 's', 7, 0) != 0)
    return "room does not come back";
  if (!queue_takes(other, 'q', 8) || !queue_takes(&queue, 'r', 8) || !queue_takes(other, 's', 7))
    return "another order";
  return NULL;
}

static const char *push_largest(shmseg_queue *other) {
  uint64_t small[2];
  size_t used;
  if (queue_push(other, 'x', STEP_CAPACITY + 1, 0) != EINVAL)
    return "a message larger than the capacity";
  if (queue_push(other, 't', STEP_CAPACITY, 0) != 0)
    return "no room for the largest message";
  if (shmseg_queue_take(&queue, small, sizeof small, 1, &used, 0) != SHMSEG_TOO_SMALL ||
      used != RING)
    return "the size of the largest message";
  return queue_takes(&queue, 't', STEP_CAPACITY) ? NULL : "the largest message is another";
}

static const char *stay_shut(shmseg_queue *other) {
  queue_records r;
  if (queue_push(&queue, 'x', 1, 0) != SHMSEG_SHUTDOWN ||
      queue_push(other, 'x', 1, 0) != SHMSEG_SHUTDOWN)
    return "a push after the shutdown";
  return queue_take(other, &r, 1, 0) == SHMSEG_SHUTDOWN ? NULL
                                                        : "a consumer is not told of the shutdown";
}

static const char *use_with(shmseg_queue *other, bool shut) {
  const char *wrong = NULL;
  if (!shut)
    wrong = fill_and_empty(other);
  if (!wrong && !shut)
    wrong = push_largest(other);
  if (!wrong && shmseg_queue_shutdown(other) != 0)
    wrong = "it cannot be shut";
  if (!wrong)
    wrong = stay_shut(other);
  return wrong ? wrong : shmseg_queue_check(&queue);
}

/* What is in it; then all that can be done with it, by two handles. */
static const char *use(void) {
  static char found[256];
  shmseg_segment segment;
  shmseg_queue other;
  bool shut;
  found[0] = '\0';
  const char *wrong = tell_all(found, sizeof found, &shut);
  if (wrong)
    return wrong;
  if (step_open_other(&segment) != 0 ||
      shmseg_queue_open(&other, shmseg_segment_whole(&segment), SHMSEG_WRITE, NULL, NULL) != 0)
    return "no second handle";
  wrong = use_with(&other, shut);
  shmseg_queue_close(&other);
  shmseg_segment_close(&segment);
  return wrong ? wrong : found;
}

static const step_structure step_queue = {
  .kind = &shmseg_queue_kind,
  .handle = &queue.object,
  .options = &(const shmseg_object_options){ .capacity = STEP_CAPACITY },
  .as_new = "empty",
  .use = use,
  .keeps_nothing = true,
  .cases = queue_cases,
};

STEP_PLAY(step_queue);

static const step_structure step_queue_many = {
  .kind = &shmseg_queue_kind,
  .handle = &queue.object,
  .options = &(const shmseg_object_options){ .capacity = STEP_CAPACITY },
  .noun = "queue, several",
  .name = "queue.many",
  .use = use,
  .keeps_nothing = true,
  .cases = queue_many_cases,
};

STEP_PLAY(step_queue_many);
