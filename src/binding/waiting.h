/* SPDX-License-Identifier: MIT */
/* Waits that hooks, Ctrl-C and signals can end. Each wait is a loop in the function that waits:
 *
 *   wait wait = wait_until(deadline);
 *   int err;
 *   do
 *     err = shmseg_queue_push(&q->queue, bytes, size, wait.deadline);
 *   while (wait_again(L, &wait, &err));
 *
 * Lua code may run between two tries, so the operation has to check its handle at each try. */
#ifndef SHMSEG_BINDING_WAITING_H
#define SHMSEG_BINDING_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "os/signals.h"
#include "shmseg.h"

/* A deadline that has passed. It is not 0, which is a deadline that is still to be set. */
#define WAIT_PAST 1

typedef struct {
  int64_t deadline;   /* of the next try */
  int64_t other;      /* becomes the deadline when a signal of shmseg.signals comes, or goes */
  bool is_last;       /* such a signal is there: the next try is the last one, and does not wait */
  bool is_work;       /* the operation has no deadline: it does not sleep, but takes long */
  bool has_collected; /* all garbage, after a try that lacked memory or descriptors */
  void (*cancel)(void *handle); /* gives the wait up before a hook's error is passed on; or NULL */
  void *handle;
} wait;

#pragma GCC visibility push(hidden)

/* wait_again() after a failure. */
bool wait_again_after(lua_State *L, wait *w, int *err);

/* Runs the hooks that a signal handler has set; they may raise, and may run any Lua code. True when a
 * signal of shmseg.signals is there that nobody has taken. */
bool wait_run_hooks(lua_State *L);

#pragma GCC visibility pop

/* A wait until a deadline. */
static inline wait wait_until(int64_t deadline) {
  wait w = { .deadline = deadline, .other = WAIT_PAST };
  if (shmseg_signals_pending()) {
    w.is_last = true;
    w.deadline = WAIT_PAST;
    w.other = deadline;
  }
  return w;
}

/* A wait for an operation that sets the deadline itself, when it has to wait for the first time. */
static inline wait wait_patiently(void) {
  return wait_until(0);
}

/* A loop for an operation that does not wait, but takes long. */
static inline wait wait_for_work(void) {
  return (wait){ .is_work = true };
}

/* Is the operation to be tried again? Yes after SHMSEG_INTERRUPTED, once hooks have run. Yes also,
 * one time, after a lack of descriptors or memory, once all garbage is collected: forgotten handles
 * may hold them, and the collector does not know what a handle holds. When a signal of
 * shmseg.signals ends the wait, *err is SHMSEG_INTERRUPTED. */
static inline bool wait_again(lua_State *L, wait *w, int *err) {
  return *err != 0 && wait_again_after(L, w, err);
}

#endif
