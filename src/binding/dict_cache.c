/* SPDX-License-Identifier: MIT */
/* Lua strings of values that a handle has read, so that one that is read again and again is not made anew
 * each time; and where numbers are that it has added to. Whether that is still the key's is asked in
 * shared memory each time.
 *
 * A key is known by the address of its string, which is kept as well: so no other string has that
 * address. A key is kept when it is noted for the second time and few others were between. */
#include "binding/dict.h"

#include <string.h>

#include "binding/front.h"

#define SETS 512
#define WAYS 4

/* A longer value is worth making anew; and a longer key is not kept from being collected. */
#define KEPT_MAX 256

/* Reads of strings, or sums, through a handle before it keeps any. */
#define READS 1000

/* Keys that may be found at one place: those that are kept, and others that were read. */
typedef struct {
  const char *kept[WAYS], *seen[WAYS];
} cache_set;

/* Numbers that are added to: their keys are behind those of the values. */
#define NUMBERS 128

struct dict_cache {
  cache_set sets[SETS];
  shmseg_dict_spot spots[SETS * WAYS], numbers[NUMBERS];
  const char *counters[NUMBERS]; /* the keys of the numbers */
  unsigned turn;                 /* which way goes next */
};

static inline uint32_t cache_place(const char *bytes) {
  return (uint32_t)((uintptr_t)bytes >> 3) * 2654435769u >> (32 - 9);
}

_Static_assert(SETS == 1 << 9, "cache_place");

/* Index in the object's own table of a value; its key is behind it. */
static inline int cache_index(uint32_t place, int way) {
  return OBJECT_CACHE + 1 + 2 * ((int)place * WAYS + way);
}

static inline int cache_way(const char *const *ways, const char *bytes) {
  for (int way = 0; way < WAYS; way++)
    if (ways[way] == bytes)
      return way;
  return -1;
}

int dict_find_kept(const dict *d, const dict_key *key) {
  uint32_t place = cache_place(key->bytes);
  int way = cache_way(d->cache->sets[place].kept, key->bytes);
  if (way < 0 || !shmseg_dict_is_current(&d->dict, &d->cache->spots[place * WAYS + (uint32_t)way]))
    return 0;
  return cache_index(place, way);
}

bool dict_push_kept(lua_State *L, const dict *d, const dict_key *key) {
  int index = dict_find_kept(d, key);
  if (index == 0)
    return false;
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, index);
  return true;
}

/* Room for all is made here, so that keeping a value cannot fail half way. Finalizers run while the
 * userdata is made, and not behind that: they may have made the cache. */
static void make_cache(lua_State *L, dict *d) {
  lua_getuservalue(L, 1);
  struct dict_cache *cache = lua_newuserdata(L, sizeof *cache);
  if (d->cache) {
    lua_pop(L, 2);
    return;
  }
  memset(cache, 0, sizeof *cache);
  lua_rawseti(L, -2, OBJECT_CACHE);
  for (int i = cache_index(0, 0); i < cache_index(SETS, 0) + NUMBERS; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i);
  }
  front_keep(L);
  lua_pop(L, 1);
  d->cache = cache;
}

/* --- numbers ------------------------------------------------------------------------------ */

const shmseg_dict_spot *dict_kept_number(const dict *d, const dict_key *key) {
  uint32_t place = cache_place(key->bytes) % NUMBERS;
  return d->cache->counters[place] == key->bytes ? &d->cache->numbers[place] : NULL;
}

void dict_keep_number(lua_State *L, dict *d, const dict_key *key) {
  if ((!d->cache && d->sums < READS) || key->size > KEPT_MAX || lua_type(L, 2) != LUA_TSTRING)
    return;
  if (!d->cache)
    make_cache(L, d);
  uint32_t place = cache_place(key->bytes) % NUMBERS;
  d->cache->counters[place] = NULL;
  if (shmseg_dict_find_hot(&d->dict, key->bytes, key->size, &d->cache->numbers[place]) != 0)
    return;
  lua_getuservalue(L, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, cache_index(SETS, 0) + (int)place);
  lua_pop(L, 1);
  d->cache->counters[place] = key->bytes;
}

/* --- values ------------------------------------------------------------------------------- */

bool dict_would_keep(dict *d, const dict_key *key, const shmseg_dict_value *value) {
  if (!dict_is_noted(d, value) || value->size > KEPT_MAX || key->size > KEPT_MAX)
    return false;
  if (!d->cache)
    return d->reads >= READS;
  cache_set *set = &d->cache->sets[cache_place(key->bytes)];
  if (cache_way(set->kept, key->bytes) >= 0 || cache_way(set->seen, key->bytes) >= 0)
    return true;
  set->seen[++d->cache->turn % WAYS] = key->bytes;
  return false;
}

/* The value is at the top. The front may be about to take another one from there. */
static void put_kept(lua_State *L, cache_set *set, const dict_key *key, uint32_t place, int way) {
  set->kept[way] = NULL;
  front_kept(L);
  lua_getuservalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, cache_index(place, way));
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, cache_index(place, way) + 1);
  lua_pop(L, 1);
  set->kept[way] = key->bytes;
}

/* Where a key goes: -1, it has to be read once more. */
static int cache_choose(struct dict_cache *cache, cache_set *set, const char *bytes) {
  int way = cache_way(set->kept, bytes), seen = cache_way(set->seen, bytes);
  if (way >= 0)
    return way;
  cache->turn++;
  if (seen < 0) {
    set->seen[cache->turn % WAYS] = bytes;
    return -1;
  }
  set->seen[seen] = NULL;
  way = cache_way(set->kept, NULL);
  return way >= 0 ? way : (int)(cache->turn % WAYS);
}

void dict_keep(lua_State *L, dict *d, const dict_key *key, const shmseg_dict_value *value) {
  if (!d->cache && d->reads < READS)
    return;
  if (value->size > KEPT_MAX || key->size > KEPT_MAX || lua_type(L, 2) != LUA_TSTRING)
    return;
  if (!d->cache)
    make_cache(L, d);
  uint32_t place = cache_place(key->bytes);
  cache_set *set = &d->cache->sets[place];
  int way = cache_choose(d->cache, set, key->bytes);
  if (way < 0)
    return;
  shmseg_dict_spot *spot = &d->cache->spots[place * WAYS + (uint32_t)way];
  set->kept[way] = NULL;
  if (shmseg_dict_find_spot(&d->dict, key->bytes, key->size, &value->token, spot) == 0)
    put_kept(L, set, key, place, way);
}
