/* SPDX-License-Identifier: MIT */
/* Waits that hooks, Ctrl-C and signals end. A wait is a loop where it is made:
 *
 *   wait wait = wait_until(deadline);
 *   int err;
 *   do
 *     err = shmseg_queue_push(&q->queue, bytes, size, wait.deadline);
 *   while (wait_again(L, &wait, &err));
 *
 * Lua code may run between two tries: the operation has to check its handle each time. */
#ifndef SHMSEG_BINDING_WAITING_H
#define SHMSEG_BINDING_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "os/signals.h"
#include "shmseg.h"

/* A deadline that is over, but none that is still to be set. */
#define WAIT_PAST 1

typedef struct {
  int64_t deadline; /* of the next try */
  int64_t other;    /* what deadline is when a signal of shmseg.signals comes, or goes */
  bool is_last; /* such a signal waits to be taken: the next try is the last, and does not wait */
  bool is_work; /* the operation has no deadline: it is long, and not asleep */
  bool has_collected;
  void (*cancel)(void *handle); /* what gives the wait up before a hook's error goes on, or NULL */
  void *handle;
} wait;

#pragma GCC visibility push(hidden)

/* What wait_again() does about a failure. */
bool wait_again_after(lua_State *L, wait *w, int *err);

/* Runs the hooks that a signal handler has set, which may raise and may run any Lua code. True when a
 * signal of shmseg.signals waits to be taken. */
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

/* A wait for an operation that sets a deadline of its own when it first has to wait. */
static inline wait wait_patiently(void) {
  return wait_until(0);
}

/* A loop for an operation that does not wait but takes long. */
static inline wait wait_for_work(void) {
  return (wait){ .is_work = true };
}

/* Is the operation to be tried again? After SHMSEG_INTERRUPTED, when hooks have run; and once after a
 * want of descriptors or memory, when all garbage was collected: handles that were forgotten may have
 * them, and the collector does not feel these. *err is SHMSEG_INTERRUPTED in the end when a signal of
 * shmseg.signals is there. */
static inline bool wait_again(lua_State *L, wait *w, int *err) {
  return *err != 0 && wait_again_after(L, w, err);
}

#endif
