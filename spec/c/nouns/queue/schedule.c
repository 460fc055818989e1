/* SPDX-License-Identifier: MIT */
/* The queue under the scheduler.
 *
 * Operations: p push, b push a longer message, f push one as long as can be, P push for 30 ms, t try
 * to push; g take one, G take one for 30 ms, y try to take one, d take all that is there, z take one
 * with too small a buffer first; c copy one and then claim it, or take one where that is not to be
 * had, x try to, k claim only; s shut it, n count, and those of opening.h. */
#include <string.h>

#include "core/lock.h"
#include "core/word.h"
#include "objects/object.h"
#include "schedule/ledger.h"
#include "schedule/opening.h"

enum {
  EMPTY = OPENING_STATES,
  ONE,
  FULL,
  WRAP,      /* empty; the next message wraps behind its head */
  WRAP_FULL, /* of one message that wraps */
  SLEEPERS_DEAD,
  BOTH_DEAD, /* of both locks, the producer half way */
  SHUT       /* with a message */
};

/* Offsets, as queue.c says. */
#define PRODUCERS 64
#define TAIL 128
#define CONSUMERS 192
#define HEAD 256
#define MESSAGES 136
#define ROOM 264
#define RING 320

#define CAPACITY LEDGER_ROOM
#define LENGTH 32 /* of the ring: two short messages, or one of any other length */
#define ALL 100

#define SHORT 8
#define LONG 12

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

static const scenario scenarios[] = {
  { "one pushes, one takes", { "pb", "gg" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "one pushes, one takes, three times", { "ppp", "ggg" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "two that spin", { "pp", "gg" }, "dpgd", ONE, 0, 2, budgets_many },
  { "two push and take", { "pg", "bg" }, "dpgd", EMPTY, 0, 0, budgets_many },
  { "two push, one takes", { "p", "b", "gg" }, "dpgd", EMPTY, 0, 0, budgets_crowd },
  { "one pushes, two take", { "pp", "g", "g" }, "dpgd", EMPTY, 0, 0, budgets_crowd },
  { "two push twice, one takes all", { "pp", "bb", "gggg" }, "dpgd", EMPTY, 0, 0, budgets_short },
  { "it is full, one pushes, one takes", { "pb", "gg" }, "dpgd", FULL, 0, 0, budgets_many },
  { "it is full, two push, one takes", { "p", "p", "gg" }, "dpgd", FULL, 0, 0, budgets_crowd },
  { "it is full, two take", { "g", "y", "p" }, "dpgd", FULL, 0, 0, budgets_of_three },
  { "a message that wraps", { "b", "gd" }, "dpgd", WRAP, 0, 0, strangers },
  { "one that fills it, and wraps", { "fp", "gg" }, "dpgd", WRAP_FULL, 0, 0, budgets_many },
  { "one that wraps is taken", { "g", "p" }, "dpgd", WRAP_FULL, 0, 0, NULL },
  { "trying", { "ttt", "yy" }, "dpgd", ONE, 0, 0, budgets_honest },
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
  { "a producer and a consumer have died", { "pg", "gp" }, "dpgd", BOTH_DEAD, 0, 0, budgets_many },
  { "they have died, and one shuts it", { "pg", "sg" }, "dpgd", BOTH_DEAD, 0, 0, budgets_many },
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
  { "they have died, and two claim", { "pc", "cp" }, "dpcd", BOTH_DEAD, 0, 0, budgets_many },
  { "two build it", { "op", "og" }, "odpgd", OPENING_ZERO, 0, 0, budgets_long },
  { "the builder died half way", { "op", "jg" }, "odpgd", OPENING_HALF_BUILT, 0, 0, budgets_long },
};

static shmseg_queue handles[PROCESSES];

static struct {
  char in[PROCESSES];
  size_t needs[PROCESSES]; /* bytes of the ring, while it pushes */
  uint64_t head[PROCESSES];
  uint64_t max[PROCESSES];
  unsigned changes;
  bool shutting, shut; /* somebody has begun to shut it, has done so */
  bool over;           /* somebody was told so */
  uint64_t victims;    /* messages that may have been taken by who died */
} model;

static uint64_t head(void) {
  return block_word(HEAD);
}

static uint64_t tail(void) {
  return block_word(TAIL) >> 1;
}

static bool is_shut(void) {
  return block_word(TAIL) & 1;
}

static uint64_t available(void) {
  return LENGTH - (tail() - head());
}

/* --- starting states ---------------------------------------------------------------------- */

static void put(shmseg_queue *queue, size_t size) {
  unsigned char bytes[LEDGER_ROOM];
  int entry = ledger_write(NOBODY, 0, size, bytes);
  must(shmseg_queue_push(queue, bytes, size, 0) == 0, "pushing");
  ledger_done(entry, 0);
}

static void make_state(shmseg_queue *queue, int start) {
  if (start == WRAP || start == WRAP_FULL) {
    block_put(HEAD, 2 * LENGTH - 8);
    block_put(TAIL, (2 * LENGTH - 8) << 1);
  }
  if (start == WRAP_FULL)
    put(queue, CAPACITY);
  if (start != EMPTY && start != WRAP && start != WRAP_FULL)
    put(queue, SHORT);
  if (start == FULL)
    put(queue, SHORT);
  if (start == SHUT)
    must(shmseg_queue_shutdown(queue) == 0, "shutting it");
  if (start == SLEEPERS_DEAD) {
    block_put32(MESSAGES, (uint32_t)block_word(MESSAGES) | SHMSEG_LOCK_WAITERS);
    block_put32(ROOM, (uint32_t)block_word(ROOM) | SHMSEG_LOCK_WAITERS);
  }
  if (start == BOTH_DEAD) {
    block_put32(PRODUCERS, ID_DEAD | SHMSEG_LOCK_WAITERS);
    block_put32(CONSUMERS, ID_DEAD_TOO);
    block_put(RING + tail() % LENGTH, SHORT);
    block_put(RING + tail() % LENGTH + 8, UINT64_C(0x3333333333333333));
  }
}

static void make(const scenario *s) {
  static shmseg_queue queue;
  ledger_clear();
  if (opening_made(s, &queue.object))
    make_state(&queue, s->start);
  ledger_keep();
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  ledger_begin();
  model.shutting = model.shut = s->start == SHUT;
  if (s->start == BOTH_DEAD)
    engine_excuse();
  opening_begin(0);
}

/* --- the model ---------------------------------------------------------------------------- */

static bool is_anybody(int but, char in) {
  for (int q = 0; q < PROCESSES; q++)
    if (q != but && model.in[q] && (!in || model.in[q] == in) && engine_lives(q))
      return true;
  return false;
}

/* Bytes of the ring that messages take up of which nobody knows that they were taken. */
static uint64_t bytes_with(ledger_fate fate) {
  uint64_t sum = 0;
  for (int i = 1; i < ledger_count; i++)
    if (ledger[i].fate == fate && ledger[i].taker == NOBODY)
      sum += SHMSEG_RECORD(ledger[i].size);
  return sum;
}

static bool is_older(int entry, int than) {
  return ledger[entry].fate == LEDGER_DONE && ledger[entry].done < ledger[than].begun;
}

/* p has taken it: nobody else has, and what is older was taken before. */
static void took(int p, int entry) {
  bool others = model.victims > 0 || is_anybody(p, 'g');
  expect(ledger[entry].taker == NOBODY, "%d is taken by %d and %d", entry, ledger[entry].taker, p);
  for (int i = 1; i < ledger_count; i++) {
    expect(others || ledger[i].taker != NOBODY || !is_older(i, entry), "%d is taken, not %d", entry,
           i);
    expect(ledger[i].taker != p || !is_older(entry, i), "%d is taken after %d", entry, i);
  }
  ledger[entry].taker = p;
}

/* The records that p was given. */
static void took_all(int p, const ledger_buffer *buffer, size_t used, uint64_t max) {
  uint64_t size, count = 0;
  ledger_guard(buffer);
  must(used <= LEDGER_BUFFER, "%zu bytes are taken", used);
  for (size_t at = 0; at < used && count <= max; at += SHMSEG_RECORD(size), count++) {
    memcpy(&size, buffer->bytes + at, sizeof size);
    must(size <= used - at - sizeof size, "a record of %llu bytes", (unsigned long long)size);
    int entry = ledger_seen(0, buffer->bytes + at + sizeof size, (size_t)size, 0);
    if (entry > 0)
      took(p, entry);
  }
  must(count > 0 && count <= max, "%llu messages are taken", (unsigned long long)count);
}

/* --- operations --------------------------------------------------------------------------- */

static void push(int p, size_t size, int64_t timeout) {
  unsigned char bytes[LEDGER_ROOM];
  bool idle = !is_anybody(p, 0), was_shut = model.shut, fits = available() >= SHMSEG_RECORD(size);
  unsigned changes = model.changes;
  int entry = ledger_write(p, 0, size, bytes);
  int64_t deadline = engine_deadline(p, timeout);
  int err;
  model.needs[p] = SHMSEG_RECORD(size);
  model.in[p] = 'p';
  do
    err = shmseg_queue_push(&handles[p], bytes, size, deadline);
  while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  bool timed_out = err == SHMSEG_TIMEOUT && timeout != SHMSEG_FOREVER;
  expect(err == 0 || timed_out || (err == SHMSEG_SHUTDOWN && model.shutting), "push: %d", err);
  expect(!timed_out || fake.now >= deadline, "a time-out before its time");
  expect(!timed_out || !idle || !fits || w.stale || changes != model.changes,
         "a time-out, and there is room");
  expect(!was_shut || err == SHMSEG_SHUTDOWN || (timed_out && w.stale),
         "it was shut, yet push gives %d", err);
  if (err == 0)
    ledger_done(entry, 0);
  else
    ledger_refused(entry);
  expect(err != 0 || !model.over || ledger[entry].taker != NOBODY || model.victims > 0 ||
             is_anybody(p, 'g'),
         "pushed after somebody was told that it is over");
}

/* What p takes from here on, at most, it may take with it when it dies. */
static void begin_taking(int p, uint64_t max) {
  model.head[p] = head();
  model.max[p] = max;
  model.in[p] = 'g';
}

/* Takes at most max messages into so many bytes. */
static int take_into(int p, size_t size, uint64_t max, int64_t deadline) {
  ledger_buffer buffer;
  size_t used = 0;
  bool was_over = model.over;
  int err;
  ledger_wipe(&buffer);
  begin_taking(p, max);
  do
    err = shmseg_queue_take(&handles[p], buffer.bytes, size, max, &used, deadline);
  while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(!was_over || err == SHMSEG_SHUTDOWN || (err == SHMSEG_TIMEOUT && w.stale),
         "it was over, yet take gives %d", err);
  if (err == 0)
    took_all(p, &buffer, used, max);
  if (err == SHMSEG_TOO_SMALL)
    must(used > size && used <= LENGTH, "%zu bytes are too few, %zu are asked for", size, used);
  return err;
}

static void is_over(int p) {
  expect(model.shutting, "shut down, and nobody has shut it");
  expect(bytes_with(LEDGER_DONE) == 0 || model.victims > 0 || is_anybody(p, 'g'),
         "shut down, and there are messages");
  model.over = true;
}

static void take(int p, uint64_t max, int64_t timeout) {
  bool idle = !is_anybody(p, 0), some = head() != tail();
  unsigned changes = model.changes;
  int64_t deadline = engine_deadline(p, timeout);
  int err = take_into(p, LEDGER_BUFFER, max, deadline);
  bool timed_out = err == SHMSEG_TIMEOUT && timeout != SHMSEG_FOREVER;
  expect(err == 0 || timed_out || err == SHMSEG_SHUTDOWN, "take: %d", err);
  expect(!timed_out || fake.now >= deadline, "a time-out before its time");
  expect(!timed_out || !idle || !some || w.stale || changes != model.changes,
         "a time-out, and there is a message");
  if (err == SHMSEG_SHUTDOWN)
    is_over(p);
}

/* With a buffer for short messages first. */
static void take_twice(int p) {
  int err = take_into(p, SHMSEG_RECORD(SHORT), 1, engine_deadline(p, SHMSEG_FOREVER));
  expect(err == 0 || err == SHMSEG_TOO_SMALL || err == SHMSEG_SHUTDOWN, "take: %d", err);
  if (err == SHMSEG_TOO_SMALL)
    take(p, 1, SHMSEG_FOREVER);
}

/* Copies what peek shows, as long as it may be. */
static int copy_first(int p, ledger_buffer *buffer, size_t *size, uint64_t *position) {
  const unsigned char *bytes;
  int err = shmseg_queue_peek(&handles[p], &bytes, size, position);
  if (err)
    return err;
  must(*size <= CAPACITY && bytes >= block + RING && bytes + *size <= block + RING + LENGTH,
       "%zu bytes are shown at +%ld", *size, (long)((uintptr_t)bytes - (uintptr_t)block));
  ledger_wipe(buffer);
  copy_from_shared(buffer->bytes, bytes, *size);
  return 0;
}

/* Takes one without a copy under the lock, or SHMSEG_CHANGED. Until it claims it has taken nothing. */
static int claim(int p) {
  ledger_buffer buffer;
  size_t size;
  uint64_t position;
  bool was_over = model.over;
  model.in[p] = 'k';
  int err = copy_first(p, &buffer, &size, &position);
  if (!err) {
    begin_taking(p, 1);
    err = shmseg_queue_claim(&handles[p], position, size);
  }
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || err == SHMSEG_CHANGED, "claim: %d", err);
  expect(!was_over || err != 0, "it was over, yet a message is claimed");
  int entry = err ? 0 : ledger_seen(0, buffer.bytes, size, 0);
  if (entry > 0)
    took(p, entry);
  return err;
}

/* As the binding pops. */
static void claim_or_take(int p, int64_t timeout) {
  if (claim(p) == SHMSEG_CHANGED)
    take(p, 1, timeout);
}

static void shut(int p) {
  model.shutting = true;
  model.in[p] = 's';
  int err = shmseg_queue_shutdown(&handles[p]);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0, "shutdown: %d", err);
  model.shut = true;
}

static void count(int p) {
  shmseg_queue_stats stats = { 0, 0, 0, false };
  uint64_t bytes = tail() - head();
  bool idle = !is_anybody(p, 0);
  unsigned changes = model.changes;
  int err = shmseg_queue_count(&handles[p], &stats);
  w.processes[p].last = err;
  expect(err == 0, "count: %d", err);
  expect(stats.bytes <= LENGTH && stats.messages * SHMSEG_RECORD(SHORT) <= stats.bytes,
         "%llu messages in %llu bytes", (unsigned long long)stats.messages,
         (unsigned long long)stats.bytes);
  expect(!idle || w.stale || changes != model.changes || stats.bytes == bytes,
         "%llu bytes are counted, not %llu", (unsigned long long)stats.bytes,
         (unsigned long long)bytes);
}

static void perform_one(int p, char op) {
  switch (op) {
  case 'p': push(p, SHORT, SHMSEG_FOREVER); break;
  case 'b': push(p, LONG, SHMSEG_FOREVER); break;
  case 'f': push(p, CAPACITY, SHMSEG_FOREVER); break;
  case 'P': push(p, SHORT, 30 * MILLISECOND); break;
  case 't': push(p, SHORT, 0); break;
  case 'g': take(p, 1, SHMSEG_FOREVER); break;
  case 'G': take(p, 1, 30 * MILLISECOND); break;
  case 'y': take(p, 1, 0); break;
  case 'd': take(p, ALL, 0); break;
  case 'z': take_twice(p); break;
  case 'c': claim_or_take(p, SHMSEG_FOREVER); break;
  case 'x': claim_or_take(p, 0); break;
  case 'k': claim(p); break;
  case 's': shut(p); break;
  case 'n': count(p); break;
  }
}

static void perform(int p, char op) {
  model.changes++;
  if (!opening_perform(p, op) && handles[p].object.segment)
    perform_one(p, op);
  model.changes++;
}

/* --- deaths, sleepers, the end ------------------------------------------------------------ */

static void died(int p) {
  model.changes++;
  if (model.in[p] == 'g' && head() != model.head[p]) /* else it has taken nothing */
    model.victims += model.max[p] == 1 ? 1 : LENGTH / SHMSEG_RECORD(SHORT);
  model.in[p] = 0;
  ledger_died(p);
}

static bool in_vain(int p) {
  char in = model.in[p];
  if (in != 'p' && in != 'g')
    return false;
  int owner = block_owner(in == 'p' ? PRODUCERS : CONSUMERS);
  if (owner != NOBODY && model.in[owner] == in)
    return false; /* it is stopped there */
  if (block_is_asleep_on(p, PRODUCERS) || block_is_asleep_on(p, CONSUMERS) || is_shut())
    return true;
  return in == 'p' ? available() >= model.needs[p] : head() != tail();
}

/* What was pushed and not taken is there, but for what the dead have taken with them. */
static const char *check_messages(void) {
  uint64_t bytes = tail() - head(), sure = bytes_with(LEDGER_DONE);
  uint64_t unsure = bytes_with(LEDGER_UNSURE), gone = model.victims * SHMSEG_RECORD(CAPACITY);
  if (bytes > sure + unsure)
    return "a message too many";
  return bytes + gone < sure ? "a message is lost" : NULL;
}

static const char *check(void) {
  static shmseg_queue queue;
  const char *wrong = opening_check(&queue.object);
  return wrong || !queue.object.segment ? wrong : check_messages();
}

static const shmseg_object_options options = { .capacity = CAPACITY };

SCHEDULE(queue, .kind = &shmseg_queue_kind, .handles = handles, .options = &options);
