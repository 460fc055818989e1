/* SPDX-License-Identifier: MIT */
/* The front: on LuaJIT, Lua functions in the place of hot methods, which reach handles and bytes by the
 * FFI (lua/shmseg/front.lua). Here is what they get from C. */
#ifndef SHMSEG_BINDING_FRONT_H
#define SHMSEG_BINDING_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "binding/atomic.h"
#include "binding/front_objects.h"
#include "binding/record.h"

#pragma GCC visibility push(hidden)

/* A string of up to so many bytes goes through private memory of the front. */
#define FRONT_BUFFER 1024

typedef struct front front;

/* What the FFI calls; front_views.c has them, and says what they return. */
typedef struct {
  int32_t (*read_bytes)(front *f, const view *v, double offset, double count);
  bool (*write_bytes)(const view *v, double offset, const char *bytes, size_t count);
  int32_t (*read_text)(front *f, const record *r, const shape *s, double offset, double size);
  bool (*write_text)(const record *r, const shape *s, double offset, double size, const char *text,
                     size_t length);
  double (*add)(const atomic *n, int64_t operand);
  double (*sub)(const atomic *n, int64_t operand);
  double (*band)(const atomic *n, int64_t operand);
  double (*bor)(const atomic *n, int64_t operand);
  double (*bxor)(const atomic *n, int64_t operand);
  double (*swap)(const atomic *n, int64_t operand);
  double (*load)(const atomic *n);
  bool (*store)(const atomic *n, int64_t value);
  double (*cas)(const atomic *n, int64_t expected, int64_t value);
} front_views;

/* The state of the front of one Lua state; lua/shmseg/front/layout.lua declares it, too.
 *
 * The front loads and stores through at, in one instruction of the interpreter, and sets it to nowhere
 * afterwards. Between its checks and that instruction a hook may run, and a finalizer may run wherever
 * memory is allocated. They may close or move a mapping: that sets at to nowhere and changes key
 * (front_moved), so that the access is harmless, and is seen to have been in vain. */
struct front {
  void *at;
  void *home;     /* the address of nowhere */
  uint64_t key;   /* another one after each change of a mapping */
  uint32_t count; /* of numbers */
  uint32_t keeps; /* how often an object has begun to keep a value: is it still the one? */
  uint64_t nowhere[2];
  uint64_t scratch[2]; /* private bytes, to look at a value before it becomes a number */
  const void *array_tag;
  const front_views *views;
  const front_objects *objects;
  const uint32_t *numbers; /* sizes and offsets of what layout.lua declares, in its order */
  int32_t reads;           /* how often the buffer was filled: is it still one's own? */
  uint32_t length;         /* of the text that is in it */
  char buffer[FRONT_BUFFER];
};

#if LUA_VERSION_NUM == 501
extern const front_views front_view_calls;

/* Tells the front that a mapping has been unmapped, moved or shrunk. Allocates nothing. */
void front_moved(lua_State *L);

/* Tells it that the table at the top is the own one of the userdata at index 1, and will have what is kept of its
 * values. Runs no finalizer, though it may allocate. */
void front_keep(lua_State *L);

/* Tells it that such a table gets another value. Allocates nothing. */
void front_kept(lua_State *L);

/* Lets a new view know where the front's key is: without that it gets no shortcut. */
void front_take(lua_State *L, view *v);
#else
static inline void front_moved(lua_State *L) {
  (void)L;
}

static inline void front_keep(lua_State *L) {
  (void)L;
}

static inline void front_kept(lua_State *L) {
  (void)L;
}

static inline void front_take(lua_State *L, view *v) {
  (void)L, (void)v;
}
#endif

#pragma GCC visibility pop

#endif
