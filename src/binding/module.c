/* SPDX-License-Identifier: MIT */
/* luaopen_shmseg_core: the C half of the module. */
#include "binding/binding.h"
#include "os/features.h"
#include "os/map.h"

#if LUA_VERSION_NUM < 502
/* 5.1 does not tell which state is the main one; when the module is loaded it runs as a rule. */
static void note_main_state(lua_State *L) {
  if (lua_pushthread(L))
    lua_setfield(L, LUA_REGISTRYINDEX, "shmseg.main");
  else
    lua_pop(L, 1);
}
#else
static void note_main_state(lua_State *L) {
  (void)L; /* the registry has it */
}
#endif

#pragma GCC visibility push(default)
int luaopen_shmseg_core(lua_State *L);
#pragma GCC visibility pop

static void push_features(lua_State *L) {
  lua_newtable(L);
  for (const shmseg_feature *f = shmseg_features; f->name; f++) {
    lua_pushboolean(L, f->present);
    lua_setfield(L, -2, f->name);
  }
  lua_pushstring(L, shmseg_platform);
  lua_setfield(L, -2, "platform");
}

int luaopen_shmseg_core(lua_State *L) {
  note_main_state(L);
  lua_newtable(L);
  binding_open_cdata(L);
  binding_open_view(L);
  binding_open_array(L);
  binding_open_atomic(L);
  binding_open_segment(L);
  binding_open_struct(L);
  binding_open_object(L);
  binding_open_mutex(L);
  binding_open_rwlock(L);
  binding_open_semaphore(L);
  binding_open_event(L);
  binding_open_cell(L);
  binding_open_queue(L);
  binding_open_broadcast(L);
  binding_open_signals(L);
  binding_open_time(L);
  push_int64(L, (int64_t)shmseg_map_page());
  lua_setfield(L, -2, "pagesize");
  push_features(L);
  lua_setfield(L, -2, "features");
  return 1;
}
