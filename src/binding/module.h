/* SPDX-License-Identifier: MIT */
/* Each file's open function: adds what is in the file to the table of the module, which is at the top. */
#ifndef SHMSEG_BINDING_MODULE_H
#define SHMSEG_BINDING_MODULE_H

#include <lua.h>

#pragma GCC visibility push(hidden)

void binding_open_array(lua_State *L);
void binding_open_atomic(lua_State *L);
void binding_open_broadcast(lua_State *L);
void binding_open_cdata(lua_State *L);
void binding_open_cell(lua_State *L);
void binding_open_event(lua_State *L);
void binding_open_mutex(lua_State *L);
void binding_open_object(lua_State *L);
void binding_open_queue(lua_State *L);
void binding_open_rwlock(lua_State *L);
void binding_open_segment(lua_State *L);
void binding_open_semaphore(lua_State *L);
void binding_open_signals(lua_State *L);
void binding_open_struct(lua_State *L);
void binding_open_time(lua_State *L);
void binding_open_view(lua_State *L);

#pragma GCC visibility pop

#endif
