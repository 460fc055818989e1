/* SPDX-License-Identifier: MIT */
/* Counting signals, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_semaphore handles[FUZZ_HANDLES];

static uint64_t most(unsigned choice) {
  static const uint64_t some[] = { 1, 2, 3, 5, 100, 65535, 65536, SHMSEG_SIGNAL_MAX };
  return some[choice % 8];
}

static int operate(int handle, int operation, int64_t deadline) {
  uint32_t value;
  switch (operation) {
  case 0: return shmseg_semaphore_post(&handles[handle], 1);
  case 1: return shmseg_semaphore_post(&handles[handle], 3);
  case 2: return shmseg_semaphore_value(&handles[handle], &value);
  case 3: return shmseg_semaphore_release(&handles[handle]);
  default: return shmseg_semaphore_acquire(&handles[handle], deadline);
  }
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_semaphore_kind,
  .handles = handles,
  .number = most,
  .options = &(const shmseg_object_options){ .signal = SHMSEG_SEMAPHORE_SIGNAL },
  .operations = 6,
  .operate = operate,
};
