/* SPDX-License-Identifier: MIT */
/* Handles of objects: what every operation begins with. */
#ifndef SHMSEG_OBJECTS_OBJECT_H
#define SHMSEG_OBJECTS_OBJECT_H

#include <stdint.h>

#include "core/owner.h"
#include "core/segment.h"
#include "objects/kinds.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* No honest count of values or messages gets this far; the numbers of every Lua are exact below. */
#define SHMSEG_COUNT_MAX ((uint64_t)1 << 53)

/* Looks at everything. 0, and the object is proved; or why it cannot be used: an error of
 * shmseg_object_ready. */
__attribute__((cold)) int shmseg_object_why(const shmseg_object *object);

/* The slow half of shmseg_object_begin. */
__attribute__((cold)) int shmseg_object_begin_slowly(const shmseg_object *object, uint32_t *id);

/* Is the object's memory still mapped where it was opened? A closed segment has size 0. */
static inline bool shmseg_object_is_there(const shmseg_object *object) {
  const shmseg_segment *segment = object->segment;
  return segment && object->generation == segment->generation &&
         object->offset + object->size <= segment->size;
}

/* Has nothing happened to the mapping since shmseg_object_why() gave 0? All that ends an object, or
 * moves it, takes the proof from the guard, or the guard from the object when that is closed. */
static inline bool shmseg_object_is_proved(const shmseg_object *object) {
  const shmseg_fault *guard = object->guard;
  __asm__ volatile("" ::: "memory"); /* the accesses before this call are not moved behind it */
  return guard && guard->proof == object->proof;
}

/* 0 when the object can be used; SHMSEG_CLOSED; SHMSEG_TRUNCATED or ENOSPC when the segment has met
 * a hole since it was opened: then the handle's locks are forgotten too. */
static inline int shmseg_object_ready(const shmseg_object *object) {
  return shmseg_object_is_proved(object) ? 0 : shmseg_object_why(object);
}

/* Is the object ready, and has its segment handle an identity of this process's? *id is that. */
static inline bool shmseg_object_is_ours(const shmseg_object *object, uint32_t *id) {
  if (!shmseg_object_is_proved(object))
    return false;
  *id = object->segment->member.id;
  return shmseg_liveness_own(&object->segment->member);
}

/* What an operation that locks begins with: 0 when the object can be used, and *id is our identity. */
static inline int shmseg_object_begin(const shmseg_object *object, uint32_t *id) {
  return shmseg_object_is_ours(object, id) ? 0 : shmseg_object_begin_slowly(object, id);
}

/* 0 when all that was copied into the object was there: no source has met a hole, nor has the object. */
static inline int shmseg_object_copied(const shmseg_object *object, const shmseg_source *sources,
                                       size_t count) {
  int err = segment_status(object->segment);
  for (size_t i = 0; !err && i < count; i++)
    if (sources[i].segment)
      err = segment_status(sources[i].segment);
  return err;
}

/* The two halves of a watch on the eventcount at that offset, around the look whether there is something:
 *
 *   uint32_t key;
 *   int err = shmseg_object_watch(object, offset, watch, &key);
 *   return err ? err : shmseg_object_arm(object, offset, watch, key, there is something); */
int shmseg_object_watch(const shmseg_object *object, uint64_t offset, shmseg_watch *watch,
                        uint32_t *key);
int shmseg_object_arm(const shmseg_object *object, uint64_t offset, shmseg_watch *watch,
                      uint32_t key, bool found);

/* The address of the word at that offset of the object, which lies in it. */
static inline void *shmseg_object_at(const shmseg_object *object, uint64_t offset) {
  return object->segment->data + object->offset + offset;
}

#pragma GCC visibility pop

#endif
