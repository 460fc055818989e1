/* SPDX-License-Identifier: MIT */
/* The scheduler: processes as coroutines over one block of memory, run through chosen schedules.
 *
 * A structure's part is a file of its own: scenarios (scripts of one letter for each operation, with a
 * number behind it that is its operand), a model that is told of every operation, and what must hold. The engine knows no structure.
 *
 *   engine.c   processes, steps              memory.c   shared words, stale reads
 *   run.c      one run, time
 *   system.c   what the fake OS needs        opening.c  who builds an object
 *   explore.c  all schedules in a budget     main.c     the list, codes, replay */
#ifndef SHMSEG_SPEC_SCHEDULE_H
#define SHMSEG_SPEC_SCHEDULE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "fake/fake.h"
#include "objects/kinds.h"
#include "os/fault.h"
#include "shmseg.h"

#define PROCESSES 4
#define FRESH 3 /* the one that comes when the others are over */
#define NOBODY (-1)

/* Bytes of the block at most; of the words of the scenarios, which their locks protect; and of the
 * object when its structure does not say. */
#define BLOCK 16384
#define DATA_SIZE 256
#define OBJECT_SIZE 1024

/* Identities: those of process p, of strangers who have died, and of one who lives on. */
#define ID_OF(p) (0x1000u + (uint32_t)(p))
#define ID_DEAD 0x2001u
#define ID_DEAD_TOO 0x2002u
#define ID_STRANGER 0x3001u

#define MILLISECOND ((int64_t)1000000)

/* How often each kind of decision may be taken in one schedule. */
typedef struct budget {
  unsigned char preemptions, deaths, stalls, flips, stale, signals;
} budget;

#define BUDGETS 8

typedef struct scenario {
  const char *title;          /* begins with !: a self-test, in which something must be found */
  const char *scripts[FRESH]; /* NULL: no such process */
  const char *fresh;          /* script of the fresh process */
  int start;                  /* of the structure's starting states */
  int option;                 /* of the structure's own */
  int processors;             /* 0: 1 */
  const budget *budgets;      /* NULL: budgets_of_two; a zero one ends the list */
} scenario;

extern const budget budgets_of_two[], budgets_of_three[], budgets_honest[], budgets_opening[],
    budgets_long[], budgets_short[], budgets_many[], budgets_crowd[];

typedef struct structure {
  const char *name;
  /* Of a kind, for opening.c. */
  const shmseg_kind *kind;
  void *handles;                        /* one for each process */
  const shmseg_object_options *options; /* NULL: none */
  const scenario *scenarios;
  int count;
  void (*make)(const scenario *s);  /* builds the starting state, once */
  void (*begin)(const scenario *s); /* before each run: handles and model */
  void (*perform)(int p, char op);  /* in process p */
  void (*died)(int p);              /* the model is told */
  bool (*in_vain)(int p);           /* p is asleep: could it go on, by the model? */
  const char *(*check)(void);       /* the object's bytes, when nobody is at it */
  size_t size;                      /* of the object at most; 0: OBJECT_SIZE */
  const char *operands;             /* the operations that take one; NULL: none */
  void (*stored)(const void *word); /* told of each store that changes a word; NULL: is not */
} structure;

typedef enum { READY, ASLEEP, STALLED, DONE, DEAD } state;

typedef struct process {
  state state;
  bool started, spins, counted; /* counted: stalled until others have done `resume` operations */
  int resume;
  const char *script;
  char op;            /* that it is in; 0: between two */
  unsigned operand;   /* of it; 0: none */
  unsigned op_steps;  /* steps since that began */
  int64_t deadline;   /* of it */
  int64_t vain_since; /* asleep without need since; 0: not so */
  const uint32_t *word;
  int64_t until;
  unsigned queued; /* sleepers wake in this order */
  int reason;
  int draws;
  uint32_t id;
  int last; /* result of the last operation */
  shmseg_segment segment;
  jmp_buf start, here;
} process;

typedef struct decision {
  uint32_t step;
  char action;
  unsigned char about;
} decision;

#define DECISIONS 12

typedef struct code {
  int count;
  decision list[DECISIONS];
} code;

/* What could be decided at a step. */
typedef struct candidate {
  uint32_t step;
  unsigned char ready, asleep; /* other processes, as bits */
  unsigned char stale;         /* so many older values could be read */
  bool choice;                 /* who runs next: nobody does */
  bool plain;                  /* a load of a word that nobody ever changes */
  bool resumed;                /* the step before had the same access */
  bool word;                   /* there is a word to be flipped */
  bool wait;                   /* a signal may come */
} candidate;

#define CANDIDATES 4096

typedef struct world {
  const structure *structure;
  const scenario *scenario;
  process processes[PROCESSES];
  int count;   /* of processes, but for the fresh one */
  int current; /* NOBODY: the test itself */
  int forced;
  jmp_buf scheduler;
  uint32_t step;
  unsigned queue, total;
  int64_t progress;      /* when an operation was last finished */
  bool excused;          /* somebody died, stopped or was deceived */
  int64_t excused_until; /* so long may others sleep in vain */
  bool hostile;          /* a stranger has written: only bounds, time and crashes count */
  bool stale;            /* an old value was read: nothing holds in real time */
  bool truncated;
  bool trace;
  bool weak;
  const char *failure;
  char text[200];
  code code;
  int next; /* decision to come */
  candidate *candidates;
  int candidate_count;
  unsigned late; /* sleeps that ended by interval though they could have ended before */
} world;

extern world w;
extern _Alignas(4096) unsigned char block[BLOCK];

/* The bytes that are the object's, a multiple of 64; behind them the words of the scenarios. */
extern size_t block_object, block_size;

/* --- for structures ----------------------------------------------------------------------- */

/* Fails the run; expect does not after a hostile write. */
#define expect(condition, ...) ((condition) || w.hostile ? (void)0 : engine_fail(__VA_ARGS__))
#define must(condition, ...) ((condition) ? (void)0 : engine_fail(__VA_ARGS__))

void engine_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A handle's segment over the block. */
void engine_segment(shmseg_segment *segment);

/* The deadline of the operation that p begins. */
int64_t engine_deadline(int p, int64_t timeout);

/* Somebody has died before, or might have: for a while others may sleep in vain. */
void engine_excuse(void);

/* Is the process alive, whatever it does? */
bool engine_lives(int p);

/* A word of the scenarios' data, which is not the structure's. */
uint32_t data_load(int index);
void data_store(int index, uint32_t value);

/* --- between the engine's files ----------------------------------------------------------- */

typedef struct access {
  const char *name;
  void *word; /* NULL: none */
  unsigned size;
  bool changes; /* it may */
  bool wait;    /* a signal may end it */
  int stale;    /* older values that it could read */
  bool idle;    /* it stores what is there */
} access;

/* Yields; true when a decision of stale reading was taken, which *stale tells. */
void engine_step(const access *a, int *stale);

/* Something is seen in the trace. */
void engine_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs p until it leaves. */
void engine_enter(int p);
/* Leaves the running coroutine; returns when it is its turn again. */
void engine_leave(void);

/* So long may a death make others wait. */
#define VAIN (100 * MILLISECOND)
void engine_die(int p);

/* The decision that is due at this step, or NULL; what could be decided. */
const decision *engine_due(void);
void engine_note(const access *a, bool choice, bool resumed);

extern shmseg_fault engine_fault; /* of all handles */

extern const fake_hooks system_hooks;

/* Runs w.code on the scenario; the candidates behind its last decision are noted. */
void engine_run(void);
void engine_open(const structure *structure, const scenario *s);
void engine_start(void); /* once */

void memory_begin(void);
void memory_found_dead(int prober, int dead);
bool memory_changes(const void *word, unsigned size); /* does anybody ever? */
void memory_flip(void *word, unsigned size, int how);
uint32_t memory_look(const uint32_t *word);
extern bool memory_grown; /* more words are changed than was known */
void memory_forget(void); /* which words are changed */
#define FLIPS 9           /* and one more: a truncation */
#define FLIPS_PLAIN 3     /* from here on three that are identities */

typedef struct found {
  uint64_t schedules, late;
  bool failed;
  code code;
  char text[200];
} found;

found explore(const structure *structure, const scenario *s);
void code_print(const code *c, char *text, int size);
bool code_parse(const char *text, code *c);

/* Has main() run the scenarios of a structure. The file has the functions and the list of scenarios
 * under these names; what follows are the other fields of the structure. */
#define SCHEDULE(noun, ...)                                                                        \
  static const structure schedule_##noun = { .name = #noun,                                        \
                                             .scenarios = scenarios,                               \
                                             .count = sizeof scenarios / sizeof scenarios[0],      \
                                             .make = make,                                         \
                                             .begin = begin,                                       \
                                             .perform = perform,                                   \
                                             .died = died,                                         \
                                             .in_vain = in_vain,                                   \
                                             .check = check,                                       \
                                             __VA_ARGS__ };                                        \
  static const structure *schedule_##noun##_entry __attribute__((section("schedules"), used)) =    \
      &schedule_##noun

#endif
