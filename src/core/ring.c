/* SPDX-License-Identifier: MIT */
/* A ring of bytes, where position p, a multiple of 8, is at p mod length. */
#include "core/ring.h"

#include "core/word.h"
#include "os/backing.h"

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

int shmseg_ring_look(const shmseg_segment *segment, uint64_t offset, uint64_t length,
                     uint64_t position, uint64_t high, uint64_t *until) {
  uint64_t place = position % length, size = high - position, stop;
  if (size > length - place)
    size = length - place;
  int err = shmseg_backing_look(segment->fd, offset + place, offset + place + size, &stop);
  *until = position + (stop - offset - place);
  return err;
}
