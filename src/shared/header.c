/* SPDX-License-Identifier: MIT */
/* The head of every object: what it is, which format, how large. */
#include "shared/header.h"

#include <errno.h>
#include <string.h>

#include "os/liveness.h"
#include "shared/hold.h"
#include "shared/status.h"
#include "shared/wait.h"
#include "shared/word.h"

/* How long another process may be building the object. */
#define BUILD_PATIENCE ((int64_t)1000000000)

/* Rounds of the race to build, against peers that die or clear the object. */
#define ROUNDS 10000

/* A new object's place must be zero: so much of it is looked at. */
#define ZEROES 4096

static const unsigned char zeroes[1024];

typedef struct {
  uint32_t state, kind, version, zero;
  uint64_t size, capacity, reserved[4];
} header;

_Static_assert(sizeof(header) == SHMSEG_HEADER_SIZE, "the header's format");
_Static_assert(offsetof(header, size) == 16 && offsetof(header, capacity) == 24, "its offsets");

static header *header_of(const shmseg_object *object) {
  return shmseg_object_at(object, 0);
}

static int mismatch(shmseg_object *object, const char *what) {
  object->mismatch = what;
  return SHMSEG_INCOMPATIBLE;
}

/* Learns a complete object: each field is read once, checked, and kept. */
static int learn(shmseg_object *object, uint64_t room, const shmseg_kind_info *info,
                 uint64_t capacity) {
  const header *h = header_of(object);
  if (load_relaxed(&h->kind) != info->kind)
    return mismatch(object, "kind");
  if (load_relaxed(&h->version) != info->version)
    return mismatch(object, "version");
  object->capacity = load_relaxed(&h->capacity);
  object->size = load_relaxed(&h->size);
  if (object->size == 0 || info->size_for(object->capacity) != object->size)
    return mismatch(object, "size");
  if (capacity != 0 && capacity != object->capacity)
    return mismatch(object, info->capacity_name);
  return object->size > room ? SHMSEG_TOO_SMALL : 0;
}

/* What is cleared may be read by others: their tries end in a look at the state. */
static void clear(unsigned char *bytes, uint64_t size) {
  for (uint64_t i = 0; i < size; i += sizeof zeroes)
    copy_to_shared(bytes + i, zeroes,
                   size - i < sizeof zeroes ? (size_t)(size - i) : sizeof zeroes);
}

/* The state is INIT and ours. */
static int build(shmseg_object *object, const shmseg_kind_info *info, uint64_t capacity) {
  header *h = header_of(object);
  unsigned char *bytes = shmseg_object_at(object, 0);
  object->size = info->size_for(capacity);
  object->capacity = capacity;
  fence_release(); /* INIT is seen before what follows: pairs with has_moved()'s fence */
  clear(bytes + sizeof h->state, object->size - sizeof h->state);
  store_relaxed(&h->kind, info->kind);
  store_relaxed(&h->version, info->version);
  store_relaxed(&h->size, object->size);
  store_relaxed(&h->capacity, capacity);
  info->build(bytes, capacity);
  /* Publish. Pairs with the acquire in enter(). */
  store_release(&h->state, SHMSEG_HEADER_MAGIC);
  return segment_status(object->segment);
}

static bool is_zero(const shmseg_object *object, uint64_t size) {
  const unsigned char *bytes = shmseg_object_at(object, 0);
  unsigned char piece[sizeof zeroes];
  for (uint64_t i = 0; i < size && i < ZEROES; i += sizeof piece) { /* sizes are multiples of 8 */
    size_t count = size - i < sizeof piece ? (size_t)(size - i) : sizeof piece;
    copy_from_shared(piece, bytes + i, count);
    if (memcmp(piece, zeroes, count) != 0)
      return false;
  }
  return true;
}

/* Under INIT, is this what a builder of the kind leaves behind when it dies? Somebody's data can
 * look like INIT, and must not be cleared. */
static bool is_half_built(const header *h, uint32_t builder, const shmseg_kind_info *info) {
  uint32_t kind = load_relaxed(&h->kind);
  uint32_t version = load_relaxed(&h->version);
  uint64_t rest = load_relaxed(&h->zero);
  for (int i = 0; i < 4; i++)
    rest |= load_relaxed(&h->reserved[i]);
  return builder >= SHMSEG_ID_MIN && builder <= SHMSEG_ID_MAX && rest == 0 &&
         (kind == 0 || kind == info->kind) && (version == 0 || version == info->version);
}

/* Can the object be built by this handle? */
static int may_build(shmseg_object *object, uint64_t room, shmseg_mode mode, uint64_t size) {
  if (mode == SHMSEG_READ || mode == SHMSEG_WRITE)
    return ENOENT;
  if (!object->segment->writable)
    return SHMSEG_READ_ONLY;
  return size == 0 || size > room ? SHMSEG_TOO_SMALL : 0;
}

/* Was what we have just looked at the work of somebody who builds? */
static bool has_moved(const header *h, uint32_t state) {
  fence_acquire(); /* what we looked at was loaded before this */
  return load_acquire(&h->state) != state;
}

/* One round: attaches, or builds, or waits for who builds (SHMSEG_INTERRUPTED: once more). */
static int enter(shmseg_object *object, uint64_t room, shmseg_mode mode,
                 const shmseg_kind_info *info, uint64_t capacity, bool *created) {
  header *h = header_of(object);
  uint32_t id;
  uint32_t state = load_acquire(&h->state);
  int err = segment_status(object->segment);
  if (err)
    return err;
  if (state == SHMSEG_HEADER_MAGIC)
    return mode == SHMSEG_CREATE_ONLY ? EEXIST : learn(object, room, info, capacity);
  if (state != 0 && !(state & SHMSEG_HEADER_INIT))
    return mismatch(object, "magic");
  uint32_t builder = state & ~SHMSEG_HEADER_INIT;
  if (state != 0 && !is_half_built(h, builder, info))
    return has_moved(h, state) ? SHMSEG_INTERRUPTED : mismatch(object, "magic");
  const shmseg_segment *segment = object->segment;
  /* our own: from a build that failed. A forked child has a copy of its parent's number. */
  bool own = builder == segment->member.id && shmseg_liveness_own(&segment->member);
  if (state != 0 && !own && shmseg_liveness_probe(segment->fd, builder))
    return SHMSEG_INTERRUPTED;
  if (capacity == 0)
    capacity = info->capacity_for(room);
  err = may_build(object, room, mode, info->size_for(capacity));
  if (!err && state == 0 && !is_zero(object, info->size_for(capacity)))
    return has_moved(h, 0) ? SHMSEG_INTERRUPTED : mismatch(object, "magic");
  if (!err)
    err = shmseg_hold_identity(object->segment, &id);
  if (err)
    return err;
  if (!cas_ordered(&h->state, &state, SHMSEG_HEADER_INIT | id))
    return SHMSEG_INTERRUPTED;
  *created = true;
  return build(object, info, capacity);
}

int shmseg_header_open(shmseg_object *object, shmseg_segment *segment, uint64_t offset,
                       uint64_t room, shmseg_mode mode, const shmseg_kind_info *info,
                       uint64_t capacity, bool *created) {
  bool ignored;
  int64_t deadline = shmseg_wait_deadline(BUILD_PATIENCE);
  memset(object, 0, sizeof *object);
  if (!created)
    created = &ignored;
  *created = false;
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  if (offset % SHMSEG_ALIGN != 0 || (capacity != 0 && info->size_for(capacity) == 0))
    return EINVAL;
  if (offset > segment->size || room > segment->size - offset || room < SHMSEG_HEADER_SIZE)
    return SHMSEG_TOO_SMALL;
  object->segment = segment;
  object->offset = offset;
  object->recoveries = segment->recoveries;
  int err = SHMSEG_INTERRUPTED;
  for (int round = 0; round < ROUNDS && err == SHMSEG_INTERRUPTED; round++) {
    err = enter(object, room, mode, info, capacity, created);
    if (err == SHMSEG_INTERRUPTED && shmseg_wait_pause(deadline) != 0)
      err = SHMSEG_TIMEOUT;
  }
  if (err)
    object->segment = NULL;
  return err;
}

int shmseg_header_why(const shmseg_object *object) {
  shmseg_segment *segment = object->segment;
  if (!segment || !shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  int err = segment_status(segment);
  if (err)
    shmseg_hold_forget_all(segment);
  if (!err && object->recoveries < segment->opened)
    return SHMSEG_CLOSED;              /* opened in init, on what has lost the race for the name */
  return err ? err : SHMSEG_TRUNCATED; /* recovered, or cut, since the object was opened */
}

const char *shmseg_header_check(const shmseg_object *object, const shmseg_kind_info *info) {
  const header *h = header_of(object);
  if (load_relaxed(&h->state) != SHMSEG_HEADER_MAGIC)
    return "H1: the magic";
  if (load_relaxed(&h->kind) != info->kind || load_relaxed(&h->version) != info->version)
    return "H1: kind and version";
  if (load_relaxed(&h->size) != object->size || load_relaxed(&h->capacity) != object->capacity)
    return "H1: size and capacity";
  return NULL;
}
