# Threads over one mapping, under ThreadSanitizer. RACE_ROUNDS says how often.

race_flags := $(WARN) -Wno-tsan -Itools/race -O1 -g -fno-omit-frame-pointer -fsanitize=thread
race_nouns := $(call nouns_with,race)

$(eval $(call library,race/core,$(CC),$(race_flags),$(CORE)))
$(foreach n,$(race_nouns),$(eval $(call program,race/$(n),$(CC),$(race_flags),nouns/$(n)/race.c tools/race/race.c,race/core)))
TESTS += $(race_nouns:%=$(BUILD)/race/%)
