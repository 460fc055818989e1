/* SPDX-License-Identifier: MIT */
/* What the userdata of all objects have in common: opening on a segment, closing, results. */
#include "binding/object.h"
#include "binding/module.h"
#include "binding/segment.h"
#include "binding/waiting.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/wait.h"
#include "objects/object.h"

/* How often a name is tried that peers give to other objects and take away. */
#define ROUNDS 100

#define GUARD_CLASS "shmseg.guard"

enum {
  VIEWS = 1,
  WHERE = 2,
  GUARD = 3,
  SELF = 4,
  ABANDONED = 5,
  ENCODE = 6,
  DECODE = 7,
  BUFFER = 8
}; /* of an object's own table */

static const char guard_tag;

typedef struct {
  view view;
  object *object;
  void (*unlock)(object *o);
} guard;

void *check_object(lua_State *L, const object_class *class) {
  void *o = test_tag(L, 1, class);
  return o ? o : type_error(L, 1, class->name);
}

/* --- failures ----------------------------------------------------------------------------- */

static const char *misuse(int err) {
  switch (err) {
  case SHMSEG_HELD: return "this handle holds the lock already";
  case SHMSEG_NOT_HELD: return "this handle does not hold the lock";
  case SHMSEG_CLOSED: return "the handle or its segment is closed";
  case SHMSEG_READ_ONLY: return "the segment is read-only";
  default: return NULL;
  }
}

static const char *noun_of(const object *o) {
  return o->class->name + strlen("shmseg.");
}

const char *push_object_subject(lua_State *L, const object *o) {
  return push_subject(L, noun_of(o), o->name);
}

int object_raise(lua_State *L, const object *o, int err) {
  const char *subject = push_object_subject(L, o);
  if (misuse(err))
    return luaL_error(L, "%s: %s", subject, misuse(err));
  push_failure(L, err, subject, NULL);
  return luaL_error(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
}

int push_object_failure(lua_State *L, const object *o, int err) {
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  if (misuse(err))
    return object_raise(L, o, err);
  return push_failure(L, err, push_object_subject(L, o), NULL);
}

/* --- guards ------------------------------------------------------------------------------- */

/* Unlocks if still locked; never raises, for a scope may end with an error of its own. */
static int guard_close(lua_State *L) {
  guard *g = test_tag(L, 1, &guard_tag);
  if (!g)
    type_error(L, 1, GUARD_CLASS);
  g->unlock(g->object);
  return 0;
}

void push_guard(lua_State *L, object *o, void (*unlock)(object *o)) {
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, GUARD);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    guard *g = lua_newuserdata(L, sizeof *g);
    memset(g, 0, sizeof *g);
    g->view.tag = &guard_tag;
    g->object = o;
    g->unlock = unlock;
    luaL_getmetatable(L, GUARD_CLASS);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -2); /* the object's table, which has the object */
    lua_setuservalue(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, GUARD);
  }
  lua_remove(L, -2);
}

int push_lock_result(lua_State *L, object *o, int err, bool abandoned) {
  if (err == SHMSEG_TIMEOUT)
    return push_outcome(L, "timeout");
  if (err)
    return object_raise(L, o, err);
  if (!abandoned)
    return 1;
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, ABANDONED);
  lua_remove(L, -2);
  return 2;
}

/* --- codecs and buffers ------------------------------------------------------------------- */

/* Raises that the value at arg has no bytes. */
static int value_error(lua_State *L, const object *o, int arg) {
  bool could = !o->has_codec && !lua_isnil(L, arg);
  const char *hint = could ? " (the option \"codec\" makes strings of other values)" : "";
  return luaL_argerror(
      L, arg, lua_pushfstring(L, "string expected, got %s%s", luaL_typename(L, arg), hint));
}

const char *check_value(lua_State *L, const object *o, int arg, size_t *size) {
  luaL_checkany(L, arg);
  if (o->has_codec) {
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, ENCODE);
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "the codec's encode gave no string, but a %s", luaL_typename(L, -1));
    lua_replace(L, arg);
    lua_pop(L, 1);
  }
  const char *bytes = lua_tolstring(L, arg, size);
  if (!bytes)
    value_error(L, o, arg);
  return bytes;
}

void decode_value(lua_State *L, const object *o, int owner) {
  if (!o->has_codec)
    return;
  lua_getuservalue(L, owner);
  lua_rawgeti(L, -1, DECODE);
  lua_pushvalue(L, -3);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1))
    luaL_error(L, "the codec's decode gave nil");
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void grow_buffer(lua_State *L, buffer *b, size_t available) {
  b->available = 0; /* should the allocation fail, the old bytes are not forgotten by the table */
  lua_getuservalue(L, 1);
  b->bytes = lua_newuserdata(L, available);
  lua_rawseti(L, -2, BUFFER);
  lua_pop(L, 1);
  b->available = available;
}

void push_buffered(lua_State *L, const buffer *b, size_t begin, size_t size) {
  if (MAY_COPY_SHARED) { /* copies before finalizers run */
    lua_pushlstring(L, (const char *)b->bytes + begin, size);
    return;
  }
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, BUFFER); /* alive, should a finalizer have it replaced */
  lua_pushlstring(L, (const char *)b->bytes + begin, size);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

int value_too_large(lua_State *L, object *o, int arg, size_t size) {
  char text[96];
  snprintf(text, sizeof text, "too large: %llu bytes, the capacity is %llu",
           (unsigned long long)size, (unsigned long long)o->class->core(o)->capacity);
  return luaL_argerror(L, arg, text);
}

/* --- opening and closing ------------------------------------------------------------------ */

static shmseg_mode check_mode(lua_State *L, int arg, const view *where) {
  static const char *const modes[] = { "r", "rw", "c", "x", NULL };
  if (lua_isnoneornil(L, arg))
    return where->segment->writable ? SHMSEG_WRITE : SHMSEG_READ;
  return (shmseg_mode)check_option(L, arg, modes);
}

/* A closed object among the views of the segment or slice at index where, an absolute one. */
static object *push_object(lua_State *L, int where, const object_class *class) {
  push_views(L, where);
  int views = lua_gettop(L);
  object *o = push_part(L, views, class->size, class);
  o->class = class;
  lua_createtable(L, ABANDONED, 0);
  lua_pushvalue(L, views);
  lua_rawseti(L, -2, VIEWS);
  lua_pushvalue(L, where);
  lua_rawseti(L, -2, WHERE);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, SELF);
  lua_pushliteral(L, "abandoned"); /* made now: nothing may allocate once a lock is held */
  lua_rawseti(L, -2, ABANDONED);
  lua_setuservalue(L, -2);
  luaL_getmetatable(L, class->name);
  lua_setmetatable(L, -2);
  return o;
}

/* Gives the object at the top the codec's functions at encode and behind it, if there are any. */
static void set_codec(lua_State *L, object *o, int encode) {
  if (!lua_isfunction(L, encode))
    return;
  lua_getuservalue(L, -1);
  lua_pushvalue(L, encode);
  lua_rawseti(L, -2, ENCODE);
  lua_pushvalue(L, encode + 1);
  lua_rawseti(L, -2, DECODE);
  lua_pop(L, 1);
  o->has_codec = true;
}

static const char *kind_name(uint64_t kind) {
  static const char *const names[] = {
    [SHMSEG_KIND_MUTEX] = "a mutex",         [SHMSEG_KIND_RWLOCK] = "a rwlock",
    [SHMSEG_KIND_SEMAPHORE] = "a semaphore", [SHMSEG_KIND_EVENT] = "an event",
    [SHMSEG_KIND_CELL] = "a cell",           [SHMSEG_KIND_QUEUE] = "a queue",
    [SHMSEG_KIND_BROADCAST] = "a broadcast",
  };
  return kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

/* What is there instead. */
static void describe_mismatch(const shmseg_object *core, char *text, size_t available) {
  const char *what = core->mismatch;
  unsigned long long found = core->found, wanted = core->wanted;
  if (strcmp(what, "kind") == 0 && kind_name(core->found))
    snprintf(text, available, "another kind of object is there: %s", kind_name(core->found));
  else if (strcmp(what, "kind") == 0)
    snprintf(text, available, "another kind of object is there: number %llu", found);
  else if (strcmp(what, "version") == 0)
    snprintf(text, available, "version %llu of the format is there, and not %llu", found, wanted);
  else if (strcmp(what, "size") == 0)
    snprintf(text, available, "size %llu is there, %llu is right for its capacity", found, wanted);
  else if (strcmp(what, "magic") == 0)
    snprintf(text, available, "something else is there: what is at offset %llu is not zero", found);
  else
    snprintf(text, available, "%s %llu, %llu asked", what, found, wanted);
}

static int push_open_failure(lua_State *L, object *o, const char *name, int err) {
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  const shmseg_object *core = o->class->core(o);
  const char *subject = push_subject(L, noun_of(o), name);
  char text[160];
  if (err == SHMSEG_INCOMPATIBLE && core->mismatch) {
    describe_mismatch(core, text, sizeof text);
    return push_failure_as(L, err, subject, text);
  }
  if (err == SHMSEG_TOO_SMALL) {
    snprintf(text, sizeof text, "%llu bytes, %llu needed", (unsigned long long)core->found,
             (unsigned long long)core->wanted);
    return push_failure_as(L, err, subject, text);
  }
  if (err == ENOENT)
    return push_failure_as(L, err, subject, "there is none yet (mode \"c\" makes it)");
  return push_failure(L, err, subject, NULL);
}

/* The object is open in what the view has of the segment. Allocates nothing. */
static void enter_object(object *o, const view *where) {
  o->name = where->segment->place.name;
  view_aim(&o->view, where, 0, o->class->core(o)->size);
}

/* How an object is opened in what a view has of a segment. */
typedef struct {
  const view *where;
  shmseg_mode mode;
  uint64_t capacity;
  bool created;
} opening;

static int try_open(void *handle, int64_t deadline, void *context) {
  object *o = handle;
  opening *in = context;
  const view *where = in->where;
  if (view_is_closed(where))
    return SHMSEG_CLOSED;
  int err = o->class->open(o, where->segment, where->offset, view_limit(where),
                           (shmseg_mode)(in->mode | SHMSEG_ONE_TRY), in->capacity, &in->created);
  if (err == SHMSEG_INTERRUPTED && shmseg_wait_pause(deadline) != 0)
    return SHMSEG_TIMEOUT;
  return err;
}

/* Opens the object, and waits for who is building it. */
static int open_in(lua_State *L, object *o, opening *in) {
  int64_t deadline = shmseg_wait_deadline(SHMSEG_BUILD_PATIENCE);
  return binding_wait(L, try_open, o, deadline, in, NULL);
}

/* open(segment or slice [, mode [, capacity [, encode, decode]]]) -> object, created; upvalue 1 is
 * the class */
static int object_open(lua_State *L) {
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  view *where = check_view(L, 1);
  check_open(L, where);
  shmseg_mode mode = check_mode(L, 2, where);
  uint64_t capacity = opt_size(L, 3, 0);
  lua_settop(L, 5);
  luaL_argcheck(L, where->offset % SHMSEG_ALIGN == 0, 1,
                "misaligned: an object lies at a multiple of 64");
  object *o = push_object(L, 1, class);
  set_codec(L, o, 4);
  check_open(L, where); /* nothing runs Lua code from here on */
  luaL_argcheck(L, mode == SHMSEG_READ || where->segment->writable, 2, "the segment is read-only");
  opening in = { where, mode, capacity, false };
  int err = open_in(L, o, &in);
  if (err == SHMSEG_CLOSED)
    check_open(L, where); /* by a hook */
  if (err)
    return push_open_failure(L, o, where->segment->place.name, err);
  enter_object(o, where);
  lua_pushboolean(L, in.created);
  return 2;
}

/* An object that is opened by its name, on a segment of its own. */
typedef struct {
  object *o;
  const view *where; /* all of the segment */
  shmseg_segment *segment;
  uint64_t capacity;
  bool opened; /* the segment: what has failed is the object in it */
} naming;

/* Before the segment has its name; what has got it may be another's in the end. */
static int build_in(shmseg_segment *segment, void *context) {
  naming *n = context;
  const object_class *class = n->o->class;
  int err = class->open(n->o, segment, 0, segment->size, SHMSEG_CREATE_ONLY, n->capacity, NULL);
  class->close(n->o);
  return err;
}

/* A segment that is too small for the object that was asked for may have another one. */
static int open_any_size(naming *n, shmseg_place place, const shmseg_options *options) {
  shmseg_options any = *options;
  any.size = 0;
  any.init = NULL;
  return shmseg_segment_open(n->segment, place, SHMSEG_WRITE, &any, NULL);
}

/* In mode "c" what is gone between two looks is no failure. */
static int open_segment(naming *n, shmseg_place place, shmseg_mode mode,
                        const shmseg_options *options, bool *created) {
  for (int round = 0; round < ROUNDS; round++) {
    int err = shmseg_segment_open(n->segment, place, mode, options, created);
    if (err != SHMSEG_TOO_SMALL || mode != SHMSEG_CREATE)
      return err;
    err = open_any_size(n, place, options);
    if (err != ENOENT)
      return err;
  }
  return EAGAIN;
}

/* Once the segment has its name nothing is allocated, and no Lua code runs when it is a new one: its
 * object is built, and there is nobody to wait for. */
static int open_by_name(lua_State *L, naming *n, shmseg_place place, shmseg_mode mode,
                        const shmseg_options *options, bool *created) {
  bool tried = false;
  int err;
  do {
    err = open_segment(n, place, mode, options, created);
  } while (binding_retry(L, err, &tried));
  if (err)
    return err;
  n->opened = true;
  opening in = { n->where, mode == SHMSEG_CREATE_ONLY ? SHMSEG_WRITE : mode, n->capacity, false };
  err = *created ? try_open(n->o, 0, &in) : open_in(L, n->o, &in);
  if (err && *created)
    shmseg_segment_unlink(n->segment);
  if (err)
    shmseg_segment_close(n->segment);
  *created = *created || in.created;
  return err;
}

/* Bytes of a new object; without a capacity of the only size there is. */
static size_t check_object_size(lua_State *L, const object_class *class, int arg,
                                uint64_t capacity) {
  uint64_t size = class->size_for(capacity != 0 ? capacity : 1);
  luaL_argcheck(L, size > 0, arg, "out of range");
  luaL_argcheck(L, size <= SIZE_MAX / 2, arg, "too large: more than the address space");
  return (size_t)size;
}

/* open_named(name | nil, mode, capacity, encode, decode, perm … temporary) -> object, created */
static int object_open_named(lua_State *L) {
  static const char *const modes[] = { "r", "rw", "c", "x", NULL };
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, 11);
  shmseg_place place = { SHMSEG_NAME, check_free_name(L, 1, SHMSEG_NAME) };
  shmseg_mode mode = (shmseg_mode)check_option(L, 2, modes);
  naming n = { .capacity = opt_size(L, 3, 0) };
  shmseg_options options = check_segment_options(L, 6);
  if (mode == SHMSEG_CREATE || mode == SHMSEG_CREATE_ONLY)
    options.size = check_object_size(L, class, 3, n.capacity);
  options.init = build_in;
  options.context = &n;
  n.segment = push_segment(L, &place);
  n.where = lua_touserdata(L, -1);
  n.o = push_object(L, lua_gettop(L), class);
  set_codec(L, n.o, 4);
  n.o->owns_segment = true;
  bool created;
  int err = open_by_name(L, &n, place, mode, &options, &created);
  if (err && n.opened)
    return push_open_failure(L, n.o, place.name, err);
  if (err)
    return push_place_failure(L, noun_of(n.o), place, mode, options.size, err);
  enter_object(n.o, n.where);
  lua_pushboolean(L, created);
  return 2;
}

/* size_for([capacity]) -> bytes, or nil for a capacity that cannot be */
static int object_size_for(lua_State *L) {
  const object_class *class = lua_touserdata(L, lua_upvalueindex(1));
  uint64_t size = class->size_for(opt_size(L, 1, 1));
  if (size == 0)
    lua_pushnil(L);
  else
    push_uint64(L, size);
  return 1;
}

static object *check_any(lua_State *L) {
  return check_object(L, lua_touserdata(L, lua_upvalueindex(1)));
}

static void end_object(object *o) {
  o->class->close(o);
  o->view.segment = NULL; /* nothing of it lies in the segment's way any more */
}

/* What the segment needs to end comes with its own __gc. */
static int object_gc(lua_State *L) {
  end_object(check_any(L));
  return 0;
}

static int object_close(lua_State *L) {
  object *o = check_any(L);
  shmseg_segment *segment = o->class->core(o)->segment;
  end_object(o);
  lua_getuservalue(L, 1);
  lua_pushnil(L); /* the slice that it was opened on may go, too */
  lua_rawseti(L, -2, WHERE);
  if (o->owns_segment && segment)
    shmseg_segment_close(segment);
  return 0;
}

/* segment() -> the segment or slice that the object was opened on */
static int object_segment(lua_State *L) {
  object *o = check_any(L);
  if (!o->class->core(o)->segment)
    return object_raise(L, o, SHMSEG_CLOSED);
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, WHERE);
  return 1;
}

static int object_tostring(lua_State *L) {
  object *o = check_any(L);
  shmseg_segment *segment = o->class->core(o)->segment;
  const char *name = segment && segment->place.name ? segment->place.name : "anonymous";
  bool open = segment && shmseg_segment_is_open(segment);
  lua_pushfstring(L, "%s (%s)", o->class->name, open ? name : "closed");
  return 1;
}

/* --- tables ------------------------------------------------------------------------------- */

static const luaL_Reg common_methods[] = {
  { "close", object_close },
  { "segment", object_segment },
  { NULL, NULL },
};

static const luaL_Reg common_metamethods[] = {
  { "__close", object_close },
  { "__gc", object_gc },
  { "__tostring", object_tostring },
  { NULL, NULL },
};

static const luaL_Reg class_functions[] = {
  { "open", object_open },
  { "open_named", object_open_named },
  { "size_for", object_size_for },
  { NULL, NULL },
};

/* Like binding_register, with the class as upvalue 1. */
static void register_for(lua_State *L, const luaL_Reg *functions, const object_class *class) {
  for (; functions->name; functions++) {
    lua_pushlightuserdata(L, (void *)class);
    lua_pushcclosure(L, functions->func, 1);
    lua_setfield(L, -2, functions->name);
  }
}

void binding_open_class(lua_State *L, const char *name, const object_class *class,
                        const luaL_Reg *methods) {
  static const luaL_Reg none[] = { { NULL, NULL } };
  lua_newtable(L);
  register_for(L, class_functions, class);
  binding_new_class(L, class->name, none, methods);
  register_for(L, common_methods, class);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "methods");
  lua_pop(L, 1);
  register_for(L, common_metamethods, class);
  lua_pop(L, 1);
  lua_setfield(L, -2, name);
}

void binding_open_object(lua_State *L) {
  static const luaL_Reg methods[] = { { "close", guard_close }, { NULL, NULL } };
  static const luaL_Reg metamethods[] = { { "__close", guard_close }, { NULL, NULL } };
  binding_new_class(L, GUARD_CLASS, metamethods, methods);
  lua_pop(L, 2);
}
