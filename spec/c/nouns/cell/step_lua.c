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
#define OTHER                                                                                      \
  " other = assert(segment.anonymous(4096)) other:write(100, message('b', 40))"                    \
  " slice = other:slice(100, 40)"
START(cell_slice, "c = assert(cell.open(name))" OTHER)
START(cell_old_slice, "c = assert(cell.open(name)) assert(c:set(message('a', 24)) == 1)" OTHER)
START(cell_reader_slice, "c = assert(cell.open(name, 'r')) a24 = message('a', 24)" OTHER)
SCRIPT(cell_set_slice, "assert(c:set(slice))")
SCRIPT(cell_cas_slice, "assert(c:cas(1, slice) == 2)")
SCRIPT(cell_get_into, "local size, n = c:get_into(other, 100)"
                      "assert(size == 24 and n == 1 and other:read(100, 24) == a24)")
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
  { .sentence = "set from a slice",
    .prepare = cell_slice,
    .operate = cell_set_slice,
    ENTRY(shmseg_cell_set_until),
    TAKES_IDENTITY,
    .outcomes = { "none", "1:b40" } },
  { .sentence = "cas from a slice that hits",
    .prepare = cell_old_slice,
    .operate = cell_cas_slice,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "get by a reader into a segment, a writer died",
    .actors = { AFTER(cell_old), AFTER(die_inside) },
    .prepare = cell_reader_slice,
    .operate = cell_get_into,
    ENTRY(shmseg_cell_get),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "get by a reader, a writer, a writer died",
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
