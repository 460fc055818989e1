/* SPDX-License-Identifier: MIT */
/* The storm: processes at random operations, a killer, and oracles that no kill confuses. */
#ifndef SHMSEG_STORM_H
#define SHMSEG_STORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "objects/kinds.h"
#include "shmseg.h"

#define STORM_WORKERS_MAX 16
#define STORM_NOUNS_MAX 32

/* Bytes behind each object that it protects. */
#define STORM_DATA 512

/* Who is inside: bits 2w and 2w + 1 are worker w's, bit 32 + w says that it is about to be killed
 * and counts no more. One word, so that one look sees all of them at the same moment. */
typedef uint64_t storm_inside;

typedef struct storm_worker {
  uint64_t operations, abandoned, timeouts;
  uint64_t begun, done; /* what a noun counts: event sets */
  uint64_t counted;     /* mutex: increments that were completed */
  const char *doing;
  int64_t since; /* of doing; 0: nothing */
} storm_worker;

typedef struct storm_control {
  bool stop;
  char wrong[512];
  storm_inside inside[STORM_NOUNS_MAX];
  uint64_t died_inside[STORM_NOUNS_MAX]; /* who was killed there */
  uint64_t told[STORM_NOUNS_MAX];        /* who was told "abandoned" */
  uint64_t given_up[STORM_NOUNS_MAX];    /* closed while inside */
  uint64_t kills;
  /* Of each noun: operations, and waits that ended with their interval although the word had changed. */
  uint64_t operated[STORM_NOUNS_MAX], late[STORM_NOUNS_MAX];
  int64_t overrun; /* the longest that a call outlived its timeout */
  storm_worker workers[STORM_WORKERS_MAX];
} storm_control;

typedef struct storm_noun {
  const shmseg_kind *kind; /* NULL: it has no object in the segment */
  shmseg_object *handle;
  const shmseg_object_options *options;
  const char *name;              /* of what is no kind, or has another name here */
  int (*opened)(void);           /* behind an open; may be NULL */
  void (*operate)(void);         /* one operation, chosen at random */
  const char *(*finish)(void);   /* when all the others are gone: what is wrong, or NULL */
  void (*prepare)(void);         /* before all; may be NULL */
  void (*bury)(unsigned worker); /* that worker has been killed; may be NULL */
  bool (*is_done)(void);         /* the storm does not end before it is; may be NULL */
} storm_noun;

/* Has the storm play a noun. */
#define STORM_PLAY(noun)                                                                           \
  static const storm_noun *noun##_entry __attribute__((section("storm_entries"), used)) = &(noun)

extern const storm_noun **storm_nouns; /* that play, in the order of their names */
extern unsigned storm_nouns_count;
const char *storm_name_of(const storm_noun *noun);

extern storm_control *storm;
extern shmseg_segment storm_segment;
extern char storm_segment_name[64], storm_scratch_name[64];
extern unsigned storm_me; /* which worker this process is */

/* Of the noun whose functions are running. */
extern unsigned storm_noun_number;
/* Closes and opens its handle. */
void storm_reopen(void);
uint64_t *storm_data(void); /* 64 words */

/* Memory that the workers and the killer share, of zeroes, for accounts. */
void *storm_memory(size_t size);

/* --- messages ---------------------------------------------------------------------------------- */

/* What one worker tells the others: whose it is, and whether it is whole. */
typedef struct storm_message {
  uint32_t worker, size;
  uint64_t number, sum;
  unsigned char bytes[232];
} storm_message;

#define STORM_MESSAGE_MIN offsetof(storm_message, bytes)

/* This worker's message of that number, of a size at random up to most. */
void storm_compose(storm_message *message, uint64_t number, size_t most);
bool storm_is_whole(const storm_message *message, size_t size);

/* What several workers know of the same number: who comes second compares. */
#define STORM_SUMS 4096
void storm_note_sum(uint64_t *sums, uint64_t number, const storm_message *message);
void storm_compare_sum(const uint64_t *sums, uint64_t number, const storm_message *message);

/* A deadline for a wait that may be in vain. */
int64_t storm_short_deadline(void);

/* --- chance ------------------------------------------------------------------------------------ */

void storm_seed(uint64_t seed); /* 0: no pauses in this process */
uint64_t storm_draw(uint64_t below);
/* A pause inside a critical section. */
void storm_nap(void);
/* A deadline: now, soon, or so late that only a failure meets it (then *patient). */
int64_t storm_deadline(bool *patient);

/* --- what goes wrong --------------------------------------------------------------------------- */

#define storm_expect(condition) storm_expect_that(condition, #condition, __FILE__, __LINE__)
void storm_expect_that(bool good, const char *what, const char *file, int line);

/* Around a call that waits. */
void storm_begin(const char *what, int64_t deadline);
void storm_end(int err, bool patient);

/* --- oracles ----------------------------------------------------------------------------------- */

/* This worker's first or second bit. */
uint64_t storm_bit(unsigned which);
/* Sets the bit and tells who else was inside, of those who live. */
uint64_t storm_enter(uint64_t bit);
void storm_leave(uint64_t bit);
#define STORM_FIRST_BITS 0x55555555u
#define STORM_SECOND_BITS 0xaaaaaaaau

/* --- parts ------------------------------------------------------------------------------------- */

/* Those nouns play of which wanted is true. */
void storm_prepare(bool (*wanted)(const char *name));
_Noreturn void storm_work(unsigned worker, uint64_t seed);
int storm_open(shmseg_mode mode);
void storm_close(void);

#endif
