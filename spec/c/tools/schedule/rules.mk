# The scheduler: the structures over a word.h that yields and a fake OS.

schedule_flags := $(filter-out -Wpedantic,$(WARN)) -O2 -g -U_FORTIFY_SOURCE -Itools/schedule -DSHMSEG_TRIES=100
schedule_core := $(filter-out os/futex_%.c os/clock.c os/liveness.c,$(CORE))
schedule_files := $(wildcard tools/schedule/*.c nouns/*/schedule.c nouns/*/schedule_*.c) tools/fake/fake.c

$(eval $(call library,schedule/core,$(CC),$(schedule_flags),$(schedule_core)))
$(eval $(call program,schedule/schedule,$(CC),$(schedule_flags) -D_GNU_SOURCE,$(schedule_files),schedule/core))
TESTS += $(BUILD)/schedule/schedule
BESIDE += $(BUILD)/schedule/schedule
