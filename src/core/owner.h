/* SPDX-License-Identifier: MIT */
/* What a segment handle holds: its identity, and the words that it has locked. */
#ifndef SHMSEG_CORE_OWNER_H
#define SHMSEG_CORE_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/liveness.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* Takes a new identity. A forked child forgets its parent's, and all that the parent holds. */
int shmseg_owner_renew(shmseg_segment *segment, uint32_t *id);

/* Gives the handle's identity; if it has none, takes one first. SHMSEG_READ_ONLY, or what
 * shmseg_liveness_attach says. */
static inline int shmseg_owner_identity(shmseg_segment *segment, uint32_t *id) {
  if (!shmseg_liveness_own(&segment->member))
    return shmseg_owner_renew(segment, id);
  *id = segment->member.id;
  return 0;
}

/* Does this segment handle hold the word at offset? Call shmseg_owner_identity before. */
static inline bool shmseg_owner_find(const shmseg_segment *segment, uint64_t offset) {
  for (const shmseg_hold *hold = segment->holds; hold; hold = hold->next)
    if (hold->offset == offset)
      return true;
  return false;
}

static inline void shmseg_owner_add(shmseg_segment *segment, shmseg_hold *hold, uint64_t offset) {
  hold->offset = offset;
  hold->next = segment->holds;
  if (hold->next)
    hold->next->link = &hold->next;
  hold->link = &segment->holds;
  segment->holds = hold;
}

static inline void shmseg_owner_drop(shmseg_hold *hold) {
  if (!hold->link)
    return;
  *hold->link = hold->next;
  if (hold->next)
    hold->next->link = hold->link;
  hold->link = NULL;
}

/* Is hold in the list of its segment handle, and this process's own? */
static inline bool shmseg_owner_has(const shmseg_segment *segment, const shmseg_hold *hold) {
  return hold->link && shmseg_liveness_own(&segment->member);
}

/* Abandons hold if the handle has it, so that the next owner is told, and drops it. segment may be
 * NULL. */
void shmseg_owner_give_up(const shmseg_segment *segment, shmseg_hold *hold);

/* Gives the identity up and forgets the words: for peers, their owner is dead. */
void shmseg_owner_forget_all(shmseg_segment *segment);

/* The same for a handle that stays open: it gets another identity if it had one. */
void shmseg_owner_start_over(shmseg_segment *segment);

/* Marks what is held as abandoned, so that the next owners are told, and gives up the identity. */
void shmseg_owner_abandon_all(shmseg_segment *segment);

#pragma GCC visibility pop

#endif
