/* SPDX-License-Identifier: MIT */
/* A broadcast: each message goes to every subscriber.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity = bytes of the largest message
 *             64      8     published word: next << 2 | slot << 1 | shut; next is the sequence
 *                           number that the next message will have
 *             72      4     eventcount (core/eventcount.h), notified after each publishing store
 *             128     4     publishers' lock word (core/lock.h)
 *             192     8     floor: what lies below may be overwritten
 *             200     16    ends: where the record of the last message ends, at 8 * slot
 *             256           ring: capacity rounded up to 8, and 16 more
 *
 *             A subscriber that is up to date looks at the published word's line and no other; a
 *             publisher writes there once for each publishing store. Who copies a message reads
 *             floor, too. Nobody but publishers reads the lock, which is written twice.
 *
 *             Positions are bytes since the start, the first one being the length of the ring;
 *             position p is at p mod length. A record is the sequence number (8 bytes), the size (8
 *             bytes), the bytes, and 0 to 7 more to a multiple of 8. It may wrap, also in its head.
 *
 * INVARIANTS  B1  length <= floor <= end <= floor + length, multiples of 8, where end is that of the
 *                 published slot.
 *             B2  [floor, end) is whole records with dense sequence numbers, the last next - 1.
 *             B3  floor and next only grow; shut is never cleared, and next does not grow once it is
 *                 set. Each store that makes next grow flips slot, and none else does: so the end of
 *                 the published slot does not change while the word is the published one.
 *             B4  bytes of the ring change only when floor is above what they were.
 *
 * PROTOCOL    publish    under the lock: raise floor, record by record, above what will be
 *                        overwritten; fence; write the records, one or many, at the end; store their
 *                        end in the other slot; compare-and-swap the published word to the number
 *                        behind them and that slot: that publishes them all, unless shut came first.
 *                        Unlock, notify. What is more than the ring holds comes in pieces, each with
 *                        a store of its own.
 *             find end   load the published word, the end of its slot, fence, load the word again:
 *                        when it is the same, but for shut, end is its own. (An end of the same slot
 *                        that is newer was stored behind a fence that stands behind the swap to the
 *                        other slot: then the second load finds another word.)
 *             next       copy the records from the own position on, fence, load floor: at or below
 *                        a record's position, the copy of it and of those behind is whole (B4). Else
 *                        go to floor: the number of the record there tells how many were lost. Floor
 *                        is where a record begins (B2), so of a batch that was copied what lies from
 *                        floor on is whole, too, if floor is one of the positions that it had found.
 *             shutdown   compare-and-swap the published word.
 *
 * CRASHES     publisher dies before the swap: floor may be higher than need be, so the oldest
 *             messages are gone early, and are counted as lost; the end slot that was written is not
 *             in use. After it: the messages are out. The lock is recovered (core/lock.h). */
#include <errno.h>
#include <stddef.h>

#include "core/eventcount.h"
#include "core/lock.h"
#include "core/owner.h"
#include "core/segment.h"
#include "core/wait.h"
#include "objects/broadcast.h"
#include "objects/kinds.h"

#define LOCK_PATIENCE ((int64_t)5 * 1000000000)

/* Floor is raised by this part of the ring more than need be, in whole cache lines. */
#define FLOOR_STEPS 64
#define LINE 64

/* Bytes from the end to the lines that are fetched before they are written. */
#define FETCH_AHEAD 256

/* One call writes about so many bytes, for some milliseconds: then SHMSEG_INTERRUPTED. */
#define PUBLISH_GO ((uint64_t)16 << 20)

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
  words[0] = (shmseg_words){ BROADCAST_LOCK, 1, 4, SHMSEG_LOCK_FREE, 0 };
  words[1] = (shmseg_words){ BROADCAST_PUBLISHED, 1, 8, (uint64_t)1 << BROADCAST_NEXT, 0 };
  words[2] = (shmseg_words){ BROADCAST_FLOOR, 1, 8, start, 0 };
  words[3] = (shmseg_words){ BROADCAST_ENDS, 1, 8, start, 0 };
  words[4] = (shmseg_words){ BROADCAST_EVENTCOUNT, 1, 4, SHMSEG_EVENTCOUNT_START, 0 };
  return 5;
}

static void broadcast_open(shmseg_object *object) {
  ((shmseg_broadcast *)object)->ring = broadcast_ring_for(object->capacity);
}

/* --- publishing --------------------------------------------------------------------------- */

/* Raises floor until need bytes are free behind end, and some more, so that its line goes from the
 * readers to the publisher only now and then. SHMSEG_INTERRUPTED when that takes many records: some
 * are done. (To read a hole takes memory, but here it is about to be written to.) */
static int broadcast_make_space(shmseg_broadcast *b, uint64_t end, uint64_t need) {
  uint64_t floor = load_relaxed(broadcast_word64(b, BROADCAST_FLOOR));
  if (!shmseg_ring_holds(b->ring, floor, end))
    return SHMSEG_CORRUPT;
  if (need <= b->ring - (end - floor))
    return 0;
  uint64_t more = need + b->ring / FLOOR_STEPS / LINE * LINE, left = SHMSEG_RING_GO;
  for (; more > b->ring - (end - floor) && floor < end && left > 0; left--) {
    uint64_t index = broadcast_index_of(b, floor, &b->floor_lap);
    uint64_t size = broadcast_header_at(b, index).size; /* once: a peer may rewrite it */
    if (size > b->object.capacity || BROADCAST_RECORD(size) > end - floor)
      return SHMSEG_CORRUPT;
    floor += BROADCAST_RECORD(size);
  }
  store_release(broadcast_word64(b, BROADCAST_FLOOR), floor);
  return need > b->ring - (end - floor) ? SHMSEG_INTERRUPTED : 0;
}

/* Writes the records of messages, the first of which gets that number, from end on. SHMSEG_TRUNCATED
 * when the segment of one was cut. */
static int broadcast_write(shmseg_broadcast *b, const shmseg_source *messages, size_t count,
                           uint64_t number, uint64_t end) {
  const shmseg_ring ring = broadcast_ring_of(b);
  const shmseg_source *behind = messages + count;
  uint64_t index = broadcast_index_of(b, end, &b->end_lap);
  for (const shmseg_source *m = messages; m < behind; m++, number++) {
    store_relaxed((uint64_t *)(ring.bytes + index), number);
    index = index + 8 < ring.length ? index + 8 : 0;
    store_relaxed((uint64_t *)(ring.bytes + index), (uint64_t)m->size);
    index = index + 8 < ring.length ? index + 8 : 0;
    shmseg_ring_put(ring, index, m->bytes, m->size);
    int err = m->segment ? segment_status(m->segment) : 0;
    if (err)
      return err;
    index += ((uint64_t)m->size + 7) / 8 * 8;
    index = index < ring.length ? index : index - ring.length;
  }
  b->index = index;
  return 0;
}

/* Messages that the ring holds at once, and the bytes of their records. */
typedef struct {
  const shmseg_source *messages;
  size_t count;
  uint64_t need;
} piece;

/* The longest piece of these messages. */
static piece broadcast_cut_piece(const shmseg_broadcast *b, const shmseg_source *messages,
                                 size_t count) {
  piece p = { messages, 0, 0 };
  do
    p.need += BROADCAST_RECORD((uint64_t)messages[p.count++].size);
  while (p.count < count && BROADCAST_RECORD((uint64_t)messages[p.count].size) <= b->ring - p.need);
  return p;
}

/* Under the lock. *sequence is the number of the piece's last message. */
static int broadcast_append(shmseg_broadcast *b, const piece *p, uint64_t *sequence) {
  uint64_t word = load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED));
  if (word & BROADCAST_SHUT)
    return SHMSEG_SHUTDOWN;
  if (!broadcast_is_count(word))
    return SHMSEG_CORRUPT;
  uint64_t end = load_relaxed(broadcast_end_of(b, word));
  int err = broadcast_make_space(b, end, p->need);
  if (err)
    return err;
  fence_release(); /* floor is seen before any byte below: pairs with subscription_floor()'s fence */
  err = broadcast_write(b, p->messages, p->count, broadcast_next_of(word), end);
  if (err)
    return err;
  uint64_t seen = word, next = (word ^ BROADCAST_SLOT) + ((uint64_t)p->count << BROADCAST_NEXT);
  store_relaxed(broadcast_end_of(b, next), end + p->need);
  err = segment_status(b->object.segment);
  if (err)
    return err;
  /* Publish. Pairs with the acquire loads of the readers; from here it is out (B2). */
  if (!cas_ordered(broadcast_word64(b, BROADCAST_PUBLISHED), &seen, next))
    return seen == (word | BROADCAST_SHUT) ? SHMSEG_SHUTDOWN : SHMSEG_CORRUPT;
  *sequence = broadcast_next_of(next) - 1;
  return 0;
}

/* After an error in what is shared the lock is left dirty; what is wrong elsewhere is not its own. */
static int broadcast_leave(const shmseg_broadcast *b, uint32_t id, int err) {
  const shmseg_segment *segment = b->object.segment;
  uint32_t *lock = broadcast_word32(b, BROADCAST_LOCK);
  if (err && (err == SHMSEG_CORRUPT || segment_status(segment) != 0))
    return shmseg_lock_leave_dirty(segment, lock, id, err);
  int left = shmseg_lock_release(segment, lock, id, SHMSEG_LOCK_FREE, 1);
  return left ? left : err;
}

/* Takes the lines that a later message as long as this one will need from those who have read them,
 * while the caller does something else. */
static void broadcast_fetch_ahead(const shmseg_broadcast *b, uint64_t need) {
  if (b->ring > FETCH_AHEAD)
    shmseg_ring_fetch_to_write(broadcast_ring_of(b),
                               broadcast_index_behind(b, b->index, FETCH_AHEAD), need);
}

static int broadcast_publish_piece(shmseg_broadcast *b, uint32_t id, const piece *p,
                                   size_t *published, int64_t *deadline, uint64_t *sequence) {
  bool dirty;
  int err = shmseg_lock_enter_patiently(b->object.segment, broadcast_word32(b, BROADCAST_LOCK), id,
                                        LOCK_PATIENCE, deadline, &dirty);
  if (err) /* a stopped publisher may have the lock: a shutdown is reported all the same */
    return load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED)) & BROADCAST_SHUT ? SHMSEG_SHUTDOWN
                                                                                   : err;
  err = broadcast_append(b, p, sequence);
  if (err)
    return broadcast_leave(b, id, err);
  *published += p->count;
  err = broadcast_leave(b, id, 0);
  /* the swap and its look are in one order */
  shmseg_eventcount_notify(broadcast_word32(b, BROADCAST_EVENTCOUNT));
  if (!err)
    broadcast_fetch_ahead(b, p->need);
  return err;
}

int shmseg_broadcast_publish_many(shmseg_broadcast *b, const shmseg_source *messages, size_t count,
                                  size_t *published, int64_t *deadline, uint64_t *sequence) {
  uint32_t id;
  uint64_t left = PUBLISH_GO;
  int err = shmseg_object_ready(&b->object);
  *published = 0;
  if (!err && count == 0)
    err = EINVAL;
  for (size_t i = 0; !err && i < count; i++)
    if (messages[i].size > b->object.capacity)
      err = EINVAL;
  if (!err)
    err = shmseg_owner_identity(b->object.segment, &id);
  while (!err && *published < count) {
    piece p = broadcast_cut_piece(b, messages + *published, count - *published);
    err = broadcast_publish_piece(b, id, &p, published, deadline, sequence);
    if (!err && *deadline != 0 && shmseg_wait_left(*deadline))
      *deadline = 0; /* the next piece has patience of its own */
    left -= p.need < left ? p.need : left;
    if (!err && left == 0 && *published < count)
      err = SHMSEG_INTERRUPTED;
  }
  return err;
}

int shmseg_broadcast_publish_until(shmseg_broadcast *b, const shmseg_source *message,
                                   int64_t *deadline, uint64_t *sequence) {
  size_t published = 0;
  uint32_t id;
  int err = shmseg_object_ready(&b->object);
  if (!err && message->size > b->object.capacity)
    err = EINVAL;
  if (!err)
    err = shmseg_owner_identity(b->object.segment, &id);
  if (err)
    return err;
  const piece all = { message, 1, BROADCAST_RECORD((uint64_t)message->size) };
  return broadcast_publish_piece(b, id, &all, &published, deadline, sequence);
}

int shmseg_broadcast_publish(shmseg_broadcast *b, const void *bytes, size_t size,
                             uint64_t *sequence) {
  const shmseg_source message = { bytes, size, NULL };
  int64_t deadline = 0;
  int err;
  do {
    err = shmseg_broadcast_publish_until(b, &message, &deadline, sequence);
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
  uint64_t last = 0, lap = 0, written = end - floor > SHMSEG_RING_UNASKED ? floor : end;
  while (floor < end) {
    if (shmseg_broadcast_check_written(b, floor, end, &written) != 0)
      return "B2: a record";
    record_header h = broadcast_header_at(b, broadcast_index_of(b, floor, &lap));
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
  uint64_t word = load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED));
  uint64_t floor = load_relaxed(broadcast_word64(b, BROADCAST_FLOOR));
  if (broadcast_next_of(word) == 0)
    return "B3: the published word";
  uint64_t end = load_relaxed(broadcast_end_of(b, word));
  if (!shmseg_ring_holds(b->ring, floor, end))
    return "B1: floor and end";
  if (!shmseg_lock_valid(load_relaxed(broadcast_word32(b, BROADCAST_LOCK))))
    return "the lock word";
  if (!shmseg_eventcount_valid(load_relaxed(broadcast_word32(b, BROADCAST_EVENTCOUNT))))
    return "the eventcount";
  return broadcast_check_records(b, floor, end, broadcast_next_of(word));
}

static int broadcast_inspect(const shmseg_object *object, shmseg_part *parts) {
  (void)object;
  parts[0] = (shmseg_part){ "publishers", SHMSEG_PART_LOCK, BROADCAST_LOCK, 1, 0 };
  parts[1] = (shmseg_part){ "messages", SHMSEG_PART_EVENTCOUNT, BROADCAST_EVENTCOUNT, 1, 0 };
  return 2;
}

const shmseg_kind shmseg_broadcast_kind = {
  .name = "broadcast",
  .number = 7,
  .version = 2,
  .handle_size = sizeof(shmseg_broadcast),
  .numbers = { SHMSEG_NUMBER(capacity) },
  .size = broadcast_size,
  .fit = broadcast_fit,
  .build = broadcast_build,
  .open = broadcast_open,
  .check = broadcast_check,
  .inspect = broadcast_inspect,
};
