/* SPDX-License-Identifier: MIT */
/* The semaphore userdata. */
#include "binding/module.h"
#include "binding/object.h"
#include "binding/waiting.h"

typedef struct {
  object object;
  shmseg_semaphore semaphore;
} semaphore;

static int open_semaphore(object *o, shmseg_segment *segment, uint64_t offset, uint64_t available,
                          shmseg_mode mode, uint64_t capacity, bool *created) {
  return shmseg_semaphore_open(&((semaphore *)o)->semaphore, segment, offset, available, mode,
                               capacity, created);
}

static void close_semaphore(object *o) {
  shmseg_semaphore_close(&((semaphore *)o)->semaphore);
}

static shmseg_object *core(object *o) {
  return &((semaphore *)o)->semaphore.object;
}

static const object_class class = {
  "shmseg.semaphore",   sizeof(semaphore), open_semaphore, close_semaphore, core,
  shmseg_semaphore_size
};

static int acquire(void *handle, int64_t deadline, void *context) {
  (void)context;
  return shmseg_semaphore_acquire(&((semaphore *)handle)->semaphore, deadline);
}

/* acquire([timeout]) -> true | nil, "timeout" */
static int semaphore_acquire(lua_State *L) {
  semaphore *s = check_object(L, &class);
  int64_t deadline = opt_deadline(L, 2);
  int err = binding_wait(L, acquire, s, deadline, NULL, NULL);
  lua_pushboolean(L, 1);
  return push_lock_result(L, &s->object, err, false);
}

/* release() -> true | nil, message, code */
static int semaphore_release(lua_State *L) {
  semaphore *s = check_object(L, &class);
  int err = shmseg_semaphore_release(&s->semaphore);
  if (err == SHMSEG_NOT_HELD)
    return luaL_error(L, "%s: this handle has no permit to release",
                      push_object_subject(L, &s->object));
  if (err)
    return push_object_failure(L, &s->object, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* value() -> permits that are free at this moment | nil, message, code */
static int semaphore_value(lua_State *L) {
  semaphore *s = check_object(L, &class);
  uint32_t value;
  int err = shmseg_semaphore_value(&s->semaphore, &value);
  if (err)
    return push_object_failure(L, &s->object, err);
  push_uint64(L, value);
  return 1;
}

static const luaL_Reg methods[] = {
  { "acquire", semaphore_acquire },
  { "release", semaphore_release },
  { "value", semaphore_value },
  { NULL, NULL },
};

void binding_open_semaphore(lua_State *L) {
  binding_open_class(L, "semaphore", &class, methods);
}
