/* SPDX-License-Identifier: MIT */
/* What every binding file uses: one Lua API for 5.1 to 5.4 and LuaJIT, argument checks, results. */
#ifndef SHMSEG_BINDING_BINDING_H
#define SHMSEG_BINDING_BINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

#include "core/segment.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* --- Lua versions ------------------------------------------------------------------------- */

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#define lua_getuservalue lua_getfenv
#define lua_setuservalue lua_setfenv
#endif /* from 5.4 on lua.h has lua_newuserdata and these two with one user value */

/* Lua interns strings up to this length from 5.2 to 5.4, and every string before. */
#define INTERNED_MAX 40

/* May lua_pushlstring copy strings that are longer from memory that a peer changes meanwhile, and
 * that a finalizer can unmap? Before 5.3 it collects garbage first and copies then; and 5.1 and
 * LuaJIT intern. */
#define MAY_COPY_SHARED (LUA_VERSION_NUM >= 503)

/* luaL_setfuncs without upvalues, which 5.1 lacks. */
void binding_register(lua_State *L, const luaL_Reg *functions);

/* Pushes a new metatable, stored in the registry under its name, with __name, the metamethods,
 * and as __index a table of the methods; that one is left on the stack above the metatable. */
void binding_new_class(lua_State *L, const char *name, const luaL_Reg *metamethods,
                       const luaL_Reg *methods);

/* --- arguments ---------------------------------------------------------------------------- */

/* What stands at index as an integer, a number or 64 unsigned bits (before 5.3 up to 2^64 - 1);
 * *exact tells whether it is one. A float with an integer's value is an integer. Raise nothing but
 * that memory is short. On LuaJIT 64-bit cdata will do, *exact is then FROM_CDATA, and to look at it
 * may run hooks and finalizers: check handles afterwards, and touch memory then. */
enum { FROM_CDATA = 2 };

#if LUA_VERSION_NUM >= 503
static inline int64_t to_integer(lua_State *L, int index, int *exact) {
  return lua_tointegerx(L, index, exact);
}

static inline int64_t to_key(lua_State *L, int index, int *exact) {
  return lua_tointegerx(L, index, exact);
}

static inline uint64_t to_uint64(lua_State *L, int index, int *exact) {
  return (uint64_t)lua_tointegerx(L, index, exact);
}

static inline lua_Number to_number(lua_State *L, int index, int *exact) {
  return lua_tonumberx(L, index, exact);
}
#else
int64_t to_integer(lua_State *L, int index, int *exact);
int64_t to_key(lua_State *L, int index, int *exact); /* the quicker one where it is often a name */
uint64_t to_uint64(lua_State *L, int index, int *exact);
lua_Number to_number(lua_State *L, int index, int *exact);
#endif

/* Raises that the argument is no expected, the name of one of our classes; NULL, for callers to
 * return. Who is one is told by its tag alone, never by its metatable: another library, or another
 * version of this one, can have one of the same name. */
void *type_error(lua_State *L, int arg, const char *expected);

/* Raises why the argument is no number, if it is none. */
void check_is_number(lua_State *L, int arg);

/* Raises why the argument is no integer. */
int64_t integer_error(lua_State *L, int arg);

/* Also before 5.3 a number with a fraction is an error and not cut. */
static inline int64_t check_integer(lua_State *L, int arg) {
  int exact;
  int64_t n = to_integer(L, arg, &exact);
  return exact ? n : integer_error(L, arg);
}

/* An offset or a count. A negative one becomes huge, and fails the bounds check that follows. */
static inline uint64_t check_size(lua_State *L, int arg) {
  return (uint64_t)check_integer(L, arg);
}

/* Whether an offset or a count is given; raises when something else is. One call when it is. */
static inline bool has_size(lua_State *L, int arg, uint64_t *size) {
  int exact;
  *size = (uint64_t)to_integer(L, arg, &exact);
  if (exact)
    return true;
  if (lua_isnoneornil(L, arg))
    return false;
  *size = check_size(L, arg); /* raises */
  return true;
}

static inline uint64_t opt_size(lua_State *L, int arg, uint64_t otherwise) {
  uint64_t size;
  return has_size(L, arg, &size) ? size : otherwise;
}

/* The index of the argument in a list that NULL ends; raises when it is not there. */
int check_option(lua_State *L, int arg, const char *const names[]);

/* Seconds as a duration; NaN raises, negative ones count as 0. */
int64_t check_duration(lua_State *L, int arg);

/* A timeout in seconds as a deadline; nil is for ever. */
int64_t opt_deadline(lua_State *L, int arg);

/* --- results ------------------------------------------------------------------------------ */

/* nil, message, code. subject (may be NULL) opens the message, hint (may be NULL) ends it. */
int push_failure(lua_State *L, int err, const char *subject, const char *hint);

/* The same with words of the caller's for what is known of the error. */
int push_failure_as(lua_State *L, int err, const char *subject, const char *words);

/* Pushes `queue "jobs"`, or the noun alone when there is no name. */
const char *push_subject(lua_State *L, const char *noun, const char *name);

/* nil, "timeout", "timeout" and its like, for outcomes that are expected. */
int push_outcome(lua_State *L, const char *word);

/* The same for a code; pushes nothing and gives 0 for one that is no such outcome. */
int push_expected(lua_State *L, int err);

#if LUA_VERSION_NUM >= 503
static inline void push_int64(lua_State *L, int64_t value) {
  lua_pushinteger(L, value);
}

static inline void push_uint64(lua_State *L, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
}

/* Does a number hold the integer exactly? */
static inline bool holds_int64(int64_t value) {
  (void)value;
  return true;
}

static inline bool holds_uint64(uint64_t value) {
  (void)value;
  return true;
}
#else
bool holds_int64(int64_t value);
bool holds_uint64(uint64_t value);

/* An integer. What a number cannot hold exactly is cdata on LuaJIT, whose allocation may run hooks
 * and finalizers, and elsewhere raises. */
void push_int64(lua_State *L, int64_t value);
void push_uint64(lua_State *L, uint64_t value);

/* Pushes memory for an integer that a number may not be able to hold, and returns its address:
 * cdata of LuaJIT's. Elsewhere raises that a number cannot hold the value. */
void *push_inexact(lua_State *L, bool is_signed, uint64_t bits);
#endif

/* --- 64-bit cdata, of LuaJIT only ----------------------------------------------------------- */

#if LUA_VERSION_NUM == 501
/* Is the value at index cdata of any type? */
bool cdata_is(lua_State *L, int index);

/* The bits of an int64_t or uint64_t; false when something else stands at index, which is not
 * negative. May run hooks and finalizers. */
bool cdata_read(lua_State *L, int index, uint64_t *bits, bool *is_signed);

/* Pushes a new int64_t or uint64_t and returns the address of its bytes; NULL, and nothing is
 * pushed, where there is no cdata. May run hooks and finalizers. */
void *cdata_push(lua_State *L, bool is_signed);
#else
static inline bool cdata_is(lua_State *L, int index) {
  (void)L, (void)index;
  return false;
}

static inline bool cdata_read(lua_State *L, int index, uint64_t *bits, bool *is_signed) {
  (void)L, (void)index, (void)bits, (void)is_signed;
  return false;
}

static inline void *cdata_push(lua_State *L, bool is_signed) {
  (void)L, (void)is_signed;
  return NULL;
}
#endif

/* --- waiting ------------------------------------------------------------------------------ */

/* After SHMSEG_INTERRUPTED: runs the hooks that a signal handler has set, which may raise and may
 * run any Lua code: every handle is to be checked again. True when a signal of shmseg.signals is
 * waiting to be taken: give up with "interrupted". */
bool binding_interrupted(lua_State *L);

/* A call has failed for want of descriptors or memory, which handles that were forgotten may have: the
 * collector does not feel them. Collects all garbage, which may run any Lua code, and gives true: worth
 * one more try, as *tried then says. False for other failures, and the second time. */
bool binding_retry(lua_State *L, int err, bool *tried);

/* A deadline that is over, but none that is still to be set. */
#define PAST 1

/* Calls wait(handle, deadline, context) until it returns something else than SHMSEG_INTERRUPTED;
 * that is returned when a signal of shmseg.signals is there, after one try that does not wait.
 * Between two calls hooks may run, which can close the handle: wait has to check it. When a hook
 * raises, cancel(handle) is called first, if given. Collects garbage when descriptors or memory are
 * short, and tries once more. */
int binding_wait(lua_State *L, int (*wait)(void *handle, int64_t deadline, void *context),
                 void *handle, int64_t deadline, void *context, void (*cancel)(void *handle));

/* --- opening by name ---------------------------------------------------------------------- */

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

/* --- views -------------------------------------------------------------------------------- */

/* The head of every userdata through which a segment's bytes are reached: the segment itself and
 * its parts (slices, arrays, records, atomics). */
typedef struct view {
  const void *tag;         /* the address of a constant: tells our userdata from others' */
  shmseg_segment *segment; /* NULL: a slice that was closed, or a part that is not aimed yet */
  uint64_t offset, size;   /* of a part, from the segment's first byte */
  bool is_part;
  bool has_parts; /* of a segment: the user value is the table of its views */
} view;

extern const char segment_tag; /* segments and slices, which have the same methods */

/* The userdata at arg when it is with that tag, or NULL. */
static inline void *test_tag(lua_State *L, int arg, const void *tag) {
  view *v = lua_touserdata(L, arg);
  /* a light userdata has no length */
  return v && lua_rawlen(L, arg) >= sizeof(view) && v->tag == tag ? v : NULL;
}

static inline view *test_view(lua_State *L, int arg) {
  return test_tag(L, arg, &segment_tag);
}

/* Raises unless the argument is a segment or slice; it may be closed. */
static inline view *check_view(lua_State *L, int arg) {
  view *v = test_view(L, arg);
  return v ? v : type_error(L, arg, "shmseg.segment");
}

static inline bool view_is_closed(const view *v) {
  return !v->segment || !shmseg_segment_is_open(v->segment);
}

/* Bytes that can be touched through the view: a part may reach beyond a segment that shrank. */
static inline uint64_t view_limit(const view *v) {
  uint64_t size = v->segment->size;
  if (!v->is_part)
    return size;
  uint64_t rest = v->offset < size ? size - v->offset : 0;
  return v->size < rest ? v->size : rest;
}

/* Raises why count bytes at offset, whose argument is arg, cannot be touched. */
int view_range_error(lua_State *L, const view *v, int arg, uint64_t offset, uint64_t count);

/* The address of these bytes; raises when the view is closed or too short. */
static inline unsigned char *check_bytes(lua_State *L, const view *v, int arg, uint64_t offset,
                                         uint64_t count) {
  if (!view_is_closed(v)) {
    uint64_t limit = view_limit(v);
    if (offset <= limit && count <= limit - offset)
      return v->segment->data + v->offset + offset;
  }
  view_range_error(L, v, arg, offset, count);
  return NULL;
}

/* The same for the optional offset and count at arg and arg + 1: by default all there is. */
static inline unsigned char *check_span(lua_State *L, const view *v, int arg, uint64_t *offset,
                                        uint64_t *count) {
  *offset = opt_size(L, arg, 0);
  bool to_end = !has_size(L, arg + 1, count);
  unsigned char *bytes = check_bytes(L, v, arg, *offset, to_end ? 0 : *count);
  if (to_end)
    *count = view_limit(v) - *offset;
  return bytes;
}

/* 0, or what has happened to the mapping under the accesses before this call. */
static inline int view_status(const view *v) {
  return segment_status(v->segment);
}

/* Raises when the view is closed. */
void check_open(lua_State *L, const view *v);

/* Raises why the view cannot be changed. */
void writable_error(lua_State *L, const view *v);

/* Raises when the view is closed or read-only. */
static inline void check_writable(lua_State *L, const view *v) {
  if (view_is_closed(v) || !v->segment->writable)
    writable_error(L, v);
}

/* nil, message, code for a failure of the view's segment. */
int push_view_failure(lua_State *L, const view *v, int err);

/* The same as an error "code: message", where results are no place for it. */
int view_raise(lua_State *L, const view *v, int err);

/* Pushes the table of views of the segment that the segment or slice at arg belongs to. */
void push_views(lua_State *L, int arg);

/* Pushes a userdata of so many bytes, zero but for the head, which is a part among the views whose
 * table is at index views (an absolute one). It has no metatable yet, and is not aimed. */
void *push_part(lua_State *L, int views, size_t size, const void *tag);

/* Aims a part at bytes of base that were checked. */
void view_aim(view *part, const view *base, uint64_t offset, uint64_t size);

/* Raises when a live part of the segment at arg reaches beyond size. Collects garbage first, so
 * any handle may be closed afterwards. */
void check_views(lua_State *L, int arg, uint64_t size);

/* Pushes the bytes as a string, by way of private memory where the string will be interned:
 * two strings whose bytes changed on the way in would be equal and different. Runs no Lua code
 * before the bytes are copied; on 5.1 and LuaJIT, where it may, they are checked again. */
void push_bytes(lua_State *L, const view *v, int arg, uint64_t offset, size_t count);

/* The methods of segments that stand in files of their own. */
extern const luaL_Reg segment_access_methods[];
extern const luaL_Reg segment_scalar_methods[];
extern const luaL_Reg segment_pack_methods[];
extern const luaL_Reg segment_dump_methods[];
extern const luaL_Reg segment_array_methods[];
extern const luaL_Reg segment_atomic_methods[];

/* --- each file's open function: adds to the module's table, which is at the top ------------ */

void binding_open_array(lua_State *L);
void binding_open_atomic(lua_State *L);
void binding_open_broadcast(lua_State *L);
void binding_open_cdata(lua_State *L);
void binding_open_cell(lua_State *L);
void binding_open_event(lua_State *L);
void binding_open_mutex(lua_State *L);
void binding_open_object(lua_State *L);
void binding_open_queue(lua_State *L);
void binding_open_rwlock(lua_State *L);
void binding_open_segment(lua_State *L);
void binding_open_semaphore(lua_State *L);
void binding_open_signals(lua_State *L);
void binding_open_struct(lua_State *L);
void binding_open_time(lua_State *L);
void binding_open_view(lua_State *L);

#pragma GCC visibility pop

#endif
