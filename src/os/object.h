/* SPDX-License-Identifier: MIT */
/* Shared memory objects as the kernel knows them: names, descriptors, sizes.
 *
 * A new object is built without a name and published under it when it is complete. Where the
 * platform cannot do that (object_posix.c), it is built under its name with no permissions. */
#ifndef SHMSEG_OS_OBJECT_H
#define SHMSEG_OS_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* Bytes of the longest name, and of the longest path with its terminator. */
#define SHMSEG_NAME_MAX 255
#define SHMSEG_PATH_MAX 4096

typedef struct shmseg_listing {
  void *directory; /* NULL: closed */
} shmseg_listing;

/* Attaches to the regular file or object at place. ENODEV when it is neither. */
int shmseg_object_open(shmseg_place place, bool writable, int *fd);

/* A new, empty object for place, readable and writable for the caller and invisible to others.
 * EEXIST only where objects cannot be nameless. */
int shmseg_object_build(shmseg_place place, mode_t perm, int *fd);

/* Gives the object its name, in one step. EEXIST when the name is taken. */
int shmseg_object_publish(int fd, shmseg_place place, mode_t perm);

/* Gives up what shmseg_object_build made and nobody published; fd stays the caller's. */
void shmseg_object_abandon(int fd, shmseg_place place);

/* 0 when all of these bytes were written once, or the kernel cannot tell; SHMSEG_CORRUPT when some are
 * a hole of the object; SHMSEG_TRUNCATED. To read a hole of shared memory takes memory; this does not. */
int shmseg_object_written(int fd, uint64_t offset, uint64_t size);

/* A nameless object; with seal, one that cannot shrink once shmseg_object_seal was called. */
int shmseg_object_anonymous(int *fd);
int shmseg_object_seal(int fd);

/* Makes the object size bytes long, never shorter than it is; from is its size now. With
 * sparse unset, the memory of [0, size) is taken, or ENOSPC and nothing has changed. */
int shmseg_object_grow(int fd, uint64_t from, uint64_t size, bool sparse);

/* Changes that two peers must not make at once (resizing, removing a name) are made under this
 * lock. It lies on *lock, a new descriptor, and ends when that is closed. EAGAIN: somebody else
 * has it. */
int shmseg_object_lock(int fd, int *lock);

/* The same on the object that place leads to at this moment. */
int shmseg_object_lock_place(shmseg_place place, int *lock);

/* What place leads to, without opening it. */
int shmseg_object_stat(shmseg_place place, struct stat *status);

int shmseg_object_unlink(shmseg_place place);

shmseg_identity shmseg_object_identity(const struct stat *status);

/* Is the place of a file a link that leads nowhere? Then nothing is there, and nothing can be made. */
bool shmseg_object_dangles(shmseg_place place);

/* Unlinks place if it leads to the object only (NULL: whatever it leads to), under the lock of
 * that object, so that two callers cannot remove each other's successor. SHMSEG_RENAMED when it
 * leads elsewhere; EAGAIN when a peer is at it: try again. An object that the caller must not
 * open for writing is unlinked without the lock. */
int shmseg_object_remove(shmseg_place place, const shmseg_identity *only);

/* Names of all objects, one by one; *name is valid until the next call, NULL at the end. */
int shmseg_object_list(shmseg_listing *listing);
int shmseg_object_next(shmseg_listing *listing, const char **name);
void shmseg_object_list_close(shmseg_listing *listing);

#pragma GCC visibility pop

#endif
