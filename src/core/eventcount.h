/* SPDX-License-Identifier: MIT */
/* An eventcount: a word to sleep on until another process has changed something else.
 *
 * LAYOUT      bit 31     WAITERS: somebody may be asleep
 *             bits 0-30  how often it was notified, from 1 on; wraps to 1, so the word is never 0
 *
 * PROTOCOL    wait  set WAITERS, look once more whether the change has come, sleep while the word is
 *                   as it was. notify: make the change, pass a full barrier, look at the word; with
 *                   WAITERS set, compare-and-swap it to the next count without, and wake all.
 *                   Both sides write, with a full barrier, before they look: one sees the other. The
 *                   flag is in the word that is slept on, so it cannot be cleared between a
 *                   sleeper's look and its sleep.
 *
 * CRASHES     a death between the change and the wake leaves sleepers asleep for the rest of their
 *             interval. A dead sleeper's flag costs one wake. */
#ifndef SHMSEG_CORE_EVENTCOUNT_H
#define SHMSEG_CORE_EVENTCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

#define SHMSEG_EVENTCOUNT_START 1u

/* Wakes all sleepers. The caller has made its change, and passed a full barrier, before. */
void shmseg_eventcount_notify(uint32_t *word);

/* The first half of a wait: says that somebody is about to sleep, and gives the key for the second.
 * Between the two the caller looks, by ordered loads, whether the change has come:
 *
 *   uint32_t key = shmseg_eventcount_prepare(segment, word);
 *   if (nothing has changed yet)
 *     err = shmseg_eventcount_wait(segment, word, key, deadline);
 *
 * The key is 0 when the flag could not be set, as through a read-only mapping. */
uint32_t shmseg_eventcount_prepare(const shmseg_segment *segment, uint32_t *word);

/* The second half: sleeps until a notify that comes after the key was given. 0: look again. With
 * the key 0 it sleeps a few milliseconds. SHMSEG_INTERRUPTED, SHMSEG_TIMEOUT, SHMSEG_TRUNCATED. */
int shmseg_eventcount_wait(const shmseg_segment *segment, const uint32_t *word, uint32_t key,
                           int64_t deadline);

/* Can this be the word of an eventcount? */
bool shmseg_eventcount_valid(uint32_t word);

#pragma GCC visibility pop

#endif
