/* SPDX-License-Identifier: MIT */
/* The record userdata: a struct whose fields are bytes of a segment.
 *
 * Each shape has a metatable of its own for its records. Upvalue 1 of its __index and __newindex is the
 * table from field names to the shape's fields.
 *
 * A record makes the views of its arrays and inner structs once: its parts. Its user value is then a
 * table with the segment's views at [1] and the parts at the addresses of their fields. When the record
 * is aimed anew, its parts are, too. */
#include "binding/record.h"

#include "binding/array.h"

/* A fixed string of up to so many bytes is copied on the C stack. */
#define SMALL 256

const char record_tag;

/* --- records: parts ----------------------------------------------------------------------- */

/* Pushes the table of the segment's views. */
static void push_record_views(lua_State *L, int index, const record *r) {
  lua_getuservalue(L, index);
  if (r->has_table) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
}

/* Makes sure that the record at index 1 has a table of its own, and pushes it. */
static void push_parts(lua_State *L, record *r) {
  if (r->has_table) {
    lua_getuservalue(L, 1);
    return;
  }
  lua_newtable(L);
  lua_getuservalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -1);
  lua_setuservalue(L, 1);
  r->has_table = true;
}

static void aim_part(void *part, const field *f, const view *base) {
  if (f->is_array)
    array_aim(part, base, f->offset, f->count);
  else
    record_aim(part, base, f->offset);
}

/* Pushes the array or record that is field f of the record at index 1. */
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
    inner->follows = true;
  lua_pushlightuserdata(L, (void *)f);
  lua_pushvalue(L, -2);
  lua_rawset(L, parts);
  aim_part(part, f, &r->view); /* without a check: a part is checked when it is used */
  return 1;
}

/* --- records: fields ---------------------------------------------------------------------- */

/* The field that the key at index 2 names; leaves one value on the stack. Upvalue 1 is the table of
 * the shape whose metatable has the calling function; a record of another shape is refused. */
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
  check_status(L, &r->view);
  element_push(L, &f->element, copy);
  return 1;
}

static inline void note(record *r) {
  if (!view_is_noted(&r->view, (uintptr_t)r->shape))
    view_shorten(&r->view, (uintptr_t)r->shape, r->view.size, 0);
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
  note(r);
  scalar_value value = scalar_load(check_field_bytes(L, r, f), type);
  check_status(L, &r->view);
  scalar_push(L, type, value);
  return 1;
}

/* record.field = value, of a field that is not a scalar */
static void record_set_composite(lua_State *L, const record *r, const field *f) {
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
    record_set_composite(L, r, f);
  } else {
    scalar_value value;
    if (!scalar_try(L, 3, (scalar)f->element.type, &value))
      element_error(L, 3, &(where){ NULL, f, 0 }, scalar_names[f->element.type]);
    check_writable(L, &r->view);
    note(r);
    scalar_store(check_field_bytes(L, r, f), (scalar)f->element.type, value);
  }
  check_status(L, &r->view);
  return 0;
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

/* Calls act for each part of the record at index; the part is then at the top. */
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

void record_enter_views(lua_State *L, const field *f, int views, void *context) {
  int index = lua_gettop(L);
  (void)f;
  lua_pushvalue(L, index);
  lua_pushboolean(L, 1);
  lua_rawset(L, views);
  record *r = test_tag(L, index, &record_tag);
  if (r && r->has_table)
    for_parts(L, index, record_enter_views, views, context);
}

void record_move_view(lua_State *L, const field *f, int views, void *base) {
  int index = lua_gettop(L);
  record *r = test_tag(L, index, &record_tag);
  if (r && r->has_table) {
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
  if (r && r->has_table)
    for_parts(L, index, record_move_view, views, &r->view);
}

static const luaL_Reg record_metamethods[] = { { "__tostring", record_tostring }, { NULL, NULL } };

int make_record_class(lua_State *L, int fields) {
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
