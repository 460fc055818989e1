# SPDX-License-Identifier: MIT
# The instruction stepper. A structure joins in with a file of its name and a line in main.c.

STEP_FLAGS := $(WARN) -O2 -g
STEP_LINK := -Wl,-z,now
STEP_NOUNS := mutex rwlock semaphore event
STEP_ENGINE := step/cast.c step/engine.c step/trace.c $(STEP_NOUNS:%=step/%.c)

$(eval $(call library,step/core,$(CC),$(STEP_FLAGS),$(CORE)))
$(eval $(call program,step/step,$(CC),$(STEP_FLAGS),step/main.c step/build.c step/name.c $(STEP_ENGINE),step/core,$(STEP_LINK)))
TESTS += $(BUILD)/step/step
