/* SPDX-License-Identifier: MIT */
/* A segment: one backing, mapped whole, that can be built, resized and lost without harm.
 *
 * LAYOUT      none: a segment's bytes are its users'.
 *
 * INVARIANTS  S1  [data, data + size) is mapped to the backing, or to private zeroes after a fault.
 *             S2  fault guards exactly that range while the handle is open.
 *             S3  reserved is whole pages, reserved >= size; what lies between cannot be touched.
 *             S4  a name leads to a complete backing: right size, permissions and content.
 *             S5  a call that fails leaves handle and backing as they were: what can be refused (address
 *                 space, pinning, memory) is asked for before the size of either changes.
 *
 * PROTOCOL    open    attach, or build a nameless backing and link it under its name: the link
 *                     publishes. Losing the race for the name means attaching to the winner's.
 *             resize  under the backing's lock: map what will be there, take its memory, then set the
 *                     size in one system call: that publishes.
 *             unlink  under the backing's lock, after a look at what the name leads to.
 *
 * CRASHES     before the link nothing has a name and all is gone; the lock goes with its
 *             descriptor; memory taken for a growth that was not published is freed with the
 *             backing or used by the next growth. */
#define _GNU_SOURCE
#include "core/segment.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mapping.h"
#include "core/owner.h"
#include "core/wait.h"
#include "os/backing.h"
#include "os/descriptor.h"
#include "os/fault.h"
#include "os/map.h"
#include "os/temporary.h"

/* How often we create or attach while peers unlink and create the same name. */
#define ROUNDS 100

/* Nanoseconds between two such tries when somebody else is replacing an empty file. */
#define REPLACE_PAUSE 10000000

void shmseg_segment_init(shmseg_segment *segment) {
  memset(segment, 0, sizeof *segment);
}

int shmseg_segment_valid_place(shmseg_place place) {
  if (!place.name || (place.type != SHMSEG_NAME && place.type != SHMSEG_FILE))
    return EINVAL;
  if (place.type == SHMSEG_FILE)
    return *place.name == '\0' ? ENOENT : 0;
  if (*place.name == '\0' || strchr(place.name, '/') || strcmp(place.name, ".") == 0 ||
      strcmp(place.name, "..") == 0)
    return EINVAL;
  return strlen(place.name) > SHMSEG_NAME_MAX ? ENAMETOOLONG : 0;
}

/* --- opening ------------------------------------------------------------------------------ */

static int segment_learn_identity(shmseg_segment *segment) {
  struct stat status;
  if (fstat(segment->fd, &status) != 0)
    return errno;
  segment->identity = shmseg_backing_identity(&status);
  return 0;
}

static void segment_take_options(shmseg_segment *segment, const shmseg_options *options) {
  segment->max = options->max;
  segment->sparse = options->sparse;
  segment->populate = options->populate;
  segment->pin = options->pin;
}

/* What is done with a backing that was opened as with one that was built. */
static int segment_enter(shmseg_segment *segment, size_t size) {
  int err = segment_learn_identity(segment);
  segment->generation = segment->opened = shmseg_map_number();
  return err ? err : shmseg_mapping_renew(segment, size);
}

/* Undoes a partial open. A backing that was built is left to segment_abandon(). */
static int segment_give_up(shmseg_segment *segment, int err) {
  if (segment->temporary)
    shmseg_temporary_remove(segment->temporary);
  shmseg_owner_forget_all(segment); /* init may have locked something */
  shmseg_mapping_end(segment);
  if (shmseg_segment_is_open(segment))
    close(segment->fd);
  shmseg_segment_init(segment);
  return err;
}

static int segment_give_up_unopened(shmseg_segment *segment, int err) {
  shmseg_segment_init(segment);
  return err;
}

/* SHMSEG_EMPTY: at this moment an ordinary file is there, and empty. */
static int segment_attach(shmseg_segment *segment, shmseg_place place, bool writable,
                          const shmseg_options *options) {
  size_t size = 0;
  shmseg_segment_init(segment);
  int err = shmseg_backing_open(place, writable, &segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  segment->place = place;
  segment->writable = writable;
  segment_take_options(segment, options);
  err = shmseg_backing_size(segment->fd, &size);
  if (!err && size == 0 && place.type == SHMSEG_FILE)
    err = SHMSEG_EMPTY;
  else if (!err && (size == 0 || size < options->size))
    err = SHMSEG_TOO_SMALL;
  if (!err)
    err = segment_enter(segment, size);
  return err ? segment_give_up(segment, err) : 0;
}

/* Makes the segment complete: memory, mapping, content. It has no name yet. */
static int segment_build(shmseg_segment *segment, const shmseg_options *options) {
  segment->writable = true;
  segment_take_options(segment, options);
  int err = shmseg_backing_grow(segment->fd, 0, options->size, options->sparse);
  if (!err)
    err = segment_enter(segment, options->size);
  if (!err && options->init) {
    err = options->init(segment, options->context);
    if (!err)
      err = shmseg_segment_is_open(segment) ? shmseg_segment_status(segment) : SHMSEG_CLOSED;
  }
  return err;
}

static int segment_abandon(shmseg_segment *segment, shmseg_place place, int err) {
  if (shmseg_segment_is_open(segment)) /* init may have closed it */
    shmseg_backing_abandon(segment->fd, place);
  return segment_give_up(segment, err);
}

/* What has to be done before the backing gets its permissions and its name. It is undone when
 * another backing gets the name. */
static int segment_prepare_name(shmseg_segment *segment, const shmseg_options *options) {
  uint32_t id;
  int err = 0;
  if (options->temporary)
    err = shmseg_temporary_add(segment->place, segment->identity, segment->fd, &segment->temporary);
  /* taking a lock opens the backing once more: these permissions would shut out their own creator */
  if (!err && (options->perm & 0600) != 0600)
    err = shmseg_owner_identity(segment, &id);
  return err;
}

/* The name is taken, and what it leads to will do: attaches, or replaces an empty file.
 * SHMSEG_CHANGED: look again. */
static int segment_attach_instead(shmseg_segment *segment, shmseg_place place,
                                  const shmseg_options *options, bool *created) {
  shmseg_segment winner;
  int err = segment_attach(&winner, place, true, options);
  if (err == ENOENT)
    return shmseg_backing_dangles(place) ? segment_abandon(segment, place, ELOOP) : SHMSEG_CHANGED;
  if (err == SHMSEG_EMPTY) {
    err = shmseg_backing_replace_empty(segment->fd, place, options->perm);
    *created = err == 0;
    if (err == EAGAIN) {
      shmseg_wait_nap(REPLACE_PAUSE, SHMSEG_FOREVER);
      return SHMSEG_CHANGED;
    }
    return err ? segment_abandon(segment, place, err) : 0;
  }
  segment_abandon(segment, place, 0); /* ours is not wanted, and what init has opened has ended */
  *segment = winner;
  return err;
}

/* Creates the backing, unless its name is taken: then, with mode SHMSEG_CREATE, attaches. */
static int segment_create(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                          const shmseg_options *options, bool *created) {
  shmseg_segment_init(segment);
  if (options->size == 0)
    return EINVAL;
  int err = shmseg_backing_build(place, &segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  segment->place = place;
  err = segment_build(segment, options);
  if (!err)
    err = segment_prepare_name(segment, options);
  if (err)
    return segment_abandon(segment, place, err);
  for (int round = 0; round < ROUNDS; round++) {
    err = shmseg_backing_publish(segment->fd, place, options->perm);
    *created = err == 0;
    if (err == EEXIST && mode == SHMSEG_CREATE)
      err = segment_attach_instead(segment, place, options, created);
    else if (err)
      err = segment_abandon(segment, place, err);
    if (*created && segment->temporary)
      shmseg_temporary_settle(segment->temporary);
    if (err != SHMSEG_CHANGED)
      return err;
  }
  return segment_abandon(segment, place, EAGAIN);
}

int shmseg_segment_open(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                        const shmseg_options *options, bool *created) {
  static const shmseg_options none;
  bool ignored;
  if (!options)
    options = &none;
  if (!created)
    created = &ignored;
  *created = false;
  shmseg_segment_init(segment);
  int err = segment_is_mode(mode) ? shmseg_segment_valid_place(place) : EINVAL;
  if (err)
    return err;
  if (mode != SHMSEG_CREATE_ONLY) {
    err = segment_attach(segment, place, mode != SHMSEG_READ, options);
    bool is_absent = err == ENOENT || err == SHMSEG_EMPTY;
    /* one that is built under its name (backing_posix.c) has no permissions yet: EACCES */
    if (mode != SHMSEG_CREATE || !is_absent)
      return err == SHMSEG_EMPTY ? SHMSEG_TOO_SMALL : err;
  } else {
    struct stat status; /* spares building what cannot be published */
    if (shmseg_backing_stat(place, &status) == 0)
      return EEXIST;
  }
  return segment_create(segment, place, mode, options, created);
}

int shmseg_segment_anonymous(shmseg_segment *segment, const shmseg_options *options) {
  shmseg_segment_init(segment);
  if (!options || options->size == 0 || options->temporary)
    return EINVAL;
  int err = shmseg_backing_anonymous(&segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  err = segment_build(segment, options);
  if (!err)
    err = shmseg_backing_seal(segment->fd);
  return err ? segment_give_up(segment, err) : 0;
}

int shmseg_segment_from_fd(shmseg_segment *segment, int fd, bool writable) {
  struct stat status;
  size_t size = 0;
  shmseg_segment_init(segment);
  int err = shmseg_descriptor_duplicate(fd, &segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  segment->writable = writable;
  err = fstat(segment->fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : ENODEV;
  if (!err)
    err = shmseg_backing_size(segment->fd, &size);
  if (!err)
    err = segment_enter(segment, size);
  return err ? segment_give_up(segment, err) : 0;
}

/* --- closing ------------------------------------------------------------------------------ */

void shmseg_segment_close(shmseg_segment *segment) {
  if (!shmseg_segment_is_open(segment))
    return;
  shmseg_temporary *temporary = segment->temporary;
  segment->temporary = NULL;
  shmseg_owner_abandon_all(segment);
  if (temporary)
    shmseg_temporary_unlink(temporary);
  segment_give_up(segment, 0);
}

/* --- bytes -------------------------------------------------------------------------------- */

int shmseg_segment_status(const shmseg_segment *segment) {
  return segment_status(segment);
}

static int segment_check_range(const shmseg_segment *segment, size_t offset, size_t count) {
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  return offset > segment->size || count > segment->size - offset ? SHMSEG_OUT_OF_RANGE : 0;
}

int shmseg_segment_read(const shmseg_segment *segment, size_t offset, void *buffer, size_t count) {
  int err = segment_check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  memcpy(buffer, segment->data + offset, count);
  return shmseg_segment_status(segment);
}

int shmseg_segment_write(const shmseg_segment *segment, size_t offset, const void *bytes,
                         size_t count) {
  int err = segment_check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  if (!segment->writable)
    return SHMSEG_READ_ONLY;
  memcpy(segment->data + offset, bytes, count);
  return shmseg_segment_status(segment);
}

int shmseg_segment_flush(const shmseg_segment *segment, size_t offset, size_t count) {
  int err = segment_check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  size_t start = offset / shmseg_map_page() * shmseg_map_page();
  err = shmseg_map_flush(segment->data + start, offset + count - start);
  return err ? err : shmseg_segment_status(segment);
}
