/* SPDX-License-Identifier: MIT */
/* Values and messages: strings, codecs, and the private memory that they go through. */
#include "binding/value.h"

#include <stdio.h>
#include <string.h>

/* A value of up to so many bytes is copied on the C stack. */
#define SMALL 256

/* Raises that the value at arg is not a string. */
static int value_error(lua_State *L, const object *o, int arg) {
  bool could = !o->has_codec && !lua_isnil(L, arg);
  const char *hint = could ? " (the option \"codec\" makes strings of other values)" : "";
  return luaL_argerror(
      L, arg, lua_pushfstring(L, "string expected, got %s%s", luaL_typename(L, arg), hint));
}

const char *check_value(lua_State *L, const object *o, int arg, size_t *size) {
  luaL_checkany(L, arg);
  if (o->has_codec) {
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, OBJECT_ENCODE);
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "the codec's encode gave no string, but a %s", luaL_typename(L, -1));
    lua_replace(L, arg);
    lua_pop(L, 1);
  }
  const char *bytes = lua_tolstring(L, arg, size);
  if (!bytes)
    value_error(L, o, arg);
  return bytes;
}

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

int value_too_large(lua_State *L, object *o, int arg, size_t size) {
  char text[96];
  snprintf(text, sizeof text, "too large: %llu bytes, the capacity is %llu",
           (unsigned long long)size, (unsigned long long)object_handle(o)->capacity);
  return luaL_argerror(L, arg, text);
}
