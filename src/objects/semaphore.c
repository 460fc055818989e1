/* SPDX-License-Identifier: MIT */
/* A semaphore whose permits come back when their owner dies; or, when the second number of its geometry
 * is 2, a counting signal: that has a layout of its own (signal.c).
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity = permits, 1 to 65,535, and 1 behind it
 *             64      4     eventcount (core/eventcount.h) of the slots
 *             68      60    0
 *             128           a slot of 4 bytes for each permit, rounded up to 64
 *
 * INVARIANTS  P1  a slot is free or has the identity that acquired it; the eventcount is in one of its
 *                 states.
 *             P2  nothing counts permits but the slots.
 *
 * PROTOCOL    acquire enters a slot, release leaves one of those that have the own identity; any of
 *             them, for permits are alike.
 *
 * CRASHES     a dead process's slots have its identity, and are freed by whoever waits. */
#include <errno.h>

#include "core/eventcount.h"
#include "core/owner.h"
#include "core/segment.h"
#include "core/slots.h"
#include "core/wait.h"
#include "core/watch.h"
#include "core/word.h"
#include "objects/kinds.h"
#include "objects/object.h"
#include "objects/signal.h"

#define EVENTCOUNT 64
#define SLOTS 128

static uint64_t semaphore_size(const uint64_t *geometry) {
  uint64_t permits = geometry[0], sort = geometry[1];
  if (sort == SHMSEG_SEMAPHORE_SIGNAL)
    return permits >= 1 && permits <= SHMSEG_SIGNAL_MAX ? SHMSEG_SIGNAL_SIZE : 0;
  if (sort != SHMSEG_SEMAPHORE_OWNED || permits < 1 || permits > SHMSEG_PERMITS_MAX)
    return 0;
  return SLOTS + (permits * 4 + SHMSEG_ALIGN - 1) / SHMSEG_ALIGN * SHMSEG_ALIGN;
}

static uint64_t semaphore_permits_in(uint64_t available) {
  uint64_t permits = available > SLOTS ? (available - SLOTS) / SHMSEG_ALIGN * SHMSEG_ALIGN / 4 : 0;
  return permits < SHMSEG_PERMITS_MAX ? permits : SHMSEG_PERMITS_MAX;
}

static void semaphore_fit(uint64_t available, uint64_t *geometry) {
  if (geometry[1] == 0)
    geometry[1] = SHMSEG_SEMAPHORE_OWNED;
  if (geometry[0] != 0)
    return;
  if (geometry[1] == SHMSEG_SEMAPHORE_SIGNAL)
    geometry[0] = available >= SHMSEG_SIGNAL_SIZE ? SHMSEG_SIGNAL_MAX : 0;
  else
    geometry[0] = semaphore_permits_in(available);
}

static int semaphore_build(const uint64_t *geometry, shmseg_words *words) {
  if (geometry[1] == SHMSEG_SEMAPHORE_SIGNAL)
    return shmseg_signal_build(words);
  words[0] = (shmseg_words){ EVENTCOUNT, 1, 4, SHMSEG_EVENTCOUNT_START, 0 };
  words[1] = (shmseg_words){ SLOTS, geometry[0], 4, SHMSEG_SLOT_FREE, 0 };
  return 2;
}

bool shmseg_semaphore_is_signal(const shmseg_semaphore *semaphore) {
  return semaphore->object.geometry[1] == SHMSEG_SEMAPHORE_SIGNAL;
}

static shmseg_slots semaphore_slots_of(const shmseg_semaphore *semaphore) {
  shmseg_slots slots = { semaphore->object.segment,
                         shmseg_object_at(&semaphore->object, EVENTCOUNT),
                         shmseg_object_at(&semaphore->object, SLOTS),
                         (uint32_t)semaphore->object.capacity };
  return slots;
}

/* Frees one slot of our identity, from the hint downwards: the last one acquired. */
static bool semaphore_leave_one(shmseg_semaphore *semaphore) {
  shmseg_slots slots = semaphore_slots_of(semaphore);
  uint32_t id = slots.segment->member.id;
  uint32_t slot = semaphore->hint;
  for (uint32_t i = 0; i < slots.count; i++) {
    if (load_relaxed(&slots.words[slot]) == id && shmseg_slots_leave(slots, slot, id)) {
      semaphore->hint = slot;
      return true;
    }
    slot = (slot > 0 ? slot : slots.count) - 1;
  }
  return false;
}

static void semaphore_abandon(shmseg_hold *hold) {
  shmseg_semaphore *semaphore =
      (shmseg_semaphore *)((char *)hold - offsetof(shmseg_semaphore, hold));
  if (shmseg_object_ready(&semaphore->object) != 0)
    return;
  for (; semaphore->permits > 0; semaphore->permits--)
    semaphore_leave_one(semaphore);
}

static void semaphore_open(shmseg_object *object) {
  ((shmseg_semaphore *)object)->hold.abandon = semaphore_abandon;
}

static void semaphore_close(shmseg_object *object) {
  shmseg_owner_give_up(object->segment, &((shmseg_semaphore *)object)->hold);
}

static bool semaphore_holds(const shmseg_semaphore *semaphore) {
  return semaphore->object.segment && shmseg_owner_has(semaphore->object.segment, &semaphore->hold);
}

static int semaphore_note_permit(shmseg_semaphore *semaphore) {
  if (!semaphore_holds(semaphore)) {
    semaphore->permits = 0; /* those from before a fork or a cut are not ours */
    shmseg_owner_add(semaphore->object.segment, &semaphore->hold,
                     semaphore->object.offset + EVENTCOUNT);
  }
  semaphore->permits++;
  return segment_status(semaphore->object.segment);
}

int shmseg_semaphore_acquire(shmseg_semaphore *semaphore, int64_t deadline) {
  uint32_t id;
  if (shmseg_semaphore_is_signal(semaphore))
    return shmseg_signal_acquire(&semaphore->object, deadline);
  int err = shmseg_object_begin(&semaphore->object, &id);
  if (err)
    return err;
  shmseg_slots slots = semaphore_slots_of(semaphore);
  if (shmseg_slots_enter(slots, id, semaphore->hint, &semaphore->hint))
    return semaphore_note_permit(semaphore);
  shmseg_slots_clear(slots, 0);
  if (shmseg_slots_enter(slots, id, semaphore->hint, &semaphore->hint))
    return semaphore_note_permit(semaphore);
  err = shmseg_slots_wait(slots, slots.count - 1, deadline);
  if (err == 0 && shmseg_slots_enter(slots, id, semaphore->hint, &semaphore->hint))
    return semaphore_note_permit(semaphore);
  return err ? err : shmseg_wait_again(deadline);
}

int shmseg_semaphore_release(shmseg_semaphore *semaphore) {
  int err = shmseg_object_ready(&semaphore->object);
  if (err)
    return err;
  if (!semaphore_holds(semaphore) || semaphore->permits == 0)
    return SHMSEG_NOT_HELD;
  semaphore->permits--;
  bool left = semaphore_leave_one(semaphore);
  if (semaphore->permits == 0)
    shmseg_owner_drop(&semaphore->hold);
  err = segment_status(semaphore->object.segment);
  return err ? err : left ? 0 : SHMSEG_CORRUPT;
}

int shmseg_semaphore_post(shmseg_semaphore *semaphore, uint32_t count) {
  if (shmseg_semaphore_is_signal(semaphore))
    return shmseg_signal_post(&semaphore->object, count);
  int err = shmseg_object_ready(&semaphore->object);
  return err ? err : EINVAL;
}

int shmseg_semaphore_value(shmseg_semaphore *semaphore, uint32_t *value) {
  if (shmseg_semaphore_is_signal(semaphore))
    return shmseg_signal_value(&semaphore->object, value);
  int err = shmseg_object_ready(&semaphore->object);
  if (err)
    return err;
  shmseg_slots slots = semaphore_slots_of(semaphore);
  if (slots.segment->writable)
    shmseg_slots_clear(slots, 0);
  *value = slots.count - shmseg_slots_taken(slots);
  return segment_status(slots.segment);
}

int shmseg_semaphore_watch(const shmseg_semaphore *semaphore, shmseg_watch *watch) {
  if (shmseg_semaphore_is_signal(semaphore))
    return shmseg_signal_watch(&semaphore->object, watch);
  int err = shmseg_object_ready(&semaphore->object);
  return shmseg_watch_refuse(watch, err ? err : ENOTSUP);
}

static const char *semaphore_check(const shmseg_object *object) {
  const shmseg_semaphore *semaphore = (const shmseg_semaphore *)object;
  if (shmseg_semaphore_is_signal(semaphore))
    return shmseg_signal_check(object);
  return shmseg_slots_check(semaphore_slots_of(semaphore)) ? "P1: a slot or the eventcount" : NULL;
}

static int semaphore_inspect(const shmseg_object *object, shmseg_part *parts) {
  if (shmseg_semaphore_is_signal((const shmseg_semaphore *)object))
    return shmseg_signal_inspect(parts);
  parts[0] = (shmseg_part){ "permit", SHMSEG_PART_SLOT, SLOTS, object->capacity, 4 };
  parts[1] = (shmseg_part){ "permits", SHMSEG_PART_EVENTCOUNT, EVENTCOUNT, 1, 0 };
  return 2;
}

const shmseg_kind shmseg_semaphore_kind = {
  .name = "semaphore",
  .number = 3,
  .version = 2,
  .handle_size = sizeof(shmseg_semaphore),
  .numbers = { SHMSEG_NUMBER(permits), SHMSEG_SWITCH(signal) },
  .size = semaphore_size,
  .fit = semaphore_fit,
  .build = semaphore_build,
  .open = semaphore_open,
  .close = semaphore_close,
  .check = semaphore_check,
  .inspect = semaphore_inspect,
};
