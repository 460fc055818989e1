/* SPDX-License-Identifier: MIT */
/* A segment: one object, mapped whole, that can be built, resized and lost without harm.
 *
 * LAYOUT      none: a segment's bytes are its users'.
 *
 * INVARIANTS  S1  [data, data + size) is mapped to the object, or to private zeroes after a fault.
 *             S2  fault guards exactly that range while the handle is open.
 *             S3  room is whole pages, room >= size; what lies between cannot be touched.
 *             S4  a name leads to a complete object: right size, permissions and content.
 *
 * PROTOCOL    open    attach, or build a nameless object and link it under its name: the link
 *                     publishes. Losing the race for the name means attaching to the winner's.
 *             resize  under the object's lock; the new size publishes, set in one system call.
 *             unlink  under the object's lock, after a look at what the name leads to.
 *
 * CRASHES     before the link nothing has a name and all is gone; the lock goes with its
 *             descriptor; memory taken for a growth that was not published is freed with the
 *             object or used by the next growth. */
#include "shmseg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fault.h"
#include "os/map.h"
#include "os/object.h"
#include "os/temporary.h"
#include "shared/hold.h"
#include "shared/wait.h"

/* Rounds of create and attach against peers that create and unlink. */
#define ROUNDS 100

/* How long a peer may resize or unlink before we give up. */
#define LOCK_PATIENCE ((int64_t)5 * 1000000000)

void shmseg_segment_init(shmseg_segment *segment) {
  memset(segment, 0, sizeof *segment);
  segment->fd = -1;
}

static int valid_place(shmseg_place place) {
  if (place.kind == SHMSEG_FILE)
    return *place.name == '\0' ? ENOENT : 0;
  if (*place.name == '\0' || strchr(place.name, '/') || strcmp(place.name, ".") == 0 ||
      strcmp(place.name, "..") == 0)
    return EINVAL;
  return strlen(place.name) > SHMSEG_NAME_MAX ? ENAMETOOLONG : 0;
}

static int object_size(int fd, size_t *size) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    return errno;
  /* the rounding to pages must not overflow either */
  if ((uint64_t)status.st_size > SIZE_MAX / 2)
    return EFBIG;
  *size = (size_t)status.st_size;
  return 0;
}

/* What the options ask of the pages in the mapping. */
static int prepare_pages(const shmseg_segment *segment) {
  int err = 0;
  if (segment->size == 0)
    return 0;
  if (segment->populate)
    err = shmseg_map_populate(segment->data, shmseg_map_round(segment->size), segment->writable);
  if (!err && segment->pin)
    err = shmseg_map_pin(segment->data, segment->size);
  return err ? err : shmseg_segment_status(segment);
}

/* Maps size bytes of segment->fd. */
static int map_new(shmseg_segment *segment, size_t size) {
  void *base;
  size_t length = shmseg_map_round(size);
  size_t room = shmseg_map_round(size > segment->max ? size : segment->max);
  if (room == 0) /* empty, or more than the address space */
    return size == 0 ? SHMSEG_TOO_SMALL : ENOMEM;
  int err = shmseg_map_open(&base, room, length, segment->fd, segment->writable);
  if (err)
    return err;
  err = shmseg_fault_watch(&segment->fault, base, length, segment->fd);
  if (err) {
    shmseg_map_close(base, room);
    return err;
  }
  segment->data = base;
  segment->size = size;
  segment->room = room;
  return 0;
}

static void unmap(shmseg_segment *segment) {
  if (!segment->data)
    return;
  shmseg_fault_forget(segment->fault);
  shmseg_map_close(segment->data, segment->room);
  segment->data = NULL;
  segment->fault = NULL;
  segment->size = segment->room = 0;
}

static int learn_identity(shmseg_segment *segment) {
  struct stat status;
  if (fstat(segment->fd, &status) != 0)
    return errno;
  segment->identity = shmseg_object_identity(&status);
  return 0;
}

static void take_options(shmseg_segment *segment, const shmseg_options *options) {
  segment->max = options->max;
  segment->sparse = options->sparse;
  segment->populate = options->populate;
  segment->pin = options->pin;
}

/* What happens alike to an object that was opened and to one that was built. */
static int enter(shmseg_segment *segment, size_t size) {
  int err = learn_identity(segment);
  if (!err)
    err = map_new(segment, size);
  return err ? err : prepare_pages(segment);
}

/* Undoes a partial open; the object itself is nobody's business but its builder's. */
static int give_up(shmseg_segment *segment, int err) {
  if (segment->temporary)
    shmseg_temporary_remove(segment->temporary);
  shmseg_hold_forget_all(segment); /* init may have locked something */
  unmap(segment);
  if (segment->fd >= 0)
    close(segment->fd);
  shmseg_segment_init(segment);
  return err;
}

static int attach(shmseg_segment *segment, shmseg_place place, bool writable,
                  const shmseg_options *options) {
  size_t size;
  shmseg_segment_init(segment);
  int err = shmseg_object_open(place, writable, &segment->fd);
  if (err) {
    segment->fd = -1;
    return err;
  }
  segment->place = place;
  segment->writable = writable;
  take_options(segment, options);
  err = object_size(segment->fd, &size);
  if (!err && (size == 0 || size < options->size))
    err = SHMSEG_TOO_SMALL;
  if (!err)
    err = enter(segment, size);
  return err ? give_up(segment, err) : 0;
}

/* A complete segment without a name yet. */
static int build(shmseg_segment *segment, const shmseg_options *options) {
  segment->writable = true;
  take_options(segment, options);
  int err = shmseg_object_grow(segment->fd, 0, options->size, options->sparse);
  if (!err)
    err = enter(segment, options->size);
  if (!err && options->init) {
    err = options->init(segment, options->context);
    if (!err)
      err = segment->fd < 0 ? SHMSEG_CLOSED : shmseg_segment_status(segment);
  }
  return err;
}

static int abandon(shmseg_segment *segment, shmseg_place place, int err) {
  if (segment->fd >= 0) /* init may have closed it */
    shmseg_object_abandon(segment->fd, place);
  return give_up(segment, err);
}

/* Creates the object, unless its name is taken: then, with mode SHMSEG_CREATE, attaches. */
static int create(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                  const shmseg_options *options, bool *created) {
  shmseg_segment_init(segment);
  if (options->size == 0)
    return EINVAL;
  int err = shmseg_object_build(place, options->perm, &segment->fd);
  if (err) {
    segment->fd = -1;
    return err;
  }
  segment->place = place;
  err = build(segment, options);
  if (!err && options->temporary) /* only what this call creates: gone again if the race is lost */
    err = shmseg_temporary_add(place, segment->identity, &segment->temporary);
  if (err)
    return abandon(segment, place, err);
  for (int round = 0; round < ROUNDS; round++) {
    err = shmseg_object_publish(segment->fd, place, options->perm);
    *created = err == 0;
    if (err != EEXIST || mode == SHMSEG_CREATE_ONLY)
      return err ? abandon(segment, place, err) : 0;
    shmseg_segment winner;
    err = attach(&winner, place, true, options);
    if (err == ENOENT && shmseg_object_dangles(place))
      return abandon(segment, place, ELOOP);
    if (err != ENOENT) { /* ours is not wanted */
      abandon(segment, place, err);
      *segment = winner;
      return err;
    }
  }
  return abandon(segment, place, EAGAIN);
}

int shmseg_segment_open(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                        const shmseg_options *options, bool *created) {
  bool ignored;
  if (!created)
    created = &ignored;
  *created = false;
  shmseg_segment_init(segment);
  int err = valid_place(place);
  if (err)
    return err;
  if (mode != SHMSEG_CREATE_ONLY) {
    err = attach(segment, place, mode != SHMSEG_READ, options);
    /* a portable creator's object has no permissions until it is complete: not seen here */
    if (mode != SHMSEG_CREATE || err != ENOENT)
      return err;
  } else {
    struct stat status; /* spares building what cannot be published */
    if (shmseg_object_stat(place, &status) == 0)
      return EEXIST;
  }
  return create(segment, place, mode, options, created);
}

int shmseg_segment_anonymous(shmseg_segment *segment, const shmseg_options *options) {
  shmseg_segment_init(segment);
  if (options->size == 0 || options->temporary)
    return EINVAL;
  int err = shmseg_object_anonymous(&segment->fd);
  if (err) {
    segment->fd = -1;
    return err;
  }
  err = build(segment, options);
  if (!err)
    err = shmseg_object_seal(segment->fd);
  return err ? give_up(segment, err) : 0;
}

int shmseg_segment_from_fd(shmseg_segment *segment, int fd, bool writable) {
  struct stat status;
  size_t size = 0;
  shmseg_segment_init(segment);
  segment->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (segment->fd < 0)
    return errno;
  segment->writable = writable;
  int err = fstat(segment->fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : ENODEV;
  if (!err)
    err = object_size(segment->fd, &size);
  if (!err)
    err = enter(segment, size);
  return err ? give_up(segment, err) : 0;
}

static int remove_name(shmseg_place place, const shmseg_identity *only) {
  int64_t deadline = shmseg_wait_deadline(LOCK_PATIENCE);
  int err;
  while ((err = shmseg_object_remove(place, only)) == EAGAIN) {
    err = shmseg_wait_pause(deadline);
    if (err)
      return err;
  }
  return err;
}

void shmseg_segment_close(shmseg_segment *segment) {
  if (segment->fd < 0)
    return;
  shmseg_place place = segment->place;
  shmseg_identity identity = segment->identity;
  bool is_ours = segment->temporary && shmseg_temporary_remove(segment->temporary);
  segment->temporary = 0;
  shmseg_hold_abandon_all(segment);
  give_up(segment, 0);
  if (is_ours) /* last: it takes a descriptor, and there is one now */
    remove_name(place, &identity);
}

int shmseg_segment_status(const shmseg_segment *segment) {
  return segment->fault ? shmseg_fault_code(segment->fault) : 0;
}

static int check_range(const shmseg_segment *segment, size_t offset, size_t count) {
  if (segment->fd < 0)
    return SHMSEG_CLOSED;
  return offset > segment->size || count > segment->size - offset ? SHMSEG_OUT_OF_RANGE : 0;
}

int shmseg_segment_read(const shmseg_segment *segment, size_t offset, void *buffer, size_t count) {
  int err = check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  memcpy(buffer, segment->data + offset, count);
  return shmseg_segment_status(segment);
}

int shmseg_segment_write(const shmseg_segment *segment, size_t offset, const void *bytes,
                         size_t count) {
  int err = check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  if (!segment->writable)
    return SHMSEG_READ_ONLY;
  memcpy(segment->data + offset, bytes, count);
  return shmseg_segment_status(segment);
}

int shmseg_segment_flush(const shmseg_segment *segment, size_t offset, size_t count) {
  int err = check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  size_t start = offset / shmseg_map_page() * shmseg_map_page();
  err = shmseg_map_flush(segment->data + start, offset + count - start);
  return err ? err : shmseg_segment_status(segment);
}

/* Waits for the lock of the segment's object, then *lock ends it when closed. */
static int lock_object(const shmseg_segment *segment, int *lock) {
  int64_t deadline = shmseg_wait_deadline(LOCK_PATIENCE);
  for (;;) {
    int err = shmseg_object_lock(segment->fd, lock);
    if (err != EAGAIN)
      return err;
    err = shmseg_wait_pause(deadline);
    if (err)
      return err;
  }
}

int shmseg_segment_resize(shmseg_segment *segment, size_t size) {
  int lock;
  size_t now;
  if (segment->fd < 0)
    return SHMSEG_CLOSED;
  if (!segment->writable)
    return SHMSEG_READ_ONLY;
  if (size == 0 || size > SIZE_MAX / 2)
    return size == 0 ? EINVAL : EFBIG;
  int err = lock_object(segment, &lock);
  if (err)
    return err;
  err = object_size(segment->fd, &now);
  if (!err && size > now)
    err = shmseg_object_grow(segment->fd, now, size, segment->sparse);
  else if (!err && size < segment->size && ftruncate(segment->fd, (off_t)size) != 0)
    err = errno; /* a size that is less than a peer's but not than ours was meant as growth */
  close(lock);
  return err ? err : shmseg_segment_refresh(segment);
}

/* The mapping of a handle whose object has another size now, or pages that were replaced. */
static int map_again(shmseg_segment *segment, size_t size) {
  size_t length = shmseg_map_round(size);
  if (!segment->data)
    return size == 0 ? 0 : map_new(segment, size);
  if (length > segment->room) {
    shmseg_segment old = *segment;
    int err = map_new(segment, size);
    if (err) {
      *segment = old;
      return err;
    }
    unmap(&old);
    return 0;
  }
  int err = shmseg_map_again(segment->data, segment->room, length, segment->fd, segment->writable);
  if (err)
    return err;
  segment->size = size;
  shmseg_fault_move(segment->fault, segment->data, length);
  return 0;
}

int shmseg_segment_refresh(shmseg_segment *segment) {
  size_t size;
  if (segment->fd < 0)
    return SHMSEG_CLOSED;
  int err = object_size(segment->fd, &size);
  if (err)
    return err;
  if (size == segment->size && shmseg_segment_status(segment) == 0)
    return 0;
  if (shmseg_segment_status(segment) != 0) { /* what was locked may be gone, and locked again */
    shmseg_hold_forget_all(segment);
    segment->recoveries++;
  }
  err = map_again(segment, size);
  return err ? err : prepare_pages(segment);
}

int shmseg_segment_unlink(shmseg_segment *segment) {
  if (segment->fd < 0)
    return SHMSEG_CLOSED;
  return segment->place.name ? remove_name(segment->place, &segment->identity) : EINVAL;
}

int shmseg_segment_remove(shmseg_place place) {
  int err = valid_place(place);
  return err ? err : remove_name(place, NULL);
}
