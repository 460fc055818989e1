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

/* Starting states: "a8", "a8 b8", "a8 b8 c8"; "a24 b8", which wraps behind both of these; */
void queue_push_now(char letter, size_t size);
void queue_push_a(void);
void queue_push_two(void);
void queue_push_three(void);
void queue_push_wrapped(void);
/* empty, with 16 bytes to the end of the ring, and with 8; shut. */
void queue_turn(void);
void queue_turn_more(void);
void queue_shut(void);

/* Sleepers, and what they do in the end (step_roles.c). */
void queue_sleep_for_message(void);
void queue_sleep_for_messages(void);
void queue_give_back(void);
void queue_sleep_for_room(void);
void queue_sleep_for_more_room(void); /* which does not come */
void queue_sleep_for_room_for_two(void);
void queue_withdraw(void);

#define QUEUE_CONSUMER                                                                             \
  { STEP_SLEEPS, queue_sleep_for_message, queue_give_back }
#define QUEUE_CONSUMER_OF_ALL                                                                      \
  { STEP_SLEEPS, queue_sleep_for_messages, queue_give_back }
#define QUEUE_PRODUCER                                                                             \
  { STEP_SLEEPS, queue_sleep_for_room, queue_withdraw }

extern const step_case queue_cases[], queue_many_cases[];

#endif
