/* SPDX-License-Identifier: MIT */
/* Views: what a segment, its slices, arrays, records and atomics have in common. */
#ifndef SHMSEG_BINDING_VIEW_H
#define SHMSEG_BINDING_VIEW_H

#include "binding/lua.h"
#include "core/segment.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

#if LUA_VERSION_NUM == 501
/* What the front of LuaJIT takes from here instead of looking at the segment. A C method makes it in passing
 * (view_shorten) from what it has looked at.
 *
 * key is *now, at that time, plus the sort of the view: one subtraction tells the front's code whether
 * the view is of the sort that the code is for, and whether nothing has been closed, moved or cut since,
 * for that changes *now. No *now is so near to 0 that a key of 0, no shortcut, is good. */
typedef struct {
  const uint64_t *now; /* the key of the front of this Lua state; NULL: there is none */
  uint64_t key;
  unsigned char *base;      /* the first byte; of an array that before its first element */
  const volatile int *code; /* the guard's */
  uint64_t limit;           /* bytes or elements that may be read; a record is there as a whole */
  uint64_t limit_to_change; /* the same or 0 */
} shortcut;
#endif

/* Sorts. That of a record is the address of its shape. */
#define SEGMENT_SORT 0
#define ARRAY_SORT(type) (2 + 256 * (uint64_t)(type))

/* The head of every userdata through which a segment's bytes are reached: the segment itself and
 * its parts (slices, arrays, records, atomics, objects). */
typedef struct view {
  const void *tag;         /* every userdata of ours begins with one: see test_tag() */
  shmseg_segment *segment; /* NULL: a slice that was closed, or a part that is not aimed yet */
  uint64_t offset, size;   /* of a part; the offset counts from the segment's first byte */
  bool is_part;
  bool has_parts; /* of a segment: its user value is the table of its views */
#if LUA_VERSION_NUM == 501
  shortcut shortcut;
#endif
} view;

extern const char segment_tag; /* segments and slices, which have the same methods */

/* The userdata at arg when its tag is that one, or NULL. A tag is the address of a constant of ours,
 * which the memory of no other library's userdata begins with. A light userdata has no length. */
static inline void *test_tag(lua_State *L, int arg, const void *tag) {
  const void **userdata = lua_touserdata(L, arg);
  bool is_ours = userdata && lua_rawlen(L, arg) >= sizeof *userdata && *userdata == tag;
  return is_ours ? userdata : NULL;
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

/* How many bytes can be touched through the view: a part may reach beyond a segment that shrank. */
static inline uint64_t view_limit(const view *v) {
  uint64_t size = v->segment->size;
  if (!v->is_part)
    return size;
  uint64_t rest = v->offset < size ? size - v->offset : 0;
  return v->size < rest ? v->size : rest;
}

/* Raises why count bytes at offset cannot be touched. arg is the argument that gave the offset. */
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

/* 0, or the code of what the accesses before this call have met: SHMSEG_TRUNCATED or ENOSPC. */
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

/* Raises for an open view of a private mapping, which no other process shares. */
void check_shared(lua_State *L, const view *v);

/* nil, message, code for a failure of the view's segment. */
int push_view_failure(lua_State *L, const view *v, int err);

/* true, or what push_view_failure() says of err. */
int push_view_done(lua_State *L, const view *v, int err);

/* The end of a method: the results, which are on the stack, or the failure of its accesses. */
static inline int view_finish(lua_State *L, const view *v, int results) {
  int err = view_status(v);
  return err ? push_view_failure(L, v, err) : results;
}

/* Raises a failure of the view's segment as an error "code: message". */
int view_raise(lua_State *L, const view *v, int err);

/* Raises the failure of the accesses before this call: for a[i] and record.field, whose results
 * leave no place for one. */
static inline void check_status(lua_State *L, const view *v) {
  int err = view_status(v);
  if (err)
    view_raise(L, v, err);
}

#if LUA_VERSION_NUM == 501
/* Makes the shortcut of a view of that sort, if there is something to be reached: limit bytes, or so many
 * elements when element is their size. */
void view_shorten(view *v, uint64_t sort, uint64_t limit, size_t element);

/* Is the shortcut the present one, or is there no front? */
static inline bool view_is_noted(const view *v, uint64_t sort) {
  return !v->shortcut.now || v->shortcut.key == *v->shortcut.now + sort;
}

/* Takes the shortcut away: the view itself is closed, or aimed elsewhere. */
static inline void view_forget(view *v) {
  v->shortcut.key = 0;
}
#else
static inline void view_shorten(view *v, uint64_t sort, uint64_t limit, size_t element) {
  (void)v, (void)sort, (void)limit, (void)element;
}

static inline bool view_is_noted(const view *v, uint64_t sort) {
  (void)v, (void)sort;
  return true;
}

static inline void view_forget(view *v) {
  (void)v;
}
#endif

/* Pushes the table of views of the segment that the segment or slice at arg belongs to. */
void push_views(lua_State *L, int arg);

/* Pushes a new part, a userdata of size bytes that are zero behind its head, and adds it to the
 * table of views at index views (an absolute one). It has no metatable yet, and is not aimed. */
void *push_part(lua_State *L, int views, size_t size, const void *tag);

/* Aims a part at size bytes of base, from offset on, which the caller has checked. */
void view_aim(view *part, const view *base, uint64_t offset, uint64_t size);

/* Raises when a part of the segment at arg that is still in use reaches beyond size. It collects all
 * garbage first, so finalizers run: any handle may be closed afterwards. */
void check_views(lua_State *L, int arg, uint64_t size);

#pragma GCC visibility pop

#endif
