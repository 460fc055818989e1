/* SPDX-License-Identifier: MIT */
/* The cell, stepped through Lua. */
#include "step/script.h"

#define LOCK 64

static void die_inside(void) {
  step_enter_lock(LOCK);
}

START(cell_open, "c = assert(cell.open(name))")
START(cell_old, "c = assert(cell.open(name)) assert(c:set(message('a', 24)) == 1)")
START(cell_reader, "c = assert(cell.open(name, 'r')) a24 = message('a', 24)")
START(cell_sleeper, "c = assert(cell.open(name)) local v, n = c:wait(1, 0.2) "
                    "assert(v == nil and n == 'timeout' or v == message('b', 40) and n == 2)")
SCRIPT(cell_set, "assert(c:set(message('b', 40)))")
SCRIPT(cell_cas, "assert(c:cas(1, message('c', 13)) == 2)")
SCRIPT(cell_cas_misses, "local hit, actual = c:cas(0, 'x') assert(hit == false and actual == 1)")
SCRIPT(cell_get, "local v, n = c:get() assert(v == a24 and n == 1)")
SCRIPT(cell_wait, "local v, n = c:wait() assert(v == a24 and n == 1)")
SCRIPT(cell_changes, "for v, n in c:changes() do assert(v == a24 and n == 1) break end")
SCRIPT(cell_in_vain, "assert(select(2, c:wait(1, 0.02)) == 'timeout')")

static const step_case cell_cases[] = {
  { .sentence = "set, no value yet",
    .prepare = cell_open,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    TAKES_IDENTITY,
    .outcomes = { "none", "1:b40" } },
  { .sentence = "set over another value",
    .prepare = cell_old,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "set, a writer died",
    .actors = { AFTER(cell_old), AFTER(die_inside) },
    .prepare = cell_open,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    TAKES_IDENTITY,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "set, two sleep",
    .actors = { { STEP_SLEEPS, cell_sleeper, NULL }, { STEP_SLEEPS, cell_sleeper, NULL } },
    .prepare = cell_old,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24", "2:b40" },
    .wakes = 2 },
  { .sentence = "cas that hits",
    .prepare = cell_old,
    .operate = cell_cas,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24", "2:c13" } },
  { .sentence = "cas that misses",
    .prepare = cell_old,
    .operate = cell_cas_misses,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24" } },
  { .sentence = "get by a reader, a writer died",
    .actors = { AFTER(cell_old), AFTER(die_inside) },
    .prepare = cell_reader,
    .operate = cell_get,
    ENTRY(shmseg_cell_peek),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "wait by a reader",
    .actors = { AFTER(cell_old) },
    .prepare = cell_reader,
    .operate = cell_wait,
    ENTRY(shmseg_cell_wait),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "changes, a reader",
    .actors = { AFTER(cell_old) },
    .prepare = cell_reader,
    .operate = cell_changes,
    ENTRY(shmseg_cell_wait),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "wait in vain by a reader",
    .actors = { AFTER(cell_old) },
    .prepare = cell_reader,
    .operate = cell_in_vain,
    ENTRY(shmseg_cell_wait),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { 0 },
};

SCRIPT_PLAY("cell", cell_cases);
