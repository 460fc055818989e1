/* SPDX-License-Identifier: MIT */
/* The reading half of a broadcast: what comes next. It writes nothing that publishers could see. The
 * layout and the protocol are at the head of broadcast.c. */
#include "objects/subscription.h"

#include "core/eventcount.h"
#include "core/segment.h"
#include "core/watch.h"

/* Bytes that are copied between two looks whether they were overwritten meanwhile. */
#define CHUNK ((size_t)65536)

/* How often the processor pauses before a look, one or two microseconds in all; and after how many
 * messages a subscriber tries again whether pausing is worth it, at least and at most. */
#define PAUSES 64
#define TRIAL_MIN 64
#define TRIAL_MAX 1024

/* --- waiting ------------------------------------------------------------------------------ */

/* Goes to the oldest message; those between are lost. SHMSEG_CHANGED: a publisher was faster. */
static int subscription_skip_lost(shmseg_subscription *s) {
  uint64_t end;
  shmseg_subscription oldest = *s;
  if (!shmseg_subscription_find_floor(s->broadcast, &oldest, &end))
    return SHMSEG_CHANGED;
  if (oldest.sequence < s->sequence || oldest.sequence > SHMSEG_COUNT_MAX)
    return SHMSEG_CORRUPT;
  s->lost += oldest.sequence - s->sequence;
  s->sequence = oldest.sequence;
  s->position = oldest.position;
  return 0;
}

/* A subscriber that finds nothing takes the published word's line from the publisher with each look.
 * Where messages keep coming it lets some of them come first. That is tried now and then, and goes
 * on as long as more than one comes during a pause: who publishes only one may wait for an answer. */
static void subscription_pause(const shmseg_subscription *s) {
  if (s->looks > 0 && s->until_trial == 0)
    for (int i = 0; i < PAUSES; i++)
      spin_pause();
}

/* So many messages came since the last look. */
static void subscription_note(shmseg_subscription *s, uint64_t count) {
  bool has_looked = s->looks > 0, has_paused = has_looked && s->until_trial == 0;
  s->looks = count == 0;
  if (has_paused && count > 1) {
    s->trial = 0;
  } else if (has_paused) {
    s->trial = s->trial == 0 ? TRIAL_MIN : s->trial < TRIAL_MAX ? 2 * s->trial : TRIAL_MAX;
    s->until_trial = s->trial;
  } else if (has_looked && count > 0) {
    s->until_trial--;
  }
}

/* 0: there is a message at the own position. SHMSEG_EMPTY: *word is the published word that was
 * found. SHMSEG_SHUTDOWN; SHMSEG_CHANGED: publishers were faster. */
static int subscription_find_message(shmseg_subscription *s, uint64_t *word) {
  const shmseg_broadcast *b = s->broadcast;
  if (s->position == GONE) {
    int err = subscription_skip_lost(s), hole = segment_status(b->object.segment);
    if (err || hole)
      return hole ? hole : err;
  }
  if (s->sequence < s->known)
    return 0;
  subscription_pause(s);
  /* pairs with the swap in broadcast_append() */
  *word = load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED));
  int err = segment_status(b->object.segment);
  if (err || !broadcast_is_count(*word))
    return err ? err : SHMSEG_CORRUPT;
  uint64_t next = broadcast_next_of(*word);
  bool is_there = s->sequence < next;
  subscription_note(s, is_there ? next - s->sequence : 0);
  if (is_there) {
    s->known = next;
    return 0;
  }
  return *word & BROADCAST_SHUT ? SHMSEG_SHUTDOWN : SHMSEG_EMPTY;
}

static bool subscription_has_changed(const shmseg_broadcast *b, uint64_t seen) {
  return load_ordered(broadcast_word64(b, BROADCAST_PUBLISHED)) != seen;
}

/* Waits until the published word differs from seen, which was loaded before. 0: look again. */
static int subscription_wait_for_message(shmseg_subscription *s, uint64_t seen, int64_t deadline) {
  const shmseg_broadcast *b = s->broadcast;
  uint32_t *word = broadcast_word32(b, BROADCAST_EVENTCOUNT);
  if (!shmseg_wait_left(deadline))
    return SHMSEG_TIMEOUT;
  if (s->until_trial == 0)
    return 0; /* a pause first */
  shmseg_spinner spinner = shmseg_wait_spin_begin(&s->spin);
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

/* What a caller does between these may have closed the broadcast. */
static int subscription_ready(const shmseg_subscription *s) {
  return s->broadcast ? shmseg_object_ready(&s->broadcast->object) : SHMSEG_CLOSED;
}

/* --- reading ------------------------------------------------------------------------------ */

/* Waits until there is a message at the own position. */
static int subscription_await(shmseg_subscription *s, int64_t *patience, int64_t deadline) {
  for (int i = 0; i < SHMSEG_TRIES; i++) {
    uint64_t word = 0;
    int err = i == 0 ? 0 : shmseg_object_ready(&s->broadcast->object);
    if (!err && s->position == GONE)
      err = subscription_try_again(patience);
    if (!err)
      err = subscription_find_message(s, &word);
    if (err == SHMSEG_EMPTY)
      err = subscription_wait_for_message(s, word, deadline);
    else if (err != SHMSEG_CHANGED)
      return err;
    if (err && err != SHMSEG_CHANGED)
      return err;
  }
  return shmseg_wait_again(deadline);
}

static inline int subscription_look(shmseg_subscription *s, shmseg_subscription_batch *batch,
                                    int64_t deadline) {
  int err = subscription_ready(s);
  if (!err && (s->sequence >= s->known || s->position == GONE))
    err = subscription_await(s, &batch->patience, deadline);
  batch->sequence = s->sequence;
  batch->lost = s->lost;
  batch->count = 0;
  batch->position = batch->end = s->position;
  return err;
}

/* Floor, when it is above position; else 0. Then a batch that begins where the subscription is has
 * been overwritten, and the next look begins with the oldest message. */
static inline uint64_t subscription_overtaken(shmseg_subscription *s,
                                              const shmseg_subscription_batch *batch,
                                              uint64_t position) {
  uint64_t floor = subscription_floor(s->broadcast);
  if (floor <= position)
    return 0;
  if (s->position == batch->position)
    s->position = GONE;
  return floor;
}

/* What became of a record that cannot be one. When the batch's first one was overwritten before it
 * was looked at, all that seems to follow can be anything. */
static int subscription_explain(shmseg_subscription *s, const shmseg_subscription_batch *batch) {
  bool overtaken = subscription_overtaken(s, batch, batch->position);
  int err = segment_status(s->broadcast->object.segment);
  return err ? err : overtaken ? SHMSEG_CHANGED : SHMSEG_CORRUPT;
}

static inline int subscription_show(shmseg_subscription *s, shmseg_subscription_batch *batch) {
  const shmseg_broadcast *b = s->broadcast;
  uint64_t sequence = batch->sequence + batch->count, used = batch->end - batch->position;
  if (sequence >= s->known) /* pairs with the swap in broadcast_append() */
    s->known = broadcast_next_of(load_acquire(broadcast_word64(b, BROADCAST_PUBLISHED)));
  if (sequence >= s->known || used >= b->ring)
    return SHMSEG_EMPTY;
  uint64_t index = broadcast_index_of(b, batch->end, &s->lap);
  record_header h = broadcast_header_at(b, index);
  if (h.sequence != sequence || h.size > b->object.capacity ||
      BROADCAST_RECORD(h.size) > b->ring - used)
    return subscription_explain(s, batch);
  index = broadcast_index_behind(b, index, BROADCAST_RECORD_HEADER);
  batch->size = (size_t)h.size;
  batch->bytes = h.size <= b->ring - index ? broadcast_ring_of(b).bytes + index : NULL;
  batch->end += BROADCAST_RECORD(h.size);
  batch->count++;
  return 0;
}

static inline int subscription_copy(shmseg_subscription *s, const shmseg_subscription_batch *batch,
                                    void *to) {
  const shmseg_broadcast *b = s->broadcast;
  size_t size = batch->size;
  /* batch->bytes may be stale: what the caller did since may have moved the mapping */
  uint64_t position = batch->end - BROADCAST_RECORD((uint64_t)size);
  uint64_t index = broadcast_index_of(b, position, &s->lap);
  index = broadcast_index_behind(b, index, BROADCAST_RECORD_HEADER);
  for (size_t done = 0, count; done < size; done += count) {
    if (done > 0 && subscription_overtaken(s, batch, position))
      return SHMSEG_CHANGED;
    count = size - done < CHUNK ? size - done : CHUNK;
    shmseg_ring_get(broadcast_ring_of(b), index, (unsigned char *)to + done, count);
    index = broadcast_index_behind(b, index, count);
  }
  return 0;
}

static inline int subscription_confirm(shmseg_subscription *s,
                                       const shmseg_subscription_batch *batch, uint64_t *floor) {
  *floor = subscription_overtaken(s, batch, batch->position);
  int err = segment_status(s->broadcast->object.segment);
  return err ? err : *floor ? SHMSEG_CHANGED : 0;
}

static inline void subscription_advance(shmseg_subscription *s,
                                        const shmseg_subscription_batch *batch) {
  s->position = batch->end;
  s->sequence = batch->sequence + batch->count;
  s->lost = 0;
  if (s->sequence < s->known &&
      shmseg_object_is_there(
          &s->broadcast->object)) /* the next one may be as long as the last one */
    shmseg_ring_fetch(broadcast_ring_of(s->broadcast),
                      broadcast_index_of(s->broadcast, s->position, &s->lap),
                      BROADCAST_RECORD((uint64_t)batch->size));
}

int shmseg_subscription_look(shmseg_subscription *s, shmseg_subscription_batch *batch,
                             int64_t deadline) {
  return subscription_look(s, batch, deadline);
}

int shmseg_subscription_show(shmseg_subscription *s, shmseg_subscription_batch *batch) {
  int err = subscription_ready(s);
  return err ? err : subscription_show(s, batch);
}

int shmseg_subscription_copy(shmseg_subscription *s, const shmseg_subscription_batch *batch,
                             void *to) {
  int err = subscription_ready(s);
  return err ? err : subscription_copy(s, batch, to);
}

int shmseg_subscription_confirm(shmseg_subscription *s, const shmseg_subscription_batch *batch,
                                uint64_t *floor) {
  int err = subscription_ready(s);
  return err ? err : subscription_confirm(s, batch, floor);
}

void shmseg_subscription_advance(shmseg_subscription *s, const shmseg_subscription_batch *batch) {
  subscription_advance(s, batch);
}

/* By an ordered load. A word that cannot be is something: a try says what. */
static bool subscription_has_something(const shmseg_subscription *s) {
  uint64_t word = load_ordered(broadcast_word64(s->broadcast, BROADCAST_PUBLISHED));
  return s->position == GONE || word & BROADCAST_SHUT || !broadcast_is_count(word) ||
         s->sequence < broadcast_next_of(word);
}

int shmseg_subscription_watch(shmseg_subscription *s, shmseg_watch *watch) {
  uint32_t key;
  int err = subscription_ready(s);
  if (err)
    return shmseg_watch_refuse(watch, err);
  const shmseg_object *object = &s->broadcast->object;
  err = shmseg_object_watch(object, BROADCAST_EVENTCOUNT, watch, &key);
  return err ? err
             : shmseg_object_arm(object, BROADCAST_EVENTCOUNT, watch, key,
                                 subscription_has_something(s));
}

int shmseg_subscription_next(shmseg_subscription *s, void *buffer, size_t available, size_t *size,
                             uint64_t *sequence, uint64_t *lost, int64_t deadline) {
  shmseg_subscription_batch batch;
  uint64_t floor;
  int err;
  batch.patience = 0;
  do {
    err = subscription_look(s, &batch, deadline);
    if (!err)
      err = subscription_show(s, &batch);
    if (!err && batch.size <= available)
      err = subscription_copy(s, &batch, buffer);
    if (!err)
      err = subscription_confirm(s, &batch, &floor);
  } while (err == SHMSEG_CHANGED);
  if (err)
    return err;
  *size = batch.size;
  if (batch.size > available)
    return SHMSEG_TOO_SMALL;
  *sequence = batch.sequence;
  *lost = batch.lost;
  subscription_advance(s, &batch);
  return 0;
}
