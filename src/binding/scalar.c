/* SPDX-License-Identifier: MIT */
/* The scalar types: their names, and what is wrong with a value. */
#include "binding/scalar.h"

#include <stdio.h>

const char *const scalar_names[] = { "bool", "i8",  "u8",  "i16", "u16", "i32",
                                     "u32",  "i64", "u64", "f32", "f64", NULL };

void scalar_error(lua_State *L, int arg, scalar type) {
  if (type == SCALAR_bool)
    luaL_checktype(L, arg, LUA_TBOOLEAN);
  luaL_checknumber(L, arg);
  int64_t n = check_integer(L, arg);
  char text[64];
  snprintf(text, sizeof text, "out of range for %s: %lld", scalar_names[type], (long long)n);
  luaL_argerror(L, arg, text);
}
