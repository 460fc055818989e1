/* SPDX-License-Identifier: MIT */
/* The 64-bit integers of LuaJIT's FFI, which no other Lua has. */
#ifndef SHMSEG_BINDING_CDATA_H
#define SHMSEG_BINDING_CDATA_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#pragma GCC visibility push(hidden)

#if LUA_VERSION_NUM == 501
/* Is the value at index cdata of any type? */
bool cdata_is(lua_State *L, int index);

/* Gives the bits of the int64_t or uint64_t at index, which must not be negative. False when the
 * value is something else. May run hooks and finalizers. */
bool cdata_read(lua_State *L, int index, uint64_t *bits, bool *is_signed);

/* Pushes a new int64_t or uint64_t and returns the address of its bytes. Where there is no cdata it
 * pushes nothing and returns NULL. May run hooks and finalizers. */
void *cdata_push(lua_State *L, bool is_signed);
#else
static inline bool cdata_is(lua_State *L, int index) {
  (void)L, (void)index;
  return false;
}

static inline bool cdata_read(lua_State *L, int index, uint64_t *bits, bool *is_signed) {
  (void)L, (void)index, (void)bits, (void)is_signed;
  return false;
}

static inline void *cdata_push(lua_State *L, bool is_signed) {
  (void)L, (void)is_signed;
  return NULL;
}
#endif

#pragma GCC visibility pop

#endif
