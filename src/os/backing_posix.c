/* SPDX-License-Identifier: MIT */
/* Backings where only POSIX is there (macOS, the BSDs). Untested.
 *
 * A backing is made under its final name, with no permissions until it is complete: only the
 * superuser can open it too early, and a killed creator leaves it behind. */
#if !defined(__linux__)
#define _GNU_SOURCE
#include "os/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/descriptor.h"

typedef struct {
  char bytes[SHMSEG_NAME_MAX + 2];
} path;

static const char *backing_shm_name(shmseg_place place, path *buffer) {
  snprintf(buffer->bytes, sizeof buffer->bytes, "/%s", place.name);
  return buffer->bytes;
}

static int backing_open_place(shmseg_place place, int flags, int *fd) {
  path buffer;
  *fd = place.type == SHMSEG_FILE ? open(place.name, flags | O_CLOEXEC, 0)
                                  : shm_open(backing_shm_name(place, &buffer), flags, 0);
  if (*fd < 0)
    return errno;
  fcntl(*fd, F_SETFD, FD_CLOEXEC);
  return shmseg_descriptor_raise(fd);
}

int shmseg_backing_open(shmseg_place place, bool writable, int *fd) {
  struct stat status;
  int err = backing_open_place(place, writable ? O_RDWR : O_RDONLY, fd);
  if (err)
    return err;
  if (fstat(*fd, &status) == 0 && !S_ISDIR(status.st_mode) && !S_ISCHR(status.st_mode) &&
      !S_ISFIFO(status.st_mode))
    return 0;
  close(*fd);
  return ENODEV;
}

bool shmseg_backing_has_folder(shmseg_place place) {
  (void)place; /* the system's own for names; a file's is not looked for */
  return true;
}

int shmseg_backing_build(shmseg_place place, int *fd) {
  return backing_open_place(place, O_RDWR | O_CREAT | O_EXCL, fd);
}

int shmseg_backing_publish(int fd, shmseg_place place, mode_t perm) {
  (void)place;
  return fchmod(fd, perm) == 0 ? 0 : errno;
}

/* Backings cannot be nameless here, and so not replace another in one step. */
int shmseg_backing_replace_empty(int fd, shmseg_place place, mode_t perm) {
  (void)fd;
  (void)place;
  (void)perm;
  return SHMSEG_TOO_SMALL;
}

void shmseg_backing_abandon(int fd, shmseg_place place) {
  (void)fd;
  shmseg_backing_unlink(place);
}

int shmseg_backing_anonymous(int *fd) {
  char name[32];
  for (unsigned i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "shmseg-%ld-%u", (long)getpid(), i);
    shmseg_place place = { SHMSEG_NAME, name };
    int err = backing_open_place(place, O_RDWR | O_CREAT | O_EXCL, fd);
    if (err == 0)
      shmseg_backing_unlink(place);
    if (err != EEXIST)
      return err;
  }
  return EEXIST;
}

int shmseg_backing_seal(int fd) {
  (void)fd; /* nobody else can reach it but through a passed descriptor */
  return 0;
}

int shmseg_backing_grow(int fd, uint64_t from, uint64_t size, bool sparse) {
  (void)from;
  (void)sparse; /* no way to take the memory of a backing */
  return ftruncate(fd, (off_t)size) == 0 ? 0 : errno;
}

void shmseg_backing_data(int fd, uint64_t from, uint64_t end, uint64_t *begin, uint64_t *stop) {
  (void)fd; /* where the holes are is not known */
  *begin = from;
  *stop = end;
}

bool shmseg_backing_has_proc(void) {
  return false;
}

/* The description of a descriptor cannot be opened anew, but its name can. */
int shmseg_backing_reopen(int fd, shmseg_place place, int *fresh) {
  struct stat a, b;
  if (!place.name || shmseg_backing_open(place, true, fresh) != 0)
    return SHMSEG_NO_PROC;
  if (fstat(fd, &a) == 0 && fstat(*fresh, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
    return 0;
  close(*fresh);
  return SHMSEG_NO_PROC;
}

static int backing_take_lock(shmseg_backing_lock *lock) {
  lock->is_taken = flock(lock->fd, LOCK_EX | LOCK_NB) == 0;
  if (lock->is_taken)
    return 0;
  int err = errno;
  if (lock->is_fresh)
    close(lock->fd);
  return err == EWOULDBLOCK ? EAGAIN : err;
}

int shmseg_backing_lock_fd(int fd, shmseg_place place, shmseg_backing_lock *lock) {
  lock->is_fresh = shmseg_backing_reopen(fd, place, &lock->fd) == 0;
  if (!lock->is_fresh)
    lock->fd = fd;
  return backing_take_lock(lock);
}

int shmseg_backing_lock_place(shmseg_place place, shmseg_backing_lock *lock) {
  lock->is_fresh = true;
  int err = shmseg_backing_open(place, true, &lock->fd);
  return err ? err : backing_take_lock(lock);
}

void shmseg_backing_unlock(shmseg_backing_lock *lock) {
  if (lock->is_taken)
    flock(lock->fd, LOCK_UN);
  if (lock->is_fresh)
    close(lock->fd);
}

int shmseg_backing_stat(shmseg_place place, struct stat *status) {
  int fd;
  int err = shmseg_backing_open(place, false, &fd);
  if (err)
    return err;
  err = fstat(fd, status) == 0 ? 0 : errno;
  close(fd);
  return err;
}

int shmseg_backing_unlink(shmseg_place place) {
  path buffer;
  int result =
      place.type == SHMSEG_FILE ? unlink(place.name) : shm_unlink(backing_shm_name(place, &buffer));
  return result == 0 ? 0 : errno;
}

/* The names cannot be enumerated. */
int shmseg_backing_list(shmseg_listing *listing) {
  listing->directory = NULL;
  return ENOTSUP;
}

int shmseg_backing_next(shmseg_listing *listing, const char **name) {
  (void)listing;
  *name = NULL;
  return ENOTSUP;
}

void shmseg_backing_list_close(shmseg_listing *listing) {
  (void)listing;
}

#else
typedef int shmseg_backing_posix_is_empty; /* ISO C forbids an empty file */
#endif
