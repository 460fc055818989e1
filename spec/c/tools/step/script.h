/* SPDX-License-Identifier: MIT */
/* The stepper inside of Lua: how scripts become the processes of a case. */
#ifndef SHMSEG_STEP_SCRIPT_H
#define SHMSEG_STEP_SCRIPT_H

#include "step/step.h"

/* A new state, with the modules, the segment's name as `name`, and message(letter, size). */
void script_start(void);
/* Runs a script, with operands where it says %d or %s (and %% for %). One that raises fails the case. */
void script_run(const char *script, ...) __attribute__((format(printf, 1, 2)));

/* A function that runs a script; and one that begins with a new state. */
#define SCRIPT(function, ...)                                                                      \
  static void function(void) {                                                                     \
    script_run(__VA_ARGS__);                                                                       \
  }
#define START(function, ...)                                                                       \
  static void function(void) {                                                                     \
    script_start();                                                                                \
    script_run(__VA_ARGS__);                                                                       \
  }

#define ENTRY(function) .entry = (void *)(uintptr_t)function
#define HELD .no_identity = true

/* The cases of a noun, registered by SCRIPT_PLAY. */
typedef struct script_cases {
  const char *noun;
  const step_case *cases;
} script_cases;

#define SCRIPT_PLAY(name, table)                                                                   \
  static const script_cases table##_entry                                                          \
      __attribute__((section("step_scripts"), used)) = { name, table }

#endif
