/* SPDX-License-Identifier: MIT */
/* Events, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_event handles[FUZZ_HANDLES];
static uint32_t began[FUZZ_HANDLES];

static uint64_t size(unsigned choice) {
  (void)choice;
  return shmseg_event_size(NULL);
}

static uint64_t capacity(unsigned choice) {
  (void)choice;
  return 1;
}

static int open(int handle, shmseg_segment *segment, uint64_t offset, uint64_t room,
                shmseg_mode mode, unsigned choice) {
  (void)choice;
  return shmseg_event_open(&handles[handle], (shmseg_slice){ segment, offset, room }, mode, NULL,
                           NULL);
}

static void close(int handle) {
  shmseg_event_close(&handles[handle]);
}

static const char *check(int handle) {
  return shmseg_event_check(&handles[handle]);
}

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
  "event", size, capacity, open, close, check, 4, operate, NULL
};
