/* SPDX-License-Identifier: MIT */
/* The rwlock userdata. */
#include "binding/guard.h"
#include "binding/module.h"
#include "binding/object.h"
#include "binding/waiting.h"

typedef struct {
  object object;
  shmseg_rwlock rwlock;
} rwlock;

static const object_class class = { &shmseg_rwlock_kind, "shmseg.rwlock", sizeof(rwlock), NULL };

static void rwlock_unlock_at_scope_end(object *o) {
  if (shmseg_rwlock_holds(&((rwlock *)o)->rwlock))
    shmseg_rwlock_unlock(&((rwlock *)o)->rwlock);
}

static void cancel(void *handle) {
  shmseg_rwlock_cancel(&((rwlock *)handle)->rwlock);
}

/* how: shmseg_rwlock_read_lock or shmseg_rwlock_write_lock. */
static int rwlock_take(lua_State *L, int (*how)(shmseg_rwlock *, int64_t, bool *)) {
  rwlock *rw = check_object(L, &class);
  wait wait = wait_until(opt_deadline(L, 2));
  bool abandoned = false;
  int err;
  push_guard(L, &rw->object, rwlock_unlock_at_scope_end);
  wait.cancel = cancel;
  wait.handle = rw;
  do
    err = how(&rw->rwlock, wait.deadline, &abandoned);
  while (wait_again(L, &wait, &err));
  return push_lock_result(L, &rw->object, err, abandoned);
}

/* read_lock([timeout]) -> guard | guard, "abandoned" | nil, "timeout" */
static int rwlock_read_lock(lua_State *L) {
  return rwlock_take(L, shmseg_rwlock_read_lock);
}

/* write_lock([timeout]) -> guard | guard, "abandoned" | nil, "timeout" */
static int rwlock_write_lock(lua_State *L) {
  return rwlock_take(L, shmseg_rwlock_write_lock);
}

/* unlock() -> true | nil, message, code */
static int rwlock_unlock(lua_State *L) {
  rwlock *rw = check_object(L, &class);
  return push_object_done(L, &rw->object, shmseg_rwlock_unlock(&rw->rwlock));
}

static const luaL_Reg methods[] = {
  { "read_lock", rwlock_read_lock },
  { "unlock", rwlock_unlock },
  { "write_lock", rwlock_write_lock },
  { NULL, NULL },
};

void binding_open_rwlock(lua_State *L) {
  binding_open_class(L, &class, methods);
}
