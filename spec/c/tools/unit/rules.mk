# Unit tests, each file a program: nouns/<noun>/unit.c is unit/<noun>, unit_<part>.c is unit/<noun>_<part>. Three
# parts are built in ways of their own: unit_failures.c, where each system call fails once; unit_limits.c, without
# sanitizers, as is unit_worn.c, whose operations are very many; unit_faked.c and unit_faked_<part>.c, over the fake OS.

unit_flags := $(WARN) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
              -fno-sanitize-recover=all
unit_wrapped := open stat lstat fstat fchmod link linkat rename unlink fallocate posix_fallocate ftruncate \
                fcntl flock mmap munmap madvise mlock2 fstatvfs sysinfo memfd_create mkostemp readlink getentropy \
                sigaction atexit eventfd timerfd_create pthread_create
# without sanitizers, for one forks often and they make nothing of mlock; with the plain names of the system
# calls, not open64
unit_plain := $(filter-out -fsanitize% -fno-sanitize% -D_FILE_OFFSET_BITS=64,$(unit_flags))
# help.c learns how sleeps end
unit_helped := -Wl$(comma)--wrap=shmseg_futex_wait
unit_faked := os/futex_linux.c os/futex_posix.c os/clock.c os/liveness.c # those of the fake OS

$(eval $(call library,unit/core,$(CC),$(unit_flags),$(CORE)))
$(eval $(call library,unit/plain,$(CC),$(unit_plain),$(CORE)))
$(eval $(call library,unit/faked,$(CC),$(unit_flags),$(filter-out $(unit_faked),$(CORE))))

# $(1) source; its program's name
unit_name = unit/$(subst /unit,,$(patsubst nouns/%.c,%,$(1)))
unit_files := $(sort $(wildcard nouns/*/unit.c nouns/*/unit_*.c))

define unit_program
$(if $(filter %/unit_failures.c,$(1)),\
  $(call program,$(call unit_name,$(1)),$(CC),$(unit_plain),$(1) tools/unit/wrapped.c tools/unit/help.c,unit/plain,$(unit_helped) $(unit_wrapped:%=-Wl$(comma)--wrap=%)),\
$(if $(filter %/unit_limits.c %/unit_worn.c,$(1)),\
  $(call program,$(call unit_name,$(1)),$(CC),$(unit_plain),$(1) tools/unit/help.c,unit/plain,$(unit_helped)),\
$(if $(findstring /unit_faked,$(1)),\
  $(call program,$(call unit_name,$(1)),$(CC),$(unit_flags),$(1) tools/fake/fake.c,unit/faked),\
  $(call program,$(call unit_name,$(1)),$(CC),$(unit_flags),$(1) tools/unit/help.c,unit/core,$(unit_helped)))))
endef
$(foreach f,$(unit_files),$(eval $(call unit_program,$(f))))
$(eval $(call program,unit/self,$(CC),$(unit_flags),tools/unit/self.c tools/unit/help.c,unit/core,$(unit_helped)))
TESTS += $(foreach f,$(unit_files),$(BUILD)/$(call unit_name,$(f))) $(BUILD)/unit/self $(BUILD)/unit/layout-i386

# The offsets hold on 32 bits too: a compile is enough, the assertions are static.
$(BUILD)/unit/layout-i386: tools/unit/layout-i386
	@mkdir -p $(@D)
	cp $< $@
