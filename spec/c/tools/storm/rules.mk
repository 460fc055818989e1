# SPDX-License-Identifier: MIT
# The storm: random operations, random kills.   make -C spec/c storm KILLS=100000 WORKERS=6 STORM_SEED=…

STORM_FLAGS := $(WARN) -O2 -g -DSHMSEG_COUNT_LATE
# without pauses, which would make waits look late that were not
STORM_CALM := core/wait.c $(filter os/%,$(CORE))

$(eval $(call library,storm/core,$(CC),$(STORM_FLAGS) -Itools/storm,$(filter-out $(STORM_CALM),$(CORE))))
$(eval $(call library,storm/calm,$(CC),$(STORM_FLAGS),$(STORM_CALM)))
$(eval $(call program,storm/storm,$(CC),$(STORM_FLAGS),$(wildcard tools/storm/*.c nouns/*/storm.c nouns/*/storm_*.c),storm/core storm/calm))
TESTS += $(BUILD)/storm/storm

.PHONY: storm
storm: $(BUILD)/storm/storm
	KILLS=$(KILLS) WORKERS=$(WORKERS) STORM_SEED=$(STORM_SEED) ./run $<
