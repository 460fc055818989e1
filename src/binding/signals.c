/* SPDX-License-Identifier: MIT */
/* shmseg.signals: signals that end a wait, and not the process. */
#include "binding/module.h"
#include "binding/view.h"
#include "binding/waiting.h"
#include "binding/watch.h"

#include <errno.h>
#include <string.h>

#include "core/wait.h"
#include "core/watch.h"
#include "os/signals.h"

#define CLASS "shmseg.signals"
#define SIGNALS_MAX 32

static const char stop_tag;

typedef struct {
  const void *tag;
  bool open;
  shmseg_watch *watches; /* of it */
} stop;

static stop *check_stop(lua_State *L) {
  stop *s = test_tag(L, 1, &stop_tag);
  return s ? s : type_error(L, 1, CLASS);
}

static void check_stop_open(lua_State *L, const stop *s) {
  luaL_argcheck(L, s->open, 1, "signals handle is closed");
}

/* signals(name...) -> stop; INT and TERM when nothing is named */
static int signals_catch(lua_State *L) {
  int numbers[SIGNALS_MAX];
  int count = lua_gettop(L);
  if (count == 0) {
    lua_pushliteral(L, "INT");
    lua_pushliteral(L, "TERM");
    count = 2;
  }
  luaL_argcheck(L, count <= SIGNALS_MAX, SIGNALS_MAX + 1, "too many signals");
  for (int i = 1; i <= count; i++) {
    size_t length;
    const char *name = luaL_checklstring(L, i, &length);
    const char *bare = strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
    numbers[i - 1] = shmseg_signals_number(bare);
    luaL_argcheck(L, numbers[i - 1] != 0 && strlen(name) == length, i,
                  "not the name of a signal that can be caught");
  }
  stop *s = lua_newuserdata(L, sizeof *s);
  memset(s, 0, sizeof *s);
  s->tag = &stop_tag;
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
  int err = shmseg_signals_catch(numbers, (size_t)count);
  if (err == EBUSY)
    return luaL_error(L, "signals are caught in this process already: close that handle first");
  if (err)
    return push_failure(L, err, "signals", NULL);
  s->open = true;
  return 1;
}

/* stop:wait([timeout]) -> name | nil, "timeout" */
static int stop_wait(lua_State *L) {
  stop *s = check_stop(L);
  int64_t deadline = opt_deadline(L, 2);
  for (;;) {
    check_stop_open(L, s);
    int number = shmseg_signals_take();
    if (number) {
      lua_pushstring(L, shmseg_signals_name(number));
      return 1;
    }
    if (shmseg_wait_sleep(deadline) == SHMSEG_TIMEOUT)
      return push_outcome(L, "timeout");
    wait_run_hooks(L);
  }
}

static int arm_watch(watch *w, uint64_t seen) {
  stop *s = w->what;
  (void)seen;
  return s->open ? shmseg_watch_signals(&s->watches, &w->core) : SHMSEG_CLOSED;
}

static int fail_watch(lua_State *L, const watch *w, int err) {
  check_stop_open(L, w->what);
  return push_failure(L, err, "signals", watch_hint(err));
}

/* watch() -> watch | nil, message, code */
static int stop_watch(lua_State *L) {
  static const watch_source source = { .arm = arm_watch, .fail = fail_watch };
  check_stop_open(L, check_stop(L));
  return push_armed_watch(L, &source, 0);
}

static int stop_close(lua_State *L) {
  stop *s = check_stop(L);
  if (s->open)
    shmseg_signals_release();
  s->open = false;
  shmseg_watch_end(&s->watches, NULL);
  return 0;
}

static int stop_tostring(lua_State *L) {
  lua_pushstring(L, check_stop(L)->open ? CLASS " (open)" : CLASS " (closed)");
  return 1;
}

static const luaL_Reg methods[] = {
  { "close", stop_close },
  { "wait", stop_wait },
  { "watch", stop_watch },
  { NULL, NULL },
};

static const luaL_Reg metamethods[] = {
  { "__gc", stop_close },
  { "__close", stop_close },
  { "__tostring", stop_tostring },
  { NULL, NULL },
};

void binding_open_signals(lua_State *L) {
  binding_new_class(L, CLASS, metamethods, methods);
  lua_pop(L, 2);
  lua_pushcfunction(L, signals_catch);
  lua_setfield(L, -2, "signals");
}
