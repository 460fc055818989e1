/* SPDX-License-Identifier: MIT */
/* Where a subscription begins, and what there is to read. */
#include "core/segment.h"
#include "objects/subscription.h"

/* Goes to the next message, which is not there yet. False when a publisher was faster. */
static bool subscription_find_end(const shmseg_broadcast *b, shmseg_subscription *s) {
  uint64_t word = load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED));
  s->sequence = broadcast_next_of(word);
  s->position = load_relaxed(broadcast_end_of(b, word));
  fence_acquire();
  uint64_t again = load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED));
  return (again | BROADCAST_SHUT) == (word | BROADCAST_SHUT) && s->position % 8 == 0;
}

bool shmseg_subscription_find_floor(const shmseg_broadcast *b, shmseg_subscription *s,
                                    uint64_t *end) {
  if (!subscription_find_end(b, s))
    return false;
  uint64_t floor = load_acquire(broadcast_word64(b, BROADCAST_FLOOR));
  *end = s->position;
  if (!shmseg_ring_holds(b->ring, floor, *end))
    return false;
  if (floor < *end) {
    uint64_t index = broadcast_index_of(b, floor, &s->lap), next = s->sequence;
    uint64_t first = broadcast_header_at(b, index).sequence;
    if (next - first > (*end - floor) / BROADCAST_RECORD_HEADER) /* more than there is space for */
      return false;
    s->sequence = first;
    s->position = floor;
  }
  return subscription_floor(b) <= floor;
}

static bool subscription_is_last(uint64_t from) {
  return from != SHMSEG_FROM_NEW && from >= SHMSEG_FROM_LAST(SHMSEG_COUNT_MAX);
}

/* The number to begin with, of that next one. */
static uint64_t subscription_number_of(uint64_t from, uint64_t next) {
  if (!subscription_is_last(from))
    return from;
  uint64_t count = SHMSEG_FROM_NEW - from;
  return count < next ? next - count : 1;
}

/* Begins a walk to a record whose number is at most the next one. The walk goes from the oldest
 * record on, unless the number is the next one. */
static int subscription_begin_walk(const shmseg_broadcast *b, uint64_t from,
                                   shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  uint64_t end;
  shmseg_subscription next = *s;
  if (!subscription_find_end(b, &next))
    return SHMSEG_CHANGED;
  walk->end = next.position;
  walk->number = subscription_number_of(from, next.sequence);
  if (walk->number == next.sequence) {
    s->sequence = next.sequence;
    s->position = next.position;
    return 0;
  }
  if (!shmseg_subscription_find_floor(b, s, &end))
    return SHMSEG_CHANGED;
  if (subscription_is_last(from) && walk->number < s->sequence)
    walk->number = s->sequence;          /* there are fewer */
  uint64_t most = s->position + b->ring; /* whatever a hostile peer has written */
  if (walk->end > most)
    walk->end = most;
  bool is_short = walk->end < s->position + SHMSEG_RING_UNASKED;
  walk->written = is_short ? walk->end : s->position;
  return 0;
}

/* Goes on with the walk. SHMSEG_CHANGED when a publisher was faster; SHMSEG_INTERRUPTED. */
static int subscription_find_number(const shmseg_broadcast *b, uint64_t from,
                                    shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  int err = walk->end == 0 ? subscription_begin_walk(b, from, walk, s) : 0;
  if (err)
    return err;
  for (uint64_t left = SHMSEG_RING_GO; s->sequence < walk->number && s->position < walk->end;
       left--) {
    if (left == 0)
      return SHMSEG_INTERRUPTED;
    err = shmseg_broadcast_check_written(b, s->position, walk->end, &walk->written);
    if (err)
      return subscription_floor(b) > s->position ? SHMSEG_CHANGED : err;
    uint64_t index = broadcast_index_of(b, s->position, &s->lap);
    uint64_t size = broadcast_header_at(b, index).size;
    if (subscription_floor(b) > s->position || size > b->object.capacity)
      return SHMSEG_CHANGED;
    s->position += BROADCAST_RECORD(size);
    s->sequence++;
  }
  if (s->sequence < walk->number)
    return SHMSEG_CHANGED;
  if (walk->number < s->sequence)
    s->position = GONE;
  s->sequence = walk->number;
  return 0;
}

/* Finds where to begin. SHMSEG_CHANGED: a publisher was faster, or the words are no broadcast's. */
static int subscription_find(const shmseg_broadcast *b, uint64_t from, shmseg_broadcast_walk *walk,
                             shmseg_subscription *s) {
  uint64_t end;
  if (from == SHMSEG_FROM_NEW)
    return subscription_find_end(b, s) ? 0 : SHMSEG_CHANGED;
  if (from == SHMSEG_FROM_OLDEST)
    return shmseg_subscription_find_floor(b, s, &end) ? 0 : SHMSEG_CHANGED;
  return subscription_find_number(b, from, walk, s);
}

/* 0, or why nothing can be found. */
static int subscription_may_find(const shmseg_broadcast *b, uint64_t from) {
  uint64_t word = load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED));
  int err = segment_status(b->object.segment);
  if (err || !broadcast_is_count(word))
    return err ? err : SHMSEG_CORRUPT;
  bool is_number = from != SHMSEG_FROM_NEW && !subscription_is_last(from);
  return is_number && from > broadcast_next_of(word) ? SHMSEG_OUT_OF_RANGE : 0;
}

int shmseg_broadcast_subscribe_on(const shmseg_broadcast *b, uint64_t from,
                                  shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  const shmseg_subscription none = { .broadcast = b, .sequence = 1 };
  if (walk->end == 0)
    *s = none;
  int err = shmseg_object_ready(&b->object);
  while (!err) {
    err = subscription_may_find(b, from);
    if (!err)
      err = subscription_find(b, from, walk, s);
    int hole = segment_status(b->object.segment);
    err = hole ? hole : err;
    if (err == 0 || err == SHMSEG_INTERRUPTED)
      return err;
    *s = none;
    walk->end = 0;
    if (err != SHMSEG_CHANGED)
      return err;
    err = subscription_try_again(&walk->patience);
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

int shmseg_broadcast_count(const shmseg_broadcast *b, shmseg_broadcast_stats *stats) {
  shmseg_subscription oldest = { .broadcast = b };
  int64_t patience = 0;
  int err = shmseg_object_ready(&b->object);
  while (!err) {
    uint64_t end, word = load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED));
    bool found = shmseg_subscription_find_floor(b, &oldest, &end);
    uint64_t again = load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED));
    err = segment_status(b->object.segment);
    if (!err && !broadcast_is_count(word))
      err = SHMSEG_CORRUPT;
    if (!err && found && again == word) {
      *stats = (shmseg_broadcast_stats){ .first = oldest.sequence,
                                         .next = broadcast_next_of(word),
                                         .bytes = end - oldest.position,
                                         .capacity = b->object.capacity,
                                         .shut = word & BROADCAST_SHUT };
      return 0;
    }
    if (!err)
      err = subscription_try_again(&patience);
  }
  return err;
}
