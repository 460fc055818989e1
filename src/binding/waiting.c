/* SPDX-License-Identifier: MIT */
/* Waits that hooks, Ctrl-C and signals end. */
#include "binding/waiting.h"

#include <errno.h>

#include "core/wait.h"
#include "os/signals.h"
#include "shmseg.h"

static int do_nothing(lua_State *L) {
  (void)L;
  return 0;
}

static lua_State *main_state(lua_State *L) {
  lua_State *main;
#if LUA_VERSION_NUM >= 502
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
#else
  lua_getfield(L, LUA_REGISTRYINDEX, "shmseg.main"); /* from luaopen */
#endif
  main = lua_tothread(L, -1);
  lua_pop(L, 1);
  return main;
}

typedef struct {
  lua_Hook function;
  int mask, count;
} hook;

static hook hook_of(lua_State *L) {
  return (hook){ lua_gethook(L), lua_gethookmask(L), lua_gethookcount(L) };
}

/* Makes a call and a return for the hook to see. Returns lua_pcall's status; the error is on the
 * stack. */
static int call_hook(lua_State *L) {
  if (!lua_gethook(L))
    return 0;
  lua_pushcfunction(L, do_nothing);
  return lua_pcall(L, 0, 0, 0);
}

/* A signal handler (Ctrl-C's, for example) sets a hook for every call, return and instruction. It
 * sets the hook on the state from which the handler was installed, mostly the main one. There the
 * hook would not run before the running coroutine has ended. */
static bool may_be_signal_hook(hook h) {
  const int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT;
  return h.function && (h.mask & mask) == mask && h.count == 1;
}

/* Runs such a hook of the main state in the running state. A signal's hook removes itself from the
 * state in which it runs, and must then go from the main state, too. Any other hook stays, in both
 * states. */
static int call_main_hook(lua_State *L, lua_State *main) {
  hook theirs = hook_of(main), own = hook_of(L);
  if (!may_be_signal_hook(theirs) || theirs.function == own.function)
    return 0;
  lua_sethook(L, theirs.function, theirs.mask, theirs.count);
  int status = call_hook(L);
  bool gone = lua_gethook(L) != theirs.function;
  if (gone && lua_gethook(main) == theirs.function)
    lua_sethook(main, NULL, 0, 0);
  if (!gone || !lua_gethook(L)) /* else it has set another one */
    lua_sethook(L, own.function, own.mask, own.count);
  return status;
}

/* Returns lua_pcall's status, with the error on the stack. */
static int run_hooks(lua_State *L) {
  lua_State *main = main_state(L);
  int status = main && main != L ? call_main_hook(L, main) : 0; /* LuaJIT's states have one hook */
  return status ? status : call_hook(L);
}

bool wait_run_hooks(lua_State *L) {
  if (run_hooks(L) != 0)
    lua_error(L);
  return shmseg_signals_pending();
}

static bool is_lack(int err) {
  return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOSPC;
}

/* Notes that a signal has come meanwhile, or that a hook has taken it. */
static void look_for_signal(wait *w) {
  if (shmseg_signals_pending() == w->is_last)
    return;
  int64_t deadline = w->deadline;
  w->deadline = w->other;
  w->other = deadline;
  w->is_last = !w->is_last;
}

bool wait_again_after(lua_State *L, wait *w, int *err) {
  if (*err == SHMSEG_TIMEOUT && w->is_last && (w->other == 0 || shmseg_wait_left(w->other))) {
    *err = SHMSEG_INTERRUPTED;
    return false;
  }
  if (is_lack(*err) && !w->has_collected) {
    w->has_collected = true;
    lua_gc(L, LUA_GCCOLLECT, 0);
    return true;
  }
  if (*err != SHMSEG_INTERRUPTED)
    return false;
  if (run_hooks(L) != 0) {
    if (w->cancel)
      w->cancel(w->handle);
    lua_error(L);
  }
  if (w->is_work)
    return !shmseg_signals_pending();
  look_for_signal(w);
  return true;
}
