/* SPDX-License-Identifier: MIT */
/* A cell: the latest value, never torn.
 *
 * LAYOUT      offset  size
 *             0       64    header (objects/header.h), capacity = bytes of the largest value
 *             64      4     lock word of the writers (core/lock.h)
 *             68      60    0
 *             128     8     version word: version + 1; versions count the values from 1 on
 *             136     4     eventcount (core/eventcount.h), notified for each new version
 *             140     52    0
 *             192           4 buffers: size (8 bytes), the bytes, rounded up to 64 together
 *
 *             The value of version v is in buffer v mod 4.
 *
 * INVARIANTS  C1  the version word is 1 (no value yet) or more, and only grows.
 *             C2  the buffers of the last 3 versions are whole; only the one after may be changing.
 *             C3  a size is not above the capacity.
 *
 * PROTOCOL    set   take the lock; fence; fill buffer (v + 1) mod 4; if the value's bytes were there,
 *                   store the version word v + 1 with release: that publishes. Unlock, notify.
 *                   The fence: a reader that sees a byte of version v + 1 must also see that v is
 *                   published, or its check below could pass.
 *             get   load v with acquire, copy buffer v mod 4, fence, load v'. The buffer was whole
 *                   all the while if v' - v <= 2: that of v + 4 is begun when v + 3 is out.
 *
 * CRASHES     writer dies before the release store: the old value stands, and the half-filled buffer
 *             is the next writer's. After it: the value is out; sleepers who were not woken look
 *             after their interval. The lock is recovered (core/lock.h). */
#include <errno.h>

#include "core/eventcount.h"
#include "core/lock.h"
#include "core/owner.h"
#include "core/segment.h"
#include "core/wait.h"
#include "core/word.h"
#include "objects/kinds.h"
#include "objects/object.h"

#define LOCK 64
#define VERSION 128
#define EVENTCOUNT 136
#define BUFFERS 192
#define COUNT 4
#define BYTES 8 /* where the bytes of a buffer begin, behind their size */

/* Versions that may come out while a buffer is read: that of version v is touched by v + 4 alone. */
#define LEAD (COUNT - 2)

/* Nanoseconds that a writer waits for another, and a reader tries while writers overtake it. */
#define LOCK_PATIENCE ((int64_t)5 * 1000000000)
#define READ_PATIENCE ((int64_t)100 * 1000000)
#define READ_TRIES 8 /* at least: a process that seldom runs may be late at the second one */

static uint64_t cell_buffer_size(uint64_t capacity) {
  return (BYTES + capacity + SHMSEG_ALIGN - 1) / SHMSEG_ALIGN * SHMSEG_ALIGN;
}

static uint64_t cell_size(const uint64_t *geometry) {
  uint64_t capacity = geometry[0];
  if (capacity == 0 || capacity > SHMSEG_CAPACITY_MAX)
    return 0;
  return BUFFERS + COUNT * cell_buffer_size(capacity);
}

static void cell_fit(uint64_t available, uint64_t *geometry) {
  uint64_t each =
      available > BUFFERS ? (available - BUFFERS) / COUNT / SHMSEG_ALIGN * SHMSEG_ALIGN : 0;
  geometry[0] = each > BYTES ? each - BYTES : 0;
}

static int cell_build(const uint64_t *geometry, shmseg_words *words) {
  (void)geometry;
  words[0] = (shmseg_words){ LOCK, 1, 4, SHMSEG_LOCK_FREE, 0 };
  words[1] = (shmseg_words){ VERSION, 1, 8, 1, 0 };
  words[2] = (shmseg_words){ EVENTCOUNT, 1, 4, SHMSEG_EVENTCOUNT_START, 0 };
  return 3;
}

static uint32_t *cell_lock_of(const shmseg_cell *cell) {
  return shmseg_object_at(&cell->object, LOCK);
}

static uint64_t *cell_version_of(const shmseg_cell *cell) {
  return shmseg_object_at(&cell->object, VERSION);
}

static uint32_t *cell_eventcount_of(const shmseg_cell *cell) {
  return shmseg_object_at(&cell->object, EVENTCOUNT);
}

static unsigned char *cell_buffer_of(const shmseg_cell *cell, uint64_t version) {
  return shmseg_object_at(&cell->object,
                          BUFFERS + version % COUNT * cell_buffer_size(cell->object.capacity));
}

/* --- writing ------------------------------------------------------------------------------ */

/* Under the lock. */
static int cell_publish(const shmseg_cell *cell, uint64_t version, const shmseg_source *value) {
  unsigned char *buffer = cell_buffer_of(cell, version);
  fence_release(); /* version - 1 is seen first: pairs with the fence in shmseg_cell_confirm() */
  store_relaxed((uint64_t *)buffer, (uint64_t)value->size);
  copy_to_shared(buffer + BYTES, value->bytes, value->size);
  int err = shmseg_object_copied(&cell->object, value, 1);
  if (err)
    return err;
  /* Publish. Pairs with the acquire in shmseg_cell_peek(); from here the value is out (C2). */
  store_release(cell_version_of(cell), version + 1);
  return 0;
}

/* Under the lock. */
static int cell_publish_next(const shmseg_cell *cell, uint64_t expected, const shmseg_source *value,
                             uint64_t *version) {
  uint64_t now = load_relaxed(cell_version_of(cell));
  *version = now - 1;
  if (now == 0 || now >= SHMSEG_COUNT_MAX)
    return SHMSEG_CORRUPT;
  if (expected != SHMSEG_ANY_VERSION && expected != *version)
    return SHMSEG_CHANGED;
  return cell_publish(cell, ++*version, value);
}

/* After err, is anything wrong with the cell? No when the version was another one, or the value was
 * cut: then nothing has changed. */
static bool cell_is_broken(const shmseg_cell *cell, int err) {
  return err == SHMSEG_CORRUPT || (err != 0 && segment_status(cell->object.segment) != 0);
}

int shmseg_cell_set_until(shmseg_cell *cell, uint64_t expected, const shmseg_source *value,
                          int64_t *deadline, uint64_t *version) {
  uint32_t id;
  bool dirty;
  const shmseg_segment *segment = cell->object.segment;
  int err = shmseg_object_ready(&cell->object);
  if (!err && value->size > cell->object.capacity)
    err = EINVAL;
  if (!err)
    err = shmseg_owner_identity(cell->object.segment, &id);
  if (!err)
    err = shmseg_lock_enter_patiently(segment, cell_lock_of(cell), id, LOCK_PATIENCE, deadline,
                                      &dirty);
  if (err)
    return err;
  err = cell_publish_next(cell, expected, value, version);
  if (cell_is_broken(cell, err))
    return shmseg_lock_leave_dirty(segment, cell_lock_of(cell), id, err);
  int left = shmseg_lock_release(segment, cell_lock_of(cell), id, SHMSEG_LOCK_FREE, 1);
  if (!err)
    /* the version was stored with release, before an ordered swap: no machine looks before it */
    shmseg_eventcount_notify(cell_eventcount_of(cell));
  return left ? left : err;
}

static int cell_set(shmseg_cell *cell, uint64_t expected, const void *bytes, size_t size,
                    uint64_t *version) {
  shmseg_source value = { bytes, size, NULL };
  int64_t deadline = 0;
  int err;
  do {
    err = shmseg_cell_set_until(cell, expected, &value, &deadline, version);
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

int shmseg_cell_set(shmseg_cell *cell, const void *bytes, size_t size, uint64_t *version) {
  return cell_set(cell, SHMSEG_ANY_VERSION, bytes, size, version);
}

int shmseg_cell_cas(shmseg_cell *cell, uint64_t expected, const void *bytes, size_t size,
                    uint64_t *version) {
  if (expected != SHMSEG_ANY_VERSION)
    return cell_set(cell, expected, bytes, size, version);
  int err = shmseg_cell_version(cell, version); /* no version is that one */
  return err ? err : SHMSEG_CHANGED;
}

/* --- reading ------------------------------------------------------------------------------ */

int shmseg_cell_peek(const shmseg_cell *cell, const unsigned char **bytes, size_t *size,
                     uint64_t *version) {
  int err = shmseg_object_ready(&cell->object);
  if (err)
    return err;
  uint64_t word =
      load_acquire(cell_version_of(cell)); /* pairs with the release in cell_publish() */
  *version = word - 1;
  const unsigned char *buffer = cell_buffer_of(cell, *version);
  uint64_t stored = word > 1 ? load_relaxed((const uint64_t *)buffer) : 0;
  err = segment_status(cell->object.segment);
  if (err)
    return err;
  if (word <= 1 || word > SHMSEG_COUNT_MAX)
    return word == 1 ? SHMSEG_EMPTY : SHMSEG_CORRUPT;
  if (stored > cell->object.capacity) { /* C3; or the buffer is another version's by now */
    err = shmseg_cell_confirm(cell, *version);
    return err ? err : SHMSEG_CORRUPT;
  }
  *bytes = buffer + BYTES;
  *size = (size_t)stored;
  return 0;
}

int shmseg_cell_confirm(const shmseg_cell *cell, uint64_t version) {
  if (!shmseg_object_is_there(&cell->object)) /* closed, or cut, since it was peeked at */
    return shmseg_object_why(&cell->object);
  fence_acquire(); /* what was copied was loaded before this */
  uint64_t now = load_relaxed(cell_version_of(cell)) - 1;
  int err = segment_status(cell->object.segment);
  if (err)
    return err;
  return now - version <= LEAD ? 0 : SHMSEG_CHANGED;
}

/* One try of get. SHMSEG_CHANGED: writers were faster, and the copy is torn. */
static int cell_try(const shmseg_cell *cell, void *buffer, size_t available, size_t *size,
                    uint64_t *version) {
  const unsigned char *bytes;
  int err = shmseg_cell_peek(cell, &bytes, size, version);
  if (err)
    return err;
  if (*size <= available)
    copy_from_shared(buffer, bytes, *size);
  err = shmseg_cell_confirm(cell, *version); /* *size, too, may have been another version's */
  return !err && *size > available ? SHMSEG_TOO_SMALL : err;
}

int shmseg_cell_get(const shmseg_cell *cell, void *buffer, size_t available, size_t *size,
                    uint64_t *version) {
  int64_t deadline = 0; /* begins when a writer has been faster */
  for (int tries = 1;; tries++) {
    int err = cell_try(cell, buffer, available, size, version);
    if (err != SHMSEG_CHANGED)
      return err;
    shmseg_wait_patience(&deadline, READ_PATIENCE);
    if (tries > READ_TRIES && !shmseg_wait_left(deadline))
      return SHMSEG_TIMEOUT;
  }
}

int shmseg_cell_version(const shmseg_cell *cell, uint64_t *version) {
  int err = shmseg_object_ready(&cell->object);
  if (err)
    return err;
  uint64_t word = load_acquire(cell_version_of(cell));
  *version = word - 1;
  err = segment_status(cell->object.segment);
  return err ? err : word == 0 || word > SHMSEG_COUNT_MAX ? SHMSEG_CORRUPT : 0;
}

static bool cell_has_changed(const shmseg_cell *cell, uint64_t seen) {
  return load_ordered(cell_version_of(cell)) - 1 != seen;
}

int shmseg_cell_wait(const shmseg_cell *cell, uint64_t seen, int64_t deadline) {
  const shmseg_segment *segment = cell->object.segment;
  uint64_t version;
  int err = shmseg_cell_version(cell, &version);
  if (err || version != seen)
    return err;
  uint32_t key = shmseg_eventcount_prepare(segment, cell_eventcount_of(cell));
  if (!cell_has_changed(cell, seen))
    err = shmseg_eventcount_wait(segment, cell_eventcount_of(cell), key, deadline);
  if (err)
    return err;
  return cell_has_changed(cell, seen) ? segment_status(segment) : shmseg_wait_again(deadline);
}

int shmseg_cell_watch(const shmseg_cell *cell, uint64_t seen, shmseg_watch *watch) {
  uint32_t key;
  int err = shmseg_object_watch(&cell->object, EVENTCOUNT, watch, &key);
  return err ? err
             : shmseg_object_arm(&cell->object, EVENTCOUNT, watch, key,
                                 cell_has_changed(cell, seen));
}

static const char *cell_check(const shmseg_object *object) {
  const shmseg_cell *cell = (const shmseg_cell *)object;
  uint64_t word = load_relaxed(cell_version_of(cell));
  if (word == 0)
    return "C1: the version";
  for (uint64_t v = word - 1, i = 0; v > 0 && i < COUNT - 1; v--, i++)
    if (load_relaxed((uint64_t *)cell_buffer_of(cell, v)) > cell->object.capacity)
      return "C3: a size";
  if (!shmseg_lock_valid(load_relaxed(cell_lock_of(cell))))
    return "the lock word";
  return shmseg_eventcount_valid(load_relaxed(cell_eventcount_of(cell))) ? NULL : "the eventcount";
}

static int cell_inspect(const shmseg_object *object, shmseg_part *parts) {
  const shmseg_cell *cell = (const shmseg_cell *)object;
  uint64_t version = load_acquire(cell_version_of(cell)) - 1;
  uint64_t buffer =
      (uint64_t)(cell_buffer_of(cell, version) - (unsigned char *)shmseg_object_at(object, 0));
  parts[0] = (shmseg_part){ "writers", SHMSEG_PART_LOCK, LOCK, 1, 0 };
  parts[1] = (shmseg_part){ "version", SHMSEG_PART_NEXT, VERSION, 1, 0 };
  parts[2] = (shmseg_part){ "values", SHMSEG_PART_EVENTCOUNT, EVENTCOUNT, 1, 0 };
  parts[3] = (shmseg_part){ "size", SHMSEG_PART_NUMBER, buffer, 1, 0 };
  return version == 0 ? 3 : 4;
}

const shmseg_kind shmseg_cell_kind = {
  .name = "cell",
  .number = 5,
  .version = 1,
  .handle_size = sizeof(shmseg_cell),
  .numbers = { SHMSEG_NUMBER(capacity) },
  .size = cell_size,
  .fit = cell_fit,
  .build = cell_build,
  .check = cell_check,
  .inspect = cell_inspect,
};
