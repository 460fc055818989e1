/* SPDX-License-Identifier: MIT */
/* The scalar types of get_/set_, arrays and structs: between Lua values and bytes.
 *
 * The functions are inline so that a caller with a constant type pays for that one only. */
#ifndef SHMSEG_BINDING_SCALAR_H
#define SHMSEG_BINDING_SCALAR_H

#include <string.h>

#include "binding/binding.h"

typedef enum {
  SCALAR_bool,
  SCALAR_i8,
  SCALAR_u8,
  SCALAR_i16,
  SCALAR_u16,
  SCALAR_i32,
  SCALAR_u32,
  SCALAR_i64,
  SCALAR_u64,
  SCALAR_f32,
  SCALAR_f64
} scalar;

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
  static const unsigned char sizes[SCALARS] = { 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8 };
  return sizes[type];
}

#pragma GCC visibility push(hidden)

/* Raises that the argument's integer does not fit. */
void scalar_range_error(lua_State *L, int arg, scalar type);

/* An integer from -2^63 to 2^64 - 1, as its 64 bits. */
uint64_t check_uint64(lua_State *L, int arg);

#pragma GCC visibility pop

static inline int64_t scalar_check_signed(lua_State *L, int arg, scalar type) {
  int64_t n = check_integer(L, arg);
  int64_t limit = (int64_t)1 << (8 * scalar_size(type) - 1);
  if (n < -limit || n >= limit)
    scalar_range_error(L, arg, type);
  return n;
}

/* Either reading of the bits: -2^(n-1) to 2^n - 1. */
static inline int64_t scalar_check_unsigned(lua_State *L, int arg, scalar type) {
  int64_t n = check_integer(L, arg);
  int64_t limit = (int64_t)1 << (8 * scalar_size(type) - 1);
  if (n < -limit || n >= 2 * limit)
    scalar_range_error(L, arg, type);
  return n;
}

/* The argument as a value of that type; raises when it is none. */
static inline scalar_value scalar_check(lua_State *L, int arg, scalar type) {
  scalar_value value;
  value.u64 = 0;
  switch (type) {
  case SCALAR_bool: value.u8 = check_boolean(L, arg); break;
  case SCALAR_i8: value.i8 = (int8_t)scalar_check_signed(L, arg, type); break;
  case SCALAR_u8: value.u8 = (uint8_t)scalar_check_unsigned(L, arg, type); break;
  case SCALAR_i16: value.i16 = (int16_t)scalar_check_signed(L, arg, type); break;
  case SCALAR_u16: value.u16 = (uint16_t)scalar_check_unsigned(L, arg, type); break;
  case SCALAR_i32: value.i32 = (int32_t)scalar_check_signed(L, arg, type); break;
  case SCALAR_u32: value.u32 = (uint32_t)scalar_check_unsigned(L, arg, type); break;
  case SCALAR_i64: value.i64 = check_integer(L, arg); break;
  case SCALAR_u64: value.u64 = check_uint64(L, arg); break;
  case SCALAR_f32: value.f32 = (float)luaL_checknumber(L, arg); break;
  case SCALAR_f64: value.f64 = luaL_checknumber(L, arg); break;
  }
  return value;
}

static inline void scalar_push(lua_State *L, scalar type, scalar_value value) {
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

#endif
