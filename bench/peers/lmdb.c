/* SPDX-License-Identifier: MIT */
/* LMDB with as little binding as can be: one database, a transaction for each operation, of which the
 * one that reads is renewed instead of made. Nothing is flushed to a disk. */

#include <lauxlib.h>
#include <lmdb.h>
#include <lua.h>

typedef struct {
  MDB_env *environment;
  MDB_txn *reading;
  MDB_dbi database;
} lmdb;

static void check(lua_State *L, int err) {
  if (err)
    luaL_error(L, "lmdb: %s", mdb_strerror(err));
}

static MDB_val bytes_at(lua_State *L, int index) {
  size_t size;
  const char *bytes = luaL_checklstring(L, index, &size);
  return (MDB_val){ size, (void *)bytes };
}

static int lmdb_get(lua_State *L) {
  lmdb *db = lua_touserdata(L, 1);
  MDB_val key = bytes_at(L, 2), value;
  check(L, mdb_txn_renew(db->reading));
  int err = mdb_get(db->reading, db->database, &key, &value);
  if (err == 0)
    lua_pushlstring(L, value.mv_data, value.mv_size);
  mdb_txn_reset(db->reading);
  return err == 0 ? 1 : 0;
}

static int lmdb_set(lua_State *L) {
  lmdb *db = lua_touserdata(L, 1);
  MDB_val key = bytes_at(L, 2), value = bytes_at(L, 3);
  MDB_txn *writing;
  check(L, mdb_txn_begin(db->environment, NULL, 0, &writing));
  check(L, mdb_put(writing, db->database, &key, &value, 0));
  check(L, mdb_txn_commit(writing));
  return 0;
}

/* get_many(list): all in one transaction -> keys and values */
static int lmdb_get_many(lua_State *L) {
  lmdb *db = lua_touserdata(L, 1);
  lua_settop(L, 2);
  lua_newtable(L);
  check(L, mdb_txn_renew(db->reading));
  for (int i = 1; lua_rawgeti(L, 2, i), !lua_isnil(L, -1); i++) {
    MDB_val key = bytes_at(L, -1), value;
    if (mdb_get(db->reading, db->database, &key, &value) == 0) {
      lua_pushlstring(L, value.mv_data, value.mv_size);
      lua_rawset(L, 3);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  mdb_txn_reset(db->reading);
  return 1;
}

static int lmdb_close(lua_State *L) {
  lmdb *db = lua_touserdata(L, 1);
  mdb_txn_abort(db->reading);
  mdb_env_close(db->environment);
  return 0;
}

static const luaL_Reg methods[] = {
  { "get", lmdb_get },     { "set", lmdb_set }, { "get_many", lmdb_get_many },
  { "close", lmdb_close }, { NULL, NULL },
};

static void push_methods(lua_State *L) {
  lua_newtable(L);
  for (const luaL_Reg *f = methods; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
}

/* open(path, size) -> database, in a new file */
static int lmdb_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lmdb *db = lua_newuserdata(L, sizeof *db);
  MDB_txn *first;
  check(L, mdb_env_create(&db->environment));
  check(L, mdb_env_set_mapsize(db->environment, (size_t)luaL_checknumber(L, 2)));
  check(L, mdb_env_open(db->environment, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP, 0600));
  check(L, mdb_txn_begin(db->environment, NULL, 0, &first));
  check(L, mdb_dbi_open(first, NULL, 0, &db->database));
  check(L, mdb_txn_commit(first));
  check(L, mdb_txn_begin(db->environment, NULL, MDB_RDONLY, &db->reading));
  mdb_txn_reset(db->reading);
  lua_newtable(L);
  push_methods(L);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}

int luaopen_lmdb(lua_State *L);

int luaopen_lmdb(lua_State *L) {
  lua_pushcfunction(L, lmdb_open);
  return 1;
}
