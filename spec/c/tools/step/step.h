/* SPDX-License-Identifier: MIT */
/* The instruction stepper: what a structure's file gives it, and what its parts give each other.
 *
 * A case is one operation from one starting state. It is played by processes: actors, which bring
 * the object into the starting state and then die, live on or sleep; the subject, which is stepped;
 * and the user, another process that comes afterwards. All of them find the object through
 * step_segment. */
#ifndef SHMSEG_STEP_H
#define SHMSEG_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "objects/kinds.h"
#include "shmseg.h"

/* --- what a structure's file gives ------------------------------------------------------------ */

typedef enum {
  STEP_DIES,  /* killed before the operation begins */
  STEP_STAYS, /* lives on; ends after the operation, with act.end */
  STEP_SLEEPS /* is asleep in act.begin when the operation begins, and must come out of it */
} step_fate;

typedef struct step_actor {
  step_fate fate;
  void (*begin)(void);
  void (*end)(void);
} step_actor;

#define STEP_ACTORS 4
#define STEP_OUTCOMES 4

typedef struct step_case {
  const char *sentence;
  step_actor actors[STEP_ACTORS]; /* the sleepers come after prepare, the others before it */
  void (*prepare)(void);          /* the subject's: before it is stepped */
  void (*operate)(void);          /* what is stepped */
  /* What the user finds, were the subject to die: the first at the beginning, the last at the end,
   * and never one of them after its successor. */
  const char *outcomes[STEP_OUTCOMES];
  /* Where actors live on, what the user finds instead; "*": any of the outcomes. */
  const char *live;
  unsigned wakes;       /* the operation wakes so many sleepers, or more */
  bool changes_nothing; /* of the shared bytes */
  bool no_identity;     /* the subject takes its identity in the operation, not before */
  int descriptors;      /* that the operation leaves open */
  void *entry;          /* stepping begins at this function; NULL: with operate */
} step_case;

/* A dead actor that has played this part. */
#define AFTER(function)                                                                            \
  { STEP_DIES, function, NULL }

/* Of a case: the subject has no identity yet, and takes one. */
#define TAKES_IDENTITY .no_identity = true, .descriptors = 1

typedef struct step_structure {
  /* Of a kind: how it is made and opened, and what use says of a new one. Its making is stepped, too,
   * where as_new is not NULL. */
  const shmseg_kind *kind;
  shmseg_object *handle; /* this process's */
  const shmseg_object_options *options;
  const char *as_new;
  const char *noun; /* of what is no kind, or has another name here */
  const char *name; /* its cases are name.0, name.1, …; NULL: as the noun */
  size_t size;      /* of its segment */
  const char *(*verify)(void);
  const char *(*use)(void); /* a full use of an object that nobody holds, with time-outs of 0: an
                               outcome, or what went wrong */
  bool sleepers_write_nothing;
  bool keeps_nothing; /* locked, after its operations: a user comes while the subject lives, too */
  bool is_wrong;      /* a test of the stepper: its cases have to be found out */
  /* For what is no bytes, the name of a segment: looks like an outsider and tells the outcome, and
   * use tells what is wrong, or NULL. There are no copies, opening is the case's own business, and
   * build makes what is there at the beginning. */
  const char *(*look)(void);
  int (*build)(void);
  const step_case *cases; /* up to one without a sentence */
} step_structure;

/* Has main() play a structure. */
#define STEP_PLAY(structure)                                                                       \
  static const step_structure *structure##_entry                                                   \
      __attribute__((section("step_structures"), used)) = &(structure)

/* --- what it may use -------------------------------------------------------------------------- */

extern shmseg_segment step_segment;
extern char step_name[64]; /* of the segment */

/* Once more for the same object, as another participant would: a handle of its own. */
int step_open_other(shmseg_segment *other);
int step_open_reader(shmseg_segment *reader); /* through a read-only mapping */

/* Becomes the owner of the lock word at offset, as one who dies in a critical section is left. */
void step_enter_lock(size_t offset);

/* The deadline so many milliseconds from now. */
int64_t step_deadline(int64_t milliseconds);

/* Fails the case when the condition does not hold; in any of its processes. */
#define step_expect(condition) step_expect_that(condition, #condition, __FILE__, __LINE__)
void step_expect_that(bool good, const char *what, const char *file, int line);

/* Calls again as long as the result is SHMSEG_INTERRUPTED. */
#define STEP_UNTIL_DONE(err, call)                                                                 \
  do                                                                                               \
    err = call;                                                                                    \
  while (err == SHMSEG_INTERRUPTED)

/* The same for a sleeper that nobody wakes where the operation dies too early: it gives up, with
 * SHMSEG_INTERRUPTED, when that is over and another interval has brought nothing. */
#define STEP_UNTIL_OVER(err, call)                                                                 \
  do {                                                                                             \
    bool over = *step_over;                                                                        \
    err = call;                                                                                    \
    if (over)                                                                                      \
      break;                                                                                       \
  } while (err == SHMSEG_INTERRUPTED)

/* The subject has come to its end, or is dead; it is being walked through. Shared by all
 * processes. */
extern volatile bool *step_over, *step_walking;

/* --- messages (message.c) ------------------------------------------------------------------------ */

/* The capacity of what holds messages here. A `rep movs` is a step for each byte: they are small. */
#define STEP_CAPACITY 40

/* A message that tells whether it is whole and in its place. Until the next call. */
const void *step_message(char letter, size_t size);
/* Adds to the text what it is: "a24", "0" for an empty one, "?24" for one that is not whole. */
void step_tell(char *text, size_t available, const void *bytes, size_t size);
bool step_is_message(const void *bytes, size_t size, char letter, size_t expected);

/* --- the engine ------------------------------------------------------------------------------- */

/* Plays the cases of the structure, all or those that main's words name: prints a line for each. */
void step_play(const step_structure *structure);

/* The same for the making of an object of its kind (build.c), with cases of one's own or NULL. */
void step_play_build(const step_structure *structure, const step_case *play);

/* Its noun, its name, and the bytes of its segment. */
const char *step_noun(const step_structure *structure);
const char *step_name_of(const step_structure *structure);
size_t step_size(const step_structure *structure);

/* This process's handle: opens it in step_segment, checks it, closes it. */
int step_open(const step_structure *structure, shmseg_mode mode);
const char *step_verify(const step_structure *structure);
void step_close(const step_structure *structure);

/* Calls play for each structure that STEP_PLAY names, in the order of their names. */
void step_for_each(void (*play)(const step_structure *structure));

/* Before all, with main's words. False: says why, and that the tests are skipped. */
bool step_possible(const char *what, char **words);

/* Prints the totals; the exit status. */
int step_end(void);

/* --- one traced process (trace.c) ------------------------------------------------------------- */

typedef enum { STEP_PLAIN, STEP_CALL, STEP_DONE, STEP_LOST } step_instruction;

/* Marks beginning and end of what is stepped. */
void step_mark(void);

bool step_trace_allowed(void);
/* In the child, before anything else. */
int step_trace_me(void);
/* Runs the child up to its first mark, and then to entry unless that is NULL. */
bool step_trace_begin(pid_t pid, void *entry);
/* What it will execute next, and where. */
step_instruction step_trace_look(pid_t pid, uint64_t *where);
/* Executes one instruction, the next. *woken grows by the sleepers that it woke. */
bool step_trace_step(pid_t pid, step_instruction next, unsigned *woken);
/* How often the instruction at where has been executed, this time included; begin: from now on. */
unsigned step_trace_count(uint64_t where, bool begin);
/* Runs to the instruction, for the time-th time; it is not executed yet. False when the process comes
 * to its end before. */
bool step_trace_to(pid_t pid, uint64_t where, unsigned time);
/* Runs to the n-th system call, before it or after it. */
bool step_trace_to_call(pid_t pid, unsigned n, bool after);
/* Lets it run, and does not wait. */
bool step_trace_run(pid_t pid);

/* --- processes (cast.c) ------------------------------------------------------------------------ */

typedef struct step_process {
  pid_t pid;
  int from, to; /* pipes; -1 */
} step_process;

/* Forks one that opens the structure and runs the function. */
step_process step_process_start(const step_structure *structure, const step_actor *actor);
/* Has it come to the end of begin in so many milliseconds? */
bool step_process_arrived(step_process *process, int milliseconds);
bool step_process_asleep(pid_t pid);
void step_process_kill(step_process *process);
/* Lets it run its end, and waits for it. */
bool step_process_finish(step_process *process);
/* In the child of a fork: opens the segment by its name, and the structure. */
void step_enter(const step_structure *structure);

/* Another process uses the object: its outcome, in buffer. */
const char *step_use_elsewhere(const step_structure *structure, char *buffer, size_t size);

/* Names in /dev/shm that are this run's. */
unsigned step_names_count(void);
unsigned step_descriptors(pid_t pid);
/* Does anybody hold a lock on the segment's object? */
bool step_locks_left(const shmseg_segment *segment);

/* This process is the only one that is not dead: whoever sleeps would sleep its interval out. */
extern bool step_alone;

/* What step_expect found wrong in any process, or NULL; and forgets it. */
const char *step_complaint(void);
void step_prepare_complaints(void);
void step_prepare_signals(void);

#endif
