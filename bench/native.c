/* SPDX-License-Identifier: MIT */
/* What the benchmarks compare with: an empty C method, bare copies, a clock. Not part of the rock. */

#define _GNU_SOURCE /* pipe2 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#define OBJECT "bench.object"
#define RING "bench.ring"
#define SHM_FOLDER "/dev/shm"

/* Monotonic nanoseconds. A float holds them exactly for 104 days of uptime. */
static int native_now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec * 1e9 + (lua_Number)t.tv_nsec);
  return 1;
}

/* How often this process has lost its processor to another one. */
static int native_losses(lua_State *L) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  lua_pushnumber(L, (lua_Number)usage.ru_nivcsw);
  return 1;
}

static int native_pid(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getpid());
  return 1;
}

/* The least that any C method costs: it looks at nothing and gives nothing back. */
static int object_empty(lua_State *L) {
  (void)L;
  return 0;
}

static int native_object(lua_State *L) {
  lua_newuserdata(L, 16);
  luaL_newmetatable(L, OBJECT);
  lua_newtable(L);
  lua_pushcfunction(L, object_empty);
  lua_setfield(L, -2, "empty");
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}

/* private(size): private memory, every page of it touched, given as an address. Never freed. */
static int native_private(lua_State *L) {
  size_t size = (size_t)luaL_checknumber(L, 1);
  char *memory = malloc(size);
  if (memory == NULL)
    return luaL_error(L, "not enough memory for the benchmark");
  memset(memory, 'p', size);
  lua_pushnumber(L, (lua_Number)(uintptr_t)memory);
  return 1;
}

/* push(address, size): lua_pushlstring and nothing else. */
static int native_push(lua_State *L) {
  const char *from = (const char *)(uintptr_t)luaL_checknumber(L, 1);
  lua_pushlstring(L, from, (size_t)luaL_checknumber(L, 2));
  return 1;
}

/* copy(address, string): memcpy and nothing else. */
static int native_copy(lua_State *L) {
  void *to = (void *)(uintptr_t)luaL_checknumber(L, 1);
  size_t size;
  const char *from = luaL_checklstring(L, 2, &size);
  memcpy(to, from, size);
  return 0;
}

/* --- a private ring: what a message costs with nobody to share it with ---------------------- */

struct ring {
  size_t capacity, end, front;
  char bytes[];
};

/* Where the record lies, and `at` behind it: at the beginning if another one does not fit there.
   All strings in a ring have the same size. */
static char *ring_record(struct ring *ring, size_t *at, size_t size) {
  size_t room = (sizeof size + size + 7) & ~(size_t)7;
  char *record = ring->bytes + *at;
  *at = *at + 2 * room > ring->capacity ? 0 : *at + room;
  return record;
}

/* ring:put(string): the string and, in 8 bytes before it, its size. */
static int ring_put(lua_State *L) {
  struct ring *ring = lua_touserdata(L, 1);
  size_t size;
  const char *from = luaL_checklstring(L, 2, &size);
  char *record = ring_record(ring, &ring->end, size);
  memcpy(record, &size, sizeof size);
  memcpy(record + sizeof size, from, size);
  return 0;
}

/* ring:take(): the string of the next record. */
static int ring_take(lua_State *L) {
  struct ring *ring = lua_touserdata(L, 1);
  size_t size;
  memcpy(&size, ring->bytes + ring->front, sizeof size);
  const char *record = ring_record(ring, &ring->front, size);
  lua_pushlstring(L, record + sizeof size, size);
  return 1;
}

/* ring(capacity): it never looks whether it is full or empty. */
static int native_ring(lua_State *L) {
  size_t capacity = (size_t)luaL_checknumber(L, 1);
  struct ring *ring = lua_newuserdata(L, sizeof *ring + capacity);
  memset(ring, 0, sizeof *ring + capacity);
  ring->capacity = capacity;
  luaL_newmetatable(L, RING);
  lua_newtable(L);
  lua_pushcfunction(L, ring_put);
  lua_setfield(L, -2, "put");
  lua_pushcfunction(L, ring_take);
  lua_setfield(L, -2, "take");
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}

static void remove_objects(const char *prefix) {
  DIR *folder = opendir(SHM_FOLDER);
  if (folder == NULL)
    return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
      unlinkat(dirfd(folder), entry->d_name, 0);
  }
  closedir(folder);
}

/* guard(prefix): a child process that outlives this one, however it ends, and then removes every
   shared object whose name starts with `prefix`. It learns of the end by a pipe that closes. */
static int native_guard(lua_State *L) {
  size_t length;
  const char *prefix = luaL_checklstring(L, 1, &length);
  int ends[2];
  luaL_argcheck(L, length > 0, 1, "prefix is empty");
  if (pipe2(ends, O_CLOEXEC) != 0)
    return luaL_error(L, "no pipe for the guard");
  pid_t child = fork();
  if (child < 0)
    return luaL_error(L, "no process for the guard");
  if (child > 0) {
    close(ends[0]); /* ends[1] stays open until this process is gone */
    return 0;
  }
  setsid(); /* Ctrl-C is for the benchmark; the guard acts on its end */
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  close(ends[1]);
  close(0); /* a reader of our output does not wait for the guard */
  close(1);
  close(2);
  char byte;
  while (read(ends[0], &byte, 1) > 0) {
  }
  remove_objects(prefix);
  _exit(0);
}

/* --- what LuaJIT's FFI calls ---------------------------------------------------------------- */

void native_nothing(void);
uint32_t native_add32(uint32_t *word, uint32_t operand);
double native_add64(int64_t *word, double operand);

/* The least that any call costs. */
void native_nothing(void) {}

/* Such a call, and the atomic operation. */
uint32_t native_add32(uint32_t *word, uint32_t operand) {
  return __atomic_fetch_add(word, operand, __ATOMIC_SEQ_CST);
}

/* Numbers, since an integer of 64 bits is an object of LuaJIT's. */
double native_add64(int64_t *word, double operand) {
  return (double)__atomic_fetch_add(word, (int64_t)operand, __ATOMIC_SEQ_CST);
}

static const luaL_Reg functions[] = {
  { "now", native_now },       { "pid", native_pid },
  { "object", native_object }, { "push", native_push },
  { "copy", native_copy },     { "private", native_private },
  { "guard", native_guard },   { "ring", native_ring },
  { "losses", native_losses }, { NULL, NULL },
};

int luaopen_native(lua_State *L);

int luaopen_native(lua_State *L) {
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
