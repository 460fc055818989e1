/* SPDX-License-Identifier: MIT */
/* The cell userdata. */
#include "binding/module.h"
#include "binding/object.h"
#include "binding/value.h"
#include "binding/waiting.h"
#include "binding/watch.h"

/* Bytes of the first private buffer. */
#define BUFFER_MIN 256

typedef struct {
  object object;
  shmseg_cell cell;
  buffer buffer;
  uint64_t copies; /* into the buffer, so far */
} cell;

const object_class cell_class = { &shmseg_cell_kind, "shmseg.cell", sizeof(cell), NULL };

/* version, or the failure of the call that had the value at arg. */
static int push_version(lua_State *L, cell *c, int err, int arg, uint64_t version) {
  if (err)
    return push_value_failure(L, &c->object, arg, err);
  push_uint64(L, version);
  return 1;
}

/* Sets the cell to the value at arg if its version is the expected one. */
static int set(lua_State *L, cell *c, int arg, uint64_t expected, uint64_t *version) {
  check_value(L, &c->object, arg);
  wait wait = wait_patiently();
  int err;
  do {
    shmseg_source value = value_at(L, arg);
    err = shmseg_cell_set_until(&c->cell, expected, &value, &wait.deadline, version);
  } while (wait_again(L, &wait, &err));
  return err;
}

/* set(value) -> version */
static int cell_set(lua_State *L) {
  cell *c = check_object(L, &cell_class);
  uint64_t version;
  int err = set(L, c, 2, SHMSEG_ANY_VERSION, &version);
  return push_version(L, c, err, 2, version);
}

/* cas(version, value) -> version | false, actual version */
static int cell_cas(lua_State *L) {
  cell *c = check_object(L, &cell_class);
  int64_t expected = check_integer(L, 2);
  luaL_argcheck(L, expected >= 0, 2, "not a version");
  uint64_t version;
  int err = set(L, c, 3, (uint64_t)expected, &version);
  if (err != SHMSEG_CHANGED)
    return push_version(L, c, err, 3, version);
  lua_pushboolean(L, 0);
  push_uint64(L, version);
  return 2;
}

/* Copies the value into the buffer. The first copy into new memory is slow, since each page faults;
 * two writes may overtake it. From the second try on the pages are there. */
static int copy_value(lua_State *L, cell *c, size_t *size, uint64_t *version) {
  int err;
  if (c->buffer.available == 0)
    grow_buffer(L, &c->buffer, BUFFER_MIN);
  /* growing may run finalizers, so shmseg_cell_get() checks the handle each time */
  while ((err = shmseg_cell_get(&c->cell, c->buffer.bytes, c->buffer.available, size, version)) ==
         SHMSEG_TOO_SMALL)
    grow_buffer(L, &c->buffer, *size + *size / 2);
  c->copies++;
  return err;
}

/* Pushes the value by way of the buffer. */
static int cell_push_copy(lua_State *L, cell *c, uint64_t *version) {
  for (;;) {
    size_t size;
    int err = copy_value(L, c, &size, version);
    if (err)
      return err;
    uint64_t copies = c->copies;
    push_buffered(L, &c->buffer, 0, size);
    if (c->copies == copies) /* else a finalizer has copied another value over it */
      return 0;
    lua_pop(L, 1);
  }
}

/* Pushes the value straight from the cell. SHMSEG_CHANGED: a writer came between, so it is not
 * valid. */
static int push_try(lua_State *L, cell *c, uint64_t *version) {
  const unsigned char *bytes;
  size_t size;
  int err = shmseg_cell_peek(&c->cell, &bytes, &size, version);
  if (err)
    return err;
  if (!push_shared(L, bytes, size))
    return cell_push_copy(L, c, version);
  return shmseg_cell_confirm(&c->cell, *version); /* a finalizer may have closed the handle */
}

/* Pushes value and version; or a failure. */
static int push_current(lua_State *L, cell *c) {
  uint64_t version;
  int err = push_try(L, c, &version);
  if (err == SHMSEG_CHANGED)
    err = cell_push_copy(L, c, &version);
  if (err)
    return push_object_failure(L, &c->object, err);
  decode_value(L, &c->object, 1);
  push_uint64(L, version);
  return 2;
}

/* get() -> value, version | nil, "empty" */
static int cell_get(lua_State *L) {
  return push_current(L, check_object(L, &cell_class));
}

/* get_into(segment [, offset]) -> count, version | nil, "empty" | "too small" */
static int cell_get_into(lua_State *L) {
  cell *c = check_object(L, &cell_class);
  target t = target_at(L, &c->object, 2);
  size_t size;
  uint64_t version;
  int err = shmseg_cell_get(&c->cell, t.bytes, t.available, &size, &version);
  if (err == SHMSEG_TOO_SMALL)
    return push_target_too_small(L, &c->object, size, &t);
  if (!err)
    err = segment_status(t.segment);
  if (err)
    return push_value_failure(L, &c->object, 2, err);
  push_uint64(L, size);
  push_uint64(L, version);
  return 2;
}

/* A version that was seen; none: 0. */
static uint64_t opt_version(lua_State *L, int arg) {
  int64_t version = lua_isnoneornil(L, arg) ? 0 : check_integer(L, arg);
  luaL_argcheck(L, version >= 0, arg, "not a version");
  return (uint64_t)version;
}

/* wait([version [, timeout]]) -> value, version | nil, "timeout" */
static int cell_wait(lua_State *L) {
  cell *c = check_object(L, &cell_class);
  uint64_t version = opt_version(L, 2);
  wait wait = wait_until(opt_deadline(L, 3));
  int err;
  do
    err = shmseg_cell_wait(&c->cell, version, wait.deadline);
  while (wait_again(L, &wait, &err));
  return err ? push_object_failure(L, &c->object, err) : push_current(L, c);
}

static int arm_watch(watch *w, uint64_t seen) {
  const cell *c = w->what;
  return shmseg_cell_watch(&c->cell, seen, &w->core);
}

/* watch([version]) -> watch | nil, message, code */
static int cell_watch(lua_State *L) {
  static const watch_source source = { .arm = arm_watch,
                                       .fail = fail_object_watch,
                                       .see = opt_version };
  check_object(L, &cell_class);
  return push_armed_watch(L, &source, opt_version(L, 2));
}

static const luaL_Reg methods[] = {
  { "cas", cell_cas }, { "get", cell_get },   { "get_into", cell_get_into },
  { "set", cell_set }, { "wait", cell_wait }, { "watch", cell_watch },
  { NULL, NULL },
};

void binding_open_cell(lua_State *L) {
  binding_open_class(L, &cell_class, methods);
}
