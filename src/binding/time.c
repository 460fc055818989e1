/* SPDX-License-Identifier: MIT */
/* shmseg.now and shmseg.sleep. */
#include "binding/lua.h"
#include "binding/module.h"
#include "binding/waiting.h"
#include "core/wait.h"
#include "os/signals.h"

/* now() -> seconds since a moment in the past, the same moment for every process */
static int time_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)shmseg_clock_now() / 1e9);
  return 1;
}

/* sleep(seconds) -> true | nil, "interrupted" */
static int time_sleep(lua_State *L) {
  int64_t deadline = shmseg_wait_deadline(check_duration(L, 1));
  if (shmseg_signals_pending())
    return push_outcome(L, "interrupted");
  while (shmseg_wait_sleep(deadline) == SHMSEG_INTERRUPTED)
    if (wait_run_hooks(L))
      return push_outcome(L, "interrupted");
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg functions[] = { { "now", time_now },
                                      { "sleep", time_sleep },
                                      { NULL, NULL } };

void binding_open_time(lua_State *L) {
  binding_register(L, functions);
}
