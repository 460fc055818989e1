/* SPDX-License-Identifier: MIT */
/* Slots of identities, and waiting for one of them to become free.
 *
 * A slot is 1 (free) or the identity of its owner. Beside the slots stands an eventcount
 * (core/eventcount.h), which is notified when one was given back.
 *
 * PROTOCOL    enter  compare-and-swap a slot from 1 to the identity.
 *             leave  compare-and-swap it back, notify.
 *             clear  a slot whose identity is dead is freed by whoever is about to wait.
 *
 * CRASHES     the slot of a dead process has its identity. */
#ifndef SHMSEG_CORE_SLOTS_H
#define SHMSEG_CORE_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

#define SHMSEG_SLOT_FREE 1u

typedef struct shmseg_slots {
  const shmseg_segment *segment;
  uint32_t *eventcount;
  uint32_t *words;
  uint32_t count;
} shmseg_slots;

/* Takes a free slot, looking from hint on: *slot is its index. False when there is none. */
bool shmseg_slots_enter(shmseg_slots slots, uint32_t id, uint32_t hint, uint32_t *slot);

/* Gives slot back and wakes all that wait. False when id does not have it. */
bool shmseg_slots_leave(shmseg_slots slots, uint32_t slot, uint32_t id);

/* How many slots are taken. */
uint32_t shmseg_slots_taken(shmseg_slots slots);

/* Frees the slots of dead identities, and those of stale, which is an identity or 0. */
void shmseg_slots_clear(shmseg_slots slots, uint32_t stale);

/* Waits until at most limit slots are taken: 0. SHMSEG_TIMEOUT, SHMSEG_INTERRUPTED, … */
int shmseg_slots_wait(shmseg_slots slots, uint32_t limit, int64_t deadline);

/* Names what is wrong, or NULL. */
const char *shmseg_slots_check(shmseg_slots slots);

#pragma GCC visibility pop

#endif
