/* SPDX-License-Identifier: MIT */
/* Elements: from Lua values to private images of their bytes, and back. */
#include "binding/element.h"

const char array_tag;

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

/* Pushes "child.pos[2]"; or "" when the value is in no field. */
static void push_path(lua_State *L, const where *w) {
  luaL_checkstack(L, 4, "struct nested too deeply");
  if (!w || !w->field) {
    lua_pushliteral(L, "");
    return;
  }
  push_path(L, w->outer);
  lua_pushstring(L, lua_rawlen(L, -1) > 0 ? "." : "");
  lua_pushstring(L, w->field->name);
  if (w->index > 0)
    lua_pushfstring(L, "[%d]", (int)w->index);
  lua_concat(L, w->index > 0 ? 4 : 3);
}

/* Pushes "value 3: " for one of several values, else "". */
static void push_number(lua_State *L, const where *w) {
  while (w && w->outer)
    w = w->outer;
  if (w && !w->field && w->index > 0)
    lua_pushfstring(L, "value %d: ", (int)w->index);
  else
    lua_pushliteral(L, "");
}

/* Pushes "value 3: child.pos[2]: ", or the part of that which is known. */
static const char *push_where(lua_State *L, const where *w) {
  push_number(L, w);
  push_path(L, w);
  if (lua_rawlen(L, -1) > 0)
    lua_pushliteral(L, ": ");
  else
    lua_pushstring(L, lua_rawlen(L, -2) > 0 ? "" : "value: ");
  lua_concat(L, 3);
  return lua_tostring(L, -1);
}

int element_error(lua_State *L, int index, const where *w, const char *expected) {
  const char *place = push_where(L, w);
  if (lua_type(L, index) == LUA_TNUMBER)
    return luaL_error(L, "%s%s expected, got %s", place, expected, lua_tostring(L, index));
  return luaL_error(L, "%s%s expected, got %s", place, expected, luaL_typename(L, index));
}

/* The size of the well-formed UTF-8 sequence that begins at s; 1 when none begins there. */
static size_t sequence_size(const unsigned char *s, size_t length) {
  size_t size = *s < 0xC2 ? 1 : *s < 0xE0 ? 2 : *s < 0xF0 ? 3 : *s < 0xF5 ? 4 : 1;
  unsigned char least = *s == 0xE0 ? 0xA0 : *s == 0xF0 ? 0x90 : 0x80; /* of the second byte */
  unsigned char most = *s == 0xED ? 0x9F : *s == 0xF4 ? 0x8F : 0xBF;
  if (size == 1 || size > length || s[1] < least || s[1] > most)
    return 1;
  for (size_t i = 2; i < size; i++)
    if ((s[i] & 0xC0) != 0x80)
      return 1;
  return size;
}

/* How many of the first size bytes of a longer string are kept: it is not cut inside a UTF-8
 * sequence. */
static size_t cut_size(const unsigned char *s, size_t length, size_t size) {
  for (size_t back = 1; back < 4 && back <= size; back++)
    if (sequence_size(s + size - back, length - size + back) > back)
      return size - back;
  return size;
}

static void encode_string(lua_State *L, int index, const element *e, const where *w,
                          unsigned char *image) {
  size_t length;
  if (lua_type(L, index) != LUA_TSTRING)
    element_error(L, index, w, "string");
  const char *s = lua_tolstring(L, index, &length);
  if (length > e->size && !e->cut)
    luaL_error(L, "%sstring of at most %d bytes expected, got %d", push_where(L, w), (int)e->size,
               (int)length);
  if (length > e->size)
    length = cut_size((const unsigned char *)s, length, e->size);
  memcpy(image, s, length); /* the image has zeroes behind it */
}

static int unknown_error(lua_State *L, const where *w, const char *key) {
  push_number(L, w);
  push_path(L, w);
  const char *path = lua_tostring(L, -1);
  return luaL_error(L, "%sunknown field '%s%s%s'", lua_tostring(L, -2), path, *path ? "." : "",
                    key);
}

/* Raises when the table has a key that is no field. */
static void check_keys(lua_State *L, int index, const shape *s, const where *w) {
  lua_pushnil(L);
  while (lua_next(L, index)) {
    bool known = false;
    lua_pop(L, 1);
    for (int i = 0; i < s->count && !known; i++) {
      lua_pushstring(L, s->fields[i].name);
      known = lua_rawequal(L, -1, -2);
      lua_pop(L, 1);
    }
    if (!known && lua_type(L, -1) == LUA_TSTRING)
      unknown_error(L, w, lua_tostring(L, -1));
    if (!known) {
      const char *type = luaL_typename(L, -1);
      luaL_error(L, "%sunknown field: a %s", w ? push_where(L, w) : "", type);
    }
  }
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

static void encode_struct(lua_State *L, int index, const shape *s, const where *w,
                          unsigned char *image, unsigned char *mask) {
  int known = 0;
  luaL_checkstack(L, 6, "struct nested too deeply");
  if (!lua_istable(L, index))
    element_error(L, index, w, "table");
  for (int i = 0; i < s->count; i++) {
    const field *f = &s->fields[i];
    lua_getfield(L, index, f->name);
    if (!lua_isnil(L, -1)) {
      field_encode(L, lua_gettop(L), f, w, image + f->offset, mask + f->offset);
      lua_pushstring(L, f->name); /* only keys of the table itself count, not what __index gave */
      lua_rawget(L, index);
      known += !lua_isnil(L, -1);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  if (count_keys(L, index) != known)
    check_keys(L, index, s, w);
}

void element_encode(lua_State *L, int index, const element *e, const where *w, unsigned char *image,
                    unsigned char *mask) {
  if (e->type == ELEMENT_STRUCT) {
    encode_struct(L, index, e->shape, w, image, mask);
    return;
  }
  memset(mask, 1, e->size);
  if (e->type == ELEMENT_CHAR) {
    encode_string(L, index, e, w, image);
  } else {
    scalar_value value;
    if (!scalar_try(L, index, (scalar)e->type, &value))
      element_error(L, index, w, scalar_names[e->type]);
    memcpy(image, &value, e->size);
  }
}

void field_encode(lua_State *L, int index, const field *f, const where *outer, unsigned char *image,
                  unsigned char *mask) {
  where w = { outer, f, 0 };
  if (!f->is_array) {
    element_encode(L, index, &f->element, &w, image, mask);
    return;
  }
  bool in_table = lua_istable(L, index);
  if (!in_table && !is_array(L, index))
    element_error(L, index, &w, "table");
  int known = 0;
  for (uint64_t i = 0; i < f->count; i++) {
    w.index = i + 1;
    push_uint64(L, i + 1);
    lua_gettable(L, index);
    if (!lua_isnil(L, -1)) {
      element_encode(L, lua_gettop(L), &f->element, &w, image + i * f->element.size,
                     mask + i * f->element.size);
      if (in_table) {
        lua_rawgeti(L, index, (int)i + 1);
        known += !lua_isnil(L, -1);
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 1);
  }
  w.index = 0;
  push_uint64(L, f->count + 1);
  lua_gettable(L, index);
  bool more = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (more || (in_table && count_keys(L, index) != known))
    luaL_error(L, "%s%s %d", push_where(L, &w), more ? "more than" : "keys other than 1 to",
               (int)f->count);
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
    const unsigned char *end = memchr(mask + i, mask[i] ? 0 : 1, size - i);
    size_t run = end ? (size_t)(end - mask) - i : size - i;
    if (mask[i])
      memcpy(to + i, image + i, run);
    i += run;
  }
}
