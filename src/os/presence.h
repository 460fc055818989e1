/* SPDX-License-Identifier: MIT */
/* Presence: who has a backing open, for those that remove a name when nobody has any more.
 *
 * A presence is a lock of the kernel's that belongs to a handle's open file description: a shared
 * flock. The kernel takes it back when the description is gone: when each process that shares it by
 * fork has closed it and has unmapped what it mapped through it, or is dead.
 *
 * A process that may only read can have an exclusive flock. So a remover first locks a range of its
 * own for writing, which takes a description that is open for writing, and then takes an exclusive
 * flock. Who is refused a shared flock asks for a read lock on that range: if that is refused, too, a
 * remover is at work; else some other program has the flock, and the read lock is the presence. So
 * who may only read can look present, and do no more than that. */
#ifndef SHMSEG_OS_PRESENCE_H
#define SHMSEG_OS_PRESENCE_H

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "os/proc.h"
#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* Takes a presence for the description behind fd, which nobody shares yet, and then fills *status:
 * without links, a remover was faster. EAGAIN: a remover is at work: try again. ENOTSUP: there are
 * no such locks here; ECANCELED: the process is exiting; *status is filled, too, and there is no
 * presence. ENOMEM, … */
int shmseg_presence_enter(int fd, struct stat *status);

/* Does that error mean that there are no presences, here or any more? */
static inline bool shmseg_presence_is_none(int err) {
  return err == ENOTSUP || err == ECANCELED;
}

/* Is it a shared memory object that has a name? Each handle on one has a presence; on an ordinary
 * file, which other programs may lock, only those that ask for it. */
bool shmseg_presence_is_due(const struct stat *status);

/* Closes a handle's descriptor, which may have a presence. What was mapped through it is unmapped
 * before. There is no explicit unlock: a forked child shares the presence, and keeps it. */
void shmseg_presence_close(int fd);

/* At exit: ends all presences of this process, and leaves the descriptors open, since other threads
 * may be using them; but one is closed when else no number would be free. Those of forked children
 * stay, and so does one that this process shares with a child through a mapping. None begins any more:
 * a thread that had one for a moment would keep the names that this process is about to remove. */
void shmseg_presence_drop_all(void);

/* For who removes the name: fd is a description of its own, open for writing. 0: no handle of the
 * library has the backing open, and none gets in until shmseg_presence_readmit(). EBUSY: some have.
 * EAGAIN: another remover is at work: try again. ENOTSUP, ENOMEM, … */
int shmseg_presence_exclude(int fd);

/* Ends it; fd stays open. errno stays as it is. */
void shmseg_presence_readmit(int fd);

/* Is a lock that the kernel tells of (os/users.h) a presence? A shared flock of another program looks
 * like one. */
bool shmseg_presence_is_lock(const shmseg_proc_lock *lock);

#pragma GCC visibility pop

#endif
