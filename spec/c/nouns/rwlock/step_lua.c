/* SPDX-License-Identifier: MIT */
/* The rwlock, stepped through Lua. */
#include "step/script.h"

START(rwlock_open, "rw = assert(rwlock.open(name))")
START(rwlock_reader, "rw = assert(rwlock.open(name)) assert(rw:read_lock(5))")
START(rwlock_writer, "rw = assert(rwlock.open(name)) assert(rw:write_lock(5))")
SCRIPT(rwlock_read, "assert(rw:read_lock(5))")
SCRIPT(rwlock_write, "assert(rw:write_lock(5))")
SCRIPT(rwlock_write_in_vain, "assert(select(2, rw:write_lock(0.02)) == 'timeout')")
SCRIPT(rwlock_unlock, "rw:unlock()")

static const step_case rwlock_cases[] = {
  { .sentence = "read_lock, the writer is dead",
    .actors = { { STEP_DIES, rwlock_writer, NULL } },
    .prepare = rwlock_open,
    .operate = rwlock_read,
    ENTRY(shmseg_rwlock_read_lock),
    TAKES_IDENTITY,
    .outcomes = { "abandoned" } },
  { .sentence = "write_lock, a reader is dead",
    .actors = { { STEP_DIES, rwlock_reader, NULL } },
    .prepare = rwlock_open,
    .operate = rwlock_write,
    ENTRY(shmseg_rwlock_write_lock),
    TAKES_IDENTITY,
    .outcomes = { "clean", "abandoned" } },
  { .sentence = "write_lock in vain, a reader lives",
    .actors = { { STEP_STAYS, rwlock_reader, rwlock_unlock } },
    .prepare = rwlock_open,
    .operate = rwlock_write_in_vain,
    ENTRY(shmseg_rwlock_write_lock),
    TAKES_IDENTITY,
    .outcomes = { "clean", "abandoned", "clean" },
    .live = "*" },
  { .sentence = "unlock by a reader",
    .prepare = rwlock_reader,
    .operate = rwlock_unlock,
    ENTRY(shmseg_rwlock_unlock),
    HELD,
    .outcomes = { "clean" } },
  { .sentence = "unlock by a writer",
    .prepare = rwlock_writer,
    .operate = rwlock_unlock,
    ENTRY(shmseg_rwlock_unlock),
    HELD,
    .outcomes = { "abandoned", "clean" } },
  { 0 },
};

SCRIPT_PLAY("rwlock", rwlock_cases);
