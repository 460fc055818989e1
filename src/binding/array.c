/* SPDX-License-Identifier: MIT */
/* The array userdata: elements of one type, 1-based, through a[i] and in bulk. */
#include <stdio.h>

#include "binding/array.h"
#include "binding/module.h"
#include "binding/segment.h"

/* --- elements ----------------------------------------------------------------------------- */

/* a[key] where key is not an integer: a method, or nil. */
static int index_method(lua_State *L) {
  lua_settop(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

/* Pushes element i, which is not a scalar: a string, or a new record. */
static int push_composite(lua_State *L, const array *a, uint64_t i) {
  uint64_t offset = (i - 1) * a->element.size;
  if (a->element.type == ELEMENT_STRUCT) {
    lua_getuservalue(L, 1);
    const shape *s = a->element.shape;
    void *record = s->push_record(L, lua_gettop(L), s);
    array_check_present(L, a);
    s->aim_record(record, &a->view, offset);
    return 1;
  }
  unsigned char *copy = lua_newuserdata(L, a->element.size);
  memcpy(copy, check_bytes(L, &a->view, 1, offset, a->element.size), a->element.size);
  check_status(L, &a->view);
  element_push(L, &a->element, copy);
  return 1;
}

/* All else of a[key]: a method, an element that is not a plain scalar, nil outside; or raises. */
static int index_slowly(lua_State *L, const array *a) {
  int exact;
  uint64_t i = (uint64_t)to_key(L, 2, &exact);
  if (!exact && lua_type(L, 2) != LUA_TNUMBER)
    return index_method(L);
  const unsigned char *bytes = exact ? array_element_at(a, i) : NULL;
  array_check_present(L, a);
  if (!bytes)
    return 0;
  if (a->element.type >= SCALARS)
    return push_composite(L, a, i);
  scalar type = (scalar)a->element.type;
  scalar_value value = scalar_load(bytes, type);
  check_status(L, &a->view);
  scalar_push(L, type, value); /* it may allocate or raise, so the status was checked before */
  return 1;
}

static inline void note(array *a) {
  if (!view_is_noted(&a->view, ARRAY_SORT(a->element.type)))
    view_shorten(&a->view, ARRAY_SORT(a->element.type), a->count, a->element.size);
}

/* a[i] -> value, or nil outside */
static int array_index(lua_State *L) {
  array *a = check_array(L, 1);
  int exact;
  uint64_t i = (uint64_t)to_key(L, 2, &exact);
  const unsigned char *bytes = array_element_at(a, i);
  note(a);
  if (exact && bytes && a->element.type < SCALARS)
    if (scalar_push_all(L, (scalar)a->element.type, bytes, 1) == 1 && view_status(&a->view) == 0)
      return 1;
  return index_slowly(L, a);
}

int array_outside_error(lua_State *L, const array *a, int arg, int64_t first, int64_t last) {
  char there[48], text[128];
  if (a->count == 0)
    snprintf(there, sizeof there, "the array has no elements");
  else
    snprintf(there, sizeof there, "elements are 1 to %llu", (unsigned long long)a->count);
  if (first == last)
    snprintf(text, sizeof text, "index out of range: %lld, %s", (long long)first, there);
  else
    snprintf(text, sizeof text, "out of range: %lld to %lld, %s", (long long)first, (long long)last,
             there);
  return luaL_argerror(L, arg, text);
}

static int index_error(lua_State *L, const array *a, uint64_t i) {
  array_check_present(L, a);
  return array_outside_error(L, a, 2, (int64_t)i, (int64_t)i);
}

/* a[i] = value, of an array whose elements are not scalars */
static int array_set_composite(lua_State *L, const array *a, uint64_t i) {
  unsigned char *mask;
  size_t size = a->element.size;
  lua_settop(L, 3);
  unsigned char *image = push_image(L, size, &mask);
  element_encode(L, 3, &a->element, NULL, image, mask);
  check_writable(L, &a->view);
  unsigned char *bytes = array_element_at(a, i);
  if (!bytes)
    return index_error(L, a, i);
  element_write(bytes, image, mask, size);
  return 0;
}

/* a[i] = value */
static int array_newindex(lua_State *L) {
  array *a = check_array(L, 1);
  uint64_t i = (uint64_t)check_integer(L, 2);
  if (a->element.type >= SCALARS) {
    array_set_composite(L, a, i);
  } else {
    scalar_value value = scalar_check(L, 3, (scalar)a->element.type);
    check_writable(L, &a->view);
    note(a);
    unsigned char *bytes = array_element_at(a, i);
    if (!bytes)
      return index_error(L, a, i);
    scalar_store(bytes, (scalar)a->element.type, value);
  }
  check_status(L, &a->view);
  return 0;
}

static int array_len(lua_State *L) {
  array *a = check_array(L, 1);
  check_open(L, &a->view);
  push_uint64(L, a->count);
  return 1;
}

/* --- making and walking ------------------------------------------------------------------- */

/* The iterator: i -> i + 1, value */
static int array_next(lua_State *L) {
  uint64_t i = (uint64_t)check_integer(L, 2) + 1;
  lua_settop(L, 1);
  push_uint64(L, i);
  push_uint64(L, i);
  lua_gettable(L, 1); /* calls array_index, unless a program has replaced __index */
  return lua_isnil(L, -1) ? 1 : 2;
}

/* ipairs() -> iterator, array, 0 */
static int array_ipairs(lua_State *L) {
  check_array(L, 1);
  lua_pushcfunction(L, array_next);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

const char *array_type_name(const array *a) {
  int type = a->element.type;
  return type < SCALARS ? scalar_names[type] : type == ELEMENT_CHAR ? "char" : "struct";
}

static int array_tostring(lua_State *L) {
  array *a = check_array(L, 1);
  char text[96];
  snprintf(text, sizeof text, ARRAY_CLASS " (%llu of %s)", (unsigned long long)a->count,
           array_type_name(a));
  lua_pushstring(L, view_is_closed(&a->view) ? ARRAY_CLASS " (closed)" : text);
  return 1;
}

void *push_array(lua_State *L, int views, const element *e) {
  array *a = push_part(L, views, sizeof *a, &array_tag);
  a->element = *e;
  luaL_getmetatable(L, ARRAY_CLASS);
  lua_setmetatable(L, -2);
  return a;
}

void array_aim(void *userdata, const view *base, uint64_t offset, uint64_t count) {
  array *a = userdata;
  view_aim(&a->view, base, offset, count * a->element.size);
  a->count = count;
}

int push_checked_array(lua_State *L, int arg, int offset_arg, int count_arg, const element *e) {
  view *v = check_view(L, arg);
  uint64_t offset = check_size(L, offset_arg);
  bool to_end = lua_isnoneornil(L, count_arg);
  uint64_t count = to_end ? 0 : check_size(L, count_arg);
  push_views(L, arg);
  void *array = push_array(L, lua_gettop(L), e);
  check_bytes(L, v, offset_arg, offset, 0);
  if (to_end)
    count = (view_limit(v) - offset) / e->size;
  /* a count whose bytes overflow is reported like the largest that does not */
  check_bytes(L, v, offset_arg, offset, count <= INT64_MAX / e->size ? count * e->size : INT64_MAX);
  array_aim(array, v, offset, count);
  return 1;
}

/* segment:array(offset, type [, count]) -> array; by default as many elements as fit */
static int segment_array(lua_State *L) {
  check_view(L, 1);
  check_integer(L, 2);
  scalar type = (scalar)check_option(L, 3, scalar_names);
  element e = { type, scalar_size(type), NULL, false };
  return push_checked_array(L, 1, 2, 4, &e);
}

static const luaL_Reg methods[] = { { "ipairs", array_ipairs }, { NULL, NULL } };

static const luaL_Reg metamethods[] = {
  { "__len", array_len },
  { "__newindex", array_newindex },
  { "__tostring", array_tostring },
  { NULL, NULL },
};

const luaL_Reg segment_array_methods[] = { { "array", segment_array }, { NULL, NULL } };

void binding_open_array(lua_State *L) {
  binding_new_class(L, ARRAY_CLASS, metamethods, methods);
  binding_register(L, array_bulk_methods);
  binding_register(L, array_copy_methods);
  if (luaL_loadstring(L, "return {...}") != 0)
    lua_error(L);
  lua_pushcclosure(L, array_totable, 1);
  lua_setfield(L, -2, "totable");
  lua_pushcclosure(L, array_index, 1); /* over the methods */
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
