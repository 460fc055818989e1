/* SPDX-License-Identifier: MIT */
/* an eventcount: a word to sleep on until somebody has changed something else. */
#include "core/eventcount.h"
#include "core/segment.h"

#include "core/wait.h"
#include "core/word.h"

#define WAITERS 0x80000000u

/* Tries to change a word that peers change too. */
#define TRIES 1000

/* Nanoseconds between two looks of a reader that cannot ask to be woken. */
#define POLL 5000000

bool shmseg_eventcount_valid(uint32_t word) {
  return (word & ~WAITERS) != 0;
}

void shmseg_eventcount_notify(uint32_t *eventcount) {
  uint32_t seen = load_ordered(eventcount);
  for (int i = 0; i < TRIES && seen & WAITERS; i++) {
    uint32_t next = (seen + 1) & ~WAITERS;
    if (cas_ordered(eventcount, &seen, next ? next : SHMSEG_EVENTCOUNT_START)) {
      shmseg_wait_wake(eventcount, SHMSEG_WAKE_ALL);
      return;
    }
  }
}

static int eventcount_poll(const shmseg_segment *segment, bool (*ready)(const void *context),
                           const void *context, int64_t deadline) {
  int err = shmseg_wait_nap(POLL, deadline);
  if (err == SHMSEG_TIMEOUT)
    return err;
  bool is_ready = ready(context);
  err = segment_status(segment);
  return err ? err : is_ready ? 0 : SHMSEG_INTERRUPTED;
}

int shmseg_eventcount_wait(const shmseg_segment *segment, uint32_t *eventcount,
                           bool (*ready)(const void *context), const void *context,
                           int64_t deadline) {
  if (!segment->writable)
    return eventcount_poll(segment, ready, context, deadline);
  uint32_t seen = load_ordered(eventcount);
  if (!(seen & WAITERS)) {
    if (!cas_ordered(eventcount, &seen, seen | WAITERS))
      return shmseg_wait_again(deadline);
    seen |= WAITERS;
  }
  bool is_ready = ready(context);
  int err = segment_status(segment);
  if (err || is_ready)
    return err;
  return shmseg_wait_word(segment, eventcount, seen, deadline);
}
