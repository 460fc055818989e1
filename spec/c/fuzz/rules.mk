# Fuzzers, two for each structure: NAME-loop, random runs with the real OS, and NAME-guided, led by
# libFuzzer in an OS of its own. FUZZ_SECONDS says how long each takes.

fuzz_structures := mutex rwlock semaphore event cell queue broadcast
fuzz_flags := $(WARN) -Ifuzz -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
              -fno-sanitize-recover=all
fuzz_wrapped := -Wl$(comma)--wrap=shmseg_lock_enter_slowly
fuzz_os := os/clock.c os/futex_linux.c os/futex_posix.c os/liveness.c # those of fuzz/os.c

$(eval $(call library,fuzz/core,$(CC),$(fuzz_flags),$(CORE)))
$(foreach s,$(fuzz_structures),$(eval $(call program,fuzz/$(s)-loop,$(CC),$(fuzz_flags),fuzz/$(s).c fuzz/engine.c fuzz/loop.c,fuzz/core,$(fuzz_wrapped))))
TESTS += $(fuzz_structures:%=$(BUILD)/fuzz/%-loop)

fuzz_driver := $(shell $(CLANG) -print-file-name=libclang_rt.fuzzer_no_main-$(shell uname -m).a 2>/dev/null)
ifneq ($(wildcard $(fuzz_driver)),)
fuzz_guided := $(fuzz_flags) -fsanitize=fuzzer-no-link
$(eval $(call library,fuzz/guided,$(CLANG),$(fuzz_guided),$(filter-out $(fuzz_os),$(CORE))))
$(foreach s,$(fuzz_structures),$(eval $(call program,fuzz/$(s)-guided,$(CLANG),$(fuzz_guided),fuzz/$(s).c fuzz/engine.c fuzz/os.c fuzz/libfuzzer.c,fuzz/guided,$(fuzz_driver) -lstdc++ -lm)))
TESTS += $(fuzz_structures:%=$(BUILD)/fuzz/%-guided)
endif
