/* SPDX-License-Identifier: MIT */
/* The public C API of objects: what all kinds have in common. shmseg.h includes it, and says what holds for all functions. */
#ifndef SHMSEG_OBJECT_H
#define SHMSEG_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg/segment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An object lies in a slice of a segment, at a multiple of 64. Opening one attaches to it or, as
 * the mode says, builds it there. ENOENT, EEXIST; SHMSEG_INCOMPATIBLE when something else is there
 * or an option disagrees (object.mismatch names it); SHMSEG_TOO_SMALL when it does not fit in the
 * slice; SHMSEG_TIMEOUT when another process has been building it for a second. A handle stays at
 * one address while it is open, and is closed before the memory of the segment handle goes; closing
 * the segment ends it. A handle of zeroes is a closed one.
 *
 * Every call on an object may return SHMSEG_CLOSED, SHMSEG_TRUNCATED or ENOSPC, and SHMSEG_CORRUPT; one
 * that changes it SHMSEG_READ_ONLY when the segment is not open for writing (SHMSEG_READ and
 * SHMSEG_WRITE do the same here); and the first one that locks what keeps it from an identity: EACCES,
 * SHMSEG_NO_PROC, EMFILE, … To lock what a handle on the same segment handle has locked is
 * SHMSEG_HELD, to unlock or release what this handle has not is SHMSEG_NOT_HELD.
 *
 * Calls that wait take a deadline and may return SHMSEG_INTERRUPTED early, for any reason: call
 * again with the same deadline. After SHMSEG_TRUNCATED all locks of the segment handle are lost. */

#define SHMSEG_ALIGN 64

/* The deadline that is this number of nanoseconds from now. */
SHMSEG_API int64_t shmseg_wait_deadline(int64_t nanoseconds);

/* Part of a segment. An object takes what it needs of it, from its beginning. */
typedef struct shmseg_slice {
  shmseg_segment *segment;
  uint64_t offset, size;
} shmseg_slice;

/* All of a segment. */
static inline shmseg_slice shmseg_segment_whole(shmseg_segment *segment) {
  shmseg_slice whole = { segment, 0, segment->size };
  return whole;
}

/* What sizes a new object, and what one that is there must have. 0: the most that fits in the
 * slice; and of one that is there, any. */
typedef struct shmseg_object_options {
  uint64_t
      capacity; /* bytes: of the largest value or message of a cell, queue or broadcast; of all in a dict */
  uint64_t permits; /* of a semaphore; the most that a counting signal can have */
  uint64_t signal;  /* of a semaphore: SHMSEG_SEMAPHORE_OWNED, of a new one also 0, or _SIGNAL */
  uint64_t evict;   /* of a dict: SHMSEG_DICT_LRU or SHMSEG_DICT_NONE */
  uint64_t items;   /* of a dict: how many are expected */
} shmseg_object_options;

/* What a kind of object is; the library has one for each, shmseg_queue_kind for example. */
typedef struct shmseg_kind shmseg_kind;

/* How many numbers can size an object. */
#define SHMSEG_GEOMETRY 4

typedef struct shmseg_object {
  shmseg_segment *segment; /* NULL: closed */
  const shmseg_kind *kind; /* that it was opened as, also when opening failed */
  uint64_t offset;
  uint64_t size;
  union {
    uint64_t capacity; /* bytes, permits: what the options call it */
    uint64_t geometry[SHMSEG_GEOMETRY];
  };
  const char *mismatch; /* after SHMSEG_INCOMPATIBLE: what disagrees */
  /* After SHMSEG_INCOMPATIBLE: what is there, and what was wanted, of a mismatch that is a number;
   * of the "magic", where the first byte is that is not zero. After SHMSEG_TOO_SMALL: bytes. */
  uint64_t found, wanted;

  /* private */
  unsigned generation;              /* the segment's, when this was opened */
  unsigned proof;                   /* the guard's, when all was found to be in order */
  const struct shmseg_fault *guard; /* of the mapping; NULL: closed, or not looked at yet */
} shmseg_object;

/* Bytes of an object; without options those of the smallest one. 0 when it cannot be. */
SHMSEG_API uint64_t shmseg_object_size(const shmseg_kind *kind,
                                       const shmseg_object_options *options);

/* Opens an object; the handle that begins with object is of that kind. options may be NULL, created
 * too. */
SHMSEG_API int shmseg_object_open(shmseg_object *object, const shmseg_kind *kind,
                                  shmseg_slice where, shmseg_mode mode,
                                  const shmseg_object_options *options, bool *created);

SHMSEG_API int shmseg_object_open_until(shmseg_object *object, const shmseg_kind *kind,
                                        shmseg_slice where, shmseg_mode mode,
                                        const shmseg_object_options *options, int64_t *deadline,
                                        bool *created);

/* Opens an object that has a segment of its own, of that name, which is borrowed while that is
 * open. segment is open when the call succeeds, and is closed by the caller, behind the object. A
 * new object is complete before anyone can see its name; a number that options do not give is the
 * least there can be. options and created may be NULL. segment_options may be NULL: permissions
 * 0600, nothing else; its size and init are not used. When object->kind is NULL after a failure, it
 * is the segment that could not be opened. */
SHMSEG_API int shmseg_object_open_named(shmseg_object *object, const shmseg_kind *kind,
                                        shmseg_segment *segment, const char *name, shmseg_mode mode,
                                        const shmseg_object_options *options,
                                        const shmseg_options *segment_options, bool *created);

/* The segment is all zeroes at the first call. What *created and the handles have is kept between
 * the calls; created must not be NULL. */
SHMSEG_API int shmseg_object_open_named_until(shmseg_object *object, const shmseg_kind *kind,
                                              shmseg_segment *segment, const char *name,
                                              shmseg_mode mode,
                                              const shmseg_object_options *options,
                                              const shmseg_options *segment_options,
                                              int64_t *deadline, bool *created);

/* Closes the handle that begins with object. What it holds is abandoned, as by a death. Harmless on
 * a closed one. */
SHMSEG_API void shmseg_object_close(shmseg_object *object);

/* Names the first invariant that the bytes of an open object break, or NULL. Nobody may use the
 * object meanwhile. */
SHMSEG_API const char *shmseg_object_check(const shmseg_object *object);

/* Each kind has these four, by its own type: shmseg_queue_size, _open, _close, _check. */
#define SHMSEG_OBJECT(noun)                                                                        \
  SHMSEG_API extern const shmseg_kind shmseg_##noun##_kind;                                        \
  SHMSEG_API uint64_t shmseg_##noun##_size(const shmseg_object_options *options);                  \
  SHMSEG_API int shmseg_##noun##_open(shmseg_##noun *noun, shmseg_slice where, shmseg_mode mode,   \
                                      const shmseg_object_options *options, bool *created);        \
  SHMSEG_API void shmseg_##noun##_close(shmseg_##noun *noun);                                      \
  SHMSEG_API const char *shmseg_##noun##_check(const shmseg_##noun *noun)

/* A word that a handle has locked; in the list of its segment handle. */
typedef struct shmseg_hold {
  struct shmseg_hold *next, **link; /* link: NULL when nothing is held */
  uint64_t offset;                  /* of the word */
  void (*abandon)(struct shmseg_hold *hold);
} shmseg_hold;

#ifdef __cplusplus
}
#endif

#endif
