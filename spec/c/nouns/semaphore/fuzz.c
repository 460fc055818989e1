/* SPDX-License-Identifier: MIT */
/* Semaphores, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_semaphore handles[FUZZ_HANDLES];

static uint64_t capacity(unsigned choice) {
  static const uint64_t some[] = { 1, 2, 3, 15, 16, 17, 64, 100 };
  /* seldom, for it takes long: not by bytes that a fuzzer likes */
  if (choice % 256 == 137)
    return SHMSEG_PERMITS_MAX;
  return choice % 256 == 138 ? 3000 : some[choice % 8];
}

static int operate(int handle, int operation, int64_t deadline) {
  uint32_t value;
  switch (operation) {
  case 0: return shmseg_semaphore_release(&handles[handle]);
  case 1: return shmseg_semaphore_value(&handles[handle], &value);
  default: return shmseg_semaphore_acquire(&handles[handle], deadline);
  }
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_semaphore_kind,
  .handles = handles,
  .number = capacity,
  .operations = 4,
  .operate = operate,
};
