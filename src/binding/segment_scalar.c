/* SPDX-License-Identifier: MIT */
/* get_i32, set_i32 and the like: one value of a C type at any offset, in native byte order. */
#include "binding/scalar.h"
#include "binding/segment.h"

static inline void note(view *v) {
  if (!view_is_noted(v, SEGMENT_SORT) && !view_is_closed(v))
    view_shorten(v, SEGMENT_SORT, view_limit(v), 0);
}

ALWAYS_INLINE int get(lua_State *L, scalar type) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  note(v);
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
  note(v);
  scalar_value value = scalar_check(L, 3, type);
  check_writable(L, v);
  memcpy(check_bytes(L, v, 2, offset, scalar_size(type)), &value, scalar_size(type));
  push_uint64(L, offset + scalar_size(type));
  return view_finish(L, v, 1);
}

/* The two methods of one type. */
#define ACCESSORS(name, ctype)                                                                     \
  static int segment_get_##name(lua_State *L) {                                                    \
    return get(L, SCALAR_##name);                                                                  \
  }                                                                                                \
  static int segment_set_##name(lua_State *L) {                                                    \
    return set(L, SCALAR_##name);                                                                  \
  }

SCALAR_TYPES(ACCESSORS)

#define METHODS(name, ctype)                                                                       \
  { "get_" #name, segment_get_##name }, { "set_" #name, segment_set_##name },

const luaL_Reg segment_scalar_methods[] = { SCALAR_TYPES(METHODS){ NULL, NULL } };
