/* SPDX-License-Identifier: MIT */
/* The semaphore userdata. */
#include "binding/guard.h"
#include "binding/module.h"
#include "binding/object.h"
#include "binding/waiting.h"
#include "binding/watch.h"

typedef struct {
  object object;
  shmseg_semaphore semaphore;
} semaphore;

static const object_class class = { &shmseg_semaphore_kind, "shmseg.semaphore", sizeof(semaphore),
                                    NULL };

/* acquire([timeout]) -> true | nil, "timeout" */
static int semaphore_acquire(lua_State *L) {
  semaphore *s = check_object(L, &class);
  wait wait = wait_until(opt_deadline(L, 2));
  int err;
  do
    err = shmseg_semaphore_acquire(&s->semaphore, wait.deadline);
  while (wait_again(L, &wait, &err));
  lua_pushboolean(L, 1);
  return push_lock_result(L, &s->object, err, false);
}

/* release() -> true | nil, message, code */
static int semaphore_release(lua_State *L) {
  semaphore *s = check_object(L, &class);
  int err = shmseg_semaphore_release(&s->semaphore);
  if (err == SHMSEG_NOT_HELD)
    return luaL_error(L, "%s: %s", push_object_subject(L, &s->object),
                      shmseg_semaphore_is_signal(&s->semaphore)
                          ? "a signal has no release: what was acquired is used up"
                          : "this handle has no permit to release");
  return push_object_done(L, &s->object, err);
}

/* post([count]) -> true | nil, "too many" | nil, message, code */
static int semaphore_post(lua_State *L) {
  semaphore *s = check_object(L, &class);
  int64_t count = lua_isnoneornil(L, 2) ? 1 : check_integer(L, 2);
  luaL_argcheck(L, count > 0, 2, "not a positive number of posts");
  if (object_handle(&s->object)->segment && !shmseg_semaphore_is_signal(&s->semaphore))
    return luaL_error(L, "%s: no signal to post: open it with { signal = true }",
                      push_object_subject(L, &s->object));
  int err = shmseg_semaphore_post(&s->semaphore, count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
  return push_object_done(L, &s->object, err);
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

static int arm_watch(watch *w, uint64_t seen) {
  const semaphore *s = w->what;
  (void)seen;
  return shmseg_semaphore_watch(&s->semaphore, &w->core);
}

/* watch() -> watch | nil, message, code */
static int semaphore_watch(lua_State *L) {
  static const watch_source source = { .arm = arm_watch, .fail = fail_object_watch };
  semaphore *s = check_object(L, &class);
  if (object_handle(&s->object)->segment && !shmseg_semaphore_is_signal(&s->semaphore))
    return luaL_error(
        L, "%s: only a counting signal can be watched: a dead owner's permits wake nobody",
        push_object_subject(L, &s->object));
  return push_armed_watch(L, &source, 0);
}

static const luaL_Reg methods[] = {
  { "acquire", semaphore_acquire }, { "post", semaphore_post },   { "release", semaphore_release },
  { "value", semaphore_value },     { "watch", semaphore_watch }, { NULL, NULL },
};

void binding_open_semaphore(lua_State *L) {
  binding_open_class(L, &class, methods);
}
