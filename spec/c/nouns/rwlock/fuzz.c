/* SPDX-License-Identifier: MIT */
/* Rwlocks, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_rwlock handles[FUZZ_HANDLES];

static int operate(int handle, int operation, int64_t deadline) {
  bool abandoned;
  switch (operation) {
  case 0: return shmseg_rwlock_unlock(&handles[handle]);
  case 1: return shmseg_rwlock_holds(&handles[handle]) ? 0 : SHMSEG_NOT_HELD;
  case 2: return shmseg_rwlock_cancel(&handles[handle]), 0;
  case 3: return shmseg_rwlock_read_lock(&handles[handle], deadline, &abandoned);
  default: return shmseg_rwlock_write_lock(&handles[handle], deadline, &abandoned);
  }
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_rwlock_kind,
  .handles = handles,
  .operations = 5,
  .operate = operate,
};
