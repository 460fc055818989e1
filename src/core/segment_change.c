/* SPDX-License-Identifier: MIT */
/* What changes a backing under its lock: its size, and its name. segment.c has the paragraphs. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mapping.h"
#include "core/segment.h"
#include "core/wait.h"
#include "os/backing.h"

/* Nanoseconds that a peer may resize or unlink; and those until the caller may look around. */
#define LOCK_PATIENCE ((int64_t)5 * 1000000000)
#define LOCK_INTERVAL ((int64_t)20 * 1000000)

/* --- the lock of a backing ---------------------------------------------------------------- */

int shmseg_segment_wait_for_peer(int64_t *deadline, int64_t *interval) {
  shmseg_wait_patience(interval, LOCK_INTERVAL);
  int err = shmseg_wait_pause(shmseg_wait_patience(deadline, LOCK_PATIENCE));
  return err ? err : shmseg_wait_left(*interval) ? 0 : SHMSEG_INTERRUPTED;
}

static int segment_lock(const shmseg_segment *segment, shmseg_backing_lock *lock,
                        int64_t *deadline) {
  int64_t interval = 0;
  int err;
  while ((err = shmseg_backing_lock_fd(segment->fd, segment->place, lock)) == EAGAIN) {
    err = shmseg_segment_wait_for_peer(deadline, &interval);
    if (err)
      return err;
  }
  return err;
}

/* --- name --------------------------------------------------------------------------------- */

int shmseg_segment_unlink_until(shmseg_segment *segment, int64_t *deadline) {
  int64_t interval = 0;
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  if (!segment->place.name)
    return EINVAL;
  int err;
  while ((err = shmseg_backing_remove_own(segment->place, segment->fd, &segment->identity)) ==
         EAGAIN) {
    err = shmseg_segment_wait_for_peer(deadline, &interval);
    if (err)
      return err;
  }
  return err;
}

int shmseg_segment_unlink(shmseg_segment *segment) {
  int64_t deadline = 0;
  int err;
  do {
    err = shmseg_segment_unlink_until(segment, &deadline);
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

int shmseg_segment_remove_until(shmseg_place place, int64_t *deadline) {
  int64_t interval = 0;
  int err = shmseg_segment_valid_place(place);
  if (err)
    return err;
  while ((err = shmseg_backing_remove(place)) == EAGAIN) {
    err = shmseg_segment_wait_for_peer(deadline, &interval);
    if (err)
      return err;
  }
  return err;
}

int shmseg_segment_remove(shmseg_place place) {
  int64_t deadline = 0;
  int err;
  do {
    err = shmseg_segment_remove_until(place, &deadline);
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

int shmseg_segment_is_current(const shmseg_segment *segment, bool *current) {
  struct stat named;
  *current = false;
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  if (!segment->place.name)
    return 0;
  int err = shmseg_backing_stat(segment->place, &named);
  if (err == ENOENT || err == ENOTDIR)
    return 0;
  shmseg_identity there = err ? segment->identity : shmseg_backing_identity(&named);
  *current =
      !err && there.device == segment->identity.device && there.inode == segment->identity.inode;
  return err;
}

/* --- size --------------------------------------------------------------------------------- */

/* Undoes a growth when a later step has failed. A sealed memfd cannot shrink: it keeps its size. */
static void segment_ungrow(const shmseg_segment *segment, size_t grown, size_t before) {
  size_t size = 0;
  if (shmseg_backing_size(segment->fd, &size) == 0 && size == grown &&
      ftruncate(segment->fd, (off_t)before) != 0)
    return;
}

/* Under the lock, when the mapping is made: gives the backing, of now bytes, its new size. The
 * pages are brought in before it is cut, or after it has grown. */
static int segment_change_size(const shmseg_segment *segment, size_t now, const shmseg_mapping *m) {
  bool sparse = segment->sparse && !segment->pin && !segment->populate;
  bool grows = m->size > now;
  int err = shmseg_mapping_pin_ahead(segment, m);
  if (!err && grows)
    err = shmseg_backing_grow(segment->fd, now, m->size, sparse);
  if (err)
    return err;
  err = shmseg_mapping_prepare(segment, m);
  if (!err && m->size < now && ftruncate(segment->fd, (off_t)m->size) != 0)
    err = errno;
  if (err && grows)
    segment_ungrow(segment, m->size, now);
  return err;
}

/* Under the lock. A peer may have made the segment larger than this handle knows. A size below what
 * the handle knows is meant to cut the segment, and cuts it. Any other size is meant to make it
 * larger, and never undoes a peer's growth: if it is larger already, its present size is taken. */
static int segment_resize_locked(shmseg_segment *segment, size_t size) {
  shmseg_mapping m;
  size_t now = 0;
  int err = shmseg_backing_size(segment->fd, &now);
  if (!err)
    err = shmseg_mapping_ahead(segment, size > now || size < segment->size ? size : now, &m);
  if (err)
    return err;
  err = segment_change_size(segment, now, &m);
  if (err)
    shmseg_mapping_drop(segment, &m);
  else
    shmseg_mapping_adopt(segment, &m);
  return err;
}

int shmseg_segment_resize_until(shmseg_segment *segment, size_t size, int64_t *deadline) {
  shmseg_backing_lock lock;
  size_t now = 0;
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  if (!segment->writable)
    return SHMSEG_READ_ONLY;
  if (size == 0 || segment->is_window || segment->is_private)
    return EINVAL;
  if (size > SIZE_MAX / 2)
    return EFBIG;
  int err = shmseg_backing_size(segment->fd, &now);
  if (err)
    return err;
  if (size == now) /* needs no lock, and no descriptor for it */
    return shmseg_segment_refresh(segment);
  err = segment_lock(segment, &lock, deadline);
  if (err)
    return err;
  err = segment_resize_locked(segment, size);
  shmseg_backing_unlock(&lock);
  return err;
}

int shmseg_segment_resize(shmseg_segment *segment, size_t size) {
  int64_t deadline = 0;
  int err;
  do {
    err = shmseg_segment_resize_until(segment, size, &deadline);
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

int shmseg_segment_refresh(shmseg_segment *segment) {
  size_t size = 0;
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  if (segment->is_window)
    return EINVAL;
  if (segment->is_private && shmseg_segment_status(segment) == 0)
    return 0; /* mapped anew it would lose what was written */
  int err = shmseg_backing_size(segment->fd, &size);
  if (err)
    return err;
  if (size == segment->size && shmseg_segment_status(segment) == 0)
    return 0;
  return shmseg_mapping_renew(segment, size);
}
