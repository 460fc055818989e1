/* SPDX-License-Identifier: MIT */
/* The fuzzer: what a structure tells of itself, and the engine that misuses it.
 *
 * A run reads commands from its input: operations of four handles with short deadlines, deaths, and
 * a stranger's doings: words that change at once, at some later access, or by a cut of the object.
 * Checked: no crash; no access outside the object (each one of word.h is looked at, the rest of the
 * segment is poisoned and nothing is mapped behind it); bytes outside unchanged; no call outlives
 * its timeout by more than 200 ms; without a stranger, the structure's own invariants. */
#ifndef SHMSEG_SPEC_FUZZ_H
#define SHMSEG_SPEC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "objects/kinds.h"
#include "shmseg.h"

/* 0 and 1 share a segment handle, 2 has its own, 3 may only read. */
#define FUZZ_HANDLES 4

/* How a kind is used. handle: 0 to FUZZ_HANDLES - 1. */
typedef struct fuzz_structure {
  const shmseg_kind *kind;
  void *handles; /* FUZZ_HANDLES of them */
  /* What its options give, for any choice up to 255; NULL for a kind of one size. */
  uint64_t (*number)(unsigned choice);
  const shmseg_object_options *options; /* the others that it gives; NULL: none */
  void (*opened)(int handle);           /* it was opened; may be NULL */
  int operations;
  /* One call. */
  int (*operate)(int handle, int operation, int64_t deadline);
  /* Does it take no deadline, and waits for a lock as long as it likes? May be NULL. */
  bool (*patient)(int operation);
} fuzz_structure;

extern const fuzz_structure fuzz_subject;

/* Ends the program: the subject has done what it must not. */
void fuzz_fail(const char *what);

/* Once, before the first run. */
void fuzz_begin(void);

/* One run. scribbled: another thread writes into the object meanwhile. */
void fuzz_run(const uint8_t *input, size_t size, bool scribbled);

/* In fuzz/loop.c: from now on, or no longer, a second thread scribbles. Nothing with fuzz/os.c. */
void fuzz_scribble(bool now);

/* The object's bytes and their number, for that thread; NULL before a run. */
uint32_t *fuzz_words(size_t *count);

/* Time: the real one, or the one of fuzz/os.c. */
int64_t fuzz_now(void);

/* The longest timeout, in milliseconds. */
extern const int fuzz_longest;

/* How long an operation waits that takes no deadline, in milliseconds. */
extern const int fuzz_patience;

/* How long the calling thread has been kept from running so far. */
int64_t fuzz_stolen(void);

/* In fuzz/os.c: back to the beginning; an access was made. Nothing with the real OS. */
void fuzz_os_reset(void);
void fuzz_os_access(void);

#endif
