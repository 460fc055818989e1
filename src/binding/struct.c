/* SPDX-License-Identifier: MIT */
/* Structs: their layouts, called shapes, and the records, tables and arrays that a shape makes of bytes.
 *
 * lua/shmseg/struct.lua computes the layout. A shape lives as long as the Lua state, so that arrays and
 * records can point to it. */
#include "binding/array.h"
#include "binding/module.h"
#include "binding/record.h"

/* The largest size in bytes, and the deepest nesting. struct.lua has the same limits. */
#define SIZE_LIMIT INT32_MAX
#define DEPTH_LIMIT 100

static const char shape_tag;

/* --- functions of a shape, which is upvalue 1; argument 1 is the struct of struct.lua ------- */

static const shape *own_shape(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

static element whole(const shape *s) {
  return (element){ ELEMENT_STRUCT, (size_t)s->size, s, false };
}

/* Point:at(segment, offset [, record]) -> record */
static int struct_at(lua_State *L) {
  const shape *s = own_shape(L);
  view *v = check_view(L, 2);
  uint64_t offset = check_size(L, 3);
  record *r = NULL;
  lua_settop(L, 4);
  if (!lua_isnil(L, 4)) {
    r = check_record(L, 4);
    luaL_argcheck(L, r->shape == s, 4, "record of another struct");
    luaL_argcheck(L, !r->follows, 4, "record of another record's field, which it follows");
  }
  if (r && r->view.segment == v->segment && !r->has_table && !view_is_closed(v)) {
    check_bytes(L, v, 3, offset, s->size);
    record_aim(r, v, offset);
    return 1;
  }
  push_views(L, 2);
  if (!r) {
    r = push_record(L, 5, s);
    lua_replace(L, 4);
  }
  lua_pushvalue(L, 4);
  record_enter_views(L, NULL, 5, NULL);
  check_bytes(L, v, 3, offset, s->size); /* nothing runs Lua code from here on */
  record_aim(r, v, offset);
  record_move_view(L, NULL, 5, NULL);
  lua_settop(L, 4);
  return 1;
}

/* Point:read(segment, offset) -> table */
static int struct_read(lua_State *L) {
  const shape *s = own_shape(L);
  view *v = check_view(L, 2);
  uint64_t offset = check_size(L, 3);
  unsigned char *copy = lua_newuserdata(L, (size_t)s->size);
  memcpy(copy, check_bytes(L, v, 3, offset, s->size), (size_t)s->size);
  int err = view_status(v);
  if (err)
    return push_view_failure(L, v, err);
  element e = whole(s);
  element_push(L, &e, copy);
  return 1;
}

/* Pushes an image of the table at arg. */
static unsigned char *check_table(lua_State *L, int arg, const shape *s, unsigned char **mask) {
  luaL_checktype(L, arg, LUA_TTABLE);
  unsigned char *image = push_image(L, (size_t)s->size, mask);
  element e = whole(s);
  element_encode(L, arg, &e, NULL, image, *mask);
  return image;
}

/* Point:write(segment, offset, table) -> next offset */
static int struct_write(lua_State *L) {
  const shape *s = own_shape(L);
  view *v = check_view(L, 2);
  uint64_t offset = check_size(L, 3);
  unsigned char *mask;
  unsigned char *image = check_table(L, 4, s, &mask);
  check_writable(L, v);
  element_write(check_bytes(L, v, 3, offset, s->size), image, mask, (size_t)s->size);
  push_uint64(L, offset + s->size);
  return view_finish(L, v, 1);
}

/* Point:array(segment, offset [, count]) -> array of records */
static int struct_array(lua_State *L) {
  const shape *s = own_shape(L);
  element e = whole(s);
  return push_checked_array(L, 2, 3, 4, &e);
}

/* Point.encode(table) -> bytes; what the table leaves out is zero */
static int struct_encode(lua_State *L) {
  const shape *s = own_shape(L);
  unsigned char *mask;
  unsigned char *image = check_table(L, 1, s, &mask);
  lua_pushlstring(L, (const char *)image, (size_t)s->size);
  return 1;
}

/* Point.decode(bytes) -> table */
static int struct_decode(lua_State *L) {
  const shape *s = own_shape(L);
  size_t length;
  const char *bytes = luaL_checklstring(L, 1, &length);
  if (length != s->size)
    luaL_argerror(L, 1,
                  lua_pushfstring(L, "%d bytes, the struct has %d", (int)length, (int)s->size));
  element e = whole(s);
  element_push(L, &e, (const unsigned char *)bytes);
  return 1;
}

static const luaL_Reg struct_functions[] = {
  { "array", struct_array },
  { "at", struct_at },
  { "decode", struct_decode },
  { "encode", struct_encode },
  { "read", struct_read },
  { "write", struct_write },
  { NULL, NULL },
};

/* --- making a shape ----------------------------------------------------------------------- */

static int field_error(lua_State *L, int number, const char *key) {
  return luaL_argerror(L, 2, lua_pushfstring(L, "field %d: wrong %s", number, key));
}

/* Pushes the value of the key in the table at the top; runs no Lua code. */
static void push_raw(lua_State *L, const char *key) {
  lua_pushstring(L, key);
  lua_rawget(L, -2);
}

/* The integer under the key in the table at the top; raises unless it is from least to most. */
static uint64_t check_count(lua_State *L, int number, const char *key, uint64_t least,
                            uint64_t most) {
  push_raw(L, key);
  lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  if (!(n >= (lua_Number)least && n <= (lua_Number)most) || n != (lua_Number)(uint64_t)n)
    field_error(L, number, key);
  lua_pop(L, 1);
  return (uint64_t)n;
}

const shape *test_shape(lua_State *L, int index) {
  return test_tag(L, index, &shape_tag);
}

/* Takes the type of an element from the table at the top: its shape, or else the name of a scalar, or
 * "char". */
static void take_type(lua_State *L, element *e, int number) {
  push_raw(L, "shape");
  e->shape = test_shape(L, -1);
  if (!e->shape && !lua_isnil(L, -1))
    field_error(L, number, "shape");
  lua_pop(L, 1);
  e->type = ELEMENT_STRUCT;
  if (e->shape)
    return;
  push_raw(L, "type");
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  for (e->type = 0; e->type < SCALARS && strcmp(name, scalar_names[e->type]) != 0; e->type++)
    ;
  if (e->type == ELEMENT_CHAR && strcmp(name, "char") != 0)
    field_error(L, number, "type");
  lua_pop(L, 1);
}

static void take_element(lua_State *L, element *e, int number) {
  take_type(L, e, number);
  uint64_t size = e->shape ? e->shape->size : e->type < SCALARS ? scalar_size(e->type) : 0;
  e->size = (size_t)check_count(L, number, "size", size ? size : 1, size ? size : SIZE_LIMIT);
  push_raw(L, "cut");
  e->cut = lua_toboolean(L, -1);
  lua_pop(L, 1);
}

/* Takes a field from the table at the top: name, shape or type, size, cut, offset, count, is_array.
 * f->name points into the string of the name, so the table at index names keeps that string itself;
 * an equal string can be at another address. */
static void take_field(lua_State *L, const shape *s, field *f, int number, int names) {
  push_raw(L, "name");
  f->name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (!f->name || strlen(f->name) != lua_rawlen(L, -1))
    field_error(L, number, "name");
  lua_rawseti(L, names, number);
  take_element(L, &f->element, number);
  push_raw(L, "is_array");
  f->is_array = lua_toboolean(L, -1);
  lua_pop(L, 1);
  f->offset = check_count(L, number, "offset", 0, s->size);
  f->count = check_count(L, number, "count", 1, f->is_array ? SIZE_LIMIT : 1);
  if (f->count > (s->size - f->offset) / f->element.size)
    field_error(L, number, "offset");
}

/* Pushes a shape that has no fields yet, and a table for their names, which is its user value. */
static shape *push_shape(lua_State *L, uint64_t size, int count) {
  shape *s = lua_newuserdata(L, sizeof *s + (size_t)count * sizeof(field));
  *s = (shape){ .tag = &shape_tag, .size = size, .depth = 1, .count = count };
  lua_createtable(L, count, 0);
  lua_pushvalue(L, -1);
  lua_setuservalue(L, -3);
  return s;
}

/* Pushes the functions of the shape at index. */
static void push_functions(lua_State *L, int index) {
  lua_newtable(L);
  for (const luaL_Reg *r = struct_functions; r->name; r++) {
    lua_pushvalue(L, index);
    lua_pushcclosure(L, r->func, 1);
    lua_setfield(L, -2, r->name);
  }
}

/* shape(size, fields) -> shape, functions. struct.lua has checked the layout, and has better
 * messages; here everything is checked that could lead to other memory. */
static int struct_shape(lua_State *L) {
  int64_t size = check_integer(L, 1);
  luaL_argcheck(L, size >= 1 && size <= SIZE_LIMIT, 1, "out of range");
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_argcheck(L, lua_rawlen(L, 2) <= (size_t)size, 2, "more fields than bytes");
  lua_settop(L, 2);
  int count = (int)lua_rawlen(L, 2);
  shape *s = push_shape(L, (uint64_t)size, count);
  lua_newtable(L);
  int names = 4, fields = 5;
  for (int i = 0; i < count; i++) {
    field *f = &s->fields[i];
    lua_rawgeti(L, 2, i + 1);
    luaL_argcheck(L, lua_istable(L, -1), 2, "list of tables expected");
    take_field(L, s, f, i + 1, names);
    f->owner = s;
    if (f->element.shape && f->element.shape->depth >= s->depth)
      s->depth = f->element.shape->depth + 1;
    lua_pushlightuserdata(L, f);
    lua_setfield(L, fields, f->name);
    lua_pop(L, 1);
  }
  luaL_argcheck(L, s->depth <= DEPTH_LIMIT, 2, "nested too deeply");
  s->record_class = make_record_class(L, fields);
  s->push_record = push_record;
  s->aim_record = record_aim;
  lua_pushvalue(L, 3);
  luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, 3);
  push_functions(L, 3);
  return 2;
}

/* Size and alignment of each scalar, as the compiler has them: layouts.i32 = { size = 4, align = 4 } */
#define LAYOUT(name, type)                                                                         \
  { sizeof(type), offsetof(                                                                        \
                      struct {                                                                     \
                        char c;                                                                    \
                        type value;                                                                \
                      },                                                                           \
                      value) },

static void push_layouts(lua_State *L) {
  static const struct { size_t size, align; } layouts[SCALARS] = { SCALAR_TYPES(LAYOUT) };
  lua_newtable(L);
  for (int type = 0; type < SCALARS; type++) {
    lua_createtable(L, 0, 2);
    set_number(L, "size", (int64_t)layouts[type].size);
    set_number(L, "align", (int64_t)layouts[type].align);
    lua_setfield(L, -2, scalar_names[type]);
  }
}

void binding_open_struct(lua_State *L) {
  push_layouts(L);
  lua_setfield(L, -2, "layouts");
  lua_pushcfunction(L, struct_shape);
  lua_setfield(L, -2, "shape");
}
