/* SPDX-License-Identifier: MIT */
/* The segment userdata: opening, closing, size, names. Its bytes are in segment_access.c,
 * segment_scalar.c and segment_pack.c. */
#define _GNU_SOURCE
#include "binding/segment.h"
#include "binding/front.h"
#include "binding/module.h"
#include "binding/place.h"
#include "binding/waiting.h"
#include "core/segment.h"
#include "objects/header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CLASS "shmseg.segment"
#define SLICE_CLASS "shmseg.slice"

typedef struct {
  view view; /* first: every method takes either */
  shmseg_segment segment;
  char name[]; /* borrowed by segment.place */
} root;

/* --- checks ----------------------------------------------------------------------------------------- */

/* The open segment at index 1; raises for a slice. */
static root *check_root(lua_State *L) {
  view *v = check_view(L, 1);
  if (v->is_part)
    luaL_error(L, "a slice cannot do this: call it on the segment");
  check_open(L, v);
  return (root *)v;
}

/* Raises for a window of a file, which has the size that it has. */
static void check_whole(lua_State *L, const view *v) {
  if (v->segment->is_window)
    luaL_error(L, "a window of a file has a size that stays: map it anew");
}

/* --- opening ------------------------------------------------------------------------------ */

static root *new_root(lua_State *L, const char *name) {
  size_t length = name ? strlen(name) + 1 : 0;
  root *r = lua_newuserdata(L, sizeof *r + length);
  r->view = (view){ .tag = &segment_tag, .segment = &r->segment };
  if (name)
    memcpy(r->name, name, length);
  shmseg_segment_init(&r->segment);
  front_take(L, &r->view);
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
  return r;
}

shmseg_segment *push_segment(lua_State *L, shmseg_place *place) {
  root *r = new_root(L, place->name);
  place->name = r->name;
  return &r->segment;
}

/* The size in bytes at arg; 0 for nil. */
static size_t opt_bytes(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg))
    return 0;
  int64_t n = check_integer(L, arg);
  luaL_argcheck(L, n > 0, arg, "not a positive number of bytes");
  luaL_argcheck(L, (uint64_t)n <= SIZE_MAX / 2, arg, "too large: more than the address space");
  return (size_t)n;
}

/* nil, a boolean or "last" */
static int check_temporary(lua_State *L, int arg) {
  static const char *const words[] = { "last", NULL };
  if (lua_type(L, arg) != LUA_TSTRING)
    return lua_toboolean(L, arg) ? SHMSEG_TEMPORARY : 0;
  check_option(L, arg, words);
  return SHMSEG_TEMPORARY_LAST;
}

shmseg_options check_segment_options(lua_State *L, int arg) {
  shmseg_options options = { 0 };
  uint64_t perm = check_size(L, arg);
  luaL_argcheck(L, perm <= 0777, arg, "no permissions");
  options.perm = (mode_t)perm;
  options.sparse = !lua_toboolean(L, arg + 1);
  options.max = opt_bytes(L, arg + 2);
  options.populate = lua_toboolean(L, arg + 3);
  options.pin = lua_toboolean(L, arg + 4);
  options.temporary = check_temporary(L, arg + 5);
  return options;
}

/* The size at arg, and the other options behind it. */
static shmseg_options check_options(lua_State *L, int arg) {
  shmseg_options options = check_segment_options(L, arg + 1);
  options.size = opt_bytes(L, arg);
  return options;
}

/* A call of the option init, which may raise: where the stack has the function and the segment. */
typedef struct {
  lua_State *L;
  int function, segment;
  bool called, failed; /* failed: the error is at the top of the stack */
} init_call;

static int call_init(shmseg_segment *segment, void *context) {
  init_call *call = context;
  (void)segment;
  call->called = true;
  front_moved(call->L); /* what an earlier call was given is closed */
  lua_pushvalue(call->L, call->function);
  lua_pushvalue(call->L, call->segment);
  call->failed = lua_pcall(call->L, 1, 0, 0) != 0;
  return call->failed ? ECANCELED : 0;
}

/* Moves the open segment from one userdata to another. Whatever init has built on the first one is
 * closed by this. */
static void move_segment(root *to, root *from) {
  to->segment = from->segment;
  to->segment.place.name = to->name;
  shmseg_segment_init(&from->segment);
}

/* The options behind init, at arg: grow, offset, length, private. */
static void check_window(lua_State *L, int arg, shmseg_options *options) {
  int64_t offset = lua_isnoneornil(L, arg + 1) ? 0 : check_integer(L, arg + 1);
  luaL_argcheck(L, offset >= 0 && offset % SHMSEG_ALIGN == 0 && offset <= INT64_MAX / 2, arg + 1,
                "not a multiple of 64");
  options->grow = lua_toboolean(L, arg);
  options->offset = (uint64_t)offset;
  options->length = opt_bytes(L, arg + 2);
  options->is_private = lua_toboolean(L, arg + 3);
}

/* How many bytes the backing has to have. */
static uint64_t bytes_needed(const shmseg_options *options) {
  uint64_t window = options->offset + options->length;
  if (options->offset > 0 && options->length == 0)
    window++;
  return options->size > window ? options->size : window;
}

/* open(name | nil, is_file, mode, size … temporary, init, grow, offset, length, private) -> segment,
 * created | nil, … */
static int segment_open(lua_State *L) {
  static const char *const modes[] = { "r", "rw", "c", "x", NULL };
  lua_settop(L, 15);
  shmseg_place_type type = lua_toboolean(L, 2) ? SHMSEG_FILE : SHMSEG_NAME;
  const char *name = check_free_name(L, 1, type);
  shmseg_mode mode = (shmseg_mode)check_option(L, 3, modes);
  shmseg_options options = check_options(L, 4);
  check_window(L, 12, &options);
  root *r = new_root(L, name);
  init_call call = { L, 11, lua_gettop(L), false, false };
  shmseg_place place = { type, r->name };
  bool created;
  root *other = NULL; /* made now, since nothing may allocate once the name exists */
  if (!lua_isnoneornil(L, 11)) {
    other = new_root(L, name);
    options.init = call_init;
    options.context = &call;
  }
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_open_marked(&r->segment, place, mode, &options, shmseg_header_mark_of,
                                     &wait.deadline, &created);
  while ((!call.called || err == SHMSEG_INTERRUPTED) && wait_again(L, &wait, &err));
  if (call.called)
    front_moved(L);
  if (call.failed)
    return lua_error(L);
  if (err)
    return push_place_failure(L, type == SHMSEG_FILE ? "file" : "segment", place, mode,
                              bytes_needed(&options), err);
  if (call.called && !created)
    move_segment(other, r);
  else
    lua_settop(L, call.segment);
  lua_pushboolean(L, created);
  return 2;
}

/* anonymous(size … temporary) -> segment | nil, … */
static int segment_anonymous(lua_State *L) {
  shmseg_options options = check_options(L, 1);
  root *r = new_root(L, NULL);
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_anonymous(&r->segment, &options);
  while (wait_again(L, &wait, &err));
  return err ? push_failure(L, err, "anonymous segment", NULL) : 1;
}

/* from_fd(fd [, mode]) -> segment | nil, …; the mode is that of the descriptor */
static int segment_from_fd(lua_State *L) {
  static const char *const modes[] = { "r", "rw", NULL };
  int64_t fd = check_integer(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= INT32_MAX, 1, "not a file descriptor");
  int flags = fcntl((int)fd, F_GETFL);
  int fits = flags != -1 && (flags & O_ACCMODE) == O_RDONLY ? 0 : 1;
  int mode = lua_isnoneornil(L, 2) ? fits : check_option(L, 2, modes);
  root *r = new_root(L, NULL);
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_from_fd(&r->segment, (int)fd, mode == 1);
  while (wait_again(L, &wait, &err));
  return err ? push_failure(L, err, "descriptor", NULL) : 1;
}

/* --- closing ------------------------------------------------------------------------------ */

/* Closes a slice alone; or a segment, with everything that is built on it. */
static int segment_close(lua_State *L) {
  view *v = check_view(L, 1);
  if (v->is_part) {
    v->segment = NULL;
    view_forget(v);
  } else {
    shmseg_segment_close(v->segment);
    front_moved(L);
  }
  return 0;
}

/* unlink() -> true | nil, message, code */
static int segment_unlink(lua_State *L) {
  root *r = check_root(L);
  if (!r->segment.place.name)
    return luaL_error(L, "the segment has no name");
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_unlink_until(&r->segment, &wait.deadline);
  while (wait_again(L, &wait, &err));
  return push_view_done(L, &r->view, err);
}

/* is_current() -> boolean | nil, message, code */
static int segment_is_current(lua_State *L) {
  view *v = check_view(L, 1);
  bool current;
  check_open(L, v);
  int err = shmseg_segment_is_current(v->segment, &current);
  if (err)
    return push_view_failure(L, v, err);
  lua_pushboolean(L, current);
  return 1;
}

/* --- size and growth ---------------------------------------------------------------------- */

static int segment_size(lua_State *L) {
  view *v = check_view(L, 1);
  check_open(L, v);
  push_uint64(L, v->is_part ? v->size : v->segment->size);
  return 1;
}

/* resize(size) -> size | nil, message, code */
static int segment_resize(lua_State *L) {
  size_t size = opt_bytes(L, 2);
  root *r = check_root(L);
  luaL_argcheck(L, size > 0, 2, "not a positive number of bytes");
  check_whole(L, &r->view);
  check_shared(L, &r->view);
  if (size < r->segment.size)
    check_views(L, 1, size); /* which may run finalizers */
  check_writable(L, &r->view);
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_resize_until(&r->segment, size, &wait.deadline);
  while (wait_again(L, &wait, &err));
  front_moved(L);
  if (err)
    return push_view_failure(L, &r->view, err);
  push_uint64(L, r->segment.size);
  return 1;
}

/* refresh() -> size | nil, message, code */
static int segment_refresh(lua_State *L) {
  view *v = check_view(L, 1);
  check_open(L, v);
  check_whole(L, v);
  wait wait = wait_patiently();
  int err;
  do
    err = v->segment ? shmseg_segment_refresh(v->segment) : SHMSEG_CLOSED;
  while (wait_again(L, &wait, &err));
  front_moved(L);
  return err ? push_view_failure(L, v, err) : segment_size(L);
}

/* --- slices ------------------------------------------------------------------------------- */

/* slice(offset [, count]) -> slice */
static int segment_slice(lua_State *L) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  bool to_end = lua_isnoneornil(L, 3);
  uint64_t count = to_end ? 0 : check_size(L, 3);
  push_views(L, 1);
  view *slice = push_part(L, lua_gettop(L), sizeof *slice, &segment_tag);
  luaL_getmetatable(L, SLICE_CLASS);
  lua_setmetatable(L, -2);
  check_bytes(L, v, 2, offset, count); /* no Lua code runs from here on */
  view_aim(slice, v, offset, to_end ? view_limit(v) - offset : count);
  return 1;
}

/* --- questions ---------------------------------------------------------------------------- */

static int segment_name(lua_State *L) {
  view *v = check_view(L, 1);
  check_open(L, v);
  lua_pushstring(L, v->segment->place.name); /* NULL pushes nil */
  return 1;
}

static int segment_mode(lua_State *L) {
  view *v = check_view(L, 1);
  check_open(L, v);
  lua_pushstring(L, v->segment->writable ? "rw" : "r");
  return 1;
}

static int segment_fd(lua_State *L) {
  view *v = check_view(L, 1);
  check_open(L, v);
  lua_pushinteger(L, v->segment->fd);
  return 1;
}

/* pointer() -> the address of the first byte, as a number */
static int segment_pointer(lua_State *L) {
  view *v = check_view(L, 1);
  check_open(L, v);
  push_uint64(L, (uint64_t)(uintptr_t)v->segment->data + v->offset);
  return 1;
}

static int segment_tostring(lua_State *L) {
  view *v = check_view(L, 1);
  const char *name = v->segment ? v->segment->place.name : NULL;
  if (view_is_closed(v)) {
    lua_pushfstring(L, CLASS " (closed)");
  } else if (v->is_part) {
    char text[96];
    snprintf(text, sizeof text, CLASS " (slice of %llu bytes at %llu)", (unsigned long long)v->size,
             (unsigned long long)v->offset);
    lua_pushstring(L, text);
  } else {
    char text[64];
    snprintf(text, sizeof text, "%llu bytes, %s", (unsigned long long)v->segment->size,
             v->segment->writable ? "rw" : "r");
    lua_pushfstring(L, CLASS " (%s%s%s)", name ? name : "", name ? ", " : "", text);
  }
  return 1;
}

/* --- tables ------------------------------------------------------------------------------- */

static const luaL_Reg methods[] = {
  { "close", segment_close },
  { "fd", segment_fd },
  { "is_current", segment_is_current },
  { "mode", segment_mode },
  { "name", segment_name },
  { "pointer", segment_pointer },
  { "refresh", segment_refresh },
  { "resize", segment_resize },
  { "size", segment_size },
  { "slice", segment_slice },
  { "unlink", segment_unlink },
  { NULL, NULL },
};

static const luaL_Reg metamethods[] = {
  { "__gc", segment_close },
  { "__close", segment_close },
  { "__len", segment_size },
  { "__tostring", segment_tostring },
  { NULL, NULL },
};

/* No __gc: a slice owns nothing. */
static const luaL_Reg slice_metamethods[] = {
  { "__close", segment_close },
  { "__len", segment_size },
  { "__tostring", segment_tostring },
  { NULL, NULL },
};

static const luaL_Reg functions[] = {
  { "open", segment_open },
  { "anonymous", segment_anonymous },
  { "from_fd", segment_from_fd },
  { NULL, NULL },
};

/* The module's table is at the top. */
void binding_open_segment(lua_State *L) {
  binding_register(L, functions);
  binding_new_class(L, CLASS, metamethods, methods);
  binding_register(L, segment_access_methods);
  binding_register(L, segment_scalar_methods);
  binding_register(L, segment_pack_methods);
  binding_register(L, segment_place_methods);
  binding_register(L, segment_dump_methods);
  binding_register(L, segment_array_methods);
  binding_register(L, segment_atomic_methods);
  binding_new_class(L, SLICE_CLASS, slice_metamethods, slice_metamethods);
  lua_pop(L, 1);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__index"); /* the segment's methods */
  lua_pop(L, 3);
}
