/* SPDX-License-Identifier: MIT */
/* get_i32, set_i32 and the like: one value of a C type at any offset, in native byte order. */
#include "binding/scalar.h"
#include "binding/segment.h"

ALWAYS_INLINE int get(lua_State *L, scalar type) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  scalar_value value = scalar_load(check_bytes(L, v, 2, offset, scalar_size(type)), type);
  int err = view_status(v);
  if (err)
    return push_view_failure(L, v, err);
  scalar_push(L, type, value);
  return 1;
}

ALWAYS_INLINE int set(lua_State *L, scalar type) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  scalar_value value = scalar_check(L, 3, type);
  check_writable(L, v);
  memcpy(check_bytes(L, v, 2, offset, scalar_size(type)), &value, scalar_size(type));
  push_uint64(L, offset + scalar_size(type));
  return view_finish(L, v, 1);
}

/* The two methods of one type. */
#define ACCESSORS(name)                                                                            \
  static int segment_get_##name(lua_State *L) {                                                    \
    return get(L, SCALAR_##name);                                                                  \
  }                                                                                                \
  static int segment_set_##name(lua_State *L) {                                                    \
    return set(L, SCALAR_##name);                                                                  \
  }

ACCESSORS(bool)
ACCESSORS(i8)
ACCESSORS(u8)
ACCESSORS(i16)
ACCESSORS(u16)
ACCESSORS(i32)
ACCESSORS(u32)
ACCESSORS(i64)
ACCESSORS(u64)
ACCESSORS(f32)
ACCESSORS(f64)

const luaL_Reg segment_scalar_methods[] = {
  { "get_bool", segment_get_bool },
  { "set_bool", segment_set_bool },
  { "get_i8", segment_get_i8 },
  { "set_i8", segment_set_i8 },
  { "get_u8", segment_get_u8 },
  { "set_u8", segment_set_u8 },
  { "get_i16", segment_get_i16 },
  { "set_i16", segment_set_i16 },
  { "get_u16", segment_get_u16 },
  { "set_u16", segment_set_u16 },
  { "get_i32", segment_get_i32 },
  { "set_i32", segment_set_i32 },
  { "get_u32", segment_get_u32 },
  { "set_u32", segment_set_u32 },
  { "get_i64", segment_get_i64 },
  { "set_i64", segment_set_i64 },
  { "get_u64", segment_get_u64 },
  { "set_u64", segment_set_u64 },
  { "get_f32", segment_get_f32 },
  { "set_f32", segment_set_f32 },
  { "get_f64", segment_get_f64 },
  { "set_f64", segment_set_f64 },
  { NULL, NULL },
};
