/* SPDX-License-Identifier: MIT */
/* The mutex userdata. */
#include "binding/guard.h"
#include "binding/module.h"
#include "binding/object.h"
#include "binding/waiting.h"

typedef struct {
  object object;
  shmseg_mutex mutex;
} mutex;

static const object_class class = { &shmseg_mutex_kind, "shmseg.mutex", sizeof(mutex), NULL };

static void mutex_unlock_at_scope_end(object *o) {
  if (shmseg_mutex_holds(&((mutex *)o)->mutex))
    shmseg_mutex_unlock(&((mutex *)o)->mutex);
}

ALWAYS_INLINE int lock(lua_State *L, mutex *m, int64_t deadline, bool *abandoned) {
  wait wait = wait_until(deadline);
  int err;
  do
    err = shmseg_mutex_lock(&m->mutex, wait.deadline, abandoned);
  while (wait_again(L, &wait, &err));
  return err;
}

/* lock([timeout]) -> guard | guard, "abandoned" | nil, "timeout" */
static int mutex_lock(lua_State *L) {
  mutex *m = check_object(L, &class);
  int64_t deadline = opt_deadline(L, 2);
  bool abandoned = false;
  push_guard(L, &m->object, mutex_unlock_at_scope_end);
  int err = lock(L, m, deadline, &abandoned);
  return push_lock_result(L, &m->object, err, abandoned);
}

/* unlock() -> true | nil, message, code */
static int mutex_unlock(lua_State *L) {
  mutex *m = check_object(L, &class);
  return push_object_done(L, &m->object, shmseg_mutex_unlock(&m->mutex));
}

/* is_held() -> does this handle hold the lock? */
static int mutex_is_held(lua_State *L) {
  mutex *m = check_object(L, &class);
  lua_pushboolean(L, shmseg_mutex_holds(&m->mutex));
  return 1;
}

/* --- with --------------------------------------------------------------------------------------
 *
 * A hook can raise between any two steps of Lua code; Ctrl-C is such a hook. So only C code runs between
 * taking the lock and the protected call, and between that call and the unlock. */

/* Unlocks, unless fn has done so itself. Then passes on the results of fn, from index first on, or
 * its error, which is at the top. */
static int finish(lua_State *L, bool ok, int first) {
  mutex *m = check_object(L, &class);
  int err = shmseg_mutex_holds(&m->mutex) ? shmseg_mutex_unlock(&m->mutex) : 0;
  if (!ok)
    return lua_error(L);
  return err ? object_raise(L, &m->object, err) : lua_gettop(L) - first + 1;
}

enum { FUNCTION = 2, ABANDONED, TABLE, GUARD, RESULTS }; /* with's stack, behind the mutex */

/* Has the guard closed when a coroutine that has yielded in fn is closed (Lua 5.4 and later). */
#if LUA_VERSION_NUM >= 504
static void close_with_coroutine(lua_State *L) {
  lua_toclose(L, GUARD);
}
#else
static void close_with_coroutine(lua_State *L) {
  (void)L;
}
#endif

#if LUA_VERSION_NUM >= 503
static int go_on(lua_State *L, int status, lua_KContext context) {
  (void)context;
  return finish(L, status == LUA_YIELD, RESULTS);
}
#elif LUA_VERSION_NUM == 502
static int go_on(lua_State *L) {
  return finish(L, lua_getctx(L, NULL) == LUA_YIELD, RESULTS);
}
#else /* fn cannot yield through this call: lua/shmseg/mutex.lua has another way */
#define lua_pcallk(L, arguments, results, handler, context, go_on)                                 \
  lua_pcall(L, arguments, results, handler)
#endif

/* with(fn) -> fn's results; fn is given nil or "abandoned" */
static int mutex_with(lua_State *L) {
  mutex *m = check_object(L, &class);
  bool abandoned = false;
  if (lua_isnoneornil(L, FUNCTION))
    return luaL_error(L, "bad argument #1 to 'with' (function expected, got nil)");
  lua_settop(L, FUNCTION);
  lua_pushliteral(L, "abandoned"); /* now, since nothing may allocate once the lock is held */
  push_guard(L, &m->object, mutex_unlock_at_scope_end);
  int err = lock(L, m, SHMSEG_FOREVER, &abandoned);
  if (err)
    return object_raise(L, &m->object, err);
  close_with_coroutine(L);
  lua_pushvalue(L, FUNCTION);
  if (abandoned)
    lua_pushvalue(L, ABANDONED);
  else
    lua_pushnil(L);
  return finish(L, lua_pcallk(L, 1, LUA_MULTRET, 0, 0, go_on) == 0, RESULTS);
}

/* finish(mutex, ok, results or error) -> results */
static int mutex_finish(lua_State *L) {
  bool ok = lua_toboolean(L, 2);
  if (!ok)
    lua_settop(L, 3);
  return finish(L, ok, 3);
}

static const luaL_Reg methods[] = {
  { "is_held", mutex_is_held }, { "lock", mutex_lock }, { "unlock", mutex_unlock },
  { "with", mutex_with },       { NULL, NULL },
};

void binding_open_mutex(lua_State *L) {
  binding_open_class(L, &class, methods);
  lua_getfield(L, -1, "mutex");
  lua_pushcfunction(L, mutex_finish);
  lua_setfield(L, -2, "finish");
  lua_pop(L, 1);
}
