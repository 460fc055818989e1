/* SPDX-License-Identifier: MIT */
/* The event under the scheduler.
 *
 * Operations: s set (after a word of data), c clear, w wait, W wait for 30 ms, i ask whether it is
 * set, o and O open. */
#include <string.h>

#include "objects/header.h"
#include "schedule/opening.h"

enum { CLEAR = OPENING_STATES, SET, LAST_COUNT /* the next set wraps the count */ };

static const scenario scenarios[] = {
  { "one waits, one sets", { "w", "s" }, "sw", CLEAR, 0, 0, NULL },
  { "one waits, one sets and clears", { "w", "sc" }, "sw", CLEAR, 0, 0, NULL },
  { "one waits twice, one sets, clears, sets", { "ww", "scs" }, "sw", CLEAR, 0, 0, NULL },
  { "two wait, one sets and clears", { "w", "w", "sc" }, "sw", CLEAR, 0, 0, budgets_of_three },
  { "one waits, two set and clear", { "w", "sc", "sc" }, "sw", CLEAR, 0, 0, budgets_of_three },
  { "one waits for a time", { "WW", "sc" }, "sw", CLEAR, 0, 0, NULL },
  { "it is set, one clears it", { "wi", "cis" }, "sw", SET, 0, 0, NULL },
  { "two set, one clears", { "si", "sci" }, "sw", CLEAR, 0, 0, NULL },
  { "the count begins again", { "w", "scsc" }, "sw", LAST_COUNT, 0, 0, NULL },
  { "two build it", { "os", "ow" }, "osw", OPENING_ZERO, 0, 0, budgets_opening },
};

static shmseg_event handles[PROCESSES];

static struct {
  char in[PROCESSES];
  int set;                  /* 1, 0; -1: two were at it, or one died */
  unsigned begun;           /* sets that have begun */
  unsigned done;            /* sets that were done, or whose process died in them */
  unsigned wait[PROCESSES]; /* which one it is in or was in last */
  unsigned changes;
  bool owed[PROCESSES]; /* a set was begun and done since the wait looked first */
} model;

static void make(const scenario *s) {
  static shmseg_event event;
  const uint32_t words[] = { 2, 3, UINT32_MAX - 1 };
  if (!opening_made(s, &event.object))
    return;
  memcpy(block + SHMSEG_HEADER_SIZE, &words[s->start - CLEAR], sizeof words[0]);
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  model.set = s->start == SET;
  opening_begin(0);
}

static bool is_busy(int but) {
  for (int q = 0; q < PROCESSES; q++)
    if (q != but && model.in[q] && model.in[q] != 'w' && engine_lives(q))
      return true;
  return false;
}

/* Has p's wait looked at the word? */
static bool has_looked(int p) {
  return w.processes[p].op_steps > 1;
}

static void set(int p) {
  unsigned looked[PROCESSES];
  model.in[p] = 's';
  data_store(p, data_load(p) + 1);
  for (int q = 0; q < PROCESSES; q++)
    looked[q] = model.in[q] == 'w' && has_looked(q) ? model.wait[q] : 0;
  model.begun++;
  unsigned changes = model.changes;
  bool idle = !is_busy(p);
  int err = shmseg_event_set(&handles[p]);
  model.in[p] = 0;
  model.done++;
  w.processes[p].last = err;
  expect(err == 0, "set: %d", err);
  for (int q = 0; q < PROCESSES; q++)
    model.owed[q] |= looked[q] != 0 && looked[q] == model.wait[q];
  model.set = idle && changes == model.changes ? 1 : -1;
}

static void clear(int p) {
  bool idle = !is_busy(p);
  unsigned changes = model.changes;
  model.in[p] = 'c';
  int err = shmseg_event_clear(&handles[p]);
  model.in[p] = 0;
  model.set = idle && changes == model.changes ? 0 : -1;
  w.processes[p].last = err;
  expect(err == 0, "clear: %d", err);
}

static void ask(int p) {
  bool is = false, idle = !is_busy(p) && model.set >= 0;
  unsigned changes = model.changes;
  int err = shmseg_event_is_set(&handles[p], &is);
  w.processes[p].last = err;
  expect(err == 0, "is_set: %d", err);
  expect(!idle || w.stale || changes != model.changes || is == model.set, "it is %s",
         is ? "set" : "clear");
}

/* Only one set was begun since: what it wrote before is seen. */
static bool is_data_seen(void) {
  for (int q = 0; q < PROCESSES; q++)
    if (data_load(q) != 0)
      return true;
  return false;
}

static void wait(int p, int64_t timeout) {
  uint32_t began = 0;
  unsigned begun = model.begun;
  bool was_set = model.set != 0 || begun != model.done;
  int64_t deadline = engine_deadline(p, timeout);
  int err;
  model.owed[p] = false;
  model.wait[p]++;
  model.in[p] = 'w';
  do
    err = shmseg_event_wait(&handles[p], &began, deadline);
  while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || (err == SHMSEG_TIMEOUT && timeout != SHMSEG_FOREVER), "wait: %d", err);
  expect(err == 0 || fake.now >= deadline, "a time-out before its time");
  expect(err == 0 || !model.owed[p], "a time-out, and it was set meanwhile");
  expect(err != 0 || was_set || w.stale || model.begun > begun,
         "the wait is over, and nobody has set it");
  if (err == 0 && !was_set && begun == 0 && model.begun == 1)
    expect(is_data_seen(), "what was written before the set is not seen behind the wait");
}

static void perform(int p, char op) {
  model.changes++;
  if (!opening_perform(p, op) && handles[p].object.segment) {
    switch (op) {
    case 's': set(p); break;
    case 'c': clear(p); break;
    case 'i': ask(p); break;
    case 'w': wait(p, SHMSEG_FOREVER); break;
    case 'W': wait(p, 30 * MILLISECOND); break;
    }
  }
  model.changes++;
}

static void died(int p) {
  model.changes++;
  model.done += model.in[p] == 's';
  if (model.in[p] == 's' || model.in[p] == 'c')
    model.set = -1;
  model.in[p] = 0;
}

static bool in_vain(int p) {
  return model.in[p] == 'w' && (model.owed[p] || (model.set == 1 && !is_busy(p)));
}

static const char *check(void) {
  static shmseg_event event;
  return opening_check(&event.object);
}

SCHEDULE(event, .kind = &shmseg_event_kind, .handles = handles);
