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
