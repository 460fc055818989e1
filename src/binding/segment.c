/* SPDX-License-Identifier: MIT */
/* The segment userdata: opening, closing, size, names. Its bytes are in segment_access.c,
 * segment_scalar.c and segment_pack.c. */
#define _GNU_SOURCE
#include "binding/segment.h"
#include "binding/module.h"
#include "binding/waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "os/backing.h"
#include "os/map.h"
#include "os/random.h"

#define CLASS "shmseg.segment"
#define SLICE_CLASS "shmseg.slice"
#define LISTING_CLASS "shmseg.listing"

typedef struct {
  view view; /* first: every method takes either */
  shmseg_segment segment;
  char name[]; /* borrowed by segment.place */
} root;

/* --- checks ----------------------------------------------------------------------------------------- */

/* The segment itself, open: what the method does makes no sense for a slice. */
static root *check_root(lua_State *L) {
  view *v = check_view(L, 1);
  if (v->is_part)
    luaL_error(L, "a slice cannot do this: call it on the segment");
  check_open(L, v);
  return (root *)v;
}

/* --- opening ------------------------------------------------------------------------------ */

static root *new_root(lua_State *L, const char *name) {
  size_t length = name ? strlen(name) + 1 : 0;
  root *r = lua_newuserdata(L, sizeof *r + length);
  r->view = (view){ .tag = &segment_tag, .segment = &r->segment };
  if (name)
    memcpy(r->name, name, length);
  shmseg_segment_init(&r->segment);
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
  return r;
}

shmseg_segment *push_segment(lua_State *L, shmseg_place *place) {
  root *r = new_root(L, place->name);
  place->name = r->name;
  return &r->segment;
}

/* A size that the option or argument gives, or 0. */
static size_t opt_bytes(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg))
    return 0;
  int64_t n = check_integer(L, arg);
  luaL_argcheck(L, n > 0, arg, "not a positive number of bytes");
  luaL_argcheck(L, (uint64_t)n <= SIZE_MAX / 2, arg, "too large: more than the address space");
  return (size_t)n;
}

/* The name of an object, or the path of a file. */
static const char *check_name(lua_State *L, int arg, shmseg_place_type type) {
  size_t length;
  const char *name = luaL_checklstring(L, arg, &length);
  bool leads_elsewhere = strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
  luaL_argcheck(L, length > 0 && strlen(name) == length, arg, "empty, or a zero byte inside");
  luaL_argcheck(L, type == SHMSEG_FILE || (!leads_elsewhere && length <= SHMSEG_NAME_MAX), arg,
                "no name of an object");
  return name;
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
  options.temporary = lua_toboolean(L, arg + 5);
  return options;
}

/* The same, behind the size. */
static shmseg_options check_options(lua_State *L, int arg) {
  shmseg_options options = check_segment_options(L, arg + 1);
  options.size = opt_bytes(L, arg);
  return options;
}

/* Where the stack holds what call_init needs; the function may raise, and is caught. */
typedef struct {
  lua_State *L;
  int function, segment;
  bool called, failed; /* failed: its error is at the top */
} init_call;

static int call_init(shmseg_segment *segment, void *context) {
  init_call *call = context;
  (void)segment;
  call->called = true;
  lua_pushvalue(call->L, call->function);
  lua_pushvalue(call->L, call->segment);
  call->failed = lua_pcall(call->L, 1, 0, 0) != 0;
  return call->failed ? ECANCELED : 0;
}

/* A free name, when none is given. */
static const char *random_name(lua_State *L) {
  uint64_t bits;
  char name[32];
  int err = shmseg_random_draw(&bits);
  if (err)
    luaL_error(L, "no random numbers: %s", strerror(err));
  snprintf(name, sizeof name, "shmseg-%016llx", (unsigned long long)bits);
  lua_pushstring(L, name);
  return lua_tostring(L, -1);
}

const char *check_free_name(lua_State *L, int arg, shmseg_place_type type) {
  return lua_isnil(L, arg) ? random_name(L) : check_name(L, arg, type);
}

/* What lies at the place that is neither an object nor an ordinary file, or NULL. */
static const char *what_is(shmseg_place place) {
  struct stat status;
  if (shmseg_backing_dangles(place))
    return "is a symbolic link that leads nowhere";
  if (shmseg_backing_stat(place, &status) != 0)
    return NULL;
  switch (status.st_mode & S_IFMT) {
  case S_IFLNK: return "is a symbolic link";
  case S_IFDIR: return "is a directory";
  case S_IFIFO: return "is a FIFO";
  case S_IFSOCK: return "is a socket";
  case S_IFBLK:
  case S_IFCHR: return "is a device";
  default: return NULL;
  }
}

static const char *push_too_small(lua_State *L, shmseg_place place, uint64_t needed) {
  struct stat status;
  char text[64];
  if (shmseg_backing_stat(place, &status) != 0)
    return NULL;
  if (needed == 0)
    return status.st_size == 0 ? "is empty" : NULL;
  snprintf(text, sizeof text, "%lld bytes, %llu needed", (long long)status.st_size,
           (unsigned long long)needed);
  return lua_pushfstring(L, "%s", text);
}

/* What is missing before the place itself, or NULL. */
static bool is_empty_file(shmseg_place place) {
  struct stat status;
  return place.type == SHMSEG_FILE && shmseg_backing_stat(place, &status) == 0 &&
         status.st_size == 0;
}

static const char *missing_folder(shmseg_place place) {
  if (shmseg_backing_has_folder(place))
    return NULL;
  return place.type == SHMSEG_NAME ? "/dev/shm is not there" : "its folder is not there";
}

int push_place_failure(lua_State *L, const char *noun, shmseg_place place, shmseg_mode mode,
                       uint64_t needed, int err) {
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  const char *subject = push_subject(L, noun, place.name);
  const char *words = NULL;
  bool attaches = mode == SHMSEG_READ || mode == SHMSEG_WRITE;
  if (err == SHMSEG_TOO_SMALL)
    words = push_too_small(L, place, needed);
  else if (err == ELOOP || err == ENODEV || err == EISDIR || err == ENXIO)
    words = what_is(place);
  else if (err == ENOENT)
    words = shmseg_backing_dangles(place) ? what_is(place) : missing_folder(place);
  else if ((err == EACCES || err == EPERM) && mode == SHMSEG_CREATE && is_empty_file(place))
    words = "an empty file is replaced, for which its folder must be writable";
  if (words)
    return push_failure_as(L, err, subject, words);
  return push_failure(L, err, subject, err == ENOENT && attaches ? "mode \"c\" creates it" : NULL);
}

/* The segment of from, which has nothing open in it, is to's: what was made on from has ended. */
static void move_segment(root *to, root *from) {
  to->segment = from->segment;
  to->segment.place.name = to->name;
  shmseg_segment_init(&from->segment);
}

/* open(name | nil, is_file, mode, size … temporary, init) -> segment, created | nil, … */
static int segment_open(lua_State *L) {
  static const char *const modes[] = { "r", "rw", "c", "x", NULL };
  lua_settop(L, 11);
  shmseg_place_type type = lua_toboolean(L, 2) ? SHMSEG_FILE : SHMSEG_NAME;
  const char *name = check_free_name(L, 1, type);
  shmseg_mode mode = (shmseg_mode)check_option(L, 3, modes);
  shmseg_options options = check_options(L, 4);
  root *r = new_root(L, name);
  init_call call = { L, 11, lua_gettop(L), false, false };
  shmseg_place place = { type, r->name };
  bool created;
  root *other = NULL; /* made now: nothing may allocate once there is a name */
  if (!lua_isnoneornil(L, 11)) {
    other = new_root(L, name);
    options.init = call_init;
    options.context = &call;
  }
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_open(&r->segment, place, mode, &options, &created);
  while (!call.called && wait_again(L, &wait, &err));
  if (call.failed)
    return lua_error(L);
  if (err)
    return push_place_failure(L, type == SHMSEG_FILE ? "file" : "segment", place, mode,
                              options.size, err);
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

/* A slice closes alone; a segment ends with everything built on it. */
static int segment_close(lua_State *L) {
  view *v = check_view(L, 1);
  if (v->is_part)
    v->segment = NULL;
  else
    shmseg_segment_close(v->segment);
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
  if (err)
    return push_view_failure(L, &r->view, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* unlink(name) -> true | nil, message, code */
static int module_unlink(lua_State *L) {
  shmseg_place place = { SHMSEG_NAME, check_name(L, 1, SHMSEG_NAME) };
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_remove_until(place, &wait.deadline);
  while (wait_again(L, &wait, &err));
  if (err)
    return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
  lua_pushboolean(L, 1);
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
  if (size < r->segment.size)
    check_views(L, 1, size); /* which may run finalizers */
  check_writable(L, &r->view);
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_resize_until(&r->segment, size, &wait.deadline);
  while (wait_again(L, &wait, &err));
  if (err)
    return push_view_failure(L, &r->view, err);
  push_uint64(L, r->segment.size);
  return 1;
}

/* refresh() -> size | nil, message, code */
static int segment_refresh(lua_State *L) {
  view *v = check_view(L, 1);
  check_open(L, v);
  wait wait = wait_patiently();
  int err;
  do
    err = v->segment ? shmseg_segment_refresh(v->segment) : SHMSEG_CLOSED;
  while (wait_again(L, &wait, &err));
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

static void set_number(lua_State *L, const char *key, int64_t value) {
  push_int64(L, value);
  lua_setfield(L, -2, key);
}

static void set_time(lua_State *L, const char *key, struct timespec time) {
  lua_pushnumber(L, (lua_Number)time.tv_sec + (lua_Number)time.tv_nsec / 1e9);
  lua_setfield(L, -2, key);
}

#if defined(__APPLE__)
#define st_atim st_atimespec
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

static int push_stat(lua_State *L, const struct stat *status) {
  char perm[8];
  lua_createtable(L, 0, 11);
  snprintf(perm, sizeof perm, "%03o", (unsigned)(status->st_mode & 07777));
  lua_pushstring(L, perm);
  lua_setfield(L, -2, "perm");
  set_number(L, "size", (int64_t)status->st_size);
  set_number(L, "allocated", (int64_t)status->st_blocks * 512);
  set_number(L, "uid", (int64_t)status->st_uid);
  set_number(L, "gid", (int64_t)status->st_gid);
  set_number(L, "links", (int64_t)status->st_nlink);
  set_number(L, "device", (int64_t)status->st_dev);
  set_number(L, "inode", (int64_t)status->st_ino);
  set_time(L, "accessed", status->st_atim);
  set_time(L, "modified", status->st_mtim);
  set_time(L, "changed", status->st_ctim);
  return 1;
}

static int segment_stat(lua_State *L) {
  struct stat status;
  view *v = check_view(L, 1);
  check_open(L, v);
  if (fstat(v->segment->fd, &status) != 0)
    return push_view_failure(L, v, errno);
  return push_stat(L, &status);
}

/* stat(name) -> table | nil, message, code */
static int module_stat(lua_State *L) {
  struct stat status;
  shmseg_place place = { SHMSEG_NAME, check_name(L, 1, SHMSEG_NAME) };
  int err = shmseg_backing_stat(place, &status);
  if (!err && !S_ISREG(status.st_mode))
    err = ENODEV;
  if (err)
    return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
  return push_stat(L, &status);
}

static const char listing_tag;

typedef struct {
  view view; /* of nothing: the tag is what counts */
  shmseg_listing names;
} listing;

static int listing_close(lua_State *L) {
  listing *l = test_tag(L, 1, &listing_tag);
  if (!l)
    l = type_error(L, 1, LISTING_CLASS);
  shmseg_backing_list_close(&l->names);
  return 0;
}

/* list() -> array of names, in no order | nil, message, code */
static int module_list(lua_State *L) {
  const char *name;
  listing *l = lua_newuserdata(L, sizeof *l);
  memset(l, 0, sizeof *l);
  l->view.tag = &listing_tag;
  luaL_getmetatable(L, LISTING_CLASS);
  lua_setmetatable(L, -2);
  lua_newtable(L);
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_backing_list(&l->names);
  while (wait_again(L, &wait, &err));
  for (int i = 1; !err; i++) {
    err = shmseg_backing_next(&l->names, &name);
    if (err || !name)
      break;
    lua_pushstring(L, name);
    lua_rawseti(L, -2, i);
  }
  shmseg_backing_list_close(&l->names);
  return err ? push_failure(L, err, "list", err == ENOENT ? "/dev/shm is not there" : NULL) : 1;
}

/* --- tables ------------------------------------------------------------------------------- */

static const luaL_Reg methods[] = {
  { "close", segment_close },   { "fd", segment_fd },           { "mode", segment_mode },
  { "name", segment_name },     { "pointer", segment_pointer }, { "refresh", segment_refresh },
  { "resize", segment_resize }, { "size", segment_size },       { "slice", segment_slice },
  { "stat", segment_stat },     { "unlink", segment_unlink },   { NULL, NULL },
};

static const luaL_Reg metamethods[] = {
  { "__gc", segment_close },
  { "__close", segment_close },
  { "__len", segment_size },
  { "__tostring", segment_tostring },
  { NULL, NULL },
};

/* A view ends with its segment: no __gc. */
static const luaL_Reg slice_metamethods[] = {
  { "__close", segment_close },
  { "__len", segment_size },
  { "__tostring", segment_tostring },
  { NULL, NULL },
};

static const luaL_Reg listing_metamethods[] = { { "__gc", listing_close }, { NULL, NULL } };

static const luaL_Reg functions[] = {
  { "open", segment_open },
  { "anonymous", segment_anonymous },
  { "from_fd", segment_from_fd },
  { "unlink", module_unlink },
  { "stat", module_stat },
  { "list", module_list },
  { NULL, NULL },
};

/* The module's table is at the top. */
void binding_open_segment(lua_State *L) {
  binding_register(L, functions);
  binding_new_class(L, CLASS, metamethods, methods);
  binding_register(L, segment_access_methods);
  binding_register(L, segment_scalar_methods);
  binding_register(L, segment_pack_methods);
  binding_register(L, segment_dump_methods);
  binding_register(L, segment_array_methods);
  binding_register(L, segment_atomic_methods);
  binding_new_class(L, SLICE_CLASS, slice_metamethods, slice_metamethods);
  lua_pop(L, 1);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__index"); /* the segment's methods */
  lua_pop(L, 3);
  binding_new_class(L, LISTING_CLASS, listing_metamethods, listing_metamethods);
  lua_pop(L, 2);
}
