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

/* The name at arg. For nil, a new name, which is pushed. */
const char *check_free_name(lua_State *L, int arg, shmseg_place_type type);

/* The options that are the arguments from arg on: perm, reserve, max, populate, pin, temporary. */
shmseg_options check_segment_options(lua_State *L, int arg);

/* nil, message, code for a place that could not be opened. needed: bytes that were asked for, or 0.
 * */
int push_place_failure(lua_State *L, const char *noun, shmseg_place place, shmseg_mode mode,
                       uint64_t needed, int err);

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
