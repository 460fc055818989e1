/* SPDX-License-Identifier: MIT */
/* Time: a clock that only goes forward, and sleeping on it. */
#ifndef SHMSEG_OS_CLOCK_H
#define SHMSEG_OS_CLOCK_H

#include <stdint.h>

#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* Sleeps so many nanoseconds. 0, or EINTR when a signal handler ran. */
int shmseg_clock_sleep(int64_t nanoseconds);

/* How many processors this process may run on. It can be pinned at any time, so the system is asked
 * again after so many calls. */
#define SHMSEG_CLOCK_RECOUNT 64
int shmseg_clock_processors(void);

#pragma GCC visibility pop

#endif
