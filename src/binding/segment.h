/* SPDX-License-Identifier: MIT */
/* What the files of the segment userdata share, also with objects that open a segment of their own.
 * */
#ifndef SHMSEG_BINDING_SEGMENT_H
#define SHMSEG_BINDING_SEGMENT_H

#include "binding/view.h"

#pragma GCC visibility push(hidden)

/* Pushes a closed segment for a place; place->name is then the segment's own copy of the name. All
 * that can run out of memory happens here, before the caller opens the segment and a name exists.
 * */
shmseg_segment *push_segment(lua_State *L, shmseg_place *place);

/* The options that are the arguments from arg on: perm, reserve, max, populate, pin, temporary. */
shmseg_options check_segment_options(lua_State *L, int arg);

/* Pushes the bytes as a string. Where the string will be interned they go through private memory:
 * if a peer changed them while Lua looks for an equal string, two strings could be equal and
 * different. No Lua code runs before the bytes are copied; before 5.3, where it may, they are
 * checked again. */
void push_bytes(lua_State *L, const view *v, int arg, uint64_t offset, size_t count);

/* Copies bytes that the caller has checked. The ranges may overlap, also where two segments are
 * mappings of one backing. */
void move_bytes(const view *to, uint64_t offset, const view *from, uint64_t source, size_t count);

/* Methods of segments, each list in a file of its own. */
extern const luaL_Reg segment_access_methods[];
extern const luaL_Reg segment_scalar_methods[];
extern const luaL_Reg segment_pack_methods[];
extern const luaL_Reg segment_place_methods[];
extern const luaL_Reg segment_dump_methods[];
extern const luaL_Reg segment_array_methods[];
extern const luaL_Reg segment_atomic_methods[];

#pragma GCC visibility pop

#endif
