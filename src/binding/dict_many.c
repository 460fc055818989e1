/* SPDX-License-Identifier: MIT */
/* Many keys of a dict in one call. */
#include <limits.h>

#include "binding/dict.h"

/* Keys that are fetched into the cache before they are read. */
#define BATCH 32

enum {
  KEYS = 2,
  RESULT,
  BATCH_AT = RESULT
}; /* get_many's stack; key i of the batch is at BATCH_AT + i */

/* dict_check_key() of the key at index, which is in the table at index 2. */
static bool check_key_in(lua_State *L, int index, dict_key *key) {
  int type = lua_type(L, index);
  if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN && type != LUA_TNIL)
    luaL_argerror(L, 2,
                  lua_pushfstring(L, "a key: string expected, got %s", push_type_name(L, index)));
  return dict_check_key(L, index, key);
}

/* Pushes the keys of the list from number first on, count of them, and prefetches what they lead to.
 * False, with nil and a word: one of them cannot be a key. */
static bool push_batch(lua_State *L, const dict *d, dict_key *keys, int first, int count) {
  uint64_t numbers[BATCH];
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, KEYS, first + i - 1);
    if (lua_type(L, -1) == LUA_TSTRING)
      __builtin_prefetch(lua_tostring(L, -1));
  }
  for (int i = 1; i <= count; i++) {
    if (!check_key_in(L, BATCH_AT + i, &keys[i - 1]))
      return false;
    numbers[i - 1] = shmseg_dict_prefetch(&d->dict, keys[i - 1].bytes, keys[i - 1].size);
  }
  for (int i = 0; i < count; i++)
    shmseg_dict_prefetch_item(&d->dict, numbers[i]);
  return true;
}

/* Adds the values of the batch to the result. */
static int read_batch(lua_State *L, dict *d, const dict_key *keys, int count) {
  shmseg_dict_value value;
  for (int i = 1; i <= count; i++) {
    lua_pushvalue(L, BATCH_AT + i);
    int err = dict_push_current(L, d, &keys[i - 1], shmseg_dict_get, &value);
    if (!err) {
      lua_rawset(L, RESULT);
      continue;
    }
    if (err != SHMSEG_EMPTY && err != SHMSEG_WRONG_TYPE)
      return err;
    lua_pop(L, 1);
  }
  return 0;
}

/* get_many(keys) -> table | nil, word. Lists, and what is not there, are left out. */
static int dict_get_many(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key keys[BATCH];
  luaL_checktype(L, KEYS, LUA_TTABLE);
  size_t length = lua_rawlen(L, KEYS);
  luaL_argcheck(L, length < INT_MAX, KEYS, "too many elements");
  lua_settop(L, KEYS);
  luaL_checkstack(L, BATCH + 8, "no room for a batch of keys");
  lua_createtable(L, 0, length < 1024 ? (int)length : 1024);
  for (int first = 1, count; first <= (int)length; first += count) {
    count = (int)length - first + 1 < BATCH ? (int)length - first + 1 : BATCH;
    lua_settop(L, RESULT);
    if (!push_batch(L, d, keys, first, count))
      return 2;
    int err = read_batch(L, d, keys, count);
    if (err)
      return push_object_word(L, &d->object, err);
    if (first / DICT_KEYS_GO != (first + count) / DICT_KEYS_GO)
      (void)wait_run_hooks(L);
  }
  if (dict_is_closed(d))
    return object_raise(L, &d->object, SHMSEG_CLOSED);
  lua_settop(L, RESULT);
  return 1;
}

enum { TABLE = 2, EXPTIME, FLAT, KEY, VALUE }; /* set_many's stack */

/* Makes a list of the table's keys and values, one behind the other, each checked. Gives how many there
 * are; -1, with nil and a word, when one cannot be stored. */
static int flatten(lua_State *L, const dict *d) {
  int count = 0;
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, TABLE)) {
    dict_key key;
    shmseg_dict_value value;
    luaL_argcheck(L, count < INT_MAX / 2 - 1, TABLE, "too many keys");
    if (!check_key_in(L, KEY, &key))
      return -1;
    if (d->updates > 0)
      dict_check_updates(L, &key);
    if (!dict_check_value(L, d, 1, VALUE, &value))
      return -1;
    int at = 2 * ++count;
    lua_rawseti(L, FLAT, at);
    lua_pushvalue(L, KEY);
    lua_rawseti(L, FLAT, at - 1);
  }
  return count;
}

/* Stores the key at KEY with the value at VALUE, which is converted already. */
static int store_one(lua_State *L, dict *d, const shmseg_dict_how *how) {
  dict_key key;
  shmseg_dict_value value;
  bool forcible;
  wait wait = wait_patiently();
  int err;
  if (!dict_check_key(L, KEY, &key) || !dict_to_plain(L, VALUE, &value))
    return EINVAL;
  if (d->object.has_codec && value.type == SHMSEG_DICT_STRING)
    value.type = SHMSEG_DICT_CODED;
  do
    err = shmseg_dict_store(&d->dict, key.bytes, key.size, &value, how, &forcible, &wait.deadline);
  while (dict_again(L, &wait, &err));
  return err;
}

/* set_many(table [, exptime]) -> true | nil, word, how many were stored before it. All is converted before
 * the first is stored. */
static int dict_set_many(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  luaL_checktype(L, TABLE, LUA_TTABLE);
  shmseg_dict_how how = { .ttl = dict_check_exptime(L, EXPTIME) };
  lua_settop(L, EXPTIME);
  int count = flatten(L, d);
  if (count < 0)
    return 2;
  dict_check_writes(L, d);
  for (int i = 1; i <= count; i++) {
    lua_settop(L, FLAT);
    int at = 2 * i;
    lua_rawgeti(L, FLAT, at - 1);
    lua_rawgeti(L, FLAT, at);
    int err = store_one(L, d, &how);
    if (err) {
      int results = dict_push_failure(L, d, err, NULL);
      push_uint64(L, (uint64_t)i - 1);
      return results + 1;
    }
    if (i % DICT_KEYS_GO == 0)
      (void)wait_run_hooks(L);
  }
  lua_pushboolean(L, 1);
  return 1;
}

const luaL_Reg dict_many_methods[] = {
  { "get_many", dict_get_many },
  { "set_many", dict_set_many },
  { NULL, NULL },
};
