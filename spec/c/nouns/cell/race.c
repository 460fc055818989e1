/* SPDX-License-Identifier: MIT */
/* Cells: writers beside readers, who see whole values only, and never an older one. */
#include <sched.h>
#include <string.h>

#include "core/word.h"
#include "options.h"
#include "race/race.h"

#define CAPACITY 200

typedef struct {
  uint64_t writer, number, sum;
  unsigned char bytes[CAPACITY - 24];
} value;

static int sets; /* that succeeded */

/* A value whose bytes all follow from its writer and number; how long it is. */
static size_t fill(value *v, participant *p, uint64_t number) {
  size_t more = race_draw(p, sizeof v->bytes + 1);
  v->writer = (uint64_t)p->number;
  v->number = number;
  v->sum = (v->writer << 32) + number * 3 + more;
  memset(v->bytes, (int)(number % 251), more);
  return 24 + more;
}

static bool is_whole(const value *v, size_t size) {
  if (size < 24 || v->sum != (v->writer << 32) + v->number * 3 + size - 24)
    return false;
  for (size_t i = 0; i < size - 24; i++)
    if (v->bytes[i] != v->number % 251)
      return false;
  return true;
}

/* Bytes of the segment, beside the cell, that are the participant's alone. */
static value *beside(const participant *p) {
  return (value *)(race_bytes + RACE_DATA + (size_t)p->number * sizeof(value));
}

static int set_until(shmseg_cell *cell, uint64_t expected, const shmseg_source *from,
                     uint64_t *version) {
  int64_t deadline = 0;
  int err;
  do
    err = shmseg_cell_set_until(cell, expected, from, &deadline, version);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

static void write(shmseg_cell *cell, participant *p, uint64_t number) {
  value own, *v = race_draw(p, 2) ? &own : beside(p);
  uint64_t version, before;
  size_t size = fill(v, p, number);
  bool compares = race_draw(p, 3) == 0;
  shmseg_source from = { v, size, v == &own ? NULL : &p->segment };
  race_must(shmseg_cell_version(cell, &before) == 0);
  int err = set_until(cell, compares ? before : SHMSEG_ANY_VERSION, &from, &version);
  race_must(err == 0 || (compares && err == SHMSEG_CHANGED));
  race_must(err ? version > before : compares ? version == before + 1 : version > before);
  __atomic_add_fetch(&sets, err == 0, __ATOMIC_RELAXED);
}

/* As get, and slowly, so that writers overtake it. */
static int get_slowly(const shmseg_cell *cell, value *v, size_t *size, uint64_t *version) {
  const unsigned char *bytes;
  int err = shmseg_cell_peek(cell, &bytes, size, version);
  if (err)
    return err;
  size_t half = *size / 2;
  copy_from_shared(v, bytes, half);
  sched_yield();
  copy_from_shared((unsigned char *)v + half, bytes + half, *size - half);
  return shmseg_cell_confirm(cell, *version);
}

/* Each version is at least the last one, and of each writer the numbers grow. */
static void read(shmseg_cell *cell, participant *p, uint64_t *last, uint64_t *numbers) {
  value own, *v = race_draw(p, 2) ? &own : beside(p);
  uint64_t version;
  size_t size;
  if (race_draw(p, 8) == 0) {
    int err = shmseg_cell_wait(cell, *last, race_ms(2));
    race_must(err == 0 || err == SHMSEG_TIMEOUT || err == SHMSEG_INTERRUPTED);
  }
  int err = race_draw(p, 2) ? get_slowly(cell, v, &size, &version)
                            : shmseg_cell_get(cell, v, sizeof *v, &size, &version);
  race_must(err == 0 || err == SHMSEG_EMPTY || err == SHMSEG_TIMEOUT || err == SHMSEG_CHANGED);
  if (err)
    return;
  race_must(is_whole(v, size) && version >= *last && v->writer < RACE_THREADS);
  race_must(v->number >= numbers[v->writer]);
  race_must(version != *last || v->number == numbers[v->writer]);
  *last = version;
  numbers[v->writer] = v->number;
}

static void body(participant *p) {
  shmseg_cell cell;
  uint64_t last = 0, numbers[RACE_THREADS] = { 0 };
  int rounds = race_rounds() / 2;
  race_must(shmseg_cell_open(&cell, (shmseg_slice){ &p->segment, 0, RACE_DATA }, SHMSEG_CREATE,
                             OF_CAPACITY(CAPACITY), NULL) == 0);
  for (int i = 1; i <= rounds; i++)
    if (p->number < 2)
      write(&cell, p, (uint64_t)i);
    else
      read(&cell, p, &last, numbers);
  race_must(!shmseg_cell_check(&cell));
  shmseg_cell_close(&cell);
}

int main(void) {
  race_run(body);
  uint64_t word = *(uint64_t *)(race_bytes + 128);
  test("readers beside writers see whole values, in order, and no set is lost",
       sets > 0 && word == (uint64_t)sets + 1);
  return test_end();
}
