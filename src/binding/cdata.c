/* SPDX-License-Identifier: MIT */
/* The 64-bit integers of LuaJIT's FFI.
 *
 * LuaJIT has no C functions for cdata, so the Lua functions of its FFI are called. ffi.istype tells the
 * type of a value; but it takes a ctype for a value of that type, so tostring tells these apart (a
 * ctype's text begins with "ctype"). ffi.new copies a value, or what a reference refers to, and
 * lua_topointer gives the address of the copy's bytes, which nobody else has. Lua 5.1 itself, and a
 * LuaJIT without its FFI, have no such values. */
#include "binding/cdata.h"
#include "binding/lua.h"
#include "binding/module.h"

#if LUA_VERSION_NUM == 501

#include <string.h>

#define TOOLS "shmseg.cdata" /* in the registry */
#define TYPE_CDATA 10        /* lua_type's; no header names it */

enum { ISTYPE = 1, NEW = 2, SIGNED = 3, UNSIGNED = 4 }; /* of the table of tools */

/* --- the tools ---------------------------------------------------------------------------- */

/* Pushes the table of tools, or nil. */
static bool push_tools(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, TOOLS);
  return !lua_isnil(L, -1);
}

/* Sets an element of the table at index 1 to a function of the library at index 2. */
static void cdata_take_function(lua_State *L, const char *field, int element) {
  lua_getfield(L, 2, field);
  lua_rawseti(L, 1, element);
}

static void cdata_take_type(lua_State *L, const char *name, int element) {
  lua_getfield(L, 2, "typeof");
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  lua_rawseti(L, 1, element);
}

/* Raises where there is no FFI, or one that is not LuaJIT's. */
static int make_tools(lua_State *L) {
  lua_newtable(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "ffi");
  lua_call(L, 1, 1);
  cdata_take_function(L, "istype", ISTYPE);
  cdata_take_function(L, "new", NEW);
  cdata_take_type(L, "int64_t", SIGNED);
  cdata_take_type(L, "uint64_t", UNSIGNED);
  lua_rawgeti(L, 1, SIGNED);
  luaL_argcheck(L, lua_type(L, -1) == TYPE_CDATA, 1, "not LuaJIT's FFI");
  lua_pushvalue(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, TOOLS);
  return 0;
}

void binding_open_cdata(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "jit"); /* 5.1 may have an "ffi" of another make */
  if (!lua_isnil(L, -1)) {
    lua_pushcfunction(L, make_tools);
    int status = lua_pcall(L, 0, 0, 0);
    if (status == LUA_ERRMEM)
      lua_error(L);
    if (status != 0)
      lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* --- reading ------------------------------------------------------------------------------ */

/* Is the cdata at index, or what it refers to, of that type? The tools are at the top. */
static bool is_of_type(lua_State *L, int index, int type) {
  lua_rawgeti(L, -1, ISTYPE);
  lua_rawgeti(L, -2, type);
  lua_pushvalue(L, index);
  lua_call(L, 2, 1);
  bool result = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return result;
}

static bool is_ctype(lua_State *L, int index) {
  const char *text = luaL_callmeta(L, index, "__tostring") ? lua_tostring(L, -1) : NULL;
  return !text || *text == 'c';
}

bool cdata_is(lua_State *L, int index) {
  return lua_type(L, index) == TYPE_CDATA;
}

bool cdata_read(lua_State *L, int index, uint64_t *bits, bool *is_signed) {
  if (!cdata_is(L, index))
    return false;
  int top = lua_gettop(L);
  luaL_checkstack(L, 6, "no room for a 64-bit integer");
  bool found = push_tools(L);
  *is_signed = found && is_of_type(L, index, SIGNED);
  found = found && (*is_signed || is_of_type(L, index, UNSIGNED));
  if (found && !is_ctype(L, index)) {
    lua_rawgeti(L, top + 1, NEW);
    lua_rawgeti(L, top + 1, *is_signed ? SIGNED : UNSIGNED);
    lua_pushvalue(L, index);
    lua_call(L, 2, 1);
    memcpy(bits, lua_topointer(L, -1), sizeof *bits);
  } else {
    found = false;
  }
  lua_settop(L, top);
  return found;
}

/* --- making ------------------------------------------------------------------------------- */

void *cdata_push(lua_State *L, bool is_signed) {
  luaL_checkstack(L, 4, "no room for a 64-bit integer");
  if (!push_tools(L)) {
    lua_pop(L, 1);
    return NULL;
  }
  lua_rawgeti(L, -1, NEW);
  lua_rawgeti(L, -2, is_signed ? SIGNED : UNSIGNED);
  lua_call(L, 1, 1);
  lua_remove(L, -2);
  return (void *)lua_topointer(L, -1);
}

#else

void binding_open_cdata(lua_State *L) {
  (void)L;
}

#endif
