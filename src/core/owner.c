/* SPDX-License-Identifier: MIT */
/* What a segment handle holds: its identity, and the words that it has locked.
 *
 * All of this is private to the process. What counts for peers is the identity in a lock word and
 * the kernel's lock behind it. */
#include "core/owner.h"

int shmseg_owner_renew(shmseg_segment *segment, uint32_t *id) {
  if (!segment->writable)
    return SHMSEG_READ_ONLY;
  shmseg_owner_forget_all(segment);
  int err = shmseg_liveness_attach(segment->fd, segment->place, &segment->member);
  *id = segment->member.id;
  return err;
}

static void owner_drop_all(shmseg_segment *segment) {
  while (segment->holds)
    shmseg_owner_drop(segment->holds);
}

void shmseg_owner_forget_all(shmseg_segment *segment) {
  owner_drop_all(segment);
  shmseg_liveness_detach(&segment->member);
}

void shmseg_owner_start_over(shmseg_segment *segment) {
  owner_drop_all(segment);
  shmseg_liveness_renew(&segment->member);
}

void shmseg_owner_give_up(const shmseg_segment *segment, shmseg_hold *hold) {
  if (segment && shmseg_owner_has(segment, hold))
    hold->abandon(hold);
  shmseg_owner_drop(hold);
}

void shmseg_owner_abandon_all(shmseg_segment *segment) {
  if (segment->member.id == 0)
    return;
  while (segment->holds && shmseg_liveness_own(&segment->member)) {
    shmseg_hold *hold = segment->holds;
    hold->abandon(hold);
    shmseg_owner_drop(hold);
  }
  shmseg_owner_forget_all(segment);
}
