/* SPDX-License-Identifier: MIT */
/* The dict under the scheduler; option is the processes, as bits, whose mapping is read-only.
 *
 * Operations, on key a, or with an operand on b, c, …: s set, S set a value of two cells, a add, k set if it is
 * still what was got last, d delete, i add 1 to a number, g get, x expire: no more, f flush all, F flush what has
 * expired; p, P push right, left, q, Q pop left, right, e all elements, l length; w get and wait for another
 * state, c claim, C store what was claimed, n end the claim; and those of opening.h. */
#include "nouns/dict/schedule.h"

#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "objects/dict.h"
#include "schedule/ledger.h"
#include "schedule/opening.h"

enum {
  EMPTY = OPENING_STATES,
  ONE,    /* a has a value, */
  HOT,    /* a number that is counted often, */
  LISTED, /* a list of two */
  OWNER_DEAD,   /* of the stripe, */
  CLAIMANT_DEAD /* of the claim on a */
};

#define CAPACITY 1024
#define KEYS 3
#define STRIPE DICT_STRIPES

static const budget budgets_dict[] = {
  { .preemptions = 1, .deaths = 1 },
  { .stalls = 1 },
  { .preemptions = 1, .stale = 1 },
  { 0 },
};

/* Of a sleeper that sees neither the word nor the epoch. */
static const budget budgets_asleep[] = {
  { .preemptions = 1, .deaths = 1 }, { .stalls = 1 }, { .preemptions = 1, .stale = 2 }, { 0 },
};

static const budget budgets_plain[] = { { .preemptions = 2 }, { .deaths = 1 }, { 0 } };

static const budget budgets_quick[] = {
  { .preemptions = 1 }, { .deaths = 1 }, { .stale = 1 }, { 0 }
};

static const budget budgets_flipped[] = {
  { .preemptions = 1 }, { .deaths = 1 }, { .flips = 1 }, { 0 }
};

static const scenario scenarios[] = {
  { "one sets, one gets", { "sS", "gg" }, "gsg", EMPTY, 0, 0, budgets_dict },
  { "one replaces, one gets", { "Ss", "gg" }, "gSg", ONE, 0, 0, budgets_dict },
  { "two set one key", { "sg", "Sg" }, "gsg", EMPTY, 0, 0, budgets_dict },
  { "two add one key", { "ag", "ag" }, "gag", EMPTY, 0, 0, budgets_plain },
  { "one deletes, one gets", { "ds", "gg" }, "gdg", ONE, 0, 0, budgets_dict },
  { "one compares and sets, one sets", { "gkg", "S" }, "gkg", ONE, 0, 0, budgets_dict },
  { "two compare and set a key that is not there",
    { "gk", "gk" },
    "gkg",
    EMPTY,
    0,
    0,
    budgets_plain },
  { "two keys, in one line", { "sg1", "s1g" }, "gg1sg", EMPTY, 0, 0, budgets_plain },
  { "one pushes, one reads the list", { "pP", "ee" }, "epe", LISTED, 0, 0, budgets_dict },
  { "one pops, one reads the list", { "qQ", "ee" }, "epe", LISTED, 0, 0, budgets_dict },
  { "one pushes and pops, one asks for the length",
    { "pQ", "ll" },
    "lpl",
    LISTED,
    0,
    0,
    budgets_plain },
  { "one pops and pushes, one reads the list", { "Qp", "e" }, "epe", LISTED, 0, 0, budgets_dict },
  { "two push one list", { "pq", "PQ" }, "epe", EMPTY, 0, 0, budgets_plain },
  { "two add to a number", { "ii", "ig" }, "gig", HOT, 0, 0, budgets_dict },
  { "one adds to a number, one sets it", { "ii", "sg" }, "gsig", HOT, 0, 0, budgets_dict },
  { "a number that is not there", { "ii", "ig" }, "gig", EMPTY, 0, 0, budgets_plain },
  { "two numbers in one line", { "ii1", "ii1" }, "gg1i", HOT, 0, 0, budgets_plain },
  { "one waits, one sets", { "w", "s" }, "gsg", EMPTY, 0, 0, budgets_asleep },
  { "one waits, one adds to a number", { "w", "i" }, "gig", HOT, 0, 0, budgets_dict },
  { "one waits, one flushes", { "w", "f" }, "gsg", ONE, 0, 0, budgets_dict },
  { "one waits, one deletes", { "w", "d" }, "gsg", ONE, 0, 0, budgets_plain },
  { "two wait, one pushes", { "w", "w", "p" }, "eg", EMPTY, 0, 0, budgets_quick },
  { "one claims and stores, one sets", { "cC", "s" }, "gcCg", EMPTY, 0, 0, budgets_dict },
  { "two claim one key", { "cC", "cCg" }, "gcCg", EMPTY, 0, 0, budgets_dict },
  { "two claim what a dead one has", { "cC", "cC" }, "gcC", CLAIMANT_DEAD, 0, 0, budgets_dict },
  { "one claims and ends, one claims", { "cn", "cn" }, "gcCg", ONE, 0, 0, budgets_plain },
  { "one claims, one flushes", { "cCg", "f" }, "gcCg", ONE, 0, 0, budgets_plain },
  { "one flushes, one gets", { "fs", "gg" }, "gsg", ONE, 0, 0, budgets_dict },
  { "one flushes, one gives it time", { "fF", "xg" }, "gxg", ONE, 0, 0, budgets_dict },
  { "the owner of the stripe is dead", { "sg", "gd" }, "gsg", OWNER_DEAD, 0, 0, budgets_dict },
  { "one that cannot write gets and waits", { "s", "gwg" }, "gsg", ONE, 2, 0, budgets_plain },
  { "a stranger, and one that sets", { "Ssd", "gg" }, "gsg", ONE, 0, 0, budgets_flipped },
  { "a stranger, and a list", { "pq", "e" }, "epq", LISTED, 0, 0, budgets_flipped },
  { "two build it", { "os", "og" }, "osg", OPENING_ZERO, 0, 0, budgets_flipped },
};

static shmseg_dict handles[PROCESSES];
static shmseg_dict maker; /* of the starting state */

static struct {
  shmseg_dict_token seen[PROCESSES];
  shmseg_dict_claim claims[PROCESSES];
  int claimed; /* by this process */
} model;

static shmseg_dict *handle_of(int p) {
  return w.current == NOBODY ? &maker : &handles[p];
}

/* --- operations ------------------------------------------------------------------------------- */

static char key_of(unsigned key) {
  return (char)('a' + key);
}

/* A call has ended; a time-out is told only where somebody was stopped or dead, and changes nothing. */
static void end(int p, dict_event *event, int err) {
  w.processes[p].last = err;
  if (event->entry &&
      (err == SHMSEG_TIMEOUT || err == SHMSEG_CHANGED || err == EEXIST || err == SHMSEG_WRONG_TYPE))
    ledger_refused(event->entry);
  else if (event->entry && err == 0)
    ledger_done(event->entry, 0);
  expect(err != SHMSEG_TIMEOUT || w.excused, "%c: a time-out", event->op);
  if (err == SHMSEG_TIMEOUT)
    history_forget(event);
  else
    history_end(event, err);
}

static shmseg_dict_value value_of(int p, unsigned key, size_t size, unsigned char *bytes,
                                  int *entry) {
  *entry = ledger_write(p, key, size, bytes);
  return (shmseg_dict_value){ .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
}

static void store(int p, char op, unsigned key, size_t size, const shmseg_dict_how *how) {
  unsigned char bytes[LEDGER_ROOM];
  char name = key_of(key);
  int64_t deadline = 0;
  int entry, err;
  bool forcible;
  shmseg_dict_value value = value_of(p, key, size, bytes, &entry);
  dict_event *event = history_add(p, op, key, entry);
  do
    err = op == 'C' ? shmseg_dict_claim_store(handle_of(p), &model.claims[p], &name, 1, &value, how,
                                              &forcible, &deadline)
                    : shmseg_dict_store(handle_of(p), &name, 1, &value, how, &forcible, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

/* What was read, as the history has it. */
static dict_state told_of(unsigned key, const shmseg_dict_value *value) {
  dict_state told = { 0 };
  if (value->type == SHMSEG_DICT_STRING) {
    told.type = VALUE;
    must(value->size <= LEDGER_BUFFER, "a value of %zu bytes", value->size);
    told.entry = ledger_seen(key, value->bytes, value->size, 0);
  } else {
    told.type = value->type == SHMSEG_DICT_LIST ? LIST : NUMBER;
    told.number = value->integer;
  }
  return told;
}

static void get(int p, unsigned key) {
  ledger_buffer buffer;
  shmseg_dict_value value;
  char name = key_of(key);
  dict_event *event = history_add(p, 'g', key, 0);
  ledger_wipe(&buffer);
  int err = shmseg_dict_get(handle_of(p), &name, 1, buffer.bytes, LEDGER_BUFFER, &value);
  ledger_guard(&buffer);
  if (err == 0)
    event->told = told_of(key, &value);
  model.seen[p] = value.token;
  end(p, event, err);
}

static void delete (int p, unsigned key) {
  char name = key_of(key);
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, 'd', key, 0);
  do
    err = shmseg_dict_delete(handle_of(p), &name, 1, NULL, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

static void incr(int p, unsigned key) {
  static const shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                                         .init = { .type = SHMSEG_DICT_INTEGER } };
  shmseg_dict_value result;
  char name = key_of(key);
  int64_t deadline = 0;
  int err;
  bool forcible;
  dict_event *event = history_add(p, 'i', key, 0);
  do
    err = shmseg_dict_incr(handle_of(p), &name, 1, &step, &result, &forcible, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  if (err == 0)
    event->told = (dict_state){ .type = NUMBER, .number = result.integer };
  end(p, event, err);
}

static void expire(int p, unsigned key) {
  char name = key_of(key);
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, 'x', key, 0);
  do
    err = shmseg_dict_expire(handle_of(p), &name, 1, 0, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

static void flush(int p) {
  dict_event *event = history_add(p, 'f', 0, 0);
  end(p, event, shmseg_dict_flush_all(handle_of(p)));
}

static void flush_expired(int p) {
  uint64_t cursor = 0, freed = 0;
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, 'F', 0, 0);
  do
    err = shmseg_dict_flush_expired(handle_of(p), 0, &cursor, &freed, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void push(int p, char op, unsigned key) {
  unsigned char bytes[LEDGER_ROOM];
  char name = key_of(key);
  uint64_t length;
  int64_t deadline = 0;
  int entry, err;
  shmseg_dict_value value = value_of(p, key, 16, bytes, &entry);
  dict_event *event = history_add(p, op, key, entry);
  do
    err = shmseg_dict_push(handle_of(p), &name, 1, op == 'P', &value, &length, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  if (err == 0)
    event->told.number = (int64_t)length;
  end(p, event, err);
}

static void pop(int p, char op, unsigned key) {
  ledger_buffer buffer;
  shmseg_dict_value value;
  char name = key_of(key);
  int64_t deadline = 0;
  int err;
  dict_event *event = history_add(p, op, key, 0);
  ledger_wipe(&buffer);
  do
    err = shmseg_dict_pop(handle_of(p), &name, 1, op == 'q', buffer.bytes, LEDGER_BUFFER, &value,
                          &deadline);
  while (err == SHMSEG_INTERRUPTED);
  ledger_guard(&buffer);
  if (err == 0)
    event->told.entry = told_of(key, &value).entry;
  end(p, event, err);
}

/* One record for each element: its type, its size, its bytes. */
static dict_state told_of_list(unsigned key, const unsigned char *bytes, size_t size,
                               uint64_t count) {
  dict_state told = { .type = LIST };
  uint64_t each;
  must(size <= 200, "elements of %zu bytes", size);
  for (size_t at = 0; at < size && !w.hostile; at += 9 + each) {
    memcpy(&each, bytes + at + 1, sizeof each);
    must(told.number < LONGEST && at + 9 + each <= size, "what was read is no list");
    told.list[told.number++] = ledger_seen(key, bytes + at + 9, (size_t)each, 0);
  }
  expect((uint64_t)told.number == count, "%llu elements", (unsigned long long)count);
  return told;
}

static void elements(int p, unsigned key) {
  unsigned char bytes[200];
  char name = key_of(key);
  size_t size = 0;
  uint64_t count = 0;
  dict_event *event = history_add(p, 'e', key, 0);
  int err = shmseg_dict_elements(handle_of(p), &name, 1, bytes, sizeof bytes, &size, &count);
  if (err == 0)
    event->told = told_of_list(key, bytes, size, count);
  end(p, event, err);
}

static void length(int p, unsigned key) {
  char name = key_of(key);
  uint64_t count = 0;
  dict_event *event = history_add(p, 'l', key, 0);
  int err = shmseg_dict_length(handle_of(p), &name, 1, &count);
  if (err == 0)
    event->told = (dict_state){ .type = LIST, .number = (int64_t)count };
  end(p, event, err);
}

/* --- waiting and claims ----------------------------------------------------------------------- */

static void wait(int p, unsigned key) {
  char name = key_of(key);
  int err;
  get(p, key);
  dict_event *event = history_add(p, 'w', key, 0);
  do
    err = shmseg_dict_wait(handle_of(p), &name, 1, &model.seen[p], SHMSEG_FOREVER);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
}

static void claim(int p, unsigned key) {
  shmseg_dict_outcome outcome = SHMSEG_DICT_ENDED;
  char name = key_of(key);
  int64_t patience = 0;
  int err;
  dict_event *event = history_add(p, 'c', key, 0);
  do
    err = shmseg_dict_claim_take(handle_of(p), &name, 1, &model.claims[p], &outcome, SHMSEG_FOREVER,
                                 &patience);
  while (err == SHMSEG_INTERRUPTED);
  end(p, event, err);
  if (err || outcome != SHMSEG_DICT_CLAIMED) {
    history_forget(event);
    return;
  }
  expect(model.claimed == NOBODY || !engine_lives(model.claimed), "two have the claim");
  model.claimed = p;
}

/* Stores what was claimed, or ends the claim. */
static void use_claim(int p, char op, unsigned key) {
  char name = key_of(key);
  if (model.claims[p].offset == 0)
    return;
  model.claimed = NOBODY;
  if (op == 'C') {
    store(p, 'C', key, 16, NULL);
    return;
  }
  dict_event *event = history_add(p, 'n', key, 0);
  shmseg_dict_claim_end(handle_of(p), &model.claims[p], &name, 1, SHMSEG_DICT_NO_VALUE);
  end(p, event, 0);
}

static void do_op(int p, char op, unsigned key) {
  const shmseg_dict_how add = { .add = true }, same = { .token = &model.seen[p] };
  switch (op) {
  case 's': store(p, op, key, 16, NULL); break;
  case 'S': store(p, op, key, 24, NULL); break;
  case 'a': store(p, op, key, 16, &add); break;
  case 'k': store(p, op, key, 16, &same); break;
  case 'd': delete (p, key); break;
  case 'i': incr(p, key); break;
  case 'g': get(p, key); break;
  case 'x': expire(p, key); break;
  case 'f': flush(p); break;
  case 'F': flush_expired(p); break;
  case 'p':
  case 'P': push(p, op, key); break;
  case 'q':
  case 'Q': pop(p, op, key); break;
  case 'e': elements(p, key); break;
  case 'l': length(p, key); break;
  case 'w': wait(p, key); break;
  case 'c': claim(p, key); break;
  case 'C':
  case 'n': use_claim(p, op, key); break;
  }
}

static void perform(int p, char op) {
  if (!opening_perform(p, op) && handles[p].object.segment)
    do_op(p, op, w.processes[p].operand);
}

/* --- the scenarios ---------------------------------------------------------------------------- */

/* What is claimed is a dead process's. */
static void leave_claim(void) {
  uint64_t at = model.claims[FRESH].offset;
  block_put(at, (block_word(at) & ~(uint64_t)SHMSEG_ID_MAX) | ID_DEAD);
}

/* The hash's key is the same each time, so that a code stays good. */
static void make(const scenario *s) {
  static const char *const before[] = { "", "s", "iiii", "pp", "s", "c" };
  ledger_clear();
  history_clear();
  if (opening_made(s, &maker.object)) {
    for (int i = 0; i < 2; i++) {
      maker.key[i] = 0x0123456789abcdef + (uint64_t)i;
      block_put(DICT_KEY + 8 * (uint64_t)i, maker.key[i]);
    }
    for (const char *op = before[s->start - EMPTY]; *op; op++)
      do_op(FRESH, *op, 0);
    if (s->start == OWNER_DEAD)
      block_put32(STRIPE + STRIPE_LOCK, ID_DEAD | SHMSEG_LOCK_WAITERS);
    if (s->start == CLAIMANT_DEAD)
      leave_claim();
  }
  ledger_keep();
  history_keep();
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  model.claimed = NOBODY;
  ledger_begin();
  history_begin();
  if (s->start >= OWNER_DEAD)
    engine_excuse();
  opening_begin((unsigned)s->option);
}

static void died(int p) {
  ledger_died(p);
}

/* --- what must hold --------------------------------------------------------------------------- */

/* The word of a's item, where it is the only one; 0: it is not there, or stale. */
static uint64_t word_now(int p) {
  const shmseg_dict *dict = &handles[p];
  uint64_t word = 0;
  for (int i = 0; i < DICT_SLOTS && dict_word_cell(word) == 0; i++)
    word = block_word(dict_slot_at(dict->at_lines, i));
  uint64_t item = dict_cell_at(dict, dict_word_cell(word));
  return dict_word_cell(word) != 0 && block_word(item + ITEM_STAMP) == block_word(DICT_FLUSH) ? word
                                                                                              : 0;
}

/* Is the state another one than p waits for? */
static bool has_changed(int p) {
  uint64_t word = word_now(p);
  if (word != model.seen[p].word)
    return true;
  return word & WORD_HOT && block_word(handles[p].at_lines + LINE_HOT) != model.seen[p].number;
}

/* Has nobody living the claim that p waits for? */
static bool is_unclaimed(int p) {
  uint32_t id = (uint32_t)block_word(model.claims[p].stamp) & SHMSEG_LOCK_STATE;
  for (int q = 0; q < PROCESSES; q++)
    if (w.processes[q].id == id && engine_lives(q))
      return false;
  return true;
}

static bool in_vain(int p) {
  uint64_t locks[] = { STRIPE + STRIPE_LOCK, DICT_ARENA_LOCK, DICT_LARGE_LOCK,
                       handles[p].at_lines };
  for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
    if (block_is_asleep_on(p, locks[i])) {
      int owner = block_owner(locks[i]);
      return owner == NOBODY || w.processes[owner].op == 0;
    }
  char op = w.processes[p].op;
  expect(op == 'w' || op == 'c' || op == 'o', "%c sleeps", op);
  return op == 'w' ? has_changed(p) : op == 'c' && is_unclaimed(p);
}

static const char *check(void) {
  static shmseg_dict dict;
  static char text[40] = "what was told of key a";
  const char *wrong = opening_check(&dict.object);
  for (unsigned key = 0; !wrong && dict.object.segment && key < KEYS; key++)
    if (!history_is_explained(key)) {
      text[strlen(text) - 1] = key_of(key);
      wrong = text;
    }
  return wrong;
}

static const shmseg_object_options options = { .capacity = CAPACITY, .items = 1 };

SCHEDULE(dict, .kind = &shmseg_dict_kind, .handles = handles, .options = &options, .size = 15168,
         .operands = "sSakdigxpPqQelwcCn");
