/* SPDX-License-Identifier: MIT */
/* The head of every object: what it is, which format, how large. */
#include "objects/object.h"

#include <errno.h>
#include <string.h>

#include "core/owner.h"
#include "core/segment.h"
#include "core/wait.h"
#include "core/word.h"
#include "os/backing.h"
#include "os/liveness.h"
#include "os/map.h"

/* So much of a place is looked at by who would not build there. */
#define NEAR 4096

/* A place is looked at in pieces of this size. */
#define PIECE 1024

typedef struct {
  uint32_t state, kind, version, zero;
  uint64_t size, capacity, reserved[4];
} header;

_Static_assert(sizeof(header) == SHMSEG_HEADER_SIZE, "the header's format");
_Static_assert(offsetof(header, size) == 16 && offsetof(header, capacity) == 24, "its offsets");

static header *object_header_of(const shmseg_object *object) {
  return shmseg_object_at(object, 0);
}

static int object_mismatch(shmseg_object *object, const char *what, uint64_t found,
                           uint64_t wanted) {
  object->mismatch = what;
  object->found = found;
  object->wanted = wanted;
  return SHMSEG_INCOMPATIBLE;
}

static int object_too_small(shmseg_object *object, uint64_t available, uint64_t needed) {
  object->found = available;
  object->wanted = needed;
  return SHMSEG_TOO_SMALL;
}

/* Learns a complete object: each field is read once, checked, and kept. */
static int object_learn(shmseg_object *object, uint64_t available, const shmseg_kind_info *info,
                        uint64_t capacity) {
  const header *h = object_header_of(object);
  uint32_t kind = load_relaxed(&h->kind);
  uint32_t version = load_relaxed(&h->version);
  if (kind != info->kind)
    return object_mismatch(object, "kind", kind, info->kind);
  if (version != info->version)
    return object_mismatch(object, "version", version, info->version);
  object->capacity = load_relaxed(&h->capacity);
  object->size = load_relaxed(&h->size);
  uint64_t size = info->size_for(object->capacity);
  if (object->size == 0 || size != object->size)
    return object_mismatch(object, "size", object->size, size);
  if (capacity != 0 && capacity != object->capacity)
    return object_mismatch(object, info->capacity_name, object->capacity, capacity);
  return object->size > available ? object_too_small(object, available, object->size) : 0;
}

/* --- what is there ------------------------------------------------------------------------ */

/* What is not zero in a part of the place. */
typedef struct {
  uint64_t count; /* bytes */
  uint64_t first; /* offset of the first one in the object */
} marks;

static void object_look_at_piece(const unsigned char *bytes, size_t count, uint64_t offset,
                                 marks *found) {
  static const unsigned char zeroes[PIECE];
  if (memcmp(bytes, zeroes, count) == 0)
    return;
  for (size_t i = 0; i < count; i++) {
    if (bytes[i] == 0)
      continue;
    if (found->count++ == 0)
      found->first = offset + i;
  }
}

/* Until more than limit bytes are found. */
static void object_look_at_data(const shmseg_object *object, uint64_t from, uint64_t end,
                                uint64_t limit, marks *found) {
  const unsigned char *bytes = shmseg_object_at(object, 0);
  unsigned char piece[PIECE];
  for (uint64_t i = from; i < end && found->count <= limit; i += sizeof piece) {
    size_t count = end - i < sizeof piece ? (size_t)(end - i) : sizeof piece;
    copy_from_shared(piece, bytes + i, count);
    object_look_at_piece(piece, count, i, found);
  }
}

/* Looks at [from, end) of the place, and stops when more than limit bytes are not zero. Holes are
 * not read, for that would take memory; the page where the object begins is written to anyway. */
static marks object_look(const shmseg_object *object, uint64_t from, uint64_t end, uint64_t limit) {
  marks found = { 0, 0 };
  uint64_t begin, stop;
  uint64_t near = shmseg_map_page() - object->offset % shmseg_map_page();
  object_look_at_data(object, from, end < near ? end : near, limit, &found);
  for (uint64_t i = from < near ? near : from; i < end && found.count <= limit; i = stop) {
    shmseg_backing_data(object->segment->fd, object->offset + i, object->offset + end, &begin,
                        &stop);
    begin -= object->offset;
    stop -= object->offset;
    object_look_at_data(object, begin, stop, limit, &found);
  }
  return found;
}

/* Something else is there. */
static int object_occupied(shmseg_object *object, uint64_t offset) {
  return object_mismatch(object, "magic", offset, 0);
}

/* Could this be the head of what a builder of the kind leaves behind when it dies? */
static bool object_is_half_headed(const header *h, uint32_t builder, const shmseg_kind_info *info) {
  uint32_t kind = load_relaxed(&h->kind);
  uint32_t version = load_relaxed(&h->version);
  uint64_t rest = load_relaxed(&h->zero);
  for (int i = 0; i < 4; i++)
    rest |= load_relaxed(&h->reserved[i]);
  return builder >= SHMSEG_ID_MIN && builder <= SHMSEG_ID_MAX && rest == 0 &&
         (kind == 0 || kind == info->kind) && (version == 0 || version == info->version);
}

static uint64_t object_load_word(const unsigned char *object, const shmseg_words *words,
                                 uint64_t i) {
  const unsigned char *word = object + words->offset + i * words->width;
  return words->width == 8 ? load_relaxed((const uint64_t *)word)
                           : load_relaxed((const uint32_t *)word);
}

static void object_store_word(unsigned char *object, const shmseg_words *words, uint64_t i,
                              uint64_t value) {
  unsigned char *word = object + words->offset + i * words->width;
  if (words->width == 8)
    store_relaxed((uint64_t *)word, value);
  else
    store_relaxed((uint32_t *)word, (uint32_t)value);
}

static uint64_t object_nonzero_bytes(uint64_t value) {
  uint64_t count = 0;
  for (; value != 0; value >>= 8)
    count += (value & 0xff) != 0;
  return count;
}

/* How many bytes that are not zero a builder for that capacity has written before end. */
static uint64_t object_written_bytes(const shmseg_object *object, const shmseg_kind_info *info,
                                     uint64_t capacity, uint64_t end) {
  shmseg_words words[SHMSEG_WORDS_MAX];
  int runs = capacity != 0 ? info->first(capacity, words) : 0;
  uint64_t count = 0;
  for (int run = 0; run < runs; run++)
    for (uint64_t i = 0; i < words[run].count; i++)
      if (words[run].offset + (i + 1) * words[run].width <= end &&
          object_load_word(shmseg_object_at(object, 0), &words[run], i) == words[run].value)
        count += object_nonzero_bytes(words[run].value);
  return count;
}

/* What a builder has left that died. */
typedef struct {
  uint64_t capacity; /* that it built for; 0: it had not come to that */
  uint64_t end;      /* of what was looked at, and is ours to change */
} ruin;

/* Under INIT of a dead builder: has it written all that is there? Its capacity stands before the
 * words that depend on it, so each byte is zero or what a builder for that capacity writes; no byte
 * can be somebody's data. Looks at all that is to be changed: size bytes and what it has written. */
static int object_prove_ruin(shmseg_object *object, uint64_t available,
                             const shmseg_kind_info *info, uint64_t size, ruin *old) {
  const header *h = object_header_of(object);
  uint64_t written_size = load_relaxed(&h->size);
  old->capacity = load_relaxed(&h->capacity);
  uint64_t whole = old->capacity != 0 ? info->size_for(old->capacity) : 0;
  if ((old->capacity != 0 && whole == 0) || (written_size != 0 && written_size != whole))
    return object_occupied(object, 0);
  old->end = whole < available ? whole : available / 8 * 8;
  if (old->end < size)
    old->end = size;
  uint64_t written = object_written_bytes(object, info, old->capacity, old->end);
  marks found = object_look(object, SHMSEG_HEADER_SIZE, old->end, written);
  return found.count == written ? 0 : object_occupied(object, 0);
}

static int object_prove_zero(shmseg_object *object, uint64_t size) {
  marks found = object_look(object, 0, size, 0);
  return found.count == 0 ? 0 : object_occupied(object, found.first);
}

/* --- building ----------------------------------------------------------------------------- */

/* Sets the kind's own words for that capacity, or clears them. What is zero is not written to:
 * that would take memory. */
static void object_set_words(unsigned char *object, const shmseg_kind_info *info, uint64_t capacity,
                             uint64_t end, bool clear) {
  shmseg_words words[SHMSEG_WORDS_MAX];
  int runs = info->first(capacity, words);
  for (int run = 0; run < runs; run++)
    for (uint64_t i = 0; i < words[run].count; i++)
      if (words[run].offset + (i + 1) * words[run].width <= end &&
          (!clear || object_load_word(object, &words[run], i) != 0))
        object_store_word(object, &words[run], i, clear ? 0 : words[run].value);
}

/* The state is INIT and ours, and the place zero but for what a dead builder has left. Dies at any
 * instruction, and object_prove_ruin() says yes: words stand only under the capacity that they are for. */
static int object_build(shmseg_object *object, const shmseg_kind_info *info, uint64_t capacity,
                        const ruin *old) {
  header *h = object_header_of(object);
  unsigned char *bytes = shmseg_object_at(object, 0);
  object->size = info->size_for(capacity);
  object->capacity = capacity;
  fence_release(); /* INIT is seen before what follows: pairs with object_has_moved()'s fence */
  if (old->capacity != 0 && old->capacity != capacity) {
    object_set_words(bytes, info, old->capacity, old->end, true);
    store_release(&h->size, 0);
  }
  store_release(&h->capacity, capacity);
  store_release(&h->size, object->size);
  store_relaxed(&h->kind, info->kind);
  store_relaxed(&h->version, info->version);
  fence_release(); /* the capacity is there before the words that it explains */
  object_set_words(bytes, info, capacity, object->size, false);
  /* Publish. Pairs with the acquire in object_enter(). */
  store_release(&h->state, SHMSEG_HEADER_MAGIC);
  return segment_status(object->segment);
}

/* Can the object be built by this handle? */
static int object_may_build(shmseg_object *object, uint64_t available, shmseg_mode mode,
                            const shmseg_kind_info *info, uint64_t size) {
  if (mode == SHMSEG_READ || mode == SHMSEG_WRITE)
    return ENOENT;
  if (!object->segment->writable)
    return SHMSEG_READ_ONLY;
  if (size == 0) /* no capacity fits */
    return object_too_small(object, available, info->size_for(1));
  return size > available ? object_too_small(object, available, size) : 0;
}

/* Was what we have just looked at the work of somebody who builds? */
static bool object_has_moved(const header *h, uint32_t state) {
  fence_acquire(); /* what we looked at was loaded before this */
  return load_acquire(&h->state) != state;
}

/* One round: attaches, or builds, or waits for who builds (SHMSEG_INTERRUPTED: once more). */
static int object_enter(shmseg_object *object, uint64_t available, shmseg_mode mode,
                        const shmseg_kind_info *info, uint64_t capacity, bool *created) {
  header *h = object_header_of(object);
  uint32_t id;
  uint32_t state = load_acquire(&h->state);
  int err = segment_status(object->segment);
  if (err)
    return err;
  if (state == SHMSEG_HEADER_MAGIC)
    return mode == SHMSEG_CREATE_ONLY ? EEXIST : object_learn(object, available, info, capacity);
  uint32_t builder = state & ~SHMSEG_HEADER_INIT;
  bool half = (state & SHMSEG_HEADER_INIT) && object_is_half_headed(h, builder, info);
  if (state != 0 && !half)
    return object_has_moved(h, state)
               ? SHMSEG_INTERRUPTED
               : object_occupied(object, object_look(object, 0, SHMSEG_HEADER_SIZE, 0).first);
  const shmseg_segment *segment = object->segment;
  /* our own: from a build that failed. A forked child has a copy of its parent's number. */
  bool own = builder == segment->member.id && shmseg_liveness_own(&segment->member);
  if (state != 0 && !own && shmseg_liveness_probe(segment->fd, builder))
    return SHMSEG_INTERRUPTED;
  if (capacity == 0)
    capacity = info->capacity_for(available);
  ruin old = { 0, 0 };
  uint64_t size = info->size_for(capacity);
  err = object_may_build(object, available, mode, info, size);
  if (err == ENOENT && state == 0 &&
      object_prove_zero(object, available < NEAR ? available : NEAR) != 0)
    err = SHMSEG_INCOMPATIBLE; /* not to be waited for */
  if (!err)
    err = state == 0 ? object_prove_zero(object, size)
                     : object_prove_ruin(object, available, info, size, &old);
  if (err)
    return err == SHMSEG_INCOMPATIBLE && object_has_moved(h, state) ? SHMSEG_INTERRUPTED : err;
  err = segment_status(segment); /* zeroes where a page is gone prove nothing */
  if (!err)
    err = shmseg_owner_identity(object->segment, &id);
  if (err)
    return err;
  if (!cas_ordered(&h->state, &state, SHMSEG_HEADER_INIT | id))
    return SHMSEG_INTERRUPTED;
  *created = true;
  return object_build(object, info, capacity, &old);
}

int shmseg_object_open(shmseg_object *object, shmseg_segment *segment, uint64_t offset,
                       uint64_t available, shmseg_mode mode, const shmseg_kind_info *info,
                       uint64_t capacity, bool *created) {
  bool ignored;
  int64_t deadline = shmseg_wait_deadline(SHMSEG_BUILD_PATIENCE);
  memset(object, 0, sizeof *object);
  if (!created)
    created = &ignored;
  *created = false;
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  if (offset % SHMSEG_ALIGN != 0 || (capacity != 0 && info->size_for(capacity) == 0))
    return EINVAL;
  if (offset > segment->size || available > segment->size - offset ||
      available < SHMSEG_HEADER_SIZE)
    return object_too_small(object, available, info->size_for(capacity != 0 ? capacity : 1));
  object->segment = segment;
  object->offset = offset;
  object->recoveries = segment->recoveries;
  bool once = mode & SHMSEG_ONE_TRY;
  mode &= (shmseg_mode)~SHMSEG_ONE_TRY;
  int err = object_enter(object, available, mode, info, capacity, created);
  while (err == SHMSEG_INTERRUPTED && !once) {
    err = shmseg_wait_pause(deadline);
    if (!err)
      err = object_enter(object, available, mode, info, capacity, created);
  }
  if (err)
    object->segment = NULL;
  return err;
}

int shmseg_object_why(const shmseg_object *object) {
  shmseg_segment *segment = object->segment;
  if (!segment || !shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  int err = segment_status(segment);
  if (err)
    shmseg_owner_start_over(segment);
  if (!err && object->recoveries < segment->opened)
    return SHMSEG_CLOSED;              /* opened in init, on what has lost the race for the name */
  return err ? err : SHMSEG_TRUNCATED; /* recovered, or cut, since the object was opened */
}

const char *shmseg_object_check(const shmseg_object *object, const shmseg_kind_info *info) {
  const header *h = object_header_of(object);
  if (load_relaxed(&h->state) != SHMSEG_HEADER_MAGIC)
    return "H1: the magic";
  if (load_relaxed(&h->kind) != info->kind || load_relaxed(&h->version) != info->version)
    return "H1: kind and version";
  if (load_relaxed(&h->size) != object->size || load_relaxed(&h->capacity) != object->capacity)
    return "H1: size and capacity";
  return NULL;
}
