/* SPDX-License-Identifier: MIT */
/* A dict's compare-and-set, its waits for a change, and what update is made of.
 *
 * A watch of a key is armed for the state that a read has given, after its value was compared.
 *
 * Values are compared in Lua's sense, as == does, after the codec has decoded them; a token of the core
 * then tells whether the key is still as it was. */
#include "binding/dict.h"
#include "binding/watch.h"
#include "core/wait.h"
#include "core/watch.h"

#include <string.h>

/* --- comparing ---------------------------------------------------------------------------- */

static bool is_number(const shmseg_dict_value *value) {
  return value->type == SHMSEG_DICT_INTEGER || value->type == SHMSEG_DICT_FLOAT;
}

/* Pushes what the key has now, or nil, and tells whether it equals the value at arg, which is seen. */
static int push_now(lua_State *L, dict *d, const dict_key *key, int arg,
                    const shmseg_dict_value *seen, shmseg_dict_value *now, bool *equal) {
  int err = dict_push_current(L, d, key, shmseg_dict_get, now);
  if (err && err != SHMSEG_EMPTY)
    return err;
  if (err) {
    lua_pushnil(L);
    *equal = seen->type == 0;
  } else {
    *equal = is_number(seen) && is_number(now) ? shmseg_dict_values_equal(seen, now)
                                               : lua_rawequal(L, arg, -1);
  }
  return 0;
}

/* The value at arg that was seen, or is expected. */
static bool check_seen(lua_State *L, int arg, shmseg_dict_value *seen) {
  if (dict_to_plain(L, arg, seen))
    return true;
  dict_push_word(L, "bad value type");
  return false;
}

/* --- cas ---------------------------------------------------------------------------------- */

/* Is an operation that others have overtaken to be tried again? */
static bool try_again(lua_State *L, wait *w, int64_t *patience, int *err) {
  if (*err == SHMSEG_CHANGED)
    *err = shmseg_wait_overtaken(patience, w->deadline);
  return *err == SHMSEG_CHANGED || dict_again(L, w, err);
}

/* Stores the value, or deletes the key for nil. */
static int put(dict *d, const dict_key *key, const shmseg_dict_value *value,
               const shmseg_dict_how *how, int64_t *deadline) {
  bool forcible;
  int err = value->type == 0 ? shmseg_dict_delete(&d->dict, key->bytes, key->size, how, deadline)
                             : shmseg_dict_store(&d->dict, key->bytes, key->size, value, how,
                                                 &forcible, deadline);
  return err == EEXIST ? SHMSEG_CHANGED : err;
}

enum { KEY = 2, EXPECTED, VALUE, EXPTIME, FLAGS }; /* cas's stack */

/* cas(key, expected, value [, exptime [, flags]]) -> true | false, actual | nil, word */
static int dict_cas(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value expected, value, now;
  shmseg_dict_how how = { .ttl = dict_check_exptime(L, EXPTIME) };
  lua_settop(L, FLAGS);
  if (!dict_check_written(L, d, KEY, &key) || !check_seen(L, EXPECTED, &expected) ||
      !dict_check_value(L, d, 1, VALUE, &value))
    return 2;
  value.flags = dict_check_flags(L, FLAGS);
  dict_check_writes(L, d);
  how.add = expected.type == 0;
  how.token = how.add ? NULL : &now.token;
  wait wait = wait_until(shmseg_wait_deadline(DICT_OVERTAKEN));
  int64_t patience = 0;
  bool equal;
  int err;
  do {
    lua_settop(L, FLAGS);
    err = push_now(L, d, &key, EXPECTED, &expected, &now, &equal);
    if (!err && !equal) {
      lua_pushboolean(L, 0);
      lua_insert(L, -2);
      return 2;
    }
    if (!err)
      err = put(d, &key, &value, &how, &wait.deadline);
  } while (try_again(L, &wait, &patience, &err));
  if (err)
    return dict_push_failure(L, d, err, "value is a list");
  lua_pushboolean(L, 1);
  return 1;
}

/* --- wait --------------------------------------------------------------------------------- */

/* wait(key, seen [, timeout]) -> the value when it is another one | nil, "timeout" | nil, word */
static int dict_wait(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value seen, now;
  wait wait = wait_until(opt_deadline(L, 4));
  bool equal;
  int err;
  lua_settop(L, 3);
  if (!dict_check_key(L, 2, &key) || !check_seen(L, 3, &seen))
    return 2;
  do {
    lua_settop(L, 3);
    err = push_now(L, d, &key, 3, &seen, &now, &equal);
    if (!err && !equal)
      return 1;
    if (!err)
      err = shmseg_dict_wait(&d->dict, key.bytes, key.size, &now.token, wait.deadline);
    if (!err) /* others set it to what it was */
      err = shmseg_wait_again(wait.deadline);
  } while (wait_again(L, &wait, &err));
  return dict_push_failure(L, d, err, "value is a list");
}

/* --- watch -------------------------------------------------------------------------------- */

enum { WATCH_KEY = 2, WATCH_SEEN, WATCH, WATCH_TABLE }; /* the stack; the dict is at 1 */

/* Arms the watch for the key and the value seen, which are checked. is_new: it is not open yet. */
static int arm_watch(lua_State *L, watch *w, const dict_key *key, const shmseg_dict_value *seen,
                     bool is_new) {
  dict *d = w->what;
  shmseg_dict_value now;
  wait wait = wait_for_work();
  bool equal;
  int64_t left = 0;
  int err;
  do {
    lua_settop(L, WATCH_TABLE);
    err = push_now(L, d, key, WATCH_SEEN, seen, &now, &equal);
    if (!is_new)
      check_watch_open(L, w); /* Lua code may have run */
    if (err)
      err = shmseg_watch_refuse(&w->core, err);
    else
      err = shmseg_dict_watch(&d->dict, key->bytes, key->size, equal ? &now.token : NULL, &left,
                              &w->core);
  } while (wait_again(L, &wait, &err));
  if (!err)
    w->expiry = left > 0 ? shmseg_wait_deadline(left) : 0;
  return err;
}

/* nil, word for a watch that could not be armed. */
static int push_watch_word(lua_State *L, const dict *d, int err) {
  return err == SHMSEG_WRONG_TYPE ? dict_push_word(L, "value is a list")
                                  : push_object_word(L, &d->object, err);
}

/* Makes nil, message, word of the nil, word at the top. */
static int add_message(lua_State *L, const dict *d) {
  const char *subject = push_object_subject(L, &d->object);
  lua_pushfstring(L, "%s: %s", subject, lua_tostring(L, -2));
  lua_replace(L, -2);
  lua_insert(L, -2);
  return 3;
}

static int rearm_watch(lua_State *L, watch *w) {
  dict *d = w->what;
  bool is_given = lua_gettop(L) > 1;
  dict_key key;
  shmseg_dict_value seen;
  lua_settop(L, 2);
  lua_getuservalue(L, 1); /* the watch, the value, the table: below what arm_watch() takes */
  lua_rawgeti(L, 3, 1);
  lua_rawgeti(L, 3, WATCH_KEY);
  if (is_given)
    lua_pushvalue(L, 2);
  else
    lua_rawgeti(L, 3, WATCH_SEEN);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  for (int i = 1; i <= 3; i++)
    lua_remove(L, 1);
  if (!dict_check_key(L, WATCH_KEY, &key) || !check_seen(L, WATCH_SEEN, &seen))
    return add_message(L, d);
  int err = arm_watch(L, w, &key, &seen, false);
  if (watch_hint(err))
    return fail_object_watch(L, w, err);
  if (err) {
    push_watch_word(L, d, err);
    return add_message(L, d);
  }
  lua_pushvalue(L, WATCH_SEEN);
  lua_rawseti(L, WATCH_TABLE, WATCH_SEEN);
  lua_pushboolean(L, 1);
  return 1;
}

/* watch(key, seen) -> watch | nil, word */
static int dict_watch(lua_State *L) {
  static const watch_source source = { .rearm = rearm_watch };
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value seen;
  lua_settop(L, 3);
  if (!dict_check_key(L, WATCH_KEY, &key) || !check_seen(L, WATCH_SEEN, &seen))
    return 2;
  watch *w = push_watch(L, &source);
  lua_getuservalue(L, WATCH);
  for (int i = WATCH_KEY; i <= WATCH_SEEN; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, WATCH_TABLE, i);
  }
  int err = arm_watch(L, w, &key, &seen, true);
  if (err)
    return push_watch_word(L, d, err);
  open_watch(w);
  lua_settop(L, WATCH);
  return 1;
}

const luaL_Reg dict_cas_methods[] = {
  { "cas", dict_cas },
  { "wait", dict_wait },
  { "watch", dict_watch },
  { NULL, NULL },
};

/* --- update -------------------------------------------------------------------------------
 *
 * lua/shmseg/dict.lua calls these. That a key is being updated is seen by the stack: no error, of a hook
 * for example, leaves something behind. */

/* What see has seen. */
typedef struct {
  shmseg_dict_token token;
  int32_t flags;
} state;

/* Its address is the key, in the registry, of update of lua/shmseg/dict.lua. */
static const char update_function;

/* Looks on this coroutine's stack, from that level up, for a call of the function at index. */
static bool find_call(lua_State *L, int index, int *level, lua_Debug *frame) {
  bool found = false;
  for (; !found && lua_getstack(L, *level, frame); ++*level) {
    lua_getinfo(L, "f", frame);
    found = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
  }
  return found;
}

/* Is that a call of update for this key of the dict at index 1? */
static bool updates_key(lua_State *L, const lua_Debug *frame, const dict_key *key) {
  dict_key updated;
  int top = lua_gettop(L);
  bool is_same = lua_getlocal(L, frame, 1) && lua_rawequal(L, -1, 1) && lua_getlocal(L, frame, 2) &&
                 dict_check_key(L, lua_gettop(L), &updated) && updated.size == key->size &&
                 memcmp(updated.bytes, key->bytes, key->size) == 0;
  lua_settop(L, top);
  return is_same;
}

void dict_check_updates(lua_State *L, const dict_key *key) {
  const dict *d = check_object(L, &dict_class);
  lua_Debug frame;
  int level = 0;
  luaL_checkstack(L, 10, NULL);
  lua_pushlightuserdata(L, (void *)&update_function);
  lua_rawget(L, LUA_REGISTRYINDEX);
  while (find_call(L, lua_gettop(L), &level, &frame))
    if (updates_key(L, &frame, key)) {
      lua_pushlstring(L, key->bytes, key->size);
      int text = lua_gettop(L);
      luaL_error(L, "%s: key \"%s\": its update has not ended", push_object_subject(L, &d->object),
                 lua_tostring(L, text));
    }
  lua_pop(L, 1);
}

/* check(dict, key, fn, exptime, flags) -> true | nil, word: raises what is wrong for update and fetch */
static int update_check(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  dict_check_exptime(L, 4);
  if (!dict_check_written(L, d, 2, &key))
    return 2;
  luaL_checktype(L, 3, LUA_TFUNCTION);
  dict_check_flags(L, 5);
  dict_check_writes(L, d);
  lua_pushboolean(L, 1);
  return 1;
}

/* updates(function): that is update; its first arguments are the dict and the key */
static int update_set(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushlightuserdata(L, (void *)&update_function);
  lua_insert(L, 1);
  lua_rawset(L, LUA_REGISTRYINDEX);
  return 0;
}

/* begin(dict): writes look for updates from now on */
static int update_begin(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  d->updates++;
  return 0;
}

/* end(dict) */
static int update_end(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  if (d->updates > 0)
    d->updates--;
  return 0;
}

/* is_in(function) -> boolean: is this coroutine in a call of it? */
static int is_in(lua_State *L) {
  lua_Debug frame;
  int level = 1;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushboolean(L, find_call(L, 1, &level, &frame));
  return 1;
}

/* see(dict, key) -> state (a string), value | nil, word */
static int update_see(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value value;
  state seen;
  lua_settop(L, 2);
  if (!dict_check_key(L, 2, &key))
    return 2;
  int err = dict_push_current(L, d, &key, shmseg_dict_get, &value);
  if (err && err != SHMSEG_EMPTY)
    return dict_push_failure(L, d, err, "value is a list");
  memset(&seen, 0, sizeof seen);
  seen.token = value.token;
  seen.flags = err ? 0 : value.flags;
  lua_settop(L, 3);
  lua_pushlstring(L, (const char *)&seen, sizeof seen);
  lua_insert(L, 3);
  return 2;
}

/* put(dict, key, state, value, exptime, flags) -> true | false: it has changed | nil, word. Without
 * exptime the expiry stays, and without flags these. */
static int update_put(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value value;
  state seen;
  size_t size;
  lua_settop(L, 6);
  const char *bytes = luaL_checklstring(L, 3, &size);
  luaL_argcheck(L, size == sizeof seen, 3, "not a state of a key");
  memcpy(&seen, bytes, sizeof seen);
  shmseg_dict_how how = { .token = &seen.token, .ttl = dict_check_exptime(L, 5) };
  if (!dict_check_key(L, 2, &key) || !dict_check_value(L, d, 1, 4, &value))
    return 2;
  value.flags = lua_isnil(L, 6) ? seen.flags : dict_check_flags(L, 6);
  how.keep = lua_isnil(L, 5) && value.flags == seen.flags;
  if (lua_isnil(L, 5) && !how.keep &&
      (shmseg_dict_ttl(&d->dict, key.bytes, key.size, &how.ttl) != 0 || how.ttl < 0))
    how.ttl = 0; /* it is there no more: then neither is the state */
  wait wait = wait_patiently();
  int err;
  do
    err = put(d, &key, &value, &how, &wait.deadline);
  while (dict_again(L, &wait, &err));
  if (err && err != SHMSEG_CHANGED)
    return dict_push_failure(L, d, err, "value is a list");
  lua_pushboolean(L, !err);
  return 1;
}

void dict_cas_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "check_update", update_check },
    { "begin_update", update_begin },
    { "end_update", update_end },
    { "is_in", is_in },
    { "put", update_put },
    { "see", update_see },
    { "set_update", update_set },
    { NULL, NULL },
  };
  binding_register(L, functions);
}
