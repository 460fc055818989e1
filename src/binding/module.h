/* SPDX-License-Identifier: MIT */
/* Each file's open function. It adds what the file has to the module's table, which is at the top of
 * the stack. */
#ifndef SHMSEG_BINDING_MODULE_H
#define SHMSEG_BINDING_MODULE_H

#include <lua.h>

#include "objects/kinds.h"

#pragma GCC visibility push(hidden)

void binding_open_array(lua_State *L);
void binding_open_atomic(lua_State *L);
void binding_open_cdata(lua_State *L);
void binding_open_front(lua_State *L);
void binding_open_guard(lua_State *L);
void binding_open_listing(lua_State *L);
void binding_open_look(lua_State *L);
void binding_open_place(lua_State *L);
void binding_open_segment(lua_State *L);
void binding_open_signals(lua_State *L);
void binding_open_stream(lua_State *L);
void binding_open_struct(lua_State *L);
void binding_open_subscription(lua_State *L);
void binding_open_terminal(lua_State *L);
void binding_open_time(lua_State *L);
void binding_open_users(lua_State *L);
void binding_open_view(lua_State *L);
void binding_open_watch(lua_State *L);

/* binding_open_queue and so on */
#define BINDING_OPEN(noun) void binding_open_##noun(lua_State *L);
SHMSEG_KINDS(BINDING_OPEN)
#undef BINDING_OPEN

#pragma GCC visibility pop

#endif
