/* SPDX-License-Identifier: MIT */
/* What lies behind a name, without mapping it: the module's look and kind; and collect, which removes
 * what is garbage. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "binding/module.h"
#include "binding/place.h"
#include "binding/view.h"
#include "binding/waiting.h"
#include "objects/garbage.h"
#include "objects/look.h"

#define FAILURE_MAX 160

/* The name at arg 1. */
static shmseg_place check_place(lua_State *L) {
  luaL_checkstring(L, 1);
  return (shmseg_place){ SHMSEG_NAME, check_free_name(L, 1, SHMSEG_NAME) };
}

/* 0, or why there is nothing to be told of the place. */
static int look_at(lua_State *L, shmseg_place place, shmseg_look *look) {
  wait wait = wait_for_work();
  int err;
  do {
    err = shmseg_look_at(place, look);
    if (!err && (look->code == EMFILE || look->code == ENFILE || look->code == ENOMEM))
      err = look->code;
  } while (wait_again(L, &wait, &err));
  return err;
}

/* --- look --------------------------------------------------------------------------------- */

/* A number of the geometry, or the word that it stands for. One that no number holds is rounded. */
static void push_geometry_number(lua_State *L, const shmseg_number *number, uint64_t value) {
  uint64_t count = 0;
  while (number->words && number->words[count])
    count++;
  if (value - 1 < count && number->words == shmseg_kinds_switch)
    lua_pushboolean(L, value == 2);
  else if (value - 1 < count)
    lua_pushstring(L, number->words[value - 1]);
  else if (holds_uint64(value) && value <= INT64_MAX)
    push_uint64(L, value);
  else
    lua_pushnumber(L, (lua_Number)value);
}

static void set_geometry(lua_State *L, const shmseg_description *d) {
  lua_newtable(L);
  for (int i = 0; i < SHMSEG_GEOMETRY && d->kind->numbers[i].name; i++) {
    push_geometry_number(L, &d->kind->numbers[i], d->geometry[i]);
    lua_setfield(L, -2, d->kind->numbers[i].name);
  }
  lua_setfield(L, -2, "geometry");
}

static void set_string(lua_State *L, const char *key, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static void set_description(lua_State *L, const shmseg_look *look) {
  const shmseg_description *d = &look->description;
  if (look->code == SHMSEG_EMPTY)
    set_string(L, "kind", "segment");
  else if (d->kind)
    set_string(L, "kind", d->kind->name);
  if (d->kind && (look->code == 0 || look->code == SHMSEG_TOO_SMALL))
    set_geometry(L, d);
  if (look->code != SHMSEG_EMPTY && d->version != 0)
    set_number(L, "version", (int64_t)d->version);
  if (d->mark != 0)
    set_string(L, "mark", d->mark == SHMSEG_TEMPORARY_LAST ? "last" : "process");
  lua_pushboolean(L, look->code == 0 || look->code == SHMSEG_EMPTY);
  lua_setfield(L, -2, "complete");
  if (look->code != 0 && look->code != SHMSEG_EMPTY) {
    push_code(L, look->code);
    lua_setfield(L, -2, "code");
  }
}

/* look(name) -> table | nil, message, code */
static int module_look(lua_State *L) {
  shmseg_look look;
  shmseg_place place = check_place(L);
  int err = look_at(L, place, &look);
  if (err)
    return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
  push_stat(L, &look.status);
  set_description(L, &look);
  return 1;
}

/* --- kind --------------------------------------------------------------------------------- */

/* Says why it is none of the objects that this version can open. */
static void describe(const shmseg_look *look, char *text, size_t available) {
  const shmseg_description *d = &look->description;
  const shmseg_kind *known = shmseg_kinds_find(d->number);
  unsigned long long found = d->found, wanted = d->wanted;
  if (look->code == SHMSEG_TOO_SMALL)
    snprintf(text, available, "the object was cut: %llu bytes, %llu needed", found, wanted);
  else if (!known)
    snprintf(text, available, "an object of a kind that this version does not know: number %llu",
             found);
  else if (!d->kind)
    snprintf(text, available, "version %llu of the format of a %s is there, and not %llu", found,
             known->name, wanted);
  else
    snprintf(text, available, "the header of a %s says %llu bytes, %llu are right for its geometry",
             known->name, found, wanted);
}

static int push_unknown(lua_State *L, shmseg_place place, const shmseg_look *look) {
  char text[FAILURE_MAX];
  describe(look, text, sizeof text);
  return push_failure_as(L, look->code, push_subject(L, "segment", place.name), text);
}

/* kind(name) -> the kind, or "segment" | nil, message, code */
static int module_kind(lua_State *L) {
  shmseg_look look;
  shmseg_place place = check_place(L);
  int err = look_at(L, place, &look);
  if (!err && (look.code == SHMSEG_INCOMPATIBLE || look.code == SHMSEG_TOO_SMALL))
    return push_unknown(L, place, &look);
  if (!err && look.code != SHMSEG_EMPTY)
    err = look.code;
  if (err)
    return push_place_failure(L, "segment", place, SHMSEG_READ, 0, err);
  lua_pushstring(L, look.code == 0 ? look.description.kind->name : "segment");
  return 1;
}

/* --- collect ------------------------------------------------------------------------------ */

static int push_collect_failure(lua_State *L, shmseg_place place, int err, int pid) {
  char text[FAILURE_MAX];
  const char *words = NULL;
  if (err == EPERM)
    words = "it is not temporary";
  else if (err == EBUSY && pid == 0)
    words = "it is open in a process that uses this library";
  else if (err == SHMSEG_NO_PROC)
    words = "there is no /proc, which tells who has it mapped";
  if (err == EBUSY && pid != 0) {
    snprintf(text, sizeof text, "process %d has it mapped", pid);
    words = text;
  }
  if (words)
    return push_failure_as(L, err, push_subject(L, "segment", place.name), words);
  return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
}

/* collect(name [, plain]) -> true | nil, message, code */
static int module_collect(lua_State *L) {
  shmseg_place place = check_place(L);
  bool plain = lua_toboolean(L, 2);
  wait wait = wait_patiently();
  int pid = 0;
  int err;
  do
    err = shmseg_garbage_collect_until(place, plain, &wait.deadline, &pid);
  while (wait_again(L, &wait, &err));
  if (err)
    return push_collect_failure(L, place, err, pid);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {
  { "collect", module_collect },
  { "kind", module_kind },
  { "look", module_look },
  { NULL, NULL },
};

void binding_open_look(lua_State *L) {
  binding_register(L, functions);
}
