/* SPDX-License-Identifier: MIT */
/* luaopen_shmseg_core: the C half of the module. */
#include "binding/module.h"
#include "binding/lua.h"
#include "os/backing.h"
#include "os/features.h"
#include "os/library.h"
#include "os/map.h"
#include "shmseg/base.h"

/* Keys of the registry: which copy of the library this state has, and its module's table. */
#define COPY "shmseg.core"
#define MODULE "shmseg.module"

#if LUA_VERSION_NUM < 502
/* 5.1 does not tell which state is the main one. As a rule it is the one that loads the module. */
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
  lua_pushboolean(L, shmseg_backing_has_proc());
  lua_setfield(L, -2, "proc"); /* without it, segments that have no name cannot be locked */
  lua_pushstring(L, shmseg_platform);
  lua_setfield(L, -2, "platform");
}

/* Its address tells this copy of the library from others. */
static const char here;

/* Raises when the state has another copy of the library: two copies would use each other's classes. A
 * version that does not set COPY is known by its classes. */
static void check_copy(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, COPY);
  const void *copy = lua_touserdata(L, -1);
  luaL_getmetatable(L, "shmseg.segment");
  bool has_classes = !lua_isnil(L, -1);
  lua_pop(L, 2);
  if (copy == &here || (!copy && !has_classes))
    return;
  const char *path = copy ? shmseg_library_path(copy) : NULL;
  luaL_error(L, "shmseg.core is in this state already, from another file%s%s", path ? ": " : "",
             path ? path : "");
}

/* Adds the kinds of objects, and the list of their names. */
static void open_kinds(lua_State *L) {
  lua_newtable(L);
  int count = 0;
#define KIND(noun)                                                                                 \
  lua_pushstring(L, #noun);                                                                        \
  lua_rawseti(L, -2, ++count);
  SHMSEG_KINDS(KIND)
#undef KIND
  lua_setfield(L, -2, "kinds");
#define KIND(noun) binding_open_##noun(L);
  SHMSEG_KINDS(KIND)
#undef KIND
}

static void push_module(lua_State *L) {
  binding_keep_outcomes(L);
  lua_newtable(L);
  binding_open_cdata(L);
  binding_open_view(L);
  binding_open_array(L);
  binding_open_atomic(L);
  binding_open_segment(L);
  binding_open_place(L);
  binding_open_listing(L);
  binding_open_stream(L);
  binding_open_look(L);
  binding_open_users(L);
  binding_open_struct(L);
  binding_open_guard(L);
  open_kinds(L);
  binding_open_subscription(L);
  binding_open_signals(L);
  binding_open_terminal(L);
  binding_open_time(L);
  binding_open_watch(L);
  binding_open_front(L);
  push_int64(L, (int64_t)shmseg_map_page());
  lua_setfield(L, -2, "pagesize");
  push_features(L);
  lua_setfield(L, -2, "features");
  lua_pushliteral(L, SHMSEG_VERSION);
  lua_setfield(L, -2, "version");
}

/* Returns the same table each time, since existing handles use its classes. */
int luaopen_shmseg_core(lua_State *L) {
  shmseg_library_pin();
  check_copy(L);
  note_main_state(L);
  lua_pushlightuserdata(L, (void *)&here);
  lua_setfield(L, LUA_REGISTRYINDEX, COPY);
  lua_getfield(L, LUA_REGISTRYINDEX, MODULE);
  if (!lua_isnil(L, -1))
    return 1;
  push_module(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, MODULE);
  return 1;
}
