/* SPDX-License-Identifier: MIT */
/* Names that go with the process: unlinked at exit when nobody has done it before. */
#ifndef SHMSEG_OS_TEMPORARY_H
#define SHMSEG_OS_TEMPORARY_H

#include <stdbool.h>

#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* A name to unlink at exit. */
typedef struct shmseg_temporary shmseg_temporary;

/* Has place unlinked at exit if it still leads to that backing, which may get its name later and
 * which fd has open until the ticket is given back. The place is copied, a relative path as an
 * absolute one. ECANCELED once the process is ending, ENOMEM.
 *
 * With last the name is removed only if no handle of the library has the backing open any more
 * (os/presence.h), and forked children have the ticket, too. */
int shmseg_temporary_add(shmseg_place place, shmseg_identity identity, int fd, bool last,
                         shmseg_temporary **ticket);

/* Was it added with last? */
bool shmseg_temporary_is_last(const shmseg_temporary *ticket);

/* The backing has its name: exit need not wait for it. */
void shmseg_temporary_settle(shmseg_temporary *ticket);

/* Gives the ticket back: nothing happens at exit. False when exit has begun with it, and in a forked
 * child when the ticket is its parent's. */
bool shmseg_temporary_remove(shmseg_temporary *ticket);

/* Unlinks the name now, as at exit, and gives the ticket back; nothing in a forked child when it is
 * its parent's. With last the handle's own presence is gone before. */
void shmseg_temporary_unlink(shmseg_temporary *ticket);

#pragma GCC visibility pop

#endif
