/* SPDX-License-Identifier: MIT */
/* Looking at an open object: its locks, their owners, its order. */
#include "binding/inspect.h"

#include "binding/object.h"
#include "binding/users.h"
#include "binding/waiting.h"
#include "objects/inspect.h"
#include "objects/object.h"

/* Where object_inspect() has what it makes. */
enum { LIST = 2, OWNERS, GROUPS };

/* What is counted of the part at which one is. */
typedef struct {
  int part;
  int64_t taken, waiters;
} total;

static void append(lua_State *L) {
  lua_rawseti(L, LIST, (int)lua_rawlen(L, LIST) + 1);
}

static void push_entry(lua_State *L, const shmseg_part *part) {
  lua_createtable(L, 0, 6);
  lua_pushstring(L, part->name);
  lua_setfield(L, -2, "word");
}

static void set_flag(lua_State *L, const char *key, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, key);
}

static bool is_many(const shmseg_part *part) {
  return part->count > 1;
}

static bool has_owner(const shmseg_part *part) {
  return part->type == SHMSEG_PART_LOCK || part->type == SHMSEG_PART_SLOT ||
         part->type == SHMSEG_PART_CLAIM;
}

/* Ends the parts before that one. Those of many words are told once more, as a whole:
 * { word =, of =, taken = }, or { word =, of =, waiters = }. */
static void end_parts(lua_State *L, const shmseg_inspection *inspection, int before, total *t) {
  for (; t->part < before; t->part++) {
    const shmseg_part *part = &inspection->parts[t->part];
    if (is_many(part)) {
      push_entry(L, part);
      set_number(L, "of", (int64_t)part->count);
      if (has_owner(part))
        set_number(L, "taken", t->taken);
      else
        set_number(L, "waiters", t->waiters);
      append(L);
    }
    t->taken = t->waiters = 0;
    lua_newtable(L);
    lua_replace(L, GROUPS);
  }
}

/* Sets owner, alive, and pids, a list that is filled later. */
static void set_owner(lua_State *L, const shmseg_seen *seen) {
  set_number(L, "owner", (int64_t)seen->owner);
  set_flag(L, "alive", seen->state == SHMSEG_STATE_HELD);
  lua_rawgeti(L, OWNERS, (int)seen->owner);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, OWNERS, (int)seen->owner);
  }
  lua_setfield(L, -2, "pids");
}

/* Slots of one owner are told once, with their number. True when it was told before. */
static bool add_to_group(lua_State *L, const shmseg_seen *seen) {
  lua_rawgeti(L, GROUPS, (int)seen->owner);
  bool is_there = !lua_isnil(L, -1);
  if (is_there) {
    lua_getfield(L, -1, "count");
    lua_Integer count = lua_tointeger(L, -1);
    lua_pushinteger(L, count + 1);
    lua_setfield(L, -3, "count");
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return is_there;
}

static void set_state(lua_State *L, shmseg_state state) {
  static const char *const names[] = {
    [SHMSEG_STATE_FREE] = "free",           [SHMSEG_STATE_HELD] = "held",
    [SHMSEG_STATE_ABANDONED] = "abandoned", [SHMSEG_STATE_DEAD] = "dead",
    [SHMSEG_STATE_CORRUPT] = "corrupt",
  };
  if (!names[state])
    return;
  lua_pushstring(L, names[state]);
  lua_setfield(L, -2, "state");
}

static void add_seen(lua_State *L, const shmseg_seen *seen) {
  const shmseg_part *part = seen->part;
  if (part->type == SHMSEG_PART_SLOT && seen->owner != 0 && add_to_group(L, seen))
    return;
  push_entry(L, part);
  set_state(L, seen->state);
  if (seen->owner != 0)
    set_owner(L, seen);
  if (part->type == SHMSEG_PART_SLOT && seen->owner != 0) {
    lua_pushinteger(L, 1);
    lua_setfield(L, -2, "count");
    lua_pushvalue(L, -1);
    lua_rawseti(L, GROUPS, (int)seen->owner);
  } else if (is_many(part)) {
    set_number(L, "index", (int64_t)seen->index + 1);
  }
  if (part->type == SHMSEG_PART_LOCK || part->type == SHMSEG_PART_EVENTCOUNT)
    set_flag(L, "waiters", seen->waiters);
  if (seen->dirty && seen->owner != 0)
    set_flag(L, "dirty", true);
  if (part->type == SHMSEG_PART_SET && seen->state == SHMSEG_STATE_NONE)
    set_flag(L, "set", seen->value != 0);
  else if (part->type >= SHMSEG_PART_COUNT && seen->state == SHMSEG_STATE_NONE)
    set_number(L, "value", (int64_t)seen->value);
  append(L);
}

/* Counts a word, and tells it by itself unless it is one of many eventcounts that are in order. */
static void take_seen(lua_State *L, const shmseg_seen *seen, total *t) {
  t->taken += seen->owner != 0;
  t->waiters += seen->waiters;
  bool is_counted = is_many(seen->part) && seen->part->type == SHMSEG_PART_EVENTCOUNT &&
                    seen->state == SHMSEG_STATE_NONE;
  if (!is_counted)
    add_seen(L, seen);
}

/* Fills the list with all words. SHMSEG_CLOSED when a hook has closed the object. */
static int inspect_all(lua_State *L, object *o) {
  shmseg_inspection inspection;
  shmseg_seen seen;
  total t = { 0, 0, 0 };
  int err = shmseg_inspect_begin(object_handle(o), &inspection);
  while (!err) {
    wait wait = wait_for_work();
    do
      err = shmseg_inspect_next(object_handle(o), &inspection, &seen);
    while (wait_again(L, &wait, &err));
    if (err)
      break;
    end_parts(L, &inspection, inspection.part, &t); /* it is behind those that are over */
    take_seen(L, &seen, &t);
  }
  end_parts(L, &inspection, inspection.count, &t);
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Adds the processes of the owners. What cannot be told is left out. */
static int add_pids(lua_State *L, shmseg_identity backing) {
  lua_pushnil(L);
  if (lua_next(L, OWNERS) == 0)
    return 0;
  lua_pop(L, 2);
  int err = users_of_owners(L, OWNERS, backing);
  return err == SHMSEG_INTERRUPTED ? err : 0;
}

/* inspect(object) -> list of words | nil, message, code */
int object_inspect(lua_State *L) {
  object *o = check_object(L, lua_touserdata(L, lua_upvalueindex(1)));
  shmseg_identity backing = { 0, 0 };
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  lua_newtable(L);
  if (object_handle(o)->segment)
    backing = object_handle(o)->segment->identity;
  int err = inspect_all(L, o);
  if (!err)
    err = add_pids(L, backing);
  if (err)
    return push_object_failure(L, o, err);
  lua_settop(L, LIST);
  return 1;
}

/* check(object) -> nil, or what is wrong (string) */
int object_check(lua_State *L) {
  object *o = check_object(L, lua_touserdata(L, lua_upvalueindex(1)));
  int err = shmseg_object_ready(object_handle(o));
  if (err == SHMSEG_CLOSED)
    return object_raise(L, o, err);
  lua_pushstring(L, shmseg_object_check(object_handle(o)));
  return 1;
}
