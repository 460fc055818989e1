/* SPDX-License-Identifier: MIT */
/* What two Lua processes can talk through without shmseg: descriptors and POSIX queues, with as
 * little binding as can be; and what it takes to run and time two processes. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

static int failed(lua_State *L, const char *what) {
  return luaL_error(L, "%s: %s", what, strerror(errno));
}

/* --- processes and clocks ----------------------------------------------------------------- */

/* fork() -> 0 in the child, which dies with its parent */
static int channel_fork(lua_State *L) {
  pid_t pid = fork();
  if (pid < 0)
    return failed(L, "fork");
  if (pid == 0)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
  lua_pushinteger(L, pid);
  return 1;
}

static int channel_exit(lua_State *L) {
  _exit((int)luaL_optinteger(L, 1, 0));
}

/* exec(program, argument, ...): this process becomes that program; what it prints is lost */
static int channel_exec(lua_State *L) {
  char *words[32];
  int count = lua_gettop(L), nowhere = open("/dev/null", O_WRONLY);
  luaL_argcheck(L, count >= 1 && count < 32, 1, "too many words");
  for (int i = 0; i < count; i++)
    words[i] = (char *)luaL_checkstring(L, i + 1);
  words[count] = NULL;
  dup2(nowhere, 1);
  dup2(nowhere, 2);
  execvp(words[0], words);
  _exit(127);
}

/* finish(pid [, signal]): waits for a child, which may get a signal first -> its status */
static int channel_finish(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  int status = 0;
  if (!lua_isnoneornil(L, 2))
    kill(pid, (int)luaL_checkinteger(L, 2));
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  lua_pushinteger(L, status);
  return 1;
}

static int push_clock(lua_State *L, clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec * 1e9 + (lua_Number)t.tv_nsec);
  return 1;
}

static int channel_now(lua_State *L) {
  return push_clock(L, CLOCK_MONOTONIC);
}

/* cpu() -> nanoseconds that this process has had a processor */
static int channel_cpu(lua_State *L) {
  return push_clock(L, CLOCK_PROCESS_CPUTIME_ID);
}

/* nap(nanoseconds), below a second */
static int channel_nap(lua_State *L) {
  struct timespec t = { 0, (long)luaL_checknumber(L, 1) };
  nanosleep(&t, NULL);
  return 0;
}

/* --- descriptors -------------------------------------------------------------------------- */

static int push_ends(lua_State *L, const int ends[2]) {
  lua_pushinteger(L, ends[0]);
  lua_pushinteger(L, ends[1]);
  return 2;
}

/* pipe() -> end to read, end to write */
static int channel_pipe(lua_State *L) {
  int ends[2];
  return pipe(ends) == 0 ? push_ends(L, ends) : failed(L, "pipe");
}

static int channel_socket(lua_State *L) {
  int ends[2];
  return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? push_ends(L, ends)
                                                        : failed(L, "socketpair");
}

/* connect(path of a Unix socket) -> descriptor | nil */
static int channel_connect(lua_State *L) {
  struct sockaddr_un to = { .sun_family = AF_UNIX };
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  luaL_argcheck(L, size < sizeof to.sun_path, 1, "too long");
  memcpy(to.sun_path, path, size);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return failed(L, "socket");
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
    close(fd);
    return 0;
  }
  lua_pushinteger(L, fd);
  return 1;
}

static int channel_close(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

/* write(fd, string): all of it */
static int channel_write(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  size_t left;
  const char *from = luaL_checklstring(L, 2, &left);
  while (left > 0) {
    ssize_t n = write(fd, from, left);
    if (n < 0 && errno != EINTR)
      return failed(L, "write");
    if (n > 0)
      from += n, left -= (size_t)n;
  }
  return 0;
}

/* The largest message; static, so no read pays for a buffer of its own. */
static char buffer[1 << 20];

/* read(fd, size) -> string of that size */
static int channel_read(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  size_t size = (size_t)luaL_checkinteger(L, 2), got = 0;
  luaL_argcheck(L, size <= sizeof buffer, 2, "too large");
  while (got < size) {
    ssize_t n = read(fd, buffer + got, size - got);
    if (n == 0)
      return 0;
    if (n < 0 && errno != EINTR)
      return failed(L, "read");
    if (n > 0)
      got += (size_t)n;
  }
  lua_pushlstring(L, buffer, size);
  return 1;
}

/* --- POSIX queues ------------------------------------------------------------------------- */

/* mq_open(name, largest message) -> queue, without a name from then on | nil */
static int channel_mq_open(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  struct mq_attr attributes = { .mq_maxmsg = 10, .mq_msgsize = (long)luaL_checkinteger(L, 2) };
  mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  if (queue == (mqd_t)-1)
    return 0;
  mq_unlink(name);
  lua_pushinteger(L, (lua_Integer)queue);
  return 1;
}

static int channel_mq_send(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 2, &size);
  return mq_send((mqd_t)luaL_checkinteger(L, 1), bytes, size, 0) == 0 ? 0 : failed(L, "mq_send");
}

static int channel_mq_receive(lua_State *L) {
  ssize_t n = mq_receive((mqd_t)luaL_checkinteger(L, 1), buffer, sizeof buffer, NULL);
  if (n < 0)
    return failed(L, "mq_receive");
  lua_pushlstring(L, buffer, (size_t)n);
  return 1;
}

static int channel_mq_close(lua_State *L) {
  mq_close((mqd_t)luaL_checkinteger(L, 1));
  return 0;
}

static const luaL_Reg functions[] = {
  { "fork", channel_fork },         { "exit", channel_exit },
  { "finish", channel_finish },     { "now", channel_now },
  { "cpu", channel_cpu },           { "nap", channel_nap },
  { "pipe", channel_pipe },         { "socket", channel_socket },
  { "close", channel_close },       { "write", channel_write },
  { "read", channel_read },         { "mq_open", channel_mq_open },
  { "mq_send", channel_mq_send },   { "mq_receive", channel_mq_receive },
  { "mq_close", channel_mq_close }, { "exec", channel_exec },
  { "connect", channel_connect },   { NULL, NULL },
};

int luaopen_channel(lua_State *L);

int luaopen_channel(lua_State *L) {
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
