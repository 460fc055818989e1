/* SPDX-License-Identifier: MIT */
/* Mutexes, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_mutex handles[FUZZ_HANDLES];

static int operate(int handle, int operation, int64_t deadline) {
  bool abandoned;
  switch (operation) {
  case 0: return shmseg_mutex_unlock(&handles[handle]);
  case 1: return shmseg_mutex_holds(&handles[handle]) ? 0 : SHMSEG_NOT_HELD;
  default: return shmseg_mutex_lock(&handles[handle], deadline, &abandoned);
  }
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_mutex_kind,
  .handles = handles,
  .operations = 4,
  .operate = operate,
};
