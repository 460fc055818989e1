/* SPDX-License-Identifier: MIT */
/* The scheduler under test: tiny structures with a known mistake, and without it.
 *
 * Operations: of one message, w writes it, r reads it until it is there; of one lock of 1 and 0,
 * l locks, u unlocks; s is told its operand. What option says is wrong with them. */
#include <string.h>

#include "core/lock.h"
#include "core/wait.h"
#include "core/word.h"
#include "schedule/schedule.h"

#undef memset

enum {
  MESSAGE_RELAXED,  /* the flag is stored with no order */
  MESSAGE_NO_FENCE, /* the reader's fence is missing */
  MESSAGE_FENCES,
  MESSAGE_RELEASE,
  STORE_LOAD_RELEASE, /* two who announce themselves, then look for the other */
  STORE_LOAD_ORDERED,
  STORE_LOAD_SWAP, /* in between they swap another word */
  STORE_LOAD_SWAP_ACQUIRE,
  REUSE_NO_FENCE, /* a word is overwritten after its version has moved */
  REUSE_FENCE,
  LOCK_NO_WAKE,
  LOCK_LOST_FLAG, /* the sleeper's flag stands beside the word */
  LOCK_GOOD,
  OPERANDS
};

static const budget light[] = { { .preemptions = 2, .stale = 2 }, { .preemptions = 2 }, { 0 } };

static const budget deep[] = { { .preemptions = 3 }, { 0 } };

static const scenario scenarios[] = {
  { "!a message published without release is found",
    { "w", "r" },
    NULL,
    0,
    MESSAGE_RELAXED,
    0,
    light },
  { "!a message read without acquire is found", { "w", "r" }, NULL, 0, MESSAGE_NO_FENCE, 0, light },
  { "a message behind two fences is whole", { "w", "r" }, NULL, 0, MESSAGE_FENCES, 0, light },
  { "a message published with release is whole", { "w", "r" }, NULL, 0, MESSAGE_RELEASE, 0, light },
  { "!two who store, then look, without full order are found",
    { "a", "a" },
    NULL,
    0,
    STORE_LOAD_RELEASE,
    0,
    light },
  { "two who store, then look, in full order see each other",
    { "a", "a" },
    NULL,
    0,
    STORE_LOAD_ORDERED,
    0,
    light },
  { "two who store, swap another word, then look in order see each other",
    { "a", "a" },
    NULL,
    0,
    STORE_LOAD_SWAP,
    0,
    light },
  { "!two who store, swap another word, then look without order are found",
    { "a", "a" },
    NULL,
    0,
    STORE_LOAD_SWAP_ACQUIRE,
    0,
    light },
  { "!memory reused without the fence before its stores is found",
    { "v", "g" },
    NULL,
    0,
    REUSE_NO_FENCE,
    0,
    light },
  { "memory reused behind a fence is noticed by its reader",
    { "v", "g" },
    NULL,
    0,
    REUSE_FENCE,
    0,
    light },
  { "!a lock that wakes nobody is found", { "lu", "lu" }, NULL, 0, LOCK_NO_WAKE, 0, light },
  { "!a flag beside the word is found", { "lulu", "lulu" }, NULL, 0, LOCK_LOST_FLAG, 0, deep },
  { "a lock that wakes is good", { "lulu", "lulu" }, NULL, 0, LOCK_GOOD, 0, light },
  { "an operation gets the operand that stands behind it",
    { "s7s12s", "s1" },
    NULL,
    0,
    OPERANDS,
    0,
    light },
};

#define WORD(i) ((uint32_t *)(void *)(block + 64 * (i)))

static struct {
  int holder;
  bool waits[PROCESSES], alone[PROCESSES];
  int taken[PROCESSES]; /* operands */
} model;

static void make(const scenario *s) {
  (void)s;
}

static void begin(const scenario *s) {
  (void)s;
  memset(&model, 0, sizeof model);
  model.holder = NOBODY;
}

static void write_message(int how) {
  store_relaxed(WORD(1), 7u);
  store_relaxed(WORD(2), 8u);
  if (how == MESSAGE_FENCES)
    fence_release();
  if (how == MESSAGE_RELAXED || how == MESSAGE_FENCES)
    store_relaxed(WORD(0), 1u);
  else
    store_release(WORD(0), 1u);
}

static void read_message(int how) {
  uint32_t is = how == MESSAGE_NO_FENCE || how == MESSAGE_FENCES ? load_relaxed(WORD(0))
                                                                 : load_acquire(WORD(0));
  if (!is)
    return;
  if (how == MESSAGE_FENCES)
    fence_acquire();
  uint32_t first = load_relaxed(WORD(1)), second = load_relaxed(WORD(2));
  expect(first == 7 && second == 8, "a message of %u and %u", first, second);
}

static void announce(int p, int how) {
  if (how == STORE_LOAD_ORDERED)
    store_ordered(WORD(p), 1u);
  else
    store_release(WORD(p), 1u);
  if (how == STORE_LOAD_SWAP || how == STORE_LOAD_SWAP_ACQUIRE)
    swap_ordered(WORD(2 + p), 1u);
  bool ordered = how == STORE_LOAD_ORDERED || how == STORE_LOAD_SWAP;
  uint32_t other = ordered ? load_ordered(WORD(1 - p)) : load_acquire(WORD(1 - p));
  model.alone[p] = !other;
  expect(!model.alone[0] || !model.alone[1], "both find themselves alone");
}

/* A version, and a value that belongs to it in place version & 1: only two places. */
static void write_versions(int how) {
  for (uint32_t version = 1; version <= 2; version++) {
    if (how == REUSE_FENCE)
      fence_release(); /* the store of the version before comes before the stores that follow */
    store_relaxed(WORD(1 + (version & 1)), version);
    store_release(WORD(0), version);
  }
}

static void read_version(void) {
  uint32_t version = load_acquire(WORD(0));
  uint32_t value = load_relaxed(WORD(1 + (version & 1)));
  fence_acquire();
  uint32_t after = load_relaxed(WORD(0));
  if (after ==
      version) /* of two places one may be overwritten while its version is the last but one */
    expect(value == version, "version %u with the value %u", version, value);
}

static void lock(int p, int how) {
  uint32_t seen = 0;
  model.waits[p] = true;
  while (!cas_ordered(WORD(0), &seen, 1)) {
    if (how == LOCK_LOST_FLAG)
      store_ordered(WORD(1), 1u);
    else if (seen == 1 && !cas_ordered(WORD(0), &seen, 2))
      continue;
    shmseg_wait_word(&w.processes[p].segment, WORD(0), how == LOCK_LOST_FLAG ? 1 : 2,
                     SHMSEG_FOREVER);
    seen = 0;
    if (how != LOCK_LOST_FLAG && cas_ordered(WORD(0), &seen, 2))
      break;
    seen = 0;
  }
  model.waits[p] = false;
  expect(model.holder == NOBODY, "%d and %d have it", p, model.holder);
  model.holder = p;
}

static void unlock(int how) {
  model.holder = NOBODY;
  if (how == LOCK_LOST_FLAG) {
    store_ordered(WORD(0), 0u);
    if (load_ordered(WORD(1))) {
      store_ordered(WORD(1), 0u);
      shmseg_wait_wake(WORD(0), 1);
    }
  } else if (swap_ordered(WORD(0), 0) == 2 && how == LOCK_GOOD) {
    shmseg_wait_wake(WORD(0), 1);
  }
}

static void take_operand(int p) {
  static const unsigned expected[][3] = { { 7, 12, 0 }, { 1 } };
  unsigned operand = w.processes[p].operand;
  expect(operand == expected[p][model.taken[p]++], "%d is given the operand %u", p, operand);
  store_ordered(WORD(0), operand);
}

static void perform(int p, char op) {
  int how = w.scenario->option;
  switch (op) {
  case 'w': write_message(how); break;
  case 'r': read_message(how); break;
  case 'a': announce(p, how); break;
  case 'v': write_versions(how); break;
  case 'g': read_version(); break;
  case 'l': lock(p, how); break;
  case 'u': unlock(how); break;
  case 's': take_operand(p); break;
  }
}

static void died(int p) {
  (void)p;
}

static bool in_vain(int p) {
  return model.waits[p] && model.holder == NOBODY;
}

static const char *check(void) {
  return NULL;
}

SCHEDULE(litmus, .operands = "s");
