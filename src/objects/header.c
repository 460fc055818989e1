/* SPDX-License-Identifier: MIT */
/* The header of every object: what it is, which format, how large. */
#define _GNU_SOURCE
#include "objects/header.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/owner.h"
#include "core/segment.h"
#include "core/word.h"
#include "objects/object.h"
#include "os/backing.h"
#include "os/liveness.h"
#include "os/map.h"

/* At most so many bytes of a slice are looked at when nothing is to be built there. */
#define PROVE_MAX 4096

/* Slices are looked at in pieces of so many bytes. */
#define PIECE 1024

typedef struct {
  uint32_t state, kind, version, mark;
  uint64_t size, geometry[SHMSEG_GEOMETRY], reserved;
} header;

_Static_assert(sizeof(header) == SHMSEG_HEADER_SIZE, "the header's format");
_Static_assert(offsetof(header, mark) == 12 && offsetof(header, size) == 16 &&
                   offsetof(header, geometry) == 24,
               "its offsets");

static header *header_of(const shmseg_object *object) {
  return shmseg_object_at(object, 0);
}

/* --- attaching ---------------------------------------------------------------------------- */

static int header_mismatch(shmseg_object *object, const char *what, uint64_t found,
                           uint64_t wanted) {
  object->mismatch = what;
  object->found = found;
  object->wanted = wanted;
  return SHMSEG_INCOMPATIBLE;
}

int shmseg_header_too_small(shmseg_object *object, uint64_t available, uint64_t needed) {
  object->found = available;
  object->wanted = needed;
  return SHMSEG_TOO_SMALL;
}

static void header_load_geometry(const header *h, uint64_t *geometry) {
  for (int i = 0; i < SHMSEG_GEOMETRY; i++)
    geometry[i] = load_relaxed(&h->geometry[i]);
}

/* Learns a complete object: each field is read once, checked, and kept. */
static int header_learn(shmseg_object *object, uint64_t available,
                        const shmseg_object_options *options) {
  const header *h = header_of(object);
  const shmseg_kind *kind = object->kind;
  uint32_t number = load_relaxed(&h->kind);
  uint32_t version = load_relaxed(&h->version);
  if (number != kind->number)
    return header_mismatch(object, "kind", number, kind->number);
  if (version != kind->version)
    return header_mismatch(object, "version", version, kind->version);
  header_load_geometry(h, object->geometry);
  object->size = load_relaxed(&h->size);
  uint64_t size = shmseg_kinds_size(kind, object->geometry);
  if (object->size == 0 || size != object->size)
    return header_mismatch(object, "size", object->size, size);
  for (int i = 0; i < SHMSEG_GEOMETRY; i++) {
    uint64_t wanted = shmseg_kinds_number(options, &kind->numbers[i]);
    if (wanted != 0 && wanted != object->geometry[i])
      return header_mismatch(object, kind->numbers[i].name, object->geometry[i], wanted);
  }
  return object->size > available ? shmseg_header_too_small(object, available, object->size) : 0;
}

/* --- what is there ------------------------------------------------------------------------ */

/* The bytes that are not zero in a part of the slice. */
typedef struct {
  uint64_t count;
  uint64_t first; /* offset of the first one in the object */
} marks;

static void header_look_at_piece(const unsigned char *bytes, size_t count, uint64_t offset,
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

/* Looks at [from, end) of the object, until more than limit bytes are found that are not zero. */
static void header_look_at_data(const shmseg_object *object, uint64_t from, uint64_t end,
                                uint64_t limit, marks *found) {
  const unsigned char *bytes = shmseg_object_at(object, 0);
  unsigned char piece[PIECE];
  for (uint64_t i = from; i < end && found->count <= limit; i += sizeof piece) {
    size_t count = end - i < sizeof piece ? (size_t)(end - i) : sizeof piece;
    copy_from_shared(piece, bytes + i, count);
    header_look_at_piece(piece, count, i, found);
  }
}

/* The same without reading holes, for that would take memory; but the page where the object begins
 * is read, since it will be written to anyway. */
static marks header_look(const shmseg_object *object, uint64_t from, uint64_t end, uint64_t limit) {
  marks found = { 0, 0 };
  uint64_t begin, stop;
  uint64_t at = object->segment->window + object->offset;
  uint64_t near = shmseg_map_page() - at % shmseg_map_page();
  header_look_at_data(object, from, end < near ? end : near, limit, &found);
  for (uint64_t i = from < near ? near : from; i < end && found.count <= limit; i = stop) {
    shmseg_backing_data(object->segment->fd, at + i, at + end, &begin, &stop);
    begin -= at;
    stop -= at;
    header_look_at_data(object, begin, stop, limit, &found);
  }
  return found;
}

/* Something else is there. */
static int header_occupied(shmseg_object *object, uint64_t offset) {
  return header_mismatch(object, "magic", offset, 0);
}

/* Could this be the header that a builder of the kind leaves behind when it dies? */
static bool header_is_half_written(const shmseg_object *object, uint32_t builder) {
  const header *h = header_of(object);
  uint32_t number = load_relaxed(&h->kind);
  uint32_t version = load_relaxed(&h->version);
  uint64_t rest = load_relaxed(&h->mark) | load_relaxed(&h->reserved);
  for (int i = 1; i < SHMSEG_GEOMETRY; i++)
    if (!object->kind->numbers[i].name)
      rest |= load_relaxed(&h->geometry[i]);
  return builder >= SHMSEG_ID_MIN && builder <= SHMSEG_ID_MAX && rest == 0 &&
         (number == 0 || number == object->kind->number) &&
         (version == 0 || version == object->kind->version);
}

/* The offset of the ith word. */
static uint64_t header_word_at(const shmseg_words *words, uint64_t i) {
  return words->offset + i * (words->stride ? words->stride : words->width);
}

static uint64_t header_load_word(const unsigned char *object, const shmseg_words *words,
                                 uint64_t i) {
  const unsigned char *word = object + header_word_at(words, i);
  return words->width == 8 ? load_relaxed((const uint64_t *)word)
                           : load_relaxed((const uint32_t *)word);
}

static void header_store_word(unsigned char *object, const shmseg_words *words, uint64_t i,
                              uint64_t value) {
  unsigned char *word = object + header_word_at(words, i);
  if (words->width == 8)
    store_relaxed((uint64_t *)word, value);
  else
    store_relaxed((uint32_t *)word, (uint32_t)value);
}

static uint64_t header_nonzero_bytes(uint64_t value) {
  uint64_t count = 0;
  for (; value != 0; value >>= 8)
    count += (value & 0xff) != 0;
  return count;
}

/* How many bytes that are not zero a builder for that geometry has written before end. */
static uint64_t header_written_bytes(const shmseg_object *object, const uint64_t *geometry,
                                     uint64_t end) {
  shmseg_words words[SHMSEG_WORDS_MAX];
  int runs = geometry[0] != 0 ? object->kind->build(geometry, words) : 0;
  uint64_t count = 0;
  for (int run = 0; run < runs; run++)
    for (uint64_t i = 0; i < words[run].count; i++)
      if (header_word_at(&words[run], i) + words[run].width <= end &&
          header_load_word(shmseg_object_at(object, 0), &words[run], i) == words[run].value)
        count += header_nonzero_bytes(words[run].value);
  return count;
}

/* What a dead builder has left. */
typedef struct {
  uint64_t geometry[SHMSEG_GEOMETRY]; /* that it built for; the first is 0 when it wrote none */
  uint64_t end;                       /* of the bytes that were looked at, and may be changed */
} ruin;

/* Under INIT of a dead builder: has it written all that is there? It stores the geometry before the
 * words that depend on it. So each byte is zero or what a builder for that geometry writes, else it
 * is somebody's data. Looks at all that will be changed: size bytes, and what it has written. */
static int header_prove_ruin(shmseg_object *object, uint64_t available, uint64_t size, ruin *old) {
  const header *h = header_of(object);
  uint64_t written_size = load_relaxed(&h->size);
  header_load_geometry(h, old->geometry);
  uint64_t whole = shmseg_kinds_size(object->kind, old->geometry);
  if ((old->geometry[0] != 0 && whole == 0) || (written_size != 0 && written_size != whole))
    return header_occupied(object, 0);
  old->end = whole < available ? whole : available / 8 * 8;
  if (old->end < size)
    old->end = size;
  uint64_t written = header_written_bytes(object, old->geometry, old->end);
  marks found = header_look(object, SHMSEG_HEADER_SIZE, old->end, written);
  return found.count == written ? 0 : header_occupied(object, 0);
}

static int header_prove_zero(shmseg_object *object, uint64_t size) {
  marks found = header_look(object, 0, size, 0);
  return found.count == 0 ? 0 : header_occupied(object, found.first);
}

/* --- building ----------------------------------------------------------------------------- */

/* Sets the kind's own words for that geometry, or clears them. What is zero is not written to: that
 * would take memory. */
static void header_set_words(const shmseg_object *object, const uint64_t *geometry, uint64_t end,
                             bool clear) {
  unsigned char *bytes = shmseg_object_at(object, 0);
  shmseg_words words[SHMSEG_WORDS_MAX];
  int runs = object->kind->build(geometry, words);
  for (int run = 0; run < runs; run++)
    for (uint64_t i = 0; i < words[run].count; i++)
      if (header_word_at(&words[run], i) + words[run].width <= end &&
          (!clear || header_load_word(bytes, &words[run], i) != 0))
        header_store_word(bytes, &words[run], i, clear ? 0 : words[run].value);
}

/* The first number is stored last: it tells that the others are there. */
static void header_store_geometry(header *h, const uint64_t *geometry) {
  for (int i = SHMSEG_GEOMETRY - 1; i > 0; i--)
    if (load_relaxed(&h->geometry[i]) != geometry[i])
      store_relaxed(&h->geometry[i], geometry[i]);
  store_release(&h->geometry[0], geometry[0]);
}

/* The state is INIT with our identity, and the slice is zero but for what a dead builder has left.
 * A death at any instruction leaves what header_prove_ruin() accepts: words only under the geometry
 * that they belong to. */
static int header_build(shmseg_object *object, const uint64_t *geometry, const ruin *old) {
  header *h = header_of(object);
  object->size = object->kind->size(geometry);
  memcpy(object->geometry, geometry, sizeof object->geometry);
  fence_release(); /* INIT is seen before what follows: pairs with header_has_moved()'s fence */
  if (old->geometry[0] != 0 && memcmp(old->geometry, geometry, sizeof old->geometry) != 0) {
    header_set_words(object, old->geometry, old->end, true);
    store_release(&h->size, 0);
    store_release(&h->geometry[0], 0);
  }
  header_store_geometry(h, geometry);
  store_release(&h->size, object->size);
  store_relaxed(&h->kind, object->kind->number);
  store_relaxed(&h->version, object->kind->version);
  fence_release(); /* the geometry is there before the words that it explains */
  header_set_words(object, geometry, object->size, false);
  /* Publish. Pairs with the acquire in shmseg_header_enter(). */
  store_release(&h->state, SHMSEG_HEADER_MAGIC);
  return segment_status(object->segment);
}

/* Can an object of size bytes be built by this handle? needed: bytes of the smallest one. */
static int header_may_build(shmseg_object *object, uint64_t available, shmseg_mode mode,
                            uint64_t size, uint64_t needed) {
  if (mode == SHMSEG_READ || mode == SHMSEG_WRITE)
    return ENOENT;
  if (!object->segment->writable)
    return SHMSEG_READ_ONLY;
  if (size == 0) /* nothing fits */
    return shmseg_header_too_small(object, available, needed);
  return size > available ? shmseg_header_too_small(object, available, size) : 0;
}

/* Has a builder been at work in what we have just looked at? */
static bool header_has_moved(const header *h, uint32_t state) {
  fence_acquire(); /* what we looked at was loaded before this */
  return load_acquire(&h->state) != state;
}

/* Is the builder alive, and not ourselves? */
static bool header_builder_lives(const shmseg_segment *segment, uint32_t builder) {
  /* ours is from a build that failed; but in a forked child that number is its parent's */
  bool own = builder == segment->member.id && shmseg_liveness_own(&segment->member);
  return !own && shmseg_liveness_probe(segment->fd, builder);
}

/* Builds an object, since no complete one is there. SHMSEG_INTERRUPTED: try again. */
static int header_try_build(shmseg_object *object, uint64_t available, shmseg_mode mode,
                            const shmseg_object_options *options, uint32_t state, bool *created) {
  header *h = header_of(object);
  uint64_t geometry[SHMSEG_GEOMETRY];
  ruin old = { { 0 }, 0 };
  uint32_t id;
  shmseg_kinds_plan(object->kind, options, available, geometry);
  uint64_t size = shmseg_kinds_size(object->kind, geometry);
  int err =
      header_may_build(object, available, mode, size, shmseg_object_size(object->kind, options));
  if (err == ENOENT && state == 0 &&
      header_prove_zero(object, available < PROVE_MAX ? available : PROVE_MAX) != 0)
    err = SHMSEG_INCOMPATIBLE; /* data, and no object that is worth waiting for */
  if (!err)
    err = state == 0 ? header_prove_zero(object, size)
                     : header_prove_ruin(object, available, size, &old);
  if (err)
    return err == SHMSEG_INCOMPATIBLE && header_has_moved(h, state) ? SHMSEG_INTERRUPTED : err;
  err = segment_status(object->segment); /* zeroes where a page is gone prove nothing */
  if (!err)
    err = shmseg_owner_identity(object->segment, &id);
  if (err)
    return err;
  if (!cas_ordered(&h->state, &state, SHMSEG_HEADER_INIT | id))
    return SHMSEG_INTERRUPTED;
  *created = true;
  return header_build(object, geometry, &old);
}

int shmseg_header_enter(shmseg_object *object, uint64_t available, shmseg_mode mode,
                        const shmseg_object_options *options, bool *created) {
  header *h = header_of(object);
  uint32_t state = load_acquire(&h->state);
  int err = segment_status(object->segment);
  if (err)
    return err;
  if (state == SHMSEG_HEADER_MAGIC)
    return mode == SHMSEG_CREATE_ONLY ? EEXIST : header_learn(object, available, options);
  uint32_t builder = state & ~SHMSEG_HEADER_INIT;
  bool half = (state & SHMSEG_HEADER_INIT) && header_is_half_written(object, builder);
  if (state != 0 && !half)
    return header_has_moved(h, state)
               ? SHMSEG_INTERRUPTED
               : header_occupied(object, header_look(object, 0, SHMSEG_HEADER_SIZE, 0).first);
  if (state != 0 && header_builder_lives(object->segment, builder))
    return SHMSEG_INTERRUPTED;
  return header_try_build(object, available, mode, options, state, created);
}

int shmseg_header_mark(const void *bytes) {
  header h;
  memcpy(&h, bytes, sizeof h);
  bool is_mark = h.mark == SHMSEG_TEMPORARY || h.mark == SHMSEG_TEMPORARY_LAST;
  return h.state == SHMSEG_HEADER_MAGIC && is_mark ? (int)h.mark : 0;
}

int shmseg_header_mark_of(int fd) {
  unsigned char bytes[SHMSEG_HEADER_SIZE];
  return pread(fd, bytes, sizeof bytes, 0) == sizeof bytes ? shmseg_header_mark(bytes) : 0;
}

void shmseg_header_set_mark(const shmseg_object *object, int mark) {
  store_relaxed(&header_of(object)->mark, (uint32_t)mark);
}

/* --- looking from outside ------------------------------------------------------------------ */

static int header_differs(shmseg_description *d, const char *what, uint64_t found,
                          uint64_t wanted) {
  d->mismatch = what;
  d->found = found;
  d->wanted = wanted;
  return SHMSEG_INCOMPATIBLE;
}

static int header_is_cut(shmseg_description *d, uint64_t found, uint64_t wanted) {
  d->found = found;
  d->wanted = wanted;
  return SHMSEG_TOO_SMALL;
}

/* The magic is there, and all of the header. */
static int header_describe_whole(const header *h, uint64_t available, shmseg_description *d) {
  const shmseg_kind *kind = shmseg_kinds_find(h->kind);
  d->number = h->kind;
  d->version = h->version;
  if (!kind)
    return header_differs(d, "kind", h->kind, 0);
  if (h->version != kind->version)
    return header_differs(d, "version", h->version, kind->version);
  d->kind = kind;
  d->mark = shmseg_header_mark(h);
  d->size = h->size;
  memcpy(d->geometry, h->geometry, sizeof d->geometry);
  uint64_t size = shmseg_kinds_size(kind, d->geometry);
  if (h->size == 0 || h->size != size)
    return header_differs(d, "size", h->size, size);
  return h->size > available ? header_is_cut(d, available, h->size) : 0;
}

int shmseg_header_describe(const void *bytes, size_t count, uint64_t available,
                           shmseg_description *description) {
  header h;
  memset(&h, 0, sizeof h);
  memset(description, 0, sizeof *description);
  memcpy(&h, bytes, count < sizeof h ? count : sizeof h);
  if (h.state != SHMSEG_HEADER_MAGIC)
    return SHMSEG_EMPTY;
  if (count < sizeof h)
    return header_is_cut(description, count, sizeof h);
  return header_describe_whole(&h, available, description);
}

const char *shmseg_header_check(const shmseg_object *object) {
  const header *h = header_of(object);
  const shmseg_kind *kind = object->kind;
  uint64_t geometry[SHMSEG_GEOMETRY];
  if (load_relaxed(&h->state) != SHMSEG_HEADER_MAGIC)
    return "H1: the magic";
  if (load_relaxed(&h->kind) != kind->number || load_relaxed(&h->version) != kind->version)
    return "H1: kind and version";
  header_load_geometry(h, geometry);
  if (load_relaxed(&h->size) != object->size ||
      memcmp(geometry, object->geometry, sizeof geometry) != 0)
    return "H1: size and geometry";
  return NULL;
}
