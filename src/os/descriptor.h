/* SPDX-License-Identifier: MIT */
/* Descriptors of the library: away from the standard streams. */
#ifndef SHMSEG_OS_DESCRIPTOR_H
#define SHMSEG_OS_DESCRIPTOR_H

#pragma GCC visibility push(hidden)

/* The lowest descriptor of the library. */
#define SHMSEG_DESCRIPTOR_MIN 3

/* Moves the descriptor to 3 or above, with close-on-exec: else a program that was started without
 * its standard streams would print into shared memory. After a failure *fd is closed, and -1. */
int shmseg_descriptor_raise(int *fd);

/* A duplicate, at 3 or above. 0 or errno. */
int shmseg_descriptor_duplicate(int fd, int *duplicate);

/* A description of its own of the same file, with the same access mode: a duplicate shares locks and
 * position. Needs /proc: ENOENT. EACCES when permissions have changed, or it was passed by somebody
 * else; EMFILE, … */
int shmseg_descriptor_reopen(int fd, int *fresh);

#pragma GCC visibility pop

#endif
