/* SPDX-License-Identifier: MIT */
/* The public C API of cell, queue and broadcast. shmseg.h includes it, and says what holds for all functions. */
#ifndef SHMSEG_MESSAGES_H
#define SHMSEG_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg/object.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that become a message or a value. */
typedef struct shmseg_source {
  const void *bytes;
  size_t size;
  /* That the bytes lie in, when they lie in a segment: if a peer cuts it while they are copied, the
   * call gives SHMSEG_TRUNCATED and changes nothing. NULL: private memory. */
  const shmseg_segment *segment;
} shmseg_source;

/* Bytes of the largest capacity. */
#define SHMSEG_CAPACITY_MAX ((uint64_t)1 << 40)

/* A cell: the latest value, never torn. Readers wait for nobody and write nothing. Versions count
 * the values from 1 on; 0 is no value yet. */
typedef struct shmseg_cell {
  shmseg_object object;
} shmseg_cell;

SHMSEG_OBJECT(cell);

/* Sets the value; *version is the new one. EINVAL when it is larger than the capacity. */
SHMSEG_API int shmseg_cell_set(shmseg_cell *cell, const void *bytes, size_t size,
                               uint64_t *version);

/* Sets it if the version is still expected; else SHMSEG_CHANGED, and *version is the actual one. */
SHMSEG_API int shmseg_cell_cas(shmseg_cell *cell, uint64_t expected, const void *bytes, size_t size,
                               uint64_t *version);

/* Both in one; expected is SHMSEG_ANY_VERSION for a set, and the value may lie in a segment, but not
 * in the cell. A writer that was stopped while it writes is waited for, five seconds at most, as by
 * the two above. */
SHMSEG_API int shmseg_cell_set_until(shmseg_cell *cell, uint64_t expected,
                                     const shmseg_source *value, int64_t *deadline,
                                     uint64_t *version);
#define SHMSEG_ANY_VERSION UINT64_MAX

/* Copies the value. SHMSEG_EMPTY; SHMSEG_TOO_SMALL when it has *size bytes and available is less;
 * SHMSEG_TIMEOUT when writers have overtaken every try for 100 ms. What the buffer has after a
 * failure is undefined. It may lie in a segment, but not in the cell; shmseg_segment_status() of
 * that segment then tells whether the bytes went there. */
SHMSEG_API int shmseg_cell_get(const shmseg_cell *cell, void *buffer, size_t available,
                               size_t *size, uint64_t *version);

/* The two halves of get, for a caller that copies the value itself. The bytes may change while they
 * are copied; the copy is the value if confirm then gives 0. SHMSEG_CHANGED: try again. */
SHMSEG_API int shmseg_cell_peek(const shmseg_cell *cell, const unsigned char **bytes, size_t *size,
                                uint64_t *version);
SHMSEG_API int shmseg_cell_confirm(const shmseg_cell *cell, uint64_t version);

SHMSEG_API int shmseg_cell_version(const shmseg_cell *cell, uint64_t *version);

/* Waits until the version is another one than seen. */
SHMSEG_API int shmseg_cell_wait(const shmseg_cell *cell, uint64_t seen, int64_t deadline);

/* What a handle has learnt of spinning; core/wait.c uses it. */
typedef struct shmseg_spin {
  uint32_t failures; /* in a row */
  uint32_t pauses;   /* before the first look */
  uint32_t looks;    /* of the last spin; 0: it found nothing */
} shmseg_spin;

/* A queue: each message goes to one consumer, first in, first out. */
typedef struct shmseg_queue {
  shmseg_object object;

  /* private */
  uint64_t ring;                 /* bytes of the ring */
  uint64_t push_lap, pop_lap;    /* positions where the ring's first byte was passed last */
  uint64_t head_seen, tail_seen; /* how far the other side was when last looked at */
  uint64_t lacking; /* bytes of the record that the last push found no room for; 0: it found room */
  shmseg_spin push_spin, pop_spin;
} shmseg_queue;

SHMSEG_OBJECT(queue);

/* EINVAL when the message is larger than the capacity; SHMSEG_TIMEOUT, SHMSEG_SHUTDOWN. */
SHMSEG_API int shmseg_queue_push(shmseg_queue *queue, const void *bytes, size_t size,
                                 int64_t deadline);

/* Pushes count messages in their order; EINVAL, before the first one, when one of them is larger
 * than the capacity. What there is room for is published by one store; messages that different
 * stores publish may have others' messages between them. *pushed is how many this call has
 * pushed, also when it fails: call again with the rest. */
SHMSEG_API int shmseg_queue_push_many(shmseg_queue *queue, const shmseg_source *messages,
                                      size_t count, size_t *pushed, int64_t deadline);

/* Takes at least one message and at most max (0 is EINVAL), as many as fit in available bytes. Each
 * is a record of SHMSEG_RECORD(size) bytes: the size as uint64_t, the message, and up to 7 more to
 * a multiple of 8. *used is how many bytes they fill; with SHMSEG_TOO_SMALL how many the first one
 * needs. The buffer is aligned to 8. SHMSEG_TIMEOUT; SHMSEG_SHUTDOWN when the queue is shut and
 * empty. */
SHMSEG_API int shmseg_queue_take(shmseg_queue *queue, void *buffer, size_t available, uint64_t max,
                                 size_t *used, int64_t deadline);

#define SHMSEG_RECORD(size) (8 + ((size) + 7) / 8 * 8)

/* Messages that are looked at in the ring, and then taken all at once. Nothing is held meanwhile:
 * other consumers may take them first, and peers may change the bytes while they are copied.
 *
 *   err = shmseg_queue_look(queue, &batch, max, deadline);
 *   while (!err && (err = shmseg_queue_next(queue, &batch)) == 0)
 *     err = shmseg_queue_copy(queue, &batch, room for batch.size bytes);
 *   if (err == SHMSEG_EMPTY)
 *     err = shmseg_queue_claim(queue, &batch);
 *
 * What was copied is the messages, and the caller's, when claim has given 0. SHMSEG_CHANGED, from
 * any of these: other consumers were faster. */
typedef struct shmseg_queue_batch {
  uint64_t head; /* position of the first message */
  uint64_t end;  /* position behind the last one that next has shown */
  uint64_t tail; /* as far as messages are known */
  uint64_t left; /* how many more next may show */

  /* The last one. bytes is NULL when it wraps at the end of the ring: then copy joins it. The
   * pointer is good until the segment is resized, refreshed or closed; copy finds the bytes anew. */
  const unsigned char *bytes;
  size_t size;
} shmseg_queue_batch;

/* Waits until there is a message, and begins a batch of at most max (0 is EINVAL), which is empty.
 * SHMSEG_TIMEOUT, SHMSEG_SHUTDOWN. */
SHMSEG_API int shmseg_queue_look(shmseg_queue *queue, shmseg_queue_batch *batch, uint64_t max,
                                 int64_t deadline);

/* Adds the next message. SHMSEG_EMPTY: there are max of them, or there was none behind the last
 * one. SHMSEG_CORRUPT. */
SHMSEG_API int shmseg_queue_next(shmseg_queue *queue, shmseg_queue_batch *batch);

/* Copies the message that was added last, and stops when it is taken meanwhile. */
SHMSEG_API int shmseg_queue_copy(shmseg_queue *queue, const shmseg_queue_batch *batch, void *to);

/* 0 when nothing of the batch has been taken so far: its last size was a message's. */
SHMSEG_API int shmseg_queue_confirm(const shmseg_queue *queue, const shmseg_queue_batch *batch);

/* Takes the batch. After SHMSEG_CHANGED others have taken what lies before batch->head, which is
 * now where the queue begins. If a message of the batch begins there, it and those behind it can
 * still be claimed by another call. EINVAL: they have taken more than the batch has. */
SHMSEG_API int shmseg_queue_claim(shmseg_queue *queue, shmseg_queue_batch *batch);

/* From here on no push succeeds. */
SHMSEG_API int shmseg_queue_shutdown(shmseg_queue *queue);

typedef struct shmseg_queue_stats {
  uint64_t messages, bytes; /* in the ring; bytes with the headers of the records */
  uint64_t capacity;
  bool shut;
} shmseg_queue_stats;

/* Bytes of the records that are in the ring now. SHMSEG_CORRUPT also when nobody has ever written
 * some of them. */
SHMSEG_API int shmseg_queue_bytes(const shmseg_queue *queue, uint64_t *bytes);

/* What is in the queue at one moment. EAGAIN when consumers were faster than every count. */
SHMSEG_API int shmseg_queue_count(const shmseg_queue *queue, shmseg_queue_stats *stats);

/* The same in steps of some milliseconds: SHMSEG_INTERRUPTED when a step is over; call again with
 * the same walk, which is all zeroes at the first call. */
typedef struct shmseg_queue_walk {
  uint64_t position, tail, messages;
  uint64_t written; /* up to here there is no hole */
  unsigned rounds;
} shmseg_queue_walk;

SHMSEG_API int shmseg_queue_count_on(const shmseg_queue *queue, shmseg_queue_walk *walk,
                                     shmseg_queue_stats *stats);

/* A broadcast: each message goes to every subscriber; the oldest are overwritten. Sequence numbers
 * are dense and start at 1. */
typedef struct shmseg_broadcast {
  shmseg_object object;

  /* private */
  uint64_t ring;               /* bytes of the ring */
  uint64_t index;              /* in the ring, behind what was written last */
  uint64_t end_lap, floor_lap; /* positions where the ring's first byte was passed last */
} shmseg_broadcast;

SHMSEG_OBJECT(broadcast);

/* Never waits for a subscriber. EINVAL when the message is larger than the capacity,
 * SHMSEG_SHUTDOWN. */
SHMSEG_API int shmseg_broadcast_publish(shmseg_broadcast *broadcast, const void *bytes, size_t size,
                                        uint64_t *sequence);

/* The same for a caller that looks around while it waits for another publisher, five seconds at
 * most. *deadline is 0 at the first call; after SHMSEG_INTERRUPTED call again with the same one. */
SHMSEG_API int shmseg_broadcast_publish_until(shmseg_broadcast *broadcast,
                                              const shmseg_source *message, int64_t *deadline,
                                              uint64_t *sequence);

/* Publishes count messages in their order; EINVAL, before the first one, when one of them is larger
 * than the capacity or count is 0. As many as the ring holds at once are published by one store;
 * messages of different stores may have others' messages between them. *published is how many this
 * call has published, also when it fails, and *sequence the number of the last of them; after
 * SHMSEG_INTERRUPTED call again with the rest and the same *deadline, which each store begins anew. When a source is cut what was to be published with it
 * is not, though some of the oldest messages may be gone by then. */
SHMSEG_API int shmseg_broadcast_publish_many(shmseg_broadcast *broadcast,
                                             const shmseg_source *messages, size_t count,
                                             size_t *published, int64_t *deadline,
                                             uint64_t *sequence);

/* From here on nothing is published. */
SHMSEG_API int shmseg_broadcast_shutdown(shmseg_broadcast *broadcast);

typedef struct shmseg_broadcast_stats {
  uint64_t first; /* number of the oldest message that is there; next when there is none */
  uint64_t next;  /* number that the next message will have */
  uint64_t bytes; /* of the messages that are there, with the headers of their records */
  uint64_t capacity;
  bool shut;
} shmseg_broadcast_stats;

/* What is there. SHMSEG_TIMEOUT when publishers have overtaken every try for 100 ms. */
SHMSEG_API int shmseg_broadcast_count(const shmseg_broadcast *broadcast,
                                      shmseg_broadcast_stats *stats);

/* A subscription is private: it reads and writes nothing for the publishers to see. */
typedef struct shmseg_subscription {
  const shmseg_broadcast *broadcast;
  uint64_t position; /* of the next record, if it is still there; 0: it is gone */
  uint64_t sequence; /* of the next message */
  uint64_t lost;     /* since the last one */

  /* private */
  uint64_t known; /* the number behind the last message that is known to be out */
  uint64_t lap;   /* position where the ring's first byte was passed last */
  shmseg_spin spin;
  uint32_t looks;       /* that found nothing, since a message was found */
  uint32_t trial;       /* messages between two trials whether to pause pays; 0: it does */
  uint32_t until_trial; /* messages until the next one */
} shmseg_subscription;

#define SHMSEG_FROM_NEW UINT64_MAX
#define SHMSEG_FROM_OLDEST 0
#define SHMSEG_FROM_LAST(count) (UINT64_MAX - (count))

/* from: the new, the oldest, the last count messages (1 to 2^53; the oldest when there are fewer),
 * or a sequence number; what is gone counts as lost. SHMSEG_OUT_OF_RANGE when it is beyond the next
 * one; SHMSEG_TIMEOUT when publishers have overtaken every try for 100 ms. */
SHMSEG_API int shmseg_broadcast_subscribe(const shmseg_broadcast *broadcast, uint64_t from,
                                          shmseg_subscription *subscription);

/* The same in steps, as shmseg_queue_count_on; the walk is all zeroes at the first call. */
typedef struct shmseg_broadcast_walk {
  uint64_t end;     /* 0: the walk begins */
  uint64_t number;  /* where it goes */
  uint64_t written; /* up to here there is no hole */
  int64_t patience;
} shmseg_broadcast_walk;

SHMSEG_API int shmseg_broadcast_subscribe_on(const shmseg_broadcast *broadcast, uint64_t from,
                                             shmseg_broadcast_walk *walk,
                                             shmseg_subscription *subscription);

/* Copies the next message; *lost is how many were overwritten before it. SHMSEG_TOO_SMALL when it
 * has *size bytes and available is less: call again. SHMSEG_TIMEOUT, SHMSEG_SHUTDOWN. */
SHMSEG_API int shmseg_subscription_next(shmseg_subscription *subscription, void *buffer,
                                        size_t available, size_t *size, uint64_t *sequence,
                                        uint64_t *lost, int64_t deadline);

/* Messages that are looked at in the ring, and then taken all at once. Publishers may overwrite
 * them meanwhile.
 *
 *   shmseg_subscription_batch batch = { 0 };
 *   do {
 *     err = shmseg_subscription_look(subscription, &batch, deadline);
 *     while (!err && more are wanted && (err = shmseg_subscription_show(subscription, &batch)) == 0)
 *       err = shmseg_subscription_copy(subscription, &batch, place for batch.size bytes);
 *     if (!err || err == SHMSEG_EMPTY)
 *       err = shmseg_subscription_confirm(subscription, &batch, &floor);
 *   } while (err == SHMSEG_CHANGED);
 *   if (!err)
 *     shmseg_subscription_advance(subscription, &batch);
 *
 * What was copied are messages when confirm has given 0. SHMSEG_CHANGED, from any of them: the first
 * one was overwritten; look begins anew, with the oldest message that is there. */
typedef struct shmseg_subscription_batch {
  uint64_t sequence; /* of the first message */
  uint64_t lost;     /* before it */
  uint64_t count;    /* how many show has shown */
  uint64_t position; /* of the first message's record */
  uint64_t end;      /* behind the last one's */

  const unsigned char *bytes; /* of the last one, in the ring, as those of a queue's batch */
  size_t size;                /* of the last one */

  int64_t patience; /* private; 0 at the first look */
} shmseg_subscription_batch;

/* Bytes that a message takes in the ring. */
#define SHMSEG_BROADCAST_RECORD(size) (16 + ((size) + 7) / 8 * 8)

/* Waits until there is a message, and begins a batch, which is empty. SHMSEG_TIMEOUT, also when
 * publishers have overtaken every try for 100 ms; SHMSEG_SHUTDOWN. */
SHMSEG_API int shmseg_subscription_look(shmseg_subscription *subscription,
                                        shmseg_subscription_batch *batch, int64_t deadline);

/* Adds the next message. SHMSEG_EMPTY: there was none behind the last one; SHMSEG_CHANGED;
 * SHMSEG_CORRUPT. */
SHMSEG_API int shmseg_subscription_show(shmseg_subscription *subscription,
                                        shmseg_subscription_batch *batch);

/* Copies the message that was added last. SHMSEG_CHANGED: it was overwritten, so the copy, which may
 * have stopped half way, is worth nothing. */
SHMSEG_API int shmseg_subscription_copy(shmseg_subscription *subscription,
                                        const shmseg_subscription_batch *batch, void *to);

/* Is all of the batch still there, so that what was copied of it is whole? After SHMSEG_CHANGED
 * what lies before *floor was overwritten. If that is where a message of the batch begins, it and
 * those behind it can be kept: add the number of those before it to batch.sequence and batch.lost,
 * take it from batch.count, set batch.position to *floor, and confirm again. */
SHMSEG_API int shmseg_subscription_confirm(shmseg_subscription *subscription,
                                           const shmseg_subscription_batch *batch, uint64_t *floor);

/* Goes on behind the batch, or, after batch.end and batch.count were set back to those of a message
 * of it, behind that one. */
SHMSEG_API void shmseg_subscription_advance(shmseg_subscription *subscription,
                                            const shmseg_subscription_batch *batch);

#ifdef __cplusplus
}
#endif

#endif
