/* SPDX-License-Identifier: MIT */
/* The mutex userdata. */
#include "binding/object.h"

typedef struct {
  object object;
  shmseg_mutex mutex;
} mutex;

static int open_mutex(object *o, shmseg_segment *segment, uint64_t offset, uint64_t room,
                      shmseg_mode mode, uint64_t capacity, bool *created) {
  (void)capacity;
  return shmseg_mutex_open(&((mutex *)o)->mutex, segment, offset, room, mode, created);
}

static void close_mutex(object *o) {
  shmseg_mutex_close(&((mutex *)o)->mutex);
}

static shmseg_object *core(object *o) {
  return &((mutex *)o)->mutex.object;
}

static uint64_t size_for(uint64_t capacity) {
  (void)capacity;
  return shmseg_mutex_size();
}

static const object_class class = { "shmseg.mutex", sizeof(mutex), open_mutex,
                                    close_mutex,    core,          size_for };

static void unlock_at_scope_end(object *o) {
  if (shmseg_mutex_holds(&((mutex *)o)->mutex))
    shmseg_mutex_unlock(&((mutex *)o)->mutex);
}

static int lock(void *handle, int64_t deadline, void *abandoned) {
  return shmseg_mutex_lock(&((mutex *)handle)->mutex, deadline, abandoned);
}

/* lock([timeout]) -> guard | guard, "abandoned" | nil, "timeout" */
static int mutex_lock(lua_State *L) {
  mutex *m = check_object(L, &class);
  int64_t deadline = opt_deadline(L, 2);
  bool abandoned = false;
  push_guard(L, &m->object, unlock_at_scope_end);
  int err = binding_wait(L, lock, m, deadline, &abandoned, NULL);
  return push_lock_result(L, &m->object, err, abandoned);
}

/* unlock() -> true | nil, message, code */
static int mutex_unlock(lua_State *L) {
  mutex *m = check_object(L, &class);
  int err = shmseg_mutex_unlock(&m->mutex);
  if (err)
    return push_object_failure(L, &m->object, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* is_held() -> does this handle hold the lock? */
static int mutex_is_held(lua_State *L) {
  mutex *m = check_object(L, &class);
  lua_pushboolean(L, shmseg_mutex_holds(&m->mutex));
  return 1;
}

static const luaL_Reg methods[] = {
  { "is_held", mutex_is_held },
  { "lock", mutex_lock },
  { "unlock", mutex_unlock },
  { NULL, NULL },
};

void binding_open_mutex(lua_State *L) {
  binding_open_class(L, "mutex", &class, methods);
}
