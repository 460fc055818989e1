/* SPDX-License-Identifier: MIT */
/* The cell under the scheduler; option is the processes, as bits, whose mapping is read-only.
 *
 * Operations: s set, S set a shorter value, l a longer one, g get, G get where s and l have no room, c set if the version is still the one that was
 * seen last, w wait for another version and get it, W wait for 30 ms, v ask for the version, and
 * those of opening.h. */
#include <string.h>

#include "core/lock.h"
#include "objects/object.h"
#include "schedule/ledger.h"
#include "schedule/opening.h"

enum {
  EMPTY = OPENING_STATES,
  ONE,
  FOUR, /* all buffers have been used */
  SLEEPERS_DEAD,
  OWNER_DEAD,
  HALF_WRITTEN /* the owner died at the second value */
};

/* Offsets, as cell.c says. */
#define LOCK 64
#define VERSION 128
#define EVENTCOUNT 136
#define BUFFERS 192
#define BUFFER_SIZE 64

#define CAPACITY LEDGER_ROOM

/* A reader that stops while writers go round all buffers. */
static const budget overtaken[] = {
  { .preemptions = 2, .stale = 1 },  { .preemptions = 3 },
  { .preemptions = 2, .deaths = 1 }, { .preemptions = 1, .stalls = 1 },
  { .stalls = 1, .deaths = 1 },      { .preemptions = 1, .stale = 2 },
  { .preemptions = 1, .flips = 1 },  { 0 },
};

static const budget overtaken_soon[] = {
  { .preemptions = 2 }, { .preemptions = 1, .stale = 1 }, { .preemptions = 1, .deaths = 1 }, { 0 }
};

static const scenario scenarios[] = {
  { "one sets, one gets", { "sS", "gg" }, "gsg", EMPTY, 0, 0, NULL },
  { "a reader is overtaken", { "sSsS", "g" }, "gsg", ONE, 0, 0, overtaken },
  { "a reader is overtaken by two", { "sS", "sS", "g" }, "gsg", FOUR, 0, 0, budgets_of_three },
  { "a reader without room is overtaken", { "sSsl", "G" }, "gsg", ONE, 0, 0, overtaken_soon },
  { "two set and get", { "sg", "Sg" }, "gsg", FOUR, 0, 0, budgets_honest },
  { "two set, in view of one", { "s", "S", "ggg" }, "gsg", EMPTY, 0, 0, budgets_of_three },
  { "two compare and set", { "gcgc", "gcc" }, "gcg", ONE, 0, 0, budgets_honest },
  { "two compare and set from nothing", { "cvc", "cs" }, "gcg", EMPTY, 0, 0, NULL },
  { "one waits, one sets", { "w", "s" }, "gsg", EMPTY, 0, 0, NULL },
  { "one waits twice, one sets twice", { "ww", "sS" }, "gsg", ONE, 0, 0, budgets_honest },
  { "one waits, two set", { "ww", "s", "S" }, "gsg", EMPTY, 0, 0, budgets_of_three },
  { "two wait, one sets", { "w", "w", "s" }, "gsg", EMPTY, 0, 0, budgets_of_three },
  { "one waits for a time", { "WW", "sv" }, "gsg", EMPTY, 0, 0, budgets_honest },
  { "one that cannot write gets", { "sSsS", "gvg" }, "gsg", ONE, 2, 0, budgets_honest },
  { "one that cannot write waits", { "sS", "wW" }, "gsg", EMPTY, 2, 0, budgets_honest },
  { "sleepers have died", { "sw", "ws" }, "gsg", SLEEPERS_DEAD, 0, 0, budgets_honest },
  { "the writer is dead", { "s", "gS" }, "gsg", OWNER_DEAD, 0, 0, budgets_honest },
  { "the writer died half way", { "sg", "wg" }, "gsg", HALF_WRITTEN, 0, 0, budgets_honest },
  { "two build it", { "os", "ow" }, "osg", OPENING_ZERO, 0, 0, budgets_long },
  { "the builder died half way", { "osg", "jOg" }, "osg", OPENING_HALF_BUILT, 0, 0, budgets_long },
};

static shmseg_cell handles[PROCESSES];

static struct {
  char in[PROCESSES];
  uint64_t out;               /* the newest version that somebody was told of */
  uint64_t seen[PROCESSES];   /* the newest that each was told of */
  uint64_t awaits[PROCESSES]; /* a version other than this */
  uint64_t start;
} model;

static uint64_t version_now(void) {
  return block_word(VERSION) - 1;
}

static void make_state(shmseg_cell *cell, int start) {
  static const int values[] = { 0, 1, 4, 1, 2, 1 };
  unsigned char bytes[LEDGER_ROOM];
  for (int i = 0; i < values[start - EMPTY]; i++) {
    uint64_t version;
    int entry = ledger_write(NOBODY, 0, 16, bytes);
    must(shmseg_cell_set(cell, bytes, 16, &version) == 0, "setting it");
    ledger_done(entry, version);
  }
  if (start == SLEEPERS_DEAD)
    block_put32(EVENTCOUNT, (uint32_t)block_word(EVENTCOUNT) | SHMSEG_LOCK_WAITERS);
  if (start == OWNER_DEAD || start == HALF_WRITTEN)
    block_put32(LOCK, ID_DEAD | SHMSEG_LOCK_WAITERS);
  if (start == HALF_WRITTEN) {
    block_put(BUFFERS + 2 * BUFFER_SIZE, CAPACITY);
    block_put(BUFFERS + 2 * BUFFER_SIZE + 8, UINT64_C(0x3333333333333333));
  }
}

static void make(const scenario *s) {
  static shmseg_cell cell;
  ledger_clear();
  if (opening_made(s, &cell.object))
    make_state(&cell, s->start);
  ledger_keep();
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  ledger_begin();
  if (s->start >= OWNER_DEAD)
    engine_excuse();
  if (s->start >= EMPTY)
    model.start = model.out = version_now();
  opening_begin((unsigned)s->option);
}

/* p was told of that version. */
static void is_out(int p, uint64_t version) {
  expect(version >= model.seen[p], "version %llu after version %llu", (unsigned long long)version,
         (unsigned long long)model.seen[p]);
  model.seen[p] = version;
  model.out = version > model.out ? version : model.out;
}

#define ANY UINT64_MAX

static void set(int p, size_t size, uint64_t expected) {
  unsigned char bytes[LEDGER_ROOM];
  uint64_t version = 0, out = model.out;
  int entry = ledger_write(p, 0, size, bytes);
  model.in[p] = 's';
  int err = expected == ANY ? shmseg_cell_set(&handles[p], bytes, size, &version)
                            : shmseg_cell_cas(&handles[p], expected, bytes, size, &version);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || (err == SHMSEG_CHANGED && expected != ANY), "set: %d", err);
  if (err == 0) {
    expect(version > out, "version %llu is older than one that was out",
           (unsigned long long)version);
    expect(expected == ANY || version == expected + 1, "it was changed, and set all the same");
    ledger_done(entry, version);
  } else {
    expect(version != expected, "it was not changed, and not set");
    expect(version >= out, "the version is said to be %llu", (unsigned long long)version);
    ledger_refused(entry);
  }
  is_out(p, version);
}

/* The value of that version, where the version is known, has so many bytes. */
static void check_size(uint64_t version, size_t size) {
  for (int i = 1; i < ledger_count; i++)
    expect(ledger[i].number != version || ledger[i].size == size, "version %llu has %zu bytes",
           (unsigned long long)version, size);
}

static void get(int p, size_t room) {
  ledger_buffer buffer;
  uint64_t version = 0, out = model.out;
  size_t size = 0;
  ledger_wipe(&buffer);
  int err = shmseg_cell_get(&handles[p], buffer.bytes, room, &size, &version);
  w.processes[p].last = err;
  ledger_guard(&buffer);
  must((err != 0 && err != SHMSEG_TOO_SMALL) || size <= CAPACITY, "a value of %zu bytes", size);
  /* who was stopped may find that it was overtaken for too long */
  expect(err == 0 || err == SHMSEG_EMPTY || (err == SHMSEG_TIMEOUT && w.excused) ||
             (err == SHMSEG_TOO_SMALL && size > room),
         "get: %d", err);
  if (err == SHMSEG_TIMEOUT)
    return;
  version = err == SHMSEG_EMPTY ? 0 : version;
  expect(version >= out || w.stale, "version %llu is read, and %llu was out",
         (unsigned long long)version, (unsigned long long)out);
  if (err == SHMSEG_TOO_SMALL)
    check_size(version, size);
  if (err == 0)
    ledger_seen(0, buffer.bytes, size, version);
  is_out(p, version);
}

static void wait(int p, int64_t timeout) {
  uint64_t seen = model.seen[p], out = model.out;
  int64_t deadline = engine_deadline(p, timeout);
  int err;
  model.awaits[p] = seen;
  model.in[p] = 'w';
  do
    err = shmseg_cell_wait(&handles[p], seen, deadline);
  while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || (err == SHMSEG_TIMEOUT && timeout != SHMSEG_FOREVER), "wait: %d", err);
  expect(err == 0 || fake.now >= deadline, "a time-out before its time");
  expect(err == 0 || out == seen || w.stale, "a time-out, and there was another version");
  if (err != 0)
    return;
  get(p, LEDGER_BUFFER);
  expect(model.seen[p] > seen, "the wait is over, and there is no other version");
}

static void ask(int p) {
  uint64_t version = 0, out = model.out;
  int err = shmseg_cell_version(&handles[p], &version);
  w.processes[p].last = err;
  expect(err == 0, "version: %d", err);
  expect(version >= out || w.stale, "version %llu, and %llu was out", (unsigned long long)version,
         (unsigned long long)out);
  is_out(p, version);
}

static void perform(int p, char op) {
  if (!opening_perform(p, op) && handles[p].object.segment) {
    switch (op) {
    case 's': set(p, 16, ANY); break;
    case 'S': set(p, 12, ANY); break;
    case 'c': set(p, 16, model.seen[p]); break;
    case 'l': set(p, 20, ANY); break;
    case 'g': get(p, LEDGER_BUFFER); break;
    case 'G': get(p, 14); break;
    case 'v': ask(p); break;
    case 'w': wait(p, SHMSEG_FOREVER); break;
    case 'W': wait(p, 30 * MILLISECOND); break;
    }
  }
}

static void died(int p) {
  model.in[p] = 0;
  ledger_died(p);
}

static bool in_vain(int p) {
  int owner = block_owner(LOCK);
  if (block_is_asleep_on(p, LOCK))
    return owner == NOBODY || model.in[owner] != 's';
  expect(model.in[p] != 's', "a writer waits for something else than a writer");
  return model.in[p] == 'w' && version_now() != model.awaits[p];
}

/* Each value that was set has a version of its own, and there are no others. */
static const char *check_version(void) {
  uint64_t sets = version_now() - model.start;
  uint64_t done = (uint64_t)ledger_with(0, LEDGER_DONE),
           unsure = (uint64_t)ledger_with(0, LEDGER_UNSURE);
  for (int i = 1; i < ledger_count; i++)
    done -= ledger[i].writer == NOBODY;
  return sets >= done && sets <= done + unsure ? NULL : "a version too many or too few";
}

static const char *check(void) {
  static shmseg_cell cell;
  const char *wrong = opening_check(&cell.object);
  return wrong || !cell.object.segment ? wrong : check_version();
}

static const shmseg_object_options options = { .capacity = CAPACITY };

SCHEDULE(cell, .kind = &shmseg_cell_kind, .handles = handles, .options = &options);
