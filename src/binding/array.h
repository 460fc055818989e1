/* SPDX-License-Identifier: MIT */
/* The array userdata: what its files share, and what makes arrays. */
#ifndef SHMSEG_BINDING_ARRAY_H
#define SHMSEG_BINDING_ARRAY_H

#include "binding/element.h"

#define ARRAY_CLASS "shmseg.array"

typedef struct {
  view view;
  uint64_t count;
  element element;
} array;

ALWAYS_INLINE array *check_array(lua_State *L, int arg) {
  array *a = test_tag(L, arg, &array_tag);
  return a ? a : type_error(L, arg, ARRAY_CLASS);
}

/* The address of element i, counted from 1. NULL when there is no such element, or when the segment
 * no longer reaches to the end of the array. */
static inline unsigned char *array_element_at(const array *a, uint64_t i) {
  const shmseg_segment *segment = a->view.segment;
  if (i - 1 >= a->count || a->view.offset + a->view.size > segment->size)
    return NULL;
  return segment->data + a->view.offset + (i - 1) * a->element.size;
}

/* Raises unless the segment reaches to the end of the array. */
static inline void array_check_present(lua_State *L, const array *a) {
  check_bytes(L, &a->view, 1, 0, a->view.size);
}

#pragma GCC visibility push(hidden)

/* Raises that there are no elements first to last; or, when these are equal, no such element. arg is
 * the argument that gave the first one. */
int array_outside_error(lua_State *L, const array *a, int arg, int64_t first, int64_t last);

/* The name of the elements' type: "f64", "char", "struct". */
const char *array_type_name(const array *a);

/* get, set and fill; totable has an upvalue, and so is not in the list. */
extern const luaL_Reg array_bulk_methods[];
int array_totable(lua_State *L);

/* compare; and what set does with an array at index 3: copies its elements from i on, all of them or
 * those that the two arguments behind it say. */
extern const luaL_Reg array_copy_methods[];
int array_set_array(lua_State *L, array *a, int64_t i);

/* Pushes an array of elements e, a part among the views at index views. Aim it before its use. */
void *push_array(lua_State *L, int views, const element *e);
void array_aim(void *array, const view *base, uint64_t offset, uint64_t count);

/* Pushes the array that segment:array and Point:array return. The arguments are the segment, the
 * offset and perhaps the count, at the three indices. */
int push_checked_array(lua_State *L, int arg, int offset_arg, int count_arg, const element *e);

#pragma GCC visibility pop

#endif
