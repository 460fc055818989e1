/* SPDX-License-Identifier: MIT */
/* The subscription userdata, and that of the broadcast which it belongs to. */
#ifndef SHMSEG_BINDING_SUBSCRIPTION_H
#define SHMSEG_BINDING_SUBSCRIPTION_H

#include "binding/object.h"

typedef struct {
  object object;
  shmseg_broadcast broadcast;
} broadcast;

#pragma GCC visibility push(hidden)

/* Pushes a subscription to the broadcast at index 1, from where argument 2 says: nil or "new",
 * "oldest", or a sequence number. Or pushes nil, message, code. */
int push_subscription(lua_State *L, broadcast *b);

#pragma GCC visibility pop

#endif
