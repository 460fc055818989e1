/* SPDX-License-Identifier: MIT */
/* The rwlock under the scheduler.
 *
 * Operations: r read lock, R for 30 ms, q try; w write lock, W for 30 ms, v try, g write lock given
 * up at the first interruption; c critical section, u unlock, x close the handle, o and O open. */
#include <string.h>

#include "core/lock.h"
#include "core/owner.h"
#include "objects/header.h"
#include "schedule/opening.h"

enum {
  FREE = OPENING_STATES,
  WRITER_DEAD,
  DIRTY,
  READER_DEAD,
  READERS_FULL_DEAD, /* every slot has a dead reader */
  READERS_FULL,      /* all but one have the stranger, that one is dead */
};

#define SLOTS 128 /* offset of the slots, as rwlock.c says */

static const budget reading[] = { /* two readers have nothing to say to each other */
                                  { .preemptions = 2, .deaths = 1 },
                                  { .preemptions = 2, .stale = 1 },
                                  { .flips = 1 },
                                  { 0 }
};

static const budget usual[] = {
  /* a look at all slots is many steps */
  { .preemptions = 2, .deaths = 1 },
  { .preemptions = 1, .deaths = 2 },
  { .preemptions = 1, .stalls = 1 },
  { .preemptions = 2, .signals = 1 },
  { .flips = 1 },
  { .preemptions = 1, .stale = 2 },
  { .preemptions = 2, .stale = 1 },
  { 0 },
};

static const scenario scenarios[] = {
  { "a reader and a writer", { "rcu", "wcu" }, "wcurcu", FREE, 0, 0, usual },
  { "a reader and a writer, twice", { "rcurcu", "wcuwcu" }, "wcurcu", FREE, 0, 0, budgets_honest },
  { "two writers", { "wcu", "wcu" }, "rcuwcurcu", FREE, 0, 0, usual },
  { "two readers", { "rcu", "rcu" }, "wcurcu", FREE, 0, 0, reading },
  { "two readers and a writer", { "rcu", "rcu", "wcu" }, "wcurcu", FREE, 0, 0, budgets_of_three },
  { "two writers and a reader",
    { "wcu", "wcu", "rcu" },
    "rcuwcurcu",
    FREE,
    0,
    0,
    budgets_of_three },
  { "waiting for a time", { "Rcu", "Wcuwcu" }, "wcurcu", FREE, 0, 0, budgets_honest },
  { "a reader stays, a writer tries", { "rc", "vW" }, "wcurcu", FREE, 0, 0, budgets_honest },
  { "a writer gives up", { "rcurc", "gcu" }, "wcurcu", FREE, 0, 0, budgets_honest },
  { "a writer closes while it holds",
    { "wcx", "rcuwcu" },
    "rcuwcurcu",
    FREE,
    0,
    0,
    budgets_honest },
  { "a reader closes while it holds", { "rcx", "wcu" }, "rcuwcurcu", FREE, 0, 0, budgets_honest },
  { "the writer is dead", { "rcu", "wcu" }, "rcuwcurcu", WRITER_DEAD, 0, 0, budgets_honest },
  { "the writer is dead, readers come",
    { "rcu", "rcu" },
    "rcuwcurcu",
    WRITER_DEAD,
    0,
    0,
    budgets_honest },
  { "it was abandoned", { "wcu", "rcuq" }, "rcuwcurcu", DIRTY, 0, 0, budgets_honest },
  { "a reader is dead", { "wcu", "rcu" }, "wcurcu", READER_DEAD, 0, 0, budgets_honest },
  { "64 dead readers", { "rcu", "wcu" }, "wcurcu", READERS_FULL_DEAD, 0, 0, budgets_short },
  { "63 readers that stay and a dead one",
    { "rcu", "rcu" },
    "rcu",
    READERS_FULL,
    0,
    0,
    budgets_long },
  { "two build it", { "owcu", "orcu" }, "owcurcu", OPENING_ZERO, 0, 0, budgets_long },
};

static shmseg_rwlock handles[PROCESSES];

static struct {
  int writer;
  bool reads[PROCESSES];
  char in[PROCESSES];
  bool must, may; /* "abandoned" has to be, can be told, until a writer unlocks */
  unsigned changes;
  uint32_t data[2];
} model;

static void make(const scenario *s) {
  static shmseg_rwlock rwlock;
  uint32_t *words = (uint32_t *)(void *)block;
  uint32_t *slots = words + SLOTS / 4;
  if (!opening_made(s, &rwlock.object))
    return;
  if (s->start == WRITER_DEAD)
    words[SHMSEG_HEADER_SIZE / 4] = ID_DEAD;
  if (s->start == DIRTY)
    words[SHMSEG_HEADER_SIZE / 4] = SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY;
  if (s->start == READER_DEAD)
    slots[1] = ID_DEAD;
  for (int i = 0; i < SHMSEG_RWLOCK_READERS; i++)
    if (s->start == READERS_FULL_DEAD)
      slots[i] = i % 2 ? ID_DEAD : ID_DEAD_TOO;
    else if (s->start == READERS_FULL)
      slots[i] = i == 3 ? ID_DEAD : ID_STRANGER;
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  model.writer = NOBODY;
  model.must = s->start == WRITER_DEAD || s->start == DIRTY;
  if (s->start == WRITER_DEAD || s->start >= READER_DEAD)
    engine_excuse();
  opening_begin(0);
}

/* A living reader but p; NOBODY. */
static int reader_but(int p) {
  for (int q = 0; q < PROCESSES; q++)
    if (q != p && model.reads[q])
      return q;
  return NOBODY;
}

static void told(int p, bool abandoned) {
  expect(!model.must || abandoned, "%d is not told that it was abandoned", p);
  expect(model.must || model.may || !abandoned, "%d is told that it was abandoned", p);
  model.must |= abandoned;
}

static bool is_busy(int but) {
  bool busy = model.writer != NOBODY || reader_but(but) != NOBODY;
  for (int q = 0; q < PROCESSES; q++)
    busy |= q != but && model.in[q] && engine_lives(q);
  return busy || w.scenario->start == READERS_FULL;
}

static int call(int p, char op, int64_t deadline, bool *abandoned) {
  bool reads = op == 'r' || op == 'R' || op == 'q';
  int err;
  do {
    err = reads ? shmseg_rwlock_read_lock(&handles[p], deadline, abandoned)
                : shmseg_rwlock_write_lock(&handles[p], deadline, abandoned);
    if (err == SHMSEG_INTERRUPTED && op == 'g') {
      shmseg_rwlock_cancel(&handles[p]);
      return SHMSEG_TIMEOUT;
    }
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

static void lock(int p, char op) {
  bool abandoned = false, idle = !is_busy(p), reads = op == 'r' || op == 'R' || op == 'q';
  unsigned changes = model.changes;
  int64_t timeout = op == 'R' || op == 'W'   ? 30 * MILLISECOND
                    : op == 'q' || op == 'v' ? 0
                                             : SHMSEG_FOREVER;
  int64_t deadline = engine_deadline(p, timeout);
  model.in[p] = reads ? 'r' : 'w';
  int err = call(p, op, deadline, &abandoned);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || (err == SHMSEG_TIMEOUT && (timeout != SHMSEG_FOREVER || op == 'g')),
         "lock %c: %d", op, err);
  expect(err == 0 || op == 'g' || !idle || w.stale || changes != model.changes,
         "a time-out, and nobody has it");
  expect(err == 0 || op == 'g' || fake.now >= deadline, "a time-out before its time");
  if (err != 0)
    return;
  expect(model.writer == NOBODY, "%d has it, and the writer %d", p, model.writer);
  expect(reads || reader_but(p) == NOBODY, "%d writes, and %d reads", p, reader_but(p));
  told(p, abandoned);
  if (reads)
    model.reads[p] = true;
  else
    model.writer = p;
}

static void unlock(int p) {
  bool writes = model.writer == p;
  model.in[p] = writes ? 'U' : 'u';
  model.reads[p] = false;
  if (writes) {
    model.may = model.must || model.may; /* until it is done */
    model.must = false;
    model.writer = NOBODY;
  }
  unsigned changes = model.changes;
  int err = shmseg_rwlock_unlock(&handles[p]);
  model.in[p] = 0;
  if (writes && changes == model.changes)
    model.may = false;
  w.processes[p].last = err;
  expect(err == 0, "unlock: %d", err);
}

/* Writers change two words, one after the other. */
static void section(int p) {
  uint32_t first = data_load(0), second = data_load(1);
  expect(first == model.data[0] && second == model.data[1],
         "%d finds %u and %u in the data, not %u and %u", p, first, second, model.data[0],
         model.data[1]);
  for (int i = 0; i < 2 && model.writer == p; i++) {
    data_store(i, model.data[i] + 1);
    model.data[i]++;
  }
}

static void give_up(int p) {
  model.in[p] = 'x';
  model.reads[p] = false;
  if (model.writer == p) {
    model.writer = NOBODY;
    model.must = true;
  }
  shmseg_rwlock_close(&handles[p]);
  model.in[p] = 0;
}

static void perform(int p, char op) {
  bool mine = shmseg_rwlock_holds(&handles[p]);
  model.changes++;
  if (!opening_perform(p, op) && handles[p].object.segment) {
    if (strchr("rRqwWvg", op) && !mine)
      lock(p, op);
    else if (op == 'x')
      give_up(p);
    else if (op == 'c' && mine)
      section(p);
    else if (op == 'u' && mine)
      unlock(p);
  }
  model.changes++;
}

static void died(int p) {
  model.changes++;
  if (model.writer == p) {
    model.writer = NOBODY;
    model.must = true;
  } else if (model.in[p] == 'w' || model.in[p] == 'U') {
    model.may = true;
  }
  model.reads[p] = false;
  model.in[p] = 0;
}

/* Writers go first; what a stopped one is about to do is not known. */
static bool in_vain(int p) {
  bool reads = model.in[p] == 'r';
  if (!strchr("rw", model.in[p]) || !model.in[p] || model.writer != NOBODY)
    return false;
  for (int q = 0; q < PROCESSES; q++)
    if ((w.processes[q].state == STALLED && model.in[q]) || (reads && q != p && model.in[q] == 'w'))
      return false;
  return reads ? w.scenario->start != READERS_FULL || reader_but(p) == NOBODY
               : reader_but(p) == NOBODY;
}

static const char *check(void) {
  static shmseg_rwlock rwlock;
  return opening_check(&rwlock.object);
}

SCHEDULE(rwlock, .kind = &shmseg_rwlock_kind, .handles = handles);
