# Waiting on a word, with intervals so long that a lost wake cannot hide behind the end of one. nouns/<noun>/wait.c
# adds cases to the one program.

wait_flags := $(WARN) -O2 -g -DSHMSEG_COUNT_LATE -DSHMSEG_INTERVAL=10000000000

$(eval $(call library,wait/core,$(CC),$(wait_flags),$(CORE)))
$(eval $(call program,wait/wait,$(CC),$(wait_flags),tools/wait/wait.c $(wildcard nouns/*/wait.c),wait/core))
TESTS += $(BUILD)/wait/wait
