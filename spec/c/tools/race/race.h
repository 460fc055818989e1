/* SPDX-License-Identifier: MIT */
/* Races: threads with handles of their own over one mapping, watched by ThreadSanitizer, which sees
 * nothing across two mappings of the same memory. */
#ifndef SHMSEG_SPEC_RACE_H
#define SHMSEG_SPEC_RACE_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg.h"
#include "test.h"

#define RACE_THREADS 4
#define RACE_SIZE 131072u
#define RACE_DATA 4096u /* from here on the bytes are the test's */

/* A segment handle whose data is the common mapping. */
typedef struct participant {
  shmseg_segment segment;
  unsigned char *own; /* where its own mapping is */
  int number;
  uint64_t random;
} participant;

/* The plain words of the tests: races on them are the locks' fault. */
typedef struct race_data {
  uint64_t a, b, given_up, told;
} race_data;

extern unsigned char *race_bytes;

static inline race_data *race_words(void) {
  return (race_data *)(race_bytes + RACE_DATA);
}

/* RACE_ROUNDS in the environment, or 10,000. */
int race_rounds(void);

void race_join(participant *p, int number);
void race_leave(participant *p);
/* A number below limit. */
uint32_t race_draw(participant *p, uint32_t limit);

/* A common mapping of zeroes; body in RACE_THREADS threads, each with a participant that has
 * joined. */
void race_run(void (*body)(participant *p));

/* Ends the program with a failed line; from any thread. */
#define race_must(condition) race_must_be(condition, #condition, __FILE__, __LINE__)
void race_must_be(bool good, const char *what, const char *file, int line);

/* The deadline that many milliseconds from now. */
int64_t race_ms(int64_t milliseconds);

#endif
