/* SPDX-License-Identifier: MIT */
/* Objects of different kinds that are built in one place: one of them gets it.
 *
 * Operations: m a mutex, M create it only, e an event, p a semaphore of one permit, P of two. */
#include "objects/header.h"

#include <errno.h>
#include <string.h>

#include "options.h"
#include "schedule/opening.h"

enum { HALF_SEMAPHORE = OPENING_STATES, DATA_THERE, DATA_LIKE_INIT, DATA_BEHIND };

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
  { "one permit or two, behind one who was half done with five",
    { "p", "P" },
    "pP",
    HALF_SEMAPHORE,
    0,
    0,
    budgets_long },
  { "data stay as they are", { "m", "e" }, "me", DATA_THERE, 0, 0, budgets_opening },
  { "data that look like a builder's mark stay as they are",
    { "m", "e" },
    "me",
    DATA_LIKE_INIT,
    0,
    0,
    budgets_opening },
  { "data behind a builder's mark and zeroes stay as they are",
    { "m", "e" },
    "me",
    DATA_BEHIND,
    0,
    0,
    budgets_opening },
};

#define KINDS 4
#define DATUM 31 /* the word of an object's place that is looked at in the end */

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
  uint32_t *words = (uint32_t *)(void *)block;
  if (s->start <= HALF_SEMAPHORE) {
    bool is_mutex = s->start != HALF_SEMAPHORE;
    opening_make(is_mutex ? s->start : OPENING_HALF_BUILT,
                 is_mutex ? &shmseg_mutex_kind : &shmseg_semaphore_kind);
    return;
  }
  for (int i = s->start == DATA_BEHIND ? DATUM : 1; i < 32; i++)
    words[i] = 0x01010101u * (uint32_t)i;
  words[0] = s->start == DATA_THERE ? 0x01010101u : SHMSEG_HEADER_INIT | ID_DEAD;
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
  case 'e':
    return shmseg_event_open(&handles[p].event, shmseg_segment_whole(segment), mode, NULL, created);
  case 'p':
    return shmseg_semaphore_open(&handles[p].semaphore, shmseg_segment_whole(segment), mode,
                                 OF_PERMITS(1), created);
  case 'P':
    return shmseg_semaphore_open(&handles[p].semaphore, shmseg_segment_whole(segment), mode,
                                 OF_PERMITS(2), created);
  default:
    return shmseg_mutex_open(&handles[p].mutex, shmseg_segment_whole(segment), mode, NULL, created);
  }
}

static bool is_data(void) {
  return w.scenario->start >= DATA_THERE;
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
  memcpy(&word, block + 4 * DATUM, sizeof word);
  if (is_data())
    return word == 0x01010101u * DATUM ? NULL : "somebody's data have been cleared";
  if (w.processes[FRESH].started && model.kinds == 0)
    return "nobody has got it";
  static shmseg_segment segment;
  static shmseg_mutex mutex;
  engine_segment(&segment);
  if (!(model.kinds & 1) ||
      shmseg_mutex_open(&mutex, shmseg_segment_whole(&segment), SHMSEG_WRITE, NULL, NULL) != 0)
    return NULL;
  return shmseg_mutex_check(&mutex);
}

SCHEDULE(object, .kind = NULL);
