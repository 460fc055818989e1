/* SPDX-License-Identifier: MIT */
/* What lies behind a name, without mapping it, and without a change. */
#ifndef SHMSEG_OBJECTS_LOOK_H
#define SHMSEG_OBJECTS_LOOK_H

#include <sys/stat.h>

#include "objects/header.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

typedef struct shmseg_look {
  struct stat status;
  /* Of its first bytes: 0 for an object; SHMSEG_EMPTY when it is none; SHMSEG_INCOMPATIBLE,
   * SHMSEG_TOO_SMALL (objects/header.h); else why they cannot be read: EACCES, EMFILE, … */
  int code;
  shmseg_description description;
} shmseg_look;

/* Looks at what the name leads to. ENOENT; ENODEV, at once, when it is no shared memory: a symbolic link,
 * a FIFO. */
int shmseg_look_at(shmseg_place place, shmseg_look *look);

/* The same through a descriptor that may be read. */
int shmseg_look_through(int fd, shmseg_look *look);

#pragma GCC visibility pop

#endif
