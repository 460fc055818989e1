/* SPDX-License-Identifier: MIT */
/* The mutex, stepped through Lua. */
#include "step/script.h"

START(mutex_open, "m = assert(mutex.open(name))")
START(mutex_owner, "m = assert(mutex.open(name)) assert(m:lock(5))")
START(mutex_sleeper, "m = assert(mutex.open(name)) assert(m:lock(5)) m:unlock()")
SCRIPT(mutex_lock, "assert(m:lock(5))")
SCRIPT(mutex_try, "assert(m:lock(0))")
SCRIPT(mutex_in_vain, "assert(select(2, m:lock(0.02)) == 'timeout')")
SCRIPT(mutex_unlock, "m:unlock()")
SCRIPT(mutex_with, "m:with(function() end)")
SCRIPT(mutex_with_error, "assert(not pcall(m.with, m, function() error('x') end))")
SCRIPT(mutex_scope, "do local held <close> = m:lock(5) end")
SCRIPT(mutex_collect, "m = nil collectgarbage()")
SCRIPT(mutex_close, "m:close()")

static const step_case mutex_cases[] = {
  { .sentence = "lock, free",
    .prepare = mutex_open,
    .operate = mutex_lock,
    ENTRY(shmseg_mutex_lock),
    TAKES_IDENTITY,
    .outcomes = { "clean", "abandoned" } },
  { .sentence = "lock, the owner is dead",
    .actors = { { STEP_DIES, mutex_owner, NULL } },
    .prepare = mutex_open,
    .operate = mutex_lock,
    ENTRY(shmseg_mutex_lock),
    TAKES_IDENTITY,
    .outcomes = { "abandoned" } },
  { .sentence = "lock with a timeout of 0, the owner is dead",
    .actors = { { STEP_DIES, mutex_owner, NULL } },
    .prepare = mutex_open,
    .operate = mutex_try,
    ENTRY(shmseg_mutex_lock),
    TAKES_IDENTITY,
    .outcomes = { "abandoned" } },
  { .sentence = "lock in vain, the owner lives",
    .actors = { { STEP_STAYS, mutex_owner, mutex_unlock } },
    .prepare = mutex_open,
    .operate = mutex_in_vain,
    ENTRY(shmseg_mutex_lock),
    TAKES_IDENTITY,
    .outcomes = { "abandoned" },
    .live = "clean" },
  { .sentence = "unlock",
    .prepare = mutex_owner,
    .operate = mutex_unlock,
    ENTRY(shmseg_mutex_unlock),
    HELD,
    .outcomes = { "abandoned", "clean" } },
  { .sentence = "unlock, somebody sleeps",
    .actors = { { STEP_SLEEPS, mutex_sleeper, NULL } },
    .prepare = mutex_owner,
    .operate = mutex_unlock,
    ENTRY(shmseg_mutex_unlock),
    HELD,
    .outcomes = { "abandoned", "clean" },
    .live = "clean",
    .wakes = 1 },
  { .sentence = "with",
    .prepare = mutex_open,
    .operate = mutex_with,
    ENTRY(shmseg_mutex_lock),
    TAKES_IDENTITY,
    .outcomes = { "clean", "abandoned", "clean" } },
  { .sentence = "with a function that raises",
    .prepare = mutex_open,
    .operate = mutex_with_error,
    ENTRY(shmseg_mutex_lock),
    TAKES_IDENTITY,
    .outcomes = { "clean", "abandoned", "clean" } },
  { .sentence = "a guard's scope",
    .prepare = mutex_open,
    .operate = mutex_scope,
    ENTRY(shmseg_mutex_lock),
    TAKES_IDENTITY,
    .outcomes = { "clean", "abandoned", "clean" } },
  { .sentence = "close while holding",
    .prepare = mutex_owner,
    .operate = mutex_close,
    ENTRY(shmseg_object_close),
    HELD,
    .descriptors = -2, /* the segment's and the identity's */
    .outcomes = { "abandoned" } },
  { .sentence = "collected while holding",
    .prepare = mutex_owner,
    .operate = mutex_collect,
    ENTRY(shmseg_object_close),
    HELD,
    .descriptors = -2,
    .outcomes = { "abandoned" } },
  { 0 },
};

SCRIPT_PLAY("mutex", mutex_cases);
