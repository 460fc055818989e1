/* SPDX-License-Identifier: MIT */
/* The fault guard: a hole under a mapping becomes a code instead of a death by SIGBUS.
 *
 * A page of a mapping can be missing because a peer truncated the backing or because a sparse
 * one finds the file system full. Touching it raises SIGBUS. The handler puts private zeroes
 * over the hole and notes the code in the mapping's record; the access goes on, and whoever
 * made it looks at the code afterwards. */
#ifndef SHMSEG_OS_FAULT_H
#define SHMSEG_OS_FAULT_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* One guarded mapping. Written by its handle's thread and by the handler in that thread;
 * handlers in other threads read it and must get nothing torn: hence sequence. */
typedef struct shmseg_fault {
  volatile int code;       /* 0, SHMSEG_TRUNCATED or ENOSPC */
  volatile unsigned proof; /* what shmseg_fault_prove() gave; 0: something has happened since */
  int fd;
  unsigned sequence; /* odd while the record changes or is free */
  unsigned taken;    /* 1: a handle has this record */
  uintptr_t base;
  size_t length;
  uint64_t from;     /* where in the file base is: a multiple of the page */
  uintptr_t retried; /* page whose last fault was answered by trying again */
  unsigned retries;  /* how often in a row */
} shmseg_fault;

/* Installs the handler when it is the first, unblocks SIGBUS in the calling thread, and gives the
 * caller a record that guards [base, base + length) until it is forgotten: a mapping of the backing
 * behind fd, from that offset of it on. ENFILE when 65,536 are in use, or what sigaction says. */
int shmseg_fault_watch(shmseg_fault **record, void *base, size_t length, int fd, uint64_t from);

/* The mapping has moved or changed; the code is cleared. */
void shmseg_fault_move(shmseg_fault *record, void *base, size_t length);

void shmseg_fault_forget(shmseg_fault *record);

/* Gives the record's proof, a number that stands for all that the caller has proved of the mapping.
 * While the record has the same number it is still so: a hole, a move, another length and the end
 * of the mapping, each one takes it away, and the next one is another one (of 2^32). */
unsigned shmseg_fault_prove(shmseg_fault *record);

/* The accesses before this call cannot be moved behind it, so it sees their faults. */
static inline int shmseg_fault_code(const shmseg_fault *record) {
  __asm__ volatile("" ::: "memory");
  return record->code;
}

#pragma GCC visibility pop

#endif
