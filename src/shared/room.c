/* SPDX-License-Identifier: MIT */
/* Slots of identities, and waiting for one of them to become free. */
#include "shared/room.h"

#include "os/liveness.h"
#include "shared/wait.h"
#include "shared/word.h"

#define WAITERS 0x80000000u

/* Identities found alive, by their low bits: one probe for each, or few. */
#define ALIVE 64

/* Tries to change a word that peers change too. */
#define TRIES 1000

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

static void wake(shmseg_room room) {
  uint32_t seen = load_ordered(room.word);
  for (int i = 0; i < TRIES && seen & WAITERS; i++) {
    uint32_t next = (seen + 1) & ~WAITERS;
    if (cas_ordered(room.word, &seen, next ? next : SHMSEG_ROOM_START)) {
      shmseg_wait_wake(room.word, SHMSEG_WAKE_ALL);
      return;
    }
  }
}

bool shmseg_room_leave(shmseg_room room, uint32_t slot, uint32_t id) {
  uint32_t seen = id;
  bool left = cas_ordered(&room.slots[slot], &seen, SHMSEG_ROOM_FREE);
  if (left)
    wake(room);
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
    if (seen == SHMSEG_ROOM_FREE || seen == alive[seen % ALIVE])
      continue;
    /* what is no identity has no owner that could give it back */
    if (seen >= SHMSEG_ID_MIN && seen <= SHMSEG_ID_MAX && seen != stale &&
        shmseg_liveness_probe(room.segment->fd, seen))
      alive[seen % ALIVE] = seen;
    else if (shmseg_segment_status(room.segment) == 0)
      cleared |= cas_ordered(&room.slots[i], &seen, SHMSEG_ROOM_FREE);
  }
  if (cleared)
    wake(room);
}

int shmseg_room_wait(shmseg_room room, uint32_t limit, int64_t deadline) {
  uint32_t seen = load_ordered(room.word);
  if (!(seen & WAITERS)) {
    if (!cas_ordered(room.word, &seen, seen | WAITERS))
      return shmseg_wait_again(deadline);
    seen |= WAITERS;
  }
  if (shmseg_room_taken(room) <= limit)
    return shmseg_segment_status(room.segment);
  int err = shmseg_wait_word(room.segment, room.word, seen, deadline);
  return err == 0 && shmseg_room_taken(room) > limit ? shmseg_wait_again(deadline) : err;
}

const char *shmseg_room_check(shmseg_room room) {
  if ((load_relaxed(room.word) & ~WAITERS) == 0)
    return "the room word";
  for (uint32_t i = 0; i < room.count; i++) {
    uint32_t slot = load_relaxed(&room.slots[i]);
    if (slot != SHMSEG_ROOM_FREE && (slot < SHMSEG_ID_MIN || slot > SHMSEG_ID_MAX))
      return "a slot";
  }
  return NULL;
}
