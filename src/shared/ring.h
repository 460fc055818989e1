/* SPDX-License-Identifier: MIT */
/* A ring of bytes, where position p, a multiple of 8, is at p mod length.
 *
 * Positions only grow and start at the length, so 0 is none. What is written may wrap. */
#ifndef SHMSEG_SHARED_RING_H
#define SHMSEG_SHARED_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

typedef struct shmseg_ring {
  unsigned char *bytes;
  uint64_t length;
} shmseg_ring;

/* Copies between private memory and the ring from place (below the length) on. */
void shmseg_ring_put(shmseg_ring ring, uint64_t place, const void *from, size_t size);
void shmseg_ring_get(shmseg_ring ring, uint64_t place, void *to, size_t size);

/* Can [low, high) be what the ring holds? */
static inline bool shmseg_ring_holds(uint64_t length, uint64_t low, uint64_t high) {
  return low >= length && low <= high && high - low <= length && (low | high) % 8 == 0;
}

#pragma GCC visibility pop

#endif
