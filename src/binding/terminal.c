/* SPDX-License-Identifier: MIT */
/* What the command line tool needs of the system: the terminal, and signals as they are by default. */
#include "os/terminal.h"

#include <limits.h>
#include <string.h>

#include "binding/lua.h"
#include "binding/module.h"
#include "os/signals.h"

/* terminal(fd) -> columns, rows | nil: it is no terminal */
static int terminal_size(lua_State *L) {
  int columns, rows;
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, 1, "not a descriptor");
  if (!shmseg_terminal_size((int)fd, &columns, &rows))
    return 0;
  lua_pushinteger(L, columns);
  lua_pushinteger(L, rows);
  return 2;
}

/* default_signal(name): from now on it does what it does in a program that knows nothing of it */
static int terminal_default_signal(lua_State *L) {
  size_t length;
  const char *name = luaL_checklstring(L, 1, &length);
  int number = shmseg_signals_number(name);
  luaL_argcheck(L, number != 0 && strlen(name) == length, 1,
                "not the name of a signal that can be caught");
  shmseg_signals_default(number);
  return 0;
}

static const luaL_Reg functions[] = { { "terminal", terminal_size },
                                      { "default_signal", terminal_default_signal },
                                      { NULL, NULL } };

void binding_open_terminal(lua_State *L) {
  binding_register(L, functions);
}
