/* SPDX-License-Identifier: MIT */
/* The dict under the scheduler: what processes did, as schedule_operations.c notes it and schedule_history.c explains
 * it. */
#ifndef SHMSEG_SPEC_DICT_SCHEDULE_H
#define SHMSEG_SPEC_DICT_SCHEDULE_H

#include "schedule/schedule.h"
#include "shmseg.h"

#define KEYS 3 /* that the history tells of */
#define EVENTS 32
#define LONGEST 8 /* elements of a list */

/* What is under a key. */
typedef enum { NOTHING, VALUE, NUMBER, LIST } dict_content;

typedef struct {
  dict_content type;
  int entry;      /* of the ledger */
  int64_t number; /* or the elements */
  int list[LONGEST];
} dict_state;

/* An operation of a process; what is done for a starting state is FRESH's. */
typedef struct {
  int p;
  char op;
  unsigned key;
  int entry; /* that it writes */
  int err;
  dict_state told;       /* what it was told */
  unsigned begun, ended; /* ended 0: its process died at it */
} dict_event;

/* The processes. */
typedef struct {
  shmseg_dict maker; /* of the starting state */
  shmseg_dict handles[PROCESSES];
  bool evicts; /* other keys may go to make room */
  shmseg_dict_token seen[PROCESSES];
  shmseg_dict_claim claims[PROCESSES];
  int claimed; /* by this process */
} dict_model;

extern dict_model dict_world;

/* The letter that names a key. */
char dict_key_name(unsigned key);

/* p does that. */
void dict_do(int p, char op, unsigned key);

extern dict_event dict_events[EVENTS];
extern int dict_event_count;

/* Before a starting state is made, when it is made, before each run. */
void history_clear(void);
void history_keep(void);
void history_begin(void);

/* p begins an operation; it ends. */
dict_event *history_add(int p, char op, unsigned key, int entry);
void history_end(dict_event *event, int err);

/* It has changed nothing, and was told nothing. */
void history_forget(dict_event *event);

/* Is there an order of all operations on the key that explains what each of them was told? An operation
 * that ended before another one began comes before it; one whose process died may have happened or not. */
bool history_is_explained(unsigned key);

#endif
