/* SPDX-License-Identifier: MIT */
/* The watch userdata: a descriptor for event loops, made by the method watch of what is watched. */
#ifndef SHMSEG_BINDING_WATCH_H
#define SHMSEG_BINDING_WATCH_H

#include "binding/object.h"

struct watch;

/* What can be watched. */
typedef struct {
  /* One call of the core, which looks once and arms the watch. SHMSEG_CLOSED, too, when Lua code has
   * closed what is watched. */
  int (*arm)(struct watch *w, uint64_t seen);

  /* nil, message, code for a failure of arm; raises misuse. */
  int (*fail)(lua_State *L, const struct watch *w, int err);

  /* What was seen, from an argument of rearm. NULL: nothing is. */
  uint64_t (*see)(lua_State *L, int arg);

  /* All of rearm, where what is seen is a Lua value; in place of arm and see. */
  int (*rearm)(lua_State *L, struct watch *w);
} watch_source;

/* The userdata. Its user value is a table: [1] is what is watched, which so lives as long as the
 * watch; what stands behind it is the source's. */
typedef struct watch {
  const void *tag;
  const watch_source *source;
  void *what;       /* the userdata at [1] */
  uint64_t seen;    /* the number; of a queue the direction */
  int64_t expiry;   /* the deadline of what was seen; 0: it has none */
  unsigned process; /* that has made it, as shmseg_fork_generation() calls it */
  bool open;
  shmseg_watch core;
} watch;

#pragma GCC visibility push(hidden)

/* Pushes a watch of the userdata at index 1, which is not open yet. */
watch *push_watch(lua_State *L, const watch_source *source);

/* Notes that the watch is armed for the first time. */
void open_watch(watch *w);

/* All of a method watch, once the arguments are checked: the watch, or nil, message, code. */
int push_armed_watch(lua_State *L, const watch_source *source, uint64_t seen);

/* Has Lua code closed the watch while it was to be armed? Raises then. */
void check_watch_open(lua_State *L, const watch *w);

/* Why a watch cannot be had, for err; or NULL when the error's own words say it. */
const char *watch_hint(int err);

/* Ends the watches of that userdata alone. The list is its segment's. */
void end_watches(shmseg_watch **list, const void *what);

/* fail of a source whose userdata is an object. */
int fail_object_watch(lua_State *L, const watch *w, int err);

#pragma GCC visibility pop

#endif
