/* SPDX-License-Identifier: MIT */
/* The watch userdata: a descriptor for event loops.
 *
 * The C watch lies in the userdata, and is in the list of its segment's watches. Closing the object or the
 * segment takes it out of there, so finalizers may run in any order. */
#include "binding/watch.h"

#include <errno.h>
#include <string.h>

#include "binding/module.h"
#include "binding/waiting.h"
#include "core/wait.h"
#include "core/watch.h"
#include "os/fork.h"

#define CLASS "shmseg.watch"
#define SECOND 1e9

/* Seconds after which what makes no wake is to be looked for. */
#define LOOK_AROUND 1.0

#define WHAT 1 /* key of the user value */

static const char watch_tag;

static watch *check_any(lua_State *L) {
  watch *w = test_tag(L, 1, &watch_tag);
  return w ? w : type_error(L, 1, CLASS);
}

static bool is_inherited(const watch *w) {
  return !shmseg_fork_same(w->process);
}

void check_watch_open(lua_State *L, const watch *w) {
  luaL_argcheck(L, w->open, 1, "watch is closed");
}

/* The watch at index 1, which can be used. */
static watch *check_watch(lua_State *L) {
  watch *w = check_any(L);
  check_watch_open(L, w);
  if (is_inherited(w))
    luaL_error(L, "watch was made before a fork: make a new one");
  return w;
}

/* --- failures ----------------------------------------------------------------------------- */

const char *watch_hint(int err) {
  switch (err) {
  case EMFILE:
  case ENFILE: return "a watch takes one or two descriptors: ulimit -n tells the limit";
  case EAGAIN:
    return "no further thread can wait: 64 at most, each for 127 watches, or for one before Linux 5.16";
  case ENOTSUP: return "neither io_uring nor a thread can wait here: shmseg.features().watch";
  default: return NULL;
  }
}

int fail_object_watch(lua_State *L, const watch *w, int err) {
  const object *o = w->what;
  const char *hint = watch_hint(err);
  if (hint)
    return push_failure(L, err, push_object_subject(L, o), hint);
  return push_object_failure(L, o, err);
}

/* --- making and arming -------------------------------------------------------------------- */

watch *push_watch(lua_State *L, const watch_source *source) {
  watch *w = lua_newuserdata(L, sizeof *w);
  memset(w, 0, sizeof *w);
  w->tag = &watch_tag;
  w->source = source;
  w->what = lua_touserdata(L, 1);
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
  lua_createtable(L, 3, 0); /* all that a source keeps, so that none of it allocates later */
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, WHAT);
  lua_setuservalue(L, -2);
  return w;
}

void open_watch(watch *w) {
  w->process = shmseg_fork_generation();
  w->open = true;
}

int push_armed_watch(lua_State *L, const watch_source *source, uint64_t seen) {
  watch *w = push_watch(L, source);
  wait wait = wait_for_work();
  int err;
  do
    err = source->arm(w, seen);
  while (wait_again(L, &wait, &err));
  if (err)
    return source->fail(L, w, err);
  w->seen = seen;
  open_watch(w);
  return 1;
}

/* All watches in a list of the Lua module lie in a userdata. The core knows them by the object; what ends here
 * is less, a subscription, so they are first made known by that. */
void end_watches(shmseg_watch **list, const void *what) {
  for (shmseg_watch *core = *list; core; core = core->next) {
    const watch *w = (const watch *)((const char *)core - offsetof(watch, core));
    if (w->what == what)
      core->of = what;
  }
  shmseg_watch_end(list, what);
}

/* rearm([seen]) -> true | nil, message, code */
static int watch_rearm(lua_State *L) {
  watch *w = check_watch(L);
  const watch_source *source = w->source;
  uint64_t seen = w->seen;
  if (source->rearm)
    return source->rearm(L, w);
  if (source->see && !lua_isnoneornil(L, 2))
    seen = source->see(L, 2);
  luaL_argcheck(L, source->see || lua_isnoneornil(L, 2), 2, "nothing is seen by this watch");
  check_watch(L); /* reading the number may have run Lua code */
  wait wait = wait_for_work();
  int err;
  do {
    check_watch_open(L, w);
    err = source->arm(w, seen);
  } while (wait_again(L, &wait, &err));
  if (err)
    return source->fail(L, w, err);
  w->seen = seen;
  lua_pushboolean(L, 1);
  return 1;
}

/* --- what loops ask for ------------------------------------------------------------------- */

/* fd(), pollfd() -> descriptor */
static int watch_fd(lua_State *L) {
  lua_pushinteger(L, check_watch(L)->core.fd);
  return 1;
}

/* events() -> "r" */
static int watch_events(lua_State *L) {
  check_watch(L);
  lua_pushliteral(L, "r");
  return 1;
}

/* timeout() -> seconds until what makes no wake is to be looked for */
static int watch_timeout(lua_State *L) {
  const watch *w = check_watch(L);
  lua_Number seconds = LOOK_AROUND;
  if (w->expiry) {
    lua_Number left = (lua_Number)(w->expiry - shmseg_clock_now()) / SECOND;
    seconds = left < seconds ? left : seconds;
  }
  lua_pushnumber(L, seconds > 0 ? seconds : 0);
  return 1;
}

static int watch_close(lua_State *L) {
  watch *w = check_any(L);
  w->open = false;
  shmseg_watch_close(&w->core);
  return 0;
}

static int watch_tostring(lua_State *L) {
  const watch *w = check_any(L);
  if (!w->open || is_inherited(w)) {
    lua_pushliteral(L, CLASS " (closed)");
    return 1;
  }
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, WHAT);
  luaL_callmeta(L, -1, "__tostring");
  lua_pushfstring(L, CLASS " (of %s)", lua_tostring(L, -1));
  return 1;
}

/* watch_way() -> "io_uring" | "thread" | false */
static int watch_way(lua_State *L) {
  const char *way = shmseg_watch_way();
  if (way)
    lua_pushstring(L, way);
  else
    lua_pushboolean(L, 0);
  return 1;
}

static const luaL_Reg methods[] = {
  { "close", watch_close }, { "events", watch_events }, { "fd", watch_fd },
  { "pollfd", watch_fd },   { "rearm", watch_rearm },   { "timeout", watch_timeout },
  { NULL, NULL },
};

static const luaL_Reg metamethods[] = {
  { "__close", watch_close },
  { "__gc", watch_close },
  { "__tostring", watch_tostring },
  { NULL, NULL },
};

void binding_open_watch(lua_State *L) {
  binding_new_class(L, CLASS, metamethods, methods);
  lua_pop(L, 2);
  lua_pushcfunction(L, watch_way);
  lua_setfield(L, -2, "watch_way");
}
