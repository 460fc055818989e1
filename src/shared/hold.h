/* SPDX-License-Identifier: MIT */
/* What a segment handle holds: its identity, and the words that it has locked. */
#ifndef SHMSEG_SHARED_HOLD_H
#define SHMSEG_SHARED_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* The handle's identity, taken when it has none. In a forked child the parent's is forgotten, and
 * with it all that was held. SHMSEG_READ_ONLY, or what shmseg_liveness_attach says. */
int shmseg_hold_identity(shmseg_segment *segment, uint32_t *id);

/* Does a handle of this segment hold the word at offset? Call after shmseg_hold_identity. */
bool shmseg_hold_find(const shmseg_segment *segment, uint64_t offset);

void shmseg_hold_add(shmseg_segment *segment, shmseg_hold *hold, uint64_t offset);
void shmseg_hold_drop(shmseg_hold *hold);

/* Is hold in force, in this process? */
bool shmseg_hold_is(const shmseg_segment *segment, const shmseg_hold *hold);

/* Gives the identity up and forgets the words: for peers, their owner is dead. */
void shmseg_hold_forget_all(shmseg_segment *segment);

/* Marks what is held as abandoned, so that the next owners are told, and gives up the identity. */
void shmseg_hold_abandon_all(shmseg_segment *segment);

#pragma GCC visibility pop

#endif
