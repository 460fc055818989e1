/* SPDX-License-Identifier: MIT */
/* What a segment handle holds: its identity, and the words that it has locked.
 *
 * All of this is private to the process. What counts for peers is the identity in a lock word and
 * the kernel's lock behind it. */
#include "shared/hold.h"

#include <stddef.h>

#include "os/liveness.h"

int shmseg_hold_identity(shmseg_segment *segment, uint32_t *id) {
  if (segment->member.id == 0 || !shmseg_liveness_own(&segment->member)) {
    if (!segment->writable)
      return SHMSEG_READ_ONLY;
    shmseg_hold_forget_all(segment);
    int err = shmseg_liveness_attach(segment->fd, &segment->member);
    if (err)
      return err;
  }
  *id = segment->member.id;
  return 0;
}

bool shmseg_hold_find(const shmseg_segment *segment, uint64_t offset) {
  for (const shmseg_hold *hold = segment->holds; hold; hold = hold->next)
    if (hold->offset == offset)
      return true;
  return false;
}

void shmseg_hold_add(shmseg_segment *segment, shmseg_hold *hold, uint64_t offset) {
  hold->offset = offset;
  hold->next = segment->holds;
  hold->link = &segment->holds;
  if (hold->next)
    hold->next->link = &hold->next;
  segment->holds = hold;
}

void shmseg_hold_drop(shmseg_hold *hold) {
  if (!hold->link)
    return;
  *hold->link = hold->next;
  if (hold->next)
    hold->next->link = hold->link;
  hold->next = NULL;
  hold->link = NULL;
}

bool shmseg_hold_is(const shmseg_segment *segment, const shmseg_hold *hold) {
  return hold->link && shmseg_liveness_own(&segment->member);
}

void shmseg_hold_forget_all(shmseg_segment *segment) {
  while (segment->holds)
    shmseg_hold_drop(segment->holds);
  shmseg_liveness_detach(&segment->member);
}

void shmseg_hold_abandon_all(shmseg_segment *segment) {
  if (segment->member.id == 0)
    return;
  while (segment->holds && shmseg_liveness_own(&segment->member)) {
    shmseg_hold *hold = segment->holds;
    hold->abandon(hold);
    shmseg_hold_drop(hold);
  }
  shmseg_hold_forget_all(segment);
}
