/* SPDX-License-Identifier: MIT */
/* The stepper inside of Lua: the operations as scripts call them, stepped from the C function on,
 * through the binding and the interpreter, to the end of the script. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "step/script.h"

int luaopen_shmseg_core(lua_State *L);

static lua_State *L;

void script_run(const char *script, ...) {
  char text[2000];
  va_list operands;
  va_start(operands, script);
  vsnprintf(text, sizeof text, script, operands);
  va_end(operands);
  if (luaL_dostring(L, text) != LUA_OK) {
    printf("# %s\n", lua_tostring(L, -1));
    fflush(stdout);
    step_expect(!"a script fails");
  }
}

/* message(letter, size) */
static int message(lua_State *state) {
  size_t size = (size_t)luaL_checkinteger(state, 2);
  lua_pushlstring(state, step_message(luaL_checkstring(state, 1)[0], size), size);
  return 1;
}

void script_start(void) {
  L = luaL_newstate();
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_shmseg_core);
  lua_setfield(L, -2, "shmseg.core");
  lua_pushstring(L, step_name);
  lua_setglobal(L, "name");
  lua_register(L, "message", message);
  script_run("package.path = '../../lua/?.lua;../../lua/?/init.lua'");
  script_run("segment = require 'shmseg.segment'");
#define MODULE(kind) script_run("%s = require 'shmseg.%s'", #kind, #kind);
  SHMSEG_KINDS(MODULE)
#undef MODULE
}

/* --- making ------------------------------------------------------------------------------------ */

static const step_structure *made;

static void slice(void) {
  script_start();
  script_run("seg = assert(segment.open(name))");
}

/* All that the options give in numbers: "capacity = 40, ". */
static void write_options(char *text, size_t available) {
  text[0] = '\0';
  for (int i = 0; i < SHMSEG_GEOMETRY; i++) {
    const shmseg_number *number = &made->kind->numbers[i];
    uint64_t given = shmseg_kinds_number(made->options, number);
    size_t length = strlen(text);
    if (given != 0 && number->words == shmseg_kinds_switch)
      snprintf(text + length, available - length, "%s = %s, ", number->name,
               number->words[given - 1]);
    else if (given != 0 && !number->words)
      snprintf(text + length, available - length, "%s = %d, ", number->name, (int)given);
  }
}

static void make(void) {
  char options[200];
  write_options(options, sizeof options);
  script_run("assert(%s.open(seg, 'c', { %s}))", made->kind->name, options);
}

static const step_case build_cases[] = {
  { .sentence = "made of zeroes",
    .prepare = slice,
    .operate = make,
    ENTRY(shmseg_object_open_until),
    TAKES_IDENTITY,
    .outcomes = { "none", "there" } },
  { 0 },
};

/* ------------------------------------------------------------------------------------------------ */

extern const script_cases __start_step_scripts[], __stop_step_scripts[];

static void play(const step_structure *structure) {
  char noun[64];
  step_structure in_lua = *structure;
  snprintf(noun, sizeof noun, "through Lua, %s", step_noun(structure));
  in_lua.noun = noun;
  in_lua.name = step_name_of(structure);
  for (const script_cases *s = __start_step_scripts; s < __stop_step_scripts; s++)
    if (strcmp(s->noun, step_noun(structure)) == 0) {
      in_lua.cases = s->cases;
      step_play(&in_lua);
    }
  made = structure;
  if (structure->as_new)
    step_play_build(&in_lua, build_cases);
}

int main(int count, char **words) {
  (void)count;
  if (!step_possible("every operation through Lua is harmless at every instruction", words))
    return 0;
  step_for_each(play);
  return step_end();
}
