/* SPDX-License-Identifier: MIT */
/* A queue: each message goes to one consumer.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/object.h), capacity = bytes of the largest message
 *             64      4     producers' lock word (core/lock.h)
 *             128     8     tail word: tail << 1 | shut
 *             136     4     eventcount of the messages (core/eventcount.h), is notified after a push
 *             192     4     consumers' lock word
 *             256     8     head
 *             264     4     eventcount of the space, is notified after a pop
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
 *             Q3  only who has the producers' lock moves tail, only who has the consumers' moves head.
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
#include "core/owner.h"
#include "core/ring.h"
#include "core/segment.h"
#include "core/wait.h"
#include "core/word.h"
#include "objects/kinds.h"
#include "objects/object.h"

#define PRODUCERS 64
#define TAIL 128
#define MESSAGES 136
#define CONSUMERS 192
#define HEAD 256
#define SPACE 264
#define RING 320
#define HEAD_SIZE 8 /* of a record */
#define SHUT 1u

/* Bytes of holes among the messages that are no sign of anything. */
#define HOLES_MAX ((uint64_t)64 << 20)

/* Rounds of an operation that finds the queue changed by others each time, before the clock is asked. */
#define ROUNDS 1000

static uint64_t queue_ring_for(uint64_t capacity) {
  return (capacity + 7) / 8 * 8 + HEAD_SIZE;
}

static uint64_t queue_size(const uint64_t *geometry) {
  uint64_t capacity = geometry[0];
  if (capacity == 0 || capacity > SHMSEG_CAPACITY_MAX)
    return 0;
  return RING + queue_ring_for(capacity);
}

static void queue_fit(uint64_t available, uint64_t *geometry) {
  geometry[0] = available >= RING + HEAD_SIZE + 8 ? (available - RING - HEAD_SIZE) / 8 * 8 : 0;
}

static int queue_build(const uint64_t *geometry, shmseg_words *words) {
  uint64_t start = queue_ring_for(geometry[0]);
  words[0] = (shmseg_words){ PRODUCERS, 1, 4, SHMSEG_LOCK_FREE };
  words[1] = (shmseg_words){ CONSUMERS, 1, 4, SHMSEG_LOCK_FREE };
  words[2] = (shmseg_words){ TAIL, 1, 8, start << 1 };
  words[3] = (shmseg_words){ HEAD, 1, 8, start };
  words[4] = (shmseg_words){ MESSAGES, 1, 4, SHMSEG_EVENTCOUNT_START };
  words[5] = (shmseg_words){ SPACE, 1, 4, SHMSEG_EVENTCOUNT_START };
  return 6;
}

static uint32_t *queue_word32(const shmseg_queue *queue, uint64_t offset) {
  return shmseg_object_at(&queue->object, offset);
}

static uint64_t *queue_word64(const shmseg_queue *queue, uint64_t offset) {
  return shmseg_object_at(&queue->object, offset);
}

static void queue_open(shmseg_object *object) {
  ((shmseg_queue *)object)->ring = queue_ring_for(object->capacity);
}

/* --- the ring ----------------------------------------------------------------------------- */

/* The offset of a position in the ring. lap is where the ring began for the last one: positions
 * move slowly, and a division costs as much as a small message. */
static uint64_t queue_place_of(uint64_t position, uint64_t ring, uint64_t *lap) {
  if (position - *lap >= ring)
    *lap = position - position % ring;
  return position - *lap;
}

static shmseg_ring queue_ring_of(const shmseg_queue *queue) {
  shmseg_ring ring = { shmseg_object_at(&queue->object, RING), queue->ring };
  return ring;
}

/* The size of the record at place, of which rest bytes are left; false when it cannot be (Q2). */
static bool queue_record_at(const shmseg_queue *queue, uint64_t place, uint64_t rest,
                            uint64_t *size) {
  *size = load_relaxed(
      (const uint64_t *)(queue_ring_of(queue).bytes + place)); /* once: a peer may rewrite it */
  return *size <= queue->object.capacity && SHMSEG_RECORD(*size) <= rest;
}

/* --- waiting ------------------------------------------------------------------------------ */

static bool queue_has_changed(const shmseg_queue *queue, uint64_t offset, uint64_t seen) {
  return load_ordered(queue_word64(queue, offset)) != seen ||
         load_ordered(queue_word64(queue, TAIL)) & SHUT;
}

/* Waits until the 64-bit word at offset is not seen, or the queue is shut; both are followed by the
 * eventcount. 0: look again. */
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

/* What every operation begins with. */
static int queue_begin(shmseg_queue *queue, uint32_t *id) {
  int err = shmseg_object_ready(&queue->object);
  return err ? err : shmseg_owner_identity(queue->object.segment, id);
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

/* Is there space behind tail, as far as the head is known that was seen last? (Q1: it only grows.) */
static bool queue_has_space(const shmseg_queue *queue, uint64_t tail, uint64_t need) {
  return shmseg_ring_holds(queue->ring, queue->head_seen, tail) &&
         need <= queue->ring - (tail - queue->head_seen);
}

/* Under the lock: 0, SHMSEG_SHUTDOWN, SHMSEG_CORRUPT, or SHMSEG_CHANGED: full, head_seen is as found. */
static int queue_append(shmseg_queue *queue, const void *bytes, size_t size) {
  uint64_t word = load_relaxed(queue_word64(queue, TAIL));
  uint64_t tail = word >> 1;
  uint64_t need = SHMSEG_RECORD((uint64_t)size);
  if (word & SHUT)
    return SHMSEG_SHUTDOWN;
  if (!queue_has_space(queue, tail, need)) {
    queue->head_seen =
        load_acquire(queue_word64(queue, HEAD)); /* pairs with the release in queue_remove_some() */
    if (!shmseg_ring_holds(queue->ring, queue->head_seen, tail))
      return SHMSEG_CORRUPT;
    if (!queue_has_space(queue, tail, need))
      return SHMSEG_CHANGED;
  }
  uint64_t place = queue_place_of(tail, queue->ring, &queue->push_lap);
  shmseg_ring ring = queue_ring_of(queue);
  fence_release(); /* head is seen before any byte below: pairs with queue_count_records()'s fence */
  store_relaxed((uint64_t *)(ring.bytes + place), (uint64_t)size);
  place += HEAD_SIZE;
  shmseg_ring_put(ring, place < queue->ring ? place : 0, bytes, size);
  int err = segment_status(queue->object.segment);
  if (err)
    return err;
  /* Publish. Pairs with the acquire in shmseg_queue_take(); from here it is a consumer's (Q2). */
  if (cas_ordered(queue_word64(queue, TAIL), &word, (tail + need) << 1))
    return 0;
  return word == (tail << 1 | SHUT) ? SHMSEG_SHUTDOWN : SHMSEG_CORRUPT;
}

int shmseg_queue_push(shmseg_queue *queue, const void *bytes, size_t size, int64_t deadline) {
  uint32_t id;
  bool dirty;
  int err = queue_begin(queue, &id);
  if (!err && size > queue->object.capacity)
    err = EINVAL;
  for (int round = 0; !err && round < ROUNDS; round++) {
    err = shmseg_lock_enter_until(queue->object.segment, queue_word32(queue, PRODUCERS), id,
                                  deadline, &dirty);
    if (err) /* a stopped producer may have the lock: shutting down is seen all the same */
      return load_acquire(queue_word64(queue, TAIL)) & SHUT ? SHMSEG_SHUTDOWN : err;
    err = queue_leave(queue, PRODUCERS, id, queue_append(queue, bytes, size));
    if (err == 0)
      shmseg_eventcount_notify(queue_word32(queue, MESSAGES)); /* leaving was a full barrier */
    if (err != SHMSEG_CHANGED)
      return err;
    err = queue_wait_for_change(queue, HEAD, queue->head_seen, SPACE, &queue->push_spin, deadline);
  }
  return err ? err : shmseg_wait_again(deadline);
}

int shmseg_queue_shutdown(shmseg_queue *queue) {
  int err = shmseg_object_ready(&queue->object);
  if (!err && !queue->object.segment->writable)
    err = SHMSEG_READ_ONLY;
  if (err)
    return err;
  uint64_t word = load_relaxed(queue_word64(queue, TAIL));
  for (int i = 0; !(word & SHUT) && i < ROUNDS; i++)
    if (cas_ordered(queue_word64(queue, TAIL), &word, word | SHUT))
      word |= SHUT;
  shmseg_eventcount_notify(queue_word32(queue, MESSAGES));
  shmseg_eventcount_notify(queue_word32(queue, SPACE));
  err = segment_status(queue->object.segment);
  return err ? err : word & SHUT ? 0 : EAGAIN;
}

/* --- consumers ---------------------------------------------------------------------------- */

typedef struct {
  unsigned char *buffer;
  size_t available, used;
  uint64_t max;
} batch;

/* Copies one record, whose head is written anew: the size that was checked counts. */
static void queue_take_record(const shmseg_queue *queue, uint64_t place, uint64_t size,
                              batch *batch) {
  unsigned char *to = batch->buffer + batch->used;
  memcpy(to, &size, HEAD_SIZE);
  place += HEAD_SIZE;
  shmseg_ring_get(queue_ring_of(queue), place < queue->ring ? place : 0, to + HEAD_SIZE,
                  (size_t)size);
  batch->used += (size_t)SHMSEG_RECORD(size);
  batch->max--;
}

/* Copies records from head on. 0 with *head behind the last one; SHMSEG_CORRUPT; SHMSEG_TOO_SMALL
 * with what the first one needs. */
static int queue_copy_records(shmseg_queue *queue, batch *batch, uint64_t *head, uint64_t tail) {
  while (batch->max > 0 && *head < tail) {
    uint64_t size, place = queue_place_of(*head, queue->ring, &queue->pop_lap);
    if (!queue_record_at(queue, place, tail - *head, &size))
      return SHMSEG_CORRUPT;
    if (SHMSEG_RECORD(size) > batch->available - batch->used) {
      if (batch->used > 0)
        return 0;
      batch->used = (size_t)SHMSEG_RECORD(size);
      return SHMSEG_TOO_SMALL;
    }
    queue_take_record(queue, place, size, batch);
    *head += SHMSEG_RECORD(size);
  }
  return 0;
}

/* Is there a message at head, as far as the tail is known that was seen last? (Q1: it only grows.) */
static bool queue_knows_message(const shmseg_queue *queue, uint64_t head) {
  return head != queue->tail_seen && shmseg_ring_holds(queue->ring, head, queue->tail_seen);
}

/* Fetches the next message, which may be as long as the last one. */
static void queue_fetch_next(shmseg_queue *queue, uint64_t head, uint64_t size) {
  if (queue_knows_message(queue, head))
    shmseg_ring_fetch(queue_ring_of(queue), queue_place_of(head, queue->ring, &queue->pop_lap),
                      size);
}

/* Under the lock: 0, SHMSEG_SHUTDOWN, SHMSEG_CORRUPT, SHMSEG_TOO_SMALL, or SHMSEG_CHANGED: empty, with
 * the tail word as found. One message is taken without a look at the producers' line where that will
 * do. */
static int queue_remove_some(shmseg_queue *queue, batch *batch, uint64_t *word) {
  uint64_t head = load_relaxed(queue_word64(queue, HEAD));
  if (batch->max > 1 || !queue_knows_message(queue, head)) {
    *word = load_acquire(queue_word64(queue, TAIL)); /* pairs with the swap in queue_append() */
    queue->tail_seen = *word >> 1;
    if (!shmseg_ring_holds(queue->ring, head, queue->tail_seen))
      return SHMSEG_CORRUPT;
    if (head == queue->tail_seen)
      return *word & SHUT ? SHMSEG_SHUTDOWN : SHMSEG_CHANGED;
  }
  int err = queue_copy_records(queue, batch, &head, queue->tail_seen);
  if (!err)
    err = segment_status(queue->object.segment);
  if (err)
    return err;
  /* Take. Pairs with the acquire in queue_append(): the space is the producers' (Q2). */
  store_release(queue_word64(queue, HEAD), head);
  queue_fetch_next(queue, head, batch->used);
  return 0;
}

/* Shut and empty? For who cannot get the lock: a stopped consumer may have it. */
static bool queue_is_over(const shmseg_queue *queue) {
  uint64_t word = load_acquire(queue_word64(queue, TAIL));
  return word & SHUT && load_acquire(queue_word64(queue, HEAD)) == word >> 1;
}

int shmseg_queue_take(shmseg_queue *queue, void *buffer, size_t available, uint64_t max,
                      size_t *used, int64_t deadline) {
  uint32_t id;
  uint64_t word = 0;
  bool dirty;
  int err = queue_begin(queue, &id);
  *used = 0;
  for (int round = 0; !err && round < ROUNDS; round++) {
    batch batch = { buffer, available, 0, max };
    err = shmseg_lock_enter_until(queue->object.segment, queue_word32(queue, CONSUMERS), id,
                                  deadline, &dirty);
    if (err)
      return queue_is_over(queue) ? SHMSEG_SHUTDOWN : err;
    err = queue_leave(queue, CONSUMERS, id, queue_remove_some(queue, &batch, &word));
    *used = batch.used;
    if (err == 0)
      shmseg_eventcount_notify(queue_word32(queue, SPACE)); /* leaving was a full barrier */
    if (err != SHMSEG_CHANGED)
      return err;
    err = queue_wait_for_change(queue, TAIL, word, MESSAGES, &queue->pop_spin, deadline);
  }
  return err ? err : shmseg_wait_again(deadline);
}

int shmseg_queue_peek(shmseg_queue *queue, const unsigned char **bytes, size_t *size,
                      uint64_t *position) {
  int err = shmseg_object_ready(&queue->object);
  if (err)
    return err;
  uint64_t stored, head = load_relaxed(queue_word64(queue, HEAD));
  if (!queue_knows_message(queue, head)) {
    queue->tail_seen =
        load_acquire(queue_word64(queue, TAIL)) >> 1; /* pairs with the swap in queue_append() */
    if (!queue_knows_message(queue, head))
      return SHMSEG_CHANGED;
  }
  uint64_t place = queue_place_of(head, queue->ring, &queue->pop_lap);
  bool sane = queue_record_at(queue, place, queue->tail_seen - head, &stored);
  if (!sane || place + HEAD_SIZE + stored > queue->ring || place + HEAD_SIZE == queue->ring)
    return SHMSEG_CHANGED; /* it wraps, or is another's by now; take looks closer */
  *bytes = queue_ring_of(queue).bytes + place + HEAD_SIZE;
  *size = (size_t)stored;
  *position = head;
  return segment_status(queue->object.segment);
}

int shmseg_queue_claim(shmseg_queue *queue, uint64_t position, size_t size) {
  uint32_t id, seen = SHMSEG_LOCK_FREE;
  uint64_t need = SHMSEG_RECORD((uint64_t)size);
  int err = queue_begin(queue, &id);
  if (err)
    return err;
  if (!cas_ordered(queue_word32(queue, CONSUMERS), &seen, id))
    return SHMSEG_CHANGED;
  err = segment_status(queue->object.segment);
  if (!err && load_relaxed(queue_word64(queue, HEAD)) != position)
    err = SHMSEG_CHANGED;
  if (!err) /* Take. What was copied was loaded before this. */
    store_release(queue_word64(queue, HEAD), position + need);
  err = queue_leave(queue, CONSUMERS, id, err);
  if (err)
    return err;
  shmseg_eventcount_notify(queue_word32(queue, SPACE)); /* leaving was a full barrier */
  queue_fetch_next(queue, position + need, need);
  return 0;
}

/* --- looking ------------------------------------------------------------------------------ */

/* What is at a position, see ring.batch. */
static int queue_look_at(const shmseg_queue *queue, uint64_t position, uint64_t tail,
                         uint64_t *until) {
  return shmseg_ring_look(queue->object.segment, queue->object.offset + RING, queue->ring, position,
                          tail, until);
}

/* Passes a record; or a hole: zeroes, and so as many empty messages as fit in it. (A copy that
 * leaves zeroes out makes some. Nobody else does: each 8 bytes of a record are written.) *left is what
 * the step may cost, and less it afterwards. */
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
  bool sane = queue_record_at(queue, queue_place_of(walk->position, queue->ring, lap),
                              walk->tail - walk->position, &size);
  if (!sane)
    return SHMSEG_CORRUPT;
  walk->position += SHMSEG_RECORD(size);
  walk->messages++;
  --*left;
  return 0;
}

/* Goes on with a count, as far as *left allows. 0; SHMSEG_INTERRUPTED; SHMSEG_CHANGED when consumers
 * have overtaken the count, which then may have read others' bytes; SHMSEG_CORRUPT. */
static int queue_count_records(const shmseg_queue *queue, shmseg_queue_walk *walk, uint64_t *left) {
  uint64_t lap = 0;
  while (*left > 0 && walk->position < walk->tail) {
    uint64_t before = walk->position;
    int err = queue_pass(queue, walk, &lap, left);
    fence_acquire(); /* the size was loaded before this */
    if (load_relaxed(queue_word64(queue, HEAD)) > before)
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

/* SHMSEG_CORRUPT when there are more holes than messages of a copy can be: to take what is there would
 * make memory of them. */
static int queue_check_holes(const shmseg_queue *queue, uint64_t position, uint64_t tail) {
  uint64_t until, holes = 0;
  if (tail - position <= SHMSEG_RING_UNASKED || queue->object.segment->place.type == SHMSEG_FILE)
    return 0;
  for (int i = 0; i < ROUNDS && position < tail; i++, position = until) {
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
  for (int round = 0; !err && round < ROUNDS; round++) {
    *word = load_acquire(queue_word64(queue, TAIL));
    *head = load_acquire(queue_word64(queue, HEAD));
    err = segment_status(queue->object.segment);
    if (err || shmseg_ring_holds(queue->ring, *head, *word >> 1))
      return err;
    /* both may have moved between the two loads */
    if (load_acquire(queue_word64(queue, TAIL)) == *word &&
        load_acquire(queue_word64(queue, HEAD)) == *head)
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
  stats->shut = word & SHUT;
  return 0;
}

int shmseg_queue_count_on(const shmseg_queue *queue, shmseg_queue_walk *walk,
                          shmseg_queue_stats *stats) {
  uint64_t left = SHMSEG_RING_GO;
  int err = shmseg_object_ready(&queue->object);
  if (err)
    return err;
  for (; walk->rounds < ROUNDS; walk->rounds++) {
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

static const char *queue_check(const shmseg_object *object) {
  const shmseg_queue *queue = (const shmseg_queue *)object;
  uint64_t head = load_relaxed(queue_word64(queue, HEAD)),
           tail = load_relaxed(queue_word64(queue, TAIL)) >> 1;
  uint64_t left = UINT64_MAX;
  if (!shmseg_ring_holds(queue->ring, head, tail))
    return "Q1: head and tail";
  shmseg_queue_walk walk = { 0 };
  queue_begin_walk(&walk, head, tail);
  if (queue_count_records(queue, &walk, &left) != 0)
    return "Q2: a record";
  if (!shmseg_lock_valid(load_relaxed(queue_word32(queue, PRODUCERS))) ||
      !shmseg_lock_valid(load_relaxed(queue_word32(queue, CONSUMERS))))
    return "Q3: a lock word";
  if (!shmseg_eventcount_valid(load_relaxed(queue_word32(queue, MESSAGES))) ||
      !shmseg_eventcount_valid(load_relaxed(queue_word32(queue, SPACE))))
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
