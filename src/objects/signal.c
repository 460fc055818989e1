/* SPDX-License-Identifier: MIT */
/* A counting signal: posts that are taken one by one. It is a semaphore whose permits nobody owns.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity = the most, 1 to 2^31 - 1, and 2 behind it
 *             64      4     eventcount (core/eventcount.h) of the count
 *             68      4     the count, plus 1; 1 at first
 *             72      56    0
 *
 * INVARIANTS  C1  the word of the count is 1 to capacity + 1; the eventcount is in one of its states.
 *
 * PROTOCOL    post     compare-and-swap the count to the sum, which publishes all of the posts at once;
 *                      notify. A sum above the capacity changes nothing.
 *             acquire  compare-and-swap the count to one less; while it is 0, wait on the eventcount.
 *
 * CRASHES     a poster has posted all or nothing; a death between its swap and its wake leaves the
 *             sleepers asleep for the rest of their interval. What was acquired is used up: no word
 *             says by whom, and nothing comes back. */
#include "objects/signal.h"

#include <errno.h>

#include "core/eventcount.h"
#include "core/segment.h"
#include "core/wait.h"
#include "core/word.h"
#include "objects/object.h"

#define EVENTCOUNT 64
#define COUNT 68

/* How often a change of the count is tried: peers may change it each time. */
#define TRIES 1000000

int shmseg_signal_build(shmseg_words *words) {
  words[0] = (shmseg_words){ EVENTCOUNT, 1, 4, SHMSEG_EVENTCOUNT_START, 0 };
  words[1] = (shmseg_words){ COUNT, 1, 4, 1, 0 };
  return 2;
}

static bool signal_valid(const shmseg_object *object, uint32_t word) {
  return word != 0 && word - 1 <= object->capacity;
}

/* Can the object be changed through this handle? */
static int signal_begin(const shmseg_object *object) {
  int err = shmseg_object_ready(object);
  return err ? err : object->segment->writable ? 0 : SHMSEG_READ_ONLY;
}

/* Adds so many posts, or takes one: SHMSEG_EMPTY when there is none, SHMSEG_TOO_MANY when there is no
 * room for all of them. */
static int signal_change(const shmseg_object *object, uint32_t posts) {
  uint32_t *word = shmseg_object_at(object, COUNT);
  uint32_t seen = load_ordered(word);
  for (int i = 0; i < TRIES; i++) {
    int err = segment_status(object->segment);
    if (err)
      return err;
    if (!signal_valid(object, seen))
      return SHMSEG_CORRUPT;
    if (posts == 0 && seen == 1)
      return SHMSEG_EMPTY;
    if (posts > object->capacity - (seen - 1))
      return SHMSEG_TOO_MANY;
    /* publishes; a full barrier before the look at the eventcount */
    if (cas_ordered(word, &seen, posts == 0 ? seen - 1 : seen + posts))
      return segment_status(object->segment);
  }
  return EAGAIN;
}

int shmseg_signal_post(const shmseg_object *object, uint32_t count) {
  int err = count == 0 ? EINVAL : signal_begin(object);
  if (!err)
    err = signal_change(object, count);
  if (!err)
    shmseg_eventcount_notify(shmseg_object_at(object, EVENTCOUNT));
  return err;
}

int shmseg_signal_acquire(const shmseg_object *object, int64_t deadline) {
  int err = signal_begin(object);
  if (!err)
    err = signal_change(object, 0);
  if (err != SHMSEG_EMPTY ||
      !shmseg_wait_left(deadline)) /* who only tries does not ask for a wake */
    return err == SHMSEG_EMPTY ? SHMSEG_TIMEOUT : err;
  uint32_t *eventcount = shmseg_object_at(object, EVENTCOUNT);
  uint32_t key = shmseg_eventcount_prepare(object->segment, eventcount);
  err = signal_change(object, 0);
  if (err != SHMSEG_EMPTY)
    return err;
  int waited = shmseg_eventcount_wait(object->segment, eventcount, key, deadline);
  if (waited != 0 && waited != SHMSEG_TIMEOUT)
    return waited;
  err = signal_change(object, 0); /* a poster may have died before its wake */
  return err == SHMSEG_EMPTY ? shmseg_wait_again(deadline) : err;
}

int shmseg_signal_value(const shmseg_object *object, uint32_t *value) {
  int err = shmseg_object_ready(object);
  if (err)
    return err;
  uint32_t seen = load_ordered((const uint32_t *)shmseg_object_at(object, COUNT));
  *value = seen - 1;
  err = segment_status(object->segment);
  return err ? err : signal_valid(object, seen) ? 0 : SHMSEG_CORRUPT;
}

int shmseg_signal_watch(const shmseg_object *object, shmseg_watch *watch) {
  uint32_t key;
  int err = shmseg_object_watch(object, EVENTCOUNT, watch, &key);
  if (err)
    return err;
  uint32_t seen = load_ordered((const uint32_t *)shmseg_object_at(object, COUNT));
  return shmseg_object_arm(object, EVENTCOUNT, watch, key, seen != 1);
}

const char *shmseg_signal_check(const shmseg_object *object) {
  const uint32_t *eventcount = shmseg_object_at(object, EVENTCOUNT);
  const uint32_t *word = shmseg_object_at(object, COUNT);
  if (!shmseg_eventcount_valid(load_relaxed(eventcount)))
    return "C1: the eventcount";
  return signal_valid(object, load_relaxed(word)) ? NULL : "C1: the count";
}

int shmseg_signal_inspect(shmseg_part *parts) {
  parts[0] = (shmseg_part){ "count", SHMSEG_PART_COUNT, COUNT, 1, 0 };
  parts[1] = (shmseg_part){ "posts", SHMSEG_PART_EVENTCOUNT, EVENTCOUNT, 1, 0 };
  return 2;
}
