/* SPDX-License-Identifier: MIT */
/* Looking at an open object from outside. */
#include "objects/inspect.h"

#include "core/eventcount.h"
#include "core/lock.h"
#include "core/slots.h"
#include "core/word.h"
#include "objects/object.h"
#include "os/liveness.h"

/* One call looks at so many words that are left out. */
#define GO 16384

/* How often a word is read again that has changed since its owner was found dead. */
#define TRIES 100

int shmseg_inspect_begin(const shmseg_object *object, shmseg_inspection *inspection) {
  inspection->count = inspection->part = 0;
  inspection->index = 0;
  inspection->last = 0;
  int err = shmseg_object_ready(object);
  if (!err && object->kind->inspect)
    inspection->count = object->kind->inspect(object, inspection->parts);
  return err ? err : segment_status(object->segment);
}

static bool inspect_is_wide(shmseg_part_type type) {
  return type == SHMSEG_PART_CLAIM || type == SHMSEG_PART_NUMBER || type == SHMSEG_PART_NEXT;
}

static uint64_t inspect_load(const shmseg_object *object, const shmseg_seen *seen) {
  const void *word =
      shmseg_object_at(object, seen->part->offset + seen->index * seen->part->stride);
  return inspect_is_wide(seen->part->type) ? load_acquire((const uint64_t *)word)
                                           : load_acquire((const uint32_t *)word);
}

/* A word that can have an owner, whom nobody has asked yet whether he lives. */
static void inspect_read_owner(uint32_t state, shmseg_seen *seen) {
  bool owned = state >= SHMSEG_ID_MIN && state <= SHMSEG_ID_MAX;
  seen->owner = owned ? state : 0;
  seen->state = owned                       ? SHMSEG_STATE_HELD
                : state != SHMSEG_LOCK_FREE ? SHMSEG_STATE_CORRUPT
                : seen->dirty               ? SHMSEG_STATE_ABANDONED
                                            : SHMSEG_STATE_FREE;
}

static void inspect_read_number(uint64_t number, bool is_valid, shmseg_seen *seen) {
  seen->state = is_valid && number <= SHMSEG_COUNT_MAX ? SHMSEG_STATE_NONE : SHMSEG_STATE_CORRUPT;
  seen->value = seen->state == SHMSEG_STATE_NONE ? number : 0;
}

/* What the word says by itself. */
static void inspect_read(uint64_t word, shmseg_seen *seen) {
  uint32_t half = (uint32_t)word;
  seen->owner = 0;
  seen->dirty = false;
  seen->waiters = false;
  seen->value = 0;
  switch (seen->part->type) {
  case SHMSEG_PART_LOCK:
    seen->dirty = half & SHMSEG_LOCK_DIRTY;
    seen->waiters = half & SHMSEG_LOCK_WAITERS;
    inspect_read_owner(half & SHMSEG_LOCK_STATE, seen);
    break;
  case SHMSEG_PART_SLOT: inspect_read_owner(half, seen); break;
  case SHMSEG_PART_CLAIM: inspect_read_owner(half & SHMSEG_LOCK_STATE, seen); break;
  case SHMSEG_PART_EVENTCOUNT:
    seen->waiters = half & SHMSEG_LOCK_WAITERS;
    seen->state = shmseg_eventcount_valid(half) ? SHMSEG_STATE_NONE : SHMSEG_STATE_CORRUPT;
    break;
  case SHMSEG_PART_SET: inspect_read_number(half & 1, half > 1, seen); break;
  case SHMSEG_PART_NUMBER: inspect_read_number(word, true, seen); break;
  case SHMSEG_PART_COUNT:
  case SHMSEG_PART_NEXT: inspect_read_number(word - 1, word != 0, seen); break;
  }
}

/* Reads the word, and asks whether its owner lives. He may have given it back and ended between the
 * two, so a word whose owner is dead counts only if it is still the same. */
static void inspect_look(const shmseg_object *object, shmseg_inspection *inspection,
                         shmseg_seen *seen) {
  uint64_t word = inspect_load(object, seen);
  for (int i = 0; i < TRIES; i++) {
    inspect_read(word, seen);
    if (seen->owner == 0 || seen->owner == inspection->last)
      return;
    if (shmseg_liveness_probe(object->segment->fd, seen->owner)) {
      inspection->last = seen->owner;
      return;
    }
    uint64_t again = inspect_load(object, seen);
    if (again == word) {
      seen->state = SHMSEG_STATE_DEAD;
      return;
    }
    word = again;
  }
}

/* Is it no more than one of many that are as they should be? */
static bool inspect_is_dull(const shmseg_seen *seen) {
  return seen->part->count > 1 && !seen->waiters &&
         (seen->state == SHMSEG_STATE_FREE || seen->state == SHMSEG_STATE_NONE);
}

int shmseg_inspect_next(const shmseg_object *object, shmseg_inspection *inspection,
                        shmseg_seen *seen) {
  int err = shmseg_object_ready(object);
  for (int i = 0; !err && inspection->part < inspection->count; i++) {
    seen->part = &inspection->parts[inspection->part];
    seen->index = inspection->index;
    if (i == GO)
      return SHMSEG_INTERRUPTED;
    if (seen->index == seen->part->count) {
      inspection->part++;
      inspection->index = 0;
      continue;
    }
    inspection->index++;
    inspect_look(object, inspection, seen);
    if (!inspect_is_dull(seen))
      return segment_status(object->segment);
  }
  return err ? err : SHMSEG_EMPTY;
}
