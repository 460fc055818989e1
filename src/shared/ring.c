/* SPDX-License-Identifier: MIT */
/* A ring of bytes, where position p, a multiple of 8, is at p mod length. */
#include "shared/ring.h"

#include "shared/word.h"

void shmseg_ring_put(shmseg_ring ring, uint64_t place, const void *from, size_t size) {
  size_t first = size < ring.length - place ? size : (size_t)(ring.length - place);
  copy_to_shared(ring.bytes + place, from, first);
  if (first < size)
    copy_to_shared(ring.bytes, (const unsigned char *)from + first, size - first);
}

void shmseg_ring_get(shmseg_ring ring, uint64_t place, void *to, size_t size) {
  size_t first = size < ring.length - place ? size : (size_t)(ring.length - place);
  copy_from_shared(to, ring.bytes + place, first);
  if (first < size)
    copy_from_shared((unsigned char *)to + first, ring.bytes, size - first);
}
