/* SPDX-License-Identifier: MIT */
/* The semaphore, stepped through Lua. */
#include "step/script.h"

START(semaphore_open, "s = assert(semaphore.open(name))")
START(semaphore_all, "s = assert(semaphore.open(name)) for _ = 1, 3 do assert(s:acquire(5)) end")
SCRIPT(semaphore_acquire, "assert(s:acquire(5))")
SCRIPT(semaphore_release, "s:release()")

static const step_case semaphore_cases[] = {
  { .sentence = "acquire, all are a dead process's",
    .actors = { { STEP_DIES, semaphore_all, NULL } },
    .prepare = semaphore_open,
    .operate = semaphore_acquire,
    ENTRY(shmseg_semaphore_acquire),
    TAKES_IDENTITY,
    .outcomes = { "whole" } },
  { .sentence = "release",
    .prepare = semaphore_all,
    .operate = semaphore_release,
    ENTRY(shmseg_semaphore_release),
    HELD,
    .outcomes = { "whole" } },
  { 0 },
};

SCRIPT_PLAY("semaphore", semaphore_cases);
