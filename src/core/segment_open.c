/* SPDX-License-Identifier: MIT */
/* Opening segments: attaching, building, and who of several gets the name. segment.c has the
 * paragraphs. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mapping.h"
#include "core/owner.h"
#include "core/segment.h"
#include "core/wait.h"
#include "os/backing.h"
#include "os/descriptor.h"
#include "os/map.h"
#include "os/presence.h"
#include "os/temporary.h"

/* How often we create or attach while peers unlink and create the same name. */
#define ROUNDS 100

/* Nanoseconds between two such tries when somebody else is replacing an empty file. */
#define REPLACE_PAUSE 10000000

/* How often a handle on a given descriptor tries to get past a remover, once in a millisecond. */
#define TRIES 20

/* What comes of a try to open, besides the codes that callers get. */
enum {
  START_OVER = -1000,   /* what was opened has lost its name, or the name was taken meanwhile */
  BEING_REMOVED = -1001 /* a remover keeps everybody out for a moment */
};

/* An open call. */
typedef struct {
  shmseg_place place;
  shmseg_mode mode;
  const shmseg_options *options;
  shmseg_mark *mark; /* NULL: it is not asked */
  int64_t *deadline, interval;
  bool again; /* the interval is over: the call is to be made again */
} opening;

static void segment_take_options(shmseg_segment *segment, const shmseg_options *options) {
  segment->max = options->max;
  segment->sparse = options->sparse;
  segment->populate = options->populate;
  segment->pin = options->pin;
  segment->is_private = options->is_private;
  segment->is_window = options->offset != 0 || options->length != 0;
  segment->window = options->offset;
}

/* Can these options be? */
static bool segment_fits_options(const shmseg_options *options, shmseg_mode mode) {
  bool is_window = options->offset != 0 || options->length != 0;
  bool attaches = mode == SHMSEG_READ || mode == SHMSEG_WRITE;
  if ((unsigned)options->temporary > SHMSEG_LAST_BY_MARK || options->offset % SHMSEG_ALIGN != 0 ||
      options->offset > INT64_MAX / 2 || options->length > SIZE_MAX / 2)
    return false;
  if (options->grow && (is_window || options->is_private || mode == SHMSEG_READ))
    return false;
  return !options->is_private || (attaches && !options->temporary);
}

/* The bytes of the window in a backing of that size. */
static int segment_window_size(const shmseg_options *options, uint64_t size, size_t *window) {
  uint64_t rest = size > options->offset ? size - options->offset : 0;
  if (rest == 0 || rest < options->length)
    return SHMSEG_TOO_SMALL;
  if (options->length != 0)
    rest = options->length;
  *window = (size_t)rest;
  return rest > SIZE_MAX / 2 ? EFBIG : 0; /* the rounding to pages must not overflow either */
}

static int segment_learn_identity(shmseg_segment *segment, struct stat *status) {
  if (fstat(segment->fd, status) != 0)
    return errno;
  segment->identity = shmseg_backing_identity(status);
  return 0;
}

/* What is done with a backing of that size that was opened as with one that was built. */
static int segment_enter(shmseg_segment *segment, const shmseg_options *options, uint64_t size) {
  size_t window = 0;
  segment->generation = segment->opened = shmseg_map_number();
  int err = segment_window_size(options, size, &window);
  return err ? err : shmseg_mapping_renew(segment, window);
}

static int segment_give_up_unopened(shmseg_segment *segment, int err) {
  shmseg_segment_init(segment);
  return err;
}

/* Learns which backing the handle has, and takes the presence that is due for it. Of one that was
 * there START_OVER: it has no name any more; BEING_REMOVED. */
static int segment_become_present(shmseg_segment *segment, bool is_new, bool asked) {
  struct stat status;
  if (!asked && segment->place.type == SHMSEG_FILE) {
    int err = segment_learn_identity(segment, &status);
    if (is_new)
      status.st_nlink = 1; /* it is to get a name */
    if (err || !shmseg_presence_is_due(&status))
      return err;
  }
  int err = shmseg_presence_enter(segment->fd, &status);
  if (err && !shmseg_presence_is_none(err))
    return err == EAGAIN ? BEING_REMOVED : err;
  segment->identity = shmseg_backing_identity(&status);
  if (err)
    return asked ? err : 0;
  segment->apart = true;
  return is_new || status.st_nlink > 0 ? 0 : START_OVER;
}

static bool segment_asks_for_last(const shmseg_options *options) {
  return options->temporary == SHMSEG_TEMPORARY_LAST;
}

/* Is the backing that is there one that goes with its last handle? */
static bool segment_goes_last(const shmseg_segment *segment, const opening *o) {
  if (segment_asks_for_last(o->options))
    return true;
  return o->mark && o->place.type == SHMSEG_NAME && o->mark(segment->fd) == SHMSEG_TEMPORARY_LAST;
}

/* Has the name removed with the last handle, this one or another, if that is so. */
static int segment_join_last(shmseg_segment *segment, const opening *o) {
  if (!segment->writable || !segment_goes_last(segment, o))
    return 0;
  return shmseg_temporary_add(segment->place, segment->identity, segment->fd, true,
                              &segment->temporary);
}

/* Grows an open segment that is smaller than was asked for. SHMSEG_INTERRUPTED: o->again is true. */
static int segment_grow(shmseg_segment *segment, opening *o) {
  if (!o->options->grow || segment->size >= o->options->size)
    return 0;
  int err = shmseg_segment_resize_until(segment, o->options->size, o->deadline);
  o->again = err == SHMSEG_INTERRUPTED;
  return err;
}

/* SHMSEG_EMPTY: at this moment an ordinary file is there, and empty. */
static int segment_attach(shmseg_segment *segment, opening *o, bool writable) {
  uint64_t size = 0;
  shmseg_segment_init(segment);
  int err = shmseg_backing_open(o->place, writable && !o->options->is_private, &segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  segment->place = o->place;
  segment->writable = writable;
  segment_take_options(segment, o->options);
  err = segment_become_present(segment, false, segment_asks_for_last(o->options));
  if (!err)
    err = shmseg_backing_length(segment->fd, &size);
  if (!err && size == 0 && o->place.type == SHMSEG_FILE)
    err = SHMSEG_EMPTY;
  else if (!err && (size == 0 || (size < o->options->size && !o->options->grow)))
    err = SHMSEG_TOO_SMALL;
  if (!err)
    err = segment_join_last(segment, o);
  if (!err)
    err = segment_enter(segment, o->options, size);
  if (!err)
    err = segment_grow(segment, o);
  return err ? shmseg_segment_give_up(segment, err) : 0;
}

/* Makes the segment complete: memory, mapping, content. It has no name yet. */
static int segment_build(shmseg_segment *segment, const shmseg_options *options) {
  segment->writable = true;
  segment_take_options(segment, options);
  int err = shmseg_backing_grow(segment->fd, 0, options->size, options->sparse);
  if (!err)
    err = segment_enter(segment, options, options->size);
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
  return shmseg_segment_give_up(segment, err);
}

/* What has to be done before the backing gets its permissions and its name. It is undone when
 * another backing gets the name. */
static int segment_prepare_name(shmseg_segment *segment, const shmseg_options *options) {
  uint32_t id;
  bool last = options->temporary >= SHMSEG_TEMPORARY_LAST;
  int err = 0;
  if (options->temporary)
    err = shmseg_temporary_add(segment->place, segment->identity, segment->fd, last,
                               &segment->temporary);
  /* taking a lock opens the backing once more: these permissions would shut out their own creator */
  if (!err && (options->perm & 0600) != 0600)
    err = shmseg_owner_identity(segment, &id);
  return err;
}

/* Naps, since a remover is at work. 0: try again. */
static int segment_wait_for_remover(opening *o) {
  int err = shmseg_segment_wait_for_peer(o->deadline, &o->interval);
  o->again = err == SHMSEG_INTERRUPTED;
  return err;
}

/* The name is taken, and what it leads to will do: attaches, or replaces an empty file.
 * START_OVER: look again. */
static int segment_attach_instead(shmseg_segment *segment, opening *o, bool *created) {
  shmseg_segment winner;
  int err = segment_attach(&winner, o, true);
  if (err == BEING_REMOVED)
    err = segment_wait_for_remover(o);
  if (err == 0 && !shmseg_segment_is_open(&winner)) /* after the wait */
    return START_OVER;
  if (err == ENOENT && shmseg_backing_dangles(o->place))
    return segment_abandon(segment, o->place, ELOOP);
  if (err == ENOENT || err == START_OVER)
    return START_OVER;
  if (err == SHMSEG_EMPTY) {
    err = shmseg_backing_replace_empty(segment->fd, o->place, o->options->perm);
    *created = err == 0;
    if (err == EAGAIN) {
      shmseg_wait_nap(REPLACE_PAUSE, SHMSEG_FOREVER);
      return START_OVER;
    }
    return err ? segment_abandon(segment, o->place, err) : 0;
  }
  segment_abandon(segment, o->place,
                  0); /* ours is not wanted, and what init has opened has ended */
  *segment = winner;
  return err;
}

/* Gives the new backing its name, unless that is taken: then, with mode SHMSEG_CREATE, attaches. */
static int segment_publish(shmseg_segment *segment, opening *o, bool *created) {
  for (int round = 0; round < ROUNDS; round++) {
    int err = shmseg_backing_publish(segment->fd, o->place, o->options->perm);
    *created = err == 0;
    if (err == EEXIST && o->mode == SHMSEG_CREATE)
      err = segment_attach_instead(segment, o, created);
    else if (err)
      err = segment_abandon(segment, o->place, err);
    if (*created && segment->temporary)
      shmseg_temporary_settle(segment->temporary);
    if (err != START_OVER)
      return err;
  }
  return segment_abandon(segment, o->place, EAGAIN);
}

static int segment_create(shmseg_segment *segment, opening *o, bool *created) {
  bool last = o->options->temporary >= SHMSEG_TEMPORARY_LAST;
  shmseg_segment_init(segment);
  if (o->options->size == 0)
    return EINVAL;
  int err = shmseg_backing_build(o->place, &segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  segment->place = o->place;
  err = segment_become_present(segment, true, last);
  if (!err)
    err = segment_build(segment, o->options);
  if (!err)
    err = segment_prepare_name(segment, o->options);
  return err ? segment_abandon(segment, o->place, err) : segment_publish(segment, o, created);
}

/* Tries once. START_OVER, BEING_REMOVED. */
static int segment_open_once(shmseg_segment *segment, opening *o, bool *created) {
  struct stat status;
  if (o->mode == SHMSEG_CREATE_ONLY) /* spares building what cannot be published */
    return shmseg_backing_stat(o->place, &status) == 0 ? EEXIST
                                                       : segment_create(segment, o, created);
  int err = segment_attach(segment, o, o->mode != SHMSEG_READ);
  /* one that is built under its name (backing_posix.c) has no permissions yet: EACCES */
  if (o->mode == SHMSEG_CREATE && (err == ENOENT || err == SHMSEG_EMPTY))
    return segment_create(segment, o, created);
  return err == SHMSEG_EMPTY ? SHMSEG_TOO_SMALL : err;
}

/* Opens, for an interval at most: then o->again is true. */
static int segment_open(shmseg_segment *segment, opening *o, bool *created) {
  static const shmseg_options none;
  bool ignored;
  if (!o->options)
    o->options = &none;
  if (!created)
    created = &ignored;
  *created = false;
  shmseg_segment_init(segment);
  int err = segment_is_mode(o->mode) && segment_fits_options(o->options, o->mode)
                ? shmseg_segment_valid_place(o->place)
                : EINVAL;
  o->again = false;
  for (int round = 0; !err && round < ROUNDS; round++) {
    err = segment_open_once(segment, o, created);
    if (err == BEING_REMOVED)
      err = segment_wait_for_remover(o);
    else if (err != START_OVER)
      return err;
    else
      err = 0;
  }
  return err ? err : EAGAIN;
}

int shmseg_segment_open_marked(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                               const shmseg_options *options, shmseg_mark *mark, int64_t *deadline,
                               bool *created) {
  opening o = { place, mode, options, mark, deadline, 0, false };
  return segment_open(segment, &o, created);
}

int shmseg_segment_open_until(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                              const shmseg_options *options, int64_t *deadline, bool *created) {
  return shmseg_segment_open_marked(segment, place, mode, options, NULL, deadline, created);
}

int shmseg_segment_open(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                        const shmseg_options *options, bool *created) {
  int64_t deadline = 0;
  opening o = { place, mode, options, NULL, &deadline, 0, false };
  int err;
  do {
    o.interval = 0;
    err = segment_open(segment, &o, created);
  } while (o.again); /* and not when init has said so */
  return err;
}

int shmseg_segment_anonymous(shmseg_segment *segment, const shmseg_options *options) {
  struct stat status;
  shmseg_segment_init(segment);
  if (!options || options->size == 0 || options->temporary ||
      !segment_fits_options(options, SHMSEG_CREATE_ONLY))
    return EINVAL;
  int err = shmseg_backing_anonymous(&segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  err = segment_learn_identity(segment, &status);
  if (!err)
    err = segment_build(segment, options);
  if (!err)
    err = shmseg_backing_seal(segment->fd);
  return err ? shmseg_segment_give_up(segment, err) : 0;
}

/* The caller's description stays without a presence: one of its own has it, if one can be had. */
static int segment_take_own_description(shmseg_segment *segment) {
  struct stat status;
  int fresh, err = EAGAIN;
  if (shmseg_descriptor_reopen(segment->fd, &fresh) != 0)
    return 0;
  for (int i = 0; i < TRIES && err == EAGAIN; i++) {
    err = shmseg_presence_enter(fresh, &status);
    if (err == EAGAIN)
      shmseg_wait_pause(SHMSEG_FOREVER);
  }
  shmseg_presence_close(err ? fresh : segment->fd);
  if (!err)
    segment->fd = fresh;
  segment->apart = !err;
  return err == EAGAIN || shmseg_presence_is_none(err) ? 0 : err;
}

int shmseg_segment_from_fd(shmseg_segment *segment, int fd, bool writable) {
  struct stat status;
  static const shmseg_options none;
  uint64_t size = 0;
  shmseg_segment_init(segment);
  int err = shmseg_descriptor_duplicate(fd, &segment->fd);
  if (err)
    return segment_give_up_unopened(segment, err);
  segment->writable = writable;
  err = fstat(segment->fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : ENODEV;
  if (!err && shmseg_presence_is_due(&status))
    err = segment_take_own_description(segment);
  if (!err)
    err = shmseg_backing_length(segment->fd, &size);
  if (!err)
    err = segment_learn_identity(segment, &status);
  if (!err)
    err = segment_enter(segment, &none, size);
  return err ? shmseg_segment_give_up(segment, err) : 0;
}
