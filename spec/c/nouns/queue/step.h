/* SPDX-License-Identifier: MIT */
/* The queue, stepped: what its cases use. */
#ifndef SHMSEG_STEP_QUEUE_H
#define SHMSEG_STEP_QUEUE_H

#include "step/step.h"

/* Its layout. */
#define PRODUCERS 64
#define TAIL 128
#define HEAD 192
#define RING_AT 256
#define RING 48 /* three messages of 8 bytes, or one that is as large as can be */

/* This process's handle. */
extern shmseg_queue queue;

/* What was taken, aligned as it wants to be. */
typedef struct {
  uint64_t words[32];
  size_t used, next;
} queue_records;

/* The next of them; NULL after the last. */
const unsigned char *queue_next(queue_records *r, size_t *size);

/* Go on until it is done; the codes of shmseg_queue_take and _push. */
int queue_take(shmseg_queue *from, queue_records *r, uint64_t max, int64_t deadline);
int queue_push(shmseg_queue *to, char letter, size_t size, int64_t deadline);

/* Takes one, and it is this one. */
bool queue_takes(shmseg_queue *from, char letter, size_t size);

/* As a producer is left that dies before its swap. */
void queue_die_pushing(void);
/* Inside, and alive. */
void queue_be_producer(void);
void queue_leave(void);

extern const step_case queue_cases[];

#endif
