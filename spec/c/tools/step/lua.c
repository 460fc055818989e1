/* SPDX-License-Identifier: MIT */
/* The stepper inside of Lua: the operations as scripts call them, stepped from the C function on,
 * through the binding and the interpreter, to the end of the script. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "step/script.h"

int luaopen_shmseg_core(lua_State *L);

static lua_State *L;

void script_run(const char *script) {
  if (luaL_dostring(L, script) != LUA_OK) {
    printf("# %s\n", lua_tostring(L, -1));
    fflush(stdout);
    step_expect(!"a script fails");
  }
}

/* message(letter, size) */
static int message(lua_State *state) {
  size_t size = (size_t)luaL_checkinteger(state, 2);
  lua_pushlstring(state, step_message(luaL_checkstring(state, 1)[0], size), size);
  return 1;
}

void script_start(void) {
  L = luaL_newstate();
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_shmseg_core);
  lua_setfield(L, -2, "shmseg.core");
  lua_pushstring(L, step_name);
  lua_setglobal(L, "name");
  lua_register(L, "message", message);
  script_run("package.path = '../../lua/?.lua;../../lua/?/init.lua'");
  script_run("mutex, rwlock = require 'shmseg.mutex', require 'shmseg.rwlock'");
  script_run("semaphore, event = require 'shmseg.semaphore', require 'shmseg.event'");
  script_run("cell, queue = require 'shmseg.cell', require 'shmseg.queue'");
  script_run("broadcast, segment = require 'shmseg.broadcast', require 'shmseg.segment'");
}

/* --- mutex ------------------------------------------------------------------------------------ */

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
    LOCKS,
    .outcomes = { "clean", "abandoned" } },
  { .sentence = "lock, the owner is dead",
    .actors = { { STEP_DIES, mutex_owner, NULL } },
    .prepare = mutex_open,
    .operate = mutex_lock,
    ENTRY(shmseg_mutex_lock),
    LOCKS,
    .outcomes = { "abandoned" } },
  { .sentence = "lock with a timeout of 0, the owner is dead",
    .actors = { { STEP_DIES, mutex_owner, NULL } },
    .prepare = mutex_open,
    .operate = mutex_try,
    ENTRY(shmseg_mutex_lock),
    LOCKS,
    .outcomes = { "abandoned" } },
  { .sentence = "lock in vain, the owner lives",
    .actors = { { STEP_STAYS, mutex_owner, mutex_unlock } },
    .prepare = mutex_open,
    .operate = mutex_in_vain,
    ENTRY(shmseg_mutex_lock),
    LOCKS,
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
    LOCKS,
    .outcomes = { "clean", "abandoned", "clean" } },
  { .sentence = "with a function that raises",
    .prepare = mutex_open,
    .operate = mutex_with_error,
    ENTRY(shmseg_mutex_lock),
    LOCKS,
    .outcomes = { "clean", "abandoned", "clean" } },
  { .sentence = "a guard's scope",
    .prepare = mutex_open,
    .operate = mutex_scope,
    ENTRY(shmseg_mutex_lock),
    LOCKS,
    .outcomes = { "clean", "abandoned", "clean" } },
  { .sentence = "close while holding",
    .prepare = mutex_owner,
    .operate = mutex_close,
    ENTRY(shmseg_mutex_close),
    HELD,
    .descriptors = -2, /* the segment's and the identity's */
    .outcomes = { "abandoned" } },
  { .sentence = "collected while holding",
    .prepare = mutex_owner,
    .operate = mutex_collect,
    ENTRY(shmseg_mutex_close),
    HELD,
    .descriptors = -2,
    .outcomes = { "abandoned" } },
  { 0 },
};

/* --- rwlock ------------------------------------------------------------------------------------ */

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
    LOCKS,
    .outcomes = { "abandoned" } },
  { .sentence = "write_lock, a reader is dead",
    .actors = { { STEP_DIES, rwlock_reader, NULL } },
    .prepare = rwlock_open,
    .operate = rwlock_write,
    ENTRY(shmseg_rwlock_write_lock),
    LOCKS,
    .outcomes = { "clean", "abandoned" } },
  { .sentence = "write_lock in vain, a reader lives",
    .actors = { { STEP_STAYS, rwlock_reader, rwlock_unlock } },
    .prepare = rwlock_open,
    .operate = rwlock_write_in_vain,
    ENTRY(shmseg_rwlock_write_lock),
    LOCKS,
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

/* --- semaphore and event ----------------------------------------------------------------------- */

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
    LOCKS,
    .outcomes = { "whole" } },
  { .sentence = "release",
    .prepare = semaphore_all,
    .operate = semaphore_release,
    ENTRY(shmseg_semaphore_release),
    HELD,
    .outcomes = { "whole" } },
  { 0 },
};

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

/* --- making ------------------------------------------------------------------------------------ */

START(slice, "seg = assert(segment.open(name))")
SCRIPT(build_mutex, "assert(mutex.open(seg, 'c'))")

static const step_case build_cases[] = {
  { .sentence = "made of zeroes",
    .prepare = slice,
    .operate = build_mutex,
    ENTRY(shmseg_mutex_open),
    LOCKS,
    .outcomes = { "none", "there" } },
  { 0 },
};

SCRIPT(create, "seg = assert(segment.open(name, 'c', 4096, { perm = '640', init = function(s) "
               "s:fill(0, 4096, 0x5a) end }))")
SCRIPT(create_and_raise, "assert(not pcall(segment.open, name, 'c', 4096, { init = function() "
                         "error('x') end }))")
START(opened, "seg = assert(segment.open(name))")
SCRIPT(unlink_it, "assert(seg:unlink())")

static const step_case none_cases[] = {
  { .sentence = "created",
    .prepare = script_start,
    .operate = create,
    ENTRY(shmseg_segment_open),
    .outcomes = { "none", "small" },
    .descriptors = 1 },
  { .sentence = "created with an init that raises",
    .prepare = script_start,
    .operate = create_and_raise,
    ENTRY(shmseg_segment_open),
    .outcomes = { "none" } },
  { 0 },
};

static const step_case there_cases[] = {
  { .sentence = "unlinked",
    .prepare = opened,
    .operate = unlink_it,
    ENTRY(shmseg_segment_unlink_until),
    .outcomes = { "small", "none" } },
  { 0 },
};

/* ------------------------------------------------------------------------------------------------ */

static void play_in_lua(const step_structure *structure, const step_case *cases) {
  char noun[64];
  step_structure in_lua = *structure;
  snprintf(noun, sizeof noun, "through Lua, %s", structure->noun);
  in_lua.noun = noun;
  in_lua.cases = cases;
  step_play(&in_lua);
}

int main(void) {
  if (!step_possible("every operation through Lua is harmless at every instruction"))
    return 0;
  play_in_lua(&step_mutex, mutex_cases);
  play_in_lua(&step_rwlock, rwlock_cases);
  play_in_lua(&step_semaphore, semaphore_cases);
  play_in_lua(&step_event, event_cases);
  play_in_lua(&step_cell, script_cell_cases);
  play_in_lua(&step_queue, script_queue_cases);
  play_in_lua(&step_broadcast, script_broadcast_cases);
  play_in_lua(&step_build_mutex, build_cases);
  play_in_lua(&step_build_cell, script_build_cell_cases);
  play_in_lua(&step_build_queue, script_build_queue_cases);
  play_in_lua(&step_build_broadcast, script_build_broadcast_cases);
  play_in_lua(&step_name_none, none_cases);
  play_in_lua(&step_name_there, there_cases);
  return step_end();
}
