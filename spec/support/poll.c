/* SPDX-License-Identifier: MIT */
/* A module for the specs: plain Lua can wait for no descriptor. */

#include <lauxlib.h>
#include <lua.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MOST = 2048 };

/* Adds the descriptors of the list at index 1: how many, or -1. */
static int add_all(lua_State *L, int set) {
  for (int count = 0;; count++) {
    lua_rawgeti(L, 1, count + 1);
    if (lua_isnil(L, -1))
      return count;
    int fd = (int)lua_tointeger(L, -1);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (count == MOST || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
      return -1;
    lua_pop(L, 1);
  }
}

/* poll(list of descriptors, seconds) -> list of those that are readable; false when a signal, or the
 * kernel, has interrupted the wait. By epoll, which tells of that, and poll does not. */
static int poll_list(lua_State *L) {
  int milliseconds = (int)(luaL_checknumber(L, 2) * 1000);
  luaL_checktype(L, 1, LUA_TTABLE);
  struct epoll_event *events = lua_newuserdata(L, MOST * sizeof *events);
  int set = epoll_create1(EPOLL_CLOEXEC);
  int found = set < 0 || add_all(L, set) < 0 ? -1 : epoll_wait(set, events, MOST, milliseconds);
  int err = errno;
  if (set >= 0)
    close(set);
  if (found < 0 && err != EINTR)
    return luaL_error(L, "epoll: %s", strerror(err));
  if (found < 0) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_newtable(L);
  for (int i = 0; i < found; i++) {
    lua_pushinteger(L, events[i].data.fd);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

int luaopen_poll(lua_State *L);

int luaopen_poll(lua_State *L) {
  lua_pushcfunction(L, poll_list);
  return 1;
}
