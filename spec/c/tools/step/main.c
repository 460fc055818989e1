/* SPDX-License-Identifier: MIT */
/* The instruction stepper: the C operations. STEP_ONLY=mutex plays one noun's, STEP_VERBOSE=1 tells
 * more. */
#include "step/step.h"

static const step_structure *const structures[] = {
  &step_toy,         &step_toy_wrong,   &step_mutex,        &step_rwlock,
  &step_semaphore,   &step_event,       &step_cell,         &step_queue,
  &step_broadcast,   &step_build_mutex, &step_build_rwlock, &step_build_semaphore,
  &step_build_event, &step_build_cell,  &step_build_queue,  &step_build_broadcast,
  &step_name_none,   &step_name_there,
};

int main(void) {
  if (!step_possible("every operation is harmless at every instruction"))
    return 0;
  for (size_t i = 0; i < sizeof structures / sizeof *structures; i++)
    step_play(structures[i]);
  return step_end();
}
