/* SPDX-License-Identifier: MIT */
/* The counting signal under the scheduler; option is the most it can have.
 *
 * Operations: p post one, P post two; a acquire, A for 30 ms, t try; n ask for the value, x close the
 * handle, o and O open; f: what is there can be acquired, and no more. */
#include <string.h>

#include "objects/object.h"
#include "schedule/opening.h"

enum { NONE = OPENING_STATES, TWO /* are there */ };

#define COUNT 68 /* offset of the count, as signal.c says */

static const budget hostile[] = { { .flips = 2 }, { .preemptions = 1, .flips = 1 }, { 0 } };

static const scenario scenarios[] = {
  { "one acquires, one posts", { "a", "p" }, "pf", NONE, 9, 0, NULL },
  { "one acquires two, one posts twice", { "aa", "pp" }, "ppf", NONE, 9, 0, NULL },
  { "one acquires two, one posts two at once", { "aa", "P" }, "Pf", NONE, 9, 0, NULL },
  { "two acquire, one posts two at once", { "a", "a", "P" }, "Pf", NONE, 9, 0, budgets_of_three },
  { "two post for one", { "aa", "p", "p" }, "ppf", NONE, 9, 0, budgets_of_three },
  { "one post for two who try", { "t", "At", "p" }, "f", NONE, 9, 0, budgets_of_three },
  { "two are there for two", { "tt", "tt" }, "f", TWO, 9, 0, NULL },
  { "waiting for a time", { "AA", "pp" }, "f", NONE, 9, 0, budgets_honest },
  { "more than the most", { "Pt", "Pt" }, "f", NONE, 3, 0, NULL },
  { "the last one of the most", { "ppt", "pt" }, "f", TWO, 3, 0, NULL },
  { "asking for the value", { "pt", "nn" }, "f", TWO, 9, 0, NULL },
  { "a handle that is closed", { "tx", "pt" }, "f", TWO, 9, 0, budgets_honest },
  { "two build it", { "op", "oa" }, "opf", OPENING_ZERO, 9, 0, budgets_opening },
  { "the builder died half way", { "op", "Oa" }, "opf", OPENING_HALF_BUILT, 9, 0, budgets_opening },
  { "a stranger writes while one attaches", { "jnt", "pt" }, "f", TWO, 9, 0, hostile },
};

static shmseg_semaphore handles[PROCESSES];

/* posted and acquired: done for certain; perhaps: a process died in the middle of so many of either. */
static struct {
  char in[PROCESSES];
  uint32_t begun, posted; /* posts; begun: also those that are under way */
  uint32_t acquired, maybe_acquired, maybe_posted;
  unsigned changes;
} model;

static uint32_t most(void) {
  return (uint32_t)w.scenario->option;
}

static shmseg_object_options options = { .signal = SHMSEG_SEMAPHORE_SIGNAL };

static void make(const scenario *s) {
  static shmseg_semaphore signal;
  const uint32_t three = 3; /* two, and 1 */
  options.permits = most();
  if (opening_made(s, &signal.object) && s->start == TWO)
    memcpy(block + COUNT, &three, sizeof three);
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  model.begun = model.posted = s->start == TWO ? 2 : 0;
  opening_begin(0);
}

static bool is_busy(int but) {
  for (int q = 0; q < PROCESSES; q++)
    if (q != but && model.in[q] && engine_lives(q))
      return true;
  return false;
}

/* Is one there for certain? */
static bool is_there(void) {
  return model.posted > model.acquired + model.maybe_acquired;
}

static void acquire(int p, int64_t timeout) {
  bool idle = !is_busy(p) && is_there();
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
  expect(err == 0 || !idle || w.stale || changes != model.changes, "a time-out, and one is there");
  expect(err == 0 || fake.now >= deadline, "a time-out before its time");
  model.acquired += err == 0;
  expect(model.acquired <= model.begun, "%u acquired of %u", model.acquired, model.begun);
}

static void post(int p, uint32_t count) {
  bool idle = !is_busy(p) && model.maybe_acquired == 0 && model.maybe_posted == 0;
  unsigned changes = model.changes;
  bool fits = model.posted - model.acquired + count <= most();
  model.in[p] = count == 1 ? 'p' : 'P';
  model.begun += count;
  int err = shmseg_semaphore_post(&handles[p], count);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || err == SHMSEG_TOO_MANY, "post: %d", err);
  expect(!idle || w.stale || changes != model.changes || fits == (err == 0), "post: %d", err);
  if (err == 0)
    model.posted += count;
  else
    model.begun -= count;
  expect(model.posted <= model.acquired + model.maybe_acquired + most() + (is_busy(p) ? 9u : 0u),
         "more than the most are there");
}

static void ask(int p) {
  uint32_t value = 0;
  bool idle = !is_busy(p) && model.maybe_acquired == 0 && model.maybe_posted == 0;
  unsigned changes = model.changes;
  int err = shmseg_semaphore_value(&handles[p], &value);
  w.processes[p].last = err;
  expect(err == 0 && value <= most(), "value: %d, %u", err, value);
  expect(!idle || w.stale || changes != model.changes || value == model.posted - model.acquired,
         "a value of %u, not %u", value, model.posted - model.acquired);
}

/* All that is there, when nobody else is at it. */
static void take_all(int p) {
  uint32_t least = is_there() ? model.posted - model.acquired - model.maybe_acquired : 0;
  uint32_t largest = model.posted + model.maybe_posted - model.acquired;
  uint32_t got = 0;
  while (got <= most() && shmseg_semaphore_acquire(&handles[p], fake.now) == 0)
    got++;
  expect(got >= least && got <= largest, "%u are there, not %u to %u", got, least, largest);
  model.acquired += got;
}

static void perform(int p, char op) {
  model.changes++;
  if (!opening_perform(p, op) && handles[p].object.segment) {
    switch (op) {
    case 'p': post(p, 1); break;
    case 'P': post(p, 2); break;
    case 'a': acquire(p, SHMSEG_FOREVER); break;
    case 'A': acquire(p, 30 * MILLISECOND); break;
    case 't': acquire(p, 0); break;
    case 'n': ask(p); break;
    case 'x': shmseg_semaphore_close(&handles[p]); break;
    case 'f': take_all(p); break;
    }
  }
  model.changes++;
}

static void died(int p) {
  model.changes++;
  model.maybe_acquired += model.in[p] == 'a';
  model.maybe_posted += model.in[p] == 'p' ? 1 : model.in[p] == 'P' ? 2 : 0;
  model.in[p] = 0;
}

static bool in_vain(int p) {
  if (model.in[p] != 'a' || !is_there())
    return false;
  for (int q = 0; q < PROCESSES; q++)
    if (w.processes[q].state == STALLED && model.in[q])
      return false;
  return true;
}

static const char *check(void) {
  static shmseg_semaphore signal;
  return opening_check(&signal.object);
}

SCHEDULE(signal, .kind = &shmseg_semaphore_kind, .handles = handles, .options = &options);
