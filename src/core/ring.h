/* SPDX-License-Identifier: MIT */
/* A ring of bytes, where position p, a multiple of 8, is at p mod length.
 *
 * Positions only grow. The first is the length, so 0 is no position. What is written may wrap. */
#ifndef SHMSEG_CORE_RING_H
#define SHMSEG_CORE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

typedef struct shmseg_ring {
  unsigned char *bytes;
  uint64_t length;
} shmseg_ring;

/* Copies between private memory and the ring from index (below the length) on. */
void shmseg_ring_put(shmseg_ring ring, uint64_t index, const void *from, size_t size);
void shmseg_ring_get(shmseg_ring ring, uint64_t index, void *to, size_t size);

/* Can what is in the ring lie at the positions [low, high)? */
static inline bool shmseg_ring_holds(uint64_t length, uint64_t low, uint64_t high) {
  return low >= length && low <= high && high - low <= length && (low | high) % 8 == 0;
}

/* Asks what is at a position, and from there up to *until, which is at most high. The ring lies at
 * that offset of the segment. 0: something that was written; SHMSEG_EMPTY: a hole, which reads as
 * zero, but to read it takes memory; SHMSEG_TRUNCATED. A question costs some system calls. */
int shmseg_ring_look(const shmseg_segment *segment, uint64_t offset, uint64_t length,
                     uint64_t position, uint64_t high, uint64_t *until);

/* Up to UNASKED bytes are read without a question whether they are a hole. A question counts as
 * QUESTION records of a go. */
#define SHMSEG_RING_UNASKED 65536
#define SHMSEG_RING_QUESTION 64

/* One call looks at so many records, for some milliseconds: then SHMSEG_INTERRUPTED. */
#if !defined(SHMSEG_RING_GO)
#define SHMSEG_RING_GO 262144
#endif

/* At most so many bytes of the ring are fetched before they are needed. */
#define SHMSEG_RING_AHEAD 1024

/* Fetches the cache lines of size bytes from index on, up to the end of the ring. They come from
 * the other side's processor while this one does something else. */
static inline void shmseg_ring_fetch(shmseg_ring ring, uint64_t index, uint64_t size) {
  uint64_t rest = ring.length - index;
  size = size < SHMSEG_RING_AHEAD ? size : SHMSEG_RING_AHEAD;
  for (uint64_t i = 0; i < size && i < rest; i += 64)
    __builtin_prefetch(ring.bytes + index + i);
}

/* The same for lines that will be written, and that others may have read. */
static inline void shmseg_ring_fetch_to_write(shmseg_ring ring, uint64_t index, uint64_t size) {
  uint64_t rest = ring.length - index;
  size = size < SHMSEG_RING_AHEAD ? size : SHMSEG_RING_AHEAD;
  for (uint64_t i = 0; i < size && i < rest; i += 64)
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(ring.bytes[index + i]));
#else
    __builtin_prefetch(ring.bytes + index + i, 1);
#endif
}

#pragma GCC visibility pop

#endif
