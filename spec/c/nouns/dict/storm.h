/* SPDX-License-Identifier: MIT */
/* The dict in the storm: what its files share. */
#ifndef SHMSEG_STORM_DICT_H
#define SHMSEG_STORM_DICT_H

#include "storm/storm.h"

#define KEYS 12   /* values of each worker, at most */
#define NUMBERS 3 /* that all add to */
#define LISTS 2   /* that all push to */
#define CLAIMS 2  /* keys that are claimed */
#define ELEMENTS ((uint64_t)1 << 16)

/* What becomes of a key: its value's number, and how it is there. */
typedef enum { ABSENT, PRESENT, BRIEF } presence;

#define STATE(number, how) ((number) << 2 | (uint64_t)(how))
#define STATE_NUMBER(state) ((state) >> 2)
#define STATE_HOW(state) ((presence)((state)&3))

/* What is known of an element. DOUBTFUL: a killed worker was pushing it. IN_HANDS: one was popping it. */
enum { PUSHED = 1, DOUBTFUL = 2, TAKEN = 4, IN_HANDS = 8 };

/* One worker's; it outlives him. */
typedef struct {
  uint64_t number;                  /* the last one that was used */
  uint64_t done[KEYS], begun[KEYS]; /* states */
  uint64_t flushes[KEYS];           /* how many there were when it was stored */
  uint64_t lost;                    /* values that others have evicted */
  uint64_t added[NUMBERS], adding[NUMBERS], doubts[NUMBERS];
  uint64_t ballast; /* values that are stored once, and go when others need the room */
  uint64_t pushing; /* an element, or 0 */
  uint64_t popping, flushing;
  shmseg_dict_value popped; /* the hands: what a pop gives */
  uint64_t hands[32];
} dict_account;

typedef struct {
  dict_account workers[STORM_WORKERS_MAX];
  uint64_t flushes, flushed; /* begun and ended */
  uint64_t claimed, poppers_killed, filled;
  unsigned char elements[STORM_WORKERS_MAX][ELEMENTS];
} dict_accounts;

/* A dict in the storm. */
typedef struct {
  shmseg_dict dict;
  dict_accounts *books;
  size_t longest; /* of the values */
  bool evicts;    /* and flushes: what is live may go */
} dict_arena;

extern dict_arena *here; /* that of this operation */

static inline dict_account *mine(void) {
  return &here->books->workers[storm_me];
}

static inline uint64_t read_word(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void write_word(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* Writes the key's bytes: their number. */
size_t dict_key_of(char *key, char kind, unsigned worker, unsigned number);

#define UNTIL_DONE(err, call)                                                                      \
  do                                                                                               \
    err = call;                                                                                    \
  while (err == SHMSEG_INTERRUPTED)

/* Operations, chosen at random. */
void dict_get_any(void);
void dict_change_own(void);
int dict_store_ballast(void);
void dict_add(void);
void dict_push(void);
int dict_pop_from(unsigned list);
void dict_claim_one(void);
void dict_wait_for_one(void);
void dict_scan_all(void);
void dict_sweep(void);
void dict_flush(void);

/* What is there of one's own key, after the death of who had it before. */
void dict_settle(unsigned key);

/* Notes what is known of an element; gives what was known. */
unsigned dict_learn(uint64_t element, unsigned what);

#endif
