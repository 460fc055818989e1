/* SPDX-License-Identifier: MIT */
/* What cell, queue and broadcast have in common: the values that processes write, each of which
 * tells in every byte which one it is, and what has become of them. */
#ifndef SHMSEG_SPEC_LEDGER_H
#define SHMSEG_SPEC_LEDGER_H

#include <stddef.h>

#include "schedule/schedule.h"

#define LEDGER_ENTRIES 32 /* number 0 is none */
#define LEDGER_ROOM 24    /* bytes of the largest value */
#define LEDGER_BUFFER 48  /* bytes that one reads at once */
#define LEDGER_GUARD 16

typedef enum {
  LEDGER_BEGUN,
  LEDGER_DONE,    /* it is, or was, out */
  LEDGER_REFUSED, /* nobody may ever see it */
  LEDGER_UNSURE   /* its writer died at it: all of it is out, or nothing */
} ledger_fate;

typedef struct ledger_entry {
  ledger_fate fate;
  int writer;   /* NOBODY: it was there before */
  unsigned key; /* under which it was written; 0 where there are none */
  size_t size;
  uint64_t number;      /* version, sequence, of its key; 0: not known */
  unsigned begun, done; /* when */
  int taker;            /* of a queue's message; NOBODY */
  bool disguised;       /* its second word is */
  uint64_t like;        /* this one */
} ledger_entry;

extern ledger_entry ledger[LEDGER_ENTRIES];
extern int ledger_count; /* entries 1 to ledger_count - 1 */

/* Before a starting state is made, when it is made, before each run. */
void ledger_clear(void);
void ledger_keep(void);
void ledger_begin(void);

/* A new value begins to be written under the key; what it consists of. */
int ledger_write(int writer, unsigned key, size_t size, unsigned char *bytes);

/* Its second word is something else: a size, for example. */
void ledger_disguise(int entry, uint64_t like, unsigned char *bytes);

/* It was written, as that number (0: they have none). */
void ledger_done(int entry, uint64_t number);
void ledger_refused(int entry);
void ledger_died(int writer);

/* Where somebody reads to, and what must stay as it is behind it. */
typedef struct ledger_buffer {
  _Alignas(8) unsigned char bytes[LEDGER_BUFFER + LEDGER_GUARD];
} ledger_buffer;

void ledger_wipe(ledger_buffer *buffer);
void ledger_guard(const ledger_buffer *buffer);

/* Somebody has read these bytes under that key and number: one value, whole. Which; 0 after strangers. */
int ledger_seen(unsigned key, const unsigned char *bytes, size_t size, uint64_t number);

/* How many under that key have that fate. */
int ledger_with(unsigned key, ledger_fate fate);

/* The object's words as they are; the process that has a lock among them, or NOBODY. */
uint64_t block_word(uint64_t offset);
void block_put(uint64_t offset, uint64_t value);
void block_put32(uint64_t offset, uint32_t value);
int block_owner(uint64_t offset);
bool block_is_asleep_on(int p, uint64_t offset);

#endif
