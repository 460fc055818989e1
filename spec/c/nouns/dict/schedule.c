/* SPDX-License-Identifier: MIT */
/* The dict under the scheduler; option is the processes, as bits, whose mapping is read-only.
 *
 * Operations, on key a, or with an operand on b, c, …: s set, S set a value of two cells, a add, k set if it is
 * still what was got last, d delete, i add 1 to a number, g get, x, X expire: no more, in an hour, f flush all, F flush what has
 * expired; p, P push right, left, q, Q pop left, right, e all elements, l length; w get and wait for another
 * state, c claim, C store what was claimed, n end the claim; and those of opening.h. */
#include "nouns/dict/schedule.h"

#include <string.h>

#include "core/lock.h"
#include "objects/dict.h"
#include "schedule/ledger.h"
#include "schedule/opening.h"

enum {
  EMPTY = OPENING_STATES,
  ONE,          /* a has a value, */
  HOT,          /* a number that is counted often, */
  LISTED,       /* a list of two */
  FULL,         /* a, b and c have values, b and c in the chain; a goes first */
  OWNER_DEAD,   /* of the stripe, */
  CLAIMANT_DEAD /* of the claim on a */
};

#define CAPACITY 1024
#define STRIPE DICT_STRIPES

static const budget budgets_dict[] = {
  { .preemptions = 1, .deaths = 1 },
  { .stalls = 1 },
  { .preemptions = 1, .stale = 1 },
  { 0 },
};

/* Of a sleeper that sees neither the word nor the epoch. */
static const budget budgets_asleep[] = {
  { .preemptions = 1, .deaths = 1 },
  { .stalls = 1 },
  { .preemptions = 1, .stale = 2 },
  { 0 },
};

static const budget budgets_plain[] = {
  { .preemptions = 2 }, { .deaths = 1 }, { .stalls = 1 }, { .preemptions = 1, .stale = 1 }, { 0 }
};

static const budget budgets_quick[] = { { .preemptions = 1 }, { .deaths = 1 }, { 0 } };

/* Three processes. */
static const budget budgets_alive[] = { { .preemptions = 1 }, { 0 } };

static const budget budgets_flipped[] = {
  { .preemptions = 1 }, { .deaths = 1 }, { .flips = 1 }, { 0 }
};

static const scenario scenarios[] = {
  { "one sets, one gets", { "sS", "gg" }, "gsg", EMPTY, 0, 0, budgets_plain },
  { "one replaces, one gets", { "Ss", "gg" }, "gSg", ONE, 0, 0, budgets_dict },
  { "two set one key", { "sg", "Sg" }, "gsg", EMPTY, 0, 0, budgets_plain },
  { "two add one key", { "ag", "ag" }, "gag", EMPTY, 0, 0, budgets_plain },
  { "one deletes, one gets", { "ds", "gg" }, "gdg", ONE, 0, 0, budgets_dict },
  { "one compares and sets, one sets", { "gkg", "S" }, "gkg", ONE, 0, 0, budgets_plain },
  { "two compare and set a key that is not there",
    { "gk", "gk" },
    "gkg",
    EMPTY,
    0,
    0,
    budgets_plain },
  { "two keys, in one line", { "sg1", "s1g" }, "gg1sg", EMPTY, 0, 0, budgets_plain },
  { "one pushes, one reads the list", { "pP", "ee" }, "epe", LISTED, 0, 0, budgets_plain },
  { "one pops, one reads the list", { "qQ", "ee" }, "epe", LISTED, 0, 0, budgets_dict },
  { "one pushes and pops, one asks for the length",
    { "pQ", "ll" },
    "lpl",
    LISTED,
    0,
    0,
    budgets_plain },
  { "one pops and pushes, one reads the list", { "Qp", "e" }, "epe", LISTED, 0, 0, budgets_dict },
  { "two push one list", { "pq", "PQ" }, "epe", EMPTY, 0, 0, budgets_quick },
  { "two add to a number", { "ii", "ig" }, "gig", HOT, 0, 0, budgets_dict },
  { "one adds to a number, one sets it", { "ii", "sg" }, "gsig", HOT, 0, 0, budgets_dict },
  { "a number that is not there", { "ii", "ig" }, "gig", EMPTY, 0, 0, budgets_plain },
  { "two numbers in one line", { "ii", "i1i1" }, "gg1i", HOT, 0, 0, budgets_plain },
  { "one waits, one sets", { "w", "s" }, "gsg", EMPTY, 0, 0, budgets_asleep },
  { "one waits, one adds to a number", { "w", "i" }, "gig", HOT, 0, 0, budgets_dict },
  { "one waits, one flushes", { "w", "f" }, "gsg", ONE, 0, 0, budgets_dict },
  { "one waits, one deletes", { "w", "d" }, "gsg", ONE, 0, 0, budgets_plain },
  { "two wait, one pushes", { "w", "w", "p" }, "e", EMPTY, 0, 0, budgets_alive },
  { "one claims and stores, one sets", { "cC", "ss" }, "gcCg", EMPTY, 0, 0, budgets_plain },
  { "one claims a number and stores, one adds to it",
    { "cgC", "ig" },
    "gig",
    HOT,
    0,
    0,
    budgets_plain },
  { "one claims and stores, one pushes", { "cC", "p" }, "gcCg", LISTED, 0, 0, budgets_plain },
  { "one claims, one claims, sets and stores", { "c", "csC" }, "gcCg", EMPTY, 0, 0, budgets_plain },
  { "two claim one key", { "cC", "cCg" }, "gcCg", EMPTY, 0, 0, budgets_plain },
  { "two claim what a dead one has", { "cC", "cC" }, "gcC", CLAIMANT_DEAD, 0, 0, budgets_plain },
  { "one claims and ends, one claims", { "cn", "cn" }, "gcCg", ONE, 0, 0, budgets_plain },
  { "one claims, one flushes", { "cCg", "f" }, "gcCg", ONE, 0, 0, budgets_plain },
  { "one replaces in a chain, one gets", { "s1s1", "g1g2" }, "g1g2", FULL, 0, 0, budgets_plain },
  { "one deletes in a chain, one gets", { "d1", "g2g1" }, "g1g2", FULL, 0, 0, budgets_plain },
  { "one evicts, one gets", { "S1", "gg" }, "gg1g2", FULL, 0, 0, budgets_quick },
  { "two evict", { "S1", "S2" }, "gg1g2", FULL, 0, 0, budgets_quick },
  { "one flushes, one gets", { "fs", "gg" }, "gsg", ONE, 0, 0, budgets_dict },
  { "one flushes, one gives it time", { "fF", "Xg" }, "gxg", ONE, 0, 0, budgets_dict },
  { "the owner of the stripe is dead", { "sg", "gd" }, "gsg", OWNER_DEAD, 0, 0, budgets_plain },
  { "one that cannot write gets and waits", { "s", "gwg" }, "gsg", ONE, 2, 0, budgets_quick },
  { "a stranger, and one that sets", { "Ssd", "gg" }, "gsg", ONE, 0, 0, budgets_flipped },
  { "a stranger, and a list", { "pq", "e" }, "epq", LISTED, 0, 0, budgets_flipped },
  { "a stranger, and a wait", { "w", "s" }, "gsg", EMPTY, 0, 0, budgets_flipped },
  { "a stranger, and a claim", { "cC", "cn" }, "gcC", EMPTY, 0, 0, budgets_flipped },
  { "two build it", { "os", "og" }, "osg", OPENING_ZERO, 0, 0, budgets_quick },
};

static void perform(int p, char op) {
  if (!opening_perform(p, op) && dict_world.handles[p].object.segment)
    dict_do(p, op, w.processes[p].operand);
}

/* --- the scenarios ---------------------------------------------------------------------------- */

/* What is claimed is a dead process's. */
static void leave_claim(void) {
  uint64_t at = dict_world.claims[FRESH].offset;
  block_put(at, (block_word(at) & ~(uint64_t)SHMSEG_ID_MAX) | ID_DEAD);
}

/* Other keys fill the line, and the rest of the dict. */
static void fill(const char *names) {
  static const shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER };
  int64_t deadline = 0;
  bool forcible;
  for (; *names; names++)
    must(shmseg_dict_store(&dict_world.maker, names, 1, &value, NULL, &forcible, &deadline) == 0 &&
             !forcible,
         "filling it");
}

static void make_full(void) {
  dict_do(FRESH, 's', 0);
  fill("ABCD");
  dict_do(FRESH, 's', 1);
  dict_do(FRESH, 's', 2);
  fill("EFGHIJKLM");
}

/* The hash's key is the same each time, so that a code stays good. */
static void make(const scenario *s) {
  static const char *const before[] = { "", "s", "iiii", "pp", "", "s", "c" };
  ledger_clear();
  history_clear();
  dict_world.evicts = false;
  if (opening_made(s, &dict_world.maker.object)) {
    for (int i = 0; i < 2; i++) {
      dict_world.maker.key[i] = 0x0123456789abcdef + (uint64_t)i;
      block_put(DICT_KEY + 8 * (uint64_t)i, dict_world.maker.key[i]);
    }
    for (const char *op = before[s->start - EMPTY]; *op; op++)
      dict_do(FRESH, *op, 0);
    if (s->start == FULL)
      make_full();
    if (s->start == OWNER_DEAD)
      block_put32(STRIPE + STRIPE_LOCK, ID_DEAD | SHMSEG_LOCK_WAITERS);
    if (s->start == CLAIMANT_DEAD)
      leave_claim();
  }
  dict_world.evicts = s->start == FULL;
  ledger_keep();
  history_keep();
}

static void begin(const scenario *s) {
  memset(dict_world.seen, 0, sizeof dict_world.seen);
  memset(dict_world.claims, 0, sizeof dict_world.claims);
  dict_world.claimed = NOBODY;
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
  const shmseg_dict *dict = &dict_world.handles[p];
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
  if (word != dict_world.seen[p].word)
    return true;
  return word & WORD_HOT &&
         block_word(dict_world.handles[p].at_lines + LINE_HOT) != dict_world.seen[p].number;
}

/* Has nobody living the claim that p waits for? */
static bool is_unclaimed(int p) {
  uint32_t id = (uint32_t)block_word(dict_world.claims[p].awaited) & SHMSEG_LOCK_STATE;
  for (int q = 0; q < PROCESSES; q++)
    if (w.processes[q].id == id && engine_lives(q))
      return false;
  return true;
}

static bool in_vain(int p) {
  uint64_t locks[] = { STRIPE + STRIPE_LOCK, DICT_ARENA_LOCK, DICT_LARGE_LOCK,
                       dict_world.handles[p].at_lines };
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
      text[strlen(text) - 1] = dict_key_name(key);
      wrong = text;
    }
  return wrong;
}

static const shmseg_object_options options = { .capacity = CAPACITY, .items = 1 };

SCHEDULE(dict, .kind = &shmseg_dict_kind, .handles = dict_world.handles, .options = &options,
         .size = 15168, .operands = "sSakdigxXpPqQelwcCn");
