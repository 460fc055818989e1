/* SPDX-License-Identifier: MIT */
/* One Lua API for 5.1 to 5.5 and LuaJIT; arguments and results. */
#ifndef SHMSEG_BINDING_LUA_H
#define SHMSEG_BINDING_LUA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

#include "binding/cdata.h"
#include "shmseg/base.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#pragma GCC visibility push(hidden)

/* --- Lua versions ------------------------------------------------------------------------------ */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#define lua_getuservalue lua_getfenv
#define lua_setuservalue lua_setfenv
#endif /* 5.4 and later define lua_newuserdata and these two for one user value */

/* 5.2 and later intern strings up to this length; 5.1 and LuaJIT intern every string. */
#define INTERNED_MAX 40

/* Can lua_pushlstring copy a longer string straight from memory that a peer changes meanwhile and
 * that a finalizer can unmap? Not before 5.3, which collects garbage first and copies then; and 5.1
 * and LuaJIT intern the string. */
#define MAY_COPY_SHARED (LUA_VERSION_NUM >= 503)

/* Pushes the item of the table at index: true, or false when it is nil. */
#if LUA_VERSION_NUM >= 503
static inline bool get_item(lua_State *L, int index, int key) {
  return lua_rawgeti(L, index, key) != LUA_TNIL;
}
#else
static inline bool get_item(lua_State *L, int index, int key) {
  lua_rawgeti(L, index, key);
  return !lua_isnil(L, -1);
}
#endif

/* luaL_setfuncs without upvalues; 5.1 has no luaL_setfuncs. */
void binding_register(lua_State *L, const luaL_Reg *functions);

/* Pushes a new metatable, and above it the table of the methods, which is its __index. The registry
 * keeps the metatable under its name, which is also its __name. */
void binding_new_class(lua_State *L, const char *name, const luaL_Reg *metamethods,
                       const luaL_Reg *methods);

/* --- arguments --------------------------------------------------------------------------------- */

/* The value at index as an integer, as a number, or as 64 unsigned bits (before 5.3 a number up to
 * 2^64 - 1). *exact tells whether the value is one. A float with an integer's value is an integer.
 * These functions raise only when memory is short. On LuaJIT they take 64-bit cdata, too: *exact is
 * then FROM_CDATA, and hooks and finalizers may have run. So check handles after them, and touch
 * memory after that. */
enum { FROM_CDATA = 2 };

#if LUA_VERSION_NUM >= 503
static inline int64_t to_integer(lua_State *L, int index, int *exact) {
  return lua_tointegerx(L, index, exact);
}

static inline int64_t to_key(lua_State *L, int index, int *exact) {
  return lua_tointegerx(L, index, exact);
}

static inline uint64_t to_uint64(lua_State *L, int index, int *exact) {
  return (uint64_t)lua_tointegerx(L, index, exact);
}

static inline lua_Number to_number(lua_State *L, int index, int *exact) {
  return lua_tonumberx(L, index, exact);
}
#else
int64_t to_integer(lua_State *L, int index, int *exact);
int64_t to_key(lua_State *L, int index, int *exact); /* quicker for what is often a name */
uint64_t to_uint64(lua_State *L, int index, int *exact);
lua_Number to_number(lua_State *L, int index, int *exact);
#endif

/* Pushes the name of the class of the value at index, an absolute one, or else of its type. */
const char *push_type_name(lua_State *L, int index);

/* Raises that the argument is not of the class named expected. It never returns; its type lets
 * callers return it. Only a tag tells what a userdata is, never a metatable: another library, or
 * another version of this one, can have a metatable of the same name. */
__attribute__((cold)) void *type_error(lua_State *L, int arg, const char *expected);

/* Raises when the argument is not a number. */
void check_is_number(lua_State *L, int arg);

/* Raises that the argument is not an integer, and why. */
int64_t integer_error(lua_State *L, int arg);

/* The argument as an integer. A number with a fraction is an error on every Lua; none is rounded. */
static inline int64_t check_integer(lua_State *L, int arg) {
  int exact;
  int64_t n = to_integer(L, arg, &exact);
  return exact ? n : integer_error(L, arg);
}

/* An offset or a count. A negative one becomes huge, and so fails the bounds check that follows. */
static inline uint64_t check_size(lua_State *L, int arg) {
  return (uint64_t)check_integer(L, arg);
}

/* Is an offset or a count given? Raises when something else is given. One call of Lua when it is. */
static inline bool has_size(lua_State *L, int arg, uint64_t *size) {
  int exact;
  *size = (uint64_t)to_integer(L, arg, &exact);
  if (exact)
    return true;
  if (lua_isnoneornil(L, arg))
    return false;
  *size = check_size(L, arg); /* raises */
  return true;
}

static inline uint64_t opt_size(lua_State *L, int arg, uint64_t otherwise) {
  uint64_t size;
  return has_size(L, arg, &size) ? size : otherwise;
}

/* The index of the argument in a list of names that NULL ends; raises when it is not in the list. */
int check_option(lua_State *L, int arg, const char *const names[]);

/* The argument, in seconds, as a duration in nanoseconds. NaN raises; a negative one is 0. */
int64_t check_duration(lua_State *L, int arg);

/* The argument, a timeout in seconds, as a deadline (shmseg.h); for opt_ nil is SHMSEG_FOREVER. */
int64_t check_deadline(lua_State *L, int arg);

static inline int64_t opt_deadline(lua_State *L, int arg) {
  return lua_gettop(L) < arg || lua_isnil(L, arg) ? SHMSEG_FOREVER : check_deadline(L, arg);
}

/* --- results ----------------------------------------------------------------------------------- */

/* Pushes the word of a code: "timeout", or an errno name. */
void push_code(lua_State *L, int err);

/* Pushes nil, message, code. The message begins with subject and ends with hint; either may be
 * NULL. */
int push_failure(lua_State *L, int err, const char *subject, const char *hint);

/* The same, with the caller's words in place of the error's. */
int push_failure_as(lua_State *L, int err, const char *subject, const char *words);

/* Pushes `queue "jobs"`, or the noun alone when there is no name. */
const char *push_subject(lua_State *L, const char *noun, const char *name);

/* Pushes nil, word, word: for outcomes that are expected, such as "timeout". */
int push_outcome(lua_State *L, const char *word);

/* The same for a code. For a code that is not such an outcome it pushes nothing and returns 0. */
int push_expected(lua_State *L, int err);

/* Keeps the words of such outcomes for the life of the state: a call that has done a part of its work
 * tells that without memory. */
void binding_keep_outcomes(lua_State *L);

#if LUA_VERSION_NUM >= 503
static inline void push_int64(lua_State *L, int64_t value) {
  lua_pushinteger(L, value);
}

static inline void push_uint64(lua_State *L, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
}

/* Can a Lua number hold the integer exactly? */
static inline bool holds_int64(int64_t value) {
  (void)value;
  return true;
}

static inline bool holds_uint64(uint64_t value) {
  (void)value;
  return true;
}
#else
bool holds_int64(int64_t value);
bool holds_uint64(uint64_t value);

/* Push an integer. One that a number cannot hold exactly becomes cdata on LuaJIT (the allocation may
 * run hooks and finalizers), and raises elsewhere. */
void push_int64(lua_State *L, int64_t value);
void push_uint64(lua_State *L, uint64_t value);

/* On LuaJIT, pushes new cdata for an integer that no number holds, and returns the address of its
 * bytes. Elsewhere raises that no number holds the integer. */
void *push_inexact(lua_State *L, bool is_signed, uint64_t bits);
#endif

/* Sets a field of the table at the top. */
static inline void set_number(lua_State *L, const char *key, int64_t value) {
  push_int64(L, value);
  lua_setfield(L, -2, key);
}

#pragma GCC visibility pop

#endif
