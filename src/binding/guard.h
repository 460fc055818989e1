/* SPDX-License-Identifier: MIT */
/* The guard userdata: unlocks at the end of a scope; and the results of taking a lock. */
#ifndef SHMSEG_BINDING_GUARD_H
#define SHMSEG_BINDING_GUARD_H

#include "binding/object.h"

#pragma GCC visibility push(hidden)

/* Pushes the guard of the lock at index 1, which is made at the first call. Call this before the
 * lock is taken: it allocates. The guard's end calls unlock. */
void push_guard(lua_State *L, object *o, void (*unlock)(object *o));

/* The results of taking a lock, whose guard is at the top: the guard and perhaps "abandoned", or nil,
 * "timeout". All other failures raise. Allocates nothing when the lock was taken. */
int push_lock_result(lua_State *L, object *o, int err, bool abandoned);

#pragma GCC visibility pop

#endif
