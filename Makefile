# make help lists what there is. The build itself is the rockspec's.
#   make test LUA=5.1 (5.2, 5.3, 5.4, 5.5, luajit)      make test ARGS=spec/segment_spec.lua

LUA = 5.4
version := $(patsubst lua5.%,5.%,$(LUA))
ifeq ($(filter $(version),5.1 5.2 5.3 5.4 5.5 luajit),)
$(error LUA=$(LUA): say 5.1, 5.2, 5.3, 5.4, 5.5 or luajit)
endif

tree := build/$(version)
built := $(tree)/built
sources := shmseg-scm-1.rockspec .ci/build bin/shmseg $(wildcard src/*.h src/*/*.[ch] lua/shmseg/*.lua lua/shmseg/*/*.lua)
with := .ci/with $(version) $(tree)
jobs = $(if $(findstring -j,$(MAKEFLAGS)),,-j 2)
compile = $(MAKE) -s $(jobs) -f .ci/tree.mk LUA=$(version)
sanitize := -fsanitize=address,undefined

.PHONY: all help setup setup-specs demo test test-all test-cross dev asan check-c storm bench bench-peers picture doc lint rockspec dist library install uninstall clean

all: $(built)                ## build the module for one Lua, into build/<LUA>
	@echo "$(tree) is built; what the compiler said is in $(tree)-build.log"

help:                        ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 18
	@echo "  LUA=5.1 to 5.5 or luajit chooses the Lua, ARGS=... what the specs' runner is told, JIT=-joff an option of LuaJIT"

setup:
	@.ci/setup $(version)

setup-specs:
	@.ci/setup $(version) busted

ifneq ($(filter test asan,$(MAKECMDGOALS)),)
setup: | setup-specs         # one apt-get at a time, under make -j too
endif

$(built): $(sources) | setup
	@echo "shmseg: building for $(if $(filter luajit,$(version)),LuaJIT,Lua $(version)), into $(tree)"
	@.ci/quietly build/$(version)-build.log .ci/build $(version) $(tree)
	@touch $@

demo: $(built)               ## see two processes share memory
	@$(with) examples/demo

test: setup-specs $(built)   ## run the specs
	@$(with) .ci/specs $(version) $(ARGS)

test-all:                    ## run the specs on every Lua
	@for lua in 5.5 5.4 5.3 5.2 5.1 luajit; do $(MAKE) --no-print-directory test LUA=$$lua || exit; done

dev: setup                   ## compile what has changed, with -O1 -g, in seconds; with ARGS= run specs
	+@$(compile) TREE=build/dev/$(version) FLAGS="-O1 -g"
	$(if $(ARGS),.ci/with $(version) build/dev/$(version) .ci/busted $(version) $(ARGS))

test-cross:                  ## run the specs on other machines, with musl and on Debian 13 (an hour)
	@.ci/test-cross

asan: setup-specs            ## the same with the address and undefined behaviour sanitizers, and run the specs
	+@$(compile) TREE=build/asan/$(version) LINK="$(sanitize)" \
	  FLAGS="-O1 -g -fno-omit-frame-pointer $(sanitize) -fno-sanitize-recover=undefined"
	.ci/asan $(version) build/asan/$(version) $(ARGS)

check-c:                     ## run the tests of the C floors (minutes); ONLY=unit runs one tool's
	@$(MAKE) $(jobs) -C spec/c all
	@$(MAKE) -C spec/c test

storm:                       ## run the storm; KILLS=100000 for a long one
	$(MAKE) -C spec/c storm KILLS=$(or $(KILLS),2000)

bench: $(built)              ## run the benchmarks; build/bench gets results.md and a plot
	@.ci/setup gnuplot || echo "shmseg: there will be no plot" >&2
	$(with) "$$(.ci/find interpreter $(version))" bench/run.lua $(ARGS)

bench-peers: setup           ## get what the benchmarks measure against, and say what is missing
	@bench/get-peers
	@"$$(.ci/find interpreter $(version))" bench/run.lua --peers

picture: $(built)            ## draw the picture of README from a run of the demo
	$(with) "$$(.ci/find interpreter $(version))" .ci/picture.lua

doc: $(built)                ## make the manual as HTML, and the man page of the tool, in build/doc
	@.ci/doc $(version) $(tree)

lint:                        ## read the sources as CI does; ONLY=cppcheck does one thing alone
	@.ci/lint $(ONLY)

rockspec:                    ## write the release's rockspec from the scm one
	@.ci/rockspec

dist:                        ## make a release's archive and source rock of what is committed, in build/dist
	@.ci/dist

clean:                       ## remove all that was built, also by a luarocks make in the checkout
	rm -rf build src/*/*.o shmseg/core.so

# --- the C library, which knows no Lua ----------------------------------------------------------------

PREFIX = /usr/local
DESTDIR =
CFLAGS ?= -O2
library_version := $(shell sed -n 's/.*SHMSEG_VERSION "\(.*\)"/\1/p' src/shmseg/base.h)
# Before 1.0 each minor version may break programs, from then on each major one.
library_parts := $(subst ., ,$(library_version))
soname := libshmseg.so.$(if $(filter 0,$(firstword $(library_parts))),0.$(word 2,$(library_parts)),$(firstword $(library_parts)))
library_sources := $(shell grep -oE 'src/(os|core|objects)/[a-z_0-9]+\.c' shmseg-scm-1.rockspec)
library_objects := $(library_sources:src/%.c=build/lib/%.o)
prefix := $(DESTDIR)$(PREFIX)

library: build/lib/$(soname) build/lib/libshmseg.a  ## build libshmseg for C programs; no Lua is needed

# changes with the compiler and its flags, and has all compiled again
compiler := $(subst ','\'',$(CC) $(CFLAGS))
build/lib/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(compiler)' | cmp -s - $@ || printf '%s\n' '$(compiler)' >$@

FORCE:

build/lib/%.o: src/%.c build/lib/flags Makefile
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) -std=c11 $(CFLAGS) -fPIC -fvisibility=hidden -D_FILE_OFFSET_BITS=64 -Isrc -MMD -MP -c -o $@ $<

build/lib/$(soname): $(library_objects)
	@echo "  LD $@"
	@$(CC) -shared -Wl,-soname,$(soname) $(LDFLAGS) -o $@ $^ -lrt -ldl -lpthread

build/lib/libshmseg.a: $(library_objects)
	@rm -f $@
	@echo "  AR $@"
	@$(AR) rcs $@ $^

# What of the repository goes into the manual's folder: its links lead from one to the other.
manual := README.md CHANGELOG.md SECURITY.md LICENSE $(shell find doc examples -type f ! -path '*/temp/*' ! -path '*/__pycache__/*')
library_folder := $(prefix)/share/doc/shmseg
# A release has it; make doc makes it.
man_page := $(firstword $(wildcard build/doc/man/man1/shmseg.1 doc/man/man1/shmseg.1))

install: library             ## install libshmseg below PREFIX (/usr/local), its headers, shmseg.pc, manual, licence
	install -d "$(prefix)/lib/pkgconfig" "$(prefix)/include/shmseg" "$(library_folder)"
	install -m 755 build/lib/$(soname) "$(prefix)/lib/"
	ln -sf $(soname) "$(prefix)/lib/libshmseg.so"
	install -m 644 build/lib/libshmseg.a "$(prefix)/lib/"
	install -m 644 src/shmseg.h "$(prefix)/include/"
	install -m 644 src/shmseg/*.h "$(prefix)/include/shmseg/"
	for file in $(manual); do install -D -m 644 $$file "$(library_folder)/$$file" || exit; done
	$(if $(man_page),install -D -m 644 $(man_page) "$(prefix)/share/man/man1/shmseg.1")
	[ ! -e build/doc/html ] || cp -R build/doc/html "$(library_folder)/"
	@printf '%s\n' 'prefix=$(if $(filter /%,$(PREFIX)),,$(CURDIR)/)$(PREFIX)' 'Name: shmseg' 'Description: Shared memory that processes read and write together' \
	  'Version: $(library_version)' 'Cflags: -I"$${prefix}/include"' 'Libs: -L"$${prefix}/lib" -lshmseg' \
	  'Libs.private: -lrt -ldl -lpthread' >"$(prefix)/lib/pkgconfig/shmseg.pc"

uninstall:                   ## remove what make install with the same PREFIX has installed
	rm -f "$(prefix)/lib/$(soname)" "$(prefix)/lib/libshmseg.so" "$(prefix)/lib/libshmseg.a" \
	  "$(prefix)/lib/pkgconfig/shmseg.pc" "$(prefix)/include/shmseg.h" "$(prefix)/share/man/man1/shmseg.1"
	rm -rf "$(prefix)/include/shmseg" "$(library_folder)"

-include $(library_objects:.o=.d)
