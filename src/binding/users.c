/* SPDX-License-Identifier: MIT */
/* Processes: who has what open, mapped or locked; the module's users and openers. What is read below
 * /proc is open in a userdata meanwhile: its __gc closes it after an error. */
#include "binding/users.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "binding/module.h"
#include "binding/place.h"
#include "binding/view.h"
#include "binding/waiting.h"
#include "os/backing.h"
#include "os/liveness.h"
#include "os/presence.h"
#include "os/users.h"

#define WALK_CLASS "shmseg.walk"

static const char walk_tag;

/* Nanoseconds after which a signal of shmseg.signals ends a walk. */
#define LONG ((int64_t)100 * 1000000)

/* How often the kernel's list of locks is read at most, until two readings agree. */
#define READINGS 10

typedef struct {
  const void *tag;
  int64_t begun;
  shmseg_users users;
  shmseg_proc locks;
  shmseg_descriptors descriptors;
} walk;

static void walk_end(walk *w) {
  shmseg_users_close(&w->users);
  shmseg_proc_close(&w->locks);
  shmseg_users_close_descriptors(&w->descriptors);
}

static int walk_gc(lua_State *L) {
  walk *w = test_tag(L, 1, &walk_tag);
  if (!w)
    w = type_error(L, 1, WALK_CLASS);
  walk_end(w);
  return 0;
}

static walk *push_walk(lua_State *L) {
  walk *w = lua_newuserdata(L, sizeof *w);
  memset(w, 0, sizeof *w);
  w->tag = &walk_tag;
  w->begun = shmseg_clock_now();
  luaL_getmetatable(L, WALK_CLASS);
  lua_setmetatable(L, -2);
  return w;
}

static bool is_same(shmseg_identity a, shmseg_identity b) {
  return a.device == b.device && a.inode == b.inode;
}

/* Puts pid into the sorted list at the top, once. They come almost in order. */
static void add_pid(lua_State *L, int pid) {
  int at = (int)lua_rawlen(L, -1);
  for (; at > 0; at--) {
    lua_rawgeti(L, -1, at);
    int before = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (before == pid)
      return;
    if (before < pid)
      break;
  }
  for (int i = (int)lua_rawlen(L, -1); i > at; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushinteger(L, pid);
  lua_rawseti(L, -2, at + 1);
}

/* Between two processes. */
static int look_around(lua_State *L, const walk *w) {
  bool is_signalled = wait_run_hooks(L);
  return is_signalled && shmseg_clock_now() - w->begun > LONG ? SHMSEG_INTERRUPTED : 0;
}

/* --- of one backing ----------------------------------------------------------------------- */

/* Is the process known that has the lock? */
static bool users_has_locked(const shmseg_proc_lock *lock) {
  return lock->is_flock && lock->pid > 0 && shmseg_users_is_alive(lock->pid);
}

/* One reading of the kernel's list. */
static int users_read_locks(lua_State *L, walk *w, shmseg_identity backing, int64_t *handles) {
  shmseg_proc_lock lock;
  int err = shmseg_users_open_locks(&w->locks);
  *handles = 0;
  while (!err && (err = shmseg_users_next_lock(&w->locks, &lock)) == 0) {
    if (lock.is_waiting || !is_same(lock.identity, backing))
      continue;
    *handles += shmseg_presence_is_lock(&lock);
    if (users_has_locked(&lock))
      add_pid(L, lock.pid);
  }
  shmseg_proc_close(&w->locks);
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Adds the processes that have locked all of the backing, to the list at the top. The kernel tells its
 * list in pieces, and a lock that comes or goes between two of them, of whatever file, moves the rest:
 * so it is read until two readings tell the same number. */
static int users_by_locks(lua_State *L, walk *w, shmseg_identity backing, int64_t *handles) {
  int64_t before;
  int err, readings = 0;
  *handles = -1;
  do {
    before = *handles;
    err = users_read_locks(L, w, backing, handles);
  } while (!err && *handles != before && ++readings < READINGS);
  return err;
}

/* Does the process that the walk is at have the backing mapped? */
static int users_has_mapped(walk *w, shmseg_identity backing, bool *has) {
  shmseg_identity identity;
  int err;
  *has = false;
  while (!*has && (err = shmseg_users_mapping(&w->users, &identity)) == 0)
    *has = is_same(identity, backing);
  return *has || err == SHMSEG_EMPTY ? 0 : err;
}

/* Adds the processes that have the backing mapped, to the list at the top. */
static int users_by_maps(lua_State *L, walk *w, shmseg_identity backing) {
  bool has;
  int err = shmseg_users_open(&w->users);
  while (!err && (err = shmseg_users_next(&w->users)) == 0) {
    err = users_has_mapped(w, backing, &has);
    if (!err && has)
      add_pid(L, w->users.pid);
    if (!err)
      err = look_around(L, w);
  }
  shmseg_users_close(&w->users);
  return err == SHMSEG_EMPTY ? 0 : err;
}

static int push_users_failure(lua_State *L, const char *subject, int err) {
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  return err == SHMSEG_NO_PROC
             ? push_failure_as(L, err, subject, "there is no /proc, which tells who uses what")
             : push_failure(L, err, subject, NULL);
}

/* users(name) -> handles, list of processes | nil, message, code */
static int module_users(lua_State *L) {
  struct stat status;
  luaL_checkstring(L, 1);
  shmseg_place place = { SHMSEG_NAME, check_free_name(L, 1, SHMSEG_NAME) };
  walk *w = push_walk(L);
  int top = lua_gettop(L);
  wait wait = wait_for_work();
  int64_t handles;
  int err;
  do {
    lua_settop(L, top);
    lua_newtable(L);
    handles = 0;
    walk_end(w);
    err = shmseg_backing_stat(place, &status);
    if (!err && !S_ISREG(status.st_mode))
      err = ENODEV;
    if (err)
      return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
    err = users_by_locks(L, w, shmseg_backing_identity(&status), &handles);
    if (!err)
      err = users_by_maps(L, w, shmseg_backing_identity(&status));
  } while (wait_again(L, &wait, &err));
  walk_end(w);
  if (err)
    return push_users_failure(L, push_subject(L, "segment", place.name), err);
  push_int64(L, handles);
  lua_insert(L, -2);
  return 2;
}

/* --- of all ------------------------------------------------------------------------------- */

/* Pushes what the table at index all has of the backing, { handles =, pids = }, and adds handles. */
static void push_opener(lua_State *L, int all, shmseg_identity backing, int handles) {
  char key[48];
  snprintf(key, sizeof key, "%llu:%llu", (unsigned long long)backing.device,
           (unsigned long long)backing.inode);
  lua_getfield(L, all, key);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_newtable(L);
    lua_setfield(L, -2, "pids");
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "handles");
    lua_pushvalue(L, -1);
    lua_setfield(L, all, key);
  }
  if (handles != 0) {
    lua_getfield(L, -1, "handles");
    lua_Integer before = lua_tointeger(L, -1);
    lua_pushinteger(L, before + handles);
    lua_setfield(L, -3, "handles");
    lua_pop(L, 1);
  }
}

static void add_opener(lua_State *L, int all, shmseg_identity backing, int handles, int pid) {
  push_opener(L, all, backing, handles);
  if (pid > 0) {
    lua_getfield(L, -1, "pids");
    add_pid(L, pid);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int openers_by_locks(lua_State *L, walk *w, int all, uint64_t device) {
  shmseg_proc_lock lock;
  int err = shmseg_users_open_locks(&w->locks);
  while (!err && (err = shmseg_users_next_lock(&w->locks, &lock)) == 0) {
    bool is_handle = shmseg_presence_is_lock(&lock);
    if (!lock.is_waiting && lock.identity.device == device && (is_handle || lock.is_flock))
      add_opener(L, all, lock.identity, is_handle, users_has_locked(&lock) ? lock.pid : 0);
  }
  shmseg_proc_close(&w->locks);
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* What the process that the walk is at has mapped. */
static int openers_of_process(lua_State *L, walk *w, int all, uint64_t device) {
  shmseg_identity identity;
  int err;
  while ((err = shmseg_users_mapping(&w->users, &identity)) == 0)
    if (identity.device == device)
      add_opener(L, all, identity, 0, w->users.pid);
  return err == SHMSEG_EMPTY ? look_around(L, w) : err;
}

static int openers_by_maps(lua_State *L, walk *w, int all, uint64_t device) {
  int err = shmseg_users_open(&w->users);
  while (!err && (err = shmseg_users_next(&w->users)) == 0)
    err = openers_of_process(L, w, all, device);
  shmseg_users_close(&w->users);
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* openers() -> table of { handles =, pids = }, by "device:inode" | nil, message, code */
static int module_openers(lua_State *L) {
  uint64_t device;
  walk *w = push_walk(L);
  int top = lua_gettop(L);
  wait wait = wait_for_work();
  int err;
  do {
    lua_settop(L, top);
    lua_newtable(L);
    walk_end(w);
    err = shmseg_backing_device(&device);
    if (!err)
      err = openers_by_locks(L, w, top + 1, device);
    if (!err)
      err = openers_by_maps(L, w, top + 1, device);
  } while (wait_again(L, &wait, &err));
  walk_end(w);
  return err ? push_users_failure(L, "openers", err) : 1;
}

/* --- of an identity ----------------------------------------------------------------------- */

/* The identities of the process that the walk is at, by the locks on its descriptors. */
static int owners_of_process(lua_State *L, walk *w, int owners, shmseg_identity backing) {
  shmseg_proc_lock lock;
  uint32_t id;
  int err = shmseg_users_open_descriptors(&w->descriptors, w->users.pid);
  while (!err && (err = shmseg_users_next_descriptor(&w->descriptors)) == 0) {
    while ((err = shmseg_users_next_lock(&w->descriptors.locks, &lock)) == 0) {
      if (!lock.is_ofd || !is_same(lock.identity, backing) ||
          !shmseg_liveness_byte(lock.start, &id))
        continue;
      lua_rawgeti(L, owners, (int)id);
      if (!lua_isnil(L, -1))
        add_pid(L, w->users.pid);
      lua_pop(L, 1);
    }
    if (err == SHMSEG_EMPTY)
      err = 0;
  }
  shmseg_users_close_descriptors(&w->descriptors);
  /* also one that has ended, or may not be looked into */
  return err == EMFILE || err == ENFILE || err == ENOMEM ? err : look_around(L, w);
}

int users_of_owners(lua_State *L, int owners, shmseg_identity backing) {
  bool has;
  walk *w = push_walk(L);
  int err = shmseg_users_open(&w->users);
  while (!err && (err = shmseg_users_next(&w->users)) == 0) {
    err = users_has_mapped(w, backing, &has);
    if (!err && has)
      err = owners_of_process(L, w, owners, backing);
  }
  walk_end(w);
  lua_pop(L, 1);
  return err == SHMSEG_EMPTY ? 0 : err;
}

static const luaL_Reg walk_metamethods[] = { { "__gc", walk_gc }, { NULL, NULL } };

static const luaL_Reg functions[] = {
  { "openers", module_openers },
  { "users", module_users },
  { NULL, NULL },
};

void binding_open_users(lua_State *L) {
  binding_new_class(L, WALK_CLASS, walk_metamethods, walk_metamethods);
  lua_pop(L, 2);
  binding_register(L, functions);
}
