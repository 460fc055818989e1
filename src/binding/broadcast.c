/* SPDX-License-Identifier: MIT */
/* The broadcast userdata. */
#include "binding/module.h"
#include "binding/subscription.h"
#include "binding/waiting.h"

const object_class broadcast_class = { &shmseg_broadcast_kind, "shmseg.broadcast",
                                       sizeof(broadcast), NULL };

/* --- publishing --------------------------------------------------------------------------- */

/* publish(value) -> sequence | nil, "shutdown" */
static int broadcast_publish(lua_State *L) {
  broadcast *b = check_object(L, &broadcast_class);
  uint64_t sequence;
  check_value(L, &b->object, 2);
  wait wait = wait_patiently();
  int err;
  do {
    shmseg_source value = value_at(L, 2);
    err = shmseg_broadcast_publish_until(&b->broadcast, &value, &wait.deadline, &sequence);
  } while (wait_again(L, &wait, &err));
  if (err)
    return push_value_failure(L, &b->object, 2, err);
  push_uint64(L, sequence);
  return 1;
}

/* Publishes those of the checked list at index 2 that have not been published yet. *done counts
 * them, and *sequence is the number of the last one. */
static int publish_rest(lua_State *L, broadcast *b, shmseg_source *values, size_t count,
                        size_t *done, int64_t *deadline, uint64_t *sequence) {
  size_t published, left = count - *done;
  if (!values)
    values = list_at(L, &b->buffer, 2, *done, left);
  int err =
      shmseg_broadcast_publish_many(&b->broadcast, values, left, &published, deadline, sequence);
  *done += published;
  return err;
}

/* publish_many(list) -> sequence of the last | nil, message, code [, last sequence published] */
static int broadcast_publish_many(lua_State *L) {
  broadcast *b = check_object(L, &broadcast_class);
  shmseg_source *values;
  size_t count = check_list(L, &b->object, 2, &b->buffer, &values), done = 0;
  uint64_t sequence;
  luaL_argcheck(L, count > 0, 2, "an empty list");
  wait wait = wait_patiently();
  int err = publish_rest(L, b, values, count, &done, &wait.deadline, &sequence);
  while (wait_again(L, &wait, &err))
    err = publish_rest(L, b, NULL, count, &done, &wait.deadline, &sequence);
  int results = err ? push_list_failure(L, &b->object, 2, err) : 0;
  if (done == 0)
    return results;
  push_uint64(L, sequence);
  return results + 1;
}

/* shutdown() -> true */
static int broadcast_shutdown(lua_State *L) {
  broadcast *b = check_object(L, &broadcast_class);
  return push_object_done(L, &b->object, shmseg_broadcast_shutdown(&b->broadcast));
}

/* stats() -> { first, next, bytes, capacity, shutdown } */
static int broadcast_stats(lua_State *L) {
  broadcast *b = check_object(L, &broadcast_class);
  shmseg_broadcast_stats stats;
  int err = shmseg_broadcast_count(&b->broadcast, &stats);
  if (err)
    return push_object_failure(L, &b->object, err);
  lua_createtable(L, 0, 5);
  set_number(L, "first", (int64_t)stats.first);
  set_number(L, "next", (int64_t)stats.next);
  set_number(L, "bytes", (int64_t)stats.bytes);
  set_number(L, "capacity", (int64_t)stats.capacity);
  lua_pushboolean(L, stats.shut);
  lua_setfield(L, -2, "shutdown");
  return 1;
}

/* subscribe([from]) -> subscription; "new", "oldest", a sequence number, or -n: the last n */
static int broadcast_subscribe(lua_State *L) {
  return push_subscription(L, check_object(L, &broadcast_class));
}

static const luaL_Reg methods[] = {
  { "publish", broadcast_publish },     { "publish_many", broadcast_publish_many },
  { "shutdown", broadcast_shutdown },   { "stats", broadcast_stats },
  { "subscribe", broadcast_subscribe }, { NULL, NULL },
};

void binding_open_broadcast(lua_State *L) {
  binding_open_class(L, &broadcast_class, methods);
}
