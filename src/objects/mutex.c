/* SPDX-License-Identifier: MIT */
/* A mutex whose owner may die.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/object.h), capacity 1
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
#include "core/wait.h"
#include "core/word.h"
#include "objects/object.h"

#define WORD 64
#define SIZE 128

static uint64_t mutex_size_for(uint64_t capacity) {
  return capacity == 1 ? SIZE : 0;
}

static uint64_t mutex_capacity_for(uint64_t available) {
  (void)available;
  return 1;
}

static int mutex_first(uint64_t capacity, shmseg_words *words) {
  (void)capacity;
  words[0] = (shmseg_words){ WORD, 1, 4, SHMSEG_LOCK_FREE };
  return 1;
}

static const shmseg_kind_info kind = { SHMSEG_KIND_MUTEX,  1,          "capacity", mutex_size_for,
                                       mutex_capacity_for, mutex_first };

static uint32_t *mutex_word_of(const shmseg_mutex *mutex) {
  return shmseg_object_at(&mutex->object, WORD);
}

static void mutex_abandon(shmseg_hold *hold) {
  shmseg_mutex *mutex = (shmseg_mutex *)((char *)hold - offsetof(shmseg_mutex, hold));
  if (shmseg_object_ready(&mutex->object) == 0)
    shmseg_lock_release(mutex->object.segment, mutex_word_of(mutex),
                        mutex->object.segment->member.id, SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY, 1);
}

uint64_t shmseg_mutex_size(void) {
  return SIZE;
}

int shmseg_mutex_open(shmseg_mutex *mutex, shmseg_segment *segment, uint64_t offset,
                      uint64_t available, shmseg_mode mode, bool *created) {
  mutex->hold = (shmseg_hold){ .abandon = mutex_abandon };
  return shmseg_object_open(&mutex->object, segment, offset, available, mode, &kind, 1, created);
}

int shmseg_mutex_lock(shmseg_mutex *mutex, int64_t deadline, bool *abandoned) {
  uint32_t id;
  int err = shmseg_object_ready(&mutex->object);
  if (!err)
    err = shmseg_owner_identity(mutex->object.segment, &id);
  if (err)
    return err;
  shmseg_segment *segment = mutex->object.segment;
  if (shmseg_owner_find(segment, mutex->object.offset + WORD))
    return SHMSEG_HELD;
  err = shmseg_lock_take(segment, mutex_word_of(mutex), id, 0, deadline, abandoned);
  if (!err)
    shmseg_owner_add(segment, &mutex->hold, mutex->object.offset + WORD);
  return err;
}

bool shmseg_mutex_holds(const shmseg_mutex *mutex) {
  return mutex->object.segment && shmseg_owner_has(mutex->object.segment, &mutex->hold);
}

int shmseg_mutex_unlock(shmseg_mutex *mutex) {
  int err = shmseg_object_ready(&mutex->object);
  if (err)
    return err;
  if (!shmseg_mutex_holds(mutex))
    return SHMSEG_NOT_HELD;
  shmseg_owner_drop(&mutex->hold);
  return shmseg_lock_release(mutex->object.segment, mutex_word_of(mutex),
                             mutex->object.segment->member.id, SHMSEG_LOCK_FREE, 1);
}

void shmseg_mutex_close(shmseg_mutex *mutex) {
  if (shmseg_mutex_holds(mutex))
    mutex_abandon(&mutex->hold);
  shmseg_owner_drop(&mutex->hold);
  mutex->object.segment = NULL;
}

const char *shmseg_mutex_check(const shmseg_mutex *mutex) {
  const char *wrong = shmseg_object_check(&mutex->object, &kind);
  if (wrong)
    return wrong;
  return shmseg_lock_valid(load_relaxed(mutex_word_of(mutex))) ? NULL : "M1: the lock word";
}
