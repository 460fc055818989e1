/* SPDX-License-Identifier: MIT */
/* The age of a stripe, by which is told what was not used for long.
 *
 * It grows with each eighth of the stripe's share of the quota that is written. A mark has the 5 lowest
 * bits of the age of the entry's last use, so that up to 31 ages can be told. While it grows a hand goes
 * through the lines, once in 16 ages, and what is older than 15 becomes 15 old: so no mark is ever
 * taken for a younger one. */
#include "objects/dict.h"

#define ROUND 16
#define OLDEST 15

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

/* However much one value is, the age grows by one. */
void shmseg_dict_age(dict_op *op, uint64_t before, uint64_t written) {
  uint64_t share = DICT_AGES * op->dict->stripes, age = load_relaxed(dict_own(op, STRIPE_AGE));
  uint64_t steps = op->dict->quota / share / DICT_AGE_STEP + 1;
  bool is_over = written * share >= op->dict->quota;
  for (uint64_t i = before / DICT_AGE_STEP; i < steps && (is_over || i < written / DICT_AGE_STEP);
       i++)
    age_step(op, age, i, steps);
  if (is_over)
    store_relaxed(dict_own(op, STRIPE_AGE), age + 1);
  store_relaxed(dict_own(op, STRIPE_WRITTEN), is_over ? 0 : written);
}
