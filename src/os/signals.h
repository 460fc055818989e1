/* SPDX-License-Identifier: MIT */
/* Signals that ask a process to stop: caught, and kept until somebody takes them. */
#ifndef SHMSEG_OS_SIGNALS_H
#define SHMSEG_OS_SIGNALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Catches these signals from now on. EBUSY: somebody in this process does so already. A failed
 * call changes nothing. */
int shmseg_signals_catch(const int *numbers, size_t count);

/* A bit for each signal that has come and that nobody has taken. */
extern uint32_t shmseg_signals_word;

/* Has a caught signal come that nobody has taken? */
static inline bool shmseg_signals_pending(void) {
  return __atomic_load_n(&shmseg_signals_word, __ATOMIC_RELAXED) != 0;
}

/* Takes one of them: its number, or 0. */
int shmseg_signals_take(void);

/* Puts the old handlers back, the last first, where ours is still in place. */
void shmseg_signals_release(void);

/* Gives a signal the action that it has in a new program, and unblocks it. */
void shmseg_signals_default(int number);

/* "INT" for SIGINT, and back; NULL and 0 for signals that cannot be caught or waited for. */
const char *shmseg_signals_name(int number);
int shmseg_signals_number(const char *name);

#pragma GCC visibility pop

#endif
