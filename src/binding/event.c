/* SPDX-License-Identifier: MIT */
/* The event userdata. */
#include "binding/module.h"
#include "binding/object.h"
#include "binding/waiting.h"
#include "binding/watch.h"

typedef struct {
  object object;
  shmseg_event event;
} event;

static const object_class class = { &shmseg_event_kind, "shmseg.event", sizeof(event), NULL };

/* set() -> true | nil, message, code */
static int event_set(lua_State *L) {
  event *e = check_object(L, &class);
  return push_object_done(L, &e->object, shmseg_event_set(&e->event));
}

/* clear() -> true | nil, message, code */
static int event_clear(lua_State *L) {
  event *e = check_object(L, &class);
  return push_object_done(L, &e->object, shmseg_event_clear(&e->event));
}

/* is_set() -> boolean | nil, message, code */
static int event_is_set(lua_State *L) {
  event *e = check_object(L, &class);
  bool set;
  int err = shmseg_event_is_set(&e->event, &set);
  if (err)
    return push_object_failure(L, &e->object, err);
  lua_pushboolean(L, set);
  return 1;
}

/* wait([timeout]) -> true | nil, "timeout" | nil, message, code: unlike locks it raises no failure */
static int event_wait(lua_State *L) {
  event *e = check_object(L, &class);
  wait wait = wait_until(opt_deadline(L, 2));
  uint32_t began = 0;
  int err;
  do
    err = shmseg_event_wait(&e->event, &began, wait.deadline);
  while (wait_again(L, &wait, &err));
  return push_object_done(L, &e->object, err);
}

static int arm_watch(watch *w, uint64_t seen) {
  const event *e = w->what;
  (void)seen;
  return shmseg_event_watch(&e->event, &w->core);
}

/* watch() -> watch | nil, message, code */
static int event_watch(lua_State *L) {
  static const watch_source source = { .arm = arm_watch, .fail = fail_object_watch };
  check_object(L, &class);
  return push_armed_watch(L, &source, 0);
}

static const luaL_Reg methods[] = {
  { "clear", event_clear }, { "is_set", event_is_set }, { "set", event_set },
  { "wait", event_wait },   { "watch", event_watch },   { NULL, NULL },
};

void binding_open_event(lua_State *L) {
  binding_open_class(L, &class, methods);
}
