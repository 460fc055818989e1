/* SPDX-License-Identifier: MIT */
/* The broadcast userdata. */
#include "binding/module.h"
#include "binding/subscription.h"
#include "binding/value.h"
#include "binding/waiting.h"

static const object_class class = { &shmseg_broadcast_kind, "shmseg.broadcast", sizeof(broadcast) };

/* --- publishing --------------------------------------------------------------------------- */

/* publish(value) -> sequence | nil, "shutdown" */
static int broadcast_publish(lua_State *L) {
  broadcast *b = check_object(L, &class);
  uint64_t sequence;
  check_value(L, &b->object, 2);
  wait wait = wait_patiently();
  int err;
  do {
    shmseg_source value = value_at(L, 2);
    err = shmseg_broadcast_publish_until(&b->broadcast, value.bytes, value.size, &wait.deadline,
                                         &sequence);
  } while (wait_again(L, &wait, &err));
  if (err)
    return push_value_failure(L, &b->object, 2, err);
  push_uint64(L, sequence);
  return 1;
}

/* shutdown() -> true */
static int broadcast_shutdown(lua_State *L) {
  broadcast *b = check_object(L, &class);
  return push_object_done(L, &b->object, shmseg_broadcast_shutdown(&b->broadcast));
}

/* subscribe([from]) -> subscription; "new", "oldest" or a sequence number */
static int broadcast_subscribe(lua_State *L) {
  return push_subscription(L, check_object(L, &class));
}

static const luaL_Reg methods[] = {
  { "publish", broadcast_publish },
  { "shutdown", broadcast_shutdown },
  { "subscribe", broadcast_subscribe },
  { NULL, NULL },
};

void binding_open_broadcast(lua_State *L) {
  binding_open_class(L, &class, methods);
}
