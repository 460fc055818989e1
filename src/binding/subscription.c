/* SPDX-License-Identifier: MIT */
/* The subscription userdata. */
#include "binding/subscription.h"

#include <string.h>

#include "binding/module.h"
#include "binding/value.h"
#include "binding/waiting.h"

#define SUBSCRIPTION_CLASS "shmseg.subscription"
#define BUFFER_MIN 1024

static const char subscription_tag;

#define BROADCAST 1 /* key of the user value, a table which also has the buffer */

typedef struct {
  const void *tag;
  broadcast *broadcast; /* NULL: closed */
  shmseg_subscription subscription;
  buffer buffer;
  bool pending; /* the message in the buffer is taken, and not yet given to Lua */
  size_t size;
  uint64_t sequence, lost;
} subscription;

static uint64_t check_from(lua_State *L) {
  if (lua_isnoneornil(L, 2))
    return SHMSEG_FROM_NEW;
  if (lua_type(L, 2) == LUA_TSTRING && !lua_isnumber(L, 2)) {
    static const char *const names[] = { "new", "oldest", NULL };
    return check_option(L, 2, names) == 0 ? SHMSEG_FROM_NEW : SHMSEG_FROM_OLDEST;
  }
  int64_t from = check_integer(L, 2);
  luaL_argcheck(L, from >= 1, 2, "sequence numbers start at 1");
  return (uint64_t)from;
}

static subscription *check_subscription(lua_State *L) {
  subscription *s = test_tag(L, 1, &subscription_tag);
  return s ? s : type_error(L, 1, SUBSCRIPTION_CLASS);
}

/* Pushes the message in the buffer, which stays there until its string is made, its sequence number
 * and how many were lost before it. (Decode may call next, which changes those two in s.) False: a
 * finalizer has taken the message meanwhile. */
static bool push_pending(lua_State *L, subscription *s) {
  const broadcast *b = s->broadcast; /* a finalizer can close the subscription */
  uint64_t sequence = s->sequence, lost = s->lost;
  push_buffered(L, &s->buffer, 0, s->size);
  if (!s->pending || s->sequence != sequence) {
    lua_pop(L, 1);
    return false;
  }
  s->pending = false;
  if (b->object.has_codec) {
    s->subscription.lost += lost; /* if decode raises, the next call of next tells how many */
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, BROADCAST);
    lua_replace(L, -2);
    lua_insert(L, -2);
    decode_value(L, &b->object, lua_gettop(L) - 1);
    if (s->subscription.lost < lost)
      lost = 0; /* decode has called next, which has told */
    s->subscription.lost -= lost;
  }
  push_uint64(L, sequence);
  push_uint64(L, lost);
  return true;
}

/* Waits for the next message, and copies it into the buffer. SHMSEG_CLOSED: a hook has closed the
 * subscription. */
static int await(lua_State *L, subscription *s, int64_t deadline) {
  wait wait = wait_until(deadline);
  int err;
  do {
    s->pending = false; /* a hook may have called next, and left a message here */
    err = !s->broadcast
              ? SHMSEG_CLOSED
              : shmseg_subscription_next(&s->subscription, s->buffer.bytes, s->buffer.available,
                                         &s->size, &s->sequence, &s->lost, wait.deadline);
  } while (wait_again(L, &wait, &err));
  return err;
}

/* The same, into a buffer that is large enough. */
static int subscription_fetch(lua_State *L, subscription *s, int64_t deadline) {
  int err;
  if (s->buffer.available == 0)
    grow_buffer(L, &s->buffer, BUFFER_MIN);
  while ((err = await(L, s, deadline)) == SHMSEG_TOO_SMALL)
    grow_buffer(L, &s->buffer, s->size + s->size / 2);
  s->pending = err == 0;
  return err;
}

/* next([timeout]) -> value, sequence, lost | nil, "timeout" | "shutdown" */
static int subscription_next(lua_State *L) {
  subscription *s = check_subscription(L);
  int64_t deadline = opt_deadline(L, 2);
  do {
    luaL_argcheck(L, s->broadcast, 1, "subscription is closed");
    int err = s->pending ? 0 : subscription_fetch(L, s, deadline);
    luaL_argcheck(L, s->broadcast, 1, "subscription is closed");
    if (err)
      return push_object_failure(L, &s->broadcast->object, err);
  } while (!push_pending(L, s));
  return 3;
}

static int subscription_close(lua_State *L) {
  check_subscription(L)->broadcast = NULL;
  return 0;
}

static int subscription_tostring(lua_State *L) {
  subscription *s = check_subscription(L);
  lua_pushstring(L, s->broadcast ? SUBSCRIPTION_CLASS " (open)" : SUBSCRIPTION_CLASS " (closed)");
  return 1;
}

int push_subscription(lua_State *L, broadcast *b) {
  uint64_t from = check_from(L);
  subscription *s = lua_newuserdata(L, sizeof *s);
  memset(s, 0, sizeof *s);
  s->tag = &subscription_tag;
  luaL_getmetatable(L, SUBSCRIPTION_CLASS);
  lua_setmetatable(L, -2);
  lua_createtable(L, BROADCAST, 1);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, BROADCAST);
  lua_setuservalue(L, -2);
  wait wait = wait_for_work();
  shmseg_broadcast_walk walk = { 0 };
  int err;
  do
    err = shmseg_broadcast_subscribe_on(&b->broadcast, from, &walk, &s->subscription);
  while (wait_again(L, &wait, &err));
  if (err == SHMSEG_OUT_OF_RANGE)
    return luaL_argerror(L, 2, "a sequence number beyond the next one");
  if (err)
    return push_object_failure(L, &b->object, err);
  s->broadcast = b;
  return 1;
}

static const luaL_Reg methods[] = {
  { "close", subscription_close },
  { "next", subscription_next },
  { NULL, NULL },
};

static const luaL_Reg metamethods[] = {
  { "__close", subscription_close },
  { "__gc", subscription_close },
  { "__tostring", subscription_tostring },
  { NULL, NULL },
};

void binding_open_subscription(lua_State *L) {
  binding_new_class(L, SUBSCRIPTION_CLASS, metamethods, methods);
  lua_setfield(L, -3, "subscription_methods");
  lua_pop(L, 1);
}
