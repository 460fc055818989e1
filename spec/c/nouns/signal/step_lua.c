/* SPDX-License-Identifier: MIT */
/* The counting signal, stepped through Lua. */
#include "step/script.h"

START(signal_open, "s = assert(semaphore.open(name))")
START(signal_posted, "s = assert(semaphore.open(name)) assert(s:post(3))")
SCRIPT(signal_acquire, "assert(s:acquire(5))")
SCRIPT(signal_post, "assert(s:post(3))")

static const step_case signal_cases[] = {
  { .sentence = "post three",
    .prepare = signal_open,
    .operate = signal_post,
    ENTRY(shmseg_semaphore_post),
    .outcomes = { "0", "3" } },
  { .sentence = "acquire",
    .prepare = signal_posted,
    .operate = signal_acquire,
    ENTRY(shmseg_semaphore_acquire),
    .outcomes = { "3", "2" } },
  { 0 },
};

SCRIPT_PLAY("signal", signal_cases);
