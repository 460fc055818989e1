/* SPDX-License-Identifier: MIT */
/* Events, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_event handles[FUZZ_HANDLES];
static uint32_t began[FUZZ_HANDLES];

static int operate(int handle, int operation, int64_t deadline) {
  bool set;
  int err;
  switch (operation) {
  case 0: return shmseg_event_set(&handles[handle]);
  case 1: return shmseg_event_clear(&handles[handle]);
  case 2: return shmseg_event_is_set(&handles[handle], &set);
  default:
    err = shmseg_event_wait(&handles[handle], &began[handle], deadline);
    if (err != SHMSEG_INTERRUPTED)
      began[handle] = 0;
    return err;
  }
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_event_kind,
  .handles = handles,
  .operations = 4,
  .operate = operate,
};
