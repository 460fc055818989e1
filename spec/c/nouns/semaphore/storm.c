/* SPDX-License-Identifier: MIT */
/* The semaphore in the storm: never more than its permits inside, and all of them at the end. */
#include "storm/storm.h"

#define PERMITS 3

static shmseg_semaphore semaphore;

static bool acquire(unsigned which) {
  bool patient = false;
  int64_t deadline = which == 0 ? storm_deadline(&patient) : 0; /* two at once could deadlock */
  int err;
  patient = patient && which == 0;
  storm_begin("semaphore: acquire", deadline);
  do
    err = shmseg_semaphore_acquire(&semaphore, deadline);
  while (err == SHMSEG_INTERRUPTED);
  storm_end(err, patient);
  if (err)
    return false;
  uint64_t others = storm_enter(storm_bit(which));
  storm_expect(__builtin_popcountll(others) < PERMITS);
  return true;
}

static void release(unsigned which) {
  storm_leave(storm_bit(which));
  storm_begin("semaphore: release", 0);
  storm_end(shmseg_semaphore_release(&semaphore), true);
}

static void operate(void) {
  if (!acquire(0))
    return;
  storm_nap();
  bool both = storm_draw(4) == 0 && acquire(1);
  storm_nap();
  if (storm_draw(50) == 0) {
    storm_leave(storm_bit(0) | storm_bit(1));
    storm_reopen();
    return;
  }
  release(0);
  if (both)
    release(1);
}

static const char *finish(void) {
  uint32_t value;
  const char *wrong = shmseg_semaphore_check(&semaphore);
  if (wrong)
    return wrong;
  for (int i = 0; i < PERMITS; i++)
    if (shmseg_semaphore_acquire(&semaphore, 0) != 0)
      return "a permit is lost";
  if (shmseg_semaphore_acquire(&semaphore, 0) != SHMSEG_TIMEOUT)
    return "a permit too many";
  for (int i = 0; i < PERMITS; i++)
    if (shmseg_semaphore_release(&semaphore) != 0)
      return "no release";
  return shmseg_semaphore_value(&semaphore, &value) == 0 && value == PERMITS ? NULL
                                                                             : "not all are free";
}

static const storm_noun storm_semaphore = {
  .kind = &shmseg_semaphore_kind,
  .handle = &semaphore.object,
  .options = &(const shmseg_object_options){ .permits = PERMITS },
  .operate = operate,
  .finish = finish,
};

STORM_PLAY(storm_semaphore);
