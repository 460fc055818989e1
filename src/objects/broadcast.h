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
#define BROADCAST_LOCK 64
#define BROADCAST_PUBLISHED 128
#define BROADCAST_FLOOR 136
#define BROADCAST_ENDS 144
#define BROADCAST_EVENTCOUNT 160
#define BROADCAST_RING 192
#define BROADCAST_RECORD_HEADER 16 /* bytes */
#define BROADCAST_SHUT 1u

#define BROADCAST_RECORD(size) (BROADCAST_RECORD_HEADER + ((size) + 7) / 8 * 8)

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

static inline uint64_t *broadcast_end_of(const shmseg_broadcast *b, uint64_t sequence) {
  return broadcast_word64(b, BROADCAST_ENDS + sequence % 2 * 8);
}

static inline shmseg_ring broadcast_ring_of(const shmseg_broadcast *b) {
  shmseg_ring ring = { shmseg_object_at(&b->object, BROADCAST_RING), b->ring };
  return ring;
}

/* The word at a position, a multiple of 8. */
static inline uint64_t *broadcast_ring_word(const shmseg_broadcast *b, uint64_t position) {
  return (uint64_t *)(broadcast_ring_of(b).bytes + position % b->ring);
}

/* Can this be a published word? */
static inline bool broadcast_is_count(uint64_t word) {
  return word >> 1 != 0 && word >> 1 <= SHMSEG_COUNT_MAX;
}

static inline record_header broadcast_header_at(const shmseg_broadcast *b, uint64_t position) {
  record_header h;
  h.sequence = load_relaxed(broadcast_ring_word(b, position));
  h.size = load_relaxed(broadcast_ring_word(b, position + 8));
  return h;
}

#pragma GCC visibility push(hidden)

/* 0 when a record may be at position, and *written is how far that holds. SHMSEG_CORRUPT: a hole,
 * which has no record (its sequence number is not zero) and is not read. SHMSEG_TRUNCATED. */
int shmseg_broadcast_check_written(const shmseg_broadcast *b, uint64_t position, uint64_t end,
                                   uint64_t *written);

#pragma GCC visibility pop

#endif
