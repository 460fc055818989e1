/* SPDX-License-Identifier: MIT */
/* Room for a new item: what has expired goes, and what was not used for long. dict.c describes the whole.
 *
 * The hand goes through the lines of a stripe. The victim is the oldest one of a window: so many
 * candidates from the hand on. A slot's item is one, and a chain as a whole. Items' heads are elsewhere
 * in memory: only of those that may be stale they are read, in a dict of many stripes only of some of
 * these, and of the victim. So only those that may be stale are listed. */
#include <errno.h>

#include "core/lock.h"
#include "core/segment.h"
#include "core/wait.h"
#include "objects/dict.h"

#define CANDIDATES 64
#define AHEAD 8 /* candidates whose heads are fetched before they are read */

/* Heads that are read in a window, where the dict is too large for a cache of the processor. */
#define HEADS 16
#define ENTRIES (DICT_SLOTS + 1)

/* Lines that are looked at before a stripe counts as one that has nothing to give. */
#define REACH 1024
#define REACH_SAFE 4096      /* in the own stripe, where nothing live goes */
#define REACH_SAFE_OTHER 128 /* in each other one */

/* How often an operation makes room, when others take it each time. */
#define ROUNDS 1000

typedef struct {
  uint64_t line, number; /* its offset, and its number in the stripe */
  uint64_t word;
  int entry;
  int age; /* since it was used; -1: it is none */
} evict_candidate;

typedef struct {
  evict_candidate list[CANDIDATES + ENTRIES];
  evict_candidate oldest, second; /* of all */
  int listed, count;
  bool is_swept;         /* nothing of the stripe is flushed */
  uint64_t first, lines; /* so many lines were looked at, from that one on */
} evict_window;

/* What is wanted of the stripes, and what they gave. */
typedef struct {
  uint32_t keep;
  bool is_safe, is_last; /* is_last: every line is looked at */
  bool *forcible;
  bool is_held; /* somebody else has a stripe that may have something */
} evict_task;

/* --- candidates --------------------------------------------------------------------------- */

static bool evict_may_be_stale(const evict_window *window, uint64_t word) {
  return word & WORD_TIMED || !window->is_swept;
}

/* A candidate of which more is to be known than its age. */
__attribute__((noinline)) static void evict_add(const evict_candidate *candidate, uint32_t keep,
                                                evict_window *window) {
  if (dict_word_cell(candidate->word) == keep && candidate->entry != DICT_CHAIN)
    return;
  if (evict_may_be_stale(window, candidate->word))
    window->list[window->listed++] = *candidate;
  if (candidate->age > window->oldest.age) {
    window->second = window->oldest;
    window->oldest = *candidate;
  } else if (candidate->age > window->second.age) {
    window->second = *candidate;
  }
}

/* Bit i: entry i has something. Which ones have cannot be foreseen, so nothing branches. *all: the bits of
 * all words. */
static inline unsigned evict_used(const uint64_t *line, uint64_t *all) {
  const uint64_t *slots = line + LINE_SLOTS / 8;
  uint64_t word0 = load_relaxed(slots), word1 = load_relaxed(slots + 1);
  uint64_t word2 = load_relaxed(slots + 2), word3 = load_relaxed(slots + 3);
  uint64_t word4 = load_relaxed(slots + 4), chain = load_relaxed(line + LINE_CHAIN / 8);
  unsigned used0 = word0 >> WORD_CELL != 0, used1 = word1 >> WORD_CELL != 0;
  unsigned used2 = word2 >> WORD_CELL != 0, used3 = word3 >> WORD_CELL != 0;
  unsigned used4 = word4 >> WORD_CELL != 0, used5 = chain >> WORD_CELL != 0;
  *all = word0 | word1 | word2 | word3 | word4 | chain;
  return used0 | used1 << 1 | used2 << 2 | used3 << 3 | used4 << 4 | used5 << DICT_CHAIN;
}

_Static_assert(DICT_SLOTS == 5 && DICT_CHAIN == 5, "evict_used");

/* Most candidates are young, and cannot be stale: of them only the mark is looked at. */
static inline void evict_add_line(const dict_op *op, uint64_t number, unsigned age, uint32_t keep,
                                  evict_window *window) {
  uint64_t line = dict_line_at(op->dict, op->stripe, number), all;
  const uint64_t *words = dict_word64(op->dict, line);
  unsigned marks = load_relaxed((const uint32_t *)words + LINE_MARKS / 4);
  unsigned used = evict_used(words, &all);
  int most = evict_may_be_stale(window, all) ? -1 : window->second.age;
  __builtin_prefetch(words + 2 * LINE_SIZE / 8);
  for (; used != 0; used &= used - 1) {
    int entry = __builtin_ctz(used), since = (int)((age - (marks >> 5 * entry)) & 31);
    window->count++;
    if (since <= most)
      continue;
    uint64_t word = load_relaxed(dict_word64(op->dict, dict_entry_at(line, entry)));
    evict_add(&(evict_candidate){ line, number, word, entry, since }, keep, window);
  }
}

/* Has the hand passed all lines since the flush? What is stored has the new stamp. It is a hint: what cannot do
 * without the room of an item looks itself. */
static bool evict_is_swept(const dict_op *op, const evict_task *task) {
  return op->flush == 1 || /* there was no flush yet */
         (!task->is_safe && load_relaxed(dict_own(op, STRIPE_SWEPT)) == op->flush &&
          load_relaxed(dict_own(op, STRIPE_PASSED)) >= op->dict->lines);
}

/* The lines from the window's first one to the hand have nothing flushed any more. */
static void evict_note_passed(const dict_op *op, const evict_window *window) {
  uint64_t *swept = dict_own(op, STRIPE_SWEPT), *passed = dict_own(op, STRIPE_PASSED);
  uint64_t hand = load_relaxed(dict_own(op, STRIPE_HAND));
  if (window->is_swept)
    return;
  if (load_relaxed(swept) != op->flush) {
    store_relaxed(passed, 0);
    store_release(swept, op->flush); /* after a death here nothing older counts */
  }
  uint64_t end = hand < window->first ? hand + op->dict->lines : hand;
  store_relaxed(passed, load_relaxed(passed) + end - window->first);
}

/* Fills the window, at most with so many lines, and moves the hand behind it. */
static void evict_look(const dict_op *op, const evict_task *task, uint64_t most,
                       evict_window *window) {
  uint64_t age = load_relaxed(dict_own(op, STRIPE_AGE));
  uint64_t hand = load_relaxed(dict_own(op, STRIPE_HAND)), lines = op->dict->lines;
  window->oldest.age = window->second.age = -1;
  window->listed = window->count = 0;
  window->lines = 0;
  window->is_swept = evict_is_swept(op, task);
  window->first = hand < lines ? hand : 0;
  while (window->count < CANDIDATES && window->lines < lines && window->lines < most) {
    hand = hand < lines ? hand : 0;
    evict_add_line(op, hand++, (unsigned)age, task->keep, window);
    window->lines++;
  }
  store_relaxed(dict_own(op, STRIPE_HAND), hand);
}

/* --- victims ------------------------------------------------------------------------------ */

/* Of a chain the last one that is stale, or else the last one, is found. SHMSEG_EMPTY: there is only what is
 * to be kept. */
static int evict_find_in_chain(dict_op *op, uint32_t keep, dict_found *found, bool *is_stale) {
  dict_found at = *found;
  bool is_found = false;
  uint32_t next = dict_word_cell(at.word);
  at.cell = 0;
  *is_stale = false;
  for (int i = 0; next != 0; i++) {
    at.before = at.cell;
    at.cell = next;
    if (i == DICT_CHAIN_MAX || !shmseg_dict_read_head(op->dict, next, &at.head))
      return SHMSEG_CORRUPT;
    next = at.head.next;
    bool stale = dict_is_stale(&at.head, op->flush, &op->now);
    if (at.cell == keep || (*is_stale && !stale))
      continue;
    *found = at;
    *is_stale = stale;
    is_found = true;
  }
  return is_found ? 0 : SHMSEG_EMPTY;
}

static int evict_find(dict_op *op, const evict_candidate *candidate, uint32_t keep,
                      dict_found *found, bool *is_stale) {
  *found = dict_entry(op->dict, candidate->line, candidate->entry);
  if (candidate->entry == DICT_CHAIN)
    return evict_find_in_chain(op, keep, found, is_stale);
  if (!shmseg_dict_read_head(op->dict, found->cell, &found->head))
    return SHMSEG_CORRUPT;
  *is_stale = dict_is_stale(&found->head, op->flush, &op->now);
  return 0;
}

/* Drops the victim, and adds its cells to *freed. */
static int evict_drop(dict_op *op, uint64_t line, const dict_found *found, bool is_stale,
                      const evict_task *task, uint64_t *freed) {
  uint64_t used = load_relaxed(dict_own(op, STRIPE_USED));
  int err = shmseg_dict_drop(op, line, found);
  if (err)
    return err;
  dict_tell(op, is_stale ? STRIPE_EXPIRED : STRIPE_EVICTED);
  if (!is_stale)
    *task->forcible = true;
  uint64_t less = used - load_relaxed(dict_own(op, STRIPE_USED));
  *freed += less - 1 < op->dict->cells ? less : 1; /* at least one, so that every loop ends */
  return 0;
}

/* The heads that are read soon come while others are looked at. */
static void evict_fetch(const dict_op *op, const evict_window *window, int i) {
  if (i >= window->listed)
    return;
  uint32_t cell = dict_word_cell(window->list[i].word);
  if (dict_is_cell(op->dict, cell))
    __builtin_prefetch(dict_word64(op->dict, dict_cell_at(op->dict, cell)));
}

/* Drops what is stale in the window, until there is enough. The hand stays where some may be left. */
static int evict_stale(dict_op *op, const evict_window *window, const evict_task *task,
                       uint64_t want, uint64_t *freed) {
  bool is_all = op->dict->stripes == 1 || task->is_safe;
  int heads = is_all || window->listed < HEADS ? window->listed : HEADS;
  for (int i = 0; i < heads; i++) {
    const evict_candidate *candidate = &window->list[i];
    dict_found found;
    bool is_stale;
    evict_fetch(op, window, i + AHEAD);
    int err = evict_find(op, candidate, task->keep, &found, &is_stale);
    if (!err && is_stale)
      err = evict_drop(op, candidate->line, &found, true, task, freed);
    if (err && err != SHMSEG_EMPTY)
      return err;
    bool has_more = !err && is_stale && candidate->entry == DICT_CHAIN;
    if (*freed >= want || has_more) {
      store_relaxed(dict_own(op, STRIPE_HAND), candidate->number);
      return 0;
    }
  }
  if (heads < window->listed && !window->is_swept)
    store_relaxed(dict_own(op, STRIPE_HAND), window->list[heads].number);
  return 0;
}

/* Drops the oldest one of the window: the second one where that is a chain of what is to be kept alone, which
 * is in one line. SHMSEG_EMPTY: there is none. */
static int evict_oldest(dict_op *op, const evict_window *window, const evict_task *task,
                        uint64_t *freed) {
  const evict_candidate *victim = &window->oldest;
  dict_found found;
  bool is_stale;
  int err = victim->age < 0 ? SHMSEG_EMPTY : evict_find(op, victim, task->keep, &found, &is_stale);
  if (err == SHMSEG_EMPTY && window->second.age >= 0) {
    victim = &window->second;
    err = evict_find(op, victim, task->keep, &found, &is_stale);
  }
  return err ? err : evict_drop(op, victim->line, &found, is_stale, task, freed);
}

/* Frees `want` cells of the op's stripe, or what there is, looking at so many lines in vain. */
static int evict_from(dict_op *op, const evict_task *task, uint64_t want, uint64_t reach,
                      uint64_t *freed) {
  evict_window window;
  uint64_t left = reach;
  int err = 0;
  while (!err && *freed < want && left > 0) {
    uint64_t before = *freed;
    evict_look(op, task, left, &window);
    err = evict_stale(op, &window, task, want, freed);
    if (!err)
      evict_note_passed(op, &window);
    if (!err && *freed == before && !task->is_safe)
      err = evict_oldest(op, &window, task, freed);
    if (err == SHMSEG_EMPTY)
      err = 0;
    left = *freed != before ? reach : left - window.lines;
  }
  return err;
}

/* --- other stripes ------------------------------------------------------------------------- */

static uint64_t evict_reach(const dict_op *op, const evict_task *task, bool is_own) {
  uint64_t lines = op->dict->lines;
  uint64_t reach = !task->is_safe ? REACH : is_own ? REACH_SAFE : REACH_SAFE_OTHER;
  return reach < lines && !task->is_last ? reach : lines;
}

/* Has the stripe something, by what it counts? Who holds it may be dead. */
static bool evict_has_some(const dict_op *op) {
  return load_relaxed(dict_own(op, STRIPE_USED)) != 0 ||
         load_relaxed(dict_word32(op->dict, dict_stripe_at(op->stripe, STRIPE_SPARE))) != 0 ||
         load_relaxed(dict_word32(op->dict, dict_stripe_at(op->stripe, STRIPE_LOCK))) !=
             SHMSEG_LOCK_FREE;
}

/* Takes `want` cells of another stripe, and all that it keeps to spare. */
static int evict_other(dict_op *other, evict_task *task, uint64_t want, uint64_t *freed) {
  if (!task->is_last && !evict_has_some(other))
    return 0;
  int err = shmseg_dict_try_enter(other);
  if (err) {
    task->is_held = true;
    return segment_status(other->dict->object.segment);
  }
  uint64_t given = shmseg_dict_give_spare(other), dropped = 0;
  if (given < want) {
    err = evict_from(other, task, want - given, evict_reach(other, task, false), &dropped);
    shmseg_dict_give_spare(other);
  }
  *freed += given + dropped;
  err = shmseg_dict_leave(other, err);
  task->is_held |= err != 0;
  return segment_status(other->dict->object.segment);
}

/* Takes a part of what is wanted of each other stripe. */
static int evict_from_others(const dict_op *op, evict_task *task, uint64_t want, uint64_t *freed) {
  uint32_t stripes = op->dict->stripes, keep = task->keep;
  int err = 0;
  task->keep = 0;
  task->is_held = false;
  for (uint32_t i = 1; !err && i < stripes && *freed < want; i++) {
    uint32_t stripe = (op->stripe + i) & (stripes - 1);
    dict_op other = { .dict = op->dict,
                      .id = op->id,
                      .stripe = stripe,
                      .words = dict_word64(op->dict, dict_stripe_at(stripe, 0)),
                      .deadline = op->deadline };
    err = evict_other(&other, task, want / stripes + 1, freed);
  }
  task->keep = keep;
  return err;
}

/* --- room --------------------------------------------------------------------------------- */

/* Cells that are missing for count more, by what the arena counts; one at least. */
static uint64_t evict_missing(const dict_op *op, uint64_t count, uint64_t allowance) {
  uint64_t granted = load_relaxed(dict_word64(op->dict, DICT_GRANTED));
  uint64_t spare =
      load_relaxed(dict_word32(op->dict, dict_stripe_at(op->stripe, STRIPE_SPARE_CELLS)));
  if (granted > op->dict->cells)
    granted = op->dict->cells;
  uint64_t need = granted + count, have = op->dict->quota + allowance + spare;
  return need > have ? need - have : 1;
}

/* Frees some of what is missing. A large value does not take all of its own stripe. SHMSEG_EMPTY: there is
 * nothing. */
static int evict_some(dict_op *op, evict_task *task, uint64_t missing) {
  uint64_t part = op->dict->quota / op->dict->stripes / 8 + DICT_PAGE, freed = 0;
  int err = evict_from(op, task, op->dict->stripes > 1 && missing > part ? part : missing,
                       evict_reach(op, task, true), &freed);
  if (!err && freed < missing)
    err = evict_from_others(op, task, missing, &freed);
  if (err || freed > 0)
    return err;
  return SHMSEG_EMPTY;
}

/* Waiting is over when nobody has been seen to hold what could go. */
static int evict_give_up(const dict_op *op, const evict_task *task) {
  return task->is_held ? shmseg_wait_again(shmseg_wait_patience(op->deadline, DICT_PATIENCE))
                       : ENOMEM;
}

int shmseg_dict_room(dict_op *op, uint64_t count, uint64_t allowance, uint32_t keep, bool is_safe,
                     bool *forcible, dict_block *block) {
  int err = shmseg_dict_take(op, count, allowance, block);
  if (err != ENOMEM)
    return err;
  is_safe |= op->dict->object.geometry[1] == SHMSEG_DICT_NONE;
  evict_task task = { keep, is_safe, false, forcible, false };
  for (int i = 0; err == ENOMEM && i < ROUNDS; i++) {
    err = evict_some(op, &task, evict_missing(op, count, allowance));
    bool is_over = err == SHMSEG_EMPTY && (is_safe || task.is_last);
    task.is_last = err == SHMSEG_EMPTY;
    if (!err || err == SHMSEG_EMPTY) /* nothing went, but a stripe may have been repaired */
      err = shmseg_dict_take(op, count, allowance, block);
    if (is_over && err == ENOMEM)
      return evict_give_up(op, &task);
  }
  return err == ENOMEM ? shmseg_wait_again(shmseg_wait_patience(op->deadline, DICT_PATIENCE)) : err;
}
