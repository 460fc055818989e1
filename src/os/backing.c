/* SPDX-License-Identifier: MIT */
/* Backings: what is the same on every platform. */
#define _GNU_SOURCE
#include "os/backing.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

shmseg_identity shmseg_backing_identity(const struct stat *status) {
  shmseg_identity identity = { (uint64_t)status->st_dev, (uint64_t)status->st_ino };
  return identity;
}

static bool backing_same(shmseg_identity a, shmseg_identity b) {
  return a.device == b.device && a.inode == b.inode;
}

bool shmseg_backing_dangles(shmseg_place place) {
  struct stat status;
  return place.type == SHMSEG_FILE && lstat(place.name, &status) == 0 && S_ISLNK(status.st_mode) &&
         stat(place.name, &status) != 0 && errno == ENOENT;
}

static int backing_identify(int fd, shmseg_identity *identity) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    return errno;
  *identity = shmseg_backing_identity(&status);
  return 0;
}

/* While the backing is locked, only we can remove its name: so the name cannot be given to another
 * backing between the look and the unlink. */
static int backing_remove_if(shmseg_place place, shmseg_identity only) {
  struct stat named;
  int err = shmseg_backing_stat(place, &named);
  if (err)
    return err;
  if (!backing_same(shmseg_backing_identity(&named), only))
    return SHMSEG_RENAMED;
  return shmseg_backing_unlink(place);
}

/* Does a sandbox or the file system refuse the lock itself? */
static bool backing_is_refused(int err) {
  return err == EPERM || err == EINVAL || err == ENOSYS || err == ENOLCK;
}

/* Is there nothing that the caller could lock? */
static bool backing_is_without_lock(int err) {
  return backing_is_refused(err) || err == EACCES || err == ELOOP || err == EMFILE || err == ENFILE;
}

int shmseg_backing_remove(shmseg_place place) {
  shmseg_backing_lock lock;
  shmseg_identity locked = { 0, 0 };
  int err = shmseg_backing_lock_place(place, &lock);
  if (backing_is_without_lock(err))
    return shmseg_backing_unlink(place);
  if (err)
    return err;
  err = backing_identify(lock.fd, &locked);
  if (!err)
    err = backing_remove_if(place, locked);
  shmseg_backing_unlock(&lock);
  return err == SHMSEG_RENAMED ? EAGAIN : err;
}

int shmseg_backing_remove_own(shmseg_place place, int fd, const shmseg_identity *only) {
  shmseg_backing_lock lock;
  int err = shmseg_backing_lock_fd(fd, place, &lock);
  if (backing_is_refused(err))
    return backing_remove_if(place, *only);
  if (err)
    return err;
  err = backing_remove_if(place, *only);
  shmseg_backing_unlock(&lock);
  return err;
}

int shmseg_backing_look(int fd, uint64_t from, uint64_t end, uint64_t *until) {
  struct stat status;
  uint64_t begin, stop;
  shmseg_backing_data(fd, from, end, &begin, &stop);
  *until = begin > from ? begin : stop;
  if (begin == from)
    return 0;
  return fstat(fd, &status) == 0 && (uint64_t)status.st_size < *until ? SHMSEG_TRUNCATED
                                                                      : SHMSEG_EMPTY;
}

int shmseg_backing_device(uint64_t *device) {
  shmseg_listing listing;
  struct stat status;
  int err = shmseg_backing_list(&listing);
  if (err)
    return err;
  err = fstat(dirfd(listing.directory), &status) == 0 ? 0 : errno;
  *device = (uint64_t)status.st_dev;
  shmseg_backing_list_close(&listing);
  return err;
}

int shmseg_backing_peek(int fd, void *bytes, size_t count, size_t *read) {
  ssize_t got;
  *read = 0;
  do
    got = pread(fd, bytes, count, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0)
    return errno;
  *read = (size_t)got;
  return 0;
}

int shmseg_backing_length(int fd, uint64_t *length) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    return errno;
  *length = (uint64_t)status.st_size;
  return 0;
}

int shmseg_backing_size(int fd, size_t *size) {
  uint64_t length = 0;
  int err = shmseg_backing_length(fd, &length);
  if (err)
    return err;
  /* the rounding to pages must not overflow either */
  if (length > SIZE_MAX / 2)
    return EFBIG;
  *size = (size_t)length;
  return 0;
}
