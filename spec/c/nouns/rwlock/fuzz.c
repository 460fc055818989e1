/* SPDX-License-Identifier: MIT */
/* Rwlocks, for the fuzzer. */
#include "fuzz/fuzz.h"

static shmseg_rwlock handles[FUZZ_HANDLES];

static uint64_t size(unsigned choice) {
  (void)choice;
  return shmseg_rwlock_size(NULL);
}

static uint64_t capacity(unsigned choice) {
  (void)choice;
  return SHMSEG_RWLOCK_READERS;
}

static int open(int handle, shmseg_segment *segment, uint64_t offset, uint64_t room,
                shmseg_mode mode, unsigned choice) {
  (void)choice;
  return shmseg_rwlock_open(&handles[handle], (shmseg_slice){ segment, offset, room }, mode, NULL,
                            NULL);
}

static void close(int handle) {
  shmseg_rwlock_close(&handles[handle]);
}

static const char *check(int handle) {
  return shmseg_rwlock_check(&handles[handle]);
}

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
  "rwlock", size, capacity, open, close, check, 5, operate, NULL
};
