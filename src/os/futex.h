/* SPDX-License-Identifier: MIT */
/* Sleeping until a shared word changes. */
#ifndef SHMSEG_OS_FUTEX_H
#define SHMSEG_OS_FUTEX_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Sleeps while *word equals seen, until a wake or for so many nanoseconds, at most a second. 0: it
 * may have changed (also for no reason), ETIMEDOUT, EINTR, or EFAULT when the page is gone. Works
 * through a read-only mapping. */
int shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds);

/* Wakes at most count of the sleepers on the word, in any process: gives how many; -1 when the page
 * is gone. */
int shmseg_futex_wake(const uint32_t *word, int count);

#pragma GCC visibility pop

#endif
