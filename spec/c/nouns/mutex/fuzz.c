/* SPDX-License-Identifier: MIT */
/* Mutexes, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_mutex handles[FUZZ_HANDLES];

static uint64_t size(unsigned choice) {
  (void)choice;
  return shmseg_mutex_size(NULL);
}

static uint64_t capacity(unsigned choice) {
  (void)choice;
  return 1;
}

static int open(int handle, shmseg_segment *segment, uint64_t offset, uint64_t room,
                shmseg_mode mode, unsigned choice) {
  (void)choice;
  return shmseg_mutex_open(&handles[handle], (shmseg_slice){ segment, offset, room }, mode, NULL,
                           NULL);
}

static void close(int handle) {
  shmseg_mutex_close(&handles[handle]);
}

static const char *check(int handle) {
  return shmseg_mutex_check(&handles[handle]);
}

static int operate(int handle, int operation, int64_t deadline) {
  bool abandoned;
  switch (operation) {
  case 0: return shmseg_mutex_unlock(&handles[handle]);
  case 1: return shmseg_mutex_holds(&handles[handle]) ? 0 : SHMSEG_NOT_HELD;
  default: return shmseg_mutex_lock(&handles[handle], deadline, &abandoned);
  }
}

const fuzz_structure fuzz_subject = {
  "mutex", size, capacity, open, close, check, 4, operate, NULL
};
