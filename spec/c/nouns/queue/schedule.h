/* SPDX-License-Identifier: MIT */
/* The queue under the scheduler: its layout, the model, and the operations, which tell the model what
 * they begin and what they were given. */
#ifndef SHMSEG_SPEC_SCHEDULE_QUEUE_H
#define SHMSEG_SPEC_SCHEDULE_QUEUE_H

#include "schedule/ledger.h"

/* Offsets, as queue.c says. */
#define PRODUCERS 64
#define TAIL 128
#define MESSAGES 136
#define HEAD 192
#define SPACE 200
#define RING 256

/* The ring holds two short messages, or one of any other length; a wide one three. */
#define CAPACITY LEDGER_ROOM
#define WIDE 40
#define SHORT 8
#define LONG 12

#define ALL 100

extern shmseg_queue queue_handles[PROCESSES];

/* --- the model (schedule_model.c) --------------------------------------------------------- */

/* Of a process's operation. */
typedef struct queue_turn {
  char what;     /* p push, g take, s shut, n count; 0: none */
  int64_t since; /* when it began, and with */
  uint64_t head; /* which head */
  /* what it pushes; how much of it is published; how much fitted when it got the lock */
  int sent[4];
  int sending, published, fitted;
  /* what its swaps have taken, and how much each may take */
  int taken[4];
  int taking;
  uint64_t max;
  /* at some moment of it there was no message; no room; another one had the lock; the first message
   * took so many times 8 bytes, as bits */
  bool was_empty, was_full, was_locked;
  unsigned firsts;
} queue_turn;

extern queue_turn queue_turns[PROCESSES];
extern bool queue_shutting; /* somebody has begun to shut it */

uint64_t queue_head(void);
uint64_t queue_tail(void);
bool queue_is_shut(void);

/* Before a run: what is in the ring. After a store of the running process's. */
void queue_model_begin(uint64_t capacity);
void queue_model_stored(const void *word);

/* p begins an operation, which takes or pushes so many at most; has ended it. */
queue_turn *queue_begin(int p, char what, uint64_t max);
void queue_end(int p, int err);

/* p pushes this one, too. */
void queue_sends(int p, int entry);

/* p was given the n-th message of its operation; was told that there will be none. */
void queue_given(int p, int n, const unsigned char *bytes, size_t size);
void queue_over(int p);

bool queue_in_vain(int p);
const char *queue_model_check(void);

/* --- operations (schedule_moves.c) -------------------------------------------------------- */

void queue_push(int p, size_t size, int count, int64_t timeout);
void queue_take(int p, size_t available, uint64_t max, int64_t timeout);
void queue_take_twice(int p);
void queue_claim(int p, uint64_t max);
void queue_pop(int p, uint64_t max, int64_t timeout);
void queue_shut(int p);
void queue_count(int p);

/* Takes at most three; fails the run when it gets two, and there is another one. Who looks anew after
 * a swap that failed gets three. */
void queue_go_on(int p);

#endif
