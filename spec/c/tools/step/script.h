/* SPDX-License-Identifier: MIT */
/* The stepper inside of Lua: how scripts become the processes of a case. */
#ifndef SHMSEG_STEP_SCRIPT_H
#define SHMSEG_STEP_SCRIPT_H

#include "step/step.h"

/* A new state, with the modules, the segment's name as `name`, and message(letter, size). */
void script_start(void);
/* A script that raises fails the case. */
void script_run(const char *script);

#define SCRIPT(function, text)                                                                     \
  static void function(void) {                                                                     \
    script_run(text);                                                                              \
  }
#define START(function, text)                                                                      \
  static void function(void) {                                                                     \
    script_start();                                                                                \
    script_run(text);                                                                              \
  }

#define ENTRY(function) .entry = (void *)(uintptr_t)function
#define LOCKS .no_identity = true, .descriptors = 1
#define HELD .no_identity = true

/* Of lua_messages.c. */
extern const step_case script_cell_cases[], script_queue_cases[], script_broadcast_cases[];
extern const step_case script_build_cell_cases[], script_build_queue_cases[],
    script_build_broadcast_cases[];

#endif
