/* SPDX-License-Identifier: MIT */
/* Slots of identities, and waiting for one of them to become free. */
#include "shared/room.h"

#include "os/liveness.h"
#include "shared/bell.h"
#include "shared/status.h"
#include "shared/wait.h"
#include "shared/word.h"

/* Identities found alive, by their low bits: one probe for each, or few. */
#define ALIVE 64

bool shmseg_room_enter(shmseg_room room, uint32_t id, uint32_t hint, uint32_t *slot) {
  for (uint32_t i = 0; i < room.count; i++) {
    uint32_t at = (hint + i) % room.count;
    uint32_t seen = SHMSEG_ROOM_FREE;
    if (load_relaxed(&room.slots[at]) == SHMSEG_ROOM_FREE &&
        cas_ordered(&room.slots[at], &seen, id)) {
      *slot = at;
      return true;
    }
  }
  return false;
}

bool shmseg_room_leave(shmseg_room room, uint32_t slot, uint32_t id) {
  uint32_t seen = id;
  bool left = cas_ordered(&room.slots[slot], &seen, SHMSEG_ROOM_FREE);
  if (left)
    shmseg_bell_ring(room.bell);
  return left;
}

uint32_t shmseg_room_taken(shmseg_room room) {
  uint32_t taken = 0;
  for (uint32_t i = 0; i < room.count; i++)
    taken += load_ordered(&room.slots[i]) != SHMSEG_ROOM_FREE;
  return taken;
}

void shmseg_room_clear(shmseg_room room, uint32_t stale) {
  uint32_t alive[ALIVE] = { 0 };
  bool cleared = false;
  for (uint32_t i = 0; i < room.count; i++) {
    uint32_t seen = load_relaxed(&room.slots[i]);
    if (seen == SHMSEG_ROOM_FREE || (seen != 0 && seen == alive[seen % ALIVE]))
      continue;
    /* what is no identity has no owner that could give it back */
    if (seen >= SHMSEG_ID_MIN && seen <= SHMSEG_ID_MAX && seen != stale &&
        shmseg_liveness_probe(room.segment->fd, seen))
      alive[seen % ALIVE] = seen;
    else if (segment_status(room.segment) == 0)
      cleared |= cas_ordered(&room.slots[i], &seen, SHMSEG_ROOM_FREE);
  }
  if (cleared)
    shmseg_bell_ring(room.bell);
}

typedef struct {
  shmseg_room room;
  uint32_t limit;
} demand;

static bool is_met(const void *context) {
  const demand *d = context;
  return shmseg_room_taken(d->room) <= d->limit;
}

int shmseg_room_wait(shmseg_room room, uint32_t limit, int64_t deadline) {
  demand d = { room, limit };
  int err = shmseg_bell_wait(room.segment, room.bell, is_met, &d, deadline);
  return err == 0 && !is_met(&d) ? shmseg_wait_again(deadline) : err;
}

const char *shmseg_room_check(shmseg_room room) {
  if (!shmseg_bell_valid(load_relaxed(room.bell)))
    return "the bell";
  for (uint32_t i = 0; i < room.count; i++) {
    uint32_t slot = load_relaxed(&room.slots[i]);
    if (slot != SHMSEG_ROOM_FREE && (slot < SHMSEG_ID_MIN || slot > SHMSEG_ID_MAX))
      return "a slot";
  }
  return NULL;
}
