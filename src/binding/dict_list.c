/* SPDX-License-Identifier: MIT */
/* The lists of a dict. */
#include "binding/dict.h"
#include "core/wait.h"

/* The key at index 2: only strings and numbers name lists. */
static bool check_list_key(lua_State *L, dict_key *key) {
  return dict_check_key_for(L, 2, true, key);
}

static bool check_written_list(lua_State *L, const dict *d, dict_key *key) {
  if (!check_list_key(L, key))
    return false;
  if (d->updates > 0)
    dict_check_updates(L, key);
  return true;
}

/* (key, value) -> length | nil, word. No codec: elements are strings and numbers. */
static int push(lua_State *L, bool left) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_value value;
  uint64_t length;
  if (!check_written_list(L, d, &key))
    return 2;
  if (!dict_to_plain(L, 3, &value) || value.type == 0 || value.type == SHMSEG_DICT_BOOLEAN)
    return dict_push_word(L, "bad value type");
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_dict_push(&d->dict, key.bytes, key.size, left, &value, &length, &wait.deadline);
  while (dict_again(L, &wait, &err));
  if (err)
    return dict_push_failure(L, d, err, "value not a list");
  push_uint64(L, length);
  return 1;
}

static int dict_lpush(lua_State *L) {
  return push(L, true);
}

static int dict_rpush(lua_State *L) {
  return push(L, false);
}

/* Reads the element at an end into the memory given, or what it needs of a new userdata, which is pushed. */
static int peek(lua_State *L, const dict *d, const dict_key *key, bool left, void *memory,
                size_t size, shmseg_dict_value *value) {
  int err, top = lua_gettop(L);
  while ((err = shmseg_dict_peek(&d->dict, key->bytes, key->size, left, memory, size, value)) ==
         SHMSEG_TOO_SMALL) {
    size = value->size + value->size / 2; /* a peer may make it longer each time */
    lua_settop(L, top);
    memory = lua_newuserdata(L, size);
  }
  return err;
}

/* Pushes the element, and then takes it: if Lua has no memory for it, or no number, it stays. */
static int pop_once(lua_State *L, dict *d, const dict_key *key, bool left, int64_t *deadline) {
  unsigned char small[DICT_SMALL];
  shmseg_dict_value value;
  int err = peek(L, d, key, left, small, sizeof small, &value);
  if (err)
    return err;
  if (value.type == SHMSEG_DICT_STRING)
    lua_pushlstring(L, value.bytes, value.size);
  else
    dict_push_number(L, &value);
  return shmseg_dict_pop_seen(&d->dict, key->bytes, key->size, left, &value.token, deadline);
}

/* (key) -> value | nil | nil, word */
static int pop(lua_State *L, bool left) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  if (!check_written_list(L, d, &key))
    return 2;
  dict_check_writes(L, d);
  wait wait = wait_patiently();
  int err, top = lua_gettop(L);
  do {
    lua_settop(L, top);
    err = pop_once(L, d, &key, left, &wait.deadline);
    if (err == SHMSEG_CHANGED) /* somebody else was faster */
      err = shmseg_wait_again(shmseg_wait_patience(&wait.deadline, DICT_OVERTAKEN));
  } while (dict_again(L, &wait, &err));
  if (err == SHMSEG_EMPTY) {
    lua_pushnil(L);
    return 1;
  }
  return err ? dict_push_failure(L, d, err, "value not a list") : 1;
}

static int dict_lpop(lua_State *L) {
  return pop(L, true);
}

static int dict_rpop(lua_State *L) {
  return pop(L, false);
}

/* llen(key) -> length | nil, word */
static int dict_llen(lua_State *L) {
  const dict *d = check_object(L, &dict_class);
  dict_key key;
  uint64_t length = 0;
  if (!check_list_key(L, &key))
    return 2;
  int err = shmseg_dict_length(&d->dict, key.bytes, key.size, &length);
  if (err && err != SHMSEG_EMPTY)
    return dict_push_failure(L, d, err, "value not a list");
  push_uint64(L, err ? 0 : length);
  return 1;
}

const luaL_Reg dict_list_methods[] = {
  { "llen", dict_llen }, { "lpop", dict_lpop },   { "lpush", dict_lpush },
  { "rpop", dict_rpop }, { "rpush", dict_rpush }, { NULL, NULL },
};
