/* SPDX-License-Identifier: MIT */
/* A lock word: one owner at a time, who may die. */
#include "core/lock.h"

#include "core/segment.h"
#include "core/wait.h"
#include "core/word.h"
#include "os/liveness.h"

/* How often a word that keeps changing is read before the clock is asked again. */
#define LOOKS 1000

/* Nanoseconds that a try waits for an owner that is in a short critical section. */
#define MOMENT 60000000

bool shmseg_lock_valid(uint32_t word) {
  uint32_t state = word & SHMSEG_LOCK_STATE;
  return state == SHMSEG_LOCK_FREE || state >= SHMSEG_ID_MIN;
}

static bool lock_is_free(uint32_t word) {
  return (word & SHMSEG_LOCK_STATE) == SHMSEG_LOCK_FREE;
}

#define OWNER_DEAD 1 /* no code of the library: those of ours are negative, and EPERM is not used */

/* What a call that waits has done so far. */
typedef struct {
  bool asked; /* whether an owner lives */
  bool slept;
} effort;

static bool lock_lives(const shmseg_segment *segment, uint32_t seen) {
  return shmseg_liveness_probe(segment->fd, seen & SHMSEG_LOCK_STATE);
}

/* Waits while the word is *seen, which has an owner. 0: look again. OWNER_DEAD: the owner is dead,
 * and the word was *seen at that moment. The caller does not hold the word: so an owner with the
 * caller's identity had the same number before, and is dead. To ask the kernel is a system call: it
 * is asked once in each call, before the first sleep. A later death is found in the next interval. */
static int lock_wait_for_owner(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                               int64_t deadline, uint32_t *seen, unsigned *pauses, effort *e) {
  if ((*seen & SHMSEG_LOCK_STATE) == id)
    return OWNER_DEAD;
  if (!shmseg_wait_left(deadline)) /* a try: it does not sleep, and sets no flag */
    return lock_lives(segment, *seen) ? SHMSEG_TIMEOUT : OWNER_DEAD;
  if (shmseg_wait_spin(word, *seen, pauses))
    return 0;
  if (!e->asked && !lock_lives(segment, *seen))
    return OWNER_DEAD;
  e->asked = true;
  if (!(*seen & SHMSEG_LOCK_WAITERS)) {
    if (!cas_ordered(word, seen, *seen | SHMSEG_LOCK_WAITERS))
      return 0;
    *seen |= SHMSEG_LOCK_WAITERS;
  }
  e->slept = true;
  int err = shmseg_wait_word(segment, word, *seen, deadline);
  return err == SHMSEG_TIMEOUT ? 0 : err; /* the next look is a try, which asks */
}

/* Waits until the word is free, or its owner dead (*dead): 0, and *seen is the word at that moment.
 * SHMSEG_INTERRUPTED, SHMSEG_TIMEOUT, SHMSEG_TRUNCATED, SHMSEG_CORRUPT. */
static int lock_look(const shmseg_segment *segment, uint32_t *word, uint32_t id, int64_t deadline,
                     uint32_t *seen, bool *dead, effort *e) {
  unsigned pauses = SHMSEG_SPIN_START;
  *dead = false;
  for (int i = 0; i < LOOKS; i++) {
    *seen = load_acquire(word);
    int err = segment_status(segment);
    if (err)
      return err;
    if (!shmseg_lock_valid(*seen))
      return SHMSEG_CORRUPT;
    if (lock_is_free(*seen))
      return 0;
    err = lock_wait_for_owner(segment, word, id, deadline, seen, &pauses, e);
    *dead = err == OWNER_DEAD;
    if (err)
      return *dead ? 0 : err;
  }
  return shmseg_wait_again(deadline);
}

int shmseg_lock_take_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                            uint32_t keep, int64_t deadline, bool *dirty) {
  effort e = { false, false };
  for (int i = 0; i < LOOKS; i++) {
    uint32_t seen;
    bool dead;
    int err = lock_look(segment, word, id, deadline, &seen, &dead, &e);
    if (err)
      return err;
    *dirty = dead || seen & SHMSEG_LOCK_DIRTY;
    /* others may be asleep: the release that woke us has woken only us */
    uint32_t waiters = e.slept ? SHMSEG_LOCK_WAITERS : seen & SHMSEG_LOCK_WAITERS;
    if (cas_ordered(word, &seen, id | waiters | (*dirty ? keep : 0)))
      return 0;
  }
  return shmseg_wait_again(deadline);
}

int shmseg_lock_release_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                               uint32_t next, int wake) {
  uint32_t seen = id;
  /* a second try is needed when a peer sets WAITERS; an honest one does no more */
  for (int i = 0; i < LOOKS && (seen & SHMSEG_LOCK_STATE) == id; i++) {
    bool waiters = seen & SHMSEG_LOCK_WAITERS;
    if (cas_ordered(word, &seen, next)) {
      if (waiters)
        shmseg_wait_wake(word, wake);
      return segment_status(segment);
    }
  }
  int err = segment_status(segment);
  return err ? err : SHMSEG_CORRUPT;
}

int shmseg_lock_enter_patiently_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                       int64_t patience, int64_t *deadline, bool *dirty) {
  return shmseg_lock_take_slowly(segment, word, id, 0, shmseg_wait_patience(deadline, patience),
                                 dirty);
}

int shmseg_lock_enter_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                             int64_t deadline, bool *dirty) {
  int64_t moment = shmseg_wait_deadline(MOMENT);
  int err;
  /* After the deadline an interval's end is not returned: the next call would begin a new moment. */
  do
    err =
        shmseg_lock_take_slowly(segment, word, id, 0, deadline > moment ? deadline : moment, dirty);
  while (err == SHMSEG_INTERRUPTED && !shmseg_wait_left(deadline));
  return err;
}

int shmseg_lock_leave_dirty(const shmseg_segment *segment, uint32_t *word, uint32_t id, int err) {
  shmseg_lock_release(segment, word, id, SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY, 1);
  return err;
}

int shmseg_lock_wait_free_slowly(const shmseg_segment *segment, uint32_t *word, uint32_t id,
                                 int64_t deadline, uint32_t *seen) {
  bool dead;
  effort e = { false, false };
  int err = lock_look(segment, word, id, deadline, seen, &dead, &e);
  if (err || !dead)
    return err;
  uint32_t next = SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY;
  if (!cas_ordered(word, seen, next))
    return shmseg_wait_again(deadline); /* somebody else has recovered it */
  shmseg_wait_wake(word, SHMSEG_WAKE_ALL);
  *seen = next;
  return 0;
}
