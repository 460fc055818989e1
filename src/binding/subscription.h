/* SPDX-License-Identifier: MIT */
/* The subscription userdata, and the userdata of its broadcast. */
#ifndef SHMSEG_BINDING_SUBSCRIPTION_H
#define SHMSEG_BINDING_SUBSCRIPTION_H

#include "binding/object.h"

typedef struct {
  object object;
  shmseg_broadcast broadcast;
} broadcast;

#pragma GCC visibility push(hidden)

/* Pushes a subscription to the broadcast at index 1. Argument 2 says where it begins: nil or "new",
 * "oldest", or a sequence number. After a failure pushes nil, message, code. */
int push_subscription(lua_State *L, broadcast *b);

#pragma GCC visibility pop

#endif
