/* SPDX-License-Identifier: MIT */
/* What is in a queue: its bytes, and the count of its messages, while others push and pop. */
#include <errno.h>

#include "core/segment.h"
#include "objects/queue.h"

/* So many bytes of holes among the messages are accepted. */
#define HOLES_MAX ((uint64_t)64 << 20)

/* What is at a position: see shmseg_ring_look(). */
static int queue_look_at(const shmseg_queue *queue, uint64_t position, uint64_t tail,
                         uint64_t *until) {
  return shmseg_ring_look(queue->object.segment, queue->object.offset + QUEUE_RING, queue->ring,
                          position, tail, until);
}

/* Passes a record; or a hole, whose zeroes are as many empty messages as fit in it. (Holes come
 * from a program that copies backings and leaves zeroes out. A push writes every word of a record.)
 * *left is how many records this call may still look at; it becomes less. */
static int queue_pass(const shmseg_queue *queue, shmseg_queue_walk *walk, uint64_t *lap,
                      uint64_t *left) {
  uint64_t size;
  if (walk->position >= walk->written) {
    int what = queue_look_at(queue, walk->position, walk->tail, &walk->written);
    *left -= *left < SHMSEG_RING_QUESTION ? *left : SHMSEG_RING_QUESTION;
    if (what == SHMSEG_EMPTY) {
      walk->messages += (walk->written - walk->position) / SHMSEG_RECORD(0);
      walk->position = walk->written;
    }
    return what == SHMSEG_EMPTY ? 0 : what;
  }
  bool sane = queue_record_at(queue, queue_index_of(walk->position, queue->ring, lap),
                              walk->tail - walk->position, &size);
  if (!sane)
    return SHMSEG_CORRUPT;
  walk->position += SHMSEG_RECORD(size);
  walk->messages++;
  --*left;
  return 0;
}

/* Goes on with a count, as far as *left allows. 0; SHMSEG_INTERRUPTED; SHMSEG_CHANGED when
 * consumers have overtaken the count, which may then have read later messages; SHMSEG_CORRUPT. */
static int queue_count_records(const shmseg_queue *queue, shmseg_queue_walk *walk, uint64_t *left) {
  uint64_t lap = 0;
  while (*left > 0 && walk->position < walk->tail) {
    uint64_t before = walk->position;
    int err = queue_pass(queue, walk, &lap, left);
    if (queue_has_passed(queue, before))
      return SHMSEG_CHANGED;
    if (err)
      return err;
  }
  return walk->position < walk->tail ? SHMSEG_INTERRUPTED : 0;
}

static void queue_begin_walk(shmseg_queue_walk *walk, uint64_t head, uint64_t tail) {
  walk->position = head;
  walk->tail = tail;
  walk->messages = 0;
  walk->written = tail - head > SHMSEG_RING_UNASKED ? head : tail;
}

/* SHMSEG_CORRUPT when there are more holes than such a copy can have: to take the messages that
 * they stand for would take memory. */
static int queue_check_holes(const shmseg_queue *queue, uint64_t position, uint64_t tail) {
  uint64_t until, holes = 0;
  if (tail - position <= SHMSEG_RING_UNASKED || queue->object.segment->place.type == SHMSEG_FILE)
    return 0;
  for (int i = 0; i < QUEUE_ROUNDS && position < tail; i++, position = until) {
    int what = queue_look_at(queue, position, tail, &until);
    if (what == SHMSEG_TRUNCATED)
      return what;
    if (what == SHMSEG_EMPTY)
      holes += until - position;
    if (holes > HOLES_MAX)
      return SHMSEG_CORRUPT;
  }
  return 0;
}

/* The tail word and a head that belongs to it. */
static int queue_look(const shmseg_queue *queue, uint64_t *word, uint64_t *head) {
  int err = shmseg_object_ready(&queue->object);
  for (int round = 0; !err && round < QUEUE_ROUNDS; round++) {
    *word = load_acquire(queue_word64(queue, QUEUE_TAIL));
    *head = load_acquire(queue_word64(queue, QUEUE_HEAD));
    err = segment_status(queue->object.segment);
    if (err || shmseg_ring_holds(queue->ring, *head, *word >> 1))
      return err;
    /* both may have moved between the two loads */
    if (load_acquire(queue_word64(queue, QUEUE_TAIL)) == *word &&
        load_acquire(queue_word64(queue, QUEUE_HEAD)) == *head)
      return SHMSEG_CORRUPT;
  }
  return err ? err : EAGAIN;
}

int shmseg_queue_bytes(const shmseg_queue *queue, uint64_t *bytes) {
  uint64_t word, head;
  int err = queue_look(queue, &word, &head);
  if (!err)
    err = queue_check_holes(queue, head, word >> 1);
  *bytes = err ? 0 : (word >> 1) - head;
  return err;
}

static int queue_begin_count(const shmseg_queue *queue, shmseg_queue_walk *walk,
                             shmseg_queue_stats *stats) {
  uint64_t word, head;
  int err = queue_look(queue, &word, &head);
  if (err)
    return err;
  queue_begin_walk(walk, head, word >> 1);
  stats->bytes = walk->tail - head;
  stats->capacity = queue->object.capacity;
  stats->shut = word & QUEUE_SHUT;
  return 0;
}

int shmseg_queue_count_on(const shmseg_queue *queue, shmseg_queue_walk *walk,
                          shmseg_queue_stats *stats) {
  uint64_t left = SHMSEG_RING_GO;
  int err = shmseg_object_ready(&queue->object);
  if (err)
    return err;
  for (; walk->rounds < QUEUE_ROUNDS; walk->rounds++) {
    if (walk->position == 0)
      err = queue_begin_count(queue, walk, stats);
    if (!err)
      err = queue_count_records(queue, walk, &left);
    int hole = segment_status(queue->object.segment);
    if (hole)
      return hole;
    if (err != SHMSEG_CHANGED) {
      stats->messages = walk->messages;
      return err;
    }
    walk->position = 0;
    err = 0;
  }
  return EAGAIN;
}

int shmseg_queue_count(const shmseg_queue *queue, shmseg_queue_stats *stats) {
  shmseg_queue_walk walk = { 0 };
  int err;
  do
    err = shmseg_queue_count_on(queue, &walk, stats);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

bool shmseg_queue_is_whole(const shmseg_queue *queue, uint64_t head, uint64_t tail) {
  shmseg_queue_walk walk = { 0 };
  uint64_t left = UINT64_MAX;
  queue_begin_walk(&walk, head, tail);
  return queue_count_records(queue, &walk, &left) == 0;
}
