/* SPDX-License-Identifier: MIT */
/* The guard userdata: unlocks at the end of a scope. */
#include "binding/guard.h"

#include <string.h>

#include "binding/module.h"

#define GUARD_CLASS "shmseg.guard"

static const char guard_tag;

typedef struct {
  const void *tag;
  object *object;
  void (*unlock)(object *o);
} guard;

/* Unlocks if the lock is still held. Never raises: the scope may end with an error of its own. */
static int guard_close(lua_State *L) {
  guard *g = test_tag(L, 1, &guard_tag);
  if (!g)
    g = type_error(L, 1, GUARD_CLASS);
  g->unlock(g->object);
  return 0;
}

void make_guard(lua_State *L, object *o, void (*unlock)(object *o)) {
  lua_pop(L, 1);
  guard *g = lua_newuserdata(L, sizeof *g);
  memset(g, 0, sizeof *g);
  g->tag = &guard_tag;
  g->object = o;
  g->unlock = unlock;
  luaL_getmetatable(L, GUARD_CLASS);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -2); /* the object's table, which has the object */
  lua_setuservalue(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, OBJECT_GUARD);
}

int push_lock_outcome(lua_State *L, object *o, int err) {
  if (err == SHMSEG_TIMEOUT)
    return push_outcome(L, "timeout");
  if (err)
    return object_raise(L, o, err);
  lua_rawgeti(L, -2, OBJECT_ABANDONED);
  return 2;
}

void binding_open_guard(lua_State *L) {
  static const luaL_Reg methods[] = { { "close", guard_close }, { NULL, NULL } };
  static const luaL_Reg metamethods[] = { { "__close", guard_close }, { NULL, NULL } };
  binding_new_class(L, GUARD_CLASS, metamethods, methods);
  lua_pop(L, 2);
}
