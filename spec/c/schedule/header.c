/* SPDX-License-Identifier: MIT */
/* Objects of different kinds that are built in one place: one of them gets it.
 *
 * Operations: m a mutex, M create it only, e an event, p a semaphore of one permit, P of two. */
#include "shared/header.h"

#include <errno.h>
#include <string.h>

#include "schedule/opening.h"

enum { DATA_THERE = OPENING_STATES, DATA_LIKE_INIT };

static const scenario scenarios[] = {
  { "a mutex or an event", { "mm", "ee" }, "me", OPENING_ZERO, 0, 0, budgets_opening },
  { "a mutex for one of two", { "M", "M" }, "me", OPENING_ZERO, 0, 0, budgets_opening },
  { "one permit or two", { "p", "P" }, "pP", OPENING_ZERO, 0, 0, budgets_long },
  { "three kinds", { "m", "e", "p" }, "mep", OPENING_ZERO, 0, 0, budgets_short },
  { "behind a dead builder", { "m", "e" }, "me", OPENING_DEAD_BUILDER, 0, 0, budgets_opening },
  { "behind one who was half done with a mutex",
    { "m", "e" },
    "me",
    OPENING_HALF_BUILT,
    0,
    0,
    budgets_opening },
  { "data stay as they are", { "m", "e" }, "me", DATA_THERE, 0, 0, budgets_opening },
  { "data that look like a builder's mark stay as they are",
    { "m", "e" },
    "me",
    DATA_LIKE_INIT,
    0,
    0,
    budgets_opening },
};

#define KINDS 4

static struct {
  shmseg_mutex mutex;
  shmseg_event event;
  shmseg_semaphore semaphore;
} handles[PROCESSES];

static struct {
  int created;
  unsigned kinds; /* bits of those that somebody has got */
} model;

static void make(const scenario *s) {
  if (s->start < OPENING_STATES) {
    opening_make(s->start, SHMSEG_KIND_MUTEX);
    return;
  }
  uint32_t *words = (uint32_t *)(void *)block;
  for (int i = 0; i < 32; i++)
    words[i] = 0x01010101u * (uint32_t)(i + 1);
  if (s->start == DATA_LIKE_INIT)
    words[0] = SHMSEG_HEADER_INIT | ID_DEAD;
}

static void begin(const scenario *s) {
  (void)s;
  memset(&model, 0, sizeof model);
  memset(handles, 0, sizeof handles);
}

static int open(int p, char op, bool *created) {
  shmseg_segment *segment = &w.processes[p].segment;
  shmseg_mode mode = op == 'M' ? SHMSEG_CREATE_ONLY : SHMSEG_CREATE;
  switch (op) {
  case 'e': return shmseg_event_open(&handles[p].event, segment, 0, DATA, mode, created);
  case 'p': return shmseg_semaphore_open(&handles[p].semaphore, segment, 0, DATA, mode, 1, created);
  case 'P': return shmseg_semaphore_open(&handles[p].semaphore, segment, 0, DATA, mode, 2, created);
  default: return shmseg_mutex_open(&handles[p].mutex, segment, 0, DATA, mode, created);
  }
}

static bool is_data(void) {
  return w.scenario->start >= OPENING_STATES;
}

static void perform(int p, char op) {
  bool created = false;
  int err = open(p, op, &created);
  unsigned kind = 1u << (op == 'e' ? 1 : op == 'p' ? 2 : op == 'P' ? 3 : 0);
  w.processes[p].last = err;
  model.created += created && err == 0;
  if (err == 0)
    model.kinds |= kind;
  expect(err == 0 || err == SHMSEG_INCOMPATIBLE || (err == SHMSEG_TIMEOUT && w.excused) ||
             (err == EEXIST && op == 'M'),
         "opening with %c: %d", op, err);
  expect(model.created <= 1, "two have created it");
  expect((model.kinds & (model.kinds - 1)) == 0, "two kinds in one place");
  expect(err != SHMSEG_INCOMPATIBLE || is_data() || !(model.kinds & kind),
         "it is what it is not compatible with");
  expect(op != 'M' || w.excused || model.created > 0 || is_data(), "nobody has created it");
}

static void died(int p) {
  (void)p;
}

static bool in_vain(int p) {
  (void)p;
  return false;
}

static const char *check(void) {
  uint32_t word;
  memcpy(&word, block + 4, sizeof word);
  if (is_data())
    return word == 0x02020202u ? NULL : "somebody's data have been cleared";
  if (w.processes[FRESH].started && model.kinds == 0)
    return "nobody has got it";
  static shmseg_segment segment;
  static shmseg_mutex mutex;
  engine_segment(&segment);
  if (!(model.kinds & 1) || shmseg_mutex_open(&mutex, &segment, 0, DATA, SHMSEG_WRITE, NULL) != 0)
    return NULL;
  return shmseg_mutex_check(&mutex);
}

const structure schedule_header = { "header", scenarios, sizeof scenarios / sizeof scenarios[0],
                                    make,     begin,     perform,
                                    died,     in_vain,   check };
