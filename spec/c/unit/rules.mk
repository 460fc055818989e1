# Unit tests of os/, core/ and objects/, each file a program.

unit_flags := $(WARN) -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
              -fno-sanitize-recover=all
unit_names := $(filter-out help wrapped failures limits takeover,$(patsubst unit/%.c,%,$(wildcard unit/*.c)))
unit_wrapped := open stat lstat fstat fchmod link linkat rename unlink fallocate posix_fallocate ftruncate \
                fcntl mmap munmap madvise mlock2 fstatvfs sysinfo memfd_create mkostemp readlink getentropy \
                sigaction atexit

$(eval $(call library,unit/core,$(CC),$(unit_flags),$(CORE)))
$(foreach t,$(unit_names),$(eval $(call program,unit/$(t),$(CC),$(unit_flags),unit/$(t).c unit/help.c,unit/core)))

# without sanitizers, for one forks often and they make nothing of mlock; with the plain names of the system calls, not open64
unit_plain := $(filter-out -fsanitize% -fno-sanitize% -D_FILE_OFFSET_BITS=64,$(unit_flags))
$(eval $(call library,unit/plain,$(CC),$(unit_plain),$(CORE)))
$(eval $(call program,unit/failures,$(CC),$(unit_plain),unit/failures.c unit/wrapped.c unit/help.c,unit/plain,$(unit_wrapped:%=-Wl$(comma)--wrap=%)))
$(eval $(call program,unit/limits,$(CC),$(unit_plain),unit/limits.c unit/help.c,unit/plain))

# over the fake OS
unit_faked := os/futex_linux.c os/futex_posix.c os/clock.c os/liveness.c
$(eval $(call library,unit/faked,$(CC),$(unit_flags),$(filter-out $(unit_faked),$(CORE))))
$(eval $(call program,unit/takeover,$(CC),$(unit_flags),unit/takeover.c fake/fake.c,unit/faked))
TESTS += $(unit_names:%=$(BUILD)/unit/%) $(BUILD)/unit/failures $(BUILD)/unit/limits \
         $(BUILD)/unit/takeover $(BUILD)/unit/layout-i386

# The offsets hold on 32 bits too: a compile is enough, the assertions are static.
$(BUILD)/unit/layout-i386: unit/layout-i386
	@mkdir -p $(@D)
	cp unit/layout-i386 $@
