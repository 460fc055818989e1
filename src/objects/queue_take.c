/* SPDX-License-Identifier: MIT */
/* The consumers' half of a queue: looking at messages, and taking them. The layout and the protocol
 * are at the head of queue.c. */
#include <errno.h>
#include <string.h>

#include "core/eventcount.h"
#include "core/segment.h"
#include "core/wait.h"
#include "objects/queue.h"

/* A consumer pauses at most so often before it looks for the next message of a stream. */
#define TAKE_PAUSES 128

/* A message that comes within so many looks may be one of a stream; an answer takes longer. */
#define STREAM_LOOKS 8

/* Bytes of a message that are copied between two looks whether another consumer has taken it. */
#define COPY_AT_ONCE 65536

/* Is a message known to be at head? Tail has grown, if anything, since it was seen last (Q1). */
static bool queue_knows_message(const shmseg_queue *queue, uint64_t head) {
  return head != queue->tail_seen && shmseg_ring_holds(queue->ring, head, queue->tail_seen);
}

static int queue_ready_to_take(const shmseg_queue *queue) {
  int err = shmseg_object_ready(&queue->object);
  return err || queue->object.segment->writable ? err : SHMSEG_READ_ONLY;
}

/* Finds head, and a tail behind it. If one message will do and is known to be there, the producers'
 * cache line is not read. SHMSEG_EMPTY, SHMSEG_SHUTDOWN: there is none, by the tail word *word. */
static int queue_find(shmseg_queue *queue, uint64_t max, uint64_t *head, uint64_t *word) {
  *head = load_acquire(queue_word64(queue, QUEUE_HEAD)); /* before the tail: it is never below */
  if (max > 1 || !queue_knows_message(queue, *head)) {
    *word = load_acquire(queue_word64(queue, QUEUE_TAIL)); /* pairs with queue_append()'s swap */
    queue->tail_seen = *word >> 1;
    if (!shmseg_ring_holds(queue->ring, *head, queue->tail_seen))
      return queue_has_passed(queue, *head) ? SHMSEG_CHANGED : SHMSEG_CORRUPT;
    if (*head == queue->tail_seen)
      return *word & QUEUE_SHUT ? SHMSEG_SHUTDOWN : SHMSEG_EMPTY;
  }
  return 0;
}

/* Waits until the tail word is another one. Where messages keep coming one by one, the consumer looks
 * less often: else it takes the line that the word is in from the producers for each of them. Where
 * one message comes and then no other, as in a round trip, it does not pause. */
static int queue_wait_for_message(shmseg_queue *queue, uint64_t head, uint64_t *word,
                                  int64_t deadline) {
  shmseg_spin *spin = &queue->pop_spin;
  int err = shmseg_queue_wait_for_change(queue, QUEUE_TAIL, word, QUEUE_MESSAGES, spin, deadline);
  if (err)
    return err;
  uint64_t size, come = (*word >> 1) - head;
  bool is_one =
      !queue_record_at(queue, queue_index_of(head, queue->ring, &queue->pop_lap), come, &size) ||
      SHMSEG_RECORD(size) == come;
  bool is_soon = spin->looks > 0 && spin->looks + spin->pauses <= STREAM_LOOKS;
  if (is_soon || (spin->looks == 1 && !is_one))
    shmseg_wait_spin_adapt(spin, come < queue->ring / QUEUE_PLENTY, TAKE_PAUSES);
  else
    spin->pauses = 0;
  return 0;
}

int shmseg_queue_look(shmseg_queue *queue, shmseg_queue_batch *batch, uint64_t max,
                      int64_t deadline) {
  int err = queue_ready_to_take(queue);
  if (!err && max == 0)
    err = EINVAL;
  for (int round = 0; !err && round < QUEUE_ROUNDS; round++) {
    uint64_t head, word;
    err = queue_find(queue, max, &head, &word);
    int hole = segment_status(queue->object.segment);
    if (hole)
      return hole;
    if (err == 0)
      *batch = (shmseg_queue_batch){ head, head, queue->tail_seen, max, NULL, 0 };
    if (err != SHMSEG_EMPTY)
      return err;
    err = queue_wait_for_message(queue, head, &word, deadline);
  }
  return err ? err : shmseg_wait_again(deadline);
}

int shmseg_queue_next(shmseg_queue *queue, shmseg_queue_batch *batch) {
  if (batch->left == 0 || batch->end >= batch->tail)
    return SHMSEG_EMPTY;
  int err = shmseg_object_ready(&queue->object);
  if (err)
    return err;
  uint64_t size, index = queue_index_of(batch->end, queue->ring, &queue->pop_lap);
  /* the size of a message that was taken too soon may have led here: so head decides */
  if (!queue_record_at(queue, index, batch->tail - batch->end, &size))
    return queue_has_passed(queue, batch->head) ? SHMSEG_CHANGED : SHMSEG_CORRUPT;
  uint64_t first = index + QUEUE_RECORD_HEADER;
  batch->bytes = first < queue->ring && size <= queue->ring - first
                     ? queue_ring_of(queue).bytes + first
                     : NULL;
  batch->size = (size_t)size;
  batch->end += SHMSEG_RECORD(size);
  batch->left--;
  return 0;
}

int shmseg_queue_copy(shmseg_queue *queue, const shmseg_queue_batch *batch, void *to) {
  int err = shmseg_object_ready(&queue->object);
  if (err)
    return err;
  uint64_t position = batch->end - SHMSEG_RECORD((uint64_t)batch->size);
  uint64_t index = queue_index_of(position, queue->ring, &queue->pop_lap) + QUEUE_RECORD_HEADER;
  for (size_t done = 0; done < batch->size; done += COPY_AT_ONCE) {
    size_t rest = batch->size - done, from = index + done;
    if (done > 0 && queue_has_passed(queue, position))
      return SHMSEG_CHANGED;
    shmseg_ring_get(queue_ring_of(queue), from < queue->ring ? from : from - queue->ring,
                    (unsigned char *)to + done, rest < COPY_AT_ONCE ? rest : COPY_AT_ONCE);
  }
  return 0;
}

int shmseg_queue_confirm(const shmseg_queue *queue, const shmseg_queue_batch *batch) {
  int err = shmseg_object_ready(&queue->object);
  if (err)
    return err;
  return queue_has_passed(queue, batch->head) ? SHMSEG_CHANGED : 0;
}

/* Fetches the next message, which may be as long as the last one. */
static void queue_fetch_next(shmseg_queue *queue, uint64_t head, uint64_t size) {
  if (queue_knows_message(queue, head))
    shmseg_ring_fetch(queue_ring_of(queue), queue_index_of(head, queue->ring, &queue->pop_lap),
                      SHMSEG_RECORD(size));
}

int shmseg_queue_claim(shmseg_queue *queue, shmseg_queue_batch *batch) {
  int err = queue_ready_to_take(queue);
  if (!err && batch->head > batch->end)
    err = EINVAL;
  if (err)
    return err;
  /* Take. What was copied was loaded before. Pairs with the acquire in queue_append(): the space is
   * the producers' from here (Q1). */
  if (!cas_ordered(queue_word64(queue, QUEUE_HEAD), &batch->head, batch->end))
    return SHMSEG_CHANGED;
  shmseg_eventcount_notify(queue_word32(queue, QUEUE_SPACE)); /* both are in one order */
  queue_fetch_next(queue, batch->end, batch->size);
  return 0;
}

/* --- taking into a buffer ----------------------------------------------------------------- */

/* Copies the records of the batch. SHMSEG_TOO_SMALL: *used is what the first one needs. */
static int queue_copy_records(shmseg_queue *queue, shmseg_queue_batch *batch, unsigned char *buffer,
                              size_t available, size_t *used) {
  int err;
  for (*used = 0; (err = shmseg_queue_next(queue, batch)) == 0; *used = batch->end - batch->head) {
    uint64_t size = batch->size;
    if (SHMSEG_RECORD(size) > available - *used) {
      batch->end -= SHMSEG_RECORD(size);
      if (*used > 0)
        return 0;
      *used = (size_t)SHMSEG_RECORD(size);
      err = shmseg_queue_confirm(queue, batch);
      return err ? err : SHMSEG_TOO_SMALL;
    }
    memcpy(buffer + *used, &size, QUEUE_RECORD_HEADER); /* the one that was checked */
    err = shmseg_queue_copy(queue, batch, buffer + *used + QUEUE_RECORD_HEADER);
    if (err)
      return err;
  }
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Goes on from offset *begin of the buffer to the record at offset to. False: none begins there. */
static bool queue_skip_records(const unsigned char *buffer, size_t used, uint64_t to,
                               size_t *begin) {
  uint64_t size;
  for (; *begin < used && *begin < to; *begin += (size_t)SHMSEG_RECORD(size))
    memcpy(&size, buffer + *begin, QUEUE_RECORD_HEADER);
  return *begin == to && *begin < used;
}

/* Claims what was copied, or what of it others have left. */
static int queue_claim_records(shmseg_queue *queue, shmseg_queue_batch *batch,
                               unsigned char *buffer, size_t *used) {
  uint64_t first = batch->head;
  size_t begin = 0;
  int err;
  while ((err = shmseg_queue_claim(queue, batch)) == SHMSEG_CHANGED)
    if (!queue_skip_records(buffer, *used, batch->head - first, &begin))
      return err;
  *used -= begin;
  memmove(buffer, buffer + begin, *used);
  return err;
}

int shmseg_queue_take(shmseg_queue *queue, void *buffer, size_t available, uint64_t max,
                      size_t *used, int64_t deadline) {
  int64_t patience = 0;
  int err;
  do {
    shmseg_queue_batch batch;
    err = shmseg_queue_look(queue, &batch, max, deadline);
    if (!err)
      err = queue_copy_records(queue, &batch, buffer, available, used);
    if (!err)
      err = queue_claim_records(queue, &batch, buffer, used);
    if (err == SHMSEG_CHANGED)
      err = shmseg_wait_overtaken(&patience, deadline);
  } while (err == SHMSEG_CHANGED);
  if (err && err != SHMSEG_TOO_SMALL)
    *used = 0;
  return err;
}
