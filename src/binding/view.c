/* SPDX-License-Identifier: MIT */
/* Views: what slices, arrays, records and atomics have in common with the segment they lie in.
 *
 * A view is a userdata of its own without __gc. Its user value is the table of its segment's
 * views: [1] is the segment, which so lives as long as they do, and the keys are the views, weak,
 * so that the segment knows which of them are alive. */
#include "binding/view.h"
#include "binding/front.h"
#include "binding/module.h"

#include <stdio.h>
#include <string.h>

#define VIEWS_CLASS "shmseg.views"

const char segment_tag;

int view_range_error(lua_State *L, const view *v, int arg, uint64_t offset, uint64_t count) {
  char text[160];
  check_open(L, v);
  snprintf(text, sizeof text, "out of range: offset %lld, count %lld, size %llu", (long long)offset,
           (long long)count, (unsigned long long)view_limit(v));
  return luaL_argerror(L, arg, text);
}

void check_open(lua_State *L, const view *v) {
  if (view_is_closed(v))
    luaL_error(L, "attempt to use a closed %s", v->segment ? "segment" : "slice");
}

void writable_error(lua_State *L, const view *v) {
  check_open(L, v);
  luaL_error(L, "attempt to change a read-only segment: it was opened for reading");
}

void check_shared(lua_State *L, const view *v) {
  if (v->segment->is_private)
    luaL_error(L,
               "a private mapping is shared with nobody: map the file without the option private");
}

int push_view_failure(lua_State *L, const view *v, int err) {
  if (err == SHMSEG_CLOSED)
    check_open(L, v); /* by a hook or a finalizer */
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  const char *name = v->segment ? v->segment->place.name : NULL;
  const char *hint = NULL;
  if (err == SHMSEG_TRUNCATED)
    hint = v->segment && v->segment->is_window ? "map the window anew"
                                               : "segment:refresh() makes the handle usable";
  return push_failure(L, err, push_subject(L, "segment", name), hint);
}

int push_view_done(lua_State *L, const view *v, int err) {
  if (err)
    return push_view_failure(L, v, err);
  lua_pushboolean(L, 1);
  return 1;
}

int view_raise(lua_State *L, const view *v, int err) {
  push_view_failure(L, v, err);
  return luaL_error(L, "%s: %s", lua_tostring(L, -1), lua_tostring(L, -2));
}

#if LUA_VERSION_NUM == 501
void view_shorten(view *v, uint64_t sort, uint64_t limit, size_t element) {
  uint64_t bytes = element > 0 ? limit * element : limit; /* no more than the view has */
  v->shortcut.key = 0;
  if (view_is_closed(v) || !v->segment->fault || bytes > view_limit(v))
    return;
  v->shortcut.base = v->segment->data + v->offset - element;
  v->shortcut.code = &v->segment->fault->code;
  v->shortcut.limit = limit;
  v->shortcut.limit_to_change = v->segment->writable ? limit : 0;
  v->shortcut.key = *v->shortcut.now + sort;
}
#endif

void push_views(lua_State *L, int arg) {
  view *v = check_view(L, arg);
  if (v->is_part || v->has_parts) {
    lua_getuservalue(L, arg);
    return;
  }
  lua_newtable(L);
  lua_pushvalue(L, arg);
  lua_rawseti(L, -2, 1);
  luaL_getmetatable(L, VIEWS_CLASS);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_setuservalue(L, arg);
  v->has_parts = true;
}

void *push_part(lua_State *L, int views, size_t size, const void *tag) {
  view *part = lua_newuserdata(L, size);
  memset(part, 0, size);
  part->tag = tag;
  part->is_part = true;
  front_take(L, part);
  lua_pushvalue(L, views);
  lua_setuservalue(L, -2);
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, views);
  return part;
}

void view_aim(view *part, const view *base, uint64_t offset, uint64_t size) {
  part->offset = base->offset + offset;
  part->size = size;
  part->segment = base->segment;
  view_forget(part);
}

void check_views(lua_State *L, int arg, uint64_t size) {
  const view *v = check_view(L, arg);
  const shmseg_segment *segment = v->segment;
  if (!v->has_parts)
    return;
  lua_gc(L, LUA_GCCOLLECT, 0); /* views have no __gc that would tell */
  lua_getuservalue(L, arg);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    const view *part = lua_touserdata(L, -1); /* NULL for the key 1 */
    if (part && part->segment == segment && part->offset + part->size > size)
      luaL_error(L, "a view of the segment reaches beyond the new size");
  }
  lua_pop(L, 1);
}

void binding_open_view(lua_State *L) {
  luaL_newmetatable(L, VIEWS_CLASS);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_pop(L, 1);
}
