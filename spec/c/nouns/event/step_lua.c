/* SPDX-License-Identifier: MIT */
/* The event, stepped through Lua. */
#include "step/script.h"

START(event_open, "e = assert(event.open(name))")
START(event_sleeper, "e = assert(event.open(name)) e:wait(0.3)")
START(event_setter, "e = assert(event.open(name)) e:set()")
SCRIPT(event_set, "e:set()")
SCRIPT(event_clear, "e:clear()")

static const step_case event_cases[] = {
  { .sentence = "set, two sleep",
    .actors = { { STEP_SLEEPS, event_sleeper, NULL }, { STEP_SLEEPS, event_sleeper, NULL } },
    .prepare = event_open,
    .operate = event_set,
    ENTRY(shmseg_event_set),
    HELD,
    .outcomes = { "clear", "set" },
    .wakes = 1 },
  { .sentence = "clear",
    .actors = { { STEP_DIES, event_setter, NULL } },
    .prepare = event_open,
    .operate = event_clear,
    ENTRY(shmseg_event_clear),
    HELD,
    .outcomes = { "set", "clear" } },
  { 0 },
};

SCRIPT_PLAY("event", event_cases);
