/* SPDX-License-Identifier: MIT */
/* A lock of many readers or one writer, who may die.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity 64
 *             64      4     lock word of the writer (core/lock.h)
 *             68      4     eventcount (core/eventcount.h) of the slots
 *             72      56    0
 *             128     256   slots of the readers, 64 of 4 bytes
 *
 * INVARIANTS  R1  the lock word is one of its states.
 *             R2  a slot is free or has an identity; the eventcount is one of its states.
 *             R3  a reader that has entered a slot reads only if it then finds the lock word free;
 *                 a writer that has the word writes only when it then finds all slots free.
 *
 * PROTOCOL    read   enter a slot, then look at the word; owned: leave again and wait for the word.
 *             write  take the word, then wait until the slots are free. Readers that come now wait:
 *                    writers first. An interrupted write keeps the word until it is cancelled.
 *             Slot and word are written and read with full barriers, so of a reader and a writer
 *             that come together one sees the other (R3).
 *             DIRTY, set when a writer died or gave up, stays through all owners until a writer
 *             unlocks; readers see it in the word that lets them in.
 *
 * CRASHES     reader dies: its slot has its identity; writers and readers who find no slot free it.
 *             Writer dies: the word has its identity; a writer takes it over, a reader frees it,
 *             both with DIRTY. A writer that died before it wrote counts as one that had. */
#include "core/eventcount.h"
#include "core/lock.h"
#include "core/owner.h"
#include "core/segment.h"
#include "core/slots.h"
#include "core/wait.h"
#include "core/word.h"
#include "objects/kinds.h"
#include "objects/object.h"

#define WORD 64
#define EVENTCOUNT 68
#define SLOTS 128
#define SIZE (SLOTS + 4 * SHMSEG_RWLOCK_READERS)
#define TRIES 1000

static uint64_t rwlock_size(const uint64_t *geometry) {
  return geometry[0] == SHMSEG_RWLOCK_READERS ? SIZE : 0;
}

static void rwlock_fit(uint64_t available, uint64_t *geometry) {
  (void)available;
  geometry[0] = SHMSEG_RWLOCK_READERS;
}

static int rwlock_build(const uint64_t *geometry, shmseg_words *words) {
  words[0] = (shmseg_words){ WORD, 1, 4, SHMSEG_LOCK_FREE, 0 };
  words[1] = (shmseg_words){ EVENTCOUNT, 1, 4, SHMSEG_EVENTCOUNT_START, 0 };
  words[2] = (shmseg_words){ SLOTS, geometry[0], 4, SHMSEG_SLOT_FREE, 0 };
  return 3;
}

static uint32_t *rwlock_word_of(const shmseg_rwlock *rwlock) {
  return shmseg_object_at(&rwlock->object, WORD);
}

static shmseg_slots rwlock_slots_of(const shmseg_rwlock *rwlock) {
  shmseg_slots slots = { rwlock->object.segment, shmseg_object_at(&rwlock->object, EVENTCOUNT),
                         shmseg_object_at(&rwlock->object, SLOTS), SHMSEG_RWLOCK_READERS };
  return slots;
}

static uint32_t rwlock_own_id(const shmseg_rwlock *rwlock) {
  return rwlock->object.segment->member.id;
}

static int rwlock_release_writer(shmseg_rwlock *rwlock, bool dirty) {
  return shmseg_lock_release(rwlock->object.segment, rwlock_word_of(rwlock), rwlock_own_id(rwlock),
                             SHMSEG_LOCK_FREE | (dirty ? SHMSEG_LOCK_DIRTY : 0), SHMSEG_WAKE_ALL);
}

static void rwlock_abandon(shmseg_hold *hold) {
  shmseg_rwlock *rwlock = (shmseg_rwlock *)((char *)hold - offsetof(shmseg_rwlock, hold));
  if (shmseg_object_ready(&rwlock->object) != 0)
    return;
  if (rwlock->slot != SHMSEG_RWLOCK_WRITER)
    shmseg_slots_leave(rwlock_slots_of(rwlock), rwlock->slot, rwlock_own_id(rwlock));
  else
    rwlock_release_writer(rwlock, rwlock->dirty || !rwlock->draining);
}

static void rwlock_open(shmseg_object *object) {
  ((shmseg_rwlock *)object)->hold.abandon = rwlock_abandon;
  ((shmseg_rwlock *)object)->slot = SHMSEG_RWLOCK_WRITER;
}

static void rwlock_close(shmseg_object *object) {
  shmseg_owner_give_up(object->segment, &((shmseg_rwlock *)object)->hold);
}

static void rwlock_note_hold(shmseg_rwlock *rwlock, uint32_t slot) {
  rwlock->slot = slot;
  shmseg_owner_add(rwlock->object.segment, &rwlock->hold, rwlock->object.offset + WORD);
}

/* Is this handle in the lock, if only to wait for the readers to leave? */
static bool rwlock_is_in(const shmseg_rwlock *rwlock) {
  return rwlock->object.segment && shmseg_owner_has(rwlock->object.segment, &rwlock->hold);
}

static bool rwlock_is_held(const shmseg_rwlock *rwlock) {
  return shmseg_owner_find(rwlock->object.segment, rwlock->object.offset + WORD);
}

/* Enters a slot, or waits for one. */
static int rwlock_enter(const shmseg_rwlock *rwlock, uint32_t id, int64_t deadline,
                        uint32_t *slot) {
  shmseg_slots slots = rwlock_slots_of(rwlock);
  if (shmseg_slots_enter(slots, id, id, slot))
    return 0;
  shmseg_slots_clear(slots, id);
  if (shmseg_slots_enter(slots, id, id, slot))
    return 0;
  int err = shmseg_slots_wait(slots, SHMSEG_RWLOCK_READERS - 1, deadline);
  if (err == 0 && shmseg_slots_enter(slots, id, id, slot))
    return 0;
  return err ? err : shmseg_wait_again(deadline);
}

int shmseg_rwlock_read_lock(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned) {
  uint32_t id, seen, slot;
  int err = shmseg_object_begin(&rwlock->object, &id);
  if (err)
    return err;
  if (rwlock_is_held(rwlock))
    return SHMSEG_HELD;
  const shmseg_segment *segment = rwlock->object.segment;
  for (int i = 0; i < TRIES; i++) {
    err = shmseg_lock_wait_free(segment, rwlock_word_of(rwlock), id, deadline, &seen);
    if (!err)
      err = rwlock_enter(rwlock, id, deadline, &slot);
    if (err)
      return err;
    seen = load_ordered(rwlock_word_of(rwlock)); /* after the slot was entered: R3 */
    if ((seen & SHMSEG_LOCK_STATE) == SHMSEG_LOCK_FREE) {
      *abandoned = seen & SHMSEG_LOCK_DIRTY;
      rwlock_note_hold(rwlock, slot);
      return segment_status(segment);
    }
    shmseg_slots_leave(rwlock_slots_of(rwlock), slot, id);
    err = segment_status(segment);
    if (err)
      return err;
  }
  return shmseg_wait_again(deadline);
}

/* The word is ours: waits for the readers to leave. Slots with our own identity are left over. */
static int rwlock_drain(shmseg_rwlock *rwlock, uint32_t id, int64_t deadline) {
  shmseg_slots slots = rwlock_slots_of(rwlock);
  if (shmseg_slots_taken(slots) == 0)
    return segment_status(slots.segment);
  shmseg_slots_clear(slots, id);
  if (shmseg_slots_taken(slots) == 0)
    return segment_status(slots.segment);
  return shmseg_slots_wait(slots, 0, deadline);
}

int shmseg_rwlock_write_lock(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned) {
  uint32_t id;
  int err = shmseg_object_begin(&rwlock->object, &id);
  if (err)
    return err;
  bool again = rwlock_is_in(rwlock) && rwlock->draining;
  if (!again && rwlock_is_held(rwlock))
    return SHMSEG_HELD;
  if (!again) {
    err = shmseg_lock_take(rwlock->object.segment, rwlock_word_of(rwlock), id, SHMSEG_LOCK_DIRTY,
                           deadline, &rwlock->dirty);
    if (err)
      return err;
    rwlock->draining = true;
    rwlock_note_hold(rwlock, SHMSEG_RWLOCK_WRITER);
  }
  err = rwlock_drain(rwlock, id, deadline);
  if (err == 0) {
    rwlock->draining = false;
    *abandoned = rwlock->dirty;
  } else if (err != SHMSEG_INTERRUPTED) {
    shmseg_rwlock_cancel(rwlock);
  }
  return err;
}

void shmseg_rwlock_cancel(shmseg_rwlock *rwlock) {
  if (!rwlock->draining)
    return;
  if (rwlock_is_in(rwlock))
    rwlock_abandon(&rwlock->hold);
  shmseg_owner_drop(&rwlock->hold);
  rwlock->draining = false;
}

bool shmseg_rwlock_holds(const shmseg_rwlock *rwlock) {
  return rwlock_is_in(rwlock) && !rwlock->draining;
}

int shmseg_rwlock_unlock(shmseg_rwlock *rwlock) {
  int err = shmseg_object_ready(&rwlock->object);
  if (err)
    return err;
  if (!shmseg_rwlock_holds(rwlock))
    return SHMSEG_NOT_HELD;
  shmseg_owner_drop(&rwlock->hold);
  if (rwlock->slot == SHMSEG_RWLOCK_WRITER)
    return rwlock_release_writer(rwlock, false);
  bool left = shmseg_slots_leave(rwlock_slots_of(rwlock), rwlock->slot, rwlock_own_id(rwlock));
  err = segment_status(rwlock->object.segment);
  return err ? err : left ? 0 : SHMSEG_CORRUPT;
}

static const char *rwlock_check(const shmseg_object *object) {
  const shmseg_rwlock *rwlock = (const shmseg_rwlock *)object;
  if (!shmseg_lock_valid(load_relaxed(rwlock_word_of(rwlock))))
    return "R1: the lock word";
  return shmseg_slots_check(rwlock_slots_of(rwlock)) ? "R2: a slot or the eventcount" : NULL;
}

static int rwlock_inspect(const shmseg_object *object, shmseg_part *parts) {
  (void)object;
  parts[0] = (shmseg_part){ "writer", SHMSEG_PART_LOCK, WORD, 1, 0 };
  parts[1] = (shmseg_part){ "reader", SHMSEG_PART_SLOT, SLOTS, SHMSEG_RWLOCK_READERS, 4 };
  parts[2] = (shmseg_part){ "readers", SHMSEG_PART_EVENTCOUNT, EVENTCOUNT, 1, 0 };
  return 3;
}

const shmseg_kind shmseg_rwlock_kind = {
  .name = "rwlock",
  .number = 2,
  .version = 1,
  .handle_size = sizeof(shmseg_rwlock),
  .size = rwlock_size,
  .fit = rwlock_fit,
  .build = rwlock_build,
  .open = rwlock_open,
  .close = rwlock_close,
  .check = rwlock_check,
  .inspect = rwlock_inspect,
};
