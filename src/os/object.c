/* SPDX-License-Identifier: MIT */
/* Shared memory objects: what is the same on every platform. */
#define _GNU_SOURCE
#include "os/object.h"

#include <errno.h>
#include <unistd.h>

shmseg_identity shmseg_object_identity(const struct stat *status) {
  shmseg_identity identity = { (uint64_t)status->st_dev, (uint64_t)status->st_ino };
  return identity;
}

static bool same(shmseg_identity a, shmseg_identity b) {
  return a.device == b.device && a.inode == b.inode;
}

bool shmseg_object_dangles(shmseg_place place) {
  struct stat status;
  return place.kind == SHMSEG_FILE && lstat(place.name, &status) == 0 && S_ISLNK(status.st_mode) &&
         stat(place.name, &status) != 0 && errno == ENOENT;
}

/* While the object at place is locked, its name can go only by our hand, so the name cannot be
 * given to another object between the look and the unlink. */
static int remove_locked(shmseg_place place, int lock, const shmseg_identity *only) {
  struct stat named, locked;
  int err = shmseg_object_stat(place, &named);
  if (err)
    return err;
  if (lock >= 0 && fstat(lock, &locked) != 0)
    return errno;
  if (lock >= 0 && !same(shmseg_object_identity(&named), shmseg_object_identity(&locked)))
    return EAGAIN;
  if (only && !same(shmseg_object_identity(&named), *only))
    return SHMSEG_RENAMED;
  return shmseg_object_unlink(place);
}

int shmseg_object_remove(shmseg_place place, const shmseg_identity *only) {
  int lock;
  int err = shmseg_object_lock_place(place, &lock);
  if (err == EACCES)
    return remove_locked(place, -1, only);
  if (err)
    return err;
  err = remove_locked(place, lock, only);
  close(lock);
  return err;
}

#if defined(SEEK_HOLE)
static off_t first_hole(int fd, uint64_t offset) {
  return lseek(fd, (off_t)offset, SEEK_HOLE);
}
#else
static off_t first_hole(int fd, uint64_t offset) {
  (void)fd, (void)offset;
  return -1;
}
#endif

int shmseg_object_written(int fd, uint64_t offset, uint64_t size) {
  off_t before = lseek(fd, 0, SEEK_CUR); /* the caller of from_fd may be reading there */
  off_t hole = first_hole(fd, offset);
  off_t end = lseek(fd, 0, SEEK_END); /* counts as a hole, too */
  if (before >= 0)
    lseek(fd, before, SEEK_SET);
  if (end >= 0 && (uint64_t)end < offset + size)
    return SHMSEG_TRUNCATED;
  return hole < 0 || (uint64_t)hole >= offset + size ? 0 : SHMSEG_CORRUPT;
}
