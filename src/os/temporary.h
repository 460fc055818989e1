/* SPDX-License-Identifier: MIT */
/* Names that go with the process: unlinked at exit when nobody has done it before. */
#ifndef SHMSEG_OS_TEMPORARY_H
#define SHMSEG_OS_TEMPORARY_H

#include <stdbool.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* Has place unlinked at exit if it still leads to that object, which fd has open until the ticket is
 * given back. The place's name is borrowed as long. ENFILE when 4,096 are waiting; *ticket is never
 * 0. */
int shmseg_temporary_add(shmseg_place place, shmseg_identity identity, int fd, int *ticket);

/* Gives the ticket back: nothing happens at exit. False in a forked child, whose parent's
 * ticket it is. */
bool shmseg_temporary_remove(int ticket);

#pragma GCC visibility pop

#endif
