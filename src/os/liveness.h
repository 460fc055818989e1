/* SPDX-License-Identifier: MIT */
/* Who is alive: identities that the kernel takes back when their process ends.
 *
 * An identity is a number and a lock on one byte, far behind the backing's data. The lock belongs
 * to an open file description of its own, so the kernel drops it when the process dies, executes
 * another program or closes it, and not before: a stopped process is alive. It works across PID
 * namespaces, and nothing has to be trusted that a peer can write. */
#ifndef SHMSEG_OS_LIVENESS_H
#define SHMSEG_OS_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/fork.h"
#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* Identities are SHMSEG_ID_MIN to SHMSEG_ID_MAX; what is below has other meanings in lock words. */
#define SHMSEG_ID_BITS 30
#define SHMSEG_ID_MIN 16u
#define SHMSEG_ID_MAX ((1u << SHMSEG_ID_BITS) - 1)

/* Set in an identity that is proved by a lock for reading, since a process that may only read makes
 * locks for writing impossible. As long as it does so, the identity looks alive. */
#define SHMSEG_ID_SHARED (1u << (SHMSEG_ID_BITS - 1))

/* Takes an identity on the backing behind fd, which has to be open for writing; place is its name,
 * if any. EAGAIN when 16 numbers in a row were taken, ENFILE, or what shmseg_backing_reopen says:
 * EACCES when the descriptor was passed by another user. */
int shmseg_liveness_attach(int fd, shmseg_place place, shmseg_member *member);

/* Gives it up: from now on it counts as dead. */
void shmseg_liveness_detach(shmseg_member *member);

/* Replaces it by another one, which needs no new descriptor and no permissions. When that fails, or
 * it is a parent's, none is left. */
void shmseg_liveness_renew(shmseg_member *member);

/* False when there is no identity, or this process was forked since, and it is the parent's. */
static inline bool shmseg_liveness_own(const shmseg_member *member) {
  return member->id != 0 && shmseg_fork_same(member->forks);
}

/* Is the byte of a backing that this is one of an identity? *id is that. */
bool shmseg_liveness_byte(uint64_t byte, uint32_t *id);

/* Is the process that took this identity alive? fd is the segment's own descriptor, which never
 * carries an identity: a probe through the one that does would see no lock. When the kernel does not
 * answer, it is alive. */
bool shmseg_liveness_probe(int fd, uint32_t id);

#pragma GCC visibility pop

#endif
