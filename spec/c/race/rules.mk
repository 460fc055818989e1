# Threads over one mapping, under ThreadSanitizer. RACE_ROUNDS says how often.

race_flags := $(WARN) -Wno-tsan -Irace -O1 -g -fno-omit-frame-pointer -fsanitize=thread
race_names := header mutex rwlock semaphore event cell queue broadcast

$(eval $(call library,race/core,$(CC),$(race_flags),$(CORE)))
$(foreach t,$(race_names),$(eval $(call program,race/$(t),$(CC),$(race_flags),race/$(t).c race/race.c,race/core)))
TESTS += $(race_names:%=$(BUILD)/race/%)
