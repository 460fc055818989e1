/* SPDX-License-Identifier: MIT */
/* The reading half of a broadcast: where a subscription begins, and what comes next. It writes
 * nothing that publishers could see. The layout and the protocol are at the head of broadcast.c. */
#include "core/eventcount.h"
#include "core/segment.h"
#include "core/wait.h"
#include "objects/broadcast.h"

/* Nanoseconds for which publishers may overtake every try. */
#define READ_PATIENCE ((int64_t)100 * 1000000)

/* When a publisher was faster: 0, try again; SHMSEG_TIMEOUT when *deadline, 0 at first, is over. */
static int subscription_try_again(int64_t *deadline) {
  return shmseg_wait_left(shmseg_wait_patience(deadline, READ_PATIENCE)) ? 0 : SHMSEG_TIMEOUT;
}

/* Was the record at position overwritten while it was copied? */
static bool subscription_is_overrun(const shmseg_broadcast *b, uint64_t position) {
  fence_acquire(); /* the copy was loaded before this */
  return load_relaxed(broadcast_word64(b, BROADCAST_FLOOR)) > position;
}

/* Goes to the next message, which is not there yet. False when a publisher was faster. */
static bool subscription_find_end(const shmseg_broadcast *b, shmseg_subscription *s) {
  uint64_t word = load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED));
  s->sequence = word >> 1;
  s->position = load_relaxed(broadcast_end_of(b, s->sequence - 1));
  fence_acquire();
  return load_relaxed(broadcast_word64(b, BROADCAST_PUBLISHED)) >> 1 == s->sequence &&
         s->position % 8 == 0;
}

/* Goes to the oldest message that is there, or to the next one. False: a publisher was faster. */
static bool subscription_find_floor(const shmseg_broadcast *b, shmseg_subscription *s) {
  if (!subscription_find_end(b, s))
    return false;
  uint64_t floor = load_acquire(broadcast_word64(b, BROADCAST_FLOOR));
  if (!shmseg_ring_holds(b->ring, floor, s->position))
    return false;
  if (floor < s->position) {
    uint64_t first = broadcast_header_at(b, floor).sequence, end = s->sequence;
    if (end - first >
        (s->position - floor) / BROADCAST_RECORD_HEADER) /* more than there is space for (B2) */
      return false;
    s->sequence = first;
    s->position = floor;
  }
  return !subscription_is_overrun(b, floor);
}

/* Begins a walk to the record of that number, which is at most the next one. The walk goes from the
 * oldest record on, unless number is the next one. */
static int subscription_begin_walk(const shmseg_broadcast *b, uint64_t number,
                                   shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  shmseg_subscription next;
  if (!subscription_find_end(b, &next))
    return SHMSEG_CHANGED;
  walk->end = next.position;
  if (number == next.sequence) {
    s->sequence = number;
    s->position = next.position;
    return 0;
  }
  if (!subscription_find_floor(b, s))
    return SHMSEG_CHANGED;
  uint64_t most = s->position + b->ring; /* whatever a hostile peer has written */
  if (walk->end > most)
    walk->end = most;
  bool is_short = walk->end < s->position + SHMSEG_RING_UNASKED;
  walk->written = is_short ? walk->end : s->position;
  return 0;
}

/* Goes on with the walk. SHMSEG_CHANGED when a publisher was faster; SHMSEG_INTERRUPTED. */
static int subscription_find_number(const shmseg_broadcast *b, uint64_t number,
                                    shmseg_broadcast_walk *walk, shmseg_subscription *s) {
  int err = walk->end == 0 ? subscription_begin_walk(b, number, walk, s) : 0;
  if (err)
    return err;
  for (uint64_t left = SHMSEG_RING_GO; s->sequence < number && s->position < walk->end; left--) {
    if (left == 0)
      return SHMSEG_INTERRUPTED;
    err = shmseg_broadcast_check_written(b, s->position, walk->end, &walk->written);
    if (err)
      return subscription_is_overrun(b, s->position) ? SHMSEG_CHANGED : err;
    uint64_t size = broadcast_header_at(b, s->position).size;
    if (subscription_is_overrun(b, s->position) || size > b->object.capacity)
      return SHMSEG_CHANGED;
    s->position += BROADCAST_RECORD(size);
    s->sequence++;
  }
  if (s->sequence < number)
    return SHMSEG_CHANGED;
  if (number < s->sequence)
    s->position = 0; /* gone: it is below the floor, and is counted as lost by next */
  s->sequence = number;
  return 0;
}

/* Finds where to begin. SHMSEG_CHANGED: a publisher was faster, or the words are no broadcast's. */
static int subscription_find(const shmseg_broadcast *b, uint64_t from, shmseg_broadcast_walk *walk,
                             shmseg_subscription *s) {
  if (from == SHMSEG_FROM_NEW)
    return subscription_find_end(b, s) ? 0 : SHMSEG_CHANGED;
  if (from == SHMSEG_FROM_OLDEST)
    return subscription_find_floor(b, s) ? 0 : SHMSEG_CHANGED;
  return subscription_find_number(b, from, walk, s);
}

/* 0, or why nothing can be found. */
static int subscription_may_find(const shmseg_broadcast *b, uint64_t from) {
  uint64_t next = load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED)) >> 1;
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

/* Copies the record at the subscription's position. SHMSEG_CHANGED: it was overwritten. */
static int subscription_copy_record(const shmseg_subscription *s, void *buffer, size_t available,
                                    size_t *size) {
  const shmseg_broadcast *b = s->broadcast;
  record_header h = broadcast_header_at(b, s->position);
  bool sane = h.sequence == s->sequence && h.size <= b->object.capacity;
  *size = sane ? (size_t)h.size : 0;
  if (sane && *size <= available)
    shmseg_ring_get(broadcast_ring_of(b), (s->position + BROADCAST_RECORD_HEADER) % b->ring, buffer,
                    *size);
  bool overrun = subscription_is_overrun(b, s->position);
  int err = segment_status(b->object.segment);
  if (err)
    return err;
  if (overrun)
    return SHMSEG_CHANGED;
  return !sane ? SHMSEG_CORRUPT : *size > available ? SHMSEG_TOO_SMALL : 0;
}

/* Goes to the oldest message; those between are lost. SHMSEG_CHANGED: a publisher was faster. */
static int subscription_skip_lost(shmseg_subscription *s) {
  shmseg_subscription oldest = *s;
  if (!subscription_find_floor(s->broadcast, &oldest))
    return SHMSEG_CHANGED;
  if (oldest.sequence < s->sequence || oldest.sequence > SHMSEG_COUNT_MAX)
    return SHMSEG_CORRUPT;
  s->lost += oldest.sequence - s->sequence;
  s->sequence = oldest.sequence;
  s->position = oldest.position;
  return 0;
}

static bool subscription_has_changed(const shmseg_broadcast *b, uint64_t seen) {
  return load_ordered(broadcast_word64(b, BROADCAST_PUBLISHED)) != seen;
}

/* Waits until the published word differs from seen. 0: look again. */
static int subscription_wait_for_message(const shmseg_broadcast *b, uint64_t seen,
                                         shmseg_spin *spin, int64_t deadline) {
  uint32_t *word = broadcast_word32(b, BROADCAST_EVENTCOUNT);
  if (!shmseg_wait_left(deadline))
    return subscription_has_changed(b, seen) ? 0 : SHMSEG_TIMEOUT;
  shmseg_spinner spinner = shmseg_wait_spin_begin(spin);
  do
    if (subscription_has_changed(b, seen))
      return shmseg_wait_spin_found(&spinner);
  while (shmseg_wait_spin_again(&spinner));
  uint32_t key = shmseg_eventcount_prepare(b->object.segment, word);
  if (subscription_has_changed(b, seen))
    return segment_status(b->object.segment);
  int err = shmseg_eventcount_wait(b->object.segment, word, key, deadline);
  /* a reader that cannot ask to be woken has only napped: its caller looks around */
  return err == 0 && !subscription_has_changed(b, seen) ? shmseg_wait_again(deadline) : err;
}

/* Copies the next message if there is one, without waiting. SHMSEG_EMPTY: *word is the published
 * word that was found; SHMSEG_CHANGED: publishers were faster. */
static int subscription_try_next(shmseg_subscription *s, void *buffer, size_t available,
                                 size_t *size, uint64_t *word) {
  const shmseg_broadcast *b = s->broadcast;
  /* pairs with the swap in broadcast_append() */
  *word = load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED));
  int err = segment_status(b->object.segment);
  if (err || !broadcast_is_count(*word))
    return err ? err : SHMSEG_CORRUPT;
  if (s->sequence >= *word >> 1)
    return *word & BROADCAST_SHUT ? SHMSEG_SHUTDOWN : SHMSEG_EMPTY;
  err = subscription_copy_record(s, buffer, available, size);
  if (err == SHMSEG_CHANGED) {
    err = subscription_skip_lost(s);
    return err ? err : SHMSEG_CHANGED;
  }
  if (err)
    return err;
  s->position += BROADCAST_RECORD((uint64_t)*size);
  s->sequence++;
  return 0;
}

int shmseg_subscription_next(shmseg_subscription *s, void *buffer, size_t available, size_t *size,
                             uint64_t *sequence, uint64_t *lost, int64_t deadline) {
  int64_t patience = 0; /* begins when a publisher has been faster */
  if (!s->broadcast)
    return SHMSEG_CLOSED;
  for (int i = 0; i < SHMSEG_TRIES; i++) {
    uint64_t word = 0;
    int err = shmseg_object_ready(&s->broadcast->object);
    if (!err)
      err = subscription_try_next(s, buffer, available, size, &word);
    if (err == 0) {
      *sequence = s->sequence - 1;
      *lost = s->lost;
      s->lost = 0;
      return 0;
    }
    if (err == SHMSEG_EMPTY)
      err = subscription_wait_for_message(s->broadcast, word, &s->spin, deadline);
    else if (err == SHMSEG_CHANGED)
      err = subscription_try_again(&patience);
    if (err)
      return err;
  }
  return shmseg_wait_again(deadline);
}
