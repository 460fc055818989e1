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

/* So many names are collected at once. Each takes a descriptor meanwhile, and its openers wait. */
#define COLLECT_MAX 64

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
    return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
  lua_pushstring(L, look.code == 0 ? look.description.kind->name : "segment");
  return 1;
}

/* --- collect ------------------------------------------------------------------------------ */

/* nil, message, code for one that was not removed. */
static int push_collect_failure(lua_State *L, const shmseg_garbage *item) {
  char text[FAILURE_MAX];
  const char *words = NULL;
  if (item->code == EPERM)
    words = "it is not temporary";
  else if (item->code == EBUSY && item->pid == 0)
    words = "it is open in a process that uses this library";
  else if (item->code == SHMSEG_NO_PROC)
    words = "there is no /proc, which tells who has it mapped";
  if (item->pid != 0) {
    snprintf(text, sizeof text, "process %d has it mapped", item->pid);
    words = text;
  }
  if (words)
    return push_failure_as(L, item->code, push_subject(L, "segment", item->place.name), words);
  return push_place_failure(L, "segment", item->place, SHMSEG_CREATE, 0, item->code);
}

/* Collects them. What is left over for lack of a descriptor is tried by itself, once all garbage of
 * Lua's is collected. */
static int collect(lua_State *L, shmseg_garbage *items, size_t count, bool plain) {
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_garbage_collect_until(items, count, plain, &wait.deadline);
  while (wait_again(L, &wait, &err));
  for (size_t i = 0; !err && i < count; i++) {
    shmseg_garbage *item = &items[i];
    if (item->code != EMFILE && item->code != ENFILE && item->code != ENOMEM)
      continue;
    lua_gc(L, LUA_GCCOLLECT, 0);
    shmseg_garbage_begin(item, item->place);
    wait = wait_patiently();
    do
      err = shmseg_garbage_collect_until(item, 1, plain, &wait.deadline);
    while (wait_again(L, &wait, &err));
  }
  return err;
}

/* The names at index NAMES from the one with that number on. */
enum { NAMES = 3, RESULTS };

static size_t begin_items(lua_State *L, shmseg_garbage *items, size_t from) {
  size_t count = lua_rawlen(L, NAMES) - from;
  count = count < COLLECT_MAX ? count : COLLECT_MAX;
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, NAMES, (int)(from + i + 1));
    shmseg_garbage_begin(&items[i], (shmseg_place){ SHMSEG_NAME, lua_tostring(L, -1) });
    lua_pop(L, 1); /* the table keeps it */
  }
  return count;
}

/* Pushes true, or { message =, code = }. */
static void push_collected(lua_State *L, const shmseg_garbage *item) {
  if (item->code == 0) {
    lua_pushboolean(L, 1);
    return;
  }
  int top = lua_gettop(L);
  lua_createtable(L, 0, 2);
  push_collect_failure(L, item);
  lua_setfield(L, top + 1, "code");
  lua_setfield(L, top + 1, "message");
  lua_settop(L, top + 1);
}

/* Copies the names of the list at arg 1: nobody else changes the copy. */
static void push_names(lua_State *L) {
  lua_newtable(L);
  size_t count = lua_rawlen(L, 1);
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, (int)i);
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "not a list of names");
    check_free_name(L, lua_gettop(L), SHMSEG_NAME);
    lua_rawseti(L, NAMES, (int)i);
  }
}

static int collect_list(lua_State *L, bool plain) {
  shmseg_garbage items[COLLECT_MAX];
  push_names(L);
  lua_newtable(L);
  size_t all = lua_rawlen(L, NAMES);
  int err = 0;
  for (size_t from = 0, count; !err && from < all; from += count) {
    count = begin_items(L, items, from);
    err = collect(L, items, count, plain);
    for (size_t i = 0; i < count; i++) {
      if (err && items[i].code == EAGAIN)
        items[i].code = err;
      push_collected(L, &items[i]);
      lua_rawseti(L, RESULTS, (int)(from + i + 1));
    }
  }
  return 1;
}

/* collect(name [, plain]) -> true | nil, message, code
 * collect(list of names [, plain]) -> list: for each true or { message =, code = }; when it is
 * interrupted, for those that were tried */
static int module_collect(lua_State *L) {
  shmseg_garbage item;
  bool plain = lua_toboolean(L, 2);
  lua_settop(L, 2);
  if (lua_istable(L, 1))
    return collect_list(L, plain);
  shmseg_garbage_begin(&item, check_place(L));
  int err = collect(L, &item, 1, plain);
  if (err)
    return push_place_failure(L, "segment", item.place, SHMSEG_CREATE, 0, err);
  if (item.code)
    return push_collect_failure(L, &item);
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
