/* SPDX-License-Identifier: MIT */
/* An event: set until somebody clears it.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity 1
 *             64      4     word: bit 0 set, bits 1-31 how often it was set, from 1 on; wraps to 1
 *             68      60    0
 *
 * INVARIANTS  E1  the word is 2 at least: 0 and 1 would be a count of 0.
 *
 * PROTOCOL    set    compare-and-swap: count + 1, bit 0 set; when it was clear, wake all. The word is
 *                    the futex, so a waiter whose look came first does not fall asleep.
 *             clear  compare-and-swap: bit 0 clear, the count stays.
 *             wait   returns when bit 0 is set or the count has moved since the wait began: a set
 *                    that was cleared at once ends it too. (It would have to be set 2^31 times
 *                    between two looks to be missed.)
 *
 * CRASHES     a death between set's swap and its wake leaves the sleepers asleep for the rest of
 *             their interval. Nobody owns anything. */
#include <errno.h>

#include "core/segment.h"
#include "core/wait.h"
#include "core/watch.h"
#include "core/word.h"
#include "objects/kinds.h"
#include "objects/object.h"

#define WORD 64
#define SIZE 128
#define SET 1u
#define COUNT_ONE 2u
#define TRIES 1000000

static uint64_t event_size(const uint64_t *geometry) {
  return geometry[0] == 1 ? SIZE : 0;
}

static void event_fit(uint64_t available, uint64_t *geometry) {
  (void)available;
  geometry[0] = 1;
}

static int event_build(const uint64_t *geometry, shmseg_words *words) {
  (void)geometry;
  words[0] = (shmseg_words){ WORD, 1, 4, COUNT_ONE, 0 };
  return 1;
}

static uint32_t *event_word_of(const shmseg_event *event) {
  return shmseg_object_at(&event->object, WORD);
}

static uint32_t event_set_of(uint32_t word) {
  uint32_t next = (word + COUNT_ONE) | SET;
  return next < COUNT_ONE ? COUNT_ONE | SET : next; /* a count of 0 is skipped (E1) */
}

/* Changes the word as event_set_of() says, or clears SET. *seen is the word that was there. */
static int event_change(shmseg_event *event, bool set, uint32_t *seen) {
  int err = shmseg_object_ready(&event->object);
  if (err)
    return err;
  if (!event->object.segment->writable)
    return SHMSEG_READ_ONLY;
  uint32_t *word = event_word_of(event);
  *seen = load_relaxed(word);
  for (int i = 0; i < TRIES; i++) {
    err = segment_status(event->object.segment);
    if (err)
      return err;
    if (*seen < COUNT_ONE)
      return SHMSEG_CORRUPT;
    if (cas_ordered(word, seen, set ? event_set_of(*seen) : *seen & ~SET))
      return segment_status(event->object.segment);
  }
  return EAGAIN;
}

int shmseg_event_set(shmseg_event *event) {
  uint32_t seen;
  int err = event_change(event, true, &seen);
  if (!err && !(seen & SET))
    shmseg_wait_wake(event_word_of(event), SHMSEG_WAKE_ALL);
  return err;
}

int shmseg_event_clear(shmseg_event *event) {
  uint32_t seen;
  return event_change(event, false, &seen);
}

/* Loads the word, and checks it. */
static int event_look(const shmseg_event *event, uint32_t *word) {
  int err = shmseg_object_ready(&event->object);
  if (err)
    return err;
  *word = load_acquire(event_word_of(event));
  err = segment_status(event->object.segment);
  return err ? err : *word < COUNT_ONE ? SHMSEG_CORRUPT : 0;
}

int shmseg_event_is_set(const shmseg_event *event, bool *set) {
  uint32_t word;
  int err = event_look(event, &word);
  *set = !err && word & SET;
  return err;
}

int shmseg_event_wait(const shmseg_event *event, uint32_t *began, int64_t deadline) {
  int slept = 0;
  for (;;) {
    uint32_t word;
    int err = event_look(event, &word);
    if (err)
      return err;
    if (*began == 0)
      *began = word | SET; /* the count, in a form that is never 0 */
    if (word & SET || (word | SET) != *began)
      return 0;
    if (slept)
      return slept;
    slept = shmseg_wait_word(event->object.segment, event_word_of(event), word, deadline);
    if (slept == 0)
      slept = shmseg_wait_again(deadline);
  }
}

/* The word is what is slept on, so nothing has to be asked for. */
int shmseg_event_watch(const shmseg_event *event, shmseg_watch *watch) {
  const shmseg_segment *segment = event->object.segment;
  uint32_t word;
  int err = event_look(event, &word);
  if (err)
    return shmseg_watch_refuse(watch, err);
  err = shmseg_watch_begin(watch, segment, event, event_word_of(event), false);
  if (err)
    return err;
  word = load_ordered(event_word_of(event));
  return shmseg_watch_arm(watch, segment, event_word_of(event), word,
                          word & SET ? 0 : SHMSEG_EMPTY);
}

static const char *event_check(const shmseg_object *object) {
  const shmseg_event *event = (const shmseg_event *)object;
  return load_relaxed(event_word_of(event)) >= COUNT_ONE ? NULL : "E1: the count";
}

static int event_inspect(const shmseg_object *object, shmseg_part *parts) {
  (void)object;
  parts[0] = (shmseg_part){ "event", SHMSEG_PART_SET, WORD, 1, 0 };
  return 1;
}

const shmseg_kind shmseg_event_kind = {
  .name = "event",
  .number = 4,
  .version = 1,
  .handle_size = sizeof(shmseg_event),
  .size = event_size,
  .fit = event_fit,
  .build = event_build,
  .check = event_check,
  .inspect = event_inspect,
};
