/* SPDX-License-Identifier: MIT */
/* What C gives the front of LuaJIT: its state, with the numbers by which the front checks what it knows of
 * our structs, and the metatables of our classes. */
#include "binding/front.h"
#include "binding/lua.h"
#include "binding/module.h"

#if LUA_VERSION_NUM == 501

#include <string.h>

#include "binding/array.h"
#include "binding/record.h"
#include "binding/segment.h"
#include "binding/view.h"

/* In the order of lua/shmseg/front/layout.lua. */
static const uint32_t numbers[] = {
  sizeof(front),
  offsetof(front, key),
  offsetof(front, keeps),
  offsetof(front, numbers),
  offsetof(front, reads),
  offsetof(front, buffer),
  sizeof(front_views),
  offsetof(front, scratch),
  offsetof(view, shortcut.key),
  offsetof(view, shortcut.base),
  offsetof(view, shortcut.code),
  offsetof(view, shortcut.limit),
  offsetof(view, shortcut.limit_to_change),
  offsetof(front, objects),
  sizeof(front_scratch),
  offsetof(front_scratch, number),
  offsetof(front_scratch, lost),
  offsetof(front_scratch, size),
  offsetof(front_scratch, type),
  offsetof(front_scratch, flags),
  offsetof(front_scratch, bytes),
  sizeof(front_objects),
  offsetof(front_objects, cell_set),
  offsetof(front_objects, cell_get),
  offsetof(front_objects, queue_push),
  offsetof(front_objects, queue_see),
  offsetof(front_objects, queue_take),
  offsetof(front_objects, broadcast_publish),
  offsetof(front_objects, subscription_see),
  offsetof(front_objects, subscription_advance),
  offsetof(front_objects, dict_get),
  offsetof(front_objects, dict_set),
  offsetof(front_objects, dict_set_number),
  offsetof(front_objects, dict_delete),
  offsetof(front_objects, dict_incr),
};

#define NUMBERS (sizeof numbers / sizeof *numbers)

/* Their addresses are keys in the registry: of the state; of a weak table with the own tables of objects, by the
 * object. */
static const char key, kept_key;

/* Steps of the key, which has no way back to an earlier one: after any number of them that can be made, two
 * keys differ by more than the sorts of one class do. */
#define STEP UINT64_C(0x9E3779B97F4A7C15)

static front *find_front(lua_State *L) {
  lua_pushlightuserdata(L, (void *)&key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  front *f = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return f;
}

void front_moved(lua_State *L) {
  front *f = find_front(L);
  if (f) {
    f->at = f->home;
    f->key += STEP;
  }
}

void front_take(lua_State *L, view *v) {
  front *f = find_front(L);
  if (f)
    v->shortcut.now = &f->key;
}

void front_keep(lua_State *L) {
  lua_pushlightuserdata(L, (void *)&kept_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
}

void front_kept(lua_State *L) {
  front *f = find_front(L);
  if (f)
    f->keeps++;
}

/* class(name) -> the metatable of that name, or nil */
static int front_class(lua_State *L) {
  luaL_getmetatable(L, luaL_checkstring(L, 1));
  return 1;
}

/* record_class(shape) -> the metatable of its records, or nil */
static int front_record_class(lua_State *L) {
  const shape *s = test_shape(L, 1);
  if (s)
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->record_class);
  else
    lua_pushnil(L);
  return 1;
}

/* The names of the scalar types, in the order of their numbers. */
static void push_scalars(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; i < SCALARS; i++) {
    lua_pushstring(L, scalar_names[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_state(lua_State *L) {
  front *f = lua_newuserdata(L, sizeof *f);
  memset(f, 0, sizeof *f);
  f->at = f->home = f->nowhere;
  f->key = STEP;
  f->count = NUMBERS;
  f->array_tag = &array_tag;
  f->views = &front_view_calls;
  f->numbers = numbers;
  f->objects = &front_objects_calls;
  lua_pushlightuserdata(L, (void *)&key);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

static void push_kept(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "kv");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushlightuserdata(L, (void *)&kept_key);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

void binding_open_front(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "jit"); /* Lua 5.1 has no front */
  bool is_luajit = !lua_isnil(L, -1);
  lua_pop(L, 2);
  if (!is_luajit)
    return;
  lua_newtable(L);
  push_state(L);
  lua_setfield(L, -2, "state");
  push_kept(L);
  lua_setfield(L, -2, "kept");
  lua_pushcfunction(L, front_class);
  lua_setfield(L, -2, "class");
  push_scalars(L);
  lua_setfield(L, -2, "scalars");
  luaL_getmetatable(L, ARRAY_CLASS);
  lua_getfield(L, -1, "__index");
  lua_getupvalue(L, -1, 1); /* the methods */
  lua_setfield(L, -4, "array_methods");
  lua_pop(L, 2);
  lua_pushcfunction(L, front_record_class);
  lua_setfield(L, -2, "record_class");
  lua_setfield(L, -2, "front");
}

#else

void binding_open_front(lua_State *L) {
  (void)L;
}

#endif
