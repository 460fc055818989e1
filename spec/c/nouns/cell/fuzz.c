/* SPDX-License-Identifier: MIT */
/* Cells, for the fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

/* What is done, eight ways of each. */
enum { SET, SET_IF, GET, GET_BY_HALVES, VERSION, WAIT, VERBS };

static shmseg_cell handles[FUZZ_HANDLES];
static uint64_t seen[FUZZ_HANDLES];
static const unsigned char bytes[2048]; /* more than the largest capacity */

static uint64_t capacity(unsigned choice) {
  static const uint64_t some[] = { 1, 8, 56, 57, 64, 100, 200, 1000 };
  return some[choice % 8];
}

static size_t some_size(const shmseg_cell *cell, int way) {
  size_t most = (size_t)cell->object.capacity;
  const size_t sizes[] = { 0, 1, 7, most / 2, most, most, most, most + 1 };
  return sizes[way];
}

/* Into memory that is no larger than it has to be. */
static int get(int handle, int way) {
  shmseg_cell *cell = &handles[handle];
  size_t available = some_size(cell, way), count = 0;
  unsigned char *buffer = malloc(available ? available : 1);
  int err = shmseg_cell_get(cell, buffer, available, &count, &seen[handle]);
  if (err == 0 && count > available)
    fuzz_fail("a value that is larger than the room for it");
  free(buffer);
  return err;
}

/* As the binding does: the bytes may change, but where they are has to be good. */
static int get_by_halves(int handle) {
  shmseg_cell *cell = &handles[handle];
  const unsigned char *where;
  size_t count;
  int err = shmseg_cell_peek(cell, &where, &count, &seen[handle]);
  if (err)
    return err;
  if (count > cell->object.capacity)
    fuzz_fail("a value that is larger than the capacity");
  unsigned char *buffer = malloc(count + 1);
  memcpy(buffer, where, count);
  free(buffer);
  return shmseg_cell_confirm(cell, seen[handle]);
}

static int operate(int handle, int operation, int64_t deadline) {
  shmseg_cell *cell = &handles[handle];
  int way = operation / VERBS;
  size_t count = some_size(cell, way);
  uint64_t expected = seen[handle] + (way & 1 ? (uint64_t)way - 4 : 0);
  switch (operation % VERBS) {
  case SET: return shmseg_cell_set(cell, bytes, count, &seen[handle]);
  case SET_IF: return shmseg_cell_cas(cell, expected, bytes, count, &seen[handle]);
  case GET: return get(handle, way);
  case GET_BY_HALVES: return get_by_halves(handle);
  case VERSION: return shmseg_cell_version(cell, &seen[handle]);
  default: return shmseg_cell_wait(cell, expected, deadline);
  }
}

static bool patient(int operation) {
  return operation % VERBS == SET || operation % VERBS == SET_IF;
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_cell_kind,
  .handles = handles,
  .number = capacity,
  .operations = 8 * VERBS,
  .operate = operate,
  .patient = patient,
};
