/* SPDX-License-Identifier: MIT */
/* Names that nobody needs any more: shared memory whose header says that it is temporary, and that
 * nobody has open. */
#ifndef SHMSEG_OBJECTS_GARBAGE_H
#define SHMSEG_OBJECTS_GARBAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* Removes the name if what it leads to is garbage: 0. With plain it also removes what is no object of
 * this library. EBUSY: a handle of the library has it open, or a process that can be looked into has
 * it mapped (*pid is that, else 0). EPERM: it is not temporary. ENOENT, ENODEV, EACCES; ENOTSUP where
 * there is no presence; SHMSEG_NO_PROC: the mappings of processes cannot be seen.
 * SHMSEG_INTERRUPTED and *deadline as in shmseg/segment.h.
 *
 * An opener of the library that is under way finds the name gone, or is seen: it never gets what is
 * removed. A program that has the memory open but does not map it is not seen, nor is one of another
 * user that does not use this library. */
int shmseg_garbage_collect_until(shmseg_place place, bool plain, int64_t *deadline, int *pid);

#pragma GCC visibility pop

#endif
