# SPDX-License-Identifier: MIT
# The instruction stepper. step/lua steps the same through the binding, where Lua 5.4 can be linked:
# STEP_LUA says where.

STEP_FLAGS := $(WARN) -O2 -g
# the dynamic linker is not what is stepped; who is alone does not sleep (cast.c)
STEP_LINK := -Wl,-z,now -Wl,--wrap=shmseg_futex_wait
STEP_ENGINE := $(addprefix tools/step/,build.c cast.c engine.c message.c stage.c trace.c walk.c) \
  $(filter-out %/step_lua.c,$(wildcard nouns/*/step.c nouns/*/step_*.c))

$(eval $(call library,step/core,$(CC),$(STEP_FLAGS),$(CORE)))
$(eval $(call program,step/step,$(CC),$(STEP_FLAGS),tools/step/main.c tools/step/toy.c $(STEP_ENGINE),step/core,$(STEP_LINK)))
TESTS += $(BUILD)/step/step

STEP_LUA := /usr/include/lua5.4
STEP_LUA_TRY = printf '\043include <lauxlib.h>\nint main(void) { return luaL_newstate() == 0; }\n' | \
  $(CC) -I$(STEP_LUA) -x c -o /dev/null - -llua5.4 2>/dev/null && echo yes

ifeq ($(shell $(STEP_LUA_TRY)),yes)
STEP_BINDING := $(shell grep -oE '\<src/binding/[a-z_0-9]+\.c' $(SRC)/../shmseg-scm-1.rockspec | sed s,src/,,)
STEP_LUA_FLAGS := $(STEP_FLAGS) -I$(STEP_LUA)
$(eval $(call library,step/binding,$(CC),$(STEP_LUA_FLAGS),$(STEP_BINDING)))
$(eval $(call program,step/lua,$(CC),$(STEP_LUA_FLAGS),tools/step/lua.c $(wildcard nouns/*/step_lua.c) $(STEP_ENGINE),step/binding step/core,$(STEP_LINK) -llua5.4 -lm))
else
$(eval $(call program,step/lua,$(CC),$(STEP_FLAGS),tools/step/no_lua.c,,))
endif
TESTS += $(BUILD)/step/lua
