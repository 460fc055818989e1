/* SPDX-License-Identifier: MIT */
/* Many elements of an array at once: get, set, fill, totable. */
#include <limits.h>

#include "binding/array.h"

typedef struct {
  uint64_t first; /* 0-based */
  uint64_t count;
} range;

/* Elements i to j; none when j < i. */
static range check_range(lua_State *L, const array *a, int64_t i, int64_t j) {
  range r = { 0, 0 };
  array_check_present(L, a);
  if (j < i)
    return r;
  if (i < 1 || (uint64_t)j > a->count)
    array_outside_error(L, a, 2, i, j);
  r.first = (uint64_t)i - 1;
  r.count = (uint64_t)(j - i) + 1;
  /* half of INT_MAX, since Lua adds to a number of stack slots before it checks the number */
  luaL_argcheck(L, r.count < INT_MAX / 2, 2, "more elements than Lua can take at once");
  return r;
}

static int64_t opt_integer(lua_State *L, int arg, int64_t otherwise) {
  return lua_isnoneornil(L, arg) ? otherwise : check_integer(L, arg);
}

static unsigned char *bytes_of(const array *a, range r) {
  return a->view.segment->data + a->view.offset + r.first * a->element.size;
}

/* Pushes a private copy of the range's bytes. */
static const unsigned char *array_push_copy(lua_State *L, const array *a, range r) {
  unsigned char *copy = lua_newuserdata(L, r.count * a->element.size + 1);
  array_check_present(L, a);
  memcpy(copy, bytes_of(a, r), r.count * a->element.size);
  return copy;
}

/* The bytes of the range. Scalars of a plain type can be pushed without an allocation: they stay in
 * the segment, and are read once each. Others are copied to private memory, which is pushed. */
static const unsigned char *push_source(lua_State *L, const array *a, range r) {
  if (a->element.type >= SCALARS || !scalar_type_is_plain((scalar)a->element.type))
    return array_push_copy(L, a, r);
  array_check_present(L, a);
  return bytes_of(a, r);
}

/* Pushes the values of the range, each read once, if all are plain scalars. Else pushes nothing. */
static bool push_plain(lua_State *L, const array *a, range r) {
  if (a->element.type >= SCALARS)
    return false;
  int top = lua_gettop(L);
  array_check_present(L, a);
  if (scalar_push_all(L, (scalar)a->element.type, bytes_of(a, r), r.count) == r.count)
    return true;
  lua_settop(L, top);
  return false;
}

/* get(i [, j]) -> values; structs as tables */
static int array_get(lua_State *L) {
  array *a = check_array(L, 1);
  int64_t i = check_integer(L, 2);
  range r = check_range(L, a, i, opt_integer(L, 3, i));
  luaL_checkstack(L, (int)r.count + 4, "too many values");
  if (!push_plain(L, a, r)) {
    const unsigned char *bytes = array_push_copy(L, a, r);
    for (uint64_t k = 0; k < r.count; k++)
      element_push(L, &a->element, bytes + k * a->element.size);
  }
  return view_finish(L, &a->view, (int)r.count);
}

/* Up to so many scalars become a table by way of the Lua stack. */
#define COLLECT_MAX 4096

/* Makes the table in the fastest way, which is a Lua function "return {...}", upvalue 1. The values
 * are read before it is called, so its hooks do no harm. Returns 0, and leaves things on the stack,
 * when the values are too many or not plain. */
static int collect(lua_State *L, const array *a, range r) {
  if (r.count > COLLECT_MAX || !lua_checkstack(L, (int)r.count + 4))
    return 0;
  lua_pushvalue(L, lua_upvalueindex(1));
  if (!push_plain(L, a, r))
    return 0;
  int err = view_status(&a->view);
  if (err)
    return push_view_failure(L, &a->view, err);
  lua_call(L, (int)r.count, 1);
  return 1;
}

/* totable([i [, j]]) -> table */
int array_totable(lua_State *L) {
  array *a = check_array(L, 1);
  int64_t i = opt_integer(L, 2, 1);
  int64_t j = opt_integer(L, 3, (int64_t)a->count);
  range r = check_range(L, a, i, j);
  lua_settop(L, 3);
  int results = collect(L, a, r);
  if (results > 0)
    return results;
  lua_settop(L, 3);
  lua_createtable(L, (int)r.count, 0);
  const unsigned char *bytes = push_source(L, a, r);
  for (uint64_t k = 0; k < r.count; k++) {
    element_push(L, &a->element, bytes + k * a->element.size);
    lua_rawseti(L, 4, (int)k + 1);
  }
  lua_settop(L, 4);
  return view_finish(L, &a->view, 1);
}

/* The values of array_set: from index 3 on, or in the table at index 3. */
typedef struct {
  bool in_table, is_plain; /* is_plain: the table has no metatable */
  size_t count;
} source;

/* A single table is the list of the values. For an array of structs, a table without elements is one
 * value: a struct. */
static source check_source(lua_State *L, const array *a) {
  source s = { lua_istable(L, 3) && lua_gettop(L) == 3, true, (size_t)lua_gettop(L) - 2 };
  if (s.in_table && a->element.type == ELEMENT_STRUCT && lua_rawlen(L, 3) == 0)
    s.in_table = false;
  if (s.in_table) {
    s.count = lua_rawlen(L, 3);
    s.is_plain = !lua_getmetatable(L, 3);
    lua_settop(L, 3);
  }
  luaL_argcheck(L, s.count <= a->count, 3, "more values than elements");
  return s;
}

/* Pushes count values of the table; k values are before them. */
static void push_from_table(lua_State *L, source s, size_t k, size_t count) {
  int end = (int)(k + count);
  for (int i = (int)k + 1; s.is_plain && i <= end; i++)
    lua_rawgeti(L, 3, i);
  for (int i = (int)k + 1; !s.is_plain && i <= end; i++) {
    lua_pushinteger(L, i);
    lua_gettable(L, 3);
  }
}

/* How many values of a table are on the stack at a time: to pop each alone would cost as much as to
 * push it. */
#define BATCH 64

/* Converts count values, from index on, to scalars of a type that is a constant for the compiler.
 * Returns how many were converted before one that is no such scalar. */
ALWAYS_INLINE size_t encode_scalars(lua_State *L, int index, size_t count, scalar type,
                                    unsigned char *image) {
  for (size_t k = 0; k < count; k++) {
    scalar_value value;
    if (!scalar_try(L, index + (int)k, type, &value))
      return k;
    scalar_store(image + k * scalar_size(type), type, value);
  }
  return count;
}

#define ENCODE(name, ctype)                                                                        \
  case SCALAR_##name: return encode_scalars(L, index, count, SCALAR_##name, image);

static size_t encode_all(lua_State *L, int index, size_t count, scalar type, unsigned char *image) {
  switch (type) { SCALAR_TYPES(ENCODE) }
  return 0;
}

#undef ENCODE

/* Raises that the value at index, which k values are before, is not of the array's type. */
static void array_value_error(lua_State *L, const array *a, int index, size_t k) {
  element_error(L, index, &(where){ NULL, NULL, k + 1 }, scalar_names[a->element.type]);
}

/* Pushes an image of all values, converted to scalars. Nothing of the array is written before. */
static const unsigned char *check_scalars(lua_State *L, const array *a, source s) {
  scalar type = (scalar)a->element.type;
  unsigned char *image = lua_newuserdata(L, s.count * a->element.size + 1);
  int top = lua_gettop(L);
  if (!s.in_table) {
    size_t good = encode_all(L, 3, s.count, type, image);
    if (good < s.count)
      array_value_error(L, a, 3 + (int)good, good);
    return image;
  }
  luaL_checkstack(L, BATCH + 2, "too many values");
  for (size_t k = 0; k < s.count; k += BATCH) {
    size_t count = s.count - k < BATCH ? s.count - k : BATCH;
    push_from_table(L, s, k, count);
    size_t good = encode_all(L, top + 1, count, type, image + k * a->element.size);
    if (good < count)
      array_value_error(L, a, top + 1 + (int)good, k + good);
    lua_settop(L, top);
  }
  return image;
}

/* The same for elements that are not scalars. *mask tells which bytes the values name. */
static const unsigned char *check_values(lua_State *L, const array *a, source s,
                                         unsigned char **mask) {
  size_t size = a->element.size;
  unsigned char *image = push_image(L, s.count * size, mask);
  int top = lua_gettop(L);
  for (size_t k = 0; k < s.count; k++) {
    where w = { NULL, NULL, k + 1 };
    if (s.in_table)
      push_from_table(L, s, k, 1);
    element_encode(L, s.in_table ? top + 1 : 3 + (int)k, &a->element, &w, image + k * size,
                   *mask + k * size);
    lua_settop(L, top);
  }
  return image;
}

/* set(i, values... | table | array [, j [, k]]) -> true */
static int array_set(lua_State *L) {
  array *a = check_array(L, 1);
  int64_t i = check_integer(L, 2);
  unsigned char *mask = NULL;
  luaL_checkany(L, 3);
  if (is_array(L, 3))
    return array_set_array(L, a, i);
  source s = check_source(L, a);
  bool is_scalar = a->element.type < SCALARS;
  const unsigned char *image = is_scalar ? check_scalars(L, a, s) : check_values(L, a, s, &mask);
  check_writable(L, &a->view);
  array_check_present(L, a);
  if (s.count > 0) {
    int64_t count = (int64_t)s.count; /* at most the array's count */
    range r = check_range(L, a, i, i <= (int64_t)a->count ? i + count - 1 : i);
    size_t size = r.count * a->element.size;
    if (is_scalar)
      memcpy(bytes_of(a, r), image, size);
    else
      element_write(bytes_of(a, r), image, mask, size);
  }
  lua_pushboolean(L, 1);
  return view_finish(L, &a->view, 1);
}

/* fill(value) -> true */
static int array_fill(lua_State *L) {
  array *a = check_array(L, 1);
  unsigned char *mask;
  size_t size = a->element.size;
  luaL_checkany(L, 2);
  unsigned char *image = push_image(L, size, &mask);
  element_encode(L, 2, &a->element, NULL, image, mask);
  check_writable(L, &a->view);
  array_check_present(L, a);
  unsigned char *bytes = a->view.segment->data + a->view.offset;
  for (uint64_t k = 0; k < a->count; k++)
    element_write(bytes + k * size, image, mask, size);
  lua_pushboolean(L, 1);
  return view_finish(L, &a->view, 1);
}

const luaL_Reg array_bulk_methods[] = {
  { "fill", array_fill },
  { "get", array_get },
  { "set", array_set },
  { NULL, NULL },
};
