/* SPDX-License-Identifier: MIT */
/* What the userdata of all objects have in common: opening on a segment, closing, results. */
#include "binding/object.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GUARD_CLASS "shmseg.guard"

enum {
  VIEWS = 1,
  WHERE = 2,
  GUARD = 3,
  SELF = 4,
  ABANDONED = 5,
  ENCODE = 6,
  DECODE = 7,
  BUFFER = 8
}; /* of an object's own table */

static const char guard_kind;

typedef struct {
  view view;
  object *object;
  void (*unlock)(object *o);
} guard;

void *check_object(lua_State *L, const object_class *class) {
  void *o = test_kind(L, 1, class);
  return o ? o : type_error(L, 1, class->name);
}

/* --- failures ----------------------------------------------------------------------------- */

static const char *misuse(int err) {
  switch (err) {
  case SHMSEG_HELD: return "this handle holds the lock already";
  case SHMSEG_NOT_HELD: return "this handle does not hold the lock";
  case SHMSEG_CLOSED: return "the handle or its segment is closed";
  case SHMSEG_READ_ONLY: return "the segment is read-only";
  default: return NULL;
  }
}

int object_raise(lua_State *L, const object *o, int err) {
  const char *noun = o->class->name + strlen("shmseg.");
  if (misuse(err))
    return luaL_error(L, "%s: %s", noun, misuse(err));
  push_failure(L, err, noun, NULL);
  return luaL_error(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
}

int push_object_failure(lua_State *L, const object *o, int err) {
  switch (err) {
  case SHMSEG_TIMEOUT: return push_outcome(L, "timeout");
  case SHMSEG_EMPTY: return push_outcome(L, "empty");
  case SHMSEG_SHUTDOWN: return push_outcome(L, "shutdown");
  case SHMSEG_INTERRUPTED: return push_outcome(L, "interrupted");
  default: break;
  }
  if (misuse(err))
    return object_raise(L, o, err);
  return push_failure(L, err, o->class->name + strlen("shmseg."), NULL);
}

/* --- guards ------------------------------------------------------------------------------- */

/* Unlocks if still locked; never raises, for a scope may end with an error of its own. */
static int guard_close(lua_State *L) {
  guard *g = test_kind(L, 1, &guard_kind);
  if (!g)
    type_error(L, 1, GUARD_CLASS);
  g->unlock(g->object);
  return 0;
}

void push_guard(lua_State *L, object *o, void (*unlock)(object *o)) {
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, GUARD);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    guard *g = lua_newuserdata(L, sizeof *g);
    memset(g, 0, sizeof *g);
    g->view.kind = &guard_kind;
    g->object = o;
    g->unlock = unlock;
    luaL_getmetatable(L, GUARD_CLASS);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -2); /* the object's table, which has the object */
    lua_setuservalue(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, GUARD);
  }
  lua_remove(L, -2);
}

int push_lock_result(lua_State *L, object *o, int err, bool abandoned) {
  if (err == SHMSEG_TIMEOUT)
    return push_outcome(L, "timeout");
  if (err)
    return object_raise(L, o, err);
  if (!abandoned)
    return 1;
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, ABANDONED);
  lua_remove(L, -2);
  return 2;
}

/* --- codecs and buffers ------------------------------------------------------------------- */

const char *check_value(lua_State *L, const object *o, int arg, size_t *size) {
  luaL_checkany(L, arg);
  if (o->has_codec) {
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, ENCODE);
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "the codec's encode gave no string, but a %s", luaL_typename(L, -1));
    lua_replace(L, arg);
    lua_pop(L, 1);
  }
  return luaL_checklstring(L, arg, size);
}

void decode_value(lua_State *L, const object *o, int owner) {
  if (!o->has_codec)
    return;
  lua_getuservalue(L, owner);
  lua_rawgeti(L, -1, DECODE);
  lua_pushvalue(L, -3);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1))
    luaL_error(L, "the codec's decode gave nil");
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void grow_buffer(lua_State *L, buffer *b, size_t room) {
  b->room = 0; /* should the allocation fail, the old bytes are not forgotten by the table */
  lua_getuservalue(L, 1);
  b->bytes = lua_newuserdata(L, room);
  lua_rawseti(L, -2, BUFFER);
  lua_pop(L, 1);
  b->room = room;
}

void push_buffered(lua_State *L, const buffer *b, size_t begin, size_t size) {
  if (MAY_COPY_SHARED) { /* copies before finalizers run */
    lua_pushlstring(L, (const char *)b->bytes + begin, size);
    return;
  }
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, BUFFER); /* alive, should a finalizer have it replaced */
  lua_pushlstring(L, (const char *)b->bytes + begin, size);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

int value_too_large(lua_State *L, object *o, int arg, size_t size) {
  char text[96];
  snprintf(text, sizeof text, "%llu bytes, the capacity is %llu", (unsigned long long)size,
           (unsigned long long)o->class->core(o)->capacity);
  return luaL_argerror(L, arg, text);
}

/* --- opening and closing ------------------------------------------------------------------ */

static shmseg_mode check_mode(lua_State *L, int arg, const view *where) {
  static const char *const modes[] = { "r", "rw", "c", "x", NULL };
  if (lua_isnoneornil(L, arg))
    return where->segment->writable ? SHMSEG_WRITE : SHMSEG_READ;
  return (shmseg_mode)check_option(L, arg, modes);
}

/* A closed object among the views of the segment at index 1. */
static object *push_object(lua_State *L, const object_class *class) {
  push_views(L, 1);
  int views = lua_gettop(L);
  object *o = push_part(L, views, class->size, class);
  o->class = class;
  lua_createtable(L, ABANDONED, 0);
  lua_pushvalue(L, views);
  lua_rawseti(L, -2, VIEWS);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, WHERE);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, SELF);
  lua_pushliteral(L, "abandoned"); /* made now: nothing may allocate once a lock is held */
  lua_rawseti(L, -2, ABANDONED);
  lua_setuservalue(L, -2);
  luaL_getmetatable(L, class->name);
  lua_setmetatable(L, -2);
  return o;
}

static int push_open_failure(lua_State *L, object *o, int err) {
  const char *noun = o->class->name + strlen("shmseg.");
  const char *hint = err == SHMSEG_INCOMPATIBLE ? o->class->core(o)->mismatch : NULL;
  if (err == ENOENT)
    hint = "not initialised here: mode \"c\" does it";
  return push_failure(L, err, noun, hint);
}

/* open(segment or slice [, mode [, capacity [, owns [, encode, decode]]]]) -> object, created;
 * upvalue 1 is the class */
static int object_open(lua_State *L) {
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  view *where = check_view(L, 1);
  check_open(L, where);
  shmseg_mode mode = check_mode(L, 2, where);
  uint64_t capacity = opt_size(L, 3, 0);
  bool owns = lua_toboolean(L, 4);
  lua_settop(L, 6);
  luaL_argcheck(L, where->offset % SHMSEG_ALIGN == 0, 1,
                "misaligned: an object lies at a multiple of 64");
  object *o = push_object(L, class);
  bool has_codec = lua_isfunction(L, 5);
  if (has_codec) {
    lua_getuservalue(L, -1);
    lua_pushvalue(L, 5);
    lua_rawseti(L, -2, ENCODE);
    lua_pushvalue(L, 6);
    lua_rawseti(L, -2, DECODE);
    lua_pop(L, 1);
  }
  check_open(L, where); /* nothing runs Lua code from here on */
  luaL_argcheck(L, mode == SHMSEG_READ || where->segment->writable, 2, "the segment is read-only");
  bool created;
  uint64_t room = view_limit(where);
  int err = class->open(o, where->segment, where->offset, room, mode, capacity, &created);
  if (err)
    return push_open_failure(L, o, err);
  view_aim(&o->view, where, 0, class->core(o)->size);
  o->has_codec = has_codec;
  o->owns_segment = owns;
  lua_pushboolean(L, created);
  return 2;
}

/* size_for([capacity]) -> bytes, or nil for a capacity that cannot be */
static int object_size_for(lua_State *L) {
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  uint64_t size = class->size_for(opt_size(L, 1, 1));
  if (size == 0)
    lua_pushnil(L);
  else
    push_uint64(L, size);
  return 1;
}

static object *check_any(lua_State *L) {
  return check_object(L, lua_touserdata(L, lua_upvalueindex(1)));
}

static void end_object(object *o) {
  o->class->close(o);
  o->view.segment = NULL; /* nothing of it lies in the segment's way any more */
}

/* What the segment needs to end comes with its own __gc. */
static int object_gc(lua_State *L) {
  end_object(check_any(L));
  return 0;
}

static int object_close(lua_State *L) {
  object *o = check_any(L);
  shmseg_segment *segment = o->class->core(o)->segment;
  end_object(o);
  lua_getuservalue(L, 1);
  lua_pushnil(L); /* the slice that it was opened on may go, too */
  lua_rawseti(L, -2, WHERE);
  if (o->owns_segment && segment)
    shmseg_segment_close(segment);
  return 0;
}

/* segment() -> the segment or slice that the object was opened on */
static int object_segment(lua_State *L) {
  object *o = check_any(L);
  if (!o->class->core(o)->segment)
    return object_raise(L, o, SHMSEG_CLOSED);
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, WHERE);
  return 1;
}

static int object_tostring(lua_State *L) {
  object *o = check_any(L);
  shmseg_segment *segment = o->class->core(o)->segment;
  const char *name = segment && segment->place.name ? segment->place.name : "anonymous";
  bool open = segment && shmseg_segment_is_open(segment);
  lua_pushfstring(L, "%s (%s)", o->class->name, open ? name : "closed");
  return 1;
}

/* --- tables ------------------------------------------------------------------------------- */

static const luaL_Reg common_methods[] = {
  { "close", object_close },
  { "segment", object_segment },
  { NULL, NULL },
};

static const luaL_Reg common_metamethods[] = {
  { "__close", object_close },
  { "__gc", object_gc },
  { "__tostring", object_tostring },
  { NULL, NULL },
};

static const luaL_Reg class_functions[] = {
  { "open", object_open },
  { "size_for", object_size_for },
  { NULL, NULL },
};

/* Like binding_register, with the class as upvalue 1. */
static void register_for(lua_State *L, const luaL_Reg *functions, const object_class *class) {
  for (; functions->name; functions++) {
    lua_pushlightuserdata(L, (void *)class);
    lua_pushcclosure(L, functions->func, 1);
    lua_setfield(L, -2, functions->name);
  }
}

void binding_open_class(lua_State *L, const char *name, const object_class *class,
                        const luaL_Reg *methods) {
  static const luaL_Reg none[] = { { NULL, NULL } };
  lua_newtable(L);
  register_for(L, class_functions, class);
  binding_new_class(L, class->name, none, methods);
  register_for(L, common_methods, class);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "methods");
  lua_pop(L, 1);
  register_for(L, common_metamethods, class);
  lua_pop(L, 1);
  lua_setfield(L, -2, name);
}

void binding_open_object(lua_State *L) {
  static const luaL_Reg methods[] = { { "close", guard_close }, { NULL, NULL } };
  static const luaL_Reg metamethods[] = { { "__close", guard_close }, { NULL, NULL } };
  binding_new_class(L, GUARD_CLASS, metamethods, methods);
  lua_pop(L, 2);
}
