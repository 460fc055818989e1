/* SPDX-License-Identifier: MIT */
/* The scalar types of get_/set_, arrays and structs: from Lua values to bytes, and back.
 *
 * The functions are inline: where the type is a constant, only the code for that type is left. */
#ifndef SHMSEG_BINDING_SCALAR_H
#define SHMSEG_BINDING_SCALAR_H

#include <math.h>
#include <string.h>

#include "binding/lua.h"

/* The one list of the scalar types: calls X with the name and the C type of each. */
#define SCALAR_TYPES(X)                                                                            \
  X(bool, bool)                                                                                    \
  X(i8, int8_t)                                                                                    \
  X(u8, uint8_t)                                                                                   \
  X(i16, int16_t)                                                                                  \
  X(u16, uint16_t)                                                                                 \
  X(i32, int32_t)                                                                                  \
  X(u32, uint32_t)                                                                                 \
  X(i64, int64_t)                                                                                  \
  X(u64, uint64_t)                                                                                 \
  X(f32, float)                                                                                    \
  X(f64, double)

#define SCALAR_NUMBER(name, type) SCALAR_##name,
typedef enum { SCALAR_TYPES(SCALAR_NUMBER) } scalar;
#undef SCALAR_NUMBER

#define SCALARS 11

/* The bytes of one value, in native order, whatever its type. */
typedef union {
  uint8_t u8;
  int8_t i8;
  uint16_t u16;
  int16_t i16;
  uint32_t u32;
  int32_t i32;
  uint64_t u64;
  int64_t i64;
  float f32;
  double f64;
} scalar_value;

static inline size_t scalar_size(scalar type) {
#define SCALAR_SIZE(name, type) sizeof(type),
  static const unsigned char sizes[] = { SCALAR_TYPES(SCALAR_SIZE) };
#undef SCALAR_SIZE
  return sizes[type];
}

#pragma GCC visibility push(hidden)

/* The name of each scalar; NULL ends the list. */
extern const char *const scalar_names[];

/* Raises that the argument is not a value of the type, and why. */
void scalar_error(lua_State *L, int arg, scalar type);

#pragma GCC visibility pop

/* Is the integer n in the range of the type? An unsigned type also takes negative integers that
 * have the same bits as one in its range: with b bits, -2^(b-1) to 2^b - 1. */
static inline bool scalar_fits(int64_t n, scalar type, bool is_signed) {
  int64_t limit = (int64_t)1 << (8 * scalar_size(type) - 1);
  return n >= -limit && n < (is_signed ? limit : 2 * limit);
}

/* Converts the value at index; false when it is not of the type. Like to_integer() it raises only
 * when memory is short, and may run hooks on LuaJIT. */
ALWAYS_INLINE bool scalar_try(lua_State *L, int index, scalar type, scalar_value *value) {
  int ok;
  int64_t n;
  value->u64 = 0;
  switch (type) {
  case SCALAR_bool: value->u8 = lua_toboolean(L, index) != 0; return lua_isboolean(L, index);
  case SCALAR_i8:
    value->i8 = (int8_t)(n = to_integer(L, index, &ok));
    return ok && scalar_fits(n, type, true);
  case SCALAR_u8:
    value->u8 = (uint8_t)(n = to_integer(L, index, &ok));
    return ok && scalar_fits(n, type, false);
  case SCALAR_i16:
    value->i16 = (int16_t)(n = to_integer(L, index, &ok));
    return ok && scalar_fits(n, type, true);
  case SCALAR_u16:
    value->u16 = (uint16_t)(n = to_integer(L, index, &ok));
    return ok && scalar_fits(n, type, false);
  case SCALAR_i32:
    value->i32 = (int32_t)(n = to_integer(L, index, &ok));
    return ok && scalar_fits(n, type, true);
  case SCALAR_u32:
    value->u32 = (uint32_t)(n = to_integer(L, index, &ok));
    return ok && scalar_fits(n, type, false);
  case SCALAR_i64: value->i64 = to_integer(L, index, &ok); return ok;
  case SCALAR_u64: value->u64 = to_uint64(L, index, &ok); return ok;
  case SCALAR_f32: {
    lua_Number number = to_number(L, index, &ok);
    value->f32 = (float)number;
    return ok && (!isinf(value->f32) || isinf(number)); /* too large for an f32: out of range */
  }
  case SCALAR_f64: value->f64 = to_number(L, index, &ok); return ok;
  }
  return false;
}

/* The argument as a value of the type; raises when it is not one. */
ALWAYS_INLINE scalar_value scalar_check(lua_State *L, int arg, scalar type) {
  scalar_value value;
  if (!scalar_try(L, arg, type, &value))
    scalar_error(L, arg, type);
  return value;
}

/* Writes the value to bytes of a mapping. */
static inline void scalar_store(unsigned char *bytes, scalar type, scalar_value value) {
  switch (scalar_size(type)) { /* constant sizes: a variable one becomes a slow instruction */
  case 1: memcpy(bytes, &value, 1); break;
  case 2: memcpy(bytes, &value, 2); break;
  case 4: memcpy(bytes, &value, 4); break;
  default: memcpy(bytes, &value, 8); break;
  }
}

/* Reads the value from bytes of a mapping, once. */
static inline scalar_value scalar_load(const unsigned char *bytes, scalar type) {
  scalar_value value;
  switch (scalar_size(type)) {
  case 1: memcpy(&value, bytes, 1); break;
  case 2: memcpy(&value, bytes, 2); break;
  case 4: memcpy(&value, bytes, 4); break;
  default: memcpy(&value, bytes, 8); break;
  }
  return value;
}

ALWAYS_INLINE void scalar_push(lua_State *L, scalar type, scalar_value value) {
  switch (type) {
  case SCALAR_bool: lua_pushboolean(L, value.u8 != 0); break;
  case SCALAR_i8: lua_pushinteger(L, value.i8); break;
  case SCALAR_u8: lua_pushinteger(L, value.u8); break;
  case SCALAR_i16: lua_pushinteger(L, value.i16); break;
  case SCALAR_u16: lua_pushinteger(L, value.u16); break;
  case SCALAR_i32: lua_pushinteger(L, value.i32); break;
  case SCALAR_u32: push_uint64(L, value.u32); break;
  case SCALAR_i64: push_int64(L, value.i64); break;
  case SCALAR_u64: push_uint64(L, value.u64); break;
  case SCALAR_f32: lua_pushnumber(L, value.f32); break;
  case SCALAR_f64: lua_pushnumber(L, value.f64); break;
  }
}

/* Is the value plain: can it be pushed without an allocation, and without an error? From 5.3 on,
 * every value is. */
ALWAYS_INLINE bool scalar_is_plain(scalar type, scalar_value value) {
  if (type == SCALAR_i64)
    return holds_int64(value.i64);
  return type != SCALAR_u64 || holds_uint64(value.u64);
}

/* Are all values of the type plain? */
static inline bool scalar_type_is_plain(scalar type) {
  return LUA_VERSION_NUM >= 503 || (type != SCALAR_i64 && type != SCALAR_u64);
}

/* Pushes count scalars from bytes of a mapping, each read once, but stops before one that is not
 * plain. Returns how many were pushed. Allocates nothing; the caller has made room on the stack. */
#define PUSH_ALL(name, ctype)                                                                      \
  case SCALAR_##name:                                                                              \
    for (size_t i = 0; i < count; i++) {                                                           \
      scalar_value value = scalar_load(bytes + i * scalar_size(SCALAR_##name), SCALAR_##name);     \
      if (!scalar_is_plain(SCALAR_##name, value))                                                  \
        return i;                                                                                  \
      scalar_push(L, SCALAR_##name, value);                                                        \
    }                                                                                              \
    break;

ALWAYS_INLINE size_t scalar_push_all(lua_State *L, scalar type, const unsigned char *bytes,
                                     size_t count) {
  switch (type) { SCALAR_TYPES(PUSH_ALL) }
  return count;
}

#undef PUSH_ALL

#endif
