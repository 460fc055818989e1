/* SPDX-License-Identifier: MIT */
/* Slots of identities, and waiting for one of them to become free. */
#include "core/slots.h"

#include "core/eventcount.h"
#include "core/segment.h"
#include "core/wait.h"
#include "core/word.h"
#include "os/liveness.h"

/* Identities that were found alive are remembered, by their low bits: most are probed once. */
#define ALIVE 64

bool shmseg_slots_enter(shmseg_slots slots, uint32_t id, uint32_t hint, uint32_t *slot) {
  uint32_t at = hint < slots.count ? hint : hint % slots.count;
  for (uint32_t i = 0; i < slots.count; i++) {
    uint32_t seen = SHMSEG_SLOT_FREE;
    if (load_relaxed(&slots.words[at]) == SHMSEG_SLOT_FREE &&
        cas_ordered(&slots.words[at], &seen, id)) {
      *slot = at;
      return true;
    }
    at = at + 1 < slots.count ? at + 1 : 0;
  }
  return false;
}

bool shmseg_slots_leave(shmseg_slots slots, uint32_t slot, uint32_t id) {
  uint32_t seen = id;
  bool left = cas_ordered(&slots.words[slot], &seen, SHMSEG_SLOT_FREE);
  if (left)
    shmseg_eventcount_notify(slots.eventcount);
  return left;
}

uint32_t shmseg_slots_taken(shmseg_slots slots) {
  uint32_t taken = 0;
  for (uint32_t i = 0; i < slots.count; i++)
    taken += load_ordered(&slots.words[i]) != SHMSEG_SLOT_FREE;
  return taken;
}

void shmseg_slots_clear(shmseg_slots slots, uint32_t stale) {
  uint32_t alive[ALIVE] = { 0 };
  bool cleared = false;
  for (uint32_t i = 0; i < slots.count; i++) {
    uint32_t seen = load_relaxed(&slots.words[i]);
    if (seen == SHMSEG_SLOT_FREE || (seen != 0 && seen == alive[seen % ALIVE]))
      continue;
    /* what is no identity has no owner that could give it back */
    if (seen >= SHMSEG_ID_MIN && seen <= SHMSEG_ID_MAX && seen != stale &&
        shmseg_liveness_probe(slots.segment->fd, seen))
      alive[seen % ALIVE] = seen;
    else if (segment_status(slots.segment) == 0)
      cleared |= cas_ordered(&slots.words[i], &seen, SHMSEG_SLOT_FREE);
  }
  if (cleared)
    shmseg_eventcount_notify(slots.eventcount);
}

int shmseg_slots_wait(shmseg_slots slots, uint32_t limit, int64_t deadline) {
  uint32_t key = shmseg_eventcount_prepare(slots.segment, slots.eventcount);
  if (shmseg_slots_taken(slots) <= limit)
    return segment_status(slots.segment);
  int err = shmseg_eventcount_wait(slots.segment, slots.eventcount, key, deadline);
  return err == 0 && shmseg_slots_taken(slots) > limit ? shmseg_wait_again(deadline) : err;
}

const char *shmseg_slots_check(shmseg_slots slots) {
  if (!shmseg_eventcount_valid(load_relaxed(slots.eventcount)))
    return "the eventcount";
  for (uint32_t i = 0; i < slots.count; i++) {
    uint32_t slot = load_relaxed(&slots.words[i]);
    if (slot != SHMSEG_SLOT_FREE && (slot < SHMSEG_ID_MIN || slot > SHMSEG_ID_MAX))
      return "a slot";
  }
  return NULL;
}
