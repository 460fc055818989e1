# Fuzzers, two for each noun: NOUN-loop, random runs with the real OS, and NOUN-guided, led by
# libFuzzer in an OS of its own. FUZZ_SECONDS says how long each takes.

fuzz_nouns := $(call nouns_with,fuzz)
fuzz_flags := $(WARN) -Itools/fuzz -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
              -fno-sanitize-recover=all
fuzz_wrapped := -Wl$(comma)--wrap=shmseg_lock_enter_patiently_slowly
fuzz_os := os/clock.c os/futex_linux.c os/futex_posix.c os/liveness.c # those of os.c
fuzz_engine := tools/fuzz/engine.c

$(eval $(call library,fuzz/core,$(CC),$(fuzz_flags),$(CORE)))
$(foreach n,$(fuzz_nouns),$(eval $(call program,fuzz/$(n)-loop,$(CC),$(fuzz_flags),nouns/$(n)/fuzz.c $(fuzz_engine) tools/fuzz/loop.c,fuzz/core,$(fuzz_wrapped))))
TESTS += $(fuzz_nouns:%=$(BUILD)/fuzz/%-loop)

fuzz_driver := $(shell $(CLANG) -print-file-name=libclang_rt.fuzzer_no_main-$(shell uname -m).a 2>/dev/null)
ifneq ($(wildcard $(fuzz_driver)),)
fuzz_guided := $(fuzz_flags) -fsanitize=fuzzer-no-link
$(eval $(call library,fuzz/guided,$(CLANG),$(fuzz_guided),$(filter-out $(fuzz_os),$(CORE))))
$(foreach n,$(fuzz_nouns),$(eval $(call program,fuzz/$(n)-guided,$(CLANG),$(fuzz_guided),nouns/$(n)/fuzz.c $(fuzz_engine) tools/fuzz/os.c tools/fuzz/libfuzzer.c,fuzz/guided,$(fuzz_driver) -lstdc++ -lm)))
TESTS += $(fuzz_nouns:%=$(BUILD)/fuzz/%-guided)
endif

BESIDE += $(filter $(BUILD)/fuzz/%,$(TESTS))
