/* SPDX-License-Identifier: MIT */
/* Names that nobody needs any more: shared memory whose header says that it is temporary, and that
 * nobody has open. */
#ifndef SHMSEG_OBJECTS_GARBAGE_H
#define SHMSEG_OBJECTS_GARBAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* A name, and what has become of it. */
typedef struct shmseg_garbage {
  shmseg_place place;
  /* 0: it is removed. EBUSY: a handle of the library has it open, or the process pid, if that is not 0,
   * has it mapped. EPERM: it is not temporary. ENOENT, ENODEV, EACCES, EMFILE; SHMSEG_TIMEOUT: peers
   * have been changing it; ENOTSUP: there is no presence here; SHMSEG_NO_PROC: the mappings of
   * processes cannot be seen. */
  int code;
  int pid;

  /* private */
  int fd;
  shmseg_identity identity;
} shmseg_garbage;

/* What an item is before the first call. */
void shmseg_garbage_begin(shmseg_garbage *item, shmseg_place place);

/* Removes those of the names that lead to garbage; the items say what has become of each. With plain it
 * removes what is no object of this library, too. Many at once take one look at all processes. 0, or
 * SHMSEG_INTERRUPTED: call again; *deadline is 0 at first, as in shmseg/segment.h.
 *
 * An opener of the library that is under way finds the name gone, or is seen: it never gets what is
 * removed. A program that has the memory open but does not map it is not seen, nor is one of another
 * user that does not use this library. */
int shmseg_garbage_collect_until(shmseg_garbage *items, size_t count, bool plain,
                                 int64_t *deadline);

#pragma GCC visibility pop

#endif
