/* SPDX-License-Identifier: MIT */
/* A broadcast: each message goes to every subscriber.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity = bytes of the largest message
 *             64      4     publishers' lock word (core/lock.h)
 *             128     8     published word: (sequence + 1) << 1 | shut
 *             136     8     floor: what lies below may be overwritten
 *             144     16    ends: where the record of sequence s ends, at 8 * (s mod 2)
 *             160     4     eventcount (core/eventcount.h), notified for each message
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
#include "core/segment.h"
#include "objects/broadcast.h"
#include "objects/kinds.h"

#define LOCK_PATIENCE ((int64_t)5 * 1000000000)

static uint64_t broadcast_ring_for(uint64_t capacity) {
  return BROADCAST_RECORD(capacity);
}

static uint64_t broadcast_size(const uint64_t *geometry) {
  uint64_t capacity = geometry[0];
  if (capacity == 0 || capacity > SHMSEG_CAPACITY_MAX)
    return 0;
  return BROADCAST_RING + broadcast_ring_for(capacity);
}

static void broadcast_fit(uint64_t available, uint64_t *geometry) {
  geometry[0] = available >= BROADCAST_RING + BROADCAST_RECORD_HEADER + 8
                    ? (available - BROADCAST_RING - BROADCAST_RECORD_HEADER) / 8 * 8
                    : 0;
}

static int broadcast_build(const uint64_t *geometry, shmseg_words *words) {
  uint64_t start = broadcast_ring_for(geometry[0]);
  words[0] = (shmseg_words){ BROADCAST_LOCK, 1, 4, SHMSEG_LOCK_FREE };
  words[1] = (shmseg_words){ BROADCAST_PUBLISHED, 1, 8, (uint64_t)1 << 1 };
  words[2] = (shmseg_words){ BROADCAST_FLOOR, 1, 8, start };
  words[3] = (shmseg_words){ BROADCAST_ENDS, 1, 8, start };
  words[4] = (shmseg_words){ BROADCAST_EVENTCOUNT, 1, 4, SHMSEG_EVENTCOUNT_START };
  return 5;
}

static void broadcast_open(shmseg_object *object) {
  ((shmseg_broadcast *)object)->ring = broadcast_ring_for(object->capacity);
}

/* --- publishing --------------------------------------------------------------------------- */

/* Raises floor until need bytes are free behind end. SHMSEG_INTERRUPTED when that takes many
 * records: some are done. (To read a hole takes memory, but here it is about to be written to.) */
static int broadcast_make_space(const shmseg_broadcast *b, uint64_t end, uint64_t need) {
  uint64_t floor = load_relaxed(broadcast_word64(b, BROADCAST_FLOOR));
  if (!shmseg_ring_holds(b->ring, floor, end))
    return SHMSEG_CORRUPT;
  uint64_t old = floor, left = SHMSEG_RING_GO;
  for (; need > b->ring - (end - floor) && left > 0; left--) {
    uint64_t size = broadcast_header_at(b, floor).size; /* once: a peer may rewrite it */
    if (size > b->object.capacity || BROADCAST_RECORD(size) > end - floor)
      return SHMSEG_CORRUPT;
    floor += BROADCAST_RECORD(size);
  }
  if (floor != old)
    store_release(broadcast_word64(b, BROADCAST_FLOOR), floor);
  return need > b->ring - (end - floor) ? SHMSEG_INTERRUPTED : 0;
}

/* Under the lock. */
static int broadcast_append(const shmseg_broadcast *b, const void *bytes, size_t size,
                            uint64_t *sequence) {
  uint64_t word = load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED));
  if (word & BROADCAST_SHUT)
    return SHMSEG_SHUTDOWN;
  if (!broadcast_is_count(word))
    return SHMSEG_CORRUPT;
  *sequence = word >> 1; /* of this message */
  uint64_t end = load_relaxed(broadcast_end_of(b, *sequence - 1));
  uint64_t need = BROADCAST_RECORD((uint64_t)size);
  int err = broadcast_make_space(b, end, need);
  if (err)
    return err;
  fence_release(); /* floor is seen before any byte below: pairs with subscription_is_overrun()'s fence */
  store_relaxed(broadcast_ring_word(b, end), *sequence);
  store_relaxed(broadcast_ring_word(b, end + 8), (uint64_t)size);
  shmseg_ring_put(broadcast_ring_of(b), (end + BROADCAST_RECORD_HEADER) % b->ring, bytes, size);
  store_relaxed(broadcast_end_of(b, *sequence), end + need);
  err = segment_status(b->object.segment);
  if (err)
    return err;
  /* Publish. Pairs with the acquire loads of the readers; from here it is out (B2). */
  uint64_t seen = word;
  if (cas_ordered(broadcast_word64(b, BROADCAST_PUBLISHED), &seen, (*sequence + 1) << 1))
    return 0;
  return seen == (word | BROADCAST_SHUT) ? SHMSEG_SHUTDOWN : SHMSEG_CORRUPT;
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
  err = shmseg_lock_enter_patiently(segment, broadcast_word32(b, BROADCAST_LOCK), id, LOCK_PATIENCE,
                                    deadline, &dirty);
  if (err) /* a stopped publisher may have the lock: a shutdown is reported all the same */
    return load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED)) & BROADCAST_SHUT ? SHMSEG_SHUTDOWN
                                                                                   : err;
  err = broadcast_append(b, bytes, size, sequence);
  if (err && err != SHMSEG_SHUTDOWN && err != SHMSEG_INTERRUPTED)
    return shmseg_lock_leave_dirty(segment, broadcast_word32(b, BROADCAST_LOCK), id, err);
  int left =
      shmseg_lock_release(segment, broadcast_word32(b, BROADCAST_LOCK), id, SHMSEG_LOCK_FREE, 1);
  if (!err)
    shmseg_eventcount_notify(
        broadcast_word32(b, BROADCAST_EVENTCOUNT)); /* the release was a full barrier */
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
  uint64_t word = load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED));
  for (int i = 0; !(word & BROADCAST_SHUT) && i < SHMSEG_TRIES; i++)
    if (cas_ordered(broadcast_word64(b, BROADCAST_PUBLISHED), &word, word | BROADCAST_SHUT))
      word |= BROADCAST_SHUT;
  shmseg_eventcount_notify(broadcast_word32(b, BROADCAST_EVENTCOUNT));
  err = segment_status(b->object.segment);
  return err ? err : word & BROADCAST_SHUT ? 0 : EAGAIN;
}

/* --- looking ------------------------------------------------------------------------------ */

int shmseg_broadcast_check_written(const shmseg_broadcast *b, uint64_t position, uint64_t end,
                                   uint64_t *written) {
  if (position < *written)
    return 0;
  int what = shmseg_ring_look(b->object.segment, b->object.offset + BROADCAST_RING, b->ring,
                              position, end, written);
  return what == SHMSEG_EMPTY ? SHMSEG_CORRUPT : what;
}

static const char *broadcast_check_records(const shmseg_broadcast *b, uint64_t floor, uint64_t end,
                                           uint64_t next) {
  uint64_t last = 0, written = end - floor > SHMSEG_RING_UNASKED ? floor : end;
  while (floor < end) {
    if (shmseg_broadcast_check_written(b, floor, end, &written) != 0)
      return "B2: a record";
    record_header h = broadcast_header_at(b, floor);
    if (h.size > b->object.capacity || BROADCAST_RECORD(h.size) > end - floor)
      return "B2: a record";
    if (last != 0 && h.sequence != last + 1)
      return "B2: a sequence number";
    last = h.sequence;
    floor += BROADCAST_RECORD(h.size);
  }
  return last != 0 && last + 1 != next ? "B2: the last sequence number" : NULL;
}

static const char *broadcast_check(const shmseg_object *object) {
  const shmseg_broadcast *b = (const shmseg_broadcast *)object;
  uint64_t next = load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED)) >> 1;
  uint64_t floor = load_relaxed(broadcast_word64(b, BROADCAST_FLOOR));
  if (next == 0)
    return "B3: the published word";
  uint64_t end = load_relaxed(broadcast_end_of(b, next - 1));
  if (!shmseg_ring_holds(b->ring, floor, end))
    return "B1: floor and end";
  if (!shmseg_lock_valid(load_relaxed(broadcast_word32(b, BROADCAST_LOCK))))
    return "the lock word";
  if (!shmseg_eventcount_valid(load_relaxed(broadcast_word32(b, BROADCAST_EVENTCOUNT))))
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
