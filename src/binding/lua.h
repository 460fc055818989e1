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

#pragma GCC visibility push(hidden)

/* --- Lua versions ------------------------------------------------------------------------------ */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#define lua_getuservalue lua_getfenv
#define lua_setuservalue lua_setfenv
#endif /* from 5.4 on lua.h has lua_newuserdata and these two with one user value */

/* Lua interns strings up to this length from 5.2 to 5.4, and every string before. */
#define INTERNED_MAX 40

/* May lua_pushlstring copy strings that are longer from memory that a peer changes meanwhile, and
 * that a finalizer can unmap? Before 5.3 it collects garbage first and copies then; and 5.1 and
 * LuaJIT intern. */
#define MAY_COPY_SHARED (LUA_VERSION_NUM >= 503)

/* luaL_setfuncs without upvalues, which 5.1 lacks. */
void binding_register(lua_State *L, const luaL_Reg *functions);

/* Pushes a new metatable, stored in the registry under its name, with __name, the metamethods,
 * and as __index a table of the methods; that one is left on the stack above the metatable. */
void binding_new_class(lua_State *L, const char *name, const luaL_Reg *metamethods,
                       const luaL_Reg *methods);

/* --- arguments --------------------------------------------------------------------------------- */

/* What stands at index as an integer, a number or 64 unsigned bits (before 5.3 up to 2^64 - 1);
 * *exact tells whether it is one. A float with an integer's value is an integer. Raise nothing but
 * that memory is short. On LuaJIT 64-bit cdata will do, *exact is then FROM_CDATA, and to look at it
 * may run hooks and finalizers: check handles afterwards, and touch memory then. */
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
int64_t to_key(lua_State *L, int index, int *exact); /* the quicker one where it is often a name */
uint64_t to_uint64(lua_State *L, int index, int *exact);
lua_Number to_number(lua_State *L, int index, int *exact);
#endif

/* Raises that the argument is no expected, the name of one of our classes; NULL, for callers to
 * return. The tag alone tells what a userdata is, never its metatable: another library, or another
 * version of this one, can have one of the same name. */
void *type_error(lua_State *L, int arg, const char *expected);

/* Raises why the argument is no number, if it is none. */
void check_is_number(lua_State *L, int arg);

/* Raises why the argument is no integer. */
int64_t integer_error(lua_State *L, int arg);

/* Also before 5.3 a number with a fraction is an error and not cut. */
static inline int64_t check_integer(lua_State *L, int arg) {
  int exact;
  int64_t n = to_integer(L, arg, &exact);
  return exact ? n : integer_error(L, arg);
}

/* An offset or a count. A negative one becomes huge, and fails the bounds check that follows. */
static inline uint64_t check_size(lua_State *L, int arg) {
  return (uint64_t)check_integer(L, arg);
}

/* Whether an offset or a count is given; raises when something else is. One call when it is. */
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

/* The index of the argument in a list that NULL ends; raises when it is not there. */
int check_option(lua_State *L, int arg, const char *const names[]);

/* Seconds as a duration; NaN raises, negative ones count as 0. */
int64_t check_duration(lua_State *L, int arg);

/* A timeout in seconds as a deadline; nil is for ever. */
int64_t opt_deadline(lua_State *L, int arg);

/* --- results ----------------------------------------------------------------------------------- */

/* nil, message, code. subject (may be NULL) opens the message, hint (may be NULL) ends it. */
int push_failure(lua_State *L, int err, const char *subject, const char *hint);

/* The same with words of the caller's for what is known of the error. */
int push_failure_as(lua_State *L, int err, const char *subject, const char *words);

/* Pushes `queue "jobs"`, or the noun alone when there is no name. */
const char *push_subject(lua_State *L, const char *noun, const char *name);

/* nil, "timeout", "timeout" and its like, for outcomes that are expected. */
int push_outcome(lua_State *L, const char *word);

/* The same for a code; pushes nothing and gives 0 for one that is no such outcome. */
int push_expected(lua_State *L, int err);

#if LUA_VERSION_NUM >= 503
static inline void push_int64(lua_State *L, int64_t value) {
  lua_pushinteger(L, value);
}

static inline void push_uint64(lua_State *L, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
}

/* Does a number hold the integer exactly? */
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

/* An integer. What a number cannot hold exactly is cdata on LuaJIT, whose allocation may run hooks
 * and finalizers, and elsewhere raises. */
void push_int64(lua_State *L, int64_t value);
void push_uint64(lua_State *L, uint64_t value);

/* Pushes memory for an integer that a number may not be able to hold, and returns its address:
 * cdata of LuaJIT's. Elsewhere raises that a number cannot hold the value. */
void *push_inexact(lua_State *L, bool is_signed, uint64_t bits);
#endif

#pragma GCC visibility pop

#endif
