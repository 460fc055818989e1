/* SPDX-License-Identifier: MIT */
/* What the files of the segment userdata, and objects that bring a segment of their own, share. */
#ifndef SHMSEG_BINDING_SEGMENT_H
#define SHMSEG_BINDING_SEGMENT_H

#include "binding/view.h"

#pragma GCC visibility push(hidden)

/* Pushes a closed segment for a place, whose name becomes the copy that the segment keeps. Pushed
 * before it is opened: what can fail for want of memory has not failed then when the name is there. */
shmseg_segment *push_segment(lua_State *L, shmseg_place *place);

/* The name at arg; for nil one that is free, which is pushed. */
const char *check_free_name(lua_State *L, int arg, shmseg_place_type type);

/* What stands as arguments from arg on: perm, reserve, max, populate, pin, temporary. */
shmseg_options check_segment_options(lua_State *L, int arg);

/* nil, message, code for a place that could not be opened, of which needed bytes were asked for. */
int push_place_failure(lua_State *L, const char *noun, shmseg_place place, shmseg_mode mode,
                       uint64_t needed, int err);

/* The methods of segments that stand in files of their own. */
extern const luaL_Reg segment_access_methods[];
extern const luaL_Reg segment_scalar_methods[];
extern const luaL_Reg segment_pack_methods[];
extern const luaL_Reg segment_place_methods[];
extern const luaL_Reg segment_dump_methods[];
extern const luaL_Reg segment_array_methods[];
extern const luaL_Reg segment_atomic_methods[];

#pragma GCC visibility pop

#endif
