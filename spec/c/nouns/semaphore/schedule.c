/* SPDX-License-Identifier: MIT */
/* The semaphore under the scheduler; option is its number of permits.
 *
 * Operations: a acquire, A for 30 ms, t try; r release one; c critical section (of one permit);
 * n ask for the value, x close the handle, o and O open; f: every permit can be had, and no more. */
#include <string.h>

#include "core/owner.h"
#include "objects/object.h"
#include "schedule/opening.h"

enum {
  FREE = OPENING_STATES,
  FULL_DEAD, /* the dead have every permit */
  ONE_DEAD   /* a dead one has the first */
};

#define SLOTS 128 /* offset of the slots, as semaphore.c says */

static const budget hostile[] = { { .flips = 2 }, { .preemptions = 1, .flips = 1 }, { 0 } };

static const scenario scenarios[] = {
  { "one permit for two", { "acr", "acr" }, "f", FREE, 1, 0, NULL },
  { "one permit for two, twice", { "acracr", "acracr" }, "f", FREE, 1, 0, budgets_honest },
  { "two permits for two who take two", { "aarr", "aarr" }, "f", FREE, 3, 0, NULL },
  { "two permits for three", { "ar", "ar", "ar" }, "f", FREE, 2, 0, budgets_of_three },
  { "one permit for three", { "acr", "acr", "acr" }, "f", FREE, 1, 0, budgets_of_three },
  { "waiting for a time", { "acr", "tcrAcr" }, "f", FREE, 1, 0, budgets_honest },
  { "asking for the value", { "aar", "nan" }, "f", FREE, 3, 0, NULL },
  { "closing with permits", { "aax", "aarr" }, "f", FREE, 3, 0, budgets_honest },
  { "the dead have all permits", { "acr", "tcr" }, "f", FULL_DEAD, 1, 0, NULL },
  { "the dead have all of three permits", { "aar", "nar" }, "f", FULL_DEAD, 3, 0, budgets_honest },
  { "a dead one has one", { "aar", "aar" }, "f", ONE_DEAD, 3, 0, budgets_honest },
  { "two build it", { "oar", "oar" }, "of", OPENING_ZERO, 1, 0, budgets_opening },
  { "the builder died half way",
    { "oar", "Oar" },
    "of",
    OPENING_HALF_BUILT,
    1,
    0,
    budgets_opening },
  { "a stranger writes while one attaches", { "jnar", "ar" }, "f", FREE, 2, 0, hostile },
};

static shmseg_semaphore handles[PROCESSES];

static struct {
  uint32_t held[PROCESSES];
  char in[PROCESSES];
  unsigned changes;
  uint32_t data;
} model;

static uint32_t permits(void) {
  return (uint32_t)w.scenario->option;
}

static shmseg_object_options options; /* of the scenario */

static void make(const scenario *s) {
  static shmseg_semaphore semaphore;
  options.permits = permits();
  uint32_t *slots = (uint32_t *)(void *)(block + SLOTS);
  if (!opening_made(s, &semaphore.object))
    return;
  for (uint32_t i = 0; i < permits(); i++)
    if (s->start == FULL_DEAD || (s->start == ONE_DEAD && i == 0))
      slots[i] = i % 2 ? ID_DEAD : ID_DEAD_TOO;
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  if (s->start > FREE)
    engine_excuse();
  opening_begin(0);
}

/* Permits that the living have. */
static uint32_t held(void) {
  uint32_t sum = 0;
  for (int p = 0; p < PROCESSES; p++)
    sum += model.held[p];
  return sum;
}

static bool is_busy(int but) {
  for (int q = 0; q < PROCESSES; q++)
    if (q != but && model.in[q] && engine_lives(q))
      return true;
  return false;
}

static void acquire(int p, int64_t timeout) {
  bool idle = !is_busy(p) && held() < permits();
  unsigned changes = model.changes;
  int64_t deadline = engine_deadline(p, timeout);
  int err;
  model.in[p] = 'a';
  do
    err = shmseg_semaphore_acquire(&handles[p], deadline);
  while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || (err == SHMSEG_TIMEOUT && timeout != SHMSEG_FOREVER), "acquire: %d", err);
  expect(err == 0 || !idle || changes != model.changes, "a time-out, and there is a permit");
  expect(err == 0 || fake.now >= deadline, "a time-out before its time");
  model.held[p] += err == 0;
  expect(held() <= permits(), "%u permits of %u", held(), permits());
}

static void release(int p) {
  model.in[p] = 'r';
  model.held[p]--;
  int err = shmseg_semaphore_release(&handles[p]);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0, "release: %d", err);
}

static void ask(int p) {
  uint32_t value = 0;
  bool idle = !is_busy(p);
  unsigned changes = model.changes;
  int err = shmseg_semaphore_value(&handles[p], &value);
  w.processes[p].last = err;
  expect(err == 0 && value <= permits(), "value: %d, %u", err, value);
  expect(!idle || changes != model.changes || value == permits() - held(), "a value of %u, not %u",
         value, permits() - held());
}

static void section(int p) {
  if (permits() != 1)
    return;
  uint32_t data = data_load(0);
  expect(data == model.data, "%d finds %u in the data, not %u", p, data, model.data);
  data_store(0, data + 1);
  model.data = data + 1;
}

static void give_up(int p) {
  model.in[p] = 'x';
  model.held[p] = 0;
  shmseg_semaphore_close(&handles[p]);
  model.in[p] = 0;
}

/* Takes all, is refused one more, gives all back. */
static void take_all(int p) {
  for (uint32_t i = 0; i < permits(); i++)
    acquire(p, 0);
  int err = shmseg_semaphore_acquire(&handles[p], fake.now);
  expect(err == SHMSEG_TIMEOUT, "one permit more than there are: %d", err);
  while (model.held[p] > 0)
    release(p);
  ask(p);
}

static void perform(int p, char op) {
  model.changes++;
  if (!opening_perform(p, op) && handles[p].object.segment) {
    switch (op) {
    case 'a': acquire(p, SHMSEG_FOREVER); break;
    case 'A': acquire(p, 30 * MILLISECOND); break;
    case 't': acquire(p, 0); break;
    case 'n': ask(p); break;
    case 'x': give_up(p); break;
    case 'f': take_all(p); break;
    case 'c':
      if (model.held[p] > 0)
        section(p);
      break;
    case 'r':
      if (model.held[p] > 0)
        release(p);
      break;
    }
  }
  model.changes++;
}

static void died(int p) {
  model.changes++;
  model.held[p] = 0;
  model.in[p] = 0;
}

static bool in_vain(int p) {
  if (model.in[p] != 'a' || held() >= permits())
    return false;
  for (int q = 0; q < PROCESSES; q++)
    if (w.processes[q].state == STALLED && model.in[q])
      return false;
  return true;
}

static const char *check(void) {
  static shmseg_semaphore semaphore;
  return opening_check(&semaphore.object);
}

SCHEDULE(semaphore, .kind = &shmseg_semaphore_kind, .handles = handles, .options = &options);
