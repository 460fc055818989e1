/* SPDX-License-Identifier: MIT */
/* Elements: between Lua values and private images of their bytes. */
#include "binding/element.h"

/* --- to Lua ------------------------------------------------------------------------------- */

static void push_struct(lua_State *L, const shape *s, const unsigned char *bytes) {
  luaL_checkstack(L, 4, "struct nested too deeply");
  lua_createtable(L, 0, s->count);
  for (int i = 0; i < s->count; i++) {
    const field *f = &s->fields[i];
    field_push(L, f, bytes + f->offset);
    lua_setfield(L, -2, f->name);
  }
}

void element_push(lua_State *L, const element *e, const unsigned char *bytes) {
  if (e->type == ELEMENT_STRUCT) {
    push_struct(L, e->shape, bytes);
  } else if (e->type == ELEMENT_CHAR) {
    const unsigned char *end = memchr(bytes, 0, e->size);
    lua_pushlstring(L, (const char *)bytes, end ? (size_t)(end - bytes) : e->size);
  } else {
    scalar_push(L, (scalar)e->type, scalar_load(bytes, (scalar)e->type));
  }
}

void field_push(lua_State *L, const field *f, const unsigned char *bytes) {
  if (!f->is_array) {
    element_push(L, &f->element, bytes);
    return;
  }
  luaL_checkstack(L, 4, "struct nested too deeply");
  lua_createtable(L, (int)f->count, 0);
  for (uint64_t i = 0; i < f->count; i++) {
    element_push(L, &f->element, bytes + i * f->element.size);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

/* --- from Lua ----------------------------------------------------------------------------- */

int element_error(lua_State *L, int index, const char *what, const char *expected) {
  if (lua_type(L, index) == LUA_TNUMBER)
    return luaL_error(L, "%s: %s expected, got %s", what, expected, lua_tostring(L, index));
  return luaL_error(L, "%s: %s expected, got %s", what, expected, luaL_typename(L, index));
}

static void encode_string(lua_State *L, int index, const element *e, const char *what,
                          unsigned char *image) {
  size_t length;
  if (lua_type(L, index) != LUA_TSTRING)
    element_error(L, index, what, "string");
  const char *s = lua_tolstring(L, index, &length);
  memcpy(image, s, length < e->size ? length : e->size); /* cut, or padded by the image's zeroes */
}

/* Raises when the table has a key that is no field. */
static int unknown_field(lua_State *L, int index, const shape *s) {
  lua_pushnil(L);
  while (lua_next(L, index)) {
    bool known = false;
    lua_pop(L, 1);
    for (int i = 0; i < s->count && !known; i++) {
      lua_pushstring(L, s->fields[i].name);
      known = lua_rawequal(L, -1, -2);
      lua_pop(L, 1);
    }
    if (!known) {
      if (lua_type(L, -1) == LUA_TSTRING)
        return luaL_error(L, "unknown field '%s'", lua_tostring(L, -1));
      return luaL_error(L, "unknown field: a %s", luaL_typename(L, -1));
    }
  }
  return 0;
}

static int count_keys(lua_State *L, int index) {
  int count = 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    count++;
  }
  return count;
}

static void encode_struct(lua_State *L, int index, const shape *s, const char *what,
                          unsigned char *image, unsigned char *mask) {
  int known = 0;
  luaL_checkstack(L, 6, "struct nested too deeply");
  if (!lua_istable(L, index))
    element_error(L, index, what, "table");
  for (int i = 0; i < s->count; i++) {
    const field *f = &s->fields[i];
    lua_getfield(L, index, f->name);
    if (!lua_isnil(L, -1)) {
      field_encode(L, lua_gettop(L), f, image + f->offset, mask + f->offset);
      lua_pushstring(L, f->name); /* is it a key, or from the table's __index? */
      lua_rawget(L, index);
      known += !lua_isnil(L, -1);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  if (count_keys(L, index) != known)
    unknown_field(L, index, s);
}

void element_encode(lua_State *L, int index, const element *e, const char *what,
                    unsigned char *image, unsigned char *mask) {
  if (e->type == ELEMENT_STRUCT) {
    encode_struct(L, index, e->shape, what, image, mask);
    return;
  }
  memset(mask, 1, e->size);
  if (e->type == ELEMENT_CHAR) {
    encode_string(L, index, e, what, image);
  } else {
    scalar_value value;
    if (!scalar_try(L, index, (scalar)e->type, &value))
      element_error(L, index, what, scalar_names[e->type]);
    memcpy(image, &value, e->size);
  }
}

void field_encode(lua_State *L, int index, const field *f, unsigned char *image,
                  unsigned char *mask) {
  if (!f->is_array) {
    element_encode(L, index, &f->element, f->name, image, mask);
    return;
  }
  bool in_table = lua_istable(L, index);
  if (!in_table && !is_array(L, index))
    element_error(L, index, f->name, "table");
  int known = 0;
  for (uint64_t i = 0; i < f->count; i++) {
    push_uint64(L, i + 1);
    lua_gettable(L, index);
    if (!lua_isnil(L, -1)) {
      element_encode(L, lua_gettop(L), &f->element, f->name, image + i * f->element.size,
                     mask + i * f->element.size);
      if (in_table) {
        lua_rawgeti(L, index, (int)i + 1);
        known += !lua_isnil(L, -1);
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 1);
  }
  push_uint64(L, f->count + 1);
  lua_gettable(L, index);
  bool more = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (more || (in_table && count_keys(L, index) != known)) {
    luaL_error(L, "%s: %s %d", f->name, more ? "more than" : "keys other than 1 to", (int)f->count);
  }
}

/* --- images ------------------------------------------------------------------------------- */

unsigned char *push_image(lua_State *L, size_t size, unsigned char **mask) {
  unsigned char *image = lua_newuserdata(L, 2 * size);
  memset(image, 0, 2 * size);
  *mask = image + size;
  return image;
}

void element_write(unsigned char *to, const unsigned char *image, const unsigned char *mask,
                   size_t size) {
  for (size_t i = 0; i < size;) {
    const unsigned char *end = memchr(mask + i, !mask[i], size - i);
    size_t run = end ? (size_t)(end - mask) - i : size - i;
    if (mask[i])
      memcpy(to + i, image + i, run);
    i += run;
  }
}
