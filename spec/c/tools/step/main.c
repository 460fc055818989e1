/* SPDX-License-Identifier: MIT */
/* The instruction stepper: the C operations. STEP_ONLY=mutex plays one noun's, STEP_VERBOSE=1 tells
 * more. */
#include "step/step.h"

static void play(const step_structure *structure) {
  step_play(structure);
  if (structure->kind)
    step_play_build(structure, NULL);
}

int main(void) {
  if (!step_possible("every operation is harmless at every instruction"))
    return 0;
  step_for_each(play);
  return step_end();
}
