/* SPDX-License-Identifier: MIT */
/* A Lua interpreter for the specs whose memory can be made to run out, that can fork, and that runs
 * one script in several threads, each with a state of its own.
 *
 *   host PRELUDE SCRIPT [ARGUMENT ...] */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_THREADS = 16 };

static const char *prelude;

/* The allocator. `countdown` reaches 0 at the allocation that fails. Lua 5.2 and later collect
 * garbage then and try once more, so the next request for as many bytes fails as well. */
typedef struct memory {
  long countdown;
  size_t refused;
  bool sticky, hit;
} memory;

static bool must_fail(memory *m, size_t size) {
  if (m->hit && (m->sticky || m->refused == size)) {
    m->refused = 0;
    return true;
  }
  if (m->countdown == 0 || --m->countdown > 0)
    return false;
  m->hit = true;
  m->refused = size;
  return true;
}

static void *allocate(void *state, void *block, size_t old_size, size_t size) {
  memory *m = state;
  if (size == 0) {
    free(block);
    return NULL;
  }
  bool grows = block == NULL || size > old_size;
  return grows && must_fail(m, size) ? NULL : realloc(block, size);
}

/* host.fail(n [, sticky]): the n-th allocation from now on fails, with `sticky` all that follow too.
 * host.fail(0) ends this, and tells whether it has come to a failure. */
static int host_fail(lua_State *L) {
  long countdown = (long)luaL_checkinteger(L, 1);
  bool sticky = lua_toboolean(L, 2);
  void *state;
  lua_getallocf(L, &state);
  memory *m = state;
  bool hit = m->hit;
  *m = (memory){ .countdown = countdown, .sticky = sticky };
  lua_pushboolean(L, hit);
  return 1;
}

/* host.fork() -> process id, 0 in the child */
static int host_fork(lua_State *L) {
  fflush(NULL);
  lua_pushinteger(L, fork());
  return 1;
}

/* host.wait(process id) -> exit status, or minus the number of the signal that ended it */
static int host_wait(lua_State *L) {
  int status;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  return 1;
}

/* host._exit(status): ends the process with nothing run */
static int host_exit(lua_State *L) {
  _exit((int)luaL_checkinteger(L, 1));
}

static int host_threads(lua_State *L);

static const luaL_Reg functions[] = {
  { "fail", host_fail },  { "fork", host_fork },       { "wait", host_wait },
  { "_exit", host_exit }, { "threads", host_threads },
};

/* Runs a script with its arguments in a new state; false, and a line on stderr, if it raised. */
static bool run(const char *script, int count, char **arguments) {
  memory m = { 0 };
#if LUA_VERSION_NUM >= 505
  lua_State *L = lua_newstate(allocate, &m, 1);
#else
  lua_State *L = lua_newstate(allocate, &m);
#endif
  if (L == NULL) {
    fprintf(stderr, "this Lua takes no allocator\n");
    return false;
  }
  luaL_openlibs(L);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    lua_pushcfunction(L, functions[i].func);
    lua_setfield(L, -2, functions[i].name);
  }
  lua_setglobal(L, "host");
  bool ok = luaL_dostring(L, prelude) == 0 && luaL_loadfile(L, script) == 0;
  if (ok) {
    luaL_checkstack(L, count, NULL);
    for (int i = 0; i < count; i++)
      lua_pushstring(L, arguments[i]);
    ok = lua_pcall(L, count, 0, 0) == 0;
  }
  if (!ok)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return ok;
}

typedef struct thread {
  pthread_t id;
  char *arguments[2];
  char number[12];
  const char *script;
  bool ok;
} thread;

static void *thread_main(void *argument) {
  thread *t = argument;
  t->ok = run(t->script, 2, t->arguments);
  return NULL;
}

/* host.threads(count, script, argument) -> true if none raised. Each has a new state and runs the
 * script with its number (1 to count) and the argument. */
static int host_threads(lua_State *L) {
  int count = (int)luaL_checkinteger(L, 1);
  luaL_argcheck(L, count > 0 && count <= MAX_THREADS, 1, "too many");
  thread threads[MAX_THREADS];
  for (int i = 0; i < count; i++) {
    thread *t = &threads[i];
    *t = (thread){ .script = luaL_checkstring(L, 2) };
    snprintf(t->number, sizeof t->number, "%d", i + 1);
    t->arguments[0] = t->number;
    t->arguments[1] = (char *)luaL_checkstring(L, 3);
    if (pthread_create(&t->id, NULL, thread_main, t) != 0)
      abort();
  }
  bool ok = true;
  for (int i = 0; i < count; i++) {
    pthread_join(threads[i].id, NULL);
    ok = ok && threads[i].ok;
  }
  lua_pushboolean(L, ok);
  return 1;
}

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: %s PRELUDE SCRIPT [ARGUMENT ...]\n", arguments[0]);
    return 2;
  }
  prelude = arguments[1];
  return run(arguments[2], count - 3, arguments + 3) ? EXIT_SUCCESS : EXIT_FAILURE;
}
