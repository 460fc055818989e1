/* SPDX-License-Identifier: MIT */
/* Places: names and paths, what is there, and why that cannot be opened; the module's unlink and
 * stat. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "binding/module.h"
#include "binding/place.h"
#include "binding/segment.h"
#include "binding/waiting.h"
#include "os/backing.h"
#include "os/random.h"

/* --- names -------------------------------------------------------------------------------- */

/* The name of an object, or the path of a file. */
static const char *check_name(lua_State *L, int arg, shmseg_place_type type) {
  size_t length;
  const char *name = luaL_checklstring(L, arg, &length);
  bool leads_elsewhere = strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
  luaL_argcheck(L, length > 0 && strlen(name) == length, arg, "empty, or a zero byte inside");
  luaL_argcheck(L, type == SHMSEG_FILE || (!leads_elsewhere && length <= SHMSEG_NAME_MAX), arg,
                "no name of an object");
  return name;
}

/* A new name, which is pushed. */
static const char *random_name(lua_State *L) {
  uint64_t bits;
  char name[32];
  int err = shmseg_random_draw(&bits);
  if (err)
    luaL_error(L, "no random numbers: %s", strerror(err));
  snprintf(name, sizeof name, "shmseg-%016llx", (unsigned long long)bits);
  lua_pushstring(L, name);
  return lua_tostring(L, -1);
}

const char *check_free_name(lua_State *L, int arg, shmseg_place_type type) {
  return lua_isnil(L, arg) ? random_name(L) : check_name(L, arg, type);
}

/* --- failures ----------------------------------------------------------------------------- */

/* Says what is at the place when it cannot back a segment; else NULL. */
static const char *what_is(shmseg_place place) {
  struct stat status;
  if (shmseg_backing_dangles(place))
    return "is a symbolic link that leads nowhere";
  if (shmseg_backing_stat(place, &status) != 0)
    return NULL;
  switch (status.st_mode & S_IFMT) {
  case S_IFLNK: return "is a symbolic link";
  case S_IFDIR: return "is a directory";
  case S_IFIFO: return "is a FIFO";
  case S_IFSOCK: return "is a socket";
  case S_IFBLK:
  case S_IFCHR: return "is a device";
  default: return NULL;
  }
}

static const char *push_too_small(lua_State *L, shmseg_place place, uint64_t needed) {
  struct stat status;
  char text[64];
  if (shmseg_backing_stat(place, &status) != 0)
    return NULL;
  if (needed == 0)
    return status.st_size == 0 ? "is empty" : NULL;
  snprintf(text, sizeof text, "%lld bytes, %llu needed", (long long)status.st_size,
           (unsigned long long)needed);
  return lua_pushfstring(L, "%s", text);
}

static bool is_empty_file(shmseg_place place) {
  struct stat status;
  return place.type == SHMSEG_FILE && shmseg_backing_stat(place, &status) == 0 &&
         status.st_size == 0;
}

/* Says that the folder of the place is missing, if it is; else NULL. */
static const char *missing_folder(shmseg_place place) {
  if (shmseg_backing_has_folder(place))
    return NULL;
  return place.type == SHMSEG_NAME ? "/dev/shm is not there" : "its folder is not there";
}

int push_place_failure(lua_State *L, const char *noun, shmseg_place place, shmseg_mode mode,
                       uint64_t needed, int err) {
  int expected = push_expected(L, err);
  if (expected)
    return expected;
  const char *subject = push_subject(L, noun, place.name);
  const char *words = NULL;
  bool attaches = mode == SHMSEG_READ || mode == SHMSEG_WRITE;
  if (err == SHMSEG_TOO_SMALL)
    words = push_too_small(L, place, needed);
  else if (err == ELOOP || err == ENODEV || err == EISDIR || err == ENXIO)
    words = what_is(place);
  else if (err == ENOENT)
    words = shmseg_backing_dangles(place) ? what_is(place) : missing_folder(place);
  else if ((err == EACCES || err == EPERM) && mode == SHMSEG_CREATE && is_empty_file(place))
    words = "an empty file is replaced, for which its folder must be writable";
  if (words)
    return push_failure_as(L, err, subject, words);
  return push_failure(L, err, subject, err == ENOENT && attaches ? "mode \"c\" creates it" : NULL);
}

/* --- stat and unlink ---------------------------------------------------------------------- */

/* unlink(name) -> true | nil, message, code */
static int module_unlink(lua_State *L) {
  shmseg_place place = { SHMSEG_NAME, check_name(L, 1, SHMSEG_NAME) };
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_segment_remove_until(place, &wait.deadline);
  while (wait_again(L, &wait, &err));
  if (err)
    return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
  lua_pushboolean(L, 1);
  return 1;
}

static void set_time(lua_State *L, const char *key, struct timespec time) {
  lua_pushnumber(L, (lua_Number)time.tv_sec + (lua_Number)time.tv_nsec / 1e9);
  lua_setfield(L, -2, key);
}

#if defined(__APPLE__)
#define st_atim st_atimespec
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

int push_stat(lua_State *L, const struct stat *status) {
  char perm[8];
  lua_createtable(L, 0, 11);
  snprintf(perm, sizeof perm, "%03o", (unsigned)(status->st_mode & 07777));
  lua_pushstring(L, perm);
  lua_setfield(L, -2, "perm");
  set_number(L, "size", (int64_t)status->st_size);
  set_number(L, "allocated", (int64_t)status->st_blocks * 512);
  set_number(L, "uid", (int64_t)status->st_uid);
  set_number(L, "gid", (int64_t)status->st_gid);
  set_number(L, "links", (int64_t)status->st_nlink);
  set_number(L, "device", (int64_t)status->st_dev);
  set_number(L, "inode", (int64_t)status->st_ino);
  set_time(L, "accessed", status->st_atim);
  set_time(L, "modified", status->st_mtim);
  set_time(L, "changed", status->st_ctim);
  return 1;
}

static int segment_stat(lua_State *L) {
  struct stat status;
  view *v = check_view(L, 1);
  check_open(L, v);
  if (fstat(v->segment->fd, &status) != 0)
    return push_view_failure(L, v, errno);
  return push_stat(L, &status);
}

/* stat(name) -> table | nil, message, code */
static int module_stat(lua_State *L) {
  struct stat status;
  shmseg_place place = { SHMSEG_NAME, check_name(L, 1, SHMSEG_NAME) };
  int err = shmseg_backing_stat(place, &status);
  if (!err && !S_ISREG(status.st_mode))
    err = ENODEV;
  if (err)
    return push_place_failure(L, "segment", place, SHMSEG_CREATE, 0, err);
  return push_stat(L, &status);
}

const luaL_Reg segment_place_methods[] = { { "stat", segment_stat }, { NULL, NULL } };

static const luaL_Reg functions[] = {
  { "stat", module_stat },
  { "unlink", module_unlink },
  { NULL, NULL },
};

void binding_open_place(lua_State *L) {
  binding_register(L, functions);
}
