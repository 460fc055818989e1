/* SPDX-License-Identifier: MIT */
/* Waits that Ctrl-C, hooks and signals end. */
#ifndef SHMSEG_BINDING_WAITING_H
#define SHMSEG_BINDING_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#pragma GCC visibility push(hidden)

/* After SHMSEG_INTERRUPTED: runs the hooks that a signal handler has set, which may raise and may
 * run any Lua code: every handle is to be checked again. True when a signal of shmseg.signals is
 * waiting to be taken: give up with "interrupted". */
bool binding_interrupted(lua_State *L);

/* A call has failed for want of descriptors or memory, which handles that were forgotten may have: the
 * collector does not feel them. Collects all garbage, which may run any Lua code, and gives true: worth
 * one more try, as *tried then says. False for other failures, and the second time. */
bool binding_retry(lua_State *L, int err, bool *tried);

/* A deadline that is over, but none that is still to be set. */
#define PAST 1

/* Calls wait(handle, deadline, context) until it returns something else than SHMSEG_INTERRUPTED;
 * that is returned when a signal of shmseg.signals is there, after one try that does not wait.
 * Between two calls hooks may run, which can close the handle: wait has to check it. When a hook
 * raises, cancel(handle) is called first, if given. Collects garbage when descriptors or memory are
 * short, and tries once more. */
int binding_wait(lua_State *L, int (*wait)(void *handle, int64_t deadline, void *context),
                 void *handle, int64_t deadline, void *context, void (*cancel)(void *handle));

#pragma GCC visibility pop

#endif
