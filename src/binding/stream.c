/* SPDX-License-Identifier: MIT */
/* Standard input and output for the command line tool. Lua's own files read whole buffers: a line that
 * comes through a slow pipe would wait for others. */
#include <limits.h>

#include "binding/lua.h"
#include "binding/module.h"
#include "binding/waiting.h"
#include "os/stream.h"

static int check_descriptor(lua_State *L, int arg) {
  uint64_t fd = check_size(L, arg);
  luaL_argcheck(L, fd <= INT_MAX, arg, "out of range");
  return (int)fd;
}

static int push_stream_failure(lua_State *L, int err) {
  int results = push_expected(L, err);
  return results ? results : push_failure(L, err, NULL, NULL);
}

/* read(fd, size [, timeout]) -> what has come, "" at the end | nil, message, code */
static int stream_read(lua_State *L) {
  int fd = check_descriptor(L, 1);
  uint64_t size = check_size(L, 2);
  wait wait = wait_until(opt_deadline(L, 3));
  size_t count = 0;
  int err;
  luaL_argcheck(L, size > 0 && size <= INT_MAX, 2, "out of range");
  void *bytes = lua_newuserdata(L, (size_t)size);
  do
    err = shmseg_stream_read(fd, bytes, (size_t)size, wait.deadline, &count);
  while (wait_again(L, &wait, &err));
  if (err)
    return push_stream_failure(L, err);
  lua_pushlstring(L, bytes, count);
  return 1;
}

/* write(fd, bytes) -> how many were written [, message, code] */
static int stream_write(lua_State *L) {
  int fd = check_descriptor(L, 1);
  size_t size, done = 0;
  const char *bytes = luaL_checklstring(L, 2, &size);
  int err = 0;
  while (done < size && !err) {
    wait wait = wait_until(SHMSEG_FOREVER);
    size_t count = 0;
    do
      err = shmseg_stream_write(fd, bytes + done, size - done, wait.deadline, &count);
    while (wait_again(L, &wait, &err));
    done += count;
  }
  if (!err) {
    push_uint64(L, done);
    return 1;
  }
  int results = push_stream_failure(L, err);
  push_uint64(L, done);
  lua_replace(L, -results - 1);
  return results;
}

/* is_closed(fd) -> has the other end gone? */
static int stream_is_closed(lua_State *L) {
  lua_pushboolean(L, shmseg_stream_is_closed(check_descriptor(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = { { "read", stream_read },
                                      { "write", stream_write },
                                      { "is_closed", stream_is_closed },
                                      { NULL, NULL } };

void binding_open_stream(lua_State *L) {
  binding_register(L, functions);
}
