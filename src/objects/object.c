/* SPDX-License-Identifier: MIT */
/* Handles of objects: opening in a slice or by name, closing, checking. */
#include "objects/object.h"

#include <errno.h>
#include <string.h>

#include "core/eventcount.h"
#include "core/owner.h"
#include "core/wait.h"
#include "core/watch.h"
#include "objects/header.h"

/* Nanoseconds that another process may be building an object. */
#define BUILD_PATIENCE ((int64_t)1000000000)

/* How often a name is tried that peers give to other segments, and remove, each time. */
#define ROUNDS 100

/* --- opening and closing ------------------------------------------------------------------ */

/* Makes the handle a closed one of the kind, with its offset; or says why it cannot be there. */
static int object_begin(shmseg_object *object, const shmseg_kind *kind, shmseg_slice where,
                        shmseg_mode mode, const shmseg_object_options *options) {
  uint64_t given[SHMSEG_GEOMETRY];
  memset(object, 0, kind->handle_size);
  object->kind = kind;
  if (!where.segment || !shmseg_segment_is_open(where.segment))
    return SHMSEG_CLOSED;
  bool is_whole = shmseg_kinds_given(kind, options, given);
  if (!segment_is_mode(mode) || where.segment->is_private || where.offset % SHMSEG_ALIGN != 0 ||
      (is_whole && shmseg_kinds_size(kind, given) == 0))
    return EINVAL;
  uint64_t all = where.segment->size;
  if (where.offset > all || where.size > all - where.offset || where.size < SHMSEG_HEADER_SIZE)
    return shmseg_header_too_small(object, where.size, shmseg_object_size(kind, options));
  object->offset = where.offset;
  object->generation = where.segment->generation;
  return 0;
}

int shmseg_object_open_until(shmseg_object *object, const shmseg_kind *kind, shmseg_slice where,
                             shmseg_mode mode, const shmseg_object_options *options,
                             int64_t *deadline, bool *created) {
  bool ignored;
  if (!created)
    created = &ignored;
  *created = false;
  int err = object_begin(object, kind, where, mode, options);
  if (err)
    return err;
  object->segment = where.segment;
  err = shmseg_header_enter(object, where.size, mode, options, created);
  if (err == 0) {
    if (kind->open)
      kind->open(object);
    return 0;
  }
  object->segment = NULL;
  if (err != SHMSEG_INTERRUPTED)
    return err;
  err = shmseg_wait_pause(shmseg_wait_patience(deadline, BUILD_PATIENCE));
  return err ? err : SHMSEG_INTERRUPTED;
}

int shmseg_object_open(shmseg_object *object, const shmseg_kind *kind, shmseg_slice where,
                       shmseg_mode mode, const shmseg_object_options *options, bool *created) {
  int64_t deadline = 0;
  int err;
  do
    err = shmseg_object_open_until(object, kind, where, mode, options, &deadline, created);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

void shmseg_object_close(shmseg_object *object) {
  if (object->kind && object->kind->close)
    object->kind->close(object);
  if (object->segment)
    shmseg_watch_end(&object->segment->watches, object);
  object->segment = NULL;
  object->guard = NULL;
}

/* --- an open object ----------------------------------------------------------------------- */

/* A handle is constant to those who only read the object, but what it remembers is not. */
static void object_note_proof(shmseg_object *object) {
  object->guard = object->segment->fault;
  object->proof = object->guard ? shmseg_fault_prove(object->segment->fault) : 0;
}

int shmseg_object_why(const shmseg_object *object) {
  shmseg_segment *segment = object->segment;
  if (!segment || !shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  int err = segment_status(segment);
  if (err)
    shmseg_owner_start_over(segment);
  if (!err && object->generation < segment->opened)
    return SHMSEG_CLOSED; /* opened in what the handle was before, or in init */
  if (!err && !shmseg_object_is_there(object))
    return SHMSEG_TRUNCATED; /* recovered, or cut, since the object was opened */
  if (!err)
    object_note_proof((shmseg_object *)object);
  return err;
}

int shmseg_object_begin_slowly(const shmseg_object *object, uint32_t *id) {
  int err = shmseg_object_ready(object);
  return err ? err : shmseg_owner_identity(object->segment, id);
}

const char *shmseg_object_check(const shmseg_object *object) {
  int err = shmseg_object_ready(object);
  if (err)
    return shmseg_strerror(err);
  const char *wrong = shmseg_header_check(object);
  return wrong ? wrong : object->kind->check(object);
}

/* --- watches ------------------------------------------------------------------------------ */

int shmseg_object_watch(const shmseg_object *object, uint64_t offset, shmseg_watch *watch,
                        uint32_t *key) {
  int err = shmseg_object_ready(object);
  if (err)
    return shmseg_watch_refuse(watch, err);
  uint32_t *word = shmseg_object_at(object, offset);
  err = shmseg_watch_begin(watch, object->segment, object, word, !object->segment->writable);
  if (!err)
    *key = shmseg_eventcount_prepare(object->segment, word);
  return err;
}

int shmseg_object_arm(const shmseg_object *object, uint64_t offset, shmseg_watch *watch,
                      uint32_t key, bool found) {
  bool unasked =
      key == 0 && object->segment->writable; /* peers were faster at each try: look again */
  return shmseg_watch_arm(watch, object->segment, shmseg_object_at(object, offset), key,
                          found || unasked ? 0 : SHMSEG_EMPTY);
}

/* --- by name ------------------------------------------------------------------------------ */

/* An object that is built in a segment that has no name yet. */
typedef struct {
  shmseg_object *object;
  const shmseg_kind *kind;
  const shmseg_object_options *options;
  int mark; /* 0, SHMSEG_TEMPORARY or SHMSEG_TEMPORARY_LAST */
} building;

/* Another segment may get the name in the end, so the handle is closed again. */
static int object_build_in(shmseg_segment *segment, void *context) {
  const building *b = context;
  int err = shmseg_object_open(b->object, b->kind, shmseg_segment_whole(segment),
                               SHMSEG_CREATE_ONLY, b->options, NULL);
  if (!err && b->mark)
    shmseg_header_set_mark(b->object, b->mark);
  shmseg_object_close(b->object);
  b->object->kind = NULL;
  return err;
}

/* A segment that is too small for the wanted object is opened, too: it may have another object, and
 * that is to be told. If the segment is gone at the second look, SHMSEG_CREATE begins anew. */
static int object_open_segment(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                               const shmseg_options *options, int64_t *deadline, bool *created) {
  shmseg_options any = *options;
  any.size = 0;
  any.init = NULL;
  for (int round = 0; round < ROUNDS; round++) {
    int err = shmseg_segment_open_marked(segment, place, mode, options, shmseg_header_mark_of,
                                         deadline, created);
    if (err != SHMSEG_TOO_SMALL || mode != SHMSEG_CREATE)
      return err;
    err = shmseg_segment_open_marked(segment, place, SHMSEG_WRITE, &any, shmseg_header_mark_of,
                                     deadline, NULL);
    if (err != ENOENT)
      return err;
  }
  return EAGAIN;
}

/* The options that were given for the segment, with the size and the init that the object needs. */
static int object_segment_options(building *b, shmseg_mode mode, const shmseg_options *given,
                                  shmseg_options *options) {
  static const shmseg_options usual = { .perm = 0600 };
  *options = given ? *given : usual;
  b->mark = options->temporary;
  if (options->temporary == SHMSEG_TEMPORARY_LAST)
    options->temporary = SHMSEG_LAST_BY_MARK;
  else if (options->temporary != 0 && options->temporary != SHMSEG_TEMPORARY)
    return EINVAL;
  if (options->grow || options->offset != 0 || options->length != 0 || options->is_private)
    return EINVAL;
  options->size = 0;
  options->init = object_build_in;
  options->context = b;
  if (mode == SHMSEG_READ || mode == SHMSEG_WRITE)
    return 0;
  uint64_t size = shmseg_object_size(b->kind, b->options);
  if (size == 0)
    return EINVAL;
  options->size = (size_t)size;
  return size > SIZE_MAX / 2 ? EFBIG : 0;
}

int shmseg_object_open_named_until(shmseg_object *object, const shmseg_kind *kind,
                                   shmseg_segment *segment, const char *name, shmseg_mode mode,
                                   const shmseg_object_options *options,
                                   const shmseg_options *segment_options, int64_t *deadline,
                                   bool *created) {
  building b = { object, kind, options, 0 };
  bool is_built = false;
  int err = 0;
  if (!shmseg_segment_is_open(segment)) { /* the first call */
    shmseg_options own;
    shmseg_place place = { SHMSEG_NAME, name };
    memset(object, 0, kind->handle_size);
    *created = false;
    err = object_segment_options(&b, mode, segment_options, &own);
    if (!err)
      err = object_open_segment(segment, place, mode, &own, deadline, created);
    if (err)
      return err;
  }
  err = shmseg_object_open_until(object, kind, shmseg_segment_whole(segment),
                                 mode == SHMSEG_CREATE_ONLY ? SHMSEG_WRITE : mode, options,
                                 deadline, &is_built);
  if (err == SHMSEG_INTERRUPTED && !*created)
    return err;
  if (err) {
    /* one that was complete: a peer that has written over it is not waited for */
    if (*created && shmseg_segment_unlink_until(segment, deadline) == SHMSEG_INTERRUPTED)
      return SHMSEG_INTERRUPTED;
    if (*created)
      shmseg_segment_close(segment);
    else /* a failed call removes nothing of others */
      shmseg_segment_leave(segment);
    *created = false;
    return err == SHMSEG_INTERRUPTED ? SHMSEG_TIMEOUT : err;
  }
  *created = *created || is_built;
  return 0;
}

int shmseg_object_open_named(shmseg_object *object, const shmseg_kind *kind,
                             shmseg_segment *segment, const char *name, shmseg_mode mode,
                             const shmseg_object_options *options,
                             const shmseg_options *segment_options, bool *created) {
  int64_t deadline = 0;
  bool is_created = false;
  int err;
  shmseg_segment_init(segment);
  do
    err = shmseg_object_open_named_until(object, kind, segment, name, mode, options,
                                         segment_options, &deadline, &is_created);
  while (err == SHMSEG_INTERRUPTED);
  if (created)
    *created = is_created;
  return err;
}
