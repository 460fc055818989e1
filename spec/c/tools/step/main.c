/* SPDX-License-Identifier: MIT */
/* The instruction stepper: the C operations.
 *
 *   step                     all of them
 *   step mutex cell.3        these; mutex.build is the making of one
 *   step --list              what there is
 *
 * STEP_VERBOSE=1 in the environment tells what each case came to. */
#include "step/step.h"

static void play(const step_structure *structure) {
  step_play(structure);
  if (structure->as_new)
    step_play_build(structure, NULL);
}

int main(int count, char **words) {
  (void)count;
  if (!step_possible("every operation is harmless at every instruction", words))
    return 0;
  step_for_each(play);
  return step_end();
}
