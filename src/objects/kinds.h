/* SPDX-License-Identifier: MIT */
/* The kinds of objects: the one list of them, and what a kind tells of itself.
 *
 * Bindings, tools and tests read this list; none has a list of its own. */
#ifndef SHMSEG_OBJECTS_KINDS_H
#define SHMSEG_OBJECTS_KINDS_H

#include <stddef.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* All kinds, in the order of their numbers. A new one is added at the end. */
#define SHMSEG_KINDS(X)                                                                            \
  X(mutex)                                                                                         \
  X(rwlock)                                                                                        \
  X(semaphore)                                                                                     \
  X(event)                                                                                         \
  X(cell)                                                                                          \
  X(queue)                                                                                         \
  X(broadcast)                                                                                     \
  X(dict)

/* A number of the geometry that shmseg_object_options can give. */
typedef struct shmseg_number {
  const char *name; /* as in Lua's options and in messages */
  size_t offset;    /* in shmseg_object_options */
  /* What 1, 2, … are called; NULL ends them. NULL: it is a plain number. shmseg_kinds_switch: 1 is
   * false, 2 true. */
  const char *const *words;
} shmseg_number;

#define SHMSEG_NUMBER(name)                                                                        \
  { #name, offsetof(shmseg_object_options, name), NULL }
#define SHMSEG_CHOICE(name, words)                                                                 \
  { #name, offsetof(shmseg_object_options, name), words }
#define SHMSEG_SWITCH(name) SHMSEG_CHOICE(name, shmseg_kinds_switch)

extern const char *const shmseg_kinds_switch[];

/* Words of a new object that are not zero: count of the same value. */
typedef struct shmseg_words {
  uint64_t offset, count;
  uint64_t width; /* bytes of one: 4 or 8 */
  uint64_t value;
  uint64_t stride; /* bytes from one to the next; 0: they lie one behind the other */
} shmseg_words;

#define SHMSEG_WORDS_MAX 24

/* Words that somebody who looks at an object wants to be told of. */
typedef enum shmseg_part_type {
  SHMSEG_PART_LOCK,       /* core/lock.h */
  SHMSEG_PART_SLOT,       /* core/slots.h */
  SHMSEG_PART_CLAIM,      /* 8 bytes, the identity in the lowest bits: core/lock.h */
  SHMSEG_PART_EVENTCOUNT, /* core/eventcount.h */
  SHMSEG_PART_SET,        /* bit 0 says whether it is set */
  SHMSEG_PART_COUNT,      /* a number and 1 more */
  SHMSEG_PART_NEXT,       /* the same in 8 bytes */
  SHMSEG_PART_NUMBER      /* 8 bytes */
} shmseg_part_type;

typedef struct shmseg_part {
  const char *name;
  shmseg_part_type type;
  uint64_t offset; /* in the object; a multiple of the word's size */
  uint64_t count;
  uint64_t stride; /* bytes from one word to the next */
} shmseg_part;

#define SHMSEG_PARTS_MAX 8

/* Geometry: the numbers that decide where each word of an object lies. They stand in its header;
 * the first one is never 0. It alone has to be given to make an object that has a name. */
struct shmseg_kind {
  const char *name; /* "queue" */
  uint32_t number;  /* in the header; never used again for another kind */
  uint32_t version; /* of its format */
  size_t handle_size;
  /* The numbers of the geometry that options can give, in order; none for a kind of one size. */
  shmseg_number numbers[SHMSEG_GEOMETRY];
  /* Bytes of the whole object; 0 for a geometry that cannot be. */
  uint64_t (*size)(const uint64_t *geometry);
  /* Completes a geometry, in which 0 is a missing number: of the largest object that fits. */
  void (*fit)(uint64_t available, uint64_t *geometry);
  /* Lists what is not zero behind the header of a new object; gives how many entries. */
  int (*build)(const uint64_t *geometry, shmseg_words *words);
  /* Fills in the rest of a handle, which is zero but for its open object; may be NULL. */
  void (*open)(shmseg_object *object);
  /* Gives back what the handle holds; may be NULL. */
  void (*close)(shmseg_object *object);
  /* Names the first invariant that the object's bytes break, or NULL. The header is in order. */
  const char *(*check)(const shmseg_object *object);
  /* Lists the parts of an open object; gives how many. */
  int (*inspect)(const shmseg_object *object, shmseg_part *parts);
};

/* The kind of that number, or NULL. */
const shmseg_kind *shmseg_kinds_find(uint64_t number);

/* The number that options give, or 0. */
uint64_t shmseg_kinds_number(const shmseg_object_options *options, const shmseg_number *number);

/* What options give of the geometry; true when that is all of it. */
bool shmseg_kinds_given(const shmseg_kind *kind, const shmseg_object_options *options,
                        uint64_t *geometry);

/* The geometry of a new object in so many bytes: as options say, and else the largest. */
void shmseg_kinds_plan(const shmseg_kind *kind, const shmseg_object_options *options,
                       uint64_t available, uint64_t *geometry);

/* Bytes of an object of that geometry, 0 when it cannot be. */
uint64_t shmseg_kinds_size(const shmseg_kind *kind, const uint64_t *geometry);

#pragma GCC visibility pop

#endif
