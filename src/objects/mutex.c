/* SPDX-License-Identifier: MIT */
/* A mutex whose owner may die.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity 1
 *             64      4     lock word (core/lock.h)
 *             68      60    0
 *
 * INVARIANTS  M1  the lock word is one of its states: free, or owned by an identity.
 *
 * PROTOCOL    lock     shmseg_lock_take; unlock: shmseg_lock_release.
 *             abandon  a handle that is closed while it holds leaves the word free and DIRTY: the
 *                      next owner is told, as after a death.
 *
 * CRASHES     those of the lock word. */
#include "core/lock.h"
#include "core/owner.h"
#include "core/word.h"
#include "objects/kinds.h"
#include "objects/object.h"

#define WORD 64
#define SIZE 128

static uint64_t mutex_size(const uint64_t *geometry) {
  return geometry[0] == 1 ? SIZE : 0;
}

static void mutex_fit(uint64_t available, uint64_t *geometry) {
  (void)available;
  geometry[0] = 1;
}

static int mutex_build(const uint64_t *geometry, shmseg_words *words) {
  (void)geometry;
  words[0] = (shmseg_words){ WORD, 1, 4, SHMSEG_LOCK_FREE, 0 };
  return 1;
}

static uint32_t *mutex_word_of(const shmseg_mutex *mutex) {
  return shmseg_object_at(&mutex->object, WORD);
}

static void mutex_abandon(shmseg_hold *hold) {
  shmseg_mutex *mutex = (shmseg_mutex *)((char *)hold - offsetof(shmseg_mutex, hold));
  if (shmseg_object_ready(&mutex->object) == 0)
    shmseg_lock_release(mutex->object.segment, mutex_word_of(mutex),
                        mutex->object.segment->member.id, SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY, 1);
}

static void mutex_open(shmseg_object *object) {
  ((shmseg_mutex *)object)->hold.abandon = mutex_abandon;
}

static void mutex_close(shmseg_object *object) {
  shmseg_owner_give_up(object->segment, &((shmseg_mutex *)object)->hold);
}

static int mutex_note_hold(shmseg_mutex *mutex, int err) {
  if (!err)
    shmseg_owner_add(mutex->object.segment, &mutex->hold, mutex->object.offset + WORD);
  return err;
}

/* Looks at everything, and only then tries. */
__attribute__((cold, noinline)) static int mutex_lock_slowly(shmseg_mutex *mutex, int64_t deadline,
                                                             bool *abandoned) {
  uint32_t id;
  int err = shmseg_object_begin(&mutex->object, &id);
  if (err)
    return err;
  const shmseg_segment *segment = mutex->object.segment;
  if (shmseg_owner_find(segment, mutex->object.offset + WORD))
    return SHMSEG_HELD;
  err = shmseg_lock_take(segment, mutex_word_of(mutex), id, 0, deadline, abandoned);
  return mutex_note_hold(mutex, err);
}

/* The word was not free. */
__attribute__((cold, noinline)) static int mutex_wait(shmseg_mutex *mutex, uint32_t id,
                                                      int64_t deadline, bool *abandoned) {
  int err = shmseg_lock_take_slowly(mutex->object.segment, mutex_word_of(mutex), id, 0, deadline,
                                    abandoned);
  return mutex_note_hold(mutex, err);
}

int shmseg_mutex_lock(shmseg_mutex *mutex, int64_t deadline, bool *abandoned) {
  uint32_t id, seen = SHMSEG_LOCK_FREE;
  uint64_t offset = mutex->object.offset + WORD;
  shmseg_segment *segment = mutex->object.segment;
  if (!shmseg_object_is_ours(&mutex->object, &id) || shmseg_owner_find(segment, offset))
    return mutex_lock_slowly(mutex, deadline, abandoned);
  *abandoned = false;
  if (!cas_ordered(mutex_word_of(mutex), &seen, id))
    return mutex_wait(mutex, id, deadline, abandoned);
  shmseg_owner_add(segment, &mutex->hold, offset);
  return 0;
}

bool shmseg_mutex_holds(const shmseg_mutex *mutex) {
  return mutex->object.segment && shmseg_owner_has(mutex->object.segment, &mutex->hold);
}

/* Looks at everything, and only then tries. */
__attribute__((cold, noinline)) static int mutex_unlock_slowly(shmseg_mutex *mutex) {
  int err = shmseg_object_ready(&mutex->object);
  if (err)
    return err;
  if (!shmseg_mutex_holds(mutex))
    return SHMSEG_NOT_HELD;
  shmseg_owner_drop(&mutex->hold);
  return shmseg_lock_release(mutex->object.segment, mutex_word_of(mutex),
                             mutex->object.segment->member.id, SHMSEG_LOCK_FREE, 1);
}

int shmseg_mutex_unlock(shmseg_mutex *mutex) {
  uint32_t id;
  if (!shmseg_object_is_ours(&mutex->object, &id) || !mutex->hold.link)
    return mutex_unlock_slowly(mutex);
  uint32_t seen = id, *word = mutex_word_of(mutex);
  shmseg_owner_drop(&mutex->hold);
  if (cas_ordered(word, &seen, SHMSEG_LOCK_FREE))
    return 0; /* it was no hole: there the word is 0 */
  return shmseg_lock_release_slowly(mutex->object.segment, word, id, SHMSEG_LOCK_FREE, 1);
}

static const char *mutex_check(const shmseg_object *object) {
  const shmseg_mutex *mutex = (const shmseg_mutex *)object;
  return shmseg_lock_valid(load_relaxed(mutex_word_of(mutex))) ? NULL : "M1: the lock word";
}

static int mutex_inspect(const shmseg_object *object, shmseg_part *parts) {
  (void)object;
  parts[0] = (shmseg_part){ "lock", SHMSEG_PART_LOCK, WORD, 1, 0 };
  return 1;
}

const shmseg_kind shmseg_mutex_kind = {
  .name = "mutex",
  .number = 1,
  .version = 1,
  .handle_size = sizeof(shmseg_mutex),
  .size = mutex_size,
  .fit = mutex_fit,
  .build = mutex_build,
  .open = mutex_open,
  .close = mutex_close,
  .check = mutex_check,
  .inspect = mutex_inspect,
};
