/* SPDX-License-Identifier: MIT */
/* The mutex under the scheduler.
 *
 * Operations: l lock, L lock for 30 ms, t try, c critical section, u unlock, x close the handle,
 * X give up all that the segment handle holds, and those of opening.h. */
#include <string.h>

#include "core/lock.h"
#include "core/owner.h"
#include "objects/header.h"
#include "schedule/opening.h"

enum {
  FREE = OPENING_STATES,
  OWNER_DEAD,
  OWNER_DEAD_WAITERS,
  DIRTY,
  OWN_OLD_ID, /* process 0 will draw the identity that stands in the word */
  STRANGER    /* somebody has it who does not give it back */
};

static const scenario scenarios[] = {
  { "two lock and unlock", { "lcu", "lcu" }, "lculu", FREE, 0, 0, NULL },
  { "two lock and unlock twice", { "lculu", "lcu" }, "lculu", FREE, 0, 0, budgets_honest },
  { "two that spin", { "lcu", "lcu" }, "lculu", FREE, 0, 2, budgets_honest },
  { "three lock and unlock", { "lcu", "lcu", "lcu" }, "lculu", FREE, 0, 0, budgets_of_three },
  { "one waits for a time", { "lculcu", "Lcu" }, "lculu", FREE, 0, 0, NULL },
  { "one tries", { "lcu", "tcutcu" }, "lculu", FREE, 0, 0, NULL },
  { "one closes its handle while it holds", { "lcx", "lculcu" }, "lculu", FREE, 0, 0, NULL },
  { "one closes its segment while it holds",
    { "lcX", "lcu", "Lcu" },
    "lculu",
    FREE,
    0,
    0,
    budgets_of_three },
  { "the owner is dead", { "lcu", "lculcu" }, "lculu", OWNER_DEAD, 0, 0, NULL },
  { "the owner is dead, three come",
    { "lcu", "lcu", "lcu" },
    "lculu",
    OWNER_DEAD,
    0,
    0,
    budgets_of_three },
  { "owner and waiters are dead", { "tcu", "lcu" }, "lculu", OWNER_DEAD_WAITERS, 0, 0, NULL },
  { "it was abandoned", { "lcu", "tcu" }, "lculu", DIRTY, 0, 0, NULL },
  { "an identity is drawn again", { "lculu" }, "lculu", OWN_OLD_ID, 0, 0, NULL },
  { "a stranger keeps it", { "L", "tL" }, NULL, STRANGER, 0, 0, NULL },
  { "two build it", { "olcu", "olcu" }, "olculu", OPENING_ZERO, 0, 0, budgets_opening },
  { "the builder is dead",
    { "olcu", "Olcu" },
    "olculu",
    OPENING_DEAD_BUILDER,
    0,
    0,
    budgets_opening },
  { "the builder died half way",
    { "olcu", "jolcu" },
    "olculu",
    OPENING_HALF_BUILT,
    0,
    0,
    budgets_opening },
  { "three build it", { "olu", "Olu", "olu" }, "olculu", OPENING_ZERO, 0, 0, budgets_short },
};

static shmseg_mutex handles[PROCESSES];

static struct {
  int holder;
  char in[PROCESSES]; /* the operation that is going on */
  bool must, may;     /* the next owner has to be, can be told "abandoned" */
  unsigned changes;
  uint32_t data;
} model;

static void make(const scenario *s) {
  static shmseg_mutex mutex;
  if (!opening_made(s, &mutex.object))
    return;
  const uint32_t words[] = { SHMSEG_LOCK_FREE,
                             ID_DEAD,
                             ID_DEAD | SHMSEG_LOCK_WAITERS,
                             SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY,
                             ID_OF(0),
                             ID_STRANGER };
  memcpy(block + SHMSEG_HEADER_SIZE, &words[s->start - FREE], sizeof words[0]);
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  model.holder = s->start == STRANGER ? PROCESSES : NOBODY;
  model.must = s->start == OWNER_DEAD || s->start == OWNER_DEAD_WAITERS || s->start == DIRTY ||
               s->start == OWN_OLD_ID;
  if (model.must)
    engine_excuse();
  opening_begin(0);
}

static void took(int p, bool abandoned) {
  expect(model.holder == NOBODY, "%d and %d own it", p, model.holder);
  expect(!model.must || abandoned, "%d is not told that it was abandoned", p);
  expect(model.must || model.may || !abandoned, "%d is told that it was abandoned", p);
  model.must = model.may = false;
  model.holder = p;
}

/* Is anybody at it, or has it? */
static bool is_busy(int but) {
  bool busy = model.holder != NOBODY;
  for (int q = 0; q < PROCESSES; q++)
    busy |= q != but && model.in[q] && engine_lives(q);
  return busy;
}

static void lock(int p, int64_t timeout) {
  bool abandoned = false, idle = !is_busy(p);
  unsigned changes = model.changes;
  int64_t deadline = engine_deadline(p, timeout);
  int err;
  model.in[p] = 'l';
  do
    err = shmseg_mutex_lock(&handles[p], deadline, &abandoned);
  while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || (err == SHMSEG_TIMEOUT && timeout != SHMSEG_FOREVER), "lock: %d", err);
  expect(err == 0 || !idle || changes != model.changes, "a time-out, and nobody has it");
  expect(err == 0 || fake.now >= deadline, "a time-out before its time");
  if (err == 0)
    took(p, abandoned);
}

static void unlock(int p) {
  model.in[p] = 'u';
  model.holder = NOBODY;
  int err = shmseg_mutex_unlock(&handles[p]);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0, "unlock: %d", err);
}

static void section(int p) {
  uint32_t data = data_load(0);
  expect(data == model.data, "%d finds %u in the data, not %u", p, data, model.data);
  data_store(0, data + 1);
  model.data = data + 1;
}

static void give_up(int p, char op) {
  model.in[p] = op;
  if (model.holder == p) {
    model.holder = NOBODY;
    model.must = true;
  }
  if (op == 'x')
    shmseg_mutex_close(&handles[p]);
  else
    shmseg_owner_abandon_all(&w.processes[p].segment);
  model.in[p] = 0;
}

static void perform(int p, char op) {
  bool mine = shmseg_mutex_holds(&handles[p]);
  model.changes++;
  if (!opening_perform(p, op) && !handles[p].object.segment)
    return;
  if (op == 'l' || op == 'L' || op == 't')
    lock(p, op == 'l' ? SHMSEG_FOREVER : op == 'L' ? 30 * MILLISECOND : 0);
  else if (op == 'x' || op == 'X')
    give_up(p, op);
  else if (op == 'c' && mine)
    section(p);
  else if (op == 'u' && mine)
    unlock(p);
  model.changes++;
}

static void died(int p) {
  model.changes++;
  if (model.holder == p) {
    model.holder = NOBODY;
    model.must = true;
  } else if (model.in[p]) {
    model.may = true;
  }
  model.in[p] = 0;
}

static bool in_vain(int p) {
  if (model.in[p] != 'l' || model.holder != NOBODY)
    return false;
  for (int q = 0; q < PROCESSES; q++)
    if (w.processes[q].state == STALLED && model.in[q])
      return false; /* it may have it, or have been woken for it */
  return true;
}

static const char *check(void) {
  static shmseg_mutex mutex;
  return opening_check(&mutex.object);
}

SCHEDULE(mutex, .kind = &shmseg_mutex_kind, .handles = handles);
