/* SPDX-License-Identifier: MIT */
/* The dict's keys, values, times and flags: from Lua and to Lua. */
#include "binding/dict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TWO_53 9007199254740992.0
#define TWO_63 9223372036854775808.0

/* Is it a whole number that has all of its digits in a float? */
static bool is_whole(lua_Number n) {
  return n == floor(n) && fabs(n) < TWO_53 && !(n == 0 && signbit(n));
}

/* --- keys --------------------------------------------------------------------------------- */

/* A number's text is the same on every Lua. A whole number has all of its digits while all of them
 * count; other numbers are written as LuaJIT does. */
static void write_number(lua_State *L, int arg, dict_key *key) {
  int size;
#if LUA_VERSION_NUM >= 503
  if (lua_isinteger(L, arg)) {
    size = snprintf(key->text, sizeof key->text, "%lld", (long long)lua_tointeger(L, arg));
    key->size = (size_t)size;
    return;
  }
#endif
  lua_Number n = lua_tonumber(L, arg);
  if (isnan(n))
    size = snprintf(key->text, sizeof key->text, "nan");
  else if (is_whole(n))
    size = snprintf(key->text, sizeof key->text, "%lld", (long long)n);
  else
    size = snprintf(key->text, sizeof key->text, "%.14g", n);
  key->size = (size_t)size;
}

bool dict_check_key_anew(lua_State *L, int arg, bool is_list, dict_key *key) {
  int type = lua_type(L, arg);
  key->bytes = key->text;
  key->size = 0;
  if (type == LUA_TNUMBER) {
    write_number(L, arg, key);
    return true;
  }
  if (type == LUA_TBOOLEAN && !is_list) {
    key->bytes = lua_toboolean(L, arg) ? "true" : "false";
    key->size = strlen(key->bytes);
    return true;
  }
  if (type == LUA_TSTRING)
    key->bytes = lua_tolstring(L, arg, &key->size);
  else if (!lua_isnoneornil(L, arg))
    type_error(L, arg, "string");
  if (key->size > 0 && key->size <= SHMSEG_DICT_KEY_MAX)
    return true;
  dict_push_word(L, type != LUA_TSTRING ? "nil key"
                    : key->size == 0    ? "empty key"
                                        : "key too long");
  return false;
}

/* --- values ------------------------------------------------------------------------------- */

#if LUA_VERSION_NUM >= 503
static void number_to_value(lua_State *L, int arg, shmseg_dict_value *value) {
  bool is_integer = lua_isinteger(L, arg);
  value->type = is_integer ? SHMSEG_DICT_INTEGER : SHMSEG_DICT_FLOAT;
  if (is_integer)
    value->integer = (int64_t)lua_tointeger(L, arg);
  else
    value->number = lua_tonumber(L, arg);
}
#else
shmseg_dict_value dict_from_number(lua_Number number) {
  if (is_whole(number))
    return (shmseg_dict_value){ .type = SHMSEG_DICT_INTEGER, .integer = (int64_t)number };
  return (shmseg_dict_value){ .type = SHMSEG_DICT_FLOAT, .number = number };
}

static void number_to_value(lua_State *L, int arg, shmseg_dict_value *value) {
  *value = dict_from_number(lua_tonumber(L, arg));
}
#endif

/* A 64-bit integer of LuaJIT. */
static bool cdata_to_value(lua_State *L, int arg, shmseg_dict_value *value) {
  uint64_t bits;
  bool is_signed;
  if (!cdata_read(L, arg, &bits, &is_signed) || (!is_signed && bits > INT64_MAX))
    return false;
  value->type = SHMSEG_DICT_INTEGER;
  value->integer = (int64_t)bits;
  return true;
}

bool dict_to_plain(lua_State *L, int arg, shmseg_dict_value *value) {
  memset(value, 0, sizeof *value);
  switch (lua_type(L, arg)) {
  case LUA_TNONE:
  case LUA_TNIL: return true;
  case LUA_TSTRING:
    value->type = SHMSEG_DICT_STRING;
    value->bytes = lua_tolstring(L, arg, &value->size);
    return true;
  case LUA_TNUMBER: number_to_value(L, arg, value); return true;
  case LUA_TBOOLEAN:
    value->type = SHMSEG_DICT_BOOLEAN;
    value->integer = lua_toboolean(L, arg);
    return true;
  default: return cdata_to_value(L, arg, value);
  }
}

bool dict_check_value_slowly(lua_State *L, const dict *d, int owner, int arg,
                             shmseg_dict_value *value) {
  bool is_plain = dict_to_plain(L, arg, value);
  if (d->object.has_codec && (!is_plain || value->type == SHMSEG_DICT_STRING)) {
    encode_value(L, owner, arg, 0);
    value->type = SHMSEG_DICT_CODED;
    value->bytes = lua_tolstring(L, arg, &value->size);
    return true;
  }
  if (!is_plain)
    dict_push_word(L, "bad value type");
  return is_plain;
}

#if LUA_VERSION_NUM >= 503
/* Replaces the string at arg by the number that it reads as. */
static bool read_number(lua_State *L, int arg) {
  size_t size;
  const char *text = lua_tolstring(L, arg, &size);
  size_t read = lua_stringtonumber(L, text);
  if (read == size + 1)
    lua_replace(L, arg);
  else if (read > 0)
    lua_pop(L, 1);
  return read == size + 1;
}
#else
static bool read_number(lua_State *L, int arg) {
  if (!lua_isnumber(L, arg))
    return false;
  lua_pushnumber(L, lua_tonumber(L, arg));
  lua_replace(L, arg);
  return true;
}
#endif

bool dict_to_number_slowly(lua_State *L, int arg, shmseg_dict_value *value) {
  if (lua_type(L, arg) == LUA_TSTRING && !read_number(L, arg))
    return false;
  return dict_to_plain(L, arg, value) &&
         (value->type == SHMSEG_DICT_INTEGER || value->type == SHMSEG_DICT_FLOAT);
}

/* --- times, flags, counts ----------------------------------------------------------------- */

bool dict_is_numeric(lua_State *L, int arg, lua_Number *number) {
  int exact;
  *number = to_number(L, arg, &exact);
  return exact;
}

bool dict_to_ttl(lua_Number seconds, int64_t *ttl) {
  lua_Number milliseconds = seconds * 1000;
  *ttl = 0;
  if (!(seconds >= 0))
    return false;
  if (seconds > 0 && milliseconds < 1)
    *ttl = 1;
  else if (milliseconds < TWO_63)
    *ttl = (int64_t)milliseconds;
  return true;
}

int64_t dict_check_exptime(lua_State *L, int arg) {
  lua_Number seconds;
  int64_t ttl = 0;
  if (lua_isnoneornil(L, arg) || (lua_isboolean(L, arg) && !lua_toboolean(L, arg)))
    return 0;
  if (!dict_is_numeric(L, arg, &seconds) || !dict_to_ttl(seconds, &ttl))
    luaL_error(L, "bad \"exptime\" argument");
  return ttl;
}

bool dict_to_flags(lua_Number number, int32_t *flags) {
  number = trunc(number);
  if (!(number >= INT32_MIN && number <= UINT32_MAX))
    return false;
  *flags = (int32_t)(uint32_t)(int64_t)number;
  return true;
}

int32_t dict_check_flags(lua_State *L, int arg) {
  int type = lua_type(L, arg);
  if (type == LUA_TNONE || type == LUA_TNIL)
    return 0;
  if (type == LUA_TBOOLEAN)
    return lua_toboolean(L, arg);
  if (type == LUA_TSTRING)
    type_error(L, arg, "number");
  check_is_number(L, arg);
  lua_Number n;
  int32_t flags = 0;
  dict_is_numeric(L, arg, &n);
  if (!dict_to_flags(n, &flags))
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "flags out of range: %f; they have 32 bits", trunc(n)));
  return flags;
}

uint64_t dict_opt_max(lua_State *L, int arg, uint64_t otherwise) {
  if (lua_isnoneornil(L, arg))
    return otherwise;
  check_is_number(L, arg);
  lua_Number n;
  dict_is_numeric(L, arg, &n);
  luaL_argcheck(L, !isnan(n), arg, "not a number of keys");
  if (n < 1)
    return 0;
  return n < TWO_53 ? (uint64_t)n : (uint64_t)TWO_53;
}

/* --- results ------------------------------------------------------------------------------ */

int dict_push_word(lua_State *L, const char *word) {
  lua_pushnil(L);
  lua_pushstring(L, word);
  return 2;
}

int dict_push_failure(lua_State *L, const dict *d, int err, const char *list) {
  switch (err) {
  case SHMSEG_EMPTY: return dict_push_word(L, "not found");
  case SHMSEG_WRONG_TYPE: return dict_push_word(L, list);
  case ENOMEM:
  case EFBIG: return dict_push_word(L, "no memory");
  default: return push_object_word(L, &d->object, err);
  }
}

/* Why a value was not stored, or NULL. */
static const char *why_not_stored(int err) {
  switch (err) {
  case EEXIST: return "exists";
  case SHMSEG_EMPTY: return "not found";
  case SHMSEG_CHANGED: return "changed";
  case ENOMEM:
  case EFBIG: return "no memory";
  default: return NULL;
  }
}

int dict_push_stored(lua_State *L, const dict *d, int err, bool forcible) {
  const char *why = why_not_stored(err);
  if (err && !why)
    return push_object_word(L, &d->object, err);
  lua_pushboolean(L, !why);
  lua_pushstring(L, why); /* NULL: nil */
  lua_pushboolean(L, forcible);
  return 3;
}

void dict_push_number(lua_State *L, const shmseg_dict_value *value) {
  if (value->type == SHMSEG_DICT_INTEGER)
    push_int64(L, value->integer);
  else
    lua_pushnumber(L, value->number);
}

/* Pushes a value that was read. is_buffered: its bytes are in the buffer. */
static int push_value(lua_State *L, const dict *d, const shmseg_dict_value *value,
                      bool is_buffered) {
  switch (value->type) {
  case SHMSEG_DICT_BOOLEAN: lua_pushboolean(L, value->integer != 0); return 0;
  case SHMSEG_DICT_INTEGER:
  case SHMSEG_DICT_FLOAT: dict_push_number(L, value); return 0;
  case SHMSEG_DICT_CODED:
    if (!d->object.has_codec)
      return SHMSEG_INCOMPATIBLE;
    break;
  case SHMSEG_DICT_STRING: break;
  case SHMSEG_DICT_LIST: return SHMSEG_WRONG_TYPE;
  default: return SHMSEG_CORRUPT;
  }
  if (is_buffered)
    push_buffered(L, &d->buffer, 0, value->size);
  else
    lua_pushlstring(L, value->bytes, value->size);
  return 0;
}

/* Reads what is too large for the stack. */
static int read_large(lua_State *L, dict *d, const dict_key *key, dict_read *read,
                      shmseg_dict_value *value) {
  int err = SHMSEG_TOO_SMALL;
  while (err == SHMSEG_TOO_SMALL) {
    if (d->buffer.available < value->size)
      grow_buffer(L, &d->buffer, value->size + value->size / 2);
    err = read(&d->dict, key->bytes, key->size, d->buffer.bytes, d->buffer.available, value);
  }
  d->copies++;
  return err;
}

static int push_large(lua_State *L, dict *d, const dict_key *key, dict_read *read,
                      shmseg_dict_value *value) {
  for (;;) {
    int err = read_large(L, d, key, read, value);
    uint64_t copies = d->copies;
    if (!err)
      err = push_value(L, d, value, true);
    if (err || d->copies == copies) /* else a finalizer has read another value into the buffer */
      return err;
    lua_pop(L, 1);
  }
}

int dict_push_current(lua_State *L, dict *d, const dict_key *key, dict_read *read,
                      shmseg_dict_value *value) {
  unsigned char small[DICT_SMALL];
  int err = read(&d->dict, key->bytes, key->size, small, sizeof small, value);
  if (err == SHMSEG_TOO_SMALL)
    err = push_large(L, d, key, read, value);
  else if (!err)
    err = push_value(L, d, value, false);
  if (!err && value->type == SHMSEG_DICT_CODED)
    decode_value(L, &d->object, 1);
  return err;
}
