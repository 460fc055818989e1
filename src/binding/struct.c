/* SPDX-License-Identifier: MIT */
/* Structs: layouts (shapes) and the record userdata whose fields are bytes of a segment.
 *
 * lua/shmseg/struct.lua computes the layout. A shape is made once and lives as long as the state,
 * so that arrays and records can point to it. Each shape has a metatable of its own for its
 * records; its __index and __newindex hold the table from field names to the shape's fields.
 *
 * A record makes the views of its arrays and structs once and keeps them in its user value, a
 * table with [1] the segment's views and the parts under their fields' addresses. They follow the
 * record when it is aimed anew. */
#include "binding/element.h"
#include "binding/module.h"

/* Up to this length a fixed string is copied on the stack. */
#define SMALL 256

/* Bytes of a struct, and how deep they may be nested: what struct.lua allows, too. */
#define SIZE_LIMIT INT32_MAX
#define DEPTH_LIMIT 100

static const char record_tag;
static const char shape_tag;

typedef struct {
  view view;
  const shape *shape;
  bool has_parts; /* the user value is the record's own table */
  bool is_part;   /* of another record, which it follows */
} record;

/* --- records: parts ----------------------------------------------------------------------- */

/* Pushes the table of the segment's views. */
static void push_record_views(lua_State *L, int index, const record *r) {
  lua_getuservalue(L, index);
  if (r->has_parts) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
}

/* Makes sure that the record at index 1 has a table of its own, and pushes it. */
static void push_parts(lua_State *L, record *r) {
  if (r->has_parts) {
    lua_getuservalue(L, 1);
    return;
  }
  lua_newtable(L);
  lua_getuservalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -1);
  lua_setuservalue(L, 1);
  r->has_parts = true;
}

static void aim_part(void *part, const field *f, const view *base) {
  if (f->is_array)
    array_aim(part, base, f->offset, f->count);
  else
    record_aim(part, base, f->offset);
}

/* Pushes the array or record that the field of the record at index 1 is. */
static int push_field_part(lua_State *L, record *r, const field *f) {
  push_parts(L, r);
  int parts = lua_gettop(L);
  lua_pushlightuserdata(L, (void *)f);
  lua_rawget(L, parts);
  if (!lua_isnil(L, -1))
    return 1;
  push_record_views(L, 1, r);
  int views = lua_gettop(L);
  record *inner = f->is_array ? NULL : push_record(L, views, f->element.shape);
  void *part = inner ? (void *)inner : push_array(L, views, &f->element);
  if (inner)
    inner->is_part = true;
  lua_pushlightuserdata(L, (void *)f);
  lua_pushvalue(L, -2);
  lua_rawset(L, parts);
  aim_part(part, f, &r->view); /* in place of the check: a part is checked when it is used */
  return 1;
}

/* --- records: fields ---------------------------------------------------------------------- */

static inline record *check_record(lua_State *L, int arg) {
  record *r = test_tag(L, arg, &record_tag);
  if (!r)
    luaL_argerror(L, arg, "record expected");
  return r;
}

/* The field that the key at index 2 names, which leaves one value on the stack. Upvalue 1 is the table
 * of the shape whose metatable this is called from; a record of another shape is refused. */
static inline const field *check_field(lua_State *L, const record *r) {
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  const field *f = lua_touserdata(L, -1);
  if (!f || f->owner != r->shape)
    luaL_error(L, "unknown field '%s'", lua_isstring(L, 2) ? lua_tostring(L, 2) : "?");
  return f;
}

static inline unsigned char *check_field_bytes(lua_State *L, const record *r, const field *f) {
  return check_bytes(L, &r->view, 1, f->offset, f->element.size);
}

static int push_string_field(lua_State *L, const record *r, const field *f) {
  unsigned char small[SMALL];
  size_t size = f->element.size;
  unsigned char *copy = size <= SMALL ? small : lua_newuserdata(L, size);
  memcpy(copy, check_field_bytes(L, r, f), size);
  int err = view_status(&r->view);
  if (err)
    return view_raise(L, &r->view, err);
  element_push(L, &f->element, copy);
  return 1;
}

/* record.field */
static int record_index(lua_State *L) {
  record *r = check_record(L, 1);
  const field *f = check_field(L, r);
  if (f->is_array || f->element.type == ELEMENT_STRUCT) {
    check_open(L, &r->view);
    return push_field_part(L, r, f);
  }
  if (f->element.type == ELEMENT_CHAR)
    return push_string_field(L, r, f);
  scalar type = (scalar)f->element.type;
  scalar_value value = scalar_load(check_field_bytes(L, r, f), type);
  int err = view_status(&r->view);
  if (err)
    return view_raise(L, &r->view, err);
  scalar_push(L, type, value);
  return 1;
}

/* record.field = value, of a field that is no plain scalar */
static void set_composite(lua_State *L, const record *r, const field *f) {
  unsigned char *mask;
  size_t size = (size_t)(f->element.size * f->count);
  unsigned char *image = push_image(L, size, &mask);
  field_encode(L, 3, f, NULL, image, mask);
  check_writable(L, &r->view);
  element_write(check_bytes(L, &r->view, 1, f->offset, size), image, mask, size);
}

static int record_newindex(lua_State *L) {
  record *r = check_record(L, 1);
  const field *f = check_field(L, r);
  if (f->is_array || f->element.type >= SCALARS) {
    set_composite(L, r, f);
  } else {
    scalar_value value;
    if (!scalar_try(L, 3, (scalar)f->element.type, &value))
      element_error(L, 3, &(where){ NULL, f, 0 }, scalar_names[f->element.type]);
    check_writable(L, &r->view);
    scalar_store(check_field_bytes(L, r, f), (scalar)f->element.type, value);
  }
  int err = view_status(&r->view);
  return err ? view_raise(L, &r->view, err) : 0;
}

static int record_tostring(lua_State *L) {
  record *r = check_record(L, 1);
  lua_pushfstring(L, "shmseg.record (%s%d bytes)", view_is_closed(&r->view) ? "closed, " : "",
                  (int)r->shape->size);
  return 1;
}

/* --- records: aiming ---------------------------------------------------------------------- */

void *push_record(lua_State *L, int views, const shape *s) {
  record *r = push_part(L, views, sizeof *r, &record_tag);
  r->shape = s;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->record_class);
  lua_setmetatable(L, -2);
  return r;
}

void record_aim(void *userdata, const view *base, uint64_t offset) {
  record *r = userdata;
  view_aim(&r->view, base, offset, r->shape->size);
}

/* Calls act for each part of the record at index, whose userdata is then at the top. */
static void for_parts(lua_State *L, int index, void (*act)(lua_State *, const field *, int, void *),
                      int views, void *context) {
  luaL_checkstack(L, 8, "struct nested too deeply");
  lua_getuservalue(L, index);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_type(L, -2) == LUA_TLIGHTUSERDATA)
      act(L, lua_touserdata(L, -2), views, context);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Enters the view at the top into another segment's table of views, with its parts. */
static void enter_views(lua_State *L, const field *f, int views, void *context) {
  int index = lua_gettop(L);
  (void)f;
  lua_pushvalue(L, index);
  lua_pushboolean(L, 1);
  lua_rawset(L, views);
  record *r = test_tag(L, index, &record_tag);
  if (r && r->has_parts)
    for_parts(L, index, enter_views, views, context);
}

/* Aims the view at the top at its field of base, and moves it to another table of views. Nothing
 * here allocates: the entries are there. */
static void move_view(lua_State *L, const field *f, int views, void *base) {
  int index = lua_gettop(L);
  record *r = test_tag(L, index, &record_tag);
  if (r && r->has_parts) {
    lua_getuservalue(L, index);
    lua_pushvalue(L, views);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
  } else {
    lua_pushvalue(L, views);
    lua_setuservalue(L, index);
  }
  if (f)
    aim_part(lua_touserdata(L, index), f, base);
  if (r && r->has_parts)
    for_parts(L, index, move_view, views, &r->view);
}

/* --- what a shape can do: upvalue 1 is the shape, argument 1 the Lua struct ----------------- */

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
    luaL_argcheck(L, !r->is_part, 4, "record of another record's field, which it follows");
  }
  if (r && r->view.segment == v->segment && !r->has_parts && !view_is_closed(v)) {
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
  enter_views(L, NULL, 5, NULL);
  check_bytes(L, v, 3, offset, s->size); /* nothing runs Lua code from here on */
  record_aim(r, v, offset);
  move_view(L, NULL, 5, NULL);
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
  int err = shmseg_segment_status(v->segment);
  if (err)
    return push_view_failure(L, v, err);
  element e = whole(s);
  element_push(L, &e, copy);
  return 1;
}

/* The table at arg as an image, which is pushed. */
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
  int err = shmseg_segment_status(v->segment);
  if (err)
    return push_view_failure(L, v, err);
  push_uint64(L, offset + s->size);
  return 1;
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

static const luaL_Reg record_metamethods[] = { { "__tostring", record_tostring }, { NULL, NULL } };

/* --- making a shape ----------------------------------------------------------------------- */

static int field_error(lua_State *L, int number, const char *key) {
  return luaL_argerror(L, 2, lua_pushfstring(L, "field %d: wrong %s", number, key));
}

/* Pushes what the table at the top has under the key; no Lua code runs. */
static void push_raw(lua_State *L, const char *key) {
  lua_pushstring(L, key);
  lua_rawget(L, -2);
}

/* The integer under the key of the table at the top; raises when it is not between these. */
static uint64_t check_count(lua_State *L, int number, const char *key, uint64_t least,
                            uint64_t most) {
  push_raw(L, key);
  lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  if (!(n >= (lua_Number)least && n <= (lua_Number)most) || n != (lua_Number)(uint64_t)n)
    field_error(L, number, key);
  lua_pop(L, 1);
  return (uint64_t)n;
}

static const shape *test_shape(lua_State *L, int index) {
  const shape *s = lua_touserdata(L, index);
  bool is_shape = s && lua_rawlen(L, index) >= sizeof *s && s->tag == &shape_tag;
  return is_shape ? s : NULL;
}

/* The type of the element that the table at the top describes: a shape, or else a scalar's name or
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

/* The field that the table at the top describes: name, shape or type, size, cut, offset, count,
 * is_array. The name's very string is kept in the table at index names, for the pointer to it: an
 * equal string may be another one. */
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

/* The records' metatable: upvalue 1 of its functions is the table at index fields. */
static int make_record_class(lua_State *L, int fields) {
  lua_newtable(L);
  lua_pushliteral(L, "shmseg.record");
  lua_setfield(L, -2, "__name");
  binding_register(L, record_metamethods);
  lua_pushvalue(L, fields);
  lua_pushcclosure(L, record_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, fields);
  lua_pushcclosure(L, record_newindex, 1);
  lua_setfield(L, -2, "__newindex");
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Pushes a shape without fields, whose user value is a table for their names, and that table. */
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

/* shape(size, fields) -> shape, functions. The layout is struct.lua's, which has checked it in its
 * words; here is checked what would touch foreign memory. */
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
  lua_pushvalue(L, 3);
  luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, 3);
  push_functions(L, 3);
  return 2;
}

/* What the compiler does with each scalar: layouts.i32 = { size = 4, align = 4 } */
#define LAYOUT(type)                                                                               \
  {                                                                                                \
    sizeof(type), offsetof(                                                                        \
                      struct {                                                                     \
                        char c;                                                                    \
                        type value;                                                                \
                      },                                                                           \
                      value)                                                                       \
  }

static void push_layouts(lua_State *L) {
  static const struct {
    size_t size, align;
  } layouts[SCALARS] = {
    LAYOUT(bool),     LAYOUT(int8_t),  LAYOUT(uint8_t),  LAYOUT(int16_t),
    LAYOUT(uint16_t), LAYOUT(int32_t), LAYOUT(uint32_t), LAYOUT(int64_t),
    LAYOUT(uint64_t), LAYOUT(float),   LAYOUT(double),
  };
  lua_newtable(L);
  for (int type = 0; type < SCALARS; type++) {
    lua_createtable(L, 0, 2);
    push_uint64(L, layouts[type].size);
    lua_setfield(L, -2, "size");
    push_uint64(L, layouts[type].align);
    lua_setfield(L, -2, "align");
    lua_setfield(L, -2, scalar_names[type]);
  }
}

void binding_open_struct(lua_State *L) {
  push_layouts(L);
  lua_setfield(L, -2, "layouts");
  lua_pushcfunction(L, struct_shape);
  lua_setfield(L, -2, "shape");
}
