# make demo, make test and what developers use. The build itself is the rockspec's.
#   make test LUA=5.1 (5.2, 5.3, 5.4, luajit)      make test ARGS=spec/segment_spec.lua

LUA = 5.4
version := $(patsubst lua5.%,5.%,$(LUA))
ifeq ($(filter $(version),5.1 5.2 5.3 5.4 luajit),)
$(error LUA=$(LUA): say 5.1, 5.2, 5.3, 5.4 or luajit)
endif

interpreter := $(patsubst 5.%,lua5.%,$(version))
tree := build/$(version)
built := $(tree)/built
sources := shmseg-scm-1.rockspec .ci/build $(wildcard src/*.h src/*/*.[ch] lua/shmseg/*.lua lua/shmseg/*/*.lua)
with := .ci/with $(version) $(tree)

.NOTPARALLEL:
.PHONY: all setup demo test test-all check-c storm bench lint clean

all: $(built)

setup:
	@.ci/setup $(version)

$(built): $(sources) | setup
	.ci/build $(version) $(tree)
	@touch $@

demo: $(built)
	@$(with) examples/demo

test: $(built)
	$(with) $(interpreter) /usr/bin/busted $(ARGS)

test-all:
	@for lua in 5.4 5.3 5.2 5.1 luajit; do $(MAKE) --no-print-directory test LUA=$$lua || exit; done

check-c:
	$(MAKE) -C spec/c test

storm:
	$(MAKE) -C spec/c storm KILLS=$(or $(KILLS),2000)

bench: $(built)
	$(with) $(interpreter) bench/run.lua $(ARGS)

lint:
	@.ci/setup lua-check clang-format
	luacheck .
	clang-format --dry-run -Werror $(wildcard src/*.h src/*/*.[ch] spec/c/*.[ch] spec/c/*/*/*.[ch] bench/*.[ch])
	luarocks lint shmseg-scm-1.rockspec

clean:
	rm -rf build
	$(if $(wildcard spec/c/Makefile),$(MAKE) -C spec/c clean)
