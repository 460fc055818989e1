/* SPDX-License-Identifier: MIT */
/* What the userdata of all kinds of objects have in common: opening, closing, failures. */
#include "binding/object.h"
#include "binding/front.h"
#include "binding/inspect.h"
#include "binding/place.h"
#include "binding/segment.h"
#include "binding/waiting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- failures ----------------------------------------------------------------------------- */

static bool is_misuse(int err) {
  return err == SHMSEG_HELD || err == SHMSEG_NOT_HELD || err == SHMSEG_CLOSED ||
         err == SHMSEG_READ_ONLY;
}

static const char *noun_of(const object *o) {
  return o->class->kind->name;
}

const char *push_object_subject(lua_State *L, const object *o) {
  return push_subject(L, noun_of(o), o->name);
}

int object_raise(lua_State *L, const object *o, int err) {
  const char *subject = push_object_subject(L, o);
  if (is_misuse(err))
    return luaL_error(L, "%s: %s", subject, shmseg_strerror(err));
  push_failure(L, err, subject, NULL);
  return luaL_error(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
}

int push_object_failure(lua_State *L, const object *o, int err) {
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  if (is_misuse(err))
    return object_raise(L, o, err);
  return push_failure(L, err, push_object_subject(L, o), NULL);
}

int push_object_word(lua_State *L, const object *o, int err) {
  if (is_misuse(err))
    return object_raise(L, o, err);
  lua_pushnil(L);
  push_code(L, err);
  return 2;
}

/* --- opening and closing ------------------------------------------------------------------ */

static shmseg_mode check_mode(lua_State *L, int arg, const view *where) {
  static const char *const modes[] = { "r", "rw", "c", "x", NULL };
  if (lua_isnoneornil(L, arg))
    return where->segment->writable ? SHMSEG_WRITE : SHMSEG_READ;
  return (shmseg_mode)check_option(L, arg, modes);
}

/* Pushes a closed object, a view of the segment or slice at index where (an absolute one). */
static object *push_object(lua_State *L, int where, const object_class *class) {
  push_views(L, where);
  int views = lua_gettop(L);
  object *o = push_part(L, views, class->size, class);
  o->class = class;
  lua_createtable(L, OBJECT_ABANDONED, 0);
  lua_pushvalue(L, views);
  lua_rawseti(L, -2, OBJECT_VIEWS);
  lua_pushvalue(L, where);
  lua_rawseti(L, -2, OBJECT_WHERE);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, OBJECT_SELF);
  lua_pushliteral(L, "abandoned"); /* made now: nothing may allocate once a lock is held */
  lua_rawseti(L, -2, OBJECT_ABANDONED);
  lua_setuservalue(L, -2);
  luaL_getmetatable(L, class->name);
  lua_setmetatable(L, -2);
  return o;
}

/* Gives the object at the top its codec, if there is one: the functions at index encode and behind
 * it. */
static void set_codec(lua_State *L, object *o, int encode) {
  if (!lua_isfunction(L, encode))
    return;
  lua_getuservalue(L, -1);
  lua_pushvalue(L, encode);
  lua_rawseti(L, -2, OBJECT_ENCODE);
  lua_pushvalue(L, encode + 1);
  lua_rawseti(L, -2, OBJECT_DECODE);
  lua_pop(L, 1);
  o->has_codec = true;
}

static const char *article(const shmseg_kind *kind) {
  return strchr("aeiou", kind->name[0]) ? "an" : "a";
}

/* Writes "capacity 64, 128 asked", or by their words: "evict \"lru\", \"none\" asked". */
static void describe_number(const shmseg_object *handle, char *text, size_t available) {
  unsigned long long found = handle->found, wanted = handle->wanted, count = 0;
  const char *const *words = NULL;
  for (int i = 0; i < SHMSEG_GEOMETRY && handle->kind->numbers[i].name; i++)
    if (strcmp(handle->kind->numbers[i].name, handle->mismatch) == 0)
      words = handle->kind->numbers[i].words;
  while (words && words[count])
    count++;
  if (words == shmseg_kinds_switch && found - 1 < count && wanted - 1 < count)
    snprintf(text, available, "%s %s, %s asked", handle->mismatch, words[found - 1],
             words[wanted - 1]);
  else if (found - 1 < count && wanted - 1 < count)
    snprintf(text, available, "%s \"%s\", \"%s\" asked", handle->mismatch, words[found - 1],
             words[wanted - 1]);
  else
    snprintf(text, available, "%s %llu, %llu asked", handle->mismatch, found, wanted);
}

/* Says what is in the place instead of the object. */
static void describe_mismatch(const shmseg_object *handle, char *text, size_t available) {
  const char *what = handle->mismatch;
  unsigned long long found = handle->found, wanted = handle->wanted;
  const shmseg_kind *other = shmseg_kinds_find(found);
  if (strcmp(what, "kind") == 0 && other)
    snprintf(text, available, "another kind of object is there: %s %s", article(other),
             other->name);
  else if (strcmp(what, "kind") == 0)
    snprintf(text, available, "another kind of object is there: number %llu", found);
  else if (strcmp(what, "version") == 0)
    snprintf(text, available, "version %llu of the format is there, and not %llu", found, wanted);
  else if (strcmp(what, "size") == 0)
    snprintf(text, available, "size %llu is there, %llu is right for its capacity", found, wanted);
  else if (strcmp(what, "magic") == 0)
    snprintf(text, available, "something else is there: what is at offset %llu is not zero", found);
  else
    describe_number(handle, text, available);
}

static int push_open_failure(lua_State *L, object *o, const char *name, int err) {
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  const shmseg_object *handle = object_handle(o);
  const char *subject = push_subject(L, noun_of(o), name);
  char text[160];
  if (err == SHMSEG_INCOMPATIBLE && handle->mismatch) {
    describe_mismatch(handle, text, sizeof text);
    return push_failure_as(L, err, subject, text);
  }
  if (err == SHMSEG_TOO_SMALL) {
    snprintf(text, sizeof text, "%llu bytes, %llu needed", (unsigned long long)handle->found,
             (unsigned long long)handle->wanted);
    return push_failure_as(L, err, subject, text);
  }
  if (err == ENOENT)
    return push_failure_as(L, err, subject, "there is none yet (mode \"c\" makes it)");
  return push_failure(L, err, subject, NULL);
}

/* The numbers of the kind's geometry that the table at arg gives; none for nil. */
static shmseg_object_options check_numbers(lua_State *L, int arg, const shmseg_kind *kind) {
  shmseg_object_options options = { 0 };
  if (lua_isnoneornil(L, arg))
    return options;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (int i = 0; i < SHMSEG_GEOMETRY && kind->numbers[i].name; i++) {
    int exact = 0;
    lua_pushstring(L, kind->numbers[i].name);
    lua_rawget(L, arg);
    int64_t number = lua_isnil(L, -1) ? 0 : to_integer(L, lua_gettop(L), &exact);
    luaL_argcheck(L, lua_isnil(L, -1) || (exact && number > 0), arg, "not a positive integer");
    *(uint64_t *)((char *)&options + kind->numbers[i].offset) = (uint64_t)number;
    lua_pop(L, 1);
  }
  return options;
}

/* Notes that the object is open in the view's bytes. Allocates nothing. */
static void enter_object(object *o, const view *where) {
  o->name = where->segment->place.name;
  view_aim(&o->view, where, 0, object_handle(o)->size);
}

/* Tries once to open the object in the view's bytes. SHMSEG_CLOSED: a hook has closed the view. */
static int try_open(object *o, const view *where, shmseg_mode mode,
                    const shmseg_object_options *options, int64_t *deadline, bool *created) {
  if (view_is_closed(where))
    return SHMSEG_CLOSED;
  shmseg_slice slice = { where->segment, where->offset, view_limit(where) };
  return shmseg_object_open_until(object_handle(o), o->class->kind, slice, mode, options, deadline,
                                  created);
}

/* open(segment or slice [, mode [, numbers [, encode, decode]]]) -> object, created; upvalue 1 is
 * the class */
static int object_open(lua_State *L) {
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  view *where = check_view(L, 1);
  check_open(L, where);
  shmseg_mode mode = check_mode(L, 2, where);
  shmseg_object_options options = check_numbers(L, 3, class->kind);
  lua_settop(L, 5);
  luaL_argcheck(L, where->offset % SHMSEG_ALIGN == 0, 1,
                "misaligned: an object lies at a multiple of 64");
  object *o = push_object(L, 1, class);
  set_codec(L, o, 4);
  check_open(L, where); /* nothing runs Lua code from here on */
  check_shared(L, where);
  luaL_argcheck(L, mode == SHMSEG_READ || where->segment->writable, 2, "the segment is read-only");
  wait wait = wait_patiently();
  bool created = false;
  int err;
  do
    err = try_open(o, where, mode, &options, &wait.deadline, &created);
  while (wait_again(L, &wait, &err));
  if (err == SHMSEG_CLOSED)
    check_open(L, where);
  if (err)
    return push_open_failure(L, o, where->segment->place.name, err);
  enter_object(o, where);
  lua_pushboolean(L, created);
  return 2;
}

/* The size of the object that the options describe; raises when there can be no such object. */
static size_t check_object_size(lua_State *L, const object_class *class, int arg,
                                const shmseg_object_options *options) {
  uint64_t size = shmseg_object_size(class->kind, options);
  luaL_argcheck(L, size > 0, arg, "out of range");
  luaL_argcheck(L, size <= SIZE_MAX / 2, arg, "too large: more than the address space");
  return (size_t)size;
}

/* open_named(name | nil, mode, numbers, encode, decode, perm … temporary) -> object, created.
 * Nothing is allocated, and no Lua code runs, once a new object has its name. */
static int object_open_named(lua_State *L) {
  static const char *const modes[] = { "r", "rw", "c", "x", NULL };
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, 11);
  shmseg_place place = { SHMSEG_NAME, check_free_name(L, 1, SHMSEG_NAME) };
  shmseg_mode mode = (shmseg_mode)check_option(L, 2, modes);
  shmseg_object_options options = check_numbers(L, 3, class->kind);
  shmseg_options own = check_segment_options(L, 6);
  size_t needed = mode == SHMSEG_CREATE || mode == SHMSEG_CREATE_ONLY
                      ? check_object_size(L, class, 3, &options)
                      : 0;
  shmseg_segment *segment = push_segment(L, &place);
  const view *where = lua_touserdata(L, -1);
  object *o = push_object(L, lua_gettop(L), class);
  set_codec(L, o, 4);
  o->owns_segment = true;
  wait wait = wait_patiently();
  bool created = false;
  int err;
  do
    err = shmseg_object_open_named_until(object_handle(o), class->kind, segment, place.name, mode,
                                         &options, &own, &wait.deadline, &created);
  while (wait_again(L, &wait, &err));
  if (err && object_handle(o)->kind)
    return push_open_failure(L, o, place.name, err);
  if (err)
    return push_place_failure(L, noun_of(o), place, mode, needed, err);
  enter_object(o, where);
  lua_pushboolean(L, created);
  return 2;
}

/* size_for([numbers]) -> bytes, or nil for numbers that cannot be */
static int object_size_for(lua_State *L) {
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  shmseg_object_options options = check_numbers(L, 1, class->kind);
  uint64_t size = shmseg_object_size(class->kind, &options);
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
  if (o->class->end && object_handle(o)->segment)
    o->class->end(o);
  shmseg_object_close(object_handle(o));
  o->view.segment = NULL; /* the object no longer keeps the segment from shrinking */
}

/* The segment has a __gc of its own. */
static int object_gc(lua_State *L) {
  end_object(check_any(L));
  return 0;
}

static int object_close(lua_State *L) {
  object *o = check_any(L);
  shmseg_segment *segment = object_handle(o)->segment;
  end_object(o);
  lua_getuservalue(L, 1);
  lua_pushnil(L); /* so that the slice it was opened on can be collected */
  lua_rawseti(L, -2, OBJECT_WHERE);
  if (o->owns_segment && segment) {
    shmseg_segment_close(segment);
    front_moved(L);
  }
  return 0;
}

/* segment() -> the segment or slice that the object was opened on */
static int object_segment(lua_State *L) {
  object *o = check_any(L);
  if (!object_handle(o)->segment)
    return object_raise(L, o, SHMSEG_CLOSED);
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, OBJECT_WHERE);
  return 1;
}

/* capacity() -> bytes; of the kinds whose first number that is */
static int object_capacity(lua_State *L) {
  object *o = check_any(L);
  const shmseg_segment *segment = object_handle(o)->segment;
  if (!segment || !shmseg_segment_is_open(segment))
    return object_raise(L, o, SHMSEG_CLOSED);
  push_uint64(L, object_handle(o)->capacity);
  return 1;
}

static int object_tostring(lua_State *L) {
  object *o = check_any(L);
  shmseg_segment *segment = object_handle(o)->segment;
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

static const luaL_Reg capacity_methods[] = {
  { "capacity", object_capacity },
  { NULL, NULL },
};

static const luaL_Reg common_metamethods[] = {
  { "__close", object_close },
  { "__gc", object_gc },
  { "__tostring", object_tostring },
  { NULL, NULL },
};

static const luaL_Reg class_functions[] = {
  { "check", object_check },           { "inspect", object_inspect },   { "open", object_open },
  { "open_named", object_open_named }, { "size_for", object_size_for }, { NULL, NULL },
};

/* Like binding_register; upvalue 1 of each function is the class. */
static void register_for(lua_State *L, const luaL_Reg *functions, const object_class *class) {
  for (; functions->name; functions++) {
    lua_pushlightuserdata(L, (void *)class);
    lua_pushcclosure(L, functions->func, 1);
    lua_setfield(L, -2, functions->name);
  }
}

/* Pushes the names of the numbers that an object of the kind is sized by. */
static void push_numbers(lua_State *L, const shmseg_kind *kind) {
  lua_newtable(L);
  for (int i = 0; i < SHMSEG_GEOMETRY && kind->numbers[i].name; i++) {
    lua_pushstring(L, kind->numbers[i].name);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_list(lua_State *L, const char *const *words) {
  lua_newtable(L);
  for (int n = 0; words[n]; n++) {
    lua_pushstring(L, words[n]);
    lua_rawseti(L, -2, n + 1);
  }
}

/* Pushes a table that has a list of words under the name of each number that has some; of a switch,
 * true. */
static void push_words(lua_State *L, const shmseg_kind *kind) {
  lua_newtable(L);
  for (int i = 0; i < SHMSEG_GEOMETRY && kind->numbers[i].name; i++) {
    const char *const *words = kind->numbers[i].words;
    if (!words)
      continue;
    if (words == shmseg_kinds_switch)
      lua_pushboolean(L, 1);
    else
      push_list(L, words);
    lua_setfield(L, -2, kind->numbers[i].name);
  }
}

void binding_open_class(lua_State *L, const object_class *class, const luaL_Reg *methods) {
  static const luaL_Reg none[] = { { NULL, NULL } };
  lua_newtable(L);
  register_for(L, class_functions, class);
  push_numbers(L, class->kind);
  lua_setfield(L, -2, "numbers");
  push_words(L, class->kind);
  lua_setfield(L, -2, "words");
  binding_new_class(L, class->name, none, methods);
  register_for(L, common_methods, class);
  if (class->kind->numbers[0].name && strcmp(class->kind->numbers[0].name, "capacity") == 0)
    register_for(L, capacity_methods, class);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "methods");
  lua_pop(L, 1);
  register_for(L, common_metamethods, class);
  lua_pop(L, 1);
  lua_setfield(L, -2, class->kind->name);
}
