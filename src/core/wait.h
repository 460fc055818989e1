/* SPDX-License-Identifier: MIT */
/* Waiting: the only place that sleeps or wakes.
 *
 * No sleep is longer than a slice. A wait that is not over when its slice is returns
 * SHMSEG_INTERRUPTED, as it does after a signal: the caller looks around (a handle may have been
 * closed by a signal's hook, a peer may have died) and calls again with the same deadline. */
#ifndef SHMSEG_CORE_WAIT_H
#define SHMSEG_CORE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* The deadline of an operation that sets its own when it first has to wait: *deadline, which is 0 before
 * and then so many nanoseconds from now. */
int64_t shmseg_wait_patience(int64_t *deadline, int64_t nanoseconds);

/* Sleeps until the deadline: SHMSEG_TIMEOUT when it is reached, or SHMSEG_INTERRUPTED. */
int shmseg_wait_sleep(int64_t deadline);

/* Between two tries of something that a peer holds for a moment: a nap of a millisecond. */
int shmseg_wait_pause(int64_t deadline);

/* Sleeps so many nanoseconds, at most until the deadline: 0, or SHMSEG_TIMEOUT when it was reached
 * before. */
int shmseg_wait_nap(int64_t nanoseconds, int64_t deadline);

/* Waits until *word, which lies in segment, is not seen: 0 then; or SHMSEG_TIMEOUT,
 * SHMSEG_INTERRUPTED, SHMSEG_TRUNCATED. Whoever changes the word has to call shmseg_wait_wake
 * afterwards. */
int shmseg_wait_word(const shmseg_segment *segment, const uint32_t *word, uint32_t seen,
                     int64_t deadline);

/* Is there time left? */
bool shmseg_wait_left(int64_t deadline);

/* What a wait returns that is not over: SHMSEG_INTERRUPTED, or SHMSEG_TIMEOUT. */
int shmseg_wait_again(int64_t deadline);

/* Looks at a lock's word for as long as waking a sleeper would take, unless there is one processor
 * only: true when it is not seen any more. *pauses is SHMSEG_SPIN_START to begin with. The looks
 * grow rarer, also from call to call: each one takes the line from the owner. */
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
 * A handle whose peers were too slow for this many times in a row looks once, and spins only now and
 * then: on a busy machine its processor is better left to them. */
typedef struct shmseg_spinner {
  shmseg_spin *spin;
  int64_t deadline; /* 0: it looks once */
  unsigned looks;
} shmseg_spinner;

shmseg_spinner shmseg_wait_spin_begin(shmseg_spin *spin);
bool shmseg_wait_spin_again(shmseg_spinner *spinner);

/* Notes that the spin was worth it, and gives 0. */
int shmseg_wait_spin_found(const shmseg_spinner *spinner);

/* Wakes at most count of the waiters on word. Gives how many, or -1 when the page is gone. */
int shmseg_wait_wake(const uint32_t *word, int count);

#define SHMSEG_WAKE_ALL INT32_MAX

#if defined(SHMSEG_COUNT_LATE)
/* Waits that ended with their slice although the word had changed: nobody had woken them. */
extern uint64_t shmseg_wait_late;
#endif

#pragma GCC visibility pop

#endif
