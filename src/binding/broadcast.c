/* SPDX-License-Identifier: MIT */
/* The broadcast userdata. */
#include <errno.h>

#include "binding/module.h"
#include "binding/subscription.h"
#include "binding/value.h"
#include "binding/waiting.h"

static const object_class class = { &shmseg_broadcast_kind, "shmseg.broadcast", sizeof(broadcast) };

/* --- publishing --------------------------------------------------------------------------- */

/* publish(value) -> sequence | nil, "shutdown" */
static int broadcast_publish(lua_State *L) {
  broadcast *b = check_object(L, &class);
  size_t size;
  uint64_t sequence;
  const char *bytes = check_value(L, &b->object, 2, &size);
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_broadcast_publish_until(&b->broadcast, bytes, size, &wait.deadline, &sequence);
  while (wait_again(L, &wait, &err));
  if (err == EINVAL)
    return value_too_large(L, &b->object, 2, size);
  if (err)
    return push_object_failure(L, &b->object, err);
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
