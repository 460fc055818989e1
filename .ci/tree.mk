# Compiles the module into a tree of its own, only what has changed since the last time; the Lua files
# are links. The rockspec stays the list of what there is.
#   make -f .ci/tree.mk LUA=5.4 TREE=build/5.4-dev FLAGS="-O1 -g" [LINK=…]

ABI := $(patsubst luajit,5.1,$(LUA))
OBJECTS := $(patsubst %.c,$(TREE)/%.o,$(shell grep -oE '\<src/[a-z_/0-9]+\.c' shmseg-scm-1.rockspec))
MODULE := $(TREE)/lib/lua/$(ABI)/shmseg/core.so
SUGAR := $(TREE)/share/lua/$(ABI)/shmseg
HEADERS := $(shell .ci/find headers $(LUA))
COMPILE := $(CC) -std=c11 -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Wpedantic -fPIC $(FLAGS) \
  -DSHMSEG_MODULE -Isrc -I$(HEADERS)

ifeq ($(shell uname),Darwin)
SHARED := -bundle -undefined dynamic_lookup
else
SHARED := -shared
LIBRARIES := -lm -lrt -ldl -lpthread
endif

.DELETE_ON_ERROR:

all: $(MODULE) $(SUGAR)

$(MODULE): $(OBJECTS) shmseg-scm-1.rockspec
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(SHARED) $(LINK) -o $@ $(OBJECTS) $(LIBRARIES)

$(TREE)/%.o: %.c .ci/tree.mk
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(COMPILE) -MMD -MP -c -o $@ $<

$(SUGAR):
	@mkdir -p $(@D)
	@ln -s "$(CURDIR)/lua/shmseg" $@

-include $(OBJECTS:.o=.d)
