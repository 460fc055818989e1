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

/* Tells why the object cannot be used: an error of shmseg_object_ready. */
int shmseg_object_why(const shmseg_object *object);

/* Is the object's memory still mapped where it was opened? A closed segment has size 0. */
static inline bool shmseg_object_is_there(const shmseg_object *object) {
  const shmseg_segment *segment = object->segment;
  return segment && object->generation == segment->generation &&
         object->offset + object->size <= segment->size;
}

/* 0 when the object can be used; SHMSEG_CLOSED; SHMSEG_TRUNCATED or ENOSPC when the segment has met
 * a hole since it was opened: then the handle's locks are forgotten too. */
static inline int shmseg_object_ready(const shmseg_object *object) {
  if (shmseg_object_is_there(object) && segment_status(object->segment) == 0)
    return 0;
  return shmseg_object_why(object);
}

/* What an operation that locks begins with: 0 when the object can be used, and *id is our identity. */
static inline int shmseg_object_begin(const shmseg_object *object, uint32_t *id) {
  int err = shmseg_object_ready(object);
  return err ? err : shmseg_owner_identity(object->segment, id);
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

/* The address of the word at that offset of the object, which lies in it. */
static inline void *shmseg_object_at(const shmseg_object *object, uint64_t offset) {
  return object->segment->data + object->offset + offset;
}

#pragma GCC visibility pop

#endif
