/* SPDX-License-Identifier: MIT */
/* Backings, which is what the kernel has behind a segment: names, descriptors, sizes.
 *
 * A new backing is built without a name and published under it when it is complete. Where the
 * platform cannot do that (backing_posix.c), it is built under its name with no permissions. */
#ifndef SHMSEG_OS_BACKING_H
#define SHMSEG_OS_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* Bytes of the longest name, and of the longest path with its terminator. */
#define SHMSEG_NAME_MAX 255
#define SHMSEG_PATH_MAX 4096

typedef struct shmseg_listing {
  void *directory; /* NULL: closed */
} shmseg_listing;

/* Attaches to the backing at place. ENODEV when it is no regular file and no shared memory object. */
int shmseg_backing_open(shmseg_place place, bool writable, int *fd);

/* A new, empty backing for place, readable and writable for the caller and invisible to others.
 * EEXIST only where backings cannot be nameless. */
int shmseg_backing_build(shmseg_place place, int *fd);

/* Gives the backing its permissions and its name, which appears in one step. EEXIST when the name
 * is taken. */
int shmseg_backing_publish(int fd, shmseg_place place, mode_t perm);

/* The same where an ordinary file of that name is there and empty: it is replaced. EAGAIN: it is
 * not empty any more, or somebody else is replacing it: look again. */
int shmseg_backing_replace_empty(int fd, shmseg_place place, mode_t perm);

/* Gives up what shmseg_backing_build made and nobody published; fd stays the caller's. */
void shmseg_backing_abandon(int fd, shmseg_place place);

/* A nameless backing; once shmseg_backing_seal was called it cannot shrink. */
int shmseg_backing_anonymous(int *fd);
int shmseg_backing_seal(int fd);

/* The size in bytes, whatever it is. */
int shmseg_backing_length(int fd, uint64_t *length);

/* The size in bytes. EFBIG when it is more than half of the address space. */
int shmseg_backing_size(int fd, size_t *size);

/* Makes the backing size bytes long, never shorter than it is; from is its size now. Unless sparse
 * is set, the memory of [0, size) is taken; ENOSPC, and nothing has changed, when there is none. */
int shmseg_backing_grow(int fd, uint64_t from, uint64_t size, bool sparse);

/* The next bytes of [from, end) of the backing, from < end, that may be something else than zero:
 * [*begin, *stop), perhaps all of it, or none and *stop is end. What lies before *begin is a hole:
 * to read it through a mapping would take memory. */
void shmseg_backing_data(int fd, uint64_t from, uint64_t end, uint64_t *begin, uint64_t *stop);

/* What is at from, and up to *until, at most end: 0: something that may be else than zero;
 * SHMSEG_EMPTY: a hole; SHMSEG_TRUNCATED: nothing, the backing ends before. */
int shmseg_backing_look(int fd, uint64_t from, uint64_t end, uint64_t *until);

/* Can a descriptor be opened anew, whatever it leads to? */
bool shmseg_backing_has_proc(void);

/* A new description of the backing behind fd, open for writing: a duplicated or inherited one
 * shares its locks. Where there is no /proc it is opened by its name. SHMSEG_NO_PROC when it has
 * none, or the name leads elsewhere; EACCES, EMFILE, … */
int shmseg_backing_reopen(int fd, shmseg_place place, int *fresh);

/* Changes that two peers must not make at once (resizing, removing a name) are made under this
 * lock, which only a process that may write the backing can take. */
typedef struct shmseg_backing_lock {
  int fd;        /* has the lock */
  bool is_fresh; /* opened for it */
  bool is_taken; /* else a process that may only read has made it impossible: it goes without */
} shmseg_backing_lock;

/* Locks the backing behind fd, which has the name that place says, if any. Where no new description
 * can be had (no descriptor left, permissions that shut out their own creator), fd itself carries
 * the lock if it is open for writing; then processes that share it by fork are not kept apart.
 * EAGAIN: somebody else has it. */
int shmseg_backing_lock_fd(int fd, shmseg_place place, shmseg_backing_lock *lock);

/* Locks what place leads to at this moment. */
int shmseg_backing_lock_place(shmseg_place place, shmseg_backing_lock *lock);

void shmseg_backing_unlock(shmseg_backing_lock *lock);

/* What place leads to, without opening it. */
int shmseg_backing_stat(shmseg_place place, struct stat *status);

int shmseg_backing_unlink(shmseg_place place);

shmseg_identity shmseg_backing_identity(const struct stat *status);

/* The device that shared memory objects lie on; ENOENT, … */
int shmseg_backing_device(uint64_t *device);

/* Reads up to count bytes from the beginning of the backing, *read of which are there; the
 * description is moved nowhere. */
int shmseg_backing_peek(int fd, void *bytes, size_t count, size_t *read);

/* Is there a folder for the backing to be in? */
bool shmseg_backing_has_folder(shmseg_place place);

/* Is the path of a file a link that leads nowhere? Then no file is there, and none can be made. */
bool shmseg_backing_dangles(shmseg_place place);

/* Unlinks whatever place leads to, under the lock of the backing that is there, so that nobody
 * removes another one's successor; a symbolic link, or what the caller must not write, without the
 * lock. ENODEV, ENXIO, EISDIR for other things. EAGAIN when a peer has the lock: try again. */
int shmseg_backing_remove(shmseg_place place);

/* Unlinks place if it leads to the backing behind fd, which has the identity *only. This is done
 * under its lock, so no other name goes. SHMSEG_RENAMED when it leads elsewhere; EAGAIN as above;
 * EACCES when fd is open for reading and the backing must not be written. */
int shmseg_backing_remove_own(shmseg_place place, int fd, const shmseg_identity *only);

/* Names of all backings, one by one; *name is valid until the next call, NULL at the end. */
int shmseg_backing_list(shmseg_listing *listing);
int shmseg_backing_next(shmseg_listing *listing, const char **name);
void shmseg_backing_list_close(shmseg_listing *listing);

#pragma GCC visibility pop

#endif
