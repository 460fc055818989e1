/* SPDX-License-Identifier: MIT */
/* The dict userdata: values, times to live, and what there is in all. */
#include <errno.h>
#include <string.h>

#include "binding/dict.h"
#include "binding/module.h"

const object_class dict_class = {
  .kind = &shmseg_dict_kind,
  .name = "shmseg.dict",
  .size = sizeof(dict),
  .end = dict_end_claims,
};

/* --- misuse ------------------------------------------------------------------------------- */

void dict_check_writes(lua_State *L, const dict *d) {
  if (dict_is_closed(d))
    object_raise(L, &d->object, SHMSEG_CLOSED);
  if (!d->dict.object.segment->writable)
    object_raise(L, &d->object, SHMSEG_READ_ONLY);
}

/* --- reading ------------------------------------------------------------------------------ */

/* nil for a key that is not there; else nil, word. */
static int push_not_read(lua_State *L, const dict *d, int err) {
  if (err != SHMSEG_EMPTY)
    return dict_push_failure(L, d, err, "value is a list");
  lua_pushnil(L);
  return 1;
}

/* get(key) -> value [, flags, if they are not 0] | nil | nil, word */
static int dict_get(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value value;
  if (!dict_check_key(L, 2, &key))
    return 2;
  if (d->cache && dict_push_kept(L, d, &key))
    return 1;
  int err = dict_push_current(L, d, &key, shmseg_dict_get, &value);
  if (err)
    return push_not_read(L, d, err);
  if (value.flags == 0) {
    if (dict_is_noted(d, &value))
      dict_keep(L, d, &key, &value);
    return 1;
  }
  lua_pushinteger(L, value.flags);
  return 2;
}

/* get_stale(key) -> value, flags | nil, stale | nil | nil, word */
static int dict_get_stale(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value value;
  if (!dict_check_key(L, 2, &key))
    return 2;
  int err = dict_push_current(L, d, &key, shmseg_dict_get_stale, &value);
  if (err)
    return push_not_read(L, d, err);
  if (value.flags != 0)
    lua_pushinteger(L, value.flags);
  else
    lua_pushnil(L);
  lua_pushboolean(L, value.stale);
  return 3;
}

/* ttl(key) -> seconds | nil, "not found" */
static int dict_ttl(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  int64_t ttl;
  if (!dict_check_key(L, 2, &key))
    return 2;
  int err = shmseg_dict_ttl(&d->dict, key.bytes, key.size, &ttl);
  if (err)
    return dict_push_failure(L, d, err, NULL);
  lua_pushnumber(L, (lua_Number)ttl / 1000);
  return 1;
}

/* --- writing ------------------------------------------------------------------------------ */

/* (key, value [, exptime [, flags]]) -> true, nil, forcible | false, word, forcible | nil, word */
static int store(lua_State *L, shmseg_dict_how how) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value value;
  int arguments = lua_gettop(L);
  if (arguments > 3)
    how.ttl = dict_check_exptime(L, 4);
  if (!dict_check_written(L, d, 2, &key) || !dict_check_value(L, d, 1, 3, &value))
    return 2;
  if (arguments > 4)
    value.flags = dict_check_flags(L, 5);
  if (value.type == 0 && (how.add || how.replace)) {
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "attempt to add or replace nil values");
    lua_pushboolean(L, 0);
    return 3;
  }
  bool forcible = false;
  wait wait = wait_patiently();
  int err;
  do
    err = value.type == 0 ? shmseg_dict_delete(&d->dict, key.bytes, key.size, NULL, &wait.deadline)
                          : shmseg_dict_store(&d->dict, key.bytes, key.size, &value, &how,
                                              &forcible, &wait.deadline);
  while (dict_again(L, &wait, &err));
  return dict_push_stored(L, d, err, forcible);
}

static int dict_set(lua_State *L) {
  return store(L, (shmseg_dict_how){ 0 });
}

static int dict_safe_set(lua_State *L) {
  return store(L, (shmseg_dict_how){ .safe = true });
}

static int dict_add(lua_State *L) {
  return store(L, (shmseg_dict_how){ .add = true });
}

static int dict_safe_add(lua_State *L) {
  return store(L, (shmseg_dict_how){ .add = true, .safe = true });
}

static int dict_replace(lua_State *L) {
  return store(L, (shmseg_dict_how){ .replace = true });
}

/* delete(key) -> true, nil, false | nil, word */
static int dict_delete(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  if (!dict_check_written(L, d, 2, &key))
    return 2;
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_dict_delete(&d->dict, key.bytes, key.size, NULL, &wait.deadline);
  while (dict_again(L, &wait, &err));
  return dict_push_stored(L, d, err, false);
}

/* Reads init, at 4, and init_ttl, at 5. */
static void check_init(lua_State *L, shmseg_dict_step *step) {
  int type = lua_type(L, 4);
  bool has_init = lua_toboolean(L, 4);
  if (has_init && !dict_to_number(L, 4, &step->init))
    luaL_error(L, "bad init arg: number expected, got %s", lua_typename(L, type));
  if (lua_isnoneornil(L, 5))
    return;
  lua_Number seconds;
  if (!dict_is_numeric(L, 5, &seconds))
    luaL_error(L, "bad init_ttl arg: number expected, got %s", luaL_typename(L, 5));
  if (!dict_to_ttl(seconds, &step->ttl))
    luaL_error(L, "bad \"init_ttl\" argument");
  if (!has_init)
    luaL_error(L, "must provide \"init\" when providing \"init_ttl\"");
}

/* Adds, until no wait is interrupted. */
static int add(lua_State *L, dict *d, const dict_key *key, const shmseg_dict_step *step,
               shmseg_dict_value *result, bool *forcible) {
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_dict_incr(&d->dict, key->bytes, key->size, step, result, forcible, &wait.deadline);
  while (dict_again(L, &wait, &err));
  return err;
}

#if LUA_VERSION_NUM < 503
/* The sum is beyond the numbers: raises, or makes cdata for it, before it is stored. */
static int add_inexactly(lua_State *L, dict *d, const dict_key *key, shmseg_dict_step *step,
                         shmseg_dict_value *result, bool *forcible) {
  void *bytes = push_inexact(L, true, (uint64_t)result->integer);
  check_object(L, &dict_class); /* making cdata may have run Lua code */
  step->exact = false;
  int err = add(L, d, key, step, result, forcible);
  if (err)
    return err;
  memcpy(bytes, &result->integer, sizeof result->integer);
  if (result->type != SHMSEG_DICT_INTEGER || holds_int64(result->integer))
    dict_push_number(L, result); /* others have changed it meanwhile */
  return 0;
}
#endif

/* incr(key, value [, init [, init_ttl]]) -> new, with init: new, nil, forcible | nil, word */
static int dict_incr(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_step step;
  shmseg_dict_value result;
  step.init.type = 0; /* the rest of it is of no meaning then; to clear it would take long */
  step.ttl = 0;
  step.exact = LUA_VERSION_NUM < 503;
  if (!dict_check_written(L, d, 2, &key))
    return 2;
  if (!dict_to_number(L, 3, &step.step))
    return luaL_error(L, "cannot convert 'nil' to 'double'");
  if (lua_gettop(L) > 3) {
    check_init(L, &step);
  } else if (d->cache && dict_add_to_kept(d, &key, &step, &result) == 0) {
    dict_push_number(L, &result);
    return 1;
  }
  bool forcible = false;
  int err = add(L, d, &key, &step, &result, &forcible);
  if (!err)
    dict_push_number(L, &result);
#if LUA_VERSION_NUM < 503
  else if (err == ERANGE)
    err = add_inexactly(L, d, &key, &step, &result, &forcible);
#endif
  if (err)
    return dict_push_failure(L, d, err, "not a number");
  if (++d->sums % 4 == 0)
    dict_keep_number(L, d, &key);
  if (step.init.type == 0)
    return 1;
  lua_pushnil(L);
  lua_pushboolean(L, forcible);
  return 3;
}

/* expire(key, exptime) -> true | nil, word */
static int dict_expire(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  if (!lua_toboolean(L, 3))
    return luaL_error(L, "bad \"exptime\" argument");
  int64_t ttl = dict_check_exptime(L, 3);
  if (!dict_check_written(L, d, 2, &key))
    return 2;
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_dict_expire(&d->dict, key.bytes, key.size, ttl, &wait.deadline);
  while (dict_again(L, &wait, &err));
  if (err)
    return dict_push_failure(L, d, err, NULL);
  lua_pushboolean(L, 1);
  return 1;
}

/* --- all of it ---------------------------------------------------------------------------- */

/* flush_all() -> true | nil, word */
static int dict_flush_all(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  int err = shmseg_dict_flush_all(&d->dict);
  if (err)
    return push_object_word(L, &d->object, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* flush_expired([max]) -> how many were freed | nil, word */
static int dict_flush_expired(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  uint64_t max = dict_opt_max(L, 2, 0), cursor = 0, freed = 0;
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_dict_flush_expired(&d->dict, max, &cursor, &freed, &wait.deadline);
  while (dict_again(L, &wait, &err));
  if (err)
    return push_object_word(L, &d->object, err);
  push_uint64(L, freed);
  return 1;
}

/* free_space() -> bytes | nil, word */
static int dict_free_space(lua_State *L) {
  const dict *d = check_object(L, &dict_class);
  shmseg_dict_stats stats;
  int err = shmseg_dict_get_stats(&d->dict, &stats);
  if (err)
    return push_object_word(L, &d->object, err);
  push_uint64(L, stats.free);
  return 1;
}

static int dict_len(lua_State *L) {
  const dict *d = check_object(L, &dict_class);
  shmseg_dict_stats stats;
  int err = shmseg_dict_get_stats(&d->dict, &stats);
  if (err)
    return object_raise(L, &d->object, err);
  push_uint64(L, stats.count);
  return 1;
}

/* stats() -> { count, bytes, capacity, free, evicted, expired, refused, repaired } | nil, word */
static int dict_stats(lua_State *L) {
  const dict *d = check_object(L, &dict_class);
  shmseg_dict_stats stats;
  int err = shmseg_dict_get_stats(&d->dict, &stats);
  if (err)
    return push_object_word(L, &d->object, err);
  lua_createtable(L, 0, 8);
  set_number(L, "count", (int64_t)stats.count);
  set_number(L, "bytes", (int64_t)stats.bytes);
  set_number(L, "capacity", (int64_t)stats.capacity);
  set_number(L, "free", (int64_t)stats.free);
  set_number(L, "evicted", (int64_t)stats.evicted);
  set_number(L, "expired", (int64_t)stats.expired);
  set_number(L, "refused", (int64_t)stats.refused);
  set_number(L, "repaired", (int64_t)stats.repaired);
  return 1;
}

static const luaL_Reg methods[] = {
  { "add", dict_add },
  { "delete", dict_delete },
  { "expire", dict_expire },
  { "flush_all", dict_flush_all },
  { "flush_expired", dict_flush_expired },
  { "free_space", dict_free_space },
  { "get", dict_get },
  { "get_stale", dict_get_stale },
  { "incr", dict_incr },
  { "replace", dict_replace },
  { "safe_add", dict_safe_add },
  { "safe_set", dict_safe_set },
  { "set", dict_set },
  { "stats", dict_stats },
  { "ttl", dict_ttl },
  { NULL, NULL },
};

static const luaL_Reg metamethods[] = { { "__len", dict_len }, { NULL, NULL } };

void binding_open_dict(lua_State *L) {
  binding_open_class(L, &dict_class, methods);
  luaL_getmetatable(L, dict_class.name);
  binding_register(L, metamethods);
  lua_getfield(L, -1, "__index");
  binding_register(L, dict_list_methods);
  binding_register(L, dict_keys_methods);
  binding_register(L, dict_many_methods);
  binding_register(L, dict_cas_methods);
  binding_register(L, dict_claim_methods);
  lua_pop(L, 2);
  lua_getfield(L, -1, dict_class.kind->name);
  dict_cas_open(L);
  dict_claim_open(L);
  lua_pop(L, 1);
}
