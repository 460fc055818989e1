/* SPDX-License-Identifier: MIT */
/* The array userdata: elements of one scalar type, 1-based, through a[i] and in bulk. */
#include <limits.h>
#include <stdio.h>

#include "binding/scalar.h"

#define CLASS "shmseg.array"

static const char array_kind;

typedef struct {
  view view;
  uint64_t count;
  scalar type;
} array;

static array *check_array(lua_State *L, int arg) {
  array *a = test_kind(L, arg, &array_kind);
  return a ? a : luaL_checkudata(L, arg, CLASS); /* which raises */
}

/* The address of element i if all of the array is there; NULL when i is outside or it is not. */
static inline unsigned char *element(const array *a, uint64_t i) {
  const shmseg_segment *segment = a->view.segment;
  if (i - 1 >= a->count || a->view.offset + a->view.size > segment->size)
    return NULL;
  return segment->data + a->view.offset + (i - 1) * scalar_size(a->type);
}

/* Raises unless the whole array is there. */
static void check_present(lua_State *L, const array *a) {
  check_bytes(L, &a->view, 1, 0, a->view.size);
}

/* --- elements ----------------------------------------------------------------------------- */

/* a[key] where key is no integer: the methods. */
static int index_method(lua_State *L) {
  lua_settop(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

/* a[i] -> value, or nil outside */
static int array_index(lua_State *L) {
  array *a = check_array(L, 1);
  if (lua_type(L, 2) != LUA_TNUMBER)
    return index_method(L);
  int exact;
  uint64_t i = (uint64_t)to_integer(L, 2, &exact);
  const unsigned char *bytes = element(a, i);
  if (!bytes || !exact) {
    check_present(L, a);
    return 0;
  }
  scalar_value value = scalar_load(bytes, a->type);
  int err = shmseg_segment_status(a->view.segment);
  if (err)
    return view_raise(L, &a->view, err);
  scalar_push(L, a->type, value);
  return 1;
}

static int index_error(lua_State *L, const array *a, int arg) {
  char text[96];
  check_present(L, a);
  snprintf(text, sizeof text, "index out of range: %lld, array of %llu",
           (long long)check_integer(L, arg), (unsigned long long)a->count);
  return luaL_argerror(L, arg, text);
}

/* a[i] = value */
static int array_newindex(lua_State *L) {
  array *a = check_array(L, 1);
  uint64_t i = (uint64_t)check_integer(L, 2);
  scalar_value value = scalar_check(L, 3, a->type);
  check_writable(L, &a->view);
  unsigned char *bytes = element(a, i);
  if (!bytes)
    return index_error(L, a, 2);
  memcpy(bytes, &value, scalar_size(a->type));
  int err = shmseg_segment_status(a->view.segment);
  return err ? view_raise(L, &a->view, err) : 0;
}

static int array_len(lua_State *L) {
  array *a = check_array(L, 1);
  check_open(L, &a->view);
  push_uint64(L, a->count);
  return 1;
}

/* --- many at once ------------------------------------------------------------------------- */

typedef struct {
  uint64_t first; /* 0-based */
  uint64_t count;
} range;

/* Elements i to j; none when j < i. */
static range check_range(lua_State *L, const array *a, int64_t i, int64_t j) {
  range r = { 0, 0 };
  check_present(L, a);
  if (j < i)
    return r;
  if (i < 1 || (uint64_t)j > a->count) {
    char text[96];
    snprintf(text, sizeof text, "out of range: elements %lld to %lld, array of %llu", (long long)i,
             (long long)j, (unsigned long long)a->count);
    luaL_argerror(L, 2, text);
  }
  r.first = (uint64_t)i - 1;
  r.count = (uint64_t)(j - i) + 1;
  luaL_argcheck(L, r.count < INT_MAX, 2, "more elements than Lua can take at once");
  return r;
}

static int64_t opt_integer(lua_State *L, int arg, int64_t otherwise) {
  return lua_isnoneornil(L, arg) ? otherwise : check_integer(L, arg);
}

static unsigned char *bytes_of(const array *a, range r) {
  return a->view.segment->data + a->view.offset + r.first * scalar_size(a->type);
}

static int finish(lua_State *L, const array *a, int results) {
  int err = shmseg_segment_status(a->view.segment);
  return err ? push_view_failure(L, &a->view, err) : results;
}

/* get(i [, j]) -> values */
static int array_get(lua_State *L) {
  array *a = check_array(L, 1);
  int64_t i = check_integer(L, 2);
  range r = check_range(L, a, i, opt_integer(L, 3, i));
  luaL_checkstack(L, (int)r.count + 3, "too many values");
  const unsigned char *bytes = bytes_of(a, r);
  for (uint64_t k = 0; k < r.count; k++)
    scalar_push(L, a->type, scalar_load(bytes + k * scalar_size(a->type), a->type));
  return finish(L, a, (int)r.count);
}

/* totable([i [, j]]) -> table */
static int array_totable(lua_State *L) {
  array *a = check_array(L, 1);
  int64_t i = opt_integer(L, 2, 1);
  int64_t j = opt_integer(L, 3, (int64_t)a->count);
  range r = check_range(L, a, i, j);
  lua_createtable(L, (int)r.count, 0);
  check_present(L, a); /* a finalizer may have closed it; from here on nothing allocates */
  const unsigned char *bytes = bytes_of(a, r);
  for (uint64_t k = 0; k < r.count; k++) {
    scalar_push(L, a->type, scalar_load(bytes + k * scalar_size(a->type), a->type));
    lua_rawseti(L, -2, (int)k + 1);
  }
  return finish(L, a, 1);
}

/* Converts the values that stand from arg on, or in the table there, into new private memory that
 * is left on the stack. All of them, before a byte is written. */
static const unsigned char *check_values(lua_State *L, const array *a, int arg, size_t *count) {
  size_t size = scalar_size(a->type);
  bool in_table = lua_istable(L, arg);
  *count = in_table ? lua_rawlen(L, arg) : (size_t)(lua_gettop(L) - arg + 1);
  luaL_argcheck(L, *count <= a->count, arg, "more values than elements");
  unsigned char *values = lua_newuserdata(L, *count * size + 1);
  for (size_t k = 0; k < *count; k++) {
    scalar_value value;
    if (!in_table) {
      value = scalar_check(L, arg + (int)k, a->type);
    } else {
      lua_pushinteger(L, (lua_Integer)k + 1);
      lua_gettable(L, arg);
      if (!scalar_try(L, -1, a->type, &value))
        luaL_error(L, "value %d of the table is no %s", (int)k + 1, scalar_names[a->type]);
      lua_pop(L, 1);
    }
    memcpy(values + k * size, &value, size);
  }
  return values;
}

/* set(i, values... | table) */
static int array_set(lua_State *L) {
  array *a = check_array(L, 1);
  int64_t i = check_integer(L, 2);
  size_t count;
  const unsigned char *values = check_values(L, a, 3, &count);
  check_writable(L, &a->view);
  range r = check_range(L, a, i, i <= (int64_t)a->count ? i + (int64_t)count - 1 : i);
  if (r.count > 0)
    memcpy(bytes_of(a, r), values, r.count * scalar_size(a->type));
  return finish(L, a, 0);
}

/* fill(value) */
static int array_fill(lua_State *L) {
  array *a = check_array(L, 1);
  scalar_value value = scalar_check(L, 2, a->type);
  size_t size = scalar_size(a->type);
  check_writable(L, &a->view);
  check_present(L, a);
  unsigned char *bytes = a->view.segment->data + a->view.offset;
  for (uint64_t k = 0; k < a->count; k++)
    memcpy(bytes + k * size, &value, size);
  return finish(L, a, 0);
}

/* The iterator: i -> i + 1, value */
static int array_next(lua_State *L) {
  uint64_t i = (uint64_t)check_integer(L, 2) + 1;
  lua_settop(L, 1);
  push_uint64(L, i);
  push_uint64(L, i);
  lua_gettable(L, 1); /* array_index, or what has taken its place */
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

static int array_tostring(lua_State *L) {
  array *a = check_array(L, 1);
  char text[96];
  snprintf(text, sizeof text, CLASS " (%llu of %s)", (unsigned long long)a->count,
           scalar_names[a->type]);
  lua_pushstring(L, view_is_closed(&a->view) ? CLASS " (closed)" : text);
  return 1;
}

/* --- making ------------------------------------------------------------------------------- */

void push_array(lua_State *L, int arg, scalar type) {
  array *a = push_new_view(L, arg, sizeof *a, &array_kind);
  a->type = type;
  a->count = 0;
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
}

void array_aim(void *userdata, const view *base, uint64_t offset, uint64_t count) {
  array *a = userdata;
  view_aim(&a->view, base, offset, count * scalar_size(a->type));
  a->count = count;
}

/* segment:array(offset, type [, count]) -> array; by default of all that fit */
static int segment_array(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  scalar type = (scalar)luaL_checkoption(L, 3, NULL, scalar_names);
  bool to_end = lua_isnoneornil(L, 4);
  uint64_t count = to_end ? 0 : check_size(L, 4);
  size_t size = scalar_size(type);
  push_array(L, 1, type);
  check_bytes(L, v, 2, offset, 0);
  if (to_end)
    count = (view_limit(v) - offset) / size;
  /* a count that overflows is out of range like the largest that does not */
  check_bytes(L, v, 2, offset, count <= INT64_MAX / size ? count * size : INT64_MAX);
  array_aim(lua_touserdata(L, -1), v, offset, count);
  return 1;
}

static const luaL_Reg methods[] = {
  { "fill", array_fill }, { "get", array_get },         { "ipairs", array_ipairs },
  { "set", array_set },   { "totable", array_totable }, { NULL, NULL },
};

static const luaL_Reg metamethods[] = {
  { "__len", array_len },
  { "__newindex", array_newindex },
  { "__tostring", array_tostring },
  { NULL, NULL },
};

const luaL_Reg segment_array_methods[] = { { "array", segment_array }, { NULL, NULL } };

void binding_open_array(lua_State *L) {
  binding_new_class(L, CLASS, metamethods, methods);
  lua_pushcclosure(L, array_index, 1); /* over the methods */
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
