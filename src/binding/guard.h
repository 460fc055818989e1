/* SPDX-License-Identifier: MIT */
/* The guard userdata: unlocks at the end of a scope; and the results of taking a lock. */
#ifndef SHMSEG_BINDING_GUARD_H
#define SHMSEG_BINDING_GUARD_H

#include "binding/object.h"

#pragma GCC visibility push(hidden)

/* Pushes the guard of the lock at index 1, made at the first call: before the lock is taken. Its end
 * calls unlock, whatever that says. */
void push_guard(lua_State *L, object *o, void (*unlock)(object *o));

/* A lock's results, when the guard is at the top: it and perhaps "abandoned", or nil, "timeout"; all
 * other failures raise. Does not allocate when the lock was taken. */
int push_lock_result(lua_State *L, object *o, int err, bool abandoned);

#pragma GCC visibility pop

#endif
