/* SPDX-License-Identifier: MIT */
/* The subscription userdata.
 *
 * Messages become strings before the subscription moves on: so none is lost when memory runs out, or
 * a hook raises. Finalizers and codecs may use the subscription meanwhile; when they have moved it,
 * the strings are dropped. */
#include "binding/subscription.h"

#include <string.h>

#include "binding/module.h"
#include "binding/waiting.h"
#include "binding/watch.h"
#include "core/segment.h"

#define SUBSCRIPTION_CLASS "shmseg.subscription"

/* subscribe(-n): more than there can be. */
#define LAST_MAX ((int64_t)1 << 53)

const char subscription_tag;

#define BROADCAST 1 /* key of the user value, a table which also has the buffer */

static uint64_t check_from(lua_State *L) {
  if (lua_isnoneornil(L, 2))
    return SHMSEG_FROM_NEW;
  if (lua_type(L, 2) == LUA_TSTRING && !lua_isnumber(L, 2)) {
    static const char *const names[] = { "new", "oldest", NULL };
    return check_option(L, 2, names) == 0 ? SHMSEG_FROM_NEW : SHMSEG_FROM_OLDEST;
  }
  int64_t from = check_integer(L, 2);
  luaL_argcheck(L, from != 0, 2, "sequence numbers start at 1");
  if (from < 0)
    return SHMSEG_FROM_LAST((uint64_t)(from > -LAST_MAX ? -from : LAST_MAX));
  return (uint64_t)from;
}

static subscription *check_subscription(lua_State *L) {
  subscription *s = test_tag(L, 1, &subscription_tag);
  return s ? s : type_error(L, 1, SUBSCRIPTION_CLASS);
}

static void check_not_closed(lua_State *L, const subscription *s) {
  luaL_argcheck(L, s->broadcast, 1, "subscription is closed");
}

/* --- one message -------------------------------------------------------------------------- */

/* A message that a batch shows. */
typedef struct {
  shmseg_subscription *subscription;
  const shmseg_subscription_batch *batch;
} shown;

static int copy_shown(void *context, void *to) {
  const shown *s = context;
  return shmseg_subscription_copy(s->subscription, s->batch, to);
}

/* Pushes the message that the batch has added last. It is the message if the batch is then
 * confirmed. */
static int push_shown(lua_State *L, subscription *s, const shmseg_subscription_batch *batch) {
  shown what = { &s->subscription, batch };
  return push_message(L, &s->reader, batch->bytes, batch->size, copy_shown, &what);
}

/* Looks for a message. Each try of a wait begins here. */
static int look(lua_State *L, subscription *s, shmseg_subscription_batch *batch, int64_t deadline) {
  check_not_closed(L, s);
  return shmseg_subscription_look(&s->subscription, batch, deadline);
}

/* Is the subscription still where it was when it looked? */
static int check_place(lua_State *L, const subscription *s, uint64_t sequence) {
  check_not_closed(L, s);
  return s->subscription.sequence == sequence ? 0 : SHMSEG_CHANGED;
}

/* Is an operation on messages that publishers have overwritten to be tried again? */
static bool try_again(lua_State *L, wait *w, int *err) {
  return *err == SHMSEG_CHANGED || wait_again(L, w, err);
}

/* Pushes the next message, and moves on. */
static int read_message(lua_State *L, subscription *s, shmseg_subscription_batch *batch,
                        int64_t deadline) {
  uint64_t floor;
  int err = look(L, s, batch, deadline);
  if (!err)
    err = shmseg_subscription_show(&s->subscription, batch);
  if (!err)
    err = push_shown(L, s, batch);
  if (!err)
    err = shmseg_subscription_confirm(&s->subscription, batch, &floor);
  s->reader.was_overtaken = err == SHMSEG_CHANGED;
  if (!err)
    err = check_place(L, s, batch->sequence);
  if (!err)
    shmseg_subscription_advance(&s->subscription, batch);
  return err;
}

/* Replaces the message at the top by what the codec makes of it. Decode may use the subscription: it
 * may tell of those that were lost before the message. */
static void decode_message(lua_State *L, subscription *s, uint64_t *lost) {
  const broadcast *b = s->broadcast; /* decode may close the subscription */
  s->subscription.lost += *lost;     /* if decode raises, the next call tells of them */
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, BROADCAST);
  lua_replace(L, -2);
  lua_insert(L, -2);
  decode_value(L, &b->object, lua_gettop(L) - 1);
  if (s->subscription.lost < *lost)
    *lost = 0; /* it has told */
  s->subscription.lost -= *lost;
}

/* next([timeout]) -> value, sequence, lost | nil, "timeout" | "shutdown" */
static int subscription_next(lua_State *L) {
  subscription *s = check_subscription(L);
  wait wait = wait_until(opt_deadline(L, 2));
  shmseg_subscription_batch batch = { 0 };
  int err = read_message(L, s, &batch, wait.deadline);
  while (err && try_again(L, &wait, &err)) {
    lua_settop(L, 2); /* a string that was no message goes */
    err = read_message(L, s, &batch, wait.deadline);
  }
  check_not_closed(L, s);
  if (err)
    return push_object_failure(L, &s->broadcast->object, err);
  if (s->broadcast->object.has_codec)
    decode_message(L, s, &batch.lost);
  push_uint64(L, batch.sequence);
  push_uint64(L, batch.lost);
  return 3;
}

/* Copies the next message into the target, and moves on. SHMSEG_TOO_SMALL: it has batch->size
 * bytes. */
static int read_into(lua_State *L, subscription *s, const target *t,
                     shmseg_subscription_batch *batch, int64_t deadline) {
  uint64_t floor;
  int err = look(L, s, batch, deadline);
  if (!err)
    err = shmseg_subscription_show(&s->subscription, batch);
  bool fits = batch->size <= t->available;
  if (!err && fits) {
    err = shmseg_subscription_copy(&s->subscription, batch, t->bytes);
    if (!err)
      err = segment_status(t->segment);
  }
  if (!err)
    err = shmseg_subscription_confirm(&s->subscription, batch, &floor);
  if (err || !fits)
    return err ? err : SHMSEG_TOO_SMALL;
  shmseg_subscription_advance(&s->subscription, batch);
  return 0;
}

/* next_into(segment [, offset [, timeout]]) -> count, sequence, lost
 * | nil, "timeout" | "shutdown" | "too small" */
static int subscription_next_into(lua_State *L) {
  subscription *s = check_subscription(L);
  wait wait = wait_until(opt_deadline(L, 4));
  shmseg_subscription_batch batch = { 0 };
  target t;
  int err;
  do {
    check_not_closed(L, s);
    t = target_at(L, &s->broadcast->object, 2);
    err = read_into(L, s, &t, &batch, wait.deadline);
  } while (try_again(L, &wait, &err));
  check_not_closed(L, s);
  if (err == SHMSEG_TOO_SMALL)
    return push_target_too_small(L, &s->broadcast->object, batch.size, &t);
  if (err)
    return push_value_failure(L, &s->broadcast->object, 2, err);
  push_uint64(L, batch.size);
  push_uint64(L, batch.sequence);
  push_uint64(L, batch.lost);
  return 3;
}

/* --- many at once ------------------------------------------------------------------------- */

/* What drain has made of a batch. */
typedef struct {
  shmseg_subscription_batch batch;
  int count;
  bool failed; /* an error of the codec is at the top, and is that of the first message */
} drained;

/* Makes the list, of at most max messages. Hooks that run meanwhile may raise: the subscription has
 * not moved yet. */
static int make_list(lua_State *L, subscription *s, drained *d, int max) {
  int err = 0;
  d->count = 0;
  lua_settop(L, LIST - 1);
  lua_newtable(L);
  while (d->count < max && (err = shmseg_subscription_show(&s->subscription, &d->batch)) == 0) {
    err = push_shown(L, s, &d->batch);
    if (err)
      return err;
    lua_rawseti(L, LIST, ++d->count);
    if (d->count % RING_GO == 0 && wait_run_hooks(L))
      return 0; /* a signal has come */
  }
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Bytes of the record of message n of the list. */
static uint64_t record_of(lua_State *L, int n) {
  return SHMSEG_BROADCAST_RECORD((uint64_t)listed_size(L, n));
}

/* Confirms the batch, or what publishers have left of it. */
static int confirm_list(lua_State *L, subscription *s, drained *d) {
  shmseg_subscription_batch *batch = &d->batch;
  int gone = 0, err;
  uint64_t floor;
  while ((err = shmseg_subscription_confirm(&s->subscription, batch, &floor)) == SHMSEG_CHANGED) {
    for (; gone < d->count && batch->position < floor; batch->count--) {
      batch->position += record_of(L, ++gone);
      batch->sequence++;
      batch->lost++;
    }
    if (gone == d->count || batch->position != floor)
      break;
  }
  s->reader.was_overtaken = err == SHMSEG_CHANGED;
  if (err)
    return err;
  drop_first(L, LIST, gone, d->count);
  d->count -= gone;
  return 0;
}

/* Makes the list of values. A message that the codec cannot decode ends it; when it is the first, the
 * batch is that message alone. */
static void decode_list(lua_State *L, const broadcast *b, drained *d) {
  d->batch.end = d->batch.position;
  lua_createtable(L, d->count < RING_GO ? d->count : RING_GO, 0);
  lua_getuservalue(L, 1);
  lua_rawgeti(L, -1, BROADCAST);
  lua_replace(L, -2);
  for (int n = 1; n <= d->count; n++) {
    int status = decode_element(L, &b->object, VALUES + 1, LIST, n);
    d->failed = status != 0 && n == 1;
    if (d->failed && status == LUA_ERRMEM)
      lua_error(L); /* the subscription has not moved */
    if (status == 0)
      lua_rawseti(L, VALUES, n);
    else
      d->count = d->failed ? 1 : n - 1;
    if (status == 0 || d->failed)
      d->batch.end += record_of(L, n);
  }
  d->batch.count = (uint64_t)d->count;
}

/* Puts a list of at most max messages at LIST, or one of their values at VALUES, and moves on. */
static int drain_messages(lua_State *L, subscription *s, drained *d, int max, int64_t deadline) {
  int err = look(L, s, &d->batch, deadline);
  uint64_t begin = s->subscription.sequence, lost = s->subscription.lost;
  if (!err && max == 0)
    return SHMSEG_TIMEOUT;
  if (!err)
    err = make_list(L, s, d, max);
  if (!err)
    err = confirm_list(L, s, d);
  if (!err)
    err = check_place(L, s, begin);
  if (!err && s->broadcast->object.has_codec) {
    decode_list(L, s->broadcast, d);
    err = check_place(L, s, begin);
  }
  if (err)
    return err;
  if (s->subscription.lost < lost)
    d->batch.lost -= lost; /* a codec or finalizer has asked, and was told */
  shmseg_subscription_advance(&s->subscription, &d->batch);
  if (d->failed) {
    s->subscription.lost = d->batch.lost; /* the next call tells of them */
    return lua_error(L);
  }
  return 0;
}

/* What drain gives when it has no message and does not wait: an empty list, which tells of those
 * that were lost, and "shutdown" when it will stay empty. */
static int push_empty(lua_State *L, subscription *s, int err) {
  lua_newtable(L);
  check_not_closed(L, s);
  push_uint64(L, s->subscription.sequence);
  push_uint64(L, s->subscription.lost);
  s->subscription.lost = 0;
  if (err != SHMSEG_SHUTDOWN)
    return 3;
  lua_pushliteral(L, "shutdown");
  return 4;
}

/* drain([max]) -> list, perhaps empty, sequence of its first, lost [, "shutdown"]
 * drain(max, timeout) -> list, not empty, sequence, lost | nil, "timeout" | "shutdown" */
static int subscription_drain(lua_State *L) {
  subscription *s = check_subscription(L);
  bool waits = !lua_isnone(L, 3);
  int64_t max = lua_isnoneornil(L, 2) ? INT32_MAX : check_integer(L, 2);
  luaL_argcheck(L, max >= 0, 2, "negative number of messages");
  luaL_argcheck(L, max > 0 || !waits, 2, "a wait takes at least 1 message");
  wait wait = wait_until(waits ? opt_deadline(L, 3) : WAIT_PAST);
  drained d = { .count = 0 };
  int err;
  lua_settop(L, LIST - 1);
  do
    err = drain_messages(L, s, &d, max < INT32_MAX ? (int)max : INT32_MAX, wait.deadline);
  while (try_again(L, &wait, &err));
  check_not_closed(L, s);
  if (!waits && (err == SHMSEG_TIMEOUT || err == SHMSEG_SHUTDOWN))
    return push_empty(L, s, err);
  if (err)
    return push_object_failure(L, &s->broadcast->object, err);
  lua_settop(L, s->broadcast->object.has_codec ? VALUES : LIST);
  push_uint64(L, d.batch.sequence);
  push_uint64(L, d.batch.lost);
  return 3;
}

/* --- watching ----------------------------------------------------------------------------- */

static int arm_watch(watch *w, uint64_t seen) {
  subscription *s = w->what;
  (void)seen;
  return s->broadcast ? shmseg_subscription_watch(&s->subscription, &w->core) : SHMSEG_CLOSED;
}

static int fail_watch(lua_State *L, const watch *w, int err) {
  const subscription *s = w->what;
  const char *hint = watch_hint(err);
  check_not_closed(L, s);
  if (hint)
    return push_failure(L, err, push_object_subject(L, &s->broadcast->object), hint);
  return push_object_failure(L, &s->broadcast->object, err);
}

/* watch() -> watch | nil, message, code */
static int subscription_watch(lua_State *L) {
  static const watch_source source = { .arm = arm_watch, .fail = fail_watch };
  check_not_closed(L, check_subscription(L));
  return push_armed_watch(L, &source, 0);
}

/* --- the userdata ------------------------------------------------------------------------- */

static int subscription_close(lua_State *L) {
  subscription *s = check_subscription(L);
  shmseg_segment *segment = s->broadcast ? s->broadcast->broadcast.object.segment : NULL;
  if (segment)
    end_watches(&segment->watches, s);
  s->broadcast = NULL;
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
    return luaL_argerror(L, 2, "a sequence number beyond the next one (-n means the last n)");
  if (err)
    return push_object_failure(L, &b->object, err);
  s->broadcast = b;
  return 1;
}

static const luaL_Reg methods[] = {
  { "close", subscription_close }, { "drain", subscription_drain },
  { "next", subscription_next },   { "next_into", subscription_next_into },
  { "watch", subscription_watch }, { NULL, NULL },
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
