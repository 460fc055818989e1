/* SPDX-License-Identifier: MIT */
/* The subscription userdata, and the userdata of its broadcast. */
#ifndef SHMSEG_BINDING_SUBSCRIPTION_H
#define SHMSEG_BINDING_SUBSCRIPTION_H

#include "binding/object.h"
#include "binding/ring.h"
#include "binding/value.h"

typedef struct {
  object object;
  shmseg_broadcast broadcast;
  buffer buffer; /* for what publish_many says of its list */
} broadcast;

typedef struct {
  const void *tag;
  broadcast *broadcast; /* NULL: closed */
  shmseg_subscription subscription;
  ring_reader reader;
} subscription;

#pragma GCC visibility push(hidden)

extern const char subscription_tag;

/* Pushes a subscription to the broadcast at index 1. Argument 2 says where it begins: nil or "new",
 * "oldest", a sequence number, or -n for the last n. After a failure pushes nil, message, code. */
int push_subscription(lua_State *L, broadcast *b);

#pragma GCC visibility pop

#endif
