/* SPDX-License-Identifier: MIT */
/* The broadcast and subscription userdata. */
#include <errno.h>
#include <string.h>

#include "binding/module.h"
#include "binding/object.h"
#include "binding/value.h"
#include "binding/waiting.h"

#define SUBSCRIPTION_CLASS "shmseg.subscription"
#define BUFFER_MIN 1024

typedef struct {
  object object;
  shmseg_broadcast broadcast;
} broadcast;

static const object_class class = { &shmseg_broadcast_kind, "shmseg.broadcast", sizeof(broadcast) };

/* --- publishing --------------------------------------------------------------------------- */

typedef struct {
  const char *bytes;
  size_t size;
  uint64_t sequence;
  int64_t deadline; /* of waiting for other publishers */
} message;

static int publish_until(void *handle, int64_t deadline, void *context) {
  message *m = context;
  int64_t past = PAST; /* one try */
  return shmseg_broadcast_publish_until(&((broadcast *)handle)->broadcast, m->bytes, m->size,
                                        deadline == 0 ? &past : &m->deadline, &m->sequence);
}

/* publish(value) -> sequence | nil, "shutdown" */
static int broadcast_publish(lua_State *L) {
  broadcast *b = check_object(L, &class);
  message m = { 0 };
  m.bytes = check_value(L, &b->object, 2, &m.size);
  int err = binding_wait(L, publish_until, b, SHMSEG_FOREVER, &m, NULL);
  if (err == EINVAL)
    return value_too_large(L, &b->object, 2, m.size);
  if (err)
    return push_object_failure(L, &b->object, err);
  push_uint64(L, m.sequence);
  return 1;
}

/* shutdown() -> true */
static int broadcast_shutdown(lua_State *L) {
  broadcast *b = check_object(L, &class);
  int err = shmseg_broadcast_shutdown(&b->broadcast);
  if (err)
    return push_object_failure(L, &b->object, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* --- subscribing -------------------------------------------------------------------------- */

static const char subscription_tag;

#define BROADCAST 1 /* of the user value, a table of its own with the buffer, too */

typedef struct {
  view view;            /* its tag alone */
  broadcast *broadcast; /* NULL: closed */
  shmseg_subscription subscription;
  buffer buffer;
  bool pending; /* the message in the buffer was taken, and is no string yet */
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

typedef struct {
  uint64_t from;
  shmseg_broadcast_walk walk;
  shmseg_subscription *found;
} search;

/* It does not wait, so no deadline is over but that of who is to give up. */
static int subscribe_on(void *handle, int64_t deadline, void *context) {
  search *s = context;
  int err =
      shmseg_broadcast_subscribe_on(&((broadcast *)handle)->broadcast, s->from, &s->walk, s->found);
  return err == SHMSEG_INTERRUPTED && deadline == 0 ? SHMSEG_TIMEOUT : err;
}

/* subscribe([from]) -> subscription; "new", "oldest" or a sequence number */
static int broadcast_subscribe(lua_State *L) {
  broadcast *b = check_object(L, &class);
  uint64_t from = check_from(L);
  subscription *s = lua_newuserdata(L, sizeof *s);
  memset(s, 0, sizeof *s);
  s->view.tag = &subscription_tag;
  luaL_getmetatable(L, SUBSCRIPTION_CLASS);
  lua_setmetatable(L, -2);
  lua_createtable(L, BROADCAST, 1);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, BROADCAST);
  lua_setuservalue(L, -2);
  search how = { .from = from, .found = &s->subscription };
  int err = binding_wait(L, subscribe_on, b, SHMSEG_FOREVER, &how, NULL);
  if (err == SHMSEG_OUT_OF_RANGE)
    return luaL_argerror(L, 2, "a sequence number beyond the next one");
  if (err)
    return push_object_failure(L, &b->object, err);
  s->broadcast = b;
  return 1;
}

static subscription *check_subscription(lua_State *L) {
  subscription *s = test_tag(L, 1, &subscription_tag);
  return s ? s : type_error(L, 1, SUBSCRIPTION_CLASS);
}

static int next(void *handle, int64_t deadline, void *context) {
  subscription *s = handle;
  (void)context;
  if (!s->broadcast)
    return SHMSEG_CLOSED; /* by a hook */
  s->pending = false;     /* what a hook could not have goes with the buffer */
  return shmseg_subscription_next(&s->subscription, s->buffer.bytes, s->buffer.available, &s->size,
                                  &s->sequence, &s->lost, deadline);
}

/* Pushes the message in the buffer, which stays there until the string is made; and its numbers,
 * which decode can change with a call of its own. False: a finalizer has taken it meanwhile. */
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
    s->subscription.lost += lost; /* the next one tells, should decode raise */
    lua_getuservalue(L, 1);
    lua_rawgeti(L, -1, BROADCAST);
    lua_replace(L, -2);
    lua_insert(L, -2);
    decode_value(L, &b->object, lua_gettop(L) - 1);
    if (s->subscription.lost < lost)
      lost = 0; /* decode has called next, which told */
    s->subscription.lost -= lost;
  }
  push_uint64(L, sequence);
  push_uint64(L, lost);
  return true;
}

/* Takes the next message into the buffer. */
static int fetch(lua_State *L, subscription *s, int64_t deadline) {
  int err;
  if (s->buffer.available == 0)
    grow_buffer(L, &s->buffer, BUFFER_MIN);
  while ((err = binding_wait(L, next, s, deadline, NULL, NULL)) == SHMSEG_TOO_SMALL)
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
    int err = s->pending ? 0 : fetch(L, s, deadline);
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

static const luaL_Reg methods[] = {
  { "publish", broadcast_publish },
  { "shutdown", broadcast_shutdown },
  { "subscribe", broadcast_subscribe },
  { NULL, NULL },
};

static const luaL_Reg subscription_methods[] = {
  { "close", subscription_close },
  { "next", subscription_next },
  { NULL, NULL },
};

static const luaL_Reg subscription_metamethods[] = {
  { "__close", subscription_close },
  { "__gc", subscription_close },
  { "__tostring", subscription_tostring },
  { NULL, NULL },
};

void binding_open_broadcast(lua_State *L) {
  binding_open_class(L, &class, methods);
  binding_new_class(L, SUBSCRIPTION_CLASS, subscription_metamethods, subscription_methods);
  lua_setfield(L, -3, "subscription_methods");
  lua_pop(L, 1);
}
