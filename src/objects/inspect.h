/* SPDX-License-Identifier: MIT */
/* Looking at an open object from outside: who holds its locks and whether they live, who waits. Nothing
 * is written, so a handle for reading does. Peers go on meanwhile: each word is told as it was at
 * one moment, and not all at the same. */
#ifndef SHMSEG_OBJECTS_INSPECT_H
#define SHMSEG_OBJECTS_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "objects/kinds.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

typedef enum shmseg_state {
  SHMSEG_STATE_NONE, /* a word that nobody owns, in order */
  SHMSEG_STATE_FREE,
  SHMSEG_STATE_HELD,
  SHMSEG_STATE_ABANDONED, /* free, and the next owner is told of it */
  SHMSEG_STATE_DEAD,      /* its owner is gone, and nobody has come to take it over */
  SHMSEG_STATE_CORRUPT    /* none of the part's words looks like this */
} shmseg_state;

/* A word, as it was at one moment. */
typedef struct shmseg_seen {
  const shmseg_part *part;
  uint64_t index; /* which of the part's words */
  shmseg_state state;
  uint32_t owner; /* an identity (os/liveness.h), or 0 */
  bool dirty;     /* an owner has died while it held the word, and that is still to be told */
  bool waiters;   /* somebody may be asleep on it */
  uint64_t value; /* of a number; 1 for what is set */
} shmseg_seen;

/* Where one is in an object's words. */
typedef struct shmseg_inspection {
  shmseg_part parts[SHMSEG_PARTS_MAX];
  int count, part;
  uint64_t index;
  uint32_t last; /* the owner that was probed last, and lives */
} shmseg_inspection;

/* Begins with the first word. The errors are those of shmseg_object_ready(). */
int shmseg_inspect_begin(const shmseg_object *object, shmseg_inspection *inspection);

/* The next word. Free ones are left out where a part has more than one. SHMSEG_EMPTY behind the last
 * word; SHMSEG_INTERRUPTED: call again, it has looked at many. */
int shmseg_inspect_next(const shmseg_object *object, shmseg_inspection *inspection,
                        shmseg_seen *seen);

#pragma GCC visibility pop

#endif
