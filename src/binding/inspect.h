/* SPDX-License-Identifier: MIT */
/* Looking at an open object: its locks, their owners, its order. */
#ifndef SHMSEG_BINDING_INSPECT_H
#define SHMSEG_BINDING_INSPECT_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* Functions of each class, which is upvalue 1. */
int object_check(lua_State *L);
int object_inspect(lua_State *L);

#pragma GCC visibility pop

#endif
