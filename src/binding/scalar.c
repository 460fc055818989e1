/* SPDX-License-Identifier: MIT */
/* The scalar types: their names, and what is wrong with a value. */
#include "binding/scalar.h"

#include <stdio.h>

#define NAME(name, type) #name,
const char *const scalar_names[] = { SCALAR_TYPES(NAME) NULL };

_Static_assert(sizeof scalar_names / sizeof *scalar_names == SCALARS + 1, "SCALARS counts them");

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
