/* SPDX-License-Identifier: MIT */
/* Walks over the keys of a dict.
 *
 * The core gives the keys in pieces, which go to private memory: a userdata at index PIECE, while the
 * dict is at index 1. Lua code that runs meanwhile may change the dict, and close it. */
#include <string.h>

#include "binding/dict.h"

#define PIECE 2 /* index */

/* Bytes of the memory for the first piece. */
#define PIECE_MIN 4096

/* Keys that get_keys gives by default. */
#define KEYS 1024

#define KEY_HEAD sizeof(uint32_t)

typedef struct {
  uint64_t cursor;
  unsigned char *bytes; /* of the userdata at PIECE */
  size_t available, size, at;
  bool is_busy; /* an iterator is running, or an error has ended it */
} walk;

/* Loads the next piece. SHMSEG_EMPTY: there is none. */
static int load_piece(lua_State *L, const dict *d, walk *w, const char *prefix,
                      size_t prefix_size) {
  wait wait = wait_for_work();
  size_t size = PIECE_MIN;
  int err;
  w->at = w->size = 0;
  do {
    if (w->available < size) { /* a peer may make it longer each time */
      w->available = size + size / 2;
      w->bytes = lua_newuserdata(L, w->available);
      lua_replace(L, PIECE);
    }
    err =
        shmseg_dict_scan(&d->dict, &w->cursor, prefix, prefix_size, w->bytes, w->available, &size);
  } while (err == SHMSEG_TOO_SMALL || wait_again(L, &wait, &err));
  w->size = err ? 0 : size;
  return err;
}

/* Pushes the next key; loads pieces as needed. */
static int push_key(lua_State *L, const dict *d, walk *w, const char *prefix, size_t prefix_size) {
  uint32_t size;
  while (w->size - w->at < KEY_HEAD) {
    int err = load_piece(L, d, w, prefix, prefix_size);
    if (err)
      return err;
  }
  memcpy(&size, w->bytes + w->at, sizeof size);
  if (size > w->size - w->at - KEY_HEAD)
    return SHMSEG_CORRUPT;
  const char *bytes = (const char *)w->bytes + w->at + KEY_HEAD;
  w->at += KEY_HEAD + size;
  lua_pushlstring(L, bytes, size);
  return 0;
}

/* get_keys([max]) -> list | nil, word */
static int dict_get_keys(lua_State *L) {
  const dict *d = check_object(L, &dict_class);
  uint64_t max = dict_opt_max(L, 2, KEYS);
  walk w = { 0 };
  int count = 0, err = 0;
  lua_settop(L, 1);
  lua_pushnil(L); /* PIECE */
  lua_newtable(L);
  while ((max == 0 || (uint64_t)count < max) && !(err = push_key(L, d, &w, "", 0))) {
    lua_rawseti(L, PIECE + 1, ++count);
    if (count % DICT_KEYS_GO == 0)
      (void)wait_run_hooks(L);
  }
  if (err && err != SHMSEG_EMPTY)
    return push_object_word(L, &d->object, err);
  return 1;
}

/* --- pairs -------------------------------------------------------------------------------- */

/* Pushes element number n, which is at bytes, of a list. Gives its size; 0 for what is none. */
static size_t push_element(lua_State *L, const unsigned char *bytes, size_t available) {
  shmseg_dict_value value = { .type = (shmseg_dict_type)bytes[0] };
  uint64_t number;
  memcpy(&number, bytes + 1, sizeof number);
  size_t size = 1 + sizeof number;
  if (value.type == SHMSEG_DICT_INTEGER) {
    push_int64(L, (int64_t)number);
    return size;
  }
  if (value.type == SHMSEG_DICT_FLOAT) {
    memcpy(&value.number, &number, sizeof number);
    lua_pushnumber(L, value.number);
    return size;
  }
  if (value.type != SHMSEG_DICT_STRING || number > available - size)
    return 0;
  lua_pushlstring(L, (const char *)bytes + size, (size_t)number);
  return size + (size_t)number;
}

/* Pushes a list's elements as a table. */
static int push_list(lua_State *L, const dict *d, const dict_key *key) {
  size_t available = 0, size = PIECE_MIN, at = 0, step;
  unsigned char *bytes = NULL;
  uint64_t count = 0;
  int err, top = lua_gettop(L);
  luaL_checkstack(L, 4, NULL);
  do {
    if (available < size) {
      available = size + size / 2;
      lua_settop(L, top);
      bytes = lua_newuserdata(L, available);
    }
    err = shmseg_dict_elements(&d->dict, key->bytes, key->size, bytes, available, &size, &count);
  } while (err == SHMSEG_TOO_SMALL);
  if (err)
    return err;
  lua_createtable(L, count < PIECE_MIN ? (int)count : PIECE_MIN, 0);
  for (int i = 1; (uint64_t)i <= count && size - at > sizeof(uint64_t); i++, at += step) {
    step = push_element(L, bytes + at, size - at);
    if (step == 0)
      return SHMSEG_CORRUPT;
    lua_rawseti(L, -2, i);
  }
  return 0;
}

/* Pushes the value of the key at the top, or its list. SHMSEG_EMPTY: it has gone. */
static int push_entry(lua_State *L, dict *d) {
  dict_key key;
  shmseg_dict_value value;
  int err = SHMSEG_WRONG_TYPE;
  if (!dict_check_key(L, lua_gettop(L), &key))
    return SHMSEG_CORRUPT;
  for (int tries = 0; err == SHMSEG_WRONG_TYPE && tries < 100; tries++) {
    err = dict_push_current(L, d, &key, shmseg_dict_get, &value);
    if (err == SHMSEG_WRONG_TYPE)
      err = push_list(L, d, &key); /* it may be none by then */
  }
  return err;
}

/* () -> key, value; upvalues: the dict, the walk, its memory, the prefix */
static int next_pair(lua_State *L) {
  walk *w = lua_touserdata(L, lua_upvalueindex(2));
  size_t prefix_size;
  const char *prefix = lua_tolstring(L, lua_upvalueindex(4), &prefix_size);
  int err = SHMSEG_EMPTY;
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(3));
  dict *d = lua_touserdata(L, 1);
  if (w->is_busy)
    return luaL_error(L, "%s: pairs was ended by an error, or is running",
                      push_object_subject(L, &d->object));
  w->is_busy = true;
  while (err == SHMSEG_EMPTY) {
    lua_settop(L, PIECE);
    int last = push_key(L, d, w, prefix, prefix_size);
    lua_pushvalue(L, PIECE);
    lua_replace(L, lua_upvalueindex(3));
    err = last ? last : push_entry(L, d);
    if (last)
      break;
  }
  w->is_busy = false;
  if (err == SHMSEG_INCOMPATIBLE && lua_gettop(L) > PIECE)
    return luaL_error(
        L, "%s: a codec made the value of key \"%s\", and this handle has none (incompatible)",
        push_object_subject(L, &d->object), lua_tostring(L, PIECE + 1));
  if (err && err != SHMSEG_EMPTY && err != SHMSEG_INTERRUPTED)
    return object_raise(L, &d->object, err);
  if (err)
    return 0;
  lua_pushvalue(L, PIECE + 1);
  lua_insert(L, -2);
  return 2;
}

/* pairs([prefix]) -> iterator: key, value */
static int dict_pairs(lua_State *L) {
  const dict *d = check_object(L, &dict_class);
  luaL_optstring(L, 2, "");
  if (dict_is_closed(d))
    return object_raise(L, &d->object, SHMSEG_CLOSED);
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  memset(lua_newuserdata(L, sizeof(walk)), 0, sizeof(walk));
  lua_pushnil(L);
  if (lua_isnil(L, 2))
    lua_pushliteral(L, "");
  else
    lua_pushvalue(L, 2);
  lua_pushcclosure(L, next_pair, 4);
  return 1;
}

const luaL_Reg dict_keys_methods[] = {
  { "get_keys", dict_get_keys },
  { "pairs", dict_pairs },
  { NULL, NULL },
};
