/* SPDX-License-Identifier: MIT */
/* The guard userdata: unlocks at the end of a scope; and the results of taking a lock. */
#ifndef SHMSEG_BINDING_GUARD_H
#define SHMSEG_BINDING_GUARD_H

#include "binding/object.h"

#pragma GCC visibility push(hidden)

/* Makes the guard in the place of the nil at the top; its object's table is below that. */
__attribute__((cold)) void make_guard(lua_State *L, object *o, void (*unlock)(object *o));

/* The other half of push_lock_result. */
int push_lock_outcome(lua_State *L, object *o, int err);

#pragma GCC visibility pop

/* Pushes the own table of the lock at index 1, and its guard, which is made at the first call. Call
 * this before the lock is taken: it allocates. The guard's end calls unlock. */
static inline void push_guard(lua_State *L, object *o, void (*unlock)(object *o)) {
  lua_getuservalue(L, 1);
  if (!get_item(L, -1, OBJECT_GUARD))
    make_guard(L, o, unlock);
}

/* The results of taking a lock, after push_guard: the guard and perhaps "abandoned", or nil,
 * "timeout". All other failures raise. Allocates nothing when the lock was taken. */
static inline int push_lock_result(lua_State *L, object *o, int err, bool abandoned) {
  return err || abandoned ? push_lock_outcome(L, o, err) : 1;
}

#endif
