/* SPDX-License-Identifier: MIT */
/* Processes: who has what open, mapped or locked. */
#ifndef SHMSEG_BINDING_USERS_H
#define SHMSEG_BINDING_USERS_H

#include <lua.h>

#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* The table at index owners (an absolute one) has a list for each identity that is asked for. Adds to
 * each the processes that have that identity on the backing, as far as they can be looked into. 0 or
 * why that could not be done; SHMSEG_INTERRUPTED when a signal is there. */
int users_of_owners(lua_State *L, int owners, shmseg_identity backing);

#pragma GCC visibility pop

#endif
