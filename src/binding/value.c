/* SPDX-License-Identifier: MIT */
/* Values and messages: strings, bytes of segments, codecs, and the private memory that they go
 * through. */
#include "binding/value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A value of up to so many bytes is copied on the C stack. */
#define SMALL 256

/* Elements that a list has room for before they are checked: a table can seem to have more than it
 * has. */
#define LIST_MIN 4096

/* --- values ------------------------------------------------------------------------------- */

static const char *push_element(lua_State *L, int number, const char *why) {
  return lua_pushfstring(L, "element %d of the list: %s", number, why);
}

void encode_value(lua_State *L, int owner, int index, int number) {
  lua_getuservalue(L, owner);
  lua_rawgeti(L, -1, OBJECT_ENCODE);
  lua_pushvalue(L, index);
  lua_call(L, 1, 1);
  if (lua_type(L, -1) != LUA_TSTRING) {
    const char *why =
        lua_pushfstring(L, "the codec's encode gave no string, but a %s", luaL_typename(L, -1));
    luaL_error(L, "%s", number ? push_element(L, number, why) : why);
  }
  lua_replace(L, index);
  lua_pop(L, 1);
}

/* Have size bytes of the view, from offset on, some in common with the object? */
static bool overlaps(const object *o, const view *v, uint64_t offset, uint64_t size) {
  uint64_t begin = v->offset + offset;
  return v->segment == o->view.segment && size > 0 && begin < o->view.offset + o->view.size &&
         o->view.offset < begin + size;
}

static const char *push_overlap(lua_State *L, const object *o) {
  return lua_pushfstring(L, "overlaps the %s", o->class->kind->name);
}

/* How what is no value could be given nevertheless. */
static const char *hint_for(lua_State *L, const object *o, int index) {
  if (o->has_codec || lua_isnil(L, index))
    return "";
  return lua_type(L, index) == LUA_TUSERDATA
             ? " (of an array or a struct give the segment or slice that it lies in)"
             : " (the option \"codec\" makes strings of other values)";
}

/* Pushes why the value at index cannot be one; NULL, and nothing is pushed, when it can. A number
 * becomes a string. */
static const char *push_why_not(lua_State *L, const object *o, int index) {
  const view *v = test_view(L, index);
  if (!v && lua_tostring(L, index))
    return NULL;
  if (!v)
    return lua_pushfstring(L, "string or segment expected, got %s%s", push_type_name(L, index),
                           hint_for(L, o, index));
  if (view_is_closed(v))
    return lua_pushfstring(L, "a closed %s", v->segment ? "segment" : "slice");
  return overlaps(o, v, 0, v->is_part ? v->size : v->segment->size) ? push_overlap(L, o) : NULL;
}

void check_value_anew(lua_State *L, const object *o, int arg) {
  luaL_checkany(L, arg);
  if (o->has_codec)
    encode_value(L, 1, arg, 0);
  const char *why = push_why_not(L, o, arg);
  if (why)
    luaL_argerror(L, arg, why);
}

/* The bytes of an open view. */
static shmseg_source source_of(lua_State *L, const view *v) {
  check_open(L, v);
  shmseg_source source = { v->segment->data + v->offset, (size_t)view_limit(v), v->segment };
  return source;
}

shmseg_source view_at(lua_State *L, int arg) {
  return source_of(L, check_view(L, arg));
}

/* Pushes the failure if it is one of the view's segment; else returns 0. */
static int push_failure_of(lua_State *L, const object *o, const view *v, int err) {
  bool is_hole = err == SHMSEG_TRUNCATED || err == ENOSPC;
  if (!is_hole || !v || !v->segment || v->segment == o->view.segment || view_status(v) == 0)
    return 0;
  return push_view_failure(L, v, err);
}

static const char *push_too_large(lua_State *L, object *o, size_t size) {
  char text[96];
  snprintf(text, sizeof text, "too large: %llu bytes, the capacity is %llu",
           (unsigned long long)size, (unsigned long long)object_handle(o)->capacity);
  return lua_pushfstring(L, "%s", text);
}

int push_value_failure(lua_State *L, object *o, int arg, int err) {
  if (err == EINVAL)
    return luaL_argerror(L, arg, push_too_large(L, o, value_at(L, arg).size));
  int results = push_failure_of(L, o, test_view(L, arg), err);
  return results ? results : push_object_failure(L, o, err);
}

/* --- lists -------------------------------------------------------------------------------- */

/* The bytes of the checked element at the top. Its string or view is kept alive by the list, which
 * only the debug library can reach. */
static shmseg_source element_at_top(lua_State *L) {
  shmseg_source value = { .segment = NULL };
  if (lua_type(L, -1) != LUA_TSTRING)
    return view_at(L, lua_gettop(L));
  value.bytes = lua_tolstring(L, -1, &value.size);
  return value;
}

/* Raises unless the element at the top can be a value; a number becomes a string. */
static void check_element(lua_State *L, object *o, int arg, int number) {
  const char *why = push_why_not(L, o, lua_gettop(L));
  if (!why) {
    size_t size = element_at_top(L).size;
    if (size > object_handle(o)->capacity)
      why = push_too_large(L, o, size);
  }
  if (why)
    luaL_argerror(L, arg, push_element(L, number, why));
}

/* Makes the buffer large enough for the places of count elements. Finalizers may run. */
static shmseg_source *reserve_values(lua_State *L, buffer *b, size_t count) {
  if (b->available < count * sizeof(shmseg_source))
    grow_buffer(L, b, count * sizeof(shmseg_source));
  return (shmseg_source *)(void *)b->bytes;
}

size_t check_list(lua_State *L, object *o, int arg, buffer *b, shmseg_source **values) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t count = lua_rawlen(L, arg), size;
  luaL_argcheck(L, count < INT_MAX, arg, "too many elements");
  lua_createtable(L, count < LIST_MIN ? (int)count : LIST_MIN, 0);
  int list = lua_gettop(L), value = list + 1;
  uint64_t capacity = object_handle(o)->capacity;
  *values = o->has_codec || count > LIST_MIN ? NULL : reserve_values(L, b, count);
  for (int i = 1; i <= (int)count; i++) {
    lua_rawgeti(L, arg, i);
    if (o->has_codec)
      encode_value(L, 1, value, i);
    const char *bytes = lua_type(L, value) == LUA_TSTRING ? lua_tolstring(L, value, &size) : NULL;
    if (!bytes || size > capacity) {
      check_element(L, o, arg, i);
      *values = NULL; /* this may have run finalizers, which use the buffer */
    } else if (*values) {
      (*values)[i - 1] = (shmseg_source){ bytes, size, NULL };
    }
    lua_rawseti(L, list, i);
  }
  lua_replace(L, arg);
  return count;
}

shmseg_source *list_at(lua_State *L, buffer *b, int arg, size_t from, size_t count) {
  shmseg_source *values = reserve_values(L, b, count);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, arg, (int)(from + i + 1));
    values[i] = element_at_top(L);
    lua_pop(L, 1);
  }
  return values;
}

int push_list_failure(lua_State *L, object *o, int arg, int err) {
  int count = (int)lua_rawlen(L, arg);
  for (int i = 1; i <= count; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, arg, i);
    const view *v = test_view(L, -1);
    int results = push_failure_of(L, o, v, err);
    if (results)
      return results;
    size_t size = err == EINVAL && v ? source_of(L, v).size : 0;
    if (size > object_handle(o)->capacity) {
      const char *why = push_element(L, i, push_too_large(L, o, size));
      return push_failure_as(L, err, push_object_subject(L, o), why);
    }
  }
  return push_object_failure(L, o, err);
}

/* --- targets ------------------------------------------------------------------------------ */

target target_at(lua_State *L, const object *o, int arg) {
  const view *v = check_view(L, arg);
  uint64_t offset = opt_size(L, arg + 1, 0);
  check_writable(L, v);
  unsigned char *bytes = check_bytes(L, v, arg + 1, offset, 0);
  target t = { bytes, (size_t)(view_limit(v) - offset), v->segment };
  if (overlaps(o, v, offset, t.available))
    luaL_argerror(L, arg, push_overlap(L, o));
  return t;
}

int push_target_too_small(lua_State *L, const object *o, size_t size, const target *t) {
  char text[96];
  snprintf(text, sizeof text, "too small: %llu bytes, there is room for %llu",
           (unsigned long long)size, (unsigned long long)t->available);
  return push_failure_as(L, SHMSEG_TOO_SMALL, push_object_subject(L, o), text);
}

/* --- strings ------------------------------------------------------------------------------ */

void decode_value(lua_State *L, const object *o, int owner) {
  if (!o->has_codec)
    return;
  lua_getuservalue(L, owner);
  lua_rawgeti(L, -1, OBJECT_DECODE);
  lua_pushvalue(L, -3);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1))
    luaL_error(L, "the codec's decode gave nil");
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* (message, owner, object) -> value */
static int decode_message(lua_State *L) {
  const object *o = lua_touserdata(L, 3);
  lua_pushvalue(L, 1);
  decode_value(L, o, 2);
  return 1;
}

static int try_to_decode(lua_State *L, const object *o, int owner, int list, int n) {
  lua_pushcfunction(L, decode_message);
  lua_rawgeti(L, list, n);
  lua_pushvalue(L, owner);
  lua_pushlightuserdata(L, (void *)o);
  return lua_pcall(L, 3, 1, 0);
}

int decode_element(lua_State *L, const object *o, int owner, int list, int n) {
  int status = try_to_decode(L, o, owner, list, n);
  if (status == 0 || status == LUA_ERRMEM)
    return status;
  int again = try_to_decode(L, o, owner, list, n);
  lua_pop(L, 1);
  return again == 0 || again == LUA_ERRMEM ? lua_error(L) : status;
}

bool push_shared(lua_State *L, const unsigned char *bytes, size_t size) {
  char small[SMALL];
  if (size > SMALL && !MAY_COPY_SHARED)
    return false;
  if (size <= SMALL)
    bytes = memcpy(small, bytes, size); /* strings are hashed, then compared and copied */
  lua_pushlstring(L, (const char *)bytes, size);
  return true;
}

void grow_buffer(lua_State *L, buffer *b, size_t size) {
  b->available = 0; /* also when the allocation raises: the next call tries again */
  lua_getuservalue(L, 1);
  b->bytes = lua_newuserdata(L, size);
  lua_rawseti(L, -2, OBJECT_BUFFER);
  lua_pop(L, 1);
  b->available = size;
}

void push_buffered(lua_State *L, const buffer *b, size_t begin, size_t size) {
  if (MAY_COPY_SHARED) { /* copies before finalizers run */
    lua_pushlstring(L, (const char *)b->bytes + begin, size);
    return;
  }
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, OBJECT_BUFFER); /* keeps the bytes alive if a finalizer replaces the buffer */
  lua_pushlstring(L, (const char *)b->bytes + begin, size);
  lua_replace(L, -3);
  lua_pop(L, 1);
}
