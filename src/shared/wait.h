/* SPDX-License-Identifier: MIT */
/* Waiting: the only place that sleeps or wakes. */
#ifndef SHMSEG_SHARED_WAIT_H
#define SHMSEG_SHARED_WAIT_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Sleeps until the deadline, but no longer than a slice. SHMSEG_TIMEOUT when the deadline is
 * reached; SHMSEG_INTERRUPTED when a signal handler ran or the slice is over, and the caller
 * looks around and calls again. */
int shmseg_wait_sleep(int64_t deadline);

/* The deadline so many nanoseconds from now. */
int64_t shmseg_wait_deadline(int64_t nanoseconds);

/* Between two tries of something that a peer holds for a moment: sleeps a millisecond.
 * SHMSEG_TIMEOUT when the deadline is reached. */
int shmseg_wait_pause(int64_t deadline);

#pragma GCC visibility pop

#endif
