/* SPDX-License-Identifier: MIT */
/* Places: the names that Lua gives, and why what is there cannot be opened. */
#ifndef SHMSEG_BINDING_PLACE_H
#define SHMSEG_BINDING_PLACE_H

#include <sys/stat.h>

#include <lua.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* The name at arg. For nil, a new name, which is pushed. */
const char *check_free_name(lua_State *L, int arg, shmseg_place_type type);

/* Pushes a table of what the file system tells. */
int push_stat(lua_State *L, const struct stat *status);

/* nil, message, code for a place that could not be opened. needed: bytes that were asked for, or 0.
 * */
int push_place_failure(lua_State *L, const char *noun, shmseg_place place, shmseg_mode mode,
                       uint64_t needed, int err);

#pragma GCC visibility pop

#endif
