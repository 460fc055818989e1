/* SPDX-License-Identifier: MIT */
/* A queue: each message goes to one consumer. Here is the producers' half, and queue_take.c has the
 * consumers'.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity = bytes of the largest message
 *             64      4     producers' lock word (core/lock.h)
 *             128     8     tail word: tail << 1 | shut
 *             136     4     eventcount of the messages (core/eventcount.h), notified after a push
 *             192     8     head
 *             200     4     eventcount of the space, notified after a pop
 *             256           ring: capacity rounded up to 8, and 8 more
 *
 *             A consumer that looks for a message again and again takes the tail's line from the
 *             producers, and that alone: so the lock, written twice for each message, has a line of
 *             its own.
 *
 *             Head and tail are positions: bytes since the start, the first one being the length
 *             of the ring; position p is at p mod length. A record is the message's size (8
 *             bytes), its bytes, and 0 to 7 more to a multiple of 8; it may wrap.
 *
 * INVARIANTS  Q1  length <= head <= tail <= head + length, both multiples of 8; they only grow.
 *             Q2  [head, tail) is whole records.
 *             Q3  only the owner of the producers' lock moves tail. Head is moved by whoever takes, by
 *                 one compare-and-swap, from the beginning of a record to the end of one.
 *             Q4  shut is never cleared, and tail never moves once it is set.
 *
 * PROTOCOL    push      under the producers' lock: load head with acquire, now or earlier; fence;
 *                       write the records behind tail, compare-and-swap the tail word: that
 *                       publishes them, unless shut came first. Unlock, notify. (The fence: a
 *                       consumer that sees a byte of these records sees that head, too, when it
 *                       asks whether what it reads was taken.)
 *             take      load head, then the tail word, both with acquire; copy records out;
 *                       compare-and-swap head from where it was to the end of the last one: that
 *                       takes them. Notify.
 *                       While head is p no producer touches a byte at or behind p (Q1), and head
 *                       never comes back to p. So when the swap succeeds, the copies, which the swap
 *                       releases, are the records; and a producer that acquires the new head writes
 *                       over them only after they were loaded.
 *                       A swap that fails tells the new head. Records before it are others'. If a
 *                       record of the batch begins there, it and what lies behind it can be
 *                       swapped for again. (The sizes before it may have been read too late, and
 *                       be anything; those from there on are right if that swap succeeds.)
 *             shutdown  compare-and-swap the tail word. A consumer says "shutdown" when the tail
 *                       word is shut and shows the head that was loaded before it: then head was
 *                       there still, and no message comes any more (Q4).
 *
 * CRASHES     producer dies before the swap: the queue is without its messages; after it: with all of
 *             them. Consumer dies before the swap: the messages are another's; after it: the victim's.
 *             The lock is recovered (core/lock.h); a consumer holds nothing; head and tail are all
 *             there is to know. */
#include <errno.h>
#include <stddef.h>

#include "core/eventcount.h"
#include "core/lock.h"
#include "core/segment.h"
#include "core/wait.h"
#include "objects/kinds.h"
#include "objects/queue.h"

/* A producer pauses at most so often before it looks whether a full ring has room. */
#define PUSH_PAUSES 256

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
  words[0] = (shmseg_words){ QUEUE_PRODUCERS, 1, 4, SHMSEG_LOCK_FREE, 0 };
  words[1] = (shmseg_words){ QUEUE_TAIL, 1, 8, start << 1, 0 };
  words[2] = (shmseg_words){ QUEUE_HEAD, 1, 8, start, 0 };
  words[3] = (shmseg_words){ QUEUE_MESSAGES, 1, 4, SHMSEG_EVENTCOUNT_START, 0 };
  words[4] = (shmseg_words){ QUEUE_SPACE, 1, 4, SHMSEG_EVENTCOUNT_START, 0 };
  return 5;
}

static void queue_open(shmseg_object *object) {
  ((shmseg_queue *)object)->ring = queue_ring_for(object->capacity);
}

/* --- waiting ------------------------------------------------------------------------------ */

/* Looks whether the word differs from *seen, which becomes what it is now, or the queue is shut. */
static bool queue_has_changed(const shmseg_queue *queue, uint64_t offset, uint64_t *seen) {
  uint64_t before = *seen;
  *seen = load_ordered(queue_word64(queue, offset));
  return *seen != before || load_ordered(queue_word64(queue, QUEUE_TAIL)) & QUEUE_SHUT;
}

int shmseg_queue_wait_for_change(const shmseg_queue *queue, uint64_t offset, uint64_t *seen,
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

/* --- producers ---------------------------------------------------------------------------- */

static int queue_leave(const shmseg_queue *queue, uint32_t id, int err) {
  const shmseg_segment *segment = queue->object.segment;
  uint32_t *word = queue_word32(queue, QUEUE_PRODUCERS);
  if (err == SHMSEG_CORRUPT || segment_status(segment) != 0)
    return shmseg_lock_leave_dirty(segment, word, id,
                                   err == SHMSEG_CORRUPT ? err : segment_status(segment));
  int left = shmseg_lock_release(segment, word, id, SHMSEG_LOCK_FREE, 1);
  return left ? left : err;
}

/* How many bytes are free behind tail? At least so many: head has grown, if anything, since it was
 * seen last (Q1). */
static uint64_t queue_room(const shmseg_queue *queue, uint64_t tail) {
  return shmseg_ring_holds(queue->ring, queue->head_seen, tail)
             ? queue->ring - (tail - queue->head_seen)
             : 0;
}

/* How many of the messages fit into room; *need is the bytes of their records. */
static size_t queue_fitting(const shmseg_source *messages, size_t count, uint64_t room,
                            uint64_t *need) {
  size_t n = 0;
  *need = 0;
  while (n < count && SHMSEG_RECORD((uint64_t)messages[n].size) <= room - *need)
    *need += SHMSEG_RECORD((uint64_t)messages[n++].size);
  return n;
}

static void queue_write(shmseg_queue *queue, uint64_t position, const shmseg_source *message) {
  uint64_t index = queue_index_of(position, queue->ring, &queue->push_lap);
  shmseg_ring ring = queue_ring_of(queue);
  store_relaxed((uint64_t *)(ring.bytes + index), (uint64_t)message->size);
  index += QUEUE_RECORD_HEADER;
  shmseg_ring_put(ring, index < queue->ring ? index : 0, message->bytes, message->size);
}

/* Under the lock: 0, and *appended messages are published; SHMSEG_SHUTDOWN, SHMSEG_CORRUPT, what
 * befell a source, or SHMSEG_CHANGED: the queue is full, and head_seen is the head that was found. */
static int queue_append(shmseg_queue *queue, const shmseg_source *messages, size_t count,
                        size_t *appended) {
  uint64_t need, word = load_relaxed(queue_word64(queue, QUEUE_TAIL));
  uint64_t tail = word >> 1;
  if (word & QUEUE_SHUT)
    return SHMSEG_SHUTDOWN;
  size_t n = queue_fitting(messages, count, queue_room(queue, tail), &need);
  if (n < count) {
    queue->head_seen =
        load_acquire(queue_word64(queue, QUEUE_HEAD)); /* pairs with shmseg_queue_claim()'s swap */
    if (!shmseg_ring_holds(queue->ring, queue->head_seen, tail))
      return SHMSEG_CORRUPT;
    n = queue_fitting(messages, count, queue_room(queue, tail), &need);
    if (n == 0) {
      queue->lacking = SHMSEG_RECORD((uint64_t)messages[0].size);
      return SHMSEG_CHANGED;
    }
  }
  fence_release(); /* head is seen before any byte below: pairs with queue_has_passed()'s fence */
  for (size_t i = 0; i < n; i++) {
    queue_write(queue, tail, &messages[i]);
    tail += SHMSEG_RECORD((uint64_t)messages[i].size);
  }
  int err = shmseg_object_copied(&queue->object, messages, n);
  if (err)
    return err;
  /* Publish. Pairs with the acquire in shmseg_queue_look(); from here they are consumers' (Q2). */
  uint64_t seen = word;
  if (!cas_ordered(queue_word64(queue, QUEUE_TAIL), &seen, tail << 1))
    return seen == (word | QUEUE_SHUT) ? SHMSEG_SHUTDOWN : SHMSEG_CORRUPT;
  *appended = n;
  queue->lacking = 0;
  return 0;
}

/* Waits until head has moved. Who finds little room each time looks less often: until then the
 * consumers, who have the whole ring before them, keep the line that head is in. */
static int queue_wait_for_room(shmseg_queue *queue, int64_t deadline) {
  uint64_t head = queue->head_seen;
  int err = shmseg_queue_wait_for_change(queue, QUEUE_HEAD, &head, QUEUE_SPACE, &queue->push_spin,
                                         deadline);
  if (!err)
    shmseg_wait_spin_adapt(&queue->push_spin, head - queue->head_seen < queue->ring / QUEUE_PLENTY,
                           PUSH_PAUSES);
  return err;
}

int shmseg_queue_push_many(shmseg_queue *queue, const shmseg_source *messages, size_t count,
                           size_t *pushed, int64_t deadline) {
  uint32_t id;
  bool dirty;
  int err = shmseg_object_begin(&queue->object, &id);
  *pushed = 0;
  for (size_t i = 0; !err && i < count; i++)
    if (messages[i].size > queue->object.capacity)
      err = EINVAL;
  for (int round = 0; !err && *pushed < count && round < QUEUE_ROUNDS; round++) {
    size_t appended = 0;
    err = shmseg_lock_enter(queue->object.segment, queue_word32(queue, QUEUE_PRODUCERS), id,
                            deadline, &dirty);
    if (err) /* a stopped producer may have the lock: a shutdown is reported all the same */
      return load_acquire(queue_word64(queue, QUEUE_TAIL)) & QUEUE_SHUT ? SHMSEG_SHUTDOWN : err;
    err = queue_append(queue, messages + *pushed, count - *pushed, &appended);
    err = queue_leave(queue, id, err);
    *pushed += appended;
    if (appended > 0)
      shmseg_eventcount_notify(
          queue_word32(queue, QUEUE_MESSAGES)); /* the swap and its look are in one order */
    if (err == SHMSEG_CHANGED)
      err = queue_wait_for_room(queue, deadline);
  }
  return err || *pushed == count ? err : shmseg_wait_again(deadline);
}

int shmseg_queue_push(shmseg_queue *queue, const void *bytes, size_t size, int64_t deadline) {
  shmseg_source message = { bytes, size, NULL };
  size_t pushed;
  return shmseg_queue_push_many(queue, &message, 1, &pushed, deadline);
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

/* --- watches ------------------------------------------------------------------------------ */

/* By ordered loads, as queue_has_changed(). Positions that cannot be are something: a try says what. */
static bool queue_has_something(const shmseg_queue *queue, shmseg_direction direction) {
  uint64_t head = load_ordered(queue_word64(queue, QUEUE_HEAD));
  uint64_t word = load_ordered(queue_word64(queue, QUEUE_TAIL));
  uint64_t tail = word >> 1, least = queue->lacking ? queue->lacking : SHMSEG_RECORD(0);
  if (word & QUEUE_SHUT || !shmseg_ring_holds(queue->ring, head, tail))
    return true;
  return direction == SHMSEG_WATCH_POP ? head != tail : queue->ring - (tail - head) >= least;
}

int shmseg_queue_watch(shmseg_queue *queue, shmseg_direction direction, shmseg_watch *watch) {
  uint32_t key;
  uint64_t offset = direction == SHMSEG_WATCH_POP ? QUEUE_MESSAGES : QUEUE_SPACE;
  int err = shmseg_object_watch(&queue->object, offset, watch, &key);
  if (err)
    return err;
  return shmseg_object_arm(&queue->object, offset, watch, key,
                           queue_has_something(queue, direction));
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
  if (!shmseg_lock_valid(load_relaxed(queue_word32(queue, QUEUE_PRODUCERS))))
    return "Q3: the lock word";
  if (!shmseg_eventcount_valid(load_relaxed(queue_word32(queue, QUEUE_MESSAGES))) ||
      !shmseg_eventcount_valid(load_relaxed(queue_word32(queue, QUEUE_SPACE))))
    return "an eventcount";
  return NULL;
}

static int queue_inspect(const shmseg_object *object, shmseg_part *parts) {
  (void)object;
  parts[0] = (shmseg_part){ "producers", SHMSEG_PART_LOCK, QUEUE_PRODUCERS, 1, 0 };
  parts[1] = (shmseg_part){ "messages", SHMSEG_PART_EVENTCOUNT, QUEUE_MESSAGES, 1, 0 };
  parts[2] = (shmseg_part){ "space", SHMSEG_PART_EVENTCOUNT, QUEUE_SPACE, 1, 0 };
  return 3;
}

const shmseg_kind shmseg_queue_kind = {
  .name = "queue",
  .number = 6,
  .version = 2,
  .handle_size = sizeof(shmseg_queue),
  .numbers = { SHMSEG_NUMBER(capacity) },
  .size = queue_size,
  .fit = queue_fit,
  .build = queue_build,
  .open = queue_open,
  .check = queue_check,
  .inspect = queue_inspect,
};
