/* SPDX-License-Identifier: MIT */
/* The queue under the scheduler: the scenarios, and the states that they begin with.
 *
 * Operations: p push, b push a longer message, f push one as long as can be, P push for 30 ms, t try
 * to push; m push several, u try to; g take, G take for 30 ms, y try to take, d take all that is
 * there, z take one with too small a buffer first, v take as many as fit into 40 bytes, w take three
 * (see queue_go_on()); c take a batch as the binding does, x try to, k claim what was looked at once;
 * s shut it, n count, and those of opening.h. A number behind m, u, g, G, y, c, x or k says how many;
 * none is one. */
#include <string.h>

#include "core/lock.h"
#include "nouns/queue/schedule.h"
#include "schedule/opening.h"

enum {
  EMPTY = OPENING_STATES,
  ONE,
  FULL,
  THREE,     /* in a wide ring, which is full then */
  WRAP,      /* empty; the next message wraps behind its head */
  WRAP_FULL, /* of one message that wraps */
  DISGUISED, /* two, whose bytes look like sizes: what is read behind an overtaken one ends */
  GAPLESS,   /* within the second, or with the last byte of it */
  SLEEPERS_DEAD,
  PRODUCER_DEAD, /* half way */
  SHUT           /* with a message */
};

enum { NARROW_RING, WIDE_RING };

/* With strangers. */
static const budget strangers[] = {
  { .preemptions = 2 }, { .preemptions = 1, .flips = 1 }, { .flips = 1, .deaths = 1 }, { 0 }
};

/* Where a preemption in a copy is what counts. */
static const budget refilling[] = { { .preemptions = 2 },
                                    { .preemptions = 1, .deaths = 1 },
                                    { .stalls = 1 },
                                    { .preemptions = 1, .stale = 1 },
                                    { 0 } };

/* Where it happens by one preemption, or never. */
static const budget one_preemption[] = { { .preemptions = 1 }, { 0 } };

static const scenario scenarios[] = {
  { "one pushes, one takes", { "pb", "gg" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "one pushes, one takes, three times", { "ppp", "ggg" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "two that spin", { "pp", "gg" }, "dpgd", ONE, 0, 2, budgets_many },
  { "two that spin, several at once", { "m2m2", "ggggg" }, "dpgd", ONE, 0, 2, budgets_crowd },
  { "two push and take", { "pg", "bg" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "two push, one takes", { "p", "b", "gg" }, "dpgd", EMPTY, 0, 0, budgets_crowd },
  { "one pushes, two take", { "pp", "g", "g" }, "dpgd", EMPTY, 0, 0, budgets_crowd },
  { "two push twice, one takes all", { "pp", "bb", "gggg" }, "dpgd", EMPTY, 0, 0, budgets_short },
  { "it is full, one pushes, one takes", { "pb", "gg" }, "dpgd", FULL, 0, 0, budgets_many },
  { "it is full, two push, one takes", { "p", "p", "gg" }, "dpgd", FULL, 0, 0, budgets_crowd },
  { "it is full, two take", { "g", "y", "p" }, "dpgd", FULL, 0, 0, budgets_of_three },
  { "two take one each", { "g", "g" }, "dpgd", FULL, 0, 0, NULL },
  { "a message that wraps", { "b", "gd" }, "dpgd", WRAP, 0, 0, strangers },
  { "one that fills it, and wraps", { "fp", "gg" }, "dpgd", WRAP_FULL, 0, 0, budgets_many },
  { "one that wraps is taken", { "g", "p" }, "dpgd", WRAP_FULL, 0, 0, NULL },
  { "trying", { "ttt", "yy" }, "dpgd", ONE, 0, 0, budgets_honest },
  { "two try to take", { "yp", "y" }, "dpgd", ONE, 0, 0, budgets_honest },
  { "two try, and there is always one", { "pgpg", "y" }, "dpgd", ONE, 0, 0, budgets_many },
  { "waiting for room for a time", { "PP", "yG" }, "dpgd", FULL, 0, 0, budgets_many },
  { "waiting for messages for a time", { "GG", "tp" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "all at once", { "pbp", "dd" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "two take all at once", { "pp", "d", "d" }, "dpgd", ONE, 0, 0, budgets_crowd },
  { "a buffer that is too small", { "bp", "zz" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "counting", { "pbp", "ngn" }, "dpgd", WRAP, 0, 0, budgets_many },
  { "one counts, two take and push", { "n", "d", "b" }, "dpgd", FULL, 0, 0, budgets_crowd },
  { "one shuts it, one pushes", { "pp", "sgg" }, "dpgd", EMPTY, 0, 0, NULL },
  { "one shuts it, one takes", { "ggg", "ps" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "one shuts it, one waits for room", { "p", "s" }, "dpgd", FULL, 0, 0, NULL },
  { "one shuts it, one pushes, one takes", { "pp", "gg", "s" }, "dpgd", ONE, 0, 0, budgets_crowd },
  { "it is shut", { "pg", "gs" }, "dpgd", SHUT, 0, 0, NULL },
  { "sleepers have died", { "pg", "gp" }, "dpgd", SLEEPERS_DEAD, 0, 0, budgets_many },
  { "a producer has died", { "pg", "gp" }, "dpgd", PRODUCER_DEAD, 0, 0, budgets_many },
  { "it has died, and one shuts it", { "pg", "sg" }, "dpgd", PRODUCER_DEAD, 0, 0, budgets_many },
  { "two build it", { "op", "og" }, "odpgd", OPENING_ZERO, 0, 0, budgets_long },
  { "the builder died half way", { "op", "jg" }, "odpgd", OPENING_HALF_BUILT, 0, 0, budgets_long },

  /* one that takes several, beside one that takes one */
  { "a drainer, a popper", { "g3", "g" }, "dm3d", THREE, WIDE_RING, 0, budgets_honest },
  { "a drainer, a popper of two", { "g3", "gg" }, "dm3d", THREE, WIDE_RING, 0, budgets_many },
  { "a drainer, a popper of all", { "y3", "ggg" }, "dm3d", THREE, WIDE_RING, 0, budgets_many },
  { "!a failed swap is tried again for the rest",
    { "w", "gp" },
    NULL,
    THREE,
    WIDE_RING,
    0,
    one_preemption },
  { "a drainer, a hot popper", { "g3", "ypypy" }, "dm3d", THREE, WIDE_RING, 0, refilling },
  { "a drainer with little room, a popper",
    { "v", "gp" },
    "dm3vd",
    THREE,
    WIDE_RING,
    0,
    budgets_many },
  { "a buffer that is too small for what comes",
    { "z", "ggb" },
    "dm3d",
    THREE,
    WIDE_RING,
    0,
    refilling },
  { "two drainers", { "g2", "g3" }, "dm3d", THREE, WIDE_RING, 0, budgets_honest },
  { "a drainer, a popper, a producer that wraps",
    { "g2", "g", "b" },
    "dm3d",
    THREE,
    WIDE_RING,
    0,
    budgets_of_three },
  { "a drainer, a popper who refills it",
    { "g3", "gpgb" },
    "dm3d",
    THREE,
    WIDE_RING,
    0,
    refilling },
  { "what looks like the size of a message",
    { "g3", "gp" },
    "dm3d",
    DISGUISED,
    WIDE_RING,
    0,
    budgets_many },
  { "what looks like messages up to the end",
    { "g3", "gp" },
    "dm3d",
    GAPLESS,
    WIDE_RING,
    0,
    budgets_many },
  { "drainers sleep", { "g2", "g", "m2p" }, "dm3d", EMPTY, WIDE_RING, 0, budgets_short },
  { "a drainer lets producers in", { "g2", "p", "p" }, "dpgd", FULL, 0, 0, budgets_crowd },
  { "a drainer and a popper, it is shut",
    { "y3y", "ys" },
    "dd",
    THREE,
    WIDE_RING,
    0,
    budgets_many },

  /* several that are pushed at once */
  { "two are pushed, one takes", { "m2", "gg" }, "dm2d", EMPTY, 0, 0, budgets_many },
  { "two and two are pushed, two taken",
    { "m2m2", "g2g2" },
    "dm3d",
    EMPTY,
    WIDE_RING,
    0,
    budgets_many },
  { "three are pushed in pieces", { "m3", "g2g" }, "dm2d", EMPTY, 0, 0, budgets_many },
  { "three are pushed, one wraps", { "m3", "g3" }, "dm3d", WRAP, WIDE_RING, 0, strangers },
  { "two push several", { "m2", "m3", "g3gg" }, "dm3d", EMPTY, WIDE_RING, 0, budgets_short },
  { "two push several, and try", { "u2", "u3" }, "dm3d", EMPTY, WIDE_RING, 0, budgets_honest },
  { "several are pushed, one shuts it", { "m3", "sg3" }, "dd", EMPTY, WIDE_RING, 0, NULL },
  { "several are pushed in pieces, one shuts it", { "m3", "gsg" }, "dd", ONE, 0, 0, budgets_many },
  { "several wait for room, one shuts it", { "m2", "gs" }, "dd", FULL, 0, 0, budgets_many },
  { "several wait for room, one takes", { "m2", "g2g" }, "dm2d", FULL, 0, 0, budgets_many },
  { "several are tried", { "u3u2", "yd" }, "dm2d", ONE, 0, 0, budgets_honest },
  { "several, a producer has died", { "m2", "g2" }, "dm2d", PRODUCER_DEAD, 0, 0, budgets_many },

  /* a batch by hand */
  { "one pushes, one copies and claims", { "pb", "cc" }, "dpcd", EMPTY, 0, 0, budgets_many },
  { "two copy and claim", { "cc", "cp" }, "dpcd", FULL, 0, 0, budgets_many },
  { "two copy and claim, one pushes", { "c", "c", "p" }, "dpcd", FULL, 0, 0, budgets_crowd },
  { "one copies and claims, one takes, one pushes",
    { "c", "g", "p" },
    "dpcd",
    FULL,
    0,
    0,
    budgets_crowd },
  { "one copies, one takes and refills", { "cc", "gpgb" }, "dpcd", FULL, 0, 0, refilling },
  { "one claims, strangers write", { "c", "gp" }, "dpcd", FULL, 0, 0, strangers },
  { "claiming what wraps", { "cc", "pb" }, "dpcd", WRAP, 0, 0, budgets_many },
  { "trying to claim", { "kx", "kt" }, "dpcd", ONE, 0, 0, NULL },
  { "one shuts it, one claims", { "ccc", "ps" }, "dpcd", ONE, 0, 0, budgets_many },
  { "it is shut, two claim", { "cx", "x" }, "dpcd", SHUT, 0, 0, NULL },
  { "one claims several, one takes", { "k3x", "gp" }, "dm3d", THREE, WIDE_RING, 0, budgets_many },
  { "two claim several", { "c2", "c3p" }, "dm3d", THREE, WIDE_RING, 0, refilling },
  { "claiming what looks like a message",
    { "c3", "gp" },
    "dm3c3d",
    DISGUISED,
    WIDE_RING,
    0,
    refilling },
  { "claiming what looks like messages up to the end",
    { "c3", "gp" },
    "dm3c3d",
    GAPLESS,
    WIDE_RING,
    0,
    refilling },
  { "one claims several, strangers write", { "c3", "g" }, "dpcd", THREE, WIDE_RING, 0, strangers },
};

/* --- starting states ---------------------------------------------------------------------- */

static void put(shmseg_queue *queue, size_t size) {
  unsigned char bytes[LEDGER_ROOM];
  ledger_write(NOBODY, 0, size, bytes);
  must(shmseg_queue_push(queue, bytes, size, 0) == 0, "pushing");
}

static void put_many(shmseg_queue *queue, int count) {
  while (count-- > 0)
    put(queue, SHORT);
}

static void put_disguised(shmseg_queue *queue, uint64_t like) {
  unsigned char bytes[LEDGER_ROOM];
  ledger_disguise(ledger_write(NOBODY, 0, 16, bytes), like, bytes);
  must(shmseg_queue_push(queue, bytes, 16, 0) == 0, "pushing");
}

static void make_state(shmseg_queue *queue, int start) {
  const uint64_t wrap = 2 * queue->ring - 8;
  switch (start) {
  case WRAP:
  case WRAP_FULL:
    block_put(HEAD, wrap);
    block_put(TAIL, wrap << 1);
    if (start == WRAP_FULL)
      put(queue, CAPACITY);
    break;
  case ONE:
  case SHUT: put_many(queue, 1); break;
  case FULL: put_many(queue, 2); break;
  case THREE: put_many(queue, 3); break;
  case DISGUISED: put_disguised(queue, 8), put_disguised(queue, 8); break;
  case GAPLESS: put_disguised(queue, 16), put_disguised(queue, 0); break;
  case SLEEPERS_DEAD:
    put_many(queue, 1);
    block_put32(MESSAGES, (uint32_t)block_word(MESSAGES) | SHMSEG_LOCK_WAITERS);
    block_put32(SPACE, (uint32_t)block_word(SPACE) | SHMSEG_LOCK_WAITERS);
    break;
  case PRODUCER_DEAD:
    put_many(queue, 1);
    block_put32(PRODUCERS, ID_DEAD | SHMSEG_LOCK_WAITERS);
    block_put(RING + queue_tail() % queue->ring, SHORT);
    block_put(RING + queue_tail() % queue->ring + 8, UINT64_C(0x3333333333333333));
    break;
  }
  must(start != SHUT || shmseg_queue_shutdown(queue) == 0, "shutting it");
}

static shmseg_object_options options;

static void make(const scenario *s) {
  static shmseg_queue queue;
  options.capacity = s->option == WIDE_RING ? WIDE : CAPACITY;
  ledger_clear();
  if (opening_made(s, &queue.object))
    make_state(&queue, s->start);
  ledger_keep();
}

static void begin(const scenario *s) {
  ledger_begin();
  if (s->start == PRODUCER_DEAD)
    engine_excuse();
  opening_begin(0);
  queue_model_begin(options.capacity);
}

/* --- operations --------------------------------------------------------------------------- */

static void perform_one(int p, char op) {
  const int count = w.processes[p].operand ? (int)w.processes[p].operand : 1;
  const uint64_t max = (uint64_t)count;
  switch (op) {
  case 'p': queue_push(p, SHORT, 1, SHMSEG_FOREVER); break;
  case 'b': queue_push(p, LONG, 1, SHMSEG_FOREVER); break;
  case 'f': queue_push(p, CAPACITY, 1, SHMSEG_FOREVER); break;
  case 'P': queue_push(p, SHORT, 1, 30 * MILLISECOND); break;
  case 't': queue_push(p, SHORT, 1, 0); break;
  case 'm': queue_push(p, SHORT, count, SHMSEG_FOREVER); break;
  case 'u': queue_push(p, SHORT, count, 0); break;
  case 'g': queue_take(p, LEDGER_BUFFER, max, SHMSEG_FOREVER); break;
  case 'G': queue_take(p, LEDGER_BUFFER, max, 30 * MILLISECOND); break;
  case 'y': queue_take(p, LEDGER_BUFFER, max, 0); break;
  case 'd': queue_take(p, LEDGER_BUFFER, ALL, 0); break;
  case 'v': queue_take(p, 40, ALL, SHMSEG_FOREVER); break;
  case 'w': queue_go_on(p); break;
  case 'z': queue_take_twice(p); break;
  case 'c': queue_pop(p, max, SHMSEG_FOREVER); break;
  case 'x': queue_pop(p, max, 0); break;
  case 'k': queue_claim(p, max); break;
  case 's': queue_shut(p); break;
  case 'n': queue_count(p); break;
  }
}

static void perform(int p, char op) {
  if (!opening_perform(p, op) && queue_handles[p].object.segment)
    perform_one(p, op);
}

static void died(int p) {
  queue_turns[p].what = 0;
  ledger_died(p);
}

static bool in_vain(int p) {
  return queue_in_vain(p);
}

static const char *check(void) {
  static shmseg_queue queue;
  const char *wrong = opening_check(&queue.object);
  return wrong || !queue.object.segment ? wrong : queue_model_check();
}

SCHEDULE(queue, .kind = &shmseg_queue_kind, .handles = queue_handles, .options = &options,
         .operands = "mugGycxk", .stored = queue_model_stored);
