/* SPDX-License-Identifier: MIT */
/* A lock word: one owner at a time, who may die.
 *
 * LAYOUT      bits 0-29  1: free; SHMSEG_ID_MIN and above: the owner's identity
 *             bit 30     DIRTY: an owner died or gave up while holding
 *             bit 31     WAITERS: somebody sleeps on the word, or did
 *
 * 0 is no state of it: a page of zeroes can be neither locked nor unlocked. The word is also the
 * futex, so a sleeper's flag and the state it sleeps on cannot disagree.
 *
 * PROTOCOL    take     compare-and-swap from free to the identity. After the first sleep with
 *                      WAITERS set, since others may still be asleep.
 *             release  compare-and-swap from the own identity to free, then wake if WAITERS was
 *                      set. Never an exchange: after a cut and regrowth the word can be a stranger's.
 *             recover  a waiter asks whether the owner lives, in each interval before it sleeps; if not,
 *                      compare-and-swap from the exact word that was probed to the own identity. Of
 *                      several, one wins.
 *
 * CRASHES     owner dies: the word has its identity, and is recovered. A sleeper dies: WAITERS stays
 *             set and costs one wake. Dead between release and wake: the sleepers' interval ends. */
#ifndef SHMSEG_CORE_LOCK_H
#define SHMSEG_CORE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/segment.h"
#include "core/word.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

#define SHMSEG_LOCK_FREE 1u
#define SHMSEG_LOCK_STATE 0x3fffffffu
#define SHMSEG_LOCK_DIRTY 0x40000000u
#define SHMSEG_LOCK_WAITERS 0x80000000u

int shmseg_lock_take_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                            uint32_t keep, int64_t deadline, bool *dirty);
int shmseg_lock_release_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                               uint32_t next, int wake);

/* Takes the word for id. *dirty: an earlier owner died while it held the word. With keep 0 only the
 * next owner is told, since taking the word clears DIRTY. A lock that has to tell later owners too
 * (the rwlock) gives SHMSEG_LOCK_DIRTY as keep: then DIRTY stays in the word while it is owned, and
 * the release decides what becomes of it. 0, SHMSEG_TIMEOUT (never when the owner is dead),
 * SHMSEG_INTERRUPTED, SHMSEG_TRUNCATED, SHMSEG_CORRUPT. */
static inline int shmseg_lock_take(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                   uint32_t keep, int64_t deadline, bool *dirty) {
  uint32_t seen = SHMSEG_LOCK_FREE;
  *dirty = false;
  if (cas_ordered(word, &seen, id))
    return 0;
  return shmseg_lock_take_slowly(segment, word, id, keep, deadline, dirty);
}

/* Gives the word back: it becomes next, SHMSEG_LOCK_FREE or that with SHMSEG_LOCK_DIRTY. Wakes at
 * most wake sleepers. SHMSEG_CORRUPT or SHMSEG_TRUNCATED when the word is not id's. */
static inline int shmseg_lock_release(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                      uint32_t next, int wake) {
  uint32_t seen = id;
  if (cas_ordered(word, &seen, next))
    return segment_status(segment);
  return shmseg_lock_release_slowly(segment, word, id, next, wake);
}

int shmseg_lock_enter_patiently_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                       int64_t patience, int64_t *deadline, bool *dirty);
int shmseg_lock_enter_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                             int64_t deadline, bool *dirty);

/* shmseg_lock_take for a critical section of the library's own, which is short. *deadline is 0 at
 * the first call, and is set, patience nanoseconds ahead, when the call has to wait: then
 * SHMSEG_TIMEOUT. Before it, SHMSEG_INTERRUPTED: call again with the same *deadline. */
static inline int shmseg_lock_enter_patiently(const shmseg_segment *segment, uint32_t *word,
                                              uint32_t id, int64_t patience, int64_t *deadline,
                                              bool *dirty) {
  uint32_t seen = SHMSEG_LOCK_FREE;
  *dirty = false;
  if (cas_ordered(word, &seen, id))
    return 0;
  return shmseg_lock_enter_patiently_slowly(segment, word, id, patience, deadline, dirty);
}

/* The same for a caller that has a deadline. It waits a moment even when that is over, since an
 * owner that is running needs less. May return SHMSEG_INTERRUPTED before the deadline. */
static inline int shmseg_lock_enter(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                    int64_t deadline, bool *dirty) {
  uint32_t seen = SHMSEG_LOCK_FREE;
  *dirty = false;
  if (cas_ordered(word, &seen, id))
    return 0;
  return shmseg_lock_enter_slowly(segment, word, id, deadline, dirty);
}

/* Leaves such a section after an error, which it returns. The word becomes free and DIRTY. */
int shmseg_lock_leave_dirty(const shmseg_segment *segment, uint32_t *word, uint32_t id, int err);

int shmseg_lock_wait_free_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                 int64_t deadline, uint32_t *seen);

/* Waits until the word is free, and does not take it. The word of a dead owner is made free and
 * DIRTY. *seen is the word that was free. The errors are those of shmseg_lock_take. */
static inline int shmseg_lock_wait_free(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                        int64_t deadline, uint32_t *seen) {
  *seen = load_acquire(word);
  if ((*seen & SHMSEG_LOCK_STATE) == SHMSEG_LOCK_FREE)
    return 0; /* it is no hole: there the word is 0 */
  return shmseg_lock_wait_free_slowly(segment, word, id, deadline, seen);
}

/* Can this be a lock word? */
bool shmseg_lock_valid(uint32_t word);

#pragma GCC visibility pop

#endif
