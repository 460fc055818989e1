/* SPDX-License-Identifier: MIT */
/* What the publishing and the reading half of a broadcast share: where its words are, what a
 * record is. */
#ifndef SHMSEG_OBJECTS_BROADCAST_H
#define SHMSEG_OBJECTS_BROADCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ring.h"
#include "core/word.h"
#include "objects/object.h"
#include "shmseg.h"

/* Offsets in the object; broadcast.c says what is there. */
#define BROADCAST_PUBLISHED 64
#define BROADCAST_EVENTCOUNT 72
#define BROADCAST_LOCK 128
#define BROADCAST_FLOOR 192
#define BROADCAST_ENDS 200
#define BROADCAST_RING 256
#define BROADCAST_RECORD_HEADER 16 /* bytes */

/* The published word: the next sequence number from bit 2 on, and two bits. */
#define BROADCAST_SHUT 1u
#define BROADCAST_SLOT 2u /* which of the two ends is that of the last message */
#define BROADCAST_NEXT 2  /* bits to the right of the number */

#define BROADCAST_RECORD(size) SHMSEG_BROADCAST_RECORD(size)

/* How often an operation is tried that publishers may disturb each time. */
#if !defined(SHMSEG_TRIES)
#define SHMSEG_TRIES 100000
#endif

typedef struct {
  uint64_t sequence, size;
} record_header;

static inline uint32_t *broadcast_word32(const shmseg_broadcast *b, uint64_t offset) {
  return shmseg_object_at(&b->object, offset);
}

static inline uint64_t *broadcast_word64(const shmseg_broadcast *b, uint64_t offset) {
  return shmseg_object_at(&b->object, offset);
}

/* Where that published word has the end of its last message. */
static inline uint64_t *broadcast_end_of(const shmseg_broadcast *b, uint64_t word) {
  return broadcast_word64(b, word & BROADCAST_SLOT ? BROADCAST_ENDS + 8 : BROADCAST_ENDS);
}

static inline shmseg_ring broadcast_ring_of(const shmseg_broadcast *b) {
  shmseg_ring ring = { shmseg_object_at(&b->object, BROADCAST_RING), b->ring };
  return ring;
}

/* The index of a position in the ring. *lap is the position at which the ring's first byte was
 * passed last: it changes seldom, and a division costs as much as a small message. */
static inline uint64_t broadcast_index_of(const shmseg_broadcast *b, uint64_t position,
                                          uint64_t *lap) {
  if (position - *lap >= b->ring)
    *lap = position - position % b->ring;
  return position - *lap;
}

/* The index that lies so many bytes, at most the ring's length, behind another one. */
static inline uint64_t broadcast_index_behind(const shmseg_broadcast *b, uint64_t index,
                                              uint64_t bytes) {
  index += bytes;
  return index < b->ring ? index : index - b->ring;
}

/* The word at an index, a multiple of 8. */
static inline uint64_t *broadcast_ring_word(const shmseg_broadcast *b, uint64_t index) {
  return (uint64_t *)(broadcast_ring_of(b).bytes + index);
}

/* The next sequence number, of a published word. */
static inline uint64_t broadcast_next_of(uint64_t word) {
  return word >> BROADCAST_NEXT;
}

/* Can this be a published word? */
static inline bool broadcast_is_count(uint64_t word) {
  uint64_t next = broadcast_next_of(word);
  return next != 0 && next <= SHMSEG_COUNT_MAX;
}

static inline record_header broadcast_header_at(const shmseg_broadcast *b, uint64_t index) {
  record_header h;
  h.sequence = load_relaxed(broadcast_ring_word(b, index));
  h.size = load_relaxed(broadcast_ring_word(b, broadcast_index_behind(b, index, 8)));
  return h;
}

#pragma GCC visibility push(hidden)

/* 0 when a record may be at position, and *written is how far that holds. SHMSEG_CORRUPT: a hole,
 * which has no record (its sequence number is not zero) and is not read. SHMSEG_TRUNCATED. */
int shmseg_broadcast_check_written(const shmseg_broadcast *b, uint64_t position, uint64_t end,
                                   uint64_t *written);

#pragma GCC visibility pop

#endif
