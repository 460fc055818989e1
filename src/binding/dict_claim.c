/* SPDX-License-Identifier: MIT */
/* The claim userdata: the right to compute the value of a key. */
#include "binding/dict.h"

#include <string.h>

#define CLAIM_CLASS "shmseg.claim"

#define DICT 1 /* key of the user value, a table */

static const char claim_tag;

typedef struct dict_claim {
  const void *tag;
  dict *dict;
  struct dict_claim *next, **link; /* in the dict's list; NULL: not in it, the claim has ended */
  shmseg_dict_claim claim;
  size_t key_size;
  char key[];
} dict_claim;

static dict_claim *check_claim(lua_State *L) {
  dict_claim *c = test_tag(L, 1, &claim_tag);
  return c ? c : type_error(L, 1, CLAIM_CLASS);
}

static void link_claim(dict_claim *c) {
  c->link = &c->dict->claims;
  c->next = c->dict->claims;
  if (c->next)
    c->next->link = &c->next;
  c->dict->claims = c;
}

static void unlink_claim(dict_claim *c) {
  if (!c->link)
    return;
  *c->link = c->next;
  if (c->next)
    c->next->link = c->link;
  c->link = NULL;
}

/* Ends the claim, if it has not. Those who wait for it learn how. */
static void end_claim(dict_claim *c, shmseg_dict_outcome outcome) {
  if (!c->link)
    return;
  unlink_claim(c);
  shmseg_dict_claim_end(&c->dict->dict, &c->claim, c->key, c->key_size, outcome);
}

void dict_end_claims(object *o) {
  dict *d = (dict *)(void *)o;
  while (d->claims)
    end_claim(d->claims, SHMSEG_DICT_ENDED);
}

/* --- taking ------------------------------------------------------------------------------- */

/* Pushes a claim of the dict at index 1 that is not taken. */
static dict_claim *push_claim(lua_State *L, dict *d, const dict_key *key) {
  dict_claim *c = lua_newuserdata(L, sizeof *c + key->size);
  memset(c, 0, sizeof *c);
  c->tag = &claim_tag;
  c->dict = d;
  c->key_size = key->size;
  memcpy(c->key, key->bytes, key->size);
  luaL_getmetatable(L, CLAIM_CLASS);
  lua_setmetatable(L, -2);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, DICT);
  lua_setuservalue(L, -2);
  return c;
}

/* Tries to take the claim; waits for the end of another one's. */
static int take(lua_State *L, dict_claim *c, wait *w, shmseg_dict_outcome *outcome) {
  int64_t patience = 0;
  int err;
  do
    err = shmseg_dict_claim_take(&c->dict->dict, c->key, c->key_size, &c->claim, outcome,
                                 w->deadline, &patience);
  while (dict_again(L, w, &err));
  if (!err && *outcome == SHMSEG_DICT_CLAIMED)
    link_claim(c);
  return err;
}

/* claim(key [, timeout]) -> claim | nil, "timeout" | nil, word */
static int dict_claim_method(lua_State *L) {
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_outcome outcome = SHMSEG_DICT_ENDED;
  int err = 0;
  wait wait = wait_until(opt_deadline(L, 3));
  if (!dict_check_written(L, d, 2, &key))
    return 2;
  dict_claim *c = push_claim(L, d, &key);
  while (!err && outcome != SHMSEG_DICT_CLAIMED)
    err = take(L, c, &wait, &outcome);
  if (err == SHMSEG_HELD) /* another coroutine has it: to sleep would be for ever */
    err = SHMSEG_TIMEOUT;
  return err ? dict_push_failure(L, d, err, NULL) : 1;
}

/* take(dict, key, timeout, claimed) -> word: for fetch. "claimed": the claim is in the table claimed, as
 * "claim", so that no error behind it, a hook's for example, loses it. "ended", "empty" and "failed" say
 * how another one's claim has ended; "held": this handle has it; "no memory": there are too many claims. */
static int fetch_take(lua_State *L) {
  static const char *const ends[] = {
    [SHMSEG_DICT_CLAIMED] = "claimed",
    [SHMSEG_DICT_ENDED] = "ended",
    [SHMSEG_DICT_NO_VALUE] = "empty",
    [SHMSEG_DICT_FAILED] = "failed",
  };
  dict *d = check_object(L, &dict_class);
  dict_key key;
  shmseg_dict_outcome outcome;
  wait wait = wait_until(opt_deadline(L, 3));
  luaL_checktype(L, 4, LUA_TTABLE);
  lua_settop(L, 4);
  if (!dict_check_written(L, d, 2, &key))
    return 1; /* the word */
  dict_claim *c = push_claim(L, d, &key);
  lua_pushliteral(L, "claim");
  lua_pushvalue(L, -2);
  lua_rawset(L, 4);
  int err = take(L, c, &wait, &outcome);
  if (err == SHMSEG_HELD)
    lua_pushliteral(L, "held");
  else if (err)
    dict_push_failure(L, d, err, NULL); /* nil, word */
  else
    lua_pushstring(L, ends[outcome]);
  return 1;
}

/* --- a claim ------------------------------------------------------------------------------ */

static void check_not_ended(lua_State *L, const dict_claim *c) {
  if (c->link)
    return;
  const char *subject = push_object_subject(L, &c->dict->object);
  lua_pushlstring(L, c->key, c->key_size);
  luaL_error(L, "%s: the claim of key \"%s\" has ended", subject, lua_tostring(L, -1));
}

/* set(value [, exptime [, flags]]) -> as the dict's; false, "changed", false when the claim is void. It
 * ends the claim. nil: there is no value. */
static int claim_set(lua_State *L) {
  dict_claim *c = check_claim(L);
  dict *d = c->dict;
  shmseg_dict_value value;
  shmseg_dict_how how = { .ttl = dict_check_exptime(L, 3) };
  lua_settop(L, 4);
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, DICT);
  if (!dict_check_value(L, d, lua_gettop(L), 2, &value))
    return 2;
  value.flags = dict_check_flags(L, 4);
  if (dict_is_closed(d))
    return object_raise(L, &d->object, SHMSEG_CLOSED);
  check_not_ended(L, c);
  bool forcible = false;
  int err = 0;
  if (value.type == 0) {
    end_claim(c, SHMSEG_DICT_NO_VALUE);
    return dict_push_stored(L, d, 0, false);
  }
  wait wait = wait_patiently();
  do
    err = shmseg_dict_claim_store(&d->dict, &c->claim, c->key, c->key_size, &value, &how, &forcible,
                                  &wait.deadline);
  while (dict_again(L, &wait, &err));
  end_claim(c, SHMSEG_DICT_ENDED);
  return dict_push_stored(L, d, err, forcible);
}

/* cancel(): gives the claim back */
static int claim_cancel(lua_State *L) {
  end_claim(check_claim(L), SHMSEG_DICT_ENDED);
  return 0;
}

/* finish(claim, "empty" | "failed"): for fetch */
static int fetch_finish(lua_State *L) {
  static const char *const names[] = { "empty", "failed", NULL };
  dict_claim *c = check_claim(L);
  int how = check_option(L, 2, names);
  end_claim(c, how == 0 ? SHMSEG_DICT_NO_VALUE : SHMSEG_DICT_FAILED);
  return 0;
}

static int claim_tostring(lua_State *L) {
  const dict_claim *c = check_claim(L);
  lua_pushlstring(L, c->key, c->key_size);
  lua_pushfstring(L, "%s (%s)", CLAIM_CLASS, c->link ? lua_tostring(L, -1) : "ended");
  return 1;
}

const luaL_Reg dict_claim_methods[] = {
  { "claim", dict_claim_method },
  { NULL, NULL },
};

void dict_claim_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "finish", fetch_finish },
    { "take", fetch_take },
    { NULL, NULL },
  };
  static const luaL_Reg methods[] = {
    { "cancel", claim_cancel },
    { "set", claim_set },
    { NULL, NULL },
  };
  static const luaL_Reg metamethods[] = {
    { "__close", claim_cancel },
    { "__gc", claim_cancel },
    { "__tostring", claim_tostring },
    { NULL, NULL },
  };
  binding_register(L, functions);
  binding_new_class(L, CLAIM_CLASS, metamethods, methods);
  lua_pop(L, 2);
}
