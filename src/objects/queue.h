/* SPDX-License-Identifier: MIT */
/* What the two files of the queue share: where its words are, and what a record is. */
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
#define QUEUE_CONSUMERS 192
#define QUEUE_HEAD 256
#define QUEUE_SPACE 264
#define QUEUE_RING 320
#define QUEUE_HEAD_SIZE 8 /* of a record */
#define QUEUE_SHUT 1u

/* Rounds of an operation that finds the queue changed by others each time, before the clock is
 * asked. */
#define QUEUE_ROUNDS 1000

static inline uint32_t *queue_word32(const shmseg_queue *queue, uint64_t offset) {
  return shmseg_object_at(&queue->object, offset);
}

static inline uint64_t *queue_word64(const shmseg_queue *queue, uint64_t offset) {
  return shmseg_object_at(&queue->object, offset);
}

/* The offset of a position in the ring. lap is where the ring began for the last one: positions
 * move slowly, and a division costs as much as a small message. */
static inline uint64_t queue_index_of(uint64_t position, uint64_t ring, uint64_t *lap) {
  if (position - *lap >= ring)
    *lap = position - position % ring;
  return position - *lap;
}

static inline shmseg_ring queue_ring_of(const shmseg_queue *queue) {
  shmseg_ring ring = { shmseg_object_at(&queue->object, QUEUE_RING), queue->ring };
  return ring;
}

/* The size of the record at index, of which rest bytes are left; false when it cannot be (Q2). */
static inline bool queue_record_at(const shmseg_queue *queue, uint64_t index, uint64_t rest,
                                   uint64_t *size) {
  *size = load_relaxed(
      (const uint64_t *)(queue_ring_of(queue).bytes + index)); /* once: a peer may rewrite it */
  return *size <= queue->object.capacity && SHMSEG_RECORD(*size) <= rest;
}

#pragma GCC visibility push(hidden)

/* Is [head, tail) whole records? */
bool shmseg_queue_is_whole(const shmseg_queue *queue, uint64_t head, uint64_t tail);

#pragma GCC visibility pop

#endif
