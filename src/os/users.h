/* SPDX-License-Identifier: MIT */
/* Who uses a backing: the processes that have it mapped, and what they have locked, as far as this
 * process may look into them. Those of other users and of other PID namespaces it does not see. */
#ifndef SHMSEG_OS_USERS_H
#define SHMSEG_OS_USERS_H

#include <stdbool.h>

#include "os/proc.h"
#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* A walk over processes. One of zeroes is a closed one. */
typedef struct shmseg_users {
  void *directory; /* NULL: closed */
  int pid;         /* the process that the walk is at */
  shmseg_proc maps;
  void *tasks;          /* its threads: the first one may have ended, and then has no mappings */
  bool has_begun;       /* a mapping was read */
  shmseg_identity last; /* of its mappings */
} shmseg_users;

/* SHMSEG_NO_PROC where the kernel does not tell; EMFILE, ENOMEM, … */
int shmseg_users_open(shmseg_users *users);

/* Goes on to the next process that can be looked into. SHMSEG_EMPTY behind the last one. */
int shmseg_users_next(shmseg_users *users);

/* The next backing that this process has mapped; the same one may come more than once.
 * SHMSEG_EMPTY behind the last one, also when the process has ended meanwhile. */
int shmseg_users_mapping(shmseg_users *users, shmseg_identity *identity);

void shmseg_users_close(shmseg_users *users);

/* The list of all locks; SHMSEG_NO_PROC. */
int shmseg_users_open_locks(shmseg_proc *file);

/* The next lock of that list, or of a descriptor's. SHMSEG_EMPTY behind the last one. */
int shmseg_users_next_lock(shmseg_proc *file, shmseg_proc_lock *lock);

/* Does the process of a lock live? One that took a flock may be dead, and its number may be in a line of
 * the list all the same, since a child that it has forked keeps the lock. */
bool shmseg_users_is_alive(int pid);

/* The descriptors of a process, one after the other, to read the locks of each with
 * shmseg_users_next_lock(). One of zeroes is a closed one. */
typedef struct shmseg_descriptors {
  void *directory; /* NULL: closed */
  int pid;
  shmseg_proc locks; /* of the descriptor that the walk is at */
} shmseg_descriptors;

int shmseg_users_open_descriptors(shmseg_descriptors *descriptors, int pid);

/* Goes on to the next descriptor. SHMSEG_EMPTY behind the last one. */
int shmseg_users_next_descriptor(shmseg_descriptors *descriptors);

void shmseg_users_close_descriptors(shmseg_descriptors *descriptors);

#pragma GCC visibility pop

#endif
