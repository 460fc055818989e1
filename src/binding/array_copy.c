/* SPDX-License-Identifier: MIT */
/* Arrays and other arrays: elements are copied and compared without Lua values between them. */
#include <stdio.h>

#include "binding/array.h"
#include "binding/segment.h"

/* Bytes that are compared at a time. */
#define PIECE 4096

static bool is_same_type(const element *a, const element *b) {
  return a->type == b->type && a->size == b->size && a->shape == b->shape;
}

/* Is it a scalar that is a number? */
static bool is_number(const element *e) {
  return e->type < SCALARS && e->type != SCALAR_bool;
}

/* --- numbers of other types ----------------------------------------------------------------- */

/* A number on its way from one type to another: an integer n, or the float x. is_big: the integer is
 * 2^63 or more, and n has its bits. */
typedef struct {
  bool is_float, is_big;
  int64_t n;
  double x;
} number;

static number number_of(scalar_value value, scalar type) {
  switch (type) {
  case SCALAR_i8: return (number){ .n = value.i8 };
  case SCALAR_u8: return (number){ .n = value.u8 };
  case SCALAR_i16: return (number){ .n = value.i16 };
  case SCALAR_u16: return (number){ .n = value.u16 };
  case SCALAR_i32: return (number){ .n = value.i32 };
  case SCALAR_u32: return (number){ .n = value.u32 };
  case SCALAR_i64: return (number){ .n = value.i64 };
  case SCALAR_u64: return (number){ .is_big = value.u64 > INT64_MAX, .n = value.i64 };
  case SCALAR_f32: return (number){ .is_float = true, .x = value.f32 };
  default: return (number){ .is_float = true, .x = value.f64 };
  }
}

/* Makes an integer of a float that is one; false when it is none, or none of 64 bits. */
static bool number_round(number *v) {
  const double limit = 9223372036854775808.0; /* 2^63 */
  if (!v->is_float)
    return true;
  if (!(v->x >= -limit && v->x < 2 * limit) || floor(v->x) != v->x)
    return false;
  v->is_float = false;
  v->is_big = v->x >= limit;
  v->n = v->is_big ? (int64_t)(uint64_t)v->x : (int64_t)v->x;
  return true;
}

/* The same ranges as those of values from Lua; false when it is in none. */
static bool number_to(number v, scalar type, scalar_value *out) {
  bool is_signed = type == SCALAR_i8 || type == SCALAR_i16 || type == SCALAR_i32;
  out->u64 = 0;
  if (type == SCALAR_f32 || type == SCALAR_f64) {
    double x = v.is_float ? v.x : v.is_big ? (double)(uint64_t)v.n : (double)v.n;
    if (type == SCALAR_f64)
      out->f64 = x;
    else
      out->f32 = (float)x;
    return type == SCALAR_f64 || !isinf(out->f32) || isinf(x);
  }
  if (!number_round(&v) || (v.is_big && type != SCALAR_u64))
    return false;
  switch (scalar_size(type)) {
  case 1: out->u8 = (uint8_t)v.n; break;
  case 2: out->u16 = (uint16_t)v.n; break;
  case 4: out->u32 = (uint32_t)v.n; break;
  default: out->i64 = v.n; return true;
  }
  return scalar_fits(v.n, type, is_signed);
}

/* Raises that the kth value is none of the array's. */
static int number_error(lua_State *L, const array *a, number v, uint64_t k) {
  char text[128];
  int length = snprintf(text, sizeof text, "value %llu: %s expected, got ", (unsigned long long)k,
                        scalar_names[a->element.type]);
  size_t left = sizeof text - (size_t)length;
  if (v.is_float)
    snprintf(text + length, left, "%.14g", v.x);
  else if (v.is_big)
    snprintf(text + length, left, "%llu", (unsigned long long)v.n);
  else
    snprintf(text + length, left, "%lld", (long long)v.n);
  return luaL_argerror(L, 3, text);
}

/* --- copying -------------------------------------------------------------------------------- */

static uint64_t position_of(const array *a, uint64_t first) {
  return first * a->element.size;
}

/* Copies count elements of other, each converted, by way of private memory: no element changes when
 * one is out of range. */
static void convert_elements(lua_State *L, const array *a, uint64_t to, const array *other,
                             uint64_t from, uint64_t count) {
  scalar type = (scalar)a->element.type, source = (scalar)other->element.type;
  size_t size = a->element.size, step = other->element.size;
  unsigned char *image = lua_newuserdata(L, count * size + 1); /* a finalizer may close a segment */
  check_writable(L, &a->view);
  array_check_present(L, a);
  array_check_present(L, other);
  const unsigned char *bytes = other->view.segment->data + other->view.offset + from * step;
  for (uint64_t k = 0; k < count; k++) {
    number v = number_of(scalar_load(bytes + k * step, source), source);
    scalar_value out;
    if (!number_to(v, type, &out))
      number_error(L, a, v, k + 1);
    scalar_store(image + k * size, type, out);
  }
  if (view_status(&other->view) == 0) /* else what was read is no value */
    memcpy(a->view.segment->data + a->view.offset + to * size, image, count * size);
}

/* Raises unless elements i to i + count - 1 are there. */
static void check_target(lua_State *L, const array *a, int64_t i, uint64_t count) {
  bool has_room = i >= 1 && (uint64_t)i - 1 <= a->count && count <= a->count - ((uint64_t)i - 1);
  if (!has_room)
    array_outside_error(L, a, 2, i, i > INT64_MAX - (int64_t)count ? i : i + (int64_t)count - 1);
}

static array *check_source(lua_State *L, const array *a, int arg) {
  array *other = check_array(L, arg);
  const element *own = &a->element, *its = &other->element;
  if (!is_same_type(own, its) && !(is_number(own) && is_number(its))) {
    lua_pushfstring(L, "elements of another type: %s, and not %s", array_type_name(other),
                    array_type_name(a));
    luaL_argerror(L, arg, lua_tostring(L, -1));
  }
  return other;
}

int array_set_array(lua_State *L, array *a, int64_t i) {
  const array *other = check_source(L, a, 3);
  int64_t j = lua_isnoneornil(L, 4) ? 1 : check_integer(L, 4);
  int64_t k = lua_isnoneornil(L, 5) ? (int64_t)other->count : check_integer(L, 5);
  check_writable(L, &a->view);
  array_check_present(L, a);
  array_check_present(L, other);
  uint64_t count = k < j ? 0 : (uint64_t)k - (uint64_t)j + 1;
  if (count > 0 && (j < 1 || (uint64_t)k > other->count))
    array_outside_error(L, other, 4, j, k);
  if (count > 0)
    check_target(L, a, i, count);
  uint64_t to = (uint64_t)i - 1, from = (uint64_t)j - 1;
  if (count > 0 && is_same_type(&a->element, &other->element))
    move_bytes(&a->view, position_of(a, to), &other->view, position_of(other, from),
               (size_t)(count * a->element.size));
  else if (count > 0)
    convert_elements(L, a, to, other, from, count);
  int err = view_status(&other->view);
  if (err)
    return push_view_failure(L, &other->view, err);
  lua_pushboolean(L, 1);
  return view_finish(L, &a->view, 1);
}

/* --- comparing ------------------------------------------------------------------------------ */

/* Two numbers, neither of which is NaN, by their order. */
#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

/* NaN comes after all numbers, and is equal to itself. */
static int order_of_floats(double a, double b) {
  bool is_less = isnan(b) && !isnan(a), is_more = isnan(a) && !isnan(b);
  return is_less ? -1 : is_more ? 1 : ORDER(a, b);
}

static int order_of(const element *e, const unsigned char *left, const unsigned char *right) {
  if (e->type == ELEMENT_CHAR)
    return strncmp((const char *)left, (const char *)right, e->size);
  scalar type = (scalar)e->type;
  scalar_value a = scalar_load(left, type), b = scalar_load(right, type);
  switch (type) {
  case SCALAR_bool: return (a.u8 != 0) - (b.u8 != 0);
  case SCALAR_i8: return ORDER(a.i8, b.i8);
  case SCALAR_u8: return ORDER(a.u8, b.u8);
  case SCALAR_i16: return ORDER(a.i16, b.i16);
  case SCALAR_u16: return ORDER(a.u16, b.u16);
  case SCALAR_i32: return ORDER(a.i32, b.i32);
  case SCALAR_u32: return ORDER(a.u32, b.u32);
  case SCALAR_i64: return ORDER(a.i64, b.i64);
  case SCALAR_u64: return ORDER(a.u64, b.u64);
  case SCALAR_f32: return order_of_floats(a.f32, b.f32);
  case SCALAR_f64: return order_of_floats(a.f64, b.f64);
  }
  return 0;
}

/* Compares count elements: -1, 0 or 1, and in *at the first difference, from 0. Bytes that are equal
 * are equal elements, and are passed over in pieces. */
static int compare_elements(const array *a, const array *b, uint64_t count, uint64_t *at) {
  const unsigned char *left = a->view.segment->data + a->view.offset;
  const unsigned char *right = b->view.segment->data + b->view.offset;
  size_t size = a->element.size;
  uint64_t piece = size < PIECE ? PIECE / size : 1;
  for (uint64_t first = 0; first < count; first += piece) {
    uint64_t end = count - first < piece ? count : first + piece;
    if (memcmp(left + first * size, right + first * size, (size_t)(end - first) * size) == 0)
      continue;
    for (*at = first; *at < end; ++*at) {
      int order = order_of(&a->element, left + *at * size, right + *at * size);
      if (order != 0)
        return order < 0 ? -1 : 1;
    }
  }
  return 0;
}

/* compare(other) -> -1 | 0 | 1, index of the first difference */
static int array_compare(lua_State *L) {
  array *a = check_array(L, 1);
  array *other = check_array(L, 2);
  uint64_t at = 0;
  if (a->element.type == ELEMENT_STRUCT)
    return luaL_argerror(L, 1, "structs have no order: compare their fields");
  if (!is_same_type(&a->element, &other->element)) {
    lua_pushfstring(L, "elements of another type: %s, and not %s", array_type_name(other),
                    array_type_name(a));
    return luaL_argerror(L, 2, lua_tostring(L, -1));
  }
  array_check_present(L, a);
  array_check_present(L, other);
  uint64_t count = a->count < other->count ? a->count : other->count;
  int order = compare_elements(a, other, count, &at);
  int err = view_status(&other->view);
  if (err)
    return push_view_failure(L, &other->view, err);
  if (order == 0) {
    order = ORDER(a->count, other->count);
    at = count;
  }
  lua_pushinteger(L, order);
  if (order == 0)
    return view_finish(L, &a->view, 1);
  push_uint64(L, at + 1);
  return view_finish(L, &a->view, 2);
}

const luaL_Reg array_copy_methods[] = { { "compare", array_compare }, { NULL, NULL } };
