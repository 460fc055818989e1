/* SPDX-License-Identifier: MIT */
/* One Lua API for 5.1 to 5.5 and LuaJIT; arguments and results. */
#include "binding/lua.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/wait.h"
#include "shmseg.h"

#define SECOND 1e9
#define TWO_63 9223372036854775808.0

static const struct {
  int err;
  const char *code;
} codes[] = {
  { SHMSEG_TIMEOUT, "timeout" },
  { SHMSEG_EMPTY, "empty" },
  { SHMSEG_SHUTDOWN, "shutdown" },
  { SHMSEG_INTERRUPTED, "interrupted" },
  { SHMSEG_TOO_SMALL, "too small" },
  { SHMSEG_TOO_MANY, "too many" },
  { SHMSEG_TRUNCATED, "truncated" },
  { SHMSEG_CORRUPT, "corrupt" },
  { SHMSEG_INCOMPATIBLE, "incompatible" },
  { SHMSEG_RENAMED, "ENOENT" },
  { SHMSEG_CLOSED, "EBADF" },
  { SHMSEG_CHANGED, "EAGAIN" },
  { SHMSEG_NO_PROC, "ENOTSUP" },
  { SHMSEG_READ_ONLY, "EACCES" },
  { EACCES, "EACCES" },
  { EAGAIN, "EAGAIN" },
  { EBADF, "EBADF" },
  { EBUSY, "EBUSY" },
  { ECANCELED, "ECANCELED" },
  { EDQUOT, "EDQUOT" },
  { EEXIST, "EEXIST" },
  { EFAULT, "EFAULT" },
  { EFBIG, "EFBIG" },
  { EINTR, "EINTR" },
  { EINVAL, "EINVAL" },
  { EIO, "EIO" },
  { EISDIR, "EISDIR" },
  { ELOOP, "ELOOP" },
  { EMFILE, "EMFILE" },
  { ENAMETOOLONG, "ENAMETOOLONG" },
  { ENFILE, "ENFILE" },
  { ENODEV, "ENODEV" },
  { ENOENT, "ENOENT" },
  { ENOLCK, "ENOLCK" },
  { ENOMEM, "ENOMEM" },
  { ENOSPC, "ENOSPC" },
  { ENOSYS, "ENOSYS" },
  { ENOTDIR, "ENOTDIR" },
  { ENOTSUP, "ENOTSUP" },
  { ENXIO, "ENXIO" },
  { EOVERFLOW, "EOVERFLOW" },
  { EPERM, "EPERM" },
  { EROFS, "EROFS" },
  { ETXTBSY, "ETXTBSY" },
  { EXDEV, "EXDEV" },
};

#define CODES (sizeof codes / sizeof *codes)

/* --- Lua versions ------------------------------------------------------------------------- */

void binding_register(lua_State *L, const luaL_Reg *functions) {
  for (; functions->name; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

void binding_new_class(lua_State *L, const char *name, const luaL_Reg *metamethods,
                       const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  binding_register(L, metamethods);
  lua_newtable(L);
  binding_register(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
}

/* --- arguments ---------------------------------------------------------------------------- */

#if LUA_VERSION_NUM < 503
/* to_integer() of a value that is not a number: it may be cdata. */
static int64_t cdata_integer(lua_State *L, int index, int *exact) {
  uint64_t bits = 0;
  bool is_signed;
  bool fits = cdata_read(L, index, &bits, &is_signed) && (is_signed || bits <= INT64_MAX);
  *exact = fits ? FROM_CDATA : 0;
  return fits ? (int64_t)bits : 0;
}

/* Is the value at index a number? n is what lua_tonumber gave: 0 also for other values. */
static inline bool is_number(lua_State *L, int index, lua_Number n) {
  return n != 0 || lua_isnumber(L, index);
}

static inline int64_t integer_of(lua_Number n, int *exact) {
  *exact = n == floor(n) && n >= -TWO_63 && n < TWO_63;
  return *exact ? (int64_t)n : 0;
}

int64_t to_integer(lua_State *L, int index, int *exact) {
  lua_Number n = lua_tonumber(L, index);
  return is_number(L, index, n) ? integer_of(n, exact) : cdata_integer(L, index, exact);
}

int64_t to_key(lua_State *L, int index, int *exact) {
  if (!lua_isnumber(L, index))
    return cdata_integer(L, index, exact);
  return integer_of(lua_tonumber(L, index), exact);
}

uint64_t to_uint64(lua_State *L, int index, int *exact) {
  bool is_signed;
  uint64_t bits = 0;
  lua_Number n = lua_tonumber(L, index);
  if (!is_number(L, index, n)) {
    *exact = cdata_read(L, index, &bits, &is_signed) ? FROM_CDATA : 0;
    return bits;
  }
  if (n >= TWO_63 && n < 2 * TWO_63) {
    *exact = true;
    return (uint64_t)n; /* from 2^53 on every number is an integer */
  }
  return (uint64_t)integer_of(n, exact);
}

lua_Number to_number(lua_State *L, int index, int *exact) {
  uint64_t bits = 0;
  bool is_signed;
  lua_Number n = lua_tonumber(L, index);
  *exact = is_number(L, index, n);
  if (*exact)
    return n;
  *exact = cdata_read(L, index, &bits, &is_signed) ? FROM_CDATA : 0;
  return *exact && is_signed ? (lua_Number)(int64_t)bits : (lua_Number)bits;
}
#endif

const char *push_type_name(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, "__name")) {
    if (lua_type(L, -1) == LUA_TSTRING)
      return lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  bool is_light = lua_type(L, index) == LUA_TLIGHTUSERDATA;
  lua_pushstring(L, is_light ? "light userdata" : luaL_typename(L, index));
  return lua_tostring(L, -1);
}

void *type_error(lua_State *L, int arg, const char *expected) {
  const char *got = push_type_name(L, arg);
  if (strcmp(got, expected) == 0)
    got = "something else with its metatable";
  luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", expected, got));
  return NULL;
}

void check_is_number(lua_State *L, int arg) {
  uint64_t bits;
  bool is_signed;
  if (!cdata_is(L, arg))
    luaL_checknumber(L, arg);
  else if (!cdata_read(L, arg, &bits, &is_signed))
    luaL_argerror(L, arg, "number expected, got cdata that is no 64-bit integer");
}

int64_t integer_error(lua_State *L, int arg) {
  check_is_number(L, arg);
  if (cdata_is(L, arg))
    return luaL_argerror(L, arg, "out of range for a signed 64-bit integer");
  return luaL_argerror(L, arg, "number has no integer representation");
}

/* Raises, and lists the names that are allowed. */
static int option_error(lua_State *L, int arg, const char *const names[]) {
  lua_pushfstring(L, "invalid option '%s', not one of", lua_tostring(L, arg));
  for (int i = 0; names[i]; i++) {
    lua_pushfstring(L, "%s %s", i == 0 ? "" : ",", names[i]);
    lua_concat(L, 2);
  }
  return luaL_argerror(L, arg, lua_tostring(L, -1));
}

int check_option(lua_State *L, int arg, const char *const names[]) {
  size_t length;
  const char *name = luaL_checklstring(L, arg, &length);
  int i = 0;
  while (names[i] && (strcmp(names[i], name) != 0 || strlen(name) != length))
    i++;
  return names[i] ? i : option_error(L, arg, names);
}

int64_t check_duration(lua_State *L, int arg) {
  lua_Number seconds = luaL_checknumber(L, arg);
  luaL_argcheck(L, !isnan(seconds), arg, "not a number of seconds");
  if (seconds <= 0)
    return 0;
  return seconds < TWO_63 / 2 / SECOND ? (int64_t)ceil(seconds * SECOND) : SHMSEG_FOREVER;
}

int64_t check_deadline(lua_State *L, int arg) {
  return shmseg_wait_deadline(check_duration(L, arg));
}

/* --- results ------------------------------------------------------------------------------ */

/* The index of err in codes; CODES when it is not there. */
static size_t find_code(int err) {
  size_t i = 0;
  while (i < CODES && codes[i].err != err)
    i++;
  return i;
}

void push_code(lua_State *L, int err) {
  size_t i = find_code(err);
  if (i < CODES)
    lua_pushstring(L, codes[i].code);
  else
    lua_pushfstring(L, "E%d", err);
}

int push_failure(lua_State *L, int err, const char *subject, const char *hint) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s%s", subject ? subject : "", subject ? ": " : "");
  lua_pushstring(L, shmseg_strerror(err));
  lua_pushfstring(L, "%s%s%s", hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
  lua_concat(L, 3);
  push_code(L, err);
  return 3;
}

int push_failure_as(lua_State *L, int err, const char *subject, const char *words) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", subject, words);
  push_code(L, err);
  return 3;
}

const char *push_subject(lua_State *L, const char *noun, const char *name) {
  if (name)
    return lua_pushfstring(L, "%s \"%s\"", noun, name);
  lua_pushstring(L, noun);
  return noun;
}

int push_outcome(lua_State *L, const char *word) {
  lua_pushnil(L);
  lua_pushstring(L, word);
  lua_pushvalue(L, -1);
  return 3;
}

int push_expected(lua_State *L, int err) {
  switch (err) {
  case SHMSEG_TIMEOUT: return push_outcome(L, "timeout");
  case SHMSEG_EMPTY: return push_outcome(L, "empty");
  case SHMSEG_SHUTDOWN: return push_outcome(L, "shutdown");
  case SHMSEG_INTERRUPTED: return push_outcome(L, "interrupted");
  case SHMSEG_TOO_MANY: return push_outcome(L, "too many");
  default: return 0;
  }
}

void binding_keep_outcomes(lua_State *L) {
  lua_newtable(L);
  for (size_t i = 0; i < CODES; i++)
    if (push_expected(L, codes[i].err)) {
      lua_rawset(L, -4); /* word = word */
      lua_pop(L, 1);
    }
  lua_setfield(L, LUA_REGISTRYINDEX, "shmseg.outcomes");
}

#if LUA_VERSION_NUM < 503
bool holds_int64(int64_t value) {
  lua_Number n = (lua_Number)value;
  return n < TWO_63 && (int64_t)n == value;
}

bool holds_uint64(uint64_t value) {
  lua_Number n = (lua_Number)value;
  return n < 2 * TWO_63 && (uint64_t)n == value;
}

void *push_inexact(lua_State *L, bool is_signed, uint64_t bits) {
  void *bytes = cdata_push(L, is_signed);
  if (!bytes)
    luaL_error(L, "no number holds this 64-bit integer near %f exactly",
               is_signed ? (lua_Number)(int64_t)bits : (lua_Number)bits);
  return bytes;
}

void push_int64(lua_State *L, int64_t value) {
  if (holds_int64(value))
    lua_pushnumber(L, (lua_Number)value);
  else
    memcpy(push_inexact(L, true, (uint64_t)value), &value, sizeof value);
}

void push_uint64(lua_State *L, uint64_t value) {
  if (holds_uint64(value))
    lua_pushnumber(L, (lua_Number)value);
  else
    memcpy(push_inexact(L, false, value), &value, sizeof value);
}
#endif
