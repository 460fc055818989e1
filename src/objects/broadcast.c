/* SPDX-License-Identifier: MIT */
/* A broadcast: each message goes to every subscriber.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/object.h), capacity = bytes of the largest message
 *             64      4     publishers' lock word (core/lock.h)
 *             128     8     published word: (sequence + 1) << 1 | shut
 *             136     8     floor: what lies below may be overwritten
 *             144     16    ends: where the record of sequence s ends, at 8 * (s mod 2)
 *             160     4     eventcount (core/eventcount.h), is notified for each message
 *             192           ring: capacity rounded up to 8, and 16 more
 *
 *             Positions are bytes since the start, the first one being the length of the ring;
 *             position p is at p mod length. A record is the sequence number (8 bytes), the size (8
 *             bytes), the bytes, and 0 to 7 more to a multiple of 8. It may wrap, also in its head.
 *
 * INVARIANTS  B1  length <= floor <= end <= floor + length, multiples of 8, where end is that of the
 *                 published sequence.
 *             B2  [floor, end) is whole records with dense sequence numbers, the last published.
 *             B3  floor and sequence only grow; shut is never cleared, and the sequence does not
 *                 grow once it is set.
 *             B4  bytes of the ring change only when floor is above what they were.
 *
 * PROTOCOL    publish    under the lock: raise floor, record by record, above what will be
 *                        overwritten; fence; write the record at the end; store its end in the slot
 *                        that the published sequence does not use; compare-and-swap the published
 *                        word: that publishes, unless shut came first. Unlock, notify.
 *             next       copy the record at the own position, fence, load floor: at or below the
 *                        position, the copy is whole (B4). Else go to floor: the number of the record
 *                        there tells how many were lost.
 *             shutdown   compare-and-swap the published word.
 *
 * CRASHES     publisher dies before the swap: floor may be higher than need be, so the oldest
 *             messages are gone early, and are counted as lost; the end slot that was written is not
 *             in use. After it: the message is out. The lock is recovered (core/lock.h). */
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

#define LOCK 64
#define PUBLISHED 128
#define FLOOR 136
#define ENDS 144
#define EVENTCOUNT 160
#define RING 192
#define HEAD_SIZE 16 /* of a record */
#define SHUT 1u

#define RECORD(size) (HEAD_SIZE + ((size) + 7) / 8 * 8)

#define LOCK_PATIENCE ((int64_t)5 * 1000000000)
#define READ_PATIENCE ((int64_t)100 * 1000000)

/* Tries of what a publisher may disturb. */
#if !defined(SHMSEG_TRIES)
#define SHMSEG_TRIES 100000
#endif

typedef struct {
  uint64_t sequence, size;
} record_header;

static uint64_t broadcast_ring_for(uint64_t capacity) {
  return RECORD(capacity);
}

static uint64_t broadcast_size(const uint64_t *geometry) {
  uint64_t capacity = geometry[0];
  if (capacity == 0 || capacity > SHMSEG_CAPACITY_MAX)
    return 0;
  return RING + broadcast_ring_for(capacity);
}

static void broadcast_fit(uint64_t available, uint64_t *geometry) {
  geometry[0] = available >= RING + HEAD_SIZE + 8 ? (available - RING - HEAD_SIZE) / 8 * 8 : 0;
}

static int broadcast_build(const uint64_t *geometry, shmseg_words *words) {
  uint64_t start = broadcast_ring_for(geometry[0]);
  words[0] = (shmseg_words){ LOCK, 1, 4, SHMSEG_LOCK_FREE };
  words[1] = (shmseg_words){ PUBLISHED, 1, 8, (uint64_t)1 << 1 };
  words[2] = (shmseg_words){ FLOOR, 1, 8, start };
  words[3] = (shmseg_words){ ENDS, 1, 8, start };
  words[4] = (shmseg_words){ EVENTCOUNT, 1, 4, SHMSEG_EVENTCOUNT_START };
  return 5;
}

static uint32_t *broadcast_word32(const shmseg_broadcast *b, uint64_t offset) {
  return shmseg_object_at(&b->object, offset);
}

static uint64_t *broadcast_word64(const shmseg_broadcast *b, uint64_t offset) {
  return shmseg_object_at(&b->object, offset);
}

static uint64_t *broadcast_end_of(const shmseg_broadcast *b, uint64_t sequence) {
  return broadcast_word64(b, ENDS + sequence % 2 * 8);
}

static void broadcast_open(shmseg_object *object) {
  ((shmseg_broadcast *)object)->ring = broadcast_ring_for(object->capacity);
}

/* --- the ring ----------------------------------------------------------------------------- */

static shmseg_ring broadcast_ring_of(const shmseg_broadcast *b) {
  shmseg_ring ring = { shmseg_object_at(&b->object, RING), b->ring };
  return ring;
}

/* The word at a position, a multiple of 8. */
static uint64_t *broadcast_ring_word(const shmseg_broadcast *b, uint64_t position) {
  return (uint64_t *)(broadcast_ring_of(b).bytes + position % b->ring);
}

/* Can it be a published word? */
static bool broadcast_is_count(uint64_t word) {
  return word >> 1 != 0 && word >> 1 <= SHMSEG_COUNT_MAX;
}

static record_header broadcast_head_at(const shmseg_broadcast *b, uint64_t position) {
  record_header h;
  h.sequence = load_relaxed(broadcast_ring_word(b, position));
  h.size = load_relaxed(broadcast_ring_word(b, position + 8));
  return h;
}

/* --- publishing --------------------------------------------------------------------------- */

/* Raises floor until need bytes are free behind end; SHMSEG_INTERRUPTED when that is a long way, part of
 * which is done. (What is read here is about to be overwritten: it takes no memory of its own.) */
static int broadcast_make_space(const shmseg_broadcast *b, uint64_t end, uint64_t need) {
  uint64_t floor = load_relaxed(broadcast_word64(b, FLOOR));
  if (!shmseg_ring_holds(b->ring, floor, end))
    return SHMSEG_CORRUPT;
  uint64_t old = floor, left = SHMSEG_RING_GO;
  for (; need > b->ring - (end - floor) && left > 0; left--) {
    uint64_t size = broadcast_head_at(b, floor).size; /* once: a peer may rewrite it */
    if (size > b->object.capacity || RECORD(size) > end - floor)
      return SHMSEG_CORRUPT;
    floor += RECORD(size);
  }
  if (floor != old)
    store_release(broadcast_word64(b, FLOOR), floor);
  return need > b->ring - (end - floor) ? SHMSEG_INTERRUPTED : 0;
}

/* Under the lock. */
static int broadcast_append(const shmseg_broadcast *b, const void *bytes, size_t size,
                            uint64_t *sequence) {
  uint64_t word = load_relaxed(broadcast_word64(b, PUBLISHED));
  if (word & SHUT)
    return SHMSEG_SHUTDOWN;
  if (!broadcast_is_count(word))
    return SHMSEG_CORRUPT;
  *sequence = word >> 1; /* of this message */
  uint64_t end = load_relaxed(broadcast_end_of(b, *sequence - 1));
  uint64_t need = RECORD((uint64_t)size);
  int err = broadcast_make_space(b, end, need);
  if (err)
    return err;
  fence_release(); /* floor is seen before any byte below: pairs with broadcast_is_overrun()'s fence */
  store_relaxed(broadcast_ring_word(b, end), *sequence);
  store_relaxed(broadcast_ring_word(b, end + 8), (uint64_t)size);
  shmseg_ring_put(broadcast_ring_of(b), (end + HEAD_SIZE) % b->ring, bytes, size);
  store_relaxed(broadcast_end_of(b, *sequence), end + need);
  err = segment_status(b->object.segment);
  if (err)
    return err;
  /* Publish. Pairs with the acquire loads of the readers; from here it is out (B2). */
  uint64_t seen = word;
  if (cas_ordered(broadcast_word64(b, PUBLISHED), &seen, (*sequence + 1) << 1))
    return 0;
  return seen == (word | SHUT) ? SHMSEG_SHUTDOWN : SHMSEG_CORRUPT;
}

int shmseg_broadcast_publish_until(shmseg_broadcast *b, const void *bytes, size_t size,
                                   int64_t *deadline, uint64_t *sequence) {
  uint32_t id;
  bool dirty;
  shmseg_segment *segment = b->object.segment;
  int err = shmseg_object_ready(&b->object);
  if (!err && size > b->object.capacity)
    err = EINVAL;
  if (!err)
    err = shmseg_owner_identity(segment, &id);
  if (err)
    return err;
  err = shmseg_lock_enter(segment, broadcast_word32(b, LOCK), id, LOCK_PATIENCE, deadline, &dirty);
  if (err) /* a stopped publisher may have the lock: shutting down is seen all the same */
    return load_acquire(broadcast_word64(b, PUBLISHED)) & SHUT ? SHMSEG_SHUTDOWN : err;
  err = broadcast_append(b, bytes, size, sequence);
  if (err && err != SHMSEG_SHUTDOWN && err != SHMSEG_INTERRUPTED)
    return shmseg_lock_leave_dirty(segment, broadcast_word32(b, LOCK), id, err);
  int left = shmseg_lock_release(segment, broadcast_word32(b, LOCK), id, SHMSEG_LOCK_FREE, 1);
  if (!err)
    shmseg_eventcount_notify(broadcast_word32(b, EVENTCOUNT)); /* the release was a full barrier */
  return left ? left : err;
}

int shmseg_broadcast_publish(shmseg_broadcast *b, const void *bytes, size_t size,
                             uint64_t *sequence) {
  int64_t deadline = 0;
  int err;
  do {
    err = shmseg_broadcast_publish_until(b, bytes, size, &deadline, sequence);
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

int shmseg_broadcast_shutdown(shmseg_broadcast *b) {
  int err = shmseg_object_ready(&b->object);
  if (!err && !b->object.segment->writable)
    err = SHMSEG_READ_ONLY;
  if (err)
    return err;
  uint64_t word = load_relaxed(broadcast_word64(b, PUBLISHED));
  for (int i = 0; !(word & SHUT) && i < SHMSEG_TRIES; i++)
    if (cas_ordered(broadcast_word64(b, PUBLISHED), &word, word | SHUT))
      word |= SHUT;
  shmseg_eventcount_notify(broadcast_word32(b, EVENTCOUNT));
  err = segment_status(b->object.segment);
  return err ? err : word & SHUT ? 0 : EAGAIN;
}

/* --- subscribing -------------------------------------------------------------------------- */

/* Was what was copied from position on overwritten meanwhile? */
static bool broadcast_is_overrun(const shmseg_broadcast *b, uint64_t position) {
  fence_acquire(); /* the copy was loaded before this */
  return load_relaxed(broadcast_word64(b, FLOOR)) > position;
}

/* The next sequence number and where its record will be. False when a publisher was faster. */
static bool broadcast_find_end(const shmseg_broadcast *b, shmseg_subscription *s) {
  uint64_t word = load_acquire(broadcast_word64(b, PUBLISHED));
  s->sequence = word >> 1;
  s->position = load_relaxed(broadcast_end_of(b, s->sequence - 1));
  fence_acquire();
  return load_relaxed(broadcast_word64(b, PUBLISHED)) >> 1 == s->sequence && s->position % 8 == 0;
}

/* The oldest message that is there, or the next one. False when a publisher was faster. */
static bool broadcast_find_floor(const shmseg_broadcast *b, shmseg_subscription *s) {
  if (!broadcast_find_end(b, s))
    return false;
  uint64_t floor = load_acquire(broadcast_word64(b, FLOOR));
  if (!shmseg_ring_holds(b->ring, floor, s->position))
    return false;
  if (floor < s->position) {
    uint64_t first = broadcast_head_at(b, floor).sequence, end = s->sequence;
    if (end - first > (s->position - floor) / HEAD_SIZE) /* more than there is place for (B2) */
      return false;
    s->sequence = first;
    s->position = floor;
  }
  return !broadcast_is_overrun(b, floor);
}

/* Holes are not read, and have no record's head: its sequence number is not zero. */
static int broadcast_check_written(const shmseg_broadcast *b, uint64_t position, uint64_t end,
                                   uint64_t *written) {
  if (position < *written)
    return 0;
  int what =
      shmseg_ring_look(b->object.segment, b->object.offset + RING, b->ring, position, end, written);
  return what == SHMSEG_EMPTY ? SHMSEG_CORRUPT : what;
}

/* Begins a walk to the record of that number, which is not beyond the next one: from the oldest on,
 * unless it is there already. */
static int broadcast_begin_walk(const shmseg_broadcast *b, uint64_t number,
                                shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  shmseg_subscription next;
  if (!broadcast_find_end(b, &next))
    return SHMSEG_CHANGED;
  walk->end = next.position;
  if (number == next.sequence) {
    s->sequence = number;
    s->position = next.position;
    return 0;
  }
  if (!broadcast_find_floor(b, s))
    return SHMSEG_CHANGED;
  uint64_t most = s->position + b->ring; /* a peer can make up numbers, but no space */
  if (walk->end > most)
    walk->end = most;
  bool is_short = walk->end < s->position + SHMSEG_RING_UNASKED;
  walk->written = is_short ? walk->end : s->position;
  return 0;
}

/* Goes on with it. SHMSEG_CHANGED when a publisher was faster; SHMSEG_INTERRUPTED. */
static int broadcast_find_number(const shmseg_broadcast *b, uint64_t number,
                                 shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  int err = walk->end == 0 ? broadcast_begin_walk(b, number, walk, s) : 0;
  if (err)
    return err;
  for (uint64_t left = SHMSEG_RING_GO; s->sequence < number && s->position < walk->end; left--) {
    if (left == 0)
      return SHMSEG_INTERRUPTED;
    err = broadcast_check_written(b, s->position, walk->end, &walk->written);
    if (err)
      return broadcast_is_overrun(b, s->position) ? SHMSEG_CHANGED : err;
    uint64_t size = broadcast_head_at(b, s->position).size;
    if (broadcast_is_overrun(b, s->position) || size > b->object.capacity)
      return SHMSEG_CHANGED;
    s->position += RECORD(size);
    s->sequence++;
  }
  if (s->sequence < number)
    return SHMSEG_CHANGED;
  if (number < s->sequence)
    s->position = 0; /* gone: next finds that it is below the floor, and counts */
  s->sequence = number;
  return 0;
}

/* Finds where to begin. SHMSEG_CHANGED when a publisher was faster, or the words are no broadcast's. */
static int broadcast_find(const shmseg_broadcast *b, uint64_t from, shmseg_broadcast_walk *walk,
                          shmseg_subscription *s) {
  if (from == SHMSEG_FROM_NEW)
    return broadcast_find_end(b, s) ? 0 : SHMSEG_CHANGED;
  if (from == SHMSEG_FROM_OLDEST)
    return broadcast_find_floor(b, s) ? 0 : SHMSEG_CHANGED;
  return broadcast_find_number(b, from, walk, s);
}

/* 0, or why nothing can be found. */
static int broadcast_may_find(const shmseg_broadcast *b, uint64_t from) {
  uint64_t next = load_acquire(broadcast_word64(b, PUBLISHED)) >> 1;
  int err = segment_status(b->object.segment);
  if (err || !broadcast_is_count(next << 1))
    return err ? err : SHMSEG_CORRUPT;
  return from != SHMSEG_FROM_NEW && from > next ? SHMSEG_OUT_OF_RANGE : 0;
}

int shmseg_broadcast_subscribe_on(const shmseg_broadcast *b, uint64_t from,
                                  shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  const shmseg_subscription none = { .broadcast = b, .sequence = 1 };
  if (walk->end == 0)
    *s = none;
  int err = shmseg_object_ready(&b->object);
  while (!err) {
    err = broadcast_may_find(b, from);
    if (!err)
      err = broadcast_find(b, from, walk, s);
    int hole = segment_status(b->object.segment);
    err = hole ? hole : err;
    if (err == 0 || err == SHMSEG_INTERRUPTED)
      return err;
    *s = none;
    walk->end = 0;
    if (err != SHMSEG_CHANGED)
      return err;
    err = 0;
    if (walk->patience == 0) /* begins when a publisher has been faster */
      walk->patience = shmseg_wait_deadline(READ_PATIENCE);
    else if (!shmseg_wait_left(walk->patience))
      err = SHMSEG_TIMEOUT;
  }
  return err;
}

int shmseg_broadcast_subscribe(const shmseg_broadcast *b, uint64_t from, shmseg_subscription *s) {
  shmseg_broadcast_walk walk = { 0 };
  int err;
  do
    err = shmseg_broadcast_subscribe_on(b, from, &walk, s);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

/* Copies the record at the subscription's position. SHMSEG_CHANGED: it was overwritten. */
static int broadcast_copy_record(const shmseg_subscription *s, void *buffer, size_t available,
                                 size_t *size) {
  const shmseg_broadcast *b = s->broadcast;
  record_header h = broadcast_head_at(b, s->position);
  bool sane = h.sequence == s->sequence && h.size <= b->object.capacity;
  *size = sane ? (size_t)h.size : 0;
  if (sane && *size <= available)
    shmseg_ring_get(broadcast_ring_of(b), (s->position + HEAD_SIZE) % b->ring, buffer, *size);
  bool overrun = broadcast_is_overrun(b, s->position);
  int err = segment_status(b->object.segment);
  if (err)
    return err;
  if (overrun)
    return SHMSEG_CHANGED;
  return !sane ? SHMSEG_CORRUPT : *size > available ? SHMSEG_TOO_SMALL : 0;
}

/* Goes to the oldest message; those between are lost. SHMSEG_CHANGED: a publisher was faster. */
static int broadcast_skip_lost(shmseg_subscription *s) {
  shmseg_subscription oldest = *s;
  if (!broadcast_find_floor(s->broadcast, &oldest))
    return SHMSEG_CHANGED;
  if (oldest.sequence < s->sequence || oldest.sequence > SHMSEG_COUNT_MAX)
    return SHMSEG_CORRUPT;
  s->lost += oldest.sequence - s->sequence;
  s->sequence = oldest.sequence;
  s->position = oldest.position;
  return 0;
}

static bool broadcast_has_changed(const shmseg_broadcast *b, uint64_t seen) {
  return load_ordered(broadcast_word64(b, PUBLISHED)) != seen;
}

/* Waits until the published word is not seen. 0: look again. */
static int broadcast_wait_for_message(const shmseg_broadcast *b, uint64_t seen, shmseg_spin *spin,
                                      int64_t deadline) {
  uint32_t *word = broadcast_word32(b, EVENTCOUNT);
  if (!shmseg_wait_left(deadline))
    return broadcast_has_changed(b, seen) ? 0 : SHMSEG_TIMEOUT;
  shmseg_spinner spinner = shmseg_wait_spin_begin(spin);
  do
    if (broadcast_has_changed(b, seen))
      return shmseg_wait_spin_found(&spinner);
  while (shmseg_wait_spin_again(&spinner));
  uint32_t key = shmseg_eventcount_prepare(b->object.segment, word);
  if (broadcast_has_changed(b, seen))
    return segment_status(b->object.segment);
  return shmseg_eventcount_wait(b->object.segment, word, key, deadline);
}

/* The next message if there is one; SHMSEG_EMPTY, with the published word as found. Then it waits for
 * nobody; SHMSEG_CHANGED: publishers were faster. */
static int broadcast_try_next(shmseg_subscription *s, void *buffer, size_t available, size_t *size,
                              uint64_t *word) {
  const shmseg_broadcast *b = s->broadcast;
  *word =
      load_acquire(broadcast_word64(b, PUBLISHED)); /* pairs with the swap in broadcast_append() */
  int err = segment_status(b->object.segment);
  if (err || !broadcast_is_count(*word))
    return err ? err : SHMSEG_CORRUPT;
  if (s->sequence >= *word >> 1)
    return *word & SHUT ? SHMSEG_SHUTDOWN : SHMSEG_EMPTY;
  err = broadcast_copy_record(s, buffer, available, size);
  if (err == SHMSEG_CHANGED) {
    err = broadcast_skip_lost(s);
    return err ? err : SHMSEG_CHANGED;
  }
  if (err)
    return err;
  s->position += RECORD((uint64_t)*size);
  s->sequence++;
  return 0;
}

int shmseg_subscription_next(shmseg_subscription *s, void *buffer, size_t available, size_t *size,
                             uint64_t *sequence, uint64_t *lost, int64_t deadline) {
  int64_t patience = 0; /* begins when a publisher has been faster */
  for (int i = 0; i < SHMSEG_TRIES; i++) {
    uint64_t word = 0;
    int err = shmseg_object_ready(&s->broadcast->object);
    if (!err)
      err = broadcast_try_next(s, buffer, available, size, &word);
    if (err == 0) {
      *sequence = s->sequence - 1;
      *lost = s->lost;
      s->lost = 0;
      return 0;
    }
    if (err == SHMSEG_EMPTY)
      err = broadcast_wait_for_message(s->broadcast, word, &s->spin, deadline);
    else if (err == SHMSEG_CHANGED && patience == 0)
      patience = shmseg_wait_deadline(READ_PATIENCE), err = 0;
    else if (err == SHMSEG_CHANGED)
      err = shmseg_wait_left(patience) ? 0 : SHMSEG_TIMEOUT;
    if (err)
      return err;
  }
  return shmseg_wait_again(deadline);
}

/* --- looking ------------------------------------------------------------------------------ */

static const char *broadcast_check_records(const shmseg_broadcast *b, uint64_t floor, uint64_t end,
                                           uint64_t next) {
  uint64_t last = 0, written = end - floor > SHMSEG_RING_UNASKED ? floor : end;
  while (floor < end) {
    if (broadcast_check_written(b, floor, end, &written) != 0)
      return "B2: a record";
    record_header h = broadcast_head_at(b, floor);
    if (h.size > b->object.capacity || RECORD(h.size) > end - floor)
      return "B2: a record";
    if (last != 0 && h.sequence != last + 1)
      return "B2: a sequence number";
    last = h.sequence;
    floor += RECORD(h.size);
  }
  return last != 0 && last + 1 != next ? "B2: the last sequence number" : NULL;
}

static const char *broadcast_check(const shmseg_object *object) {
  const shmseg_broadcast *b = (const shmseg_broadcast *)object;
  uint64_t next = load_relaxed(broadcast_word64(b, PUBLISHED)) >> 1;
  uint64_t floor = load_relaxed(broadcast_word64(b, FLOOR));
  if (next == 0)
    return "B3: the published word";
  uint64_t end = load_relaxed(broadcast_end_of(b, next - 1));
  if (!shmseg_ring_holds(b->ring, floor, end))
    return "B1: floor and end";
  if (!shmseg_lock_valid(load_relaxed(broadcast_word32(b, LOCK))))
    return "the lock word";
  if (!shmseg_eventcount_valid(load_relaxed(broadcast_word32(b, EVENTCOUNT))))
    return "the eventcount";
  return broadcast_check_records(b, floor, end, next);
}

const shmseg_kind shmseg_broadcast_kind = {
  .name = "broadcast",
  .number = 7,
  .version = 1,
  .handle_size = sizeof(shmseg_broadcast),
  .numbers = { SHMSEG_NUMBER(capacity) },
  .size = broadcast_size,
  .fit = broadcast_fit,
  .build = broadcast_build,
  .open = broadcast_open,
  .check = broadcast_check,
};
