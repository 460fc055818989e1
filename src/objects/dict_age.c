/* SPDX-License-Identifier: MIT */
/* The age of a stripe, by which is told what was not used for long.
 *
 * It grows with each eighth of the stripe's share of the quota that is written. A mark has the 5 lowest
 * bits of the age of the entry's last use, so that up to 31 ages can be told. While it grows a hand goes
 * through the lines, once in 16 ages, and what is older than 15 becomes 15 old: so no mark is ever
 * taken for a younger one. */
#include "objects/dict.h"

#define AGES ((uint64_t)8) /* in which the whole share is written */
#define ROUND 16
#define OLDEST 15
#define STEP 64 /* cells that are written from one step of the hand to the next one */

/* The line's marks that are too old become as old as can be. */
static void age_line(const dict_op *op, uint64_t line, uint32_t age) {
  uint32_t *marks = dict_word32(op->dict, line + LINE_MARKS), seen = load_relaxed(marks);
  uint32_t next = seen;
  for (int i = 0; i <= DICT_SLOTS; i++) {
    uint32_t mark = seen >> 5 * i & 31;
    if (((age - mark) & 31) > OLDEST)
      next = (next & ~((uint32_t)31 << 5 * i)) | ((age - OLDEST) & 31) << 5 * i;
  }
  if (next != seen)
    cas_ordered(marks, &seen, next); /* who is faster has used something; the others have to wait */
}

/* One step of the hand. steps: in one age. */
static void age_step(const dict_op *op, uint64_t age, uint64_t step, uint64_t steps) {
  const shmseg_dict *dict = op->dict;
  uint64_t count = dict->lines / (ROUND * steps) + 1;
  uint64_t first = (age % ROUND * steps + step) * count;
  for (uint64_t i = first; i < first + count && i < dict->lines; i++)
    age_line(op, dict_line_at(dict, op->stripe, i), (uint32_t)age);
}

/* The hand moves. However much one value is, the age grows by one. */
__attribute__((noinline)) static void age_move(dict_op *op, uint64_t *age, uint64_t before,
                                               uint64_t written, bool is_over) {
  uint64_t now = load_relaxed(age);
  uint64_t steps = op->dict->quota / (AGES * op->dict->stripes) / STEP + 1;
  for (uint64_t i = before / STEP; i < steps && (is_over || i < written / STEP); i++)
    age_step(op, now, i, steps);
  if (is_over)
    store_relaxed(age, now + 1);
}

void shmseg_dict_written(dict_op *op, uint64_t cells) {
  uint64_t *stripe = op->words;
  uint64_t before = load_relaxed(stripe + STRIPE_WRITTEN / 8), written = before + cells;
  bool is_over = written * AGES * op->dict->stripes >= op->dict->quota;
  store_relaxed(stripe + STRIPE_WRITTEN / 8, is_over ? 0 : written);
  if (is_over || before / STEP != written / STEP)
    age_move(op, stripe + STRIPE_AGE / 8, before, written, is_over);
}
