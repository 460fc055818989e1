/* SPDX-License-Identifier: MIT */
/* A ring of bytes, where position p, a multiple of 8, is at p mod length. */
#include "core/ring.h"

#include "core/word.h"
#include "os/backing.h"

void shmseg_ring_put(shmseg_ring ring, uint64_t index, const void *from, size_t size) {
  size_t first = size < ring.length - index ? size : (size_t)(ring.length - index);
  copy_to_shared(ring.bytes + index, from, first);
  if (first < size)
    copy_to_shared(ring.bytes, (const unsigned char *)from + first, size - first);
}

void shmseg_ring_get(shmseg_ring ring, uint64_t index, void *to, size_t size) {
  size_t first = size < ring.length - index ? size : (size_t)(ring.length - index);
  copy_from_shared(to, ring.bytes + index, first);
  if (first < size)
    copy_from_shared((unsigned char *)to + first, ring.bytes, size - first);
}

int shmseg_ring_look(const shmseg_segment *segment, uint64_t offset, uint64_t length,
                     uint64_t position, uint64_t high, uint64_t *until) {
  uint64_t index = position % length, size = high - position, stop;
  if (size > length - index)
    size = length - index;
  uint64_t from = segment->window + offset + index;
  int err = shmseg_backing_look(segment->fd, from, from + size, &stop);
  *until = position + (stop - from);
  return err;
}
