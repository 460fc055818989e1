/* SPDX-License-Identifier: MIT */
/* A queue: each message goes to one consumer.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity = bytes of the largest message
 *             64      4     producers' lock word (core/lock.h)
 *             128     8     tail word: tail << 1 | shut
 *             136     4     eventcount of the messages (core/eventcount.h), notified after a push
 *             192     4     consumers' lock word
 *             256     8     head
 *             264     4     eventcount of the space, notified after a pop
 *             320           ring: capacity rounded up to 8, and 8 more
 *
 *             A consumer that looks for a message again and again takes the tail's line from the
 *             producers, and theirs alone: so the locks, written twice for each message, have
 *             lines of their own.
 *
 *             Head and tail are positions: bytes since the start, the first one being the length
 *             of the ring; position p is at p mod length. A record is the message's size (8
 *             bytes), its bytes, and 0 to 7 more to a multiple of 8; it may wrap.
 *
 * INVARIANTS  Q1  length <= head <= tail <= head + length, both multiples of 8; they only grow.
 *             Q2  [head, tail) is whole records.
 *             Q3  only the owner of the producers' lock moves tail, only that of the consumers' lock head.
 *             Q4  shut is never cleared, and tail never moves once it is set.
 *
 * PROTOCOL    push      under the producers' lock: load head with acquire, write the record behind
 *                       tail, compare-and-swap the tail word: that publishes, unless shut came
 *                       first. Unlock, notify.
 *             pop       under the consumers' lock: load the tail word with acquire, copy the records
 *                       out, store head with release: that takes them. Unlock, notify.
 *                       One message can also be copied before the lock is taken: if head has not
 *                       moved then, nobody has taken it, and no producer has touched its bytes (Q1).
 *             shutdown  compare-and-swap the tail word. A consumer says "shutdown" when one load of
 *                       it shows that it is shut and that nothing is left.
 *
 * CRASHES     producer dies before the swap: the queue is without its message; after it: with all of
 *             it. Consumer dies before the store: the message is another's; after it: the victim's.
 *             The locks are recovered (core/lock.h); head and tail are all there is to know. */
#include <errno.h>
#include <stddef.h>

#include "core/eventcount.h"
#include "core/lock.h"
#include "core/segment.h"
#include "core/wait.h"
#include "objects/kinds.h"
#include "objects/queue.h"

static uint64_t queue_ring_for(uint64_t capacity) {
  return (capacity + 7) / 8 * 8 + QUEUE_RECORD_HEADER;
}

static uint64_t queue_size(const uint64_t *geometry) {
  uint64_t capacity = geometry[0];
  if (capacity == 0 || capacity > SHMSEG_CAPACITY_MAX)
    return 0;
  return QUEUE_RING + queue_ring_for(capacity);
}

static void queue_fit(uint64_t available, uint64_t *geometry) {
  geometry[0] = available >= QUEUE_RING + QUEUE_RECORD_HEADER + 8
                    ? (available - QUEUE_RING - QUEUE_RECORD_HEADER) / 8 * 8
                    : 0;
}

static int queue_build(const uint64_t *geometry, shmseg_words *words) {
  uint64_t start = queue_ring_for(geometry[0]);
  words[0] = (shmseg_words){ QUEUE_PRODUCERS, 1, 4, SHMSEG_LOCK_FREE };
  words[1] = (shmseg_words){ QUEUE_CONSUMERS, 1, 4, SHMSEG_LOCK_FREE };
  words[2] = (shmseg_words){ QUEUE_TAIL, 1, 8, start << 1 };
  words[3] = (shmseg_words){ QUEUE_HEAD, 1, 8, start };
  words[4] = (shmseg_words){ QUEUE_MESSAGES, 1, 4, SHMSEG_EVENTCOUNT_START };
  words[5] = (shmseg_words){ QUEUE_SPACE, 1, 4, SHMSEG_EVENTCOUNT_START };
  return 6;
}

static void queue_open(shmseg_object *object) {
  ((shmseg_queue *)object)->ring = queue_ring_for(object->capacity);
}

/* --- waiting ------------------------------------------------------------------------------ */

static bool queue_has_changed(const shmseg_queue *queue, uint64_t offset, uint64_t seen) {
  return load_ordered(queue_word64(queue, offset)) != seen ||
         load_ordered(queue_word64(queue, QUEUE_TAIL)) & QUEUE_SHUT;
}

/* Waits until the 64-bit word at offset differs from seen, or the queue is shut. Either is followed
 * by a notify of the eventcount. 0: look again. */
static int queue_wait_for_change(const shmseg_queue *queue, uint64_t offset, uint64_t seen,
                                 uint64_t eventcount, shmseg_spin *spin, int64_t deadline) {
  const shmseg_segment *segment = queue->object.segment;
  uint32_t *word = queue_word32(queue, eventcount);
  if (!shmseg_wait_left(deadline))
    return queue_has_changed(queue, offset, seen) ? 0 : SHMSEG_TIMEOUT;
  shmseg_spinner spinner = shmseg_wait_spin_begin(spin);
  do
    if (queue_has_changed(queue, offset, seen))
      return shmseg_wait_spin_found(&spinner);
  while (shmseg_wait_spin_again(&spinner));
  uint32_t key = shmseg_eventcount_prepare(segment, word);
  if (queue_has_changed(queue, offset, seen))
    return segment_status(segment);
  return shmseg_eventcount_wait(segment, word, key, deadline);
}

static int queue_leave(const shmseg_queue *queue, uint64_t lock, uint32_t id, int err) {
  const shmseg_segment *segment = queue->object.segment;
  if (err == SHMSEG_CORRUPT || segment_status(segment) != 0)
    return shmseg_lock_leave_dirty(segment, queue_word32(queue, lock), id,
                                   err == SHMSEG_CORRUPT ? err : segment_status(segment));
  int left = shmseg_lock_release(segment, queue_word32(queue, lock), id, SHMSEG_LOCK_FREE, 1);
  return left ? left : err;
}

/* --- producers ---------------------------------------------------------------------------- */

/* Is there space behind tail? Head has grown, if anything, since it was seen last (Q1). */
static bool queue_has_space(const shmseg_queue *queue, uint64_t tail, uint64_t need) {
  return shmseg_ring_holds(queue->ring, queue->head_seen, tail) &&
         need <= queue->ring - (tail - queue->head_seen);
}

/* Under the lock: 0, SHMSEG_SHUTDOWN, SHMSEG_CORRUPT, or SHMSEG_CHANGED: the queue is full, and
 * head_seen is the head that was found. */
static int queue_append(shmseg_queue *queue, const void *bytes, size_t size) {
  uint64_t word = load_relaxed(queue_word64(queue, QUEUE_TAIL));
  uint64_t tail = word >> 1;
  uint64_t need = SHMSEG_RECORD((uint64_t)size);
  if (word & QUEUE_SHUT)
    return SHMSEG_SHUTDOWN;
  if (!queue_has_space(queue, tail, need)) {
    queue->head_seen = load_acquire(
        queue_word64(queue, QUEUE_HEAD)); /* pairs with the release in queue_remove_some() */
    if (!shmseg_ring_holds(queue->ring, queue->head_seen, tail))
      return SHMSEG_CORRUPT;
    if (!queue_has_space(queue, tail, need))
      return SHMSEG_CHANGED;
  }
  uint64_t index = queue_index_of(tail, queue->ring, &queue->push_lap);
  shmseg_ring ring = queue_ring_of(queue);
  fence_release(); /* head is seen before any byte below: pairs with queue_count_records()'s fence */
  store_relaxed((uint64_t *)(ring.bytes + index), (uint64_t)size);
  index += QUEUE_RECORD_HEADER;
  shmseg_ring_put(ring, index < queue->ring ? index : 0, bytes, size);
  int err = segment_status(queue->object.segment);
  if (err)
    return err;
  /* Publish. Pairs with the acquire in shmseg_queue_take(); from here it is a consumer's (Q2). */
  if (cas_ordered(queue_word64(queue, QUEUE_TAIL), &word, (tail + need) << 1))
    return 0;
  return word == (tail << 1 | QUEUE_SHUT) ? SHMSEG_SHUTDOWN : SHMSEG_CORRUPT;
}

int shmseg_queue_push(shmseg_queue *queue, const void *bytes, size_t size, int64_t deadline) {
  uint32_t id;
  bool dirty;
  int err = shmseg_object_begin(&queue->object, &id);
  if (!err && size > queue->object.capacity)
    err = EINVAL;
  for (int round = 0; !err && round < QUEUE_ROUNDS; round++) {
    err = shmseg_lock_enter(queue->object.segment, queue_word32(queue, QUEUE_PRODUCERS), id,
                            deadline, &dirty);
    if (err) /* a stopped producer may have the lock: a shutdown is reported all the same */
      return load_acquire(queue_word64(queue, QUEUE_TAIL)) & QUEUE_SHUT ? SHMSEG_SHUTDOWN : err;
    err = queue_leave(queue, QUEUE_PRODUCERS, id, queue_append(queue, bytes, size));
    if (err == 0)
      shmseg_eventcount_notify(
          queue_word32(queue, QUEUE_MESSAGES)); /* leaving was a full barrier */
    if (err != SHMSEG_CHANGED)
      return err;
    err = queue_wait_for_change(queue, QUEUE_HEAD, queue->head_seen, QUEUE_SPACE, &queue->push_spin,
                                deadline);
  }
  return err ? err : shmseg_wait_again(deadline);
}

int shmseg_queue_shutdown(shmseg_queue *queue) {
  int err = shmseg_object_ready(&queue->object);
  if (!err && !queue->object.segment->writable)
    err = SHMSEG_READ_ONLY;
  if (err)
    return err;
  uint64_t word = load_relaxed(queue_word64(queue, QUEUE_TAIL));
  for (int i = 0; !(word & QUEUE_SHUT) && i < QUEUE_ROUNDS; i++)
    if (cas_ordered(queue_word64(queue, QUEUE_TAIL), &word, word | QUEUE_SHUT))
      word |= QUEUE_SHUT;
  shmseg_eventcount_notify(queue_word32(queue, QUEUE_MESSAGES));
  shmseg_eventcount_notify(queue_word32(queue, QUEUE_SPACE));
  err = segment_status(queue->object.segment);
  return err ? err : word & QUEUE_SHUT ? 0 : EAGAIN;
}

/* --- consumers ---------------------------------------------------------------------------- */

typedef struct {
  unsigned char *buffer;
  size_t available, used;
  uint64_t max;
} batch;

/* Copies one record. Its size is not copied: the one that was checked is written. */
static void queue_take_record(const shmseg_queue *queue, uint64_t index, uint64_t size,
                              batch *batch) {
  unsigned char *to = batch->buffer + batch->used;
  memcpy(to, &size, QUEUE_RECORD_HEADER);
  index += QUEUE_RECORD_HEADER;
  shmseg_ring_get(queue_ring_of(queue), index < queue->ring ? index : 0, to + QUEUE_RECORD_HEADER,
                  (size_t)size);
  batch->used += (size_t)SHMSEG_RECORD(size);
  batch->max--;
}

/* Copies records from *head on. 0: *head is behind the last one; SHMSEG_CORRUPT; SHMSEG_TOO_SMALL:
 * batch->used is what the first one needs. */
static int queue_copy_records(shmseg_queue *queue, batch *batch, uint64_t *head, uint64_t tail) {
  while (batch->max > 0 && *head < tail) {
    uint64_t size, index = queue_index_of(*head, queue->ring, &queue->pop_lap);
    if (!queue_record_at(queue, index, tail - *head, &size))
      return SHMSEG_CORRUPT;
    if (SHMSEG_RECORD(size) > batch->available - batch->used) {
      if (batch->used > 0)
        return 0;
      batch->used = (size_t)SHMSEG_RECORD(size);
      return SHMSEG_TOO_SMALL;
    }
    queue_take_record(queue, index, size, batch);
    *head += SHMSEG_RECORD(size);
  }
  return 0;
}

/* Is a message known to be at head? Tail has grown, if anything, since it was seen last (Q1). */
static bool queue_knows_message(const shmseg_queue *queue, uint64_t head) {
  return head != queue->tail_seen && shmseg_ring_holds(queue->ring, head, queue->tail_seen);
}

/* Fetches the next message, which may be as long as the last one. */
static void queue_fetch_next(shmseg_queue *queue, uint64_t head, uint64_t size) {
  if (queue_knows_message(queue, head))
    shmseg_ring_fetch(queue_ring_of(queue), queue_index_of(head, queue->ring, &queue->pop_lap),
                      size);
}

/* Under the lock: 0, SHMSEG_SHUTDOWN, SHMSEG_CORRUPT, SHMSEG_TOO_SMALL, or SHMSEG_CHANGED: the
 * queue is empty, and *word is the tail word that was found. If one message will do and is known to
 * be there, the producers' cache line is not read. */
static int queue_remove_some(shmseg_queue *queue, batch *batch, uint64_t *word) {
  uint64_t head = load_relaxed(queue_word64(queue, QUEUE_HEAD));
  if (batch->max > 1 || !queue_knows_message(queue, head)) {
    *word = load_acquire(queue_word64(queue, QUEUE_TAIL)); /* pairs with queue_append()'s swap */
    queue->tail_seen = *word >> 1;
    if (!shmseg_ring_holds(queue->ring, head, queue->tail_seen))
      return SHMSEG_CORRUPT;
    if (head == queue->tail_seen)
      return *word & QUEUE_SHUT ? SHMSEG_SHUTDOWN : SHMSEG_CHANGED;
  }
  int err = queue_copy_records(queue, batch, &head, queue->tail_seen);
  if (!err)
    err = segment_status(queue->object.segment);
  if (err)
    return err;
  /* Take. Pairs with the acquire in queue_append(): the space is the producers' (Q2). */
  store_release(queue_word64(queue, QUEUE_HEAD), head);
  queue_fetch_next(queue, head, batch->used);
  return 0;
}

/* Is the queue shut and empty? Asked when a consumer, which may be stopped, has the lock. */
static bool queue_is_over(const shmseg_queue *queue) {
  uint64_t word = load_acquire(queue_word64(queue, QUEUE_TAIL));
  return word & QUEUE_SHUT && load_acquire(queue_word64(queue, QUEUE_HEAD)) == word >> 1;
}

int shmseg_queue_take(shmseg_queue *queue, void *buffer, size_t available, uint64_t max,
                      size_t *used, int64_t deadline) {
  uint32_t id;
  uint64_t word = 0;
  bool dirty;
  int err = shmseg_object_begin(&queue->object, &id);
  *used = 0;
  if (!err && max == 0)
    err = EINVAL;
  for (int round = 0; !err && round < QUEUE_ROUNDS; round++) {
    batch batch = { buffer, available, 0, max };
    err = shmseg_lock_enter(queue->object.segment, queue_word32(queue, QUEUE_CONSUMERS), id,
                            deadline, &dirty);
    if (err)
      return queue_is_over(queue) ? SHMSEG_SHUTDOWN : err;
    err = queue_leave(queue, QUEUE_CONSUMERS, id, queue_remove_some(queue, &batch, &word));
    *used = batch.used;
    if (err == 0)
      shmseg_eventcount_notify(queue_word32(queue, QUEUE_SPACE)); /* leaving was a full barrier */
    if (err != SHMSEG_CHANGED)
      return err;
    err =
        queue_wait_for_change(queue, QUEUE_TAIL, word, QUEUE_MESSAGES, &queue->pop_spin, deadline);
  }
  return err ? err : shmseg_wait_again(deadline);
}

int shmseg_queue_peek(shmseg_queue *queue, const unsigned char **bytes, size_t *size,
                      uint64_t *position) {
  int err = shmseg_object_ready(&queue->object);
  if (err)
    return err;
  uint64_t stored, head = load_relaxed(queue_word64(queue, QUEUE_HEAD));
  if (!queue_knows_message(queue, head)) {
    /* pairs with the swap in queue_append() */
    queue->tail_seen = load_acquire(queue_word64(queue, QUEUE_TAIL)) >> 1;
    if (!queue_knows_message(queue, head))
      return SHMSEG_CHANGED;
  }
  uint64_t index = queue_index_of(head, queue->ring, &queue->pop_lap);
  bool sane = queue_record_at(queue, index, queue->tail_seen - head, &stored);
  if (!sane || index + QUEUE_RECORD_HEADER + stored > queue->ring ||
      index + QUEUE_RECORD_HEADER == queue->ring)
    return SHMSEG_CHANGED; /* it wraps, or has been taken: shmseg_queue_take() looks closer */
  *bytes = queue_ring_of(queue).bytes + index + QUEUE_RECORD_HEADER;
  *size = (size_t)stored;
  *position = head;
  return segment_status(queue->object.segment);
}

int shmseg_queue_claim(shmseg_queue *queue, uint64_t position, size_t size) {
  uint32_t id, seen = SHMSEG_LOCK_FREE;
  uint64_t need = SHMSEG_RECORD((uint64_t)size);
  int err = shmseg_object_begin(&queue->object, &id);
  if (err)
    return err;
  if (!cas_ordered(queue_word32(queue, QUEUE_CONSUMERS), &seen, id))
    return SHMSEG_CHANGED;
  err = segment_status(queue->object.segment);
  if (!err && load_relaxed(queue_word64(queue, QUEUE_HEAD)) != position)
    err = SHMSEG_CHANGED;
  if (!err) /* Take. What was copied was loaded before this. */
    store_release(queue_word64(queue, QUEUE_HEAD), position + need);
  err = queue_leave(queue, QUEUE_CONSUMERS, id, err);
  if (err)
    return err;
  shmseg_eventcount_notify(queue_word32(queue, QUEUE_SPACE)); /* leaving was a full barrier */
  queue_fetch_next(queue, position + need, need);
  return 0;
}

/* --- the kind ----------------------------------------------------------------------------- */

static const char *queue_check(const shmseg_object *object) {
  const shmseg_queue *queue = (const shmseg_queue *)object;
  uint64_t head = load_relaxed(queue_word64(queue, QUEUE_HEAD)),
           tail = load_relaxed(queue_word64(queue, QUEUE_TAIL)) >> 1;
  if (!shmseg_ring_holds(queue->ring, head, tail))
    return "Q1: head and tail";
  if (!shmseg_queue_is_whole(queue, head, tail))
    return "Q2: a record";
  if (!shmseg_lock_valid(load_relaxed(queue_word32(queue, QUEUE_PRODUCERS))) ||
      !shmseg_lock_valid(load_relaxed(queue_word32(queue, QUEUE_CONSUMERS))))
    return "Q3: a lock word";
  if (!shmseg_eventcount_valid(load_relaxed(queue_word32(queue, QUEUE_MESSAGES))) ||
      !shmseg_eventcount_valid(load_relaxed(queue_word32(queue, QUEUE_SPACE))))
    return "an eventcount";
  return NULL;
}

const shmseg_kind shmseg_queue_kind = {
  .name = "queue",
  .number = 6,
  .version = 1,
  .handle_size = sizeof(shmseg_queue),
  .numbers = { SHMSEG_NUMBER(capacity) },
  .size = queue_size,
  .fit = queue_fit,
  .build = queue_build,
  .open = queue_open,
  .check = queue_check,
};
