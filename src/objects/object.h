/* SPDX-License-Identifier: MIT */
/* The head of every object: what it is, which format, how large.
 *
 * LAYOUT      offset  size
 *             0       4     state: 0 not initialised; INIT | identity while somebody builds;
 *                           SHMSEG_HEADER_MAGIC when complete
 *             4       4     kind
 *             8       4     format version of the kind
 *             12      4     0
 *             16      8     size of the object, from this header on
 *             24      8     capacity: what the kind makes of it
 *             32      32    0
 *             64            the kind's own words
 *
 * All in the byte order of the machine: the magic of the other order is none.
 *
 * INVARIANTS  H1  a complete header never changes.
 *             H2  under INIT the rest of the object is nobody's but the builder's.
 *
 *             H3  under INIT each byte behind the state is zero, or what the kind has there at
 *                 first; of the kind's own words only those of the capacity in the header, and size
 *                 is zero or that of this capacity.
 *
 * PROTOCOL    build: see that the whole place is zero. Compare-and-swap 0 to INIT | identity, write
 *             capacity, then the other fields, then the kind's words that are not zero (H3), store the
 *             magic with release: that publishes. An attacher reads the magic with acquire, then
 *             each field once, checks them, and keeps its own copies.
 *             rebuild: see that the builder is dead, and then that H3 holds for all of the place;
 *             compare-and-swap its INIT to one's own. For another capacity clear the words of the old
 *             one, then size (H3), and build.
 *
 * CRASHES     a dead builder is recognised by its identity, and H3 proves that it has written all that
 *             is there: somebody's data, which may begin like INIT, are left alone. */
#ifndef SHMSEG_OBJECTS_OBJECT_H
#define SHMSEG_OBJECTS_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/segment.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

#define SHMSEG_HEADER_MAGIC 0x53484d53u /* bit 31 clear in either byte order, as INIT is not */
#define SHMSEG_HEADER_INIT 0x80000000u
#define SHMSEG_HEADER_SIZE 64

/* Nanoseconds that another process may be building an object. */
#define SHMSEG_BUILD_PATIENCE ((int64_t)1000000000)

typedef enum {
  SHMSEG_KIND_MUTEX = 1,
  SHMSEG_KIND_RWLOCK = 2,
  SHMSEG_KIND_SEMAPHORE = 3,
  SHMSEG_KIND_EVENT = 4,
  SHMSEG_KIND_CELL = 5,
  SHMSEG_KIND_QUEUE = 6,
  SHMSEG_KIND_BROADCAST = 7
} shmseg_object_kind;

/* No honest count of values or messages gets this far, and every Lua's numbers hold what is below. */
#define SHMSEG_COUNT_MAX ((uint64_t)1 << 53)

/* Words of an object that are not zero at first: count of them, one behind the other. */
typedef struct shmseg_words {
  uint64_t offset, count;
  uint64_t width; /* 4 or 8 */
  uint64_t value;
} shmseg_words;

#define SHMSEG_WORDS_MAX 6

/* What a structure tells of its kind. */
typedef struct shmseg_kind_info {
  uint32_t kind, version;
  const char *capacity_name; /* for messages */
  /* Bytes of the whole object, or 0 for a capacity that cannot be. */
  uint64_t (*size_for)(uint64_t capacity);
  /* The largest capacity that available bytes take, for when none is given. */
  uint64_t (*capacity_for)(uint64_t available);
  /* Lists what is not zero behind the header of a new object; how many entries. */
  int (*first)(uint64_t capacity, shmseg_words words[SHMSEG_WORDS_MAX]);
} shmseg_kind_info;

/* Attaches to or builds the object at offset of the segment, of which available bytes are its. capacity
 * is wanted when not 0; a new object without one gets what fits. */
int shmseg_object_open(shmseg_object *object, shmseg_segment *segment, uint64_t offset,
                       uint64_t available, shmseg_mode mode, const shmseg_kind_info *info,
                       uint64_t capacity, bool *created);

/* Why the object cannot be used. */
int shmseg_object_why(const shmseg_object *object);

/* 0 when the object can be used; SHMSEG_CLOSED; SHMSEG_TRUNCATED or ENOSPC when the segment has met
 * a hole since it was opened: then the handle's locks are forgotten too. */
static inline int shmseg_object_ready(const shmseg_object *object) {
  const shmseg_segment *segment = object->segment;
  if (segment && shmseg_segment_is_open(segment) && segment_status(segment) == 0 &&
      object->recoveries == segment->recoveries && object->offset + object->size <= segment->size)
    return 0;
  return shmseg_object_why(object);
}

/* The address of the word at that offset of the object, which lies in it. */
static inline void *shmseg_object_at(const shmseg_object *object, uint64_t offset) {
  return object->segment->data + object->offset + offset;
}

/* Does the complete header still say what the handle knows? Names what it does not, or NULL. */
const char *shmseg_object_check(const shmseg_object *object, const shmseg_kind_info *info);

#pragma GCC visibility pop

#endif
