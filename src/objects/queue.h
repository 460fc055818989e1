/* SPDX-License-Identifier: MIT */
/* What the files of the queue share: where its words are, and what a record is. */
#ifndef SHMSEG_OBJECTS_QUEUE_H
#define SHMSEG_OBJECTS_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ring.h"
#include "core/word.h"
#include "objects/object.h"
#include "shmseg.h"

/* Offsets in the object; queue.c says what is there. */
#define QUEUE_PRODUCERS 64
#define QUEUE_TAIL 128
#define QUEUE_MESSAGES 136
#define QUEUE_HEAD 192
#define QUEUE_SPACE 200
#define QUEUE_RING 256
#define QUEUE_RECORD_HEADER 8 /* bytes */
#define QUEUE_SHUT 1u

/* Who waits has found plenty when this part of the ring has become free, or full, meanwhile. */
#define QUEUE_PLENTY 6

/* How often an operation tries again, when others have changed the queue each time, before it asks
 * the clock. */
#define QUEUE_ROUNDS 1000

static inline uint32_t *queue_word32(const shmseg_queue *queue, uint64_t offset) {
  return shmseg_object_at(&queue->object, offset);
}

static inline uint64_t *queue_word64(const shmseg_queue *queue, uint64_t offset) {
  return shmseg_object_at(&queue->object, offset);
}

/* The index of a position in the ring. *lap is the position at which the ring's first byte was
 * passed last: it changes seldom, and a division costs as much as a small message. */
static inline uint64_t queue_index_of(uint64_t position, uint64_t ring, uint64_t *lap) {
  if (position - *lap >= ring)
    *lap = position - position % ring;
  return position - *lap;
}

static inline shmseg_ring queue_ring_of(const shmseg_queue *queue) {
  shmseg_ring ring = { shmseg_object_at(&queue->object, QUEUE_RING), queue->ring };
  return ring;
}

/* The size of the record at index; rest bytes are left up to tail. False: it cannot be one (Q2). */
static inline bool queue_record_at(const shmseg_queue *queue, uint64_t index, uint64_t rest,
                                   uint64_t *size) {
  *size = load_relaxed(
      (const uint64_t *)(queue_ring_of(queue).bytes + index)); /* once: a peer may rewrite it */
  return *size <= queue->object.capacity && SHMSEG_RECORD(*size) <= rest;
}

/* Has what is at the position been taken? If not, what was loaded there before this call is the
 * message's. */
static inline bool queue_has_passed(const shmseg_queue *queue, uint64_t position) {
  fence_acquire(); /* pairs with the fence in queue_append() */
  return load_relaxed(queue_word64(queue, QUEUE_HEAD)) > position;
}

#pragma GCC visibility push(hidden)

/* Waits until the 64-bit word at offset differs from *seen, or the queue is shut. Either is followed
 * by a notify of the eventcount. 0: look again; *seen is what the word is now. */
int shmseg_queue_wait_for_change(const shmseg_queue *queue, uint64_t offset, uint64_t *seen,
                                 uint64_t eventcount, shmseg_spin *spin, int64_t deadline);

/* Is [head, tail) whole records? */
bool shmseg_queue_is_whole(const shmseg_queue *queue, uint64_t head, uint64_t tail);

#pragma GCC visibility pop

#endif
