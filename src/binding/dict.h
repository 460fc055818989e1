/* SPDX-License-Identifier: MIT */
/* The dict userdata: what its files share.
 *
 * The second result of a failure is the word, in all methods: nil, word. A method converts its
 * arguments, makes one call of the core, which it repeats while that is interrupted, and pushes the
 * results. Converting and pushing may run Lua code: each call of the core checks the handle. */
#ifndef SHMSEG_BINDING_DICT_H
#define SHMSEG_BINDING_DICT_H

#include <errno.h>

#include "binding/object.h"
#include "binding/value.h"
#include "binding/waiting.h"

/* Nanoseconds that cas and pops are overtaken before they give up. */
#define DICT_OVERTAKEN ((int64_t)5 * 1000000000)

/* A value, or an element, of up to so many bytes is read onto the C stack. */
#define DICT_SMALL 512

/* So many keys of one call, and hooks run. */
#define DICT_KEYS_GO 4096

typedef struct {
  object object;
  shmseg_dict dict;
  buffer buffer;             /* of values that are too large for the stack */
  uint64_t copies;           /* into the buffer, so far */
  uint64_t updates;          /* that are running, or an error of a hook has ended */
  struct dict_claim *claims; /* that have not ended */
  struct dict_cache *cache;  /* NULL: there is none yet */
  uint32_t reads;            /* of strings that were not kept */
  uint32_t sums;             /* of numbers whose place was not kept */
} dict;

/* A key. Its bytes are those of the string at the argument, or text. */
typedef struct {
  const char *bytes;
  size_t size;
  char text[32];
} dict_key;

/* shmseg_dict_get() or shmseg_dict_get_stale() */
typedef int dict_read(const shmseg_dict *dict, const void *key, size_t key_size, void *buffer,
                      size_t available, shmseg_dict_value *value);

#pragma GCC visibility push(hidden)

extern const luaL_Reg dict_list_methods[], dict_keys_methods[], dict_many_methods[],
    dict_cas_methods[], dict_claim_methods[];

/* Add to the table of the class, which is at the top, what lua/shmseg/dict.lua calls. */
void dict_cas_open(lua_State *L);
void dict_claim_open(lua_State *L);

/* --- arguments ---------------------------------------------------------------------------- */

/* dict_check_key_for() of what is no string of the right size. */
bool dict_check_key_anew(lua_State *L, int arg, bool is_list, dict_key *key);

/* The key at arg. False, and nil and a word are pushed, for one that cannot be. Raises for what names
 * no key: a table, a function. is_list: a boolean names none either. */
static inline bool dict_check_key_for(lua_State *L, int arg, bool is_list, dict_key *key) {
  key->bytes = lua_type(L, arg) == LUA_TSTRING ? lua_tolstring(L, arg, &key->size) : NULL;
  if (key->bytes && key->size > 0 && key->size <= SHMSEG_DICT_KEY_MAX)
    return true;
  return dict_check_key_anew(L, arg, is_list, key);
}

static inline bool dict_check_key(lua_State *L, int arg, dict_key *key) {
  return dict_check_key_for(L, arg, false, key);
}

/* Raises when the key is being updated by this coroutine, which runs update's function. The dict is at
 * index 1. */
void dict_check_updates(lua_State *L, const dict_key *key);

/* The key at arg, for a method that writes. The dict is at index 1. */
static inline bool dict_check_written(lua_State *L, const dict *d, int arg, dict_key *key) {
  if (!dict_check_key(L, arg, key))
    return false;
  if (d->updates > 0)
    dict_check_updates(L, key);
  return true;
}

/* Raises for a dict that is closed or only read, which a call that changes nothing would not find. */
void dict_check_writes(lua_State *L, const dict *d);

/* The value at arg if it is a boolean, a number, a string or nil (type 0). False for others. */
bool dict_to_plain(lua_State *L, int arg, shmseg_dict_value *value);

#if LUA_VERSION_NUM < 503
/* What is stored for a number of a Lua without integers: a whole one is an integer for others. */
shmseg_dict_value dict_from_number(lua_Number number);
#endif

/* The value at arg, to be stored; nil is type 0. With a codec, what is at arg is replaced by what encode
 * makes of it, unless it is a boolean or number. The dict is at index owner. False, and nil and a word
 * are pushed, for a value that cannot be stored. */
bool dict_check_value_slowly(lua_State *L, const dict *d, int owner, int arg,
                             shmseg_dict_value *value);

static inline bool dict_check_value(lua_State *L, const dict *d, int owner, int arg,
                                    shmseg_dict_value *value) {
  if (d->object.has_codec || lua_type(L, arg) != LUA_TSTRING)
    return dict_check_value_slowly(L, d, owner, arg, value);
  *value = (shmseg_dict_value){ .type = SHMSEG_DICT_STRING };
  value->bytes = lua_tolstring(L, arg, &value->size);
  return true;
}

/* dict_to_number() of what is no integer. */
bool dict_to_number_slowly(lua_State *L, int arg, shmseg_dict_value *value);

/* The value at arg, a number or a string that reads as one. False for others. */
static inline bool dict_to_number(lua_State *L, int arg, shmseg_dict_value *value) {
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, arg)) {
    *value = (shmseg_dict_value){ .type = SHMSEG_DICT_INTEGER, .integer = lua_tointeger(L, arg) };
    return true;
  }
#endif
  return dict_to_number_slowly(L, arg, value);
}

/* Raises unless a number, or a string that reads as one, is at arg: which is then the number. */
bool dict_is_numeric(lua_State *L, int arg, lua_Number *number);

/* The seconds at arg as milliseconds; nil, false and 0 are 0: for ever. Raises for others. */
int64_t dict_check_exptime(lua_State *L, int arg);

/* Seconds as milliseconds. False for what is no time to live. */
bool dict_to_ttl(lua_Number seconds, int64_t *ttl);

/* A number as the user's flags. False when it is out of range. */
bool dict_to_flags(lua_Number number, int32_t *flags);

/* The user's flags at arg; raises when they are out of range. */
int32_t dict_check_flags(lua_State *L, int arg);

/* A number of keys at arg, by default so many; 0: all. */
uint64_t dict_opt_max(lua_State *L, int arg, uint64_t otherwise);

/* --- results ------------------------------------------------------------------------------ */

/* Pushes nil, word. */
int dict_push_word(lua_State *L, const char *word);

/* Pushes nil, word for a code. list: the word for a value that is one, or that is none. Raises misuse. */
int dict_push_failure(lua_State *L, const dict *d, int err, const char *list);

/* Pushes true, nil, forcible for 0; false, word, forcible for a value that was not stored; nil, word for
 * other codes. */
int dict_push_stored(lua_State *L, const dict *d, int err, bool forcible);

/* Pushes a number. */
void dict_push_number(lua_State *L, const shmseg_dict_value *value);

/* Reads a key, and pushes its value. Pushes nothing when it returns a code: SHMSEG_EMPTY;
 * SHMSEG_WRONG_TYPE for a list; SHMSEG_INCOMPATIBLE for what only a codec reads; what the read says. The
 * dict is at index 1. */
int dict_push_current(lua_State *L, dict *d, const dict_key *key, dict_read *read,
                      shmseg_dict_value *value);

/* --- values that are kept (dict_cache.c) --------------------------------------------------- */

/* Where in the object's own table the value of a key is, if it was kept and is the key's still; else 0. There is a
 * cache. */
int dict_find_kept(const dict *d, const dict_key *key);

/* Pushes such a value. */
bool dict_push_kept(lua_State *L, const dict *d, const dict_key *key);

/* Notes that the key at index 2 was read, and that its value, a string, is at the top. It may be kept. */
void dict_keep(lua_State *L, dict *d, const dict_key *key, const shmseg_dict_value *value);

/* Is this a read to be noted? One in a few, so that those of many keys cost nothing. */
static inline bool dict_is_noted(dict *d, const shmseg_dict_value *value) {
  return value->type == SHMSEG_DICT_STRING && ++d->reads % 4 == 0;
}

/* Notes that a key was read, for who cannot keep anything itself. True: dict_keep() would keep the value, if it is
 * told of the key. */
bool dict_would_keep(dict *d, const dict_key *key, const shmseg_dict_value *value);

/* Where the number of a key is, if that was kept; or NULL. */
const shmseg_dict_spot *dict_kept_number(const dict *d, const dict_key *key);

/* Notes that the key at index 2 was added to. Where its number is may be kept. */
void dict_keep_number(lua_State *L, dict *d, const dict_key *key);

/* Adds to a number whose place was kept. Any failure: the whole call is to be made. */
static inline int dict_add_to_kept(dict *d, const dict_key *key, const shmseg_dict_step *step,
                                   shmseg_dict_value *result) {
  const shmseg_dict_spot *spot = dict_kept_number(d, key);
  int64_t deadline = 0;
  return spot ? shmseg_dict_incr_at(&d->dict, spot, step, result, &deadline) : SHMSEG_CHANGED;
}

/* Ends the claims of a dict that is going to be closed. */
void dict_end_claims(object *o);

#pragma GCC visibility pop

static inline bool dict_is_closed(const dict *d) {
  const shmseg_segment *segment = d->dict.object.segment;
  return !segment || !shmseg_segment_is_open(segment);
}

/* wait_again(), but a lack of room in the dict is an answer. */
static inline bool dict_again(lua_State *L, wait *w, int *err) {
  return *err != ENOMEM && wait_again(L, w, err);
}

#endif
