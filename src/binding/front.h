/* SPDX-License-Identifier: MIT */
/* The front: on LuaJIT, Lua functions in the place of hot methods, which reach handles and bytes by the
 * FFI (lua/shmseg/front.lua). Here is what they get from C. */
#ifndef SHMSEG_BINDING_FRONT_H
#define SHMSEG_BINDING_FRONT_H

#include <stdint.h>

#include <lua.h>

#include "binding/front_objects.h"

#pragma GCC visibility push(hidden)

/* The state of the front of one Lua state; lua/shmseg/front/layout.lua declares it, too.
 *
 * The front loads and stores through at, in one instruction of the interpreter, and sets it to nowhere
 * afterwards. Between its checks and that instruction a hook may run, and a finalizer may run wherever
 * memory is allocated. They may close or move a mapping: that sets at to nowhere and counts in moves
 * (front_moved), so that the access is harmless, and is seen to have been in vain. */
typedef struct {
  void *at;
  void *home; /* the address of nowhere */
  uint32_t moves;
  uint32_t count; /* of numbers */
  uint32_t root;  /* where the segment is in the userdata of a whole one */
  uint64_t nowhere[2];
  uint64_t scratch[2]; /* private bytes, to look at a value before it becomes a number */
  const void *segment_tag;
  const front_objects *objects;
  const uint32_t *numbers; /* sizes and offsets of what layout.lua declares, in its order */
} front;

#if LUA_VERSION_NUM == 501
/* Tells the front that a mapping has been unmapped, moved or shrunk. Allocates nothing. */
void front_moved(lua_State *L);
#else
static inline void front_moved(lua_State *L) {
  (void)L;
}
#endif

#pragma GCC visibility pop

#endif
