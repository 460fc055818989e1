/* SPDX-License-Identifier: MIT */
/* A module for the specs: plain Lua can wait for no descriptor. */

#include <lauxlib.h>
#include <lua.h>

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { MOST = 2048 };

/* poll(list of descriptors, seconds) -> list of those that are readable now, or false for a signal */
static int poll_list(lua_State *L) {
  struct pollfd *fds = lua_newuserdata(L, MOST * sizeof *fds);
  int count = 0, found = 0;
  for (;; count++) {
    lua_rawgeti(L, 1, count + 1);
    if (lua_isnil(L, -1))
      break;
    luaL_argcheck(L, count < MOST, 1, "too many");
    fds[count] = (struct pollfd){ .fd = (int)luaL_checkinteger(L, -1), .events = POLLIN };
    lua_pop(L, 1);
  }
  int status = poll(fds, (nfds_t)count, (int)(luaL_checknumber(L, 2) * 1000));
  if (status < 0 && errno == EINTR) {
    lua_pushboolean(L, 0);
    return 1;
  }
  if (status < 0)
    return luaL_error(L, "poll: %s", strerror(errno));
  lua_newtable(L);
  for (int i = 0; i < count; i++) {
    if (fds[i].revents & POLLNVAL)
      return luaL_error(L, "descriptor %d is not open", fds[i].fd);
    if (fds[i].revents) {
      lua_pushinteger(L, fds[i].fd);
      lua_rawseti(L, -2, ++found);
    }
  }
  return 1;
}

int luaopen_poll(lua_State *L);

int luaopen_poll(lua_State *L) {
  lua_pushcfunction(L, poll_list);
  return 1;
}
