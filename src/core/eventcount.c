/* SPDX-License-Identifier: MIT */
/* An eventcount: a word to sleep on until another process has changed something else. */
#include "core/eventcount.h"

#include "core/wait.h"
#include "core/word.h"

#define WAITERS 0x80000000u

/* How often a change of the word is tried: peers may change it each time. */
#define TRIES 1000

/* Nanoseconds between two looks of a reader that cannot ask to be woken. */
#define POLL 5000000

bool shmseg_eventcount_valid(uint32_t word) {
  return (word & ~WAITERS) != 0;
}

void shmseg_eventcount_notify(uint32_t *word) {
  uint32_t seen = load_ordered(word);
  for (int i = 0; i < TRIES && seen & WAITERS; i++) {
    uint32_t next = (seen + 1) & ~WAITERS;
    if (cas_ordered(word, &seen, next ? next : SHMSEG_EVENTCOUNT_START)) {
      shmseg_wait_wake(word, SHMSEG_WAKE_ALL);
      return;
    }
  }
}

uint32_t shmseg_eventcount_prepare(const shmseg_segment *segment, uint32_t *word) {
  if (!segment->writable)
    return 0;
  uint32_t seen = load_ordered(word);
  for (int i = 0; i < TRIES && !(seen & WAITERS); i++)
    if (cas_ordered(word, &seen, seen | WAITERS))
      return seen | WAITERS;
  return seen & WAITERS ? seen : 0;
}

int shmseg_eventcount_wait(const shmseg_segment *segment, const uint32_t *word, uint32_t key,
                           int64_t deadline) {
  return key == 0 ? shmseg_wait_nap(POLL, deadline)
                  : shmseg_wait_word(segment, word, key, deadline);
}
