/* SPDX-License-Identifier: MIT */
/* The scalar types: their names, and what is wrong with a value. */
#include "binding/scalar.h"

#include <stdio.h>

const char *const scalar_names[] = { "bool", "i8",  "u8",  "i16", "u16", "i32",
                                     "u32",  "i64", "u64", "f32", "f64", NULL };

void scalar_error(lua_State *L, int arg, scalar type) {
  char text[96];
  int exact;
  if (type == SCALAR_bool)
    luaL_checktype(L, arg, LUA_TBOOLEAN);
  check_is_number(L, arg);
  if (type == SCALAR_f32)
    snprintf(text, sizeof text, "out of range for f32: %.14g", to_number(L, arg, &exact));
  else
    snprintf(text, sizeof text, "out of range for %s: %lld", scalar_names[type],
             (long long)check_integer(L, arg));
  luaL_argerror(L, arg, text);
}
