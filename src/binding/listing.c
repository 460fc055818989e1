/* SPDX-License-Identifier: MIT */
/* The list of all names. A userdata has the folder open meanwhile: its __gc closes it after an
 * error. */
#include <errno.h>
#include <string.h>

#include "binding/module.h"
#include "binding/view.h"
#include "binding/waiting.h"
#include "os/backing.h"

#define LISTING_CLASS "shmseg.listing"

static const char listing_tag;

typedef struct {
  const void *tag;
  shmseg_listing names;
} listing;

static int listing_close(lua_State *L) {
  listing *l = test_tag(L, 1, &listing_tag);
  if (!l)
    l = type_error(L, 1, LISTING_CLASS);
  shmseg_backing_list_close(&l->names);
  return 0;
}

/* list() -> array of names, in no order | nil, message, code */
static int module_list(lua_State *L) {
  const char *name;
  listing *l = lua_newuserdata(L, sizeof *l);
  memset(l, 0, sizeof *l);
  l->tag = &listing_tag;
  luaL_getmetatable(L, LISTING_CLASS);
  lua_setmetatable(L, -2);
  lua_newtable(L);
  wait wait = wait_patiently();
  int err;
  do
    err = shmseg_backing_list(&l->names);
  while (wait_again(L, &wait, &err));
  for (int i = 1; !err; i++) {
    err = shmseg_backing_next(&l->names, &name);
    if (err || !name)
      break;
    lua_pushstring(L, name);
    lua_rawseti(L, -2, i);
  }
  shmseg_backing_list_close(&l->names);
  return err ? push_failure(L, err, "list", err == ENOENT ? "/dev/shm is not there" : NULL) : 1;
}

static const luaL_Reg listing_metamethods[] = { { "__gc", listing_close }, { NULL, NULL } };

void binding_open_listing(lua_State *L) {
  binding_new_class(L, LISTING_CLASS, listing_metamethods, listing_metamethods);
  lua_pop(L, 2);
  lua_pushcfunction(L, module_list);
  lua_setfield(L, -2, "list");
}
