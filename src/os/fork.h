/* SPDX-License-Identifier: MIT */
/* Which process this is among those that forks have made of it. Process numbers do not tell: they
 * are used again, and a child that is the first in a namespace has its parent's. */
#ifndef SHMSEG_OS_FORK_H
#define SHMSEG_OS_FORK_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* To be called once before the first use of what is below; may be called again. ENOMEM. */
int shmseg_fork_prepare(void);

/* A number above 0 that stays the same while this process lives, and that none of its children and
 * none of its ancestors has. */
unsigned shmseg_fork_generation(void);

/* Where that number is, or 0 in a child that has not asked for its own yet. */
extern unsigned *shmseg_fork_word;

/* Is this still the process that was given the number? */
static inline bool shmseg_fork_same(unsigned generation) {
  const unsigned *word = __atomic_load_n(&shmseg_fork_word, __ATOMIC_RELAXED);
  return __atomic_load_n(word, __ATOMIC_RELAXED) == generation;
}

#pragma GCC visibility pop

#endif
