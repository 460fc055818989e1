/* SPDX-License-Identifier: MIT */
/* Waiting for peers: the only place that sleeps on a word, or wakes a sleeper; what event loops wait for is
 * in core/watch.h.
 *
 * No sleep is longer than an interval. A wait that is not over when its interval is returns
 * SHMSEG_INTERRUPTED, as it does after a signal: the caller looks around (a handle may have been
 * closed by a signal's hook, a peer may have died) and calls again with the same deadline. */
#ifndef SHMSEG_CORE_WAIT_H
#define SHMSEG_CORE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* The deadline of an operation that sets its own when it first has to wait. *deadline is 0 before;
 * then it is set, so many nanoseconds from now. Gives *deadline. */
int64_t shmseg_wait_patience(int64_t *deadline, int64_t nanoseconds);

/* Sleeps for an interval at most: SHMSEG_INTERRUPTED. SHMSEG_TIMEOUT when the deadline is over. */
int shmseg_wait_sleep(int64_t deadline);

/* A nap of a millisecond, between two tries of something that a peer has for a moment. */
int shmseg_wait_pause(int64_t deadline);

/* Sleeps so many nanoseconds, at most until the deadline: 0. SHMSEG_TIMEOUT, at once, when the
 * deadline is over. */
int shmseg_wait_nap(int64_t nanoseconds, int64_t deadline);

/* Waits until *word, which lies in segment, differs from seen: 0. SHMSEG_TIMEOUT,
 * SHMSEG_INTERRUPTED, SHMSEG_TRUNCATED. A change of the word is followed by shmseg_wait_wake. */
int shmseg_wait_word(const shmseg_segment *segment, const uint32_t *word, uint32_t seen,
                     int64_t deadline);

/* Is there time left? */
bool shmseg_wait_left(int64_t deadline);

/* What a wait that is not over returns: SHMSEG_INTERRUPTED, or SHMSEG_TIMEOUT at the deadline. */
int shmseg_wait_again(int64_t deadline);

/* What becomes of an operation that peers have overtaken: SHMSEG_CHANGED, try again, for 100 ms;
 * then it is over, as shmseg_wait_again says. *patience is 0 when the operation begins. */
int shmseg_wait_overtaken(int64_t *patience, int64_t deadline);

/* Looks at a lock's word for as long as waking a sleeper would take: true when it differs from
 * seen. With one processor it does not look. *pauses is SHMSEG_SPIN_START to begin with. The looks
 * become rarer, also from call to call, since each one takes the cache line from the owner. */
bool shmseg_wait_spin(const uint32_t *word, uint32_t seen, unsigned *pauses);

#define SHMSEG_SPIN_START 4u

/* A spin: looks for a change that a peer brings about, for about as long as a sleep and a wake cost.
 *
 *   shmseg_spinner spinner = shmseg_wait_spin_begin(&handle->spin);
 *   do
 *     if (it has come)
 *       return shmseg_wait_spin_found(&spinner);
 *   while (shmseg_wait_spin_again(&spinner));
 *
 * A handle whose peers were too slow many times in a row looks once, and spins only now and then:
 * on a busy machine the peers need its processor.
 *
 * Each look takes the cache line from the peer that works. Where more than one change is waited for,
 * a handle pauses before it looks, spin->pauses times (about 25 ns each, on the machine where this
 * was measured), and shmseg_wait_spin_adapt() makes that more or less. */
typedef struct shmseg_spinner {
  shmseg_spin *spin;
  int64_t deadline; /* 0: it looks once */
  unsigned looks;
} shmseg_spinner;

shmseg_spinner shmseg_wait_spin_begin(shmseg_spin *spin);
bool shmseg_wait_spin_again(shmseg_spinner *spinner);

/* Notes that the spin was worth it, and gives 0. */
int shmseg_wait_spin_found(const shmseg_spinner *spinner);

/* From now on pauses twice as long before the first look, at most so many times; or half as long. */
void shmseg_wait_spin_adapt(shmseg_spin *spin, bool longer, uint32_t most);

/* Wakes at most count of the waiters on word. Gives how many, or -1 when the page is gone. */
int shmseg_wait_wake(const uint32_t *word, int count);

#define SHMSEG_WAKE_ALL INT32_MAX

#if defined(SHMSEG_COUNT_LATE)
/* Waits that ended with their interval although the word had changed: nobody had woken them. */
extern uint64_t shmseg_wait_late;
#endif

#pragma GCC visibility pop

#endif
