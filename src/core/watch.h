/* SPDX-License-Identifier: MIT */
/* Waits whose end an event loop is told: beside core/wait.h the only place that asks the kernel for a wake.
 *
 *   int err = shmseg_watch_begin(watch, segment, of, word, is_polled);
 *   if (err)
 *     return err;
 *   set the flag that asks for a wake; look whether there is something;
 *   return shmseg_watch_arm(watch, seen, there is, or an error); */
#ifndef SHMSEG_CORE_WATCH_H
#define SHMSEG_CORE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* The first half: makes the watch, if it is a closed one, and takes its readiness away. The word lies in
 * segment; of is whose end ends it. is_polled: nobody can be asked for a wake. After a failure the
 * watch is as shmseg_watch_refuse() leaves it. */
int shmseg_watch_begin(shmseg_watch *watch, const shmseg_segment *segment, const void *of,
                       const uint32_t *word, bool is_polled);

/* The second half: readable at once if found is 0, and when the word is not seen any more if it is
 * SHMSEG_EMPTY. Another code is an error, as of shmseg_watch_refuse(). */
int shmseg_watch_arm(shmseg_watch *watch, const shmseg_segment *segment, const uint32_t *word,
                     uint32_t seen, int found);

/* A call fails: a watch that was made before is left readable, and one that was not is closed. Gives err. */
int shmseg_watch_refuse(shmseg_watch *watch, int err);

/* Ends those in the list that are of that object, or all of them (NULL). They stay open, and readable. */
void shmseg_watch_end(struct shmseg_watch **list, const void *of);

/* Watches the signals that os/signals.h catches: readable while one has come that nobody has taken. list is
 * the caller's own, NULL at first. */
int shmseg_watch_signals(shmseg_watch **list, shmseg_watch *watch);

#pragma GCC visibility pop

#endif
