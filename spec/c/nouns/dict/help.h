/* SPDX-License-Identifier: MIT */
/* What the unit tests of the dict's parts share: a dict of their own, and operations on it. */
#ifndef SHMSEG_SPEC_DICT_HELP_H
#define SHMSEG_SPEC_DICT_HELP_H

#include "core/owner.h"
#include "objects/dict.h"
#include "unit/help.h"

static shmseg_segment ours;
static shmseg_dict d;
static int64_t patience;

/* An operation of that stripe, as dict_enter makes it. */
static inline dict_op in_stripe(uint32_t stripe) {
  dict_op op = { .dict = &d, .stripe = stripe, .deadline = &patience };
  must(shmseg_owner_identity(&ours, &op.id) == 0);
  op.words = dict_word64(&d, dict_stripe_at(stripe, 0));
  op.flush = load_relaxed(dict_word64(&d, DICT_FLUSH));
  return op;
}

static inline void open_dict(uint64_t capacity, uint64_t evict, uint64_t items) {
  shmseg_object_options options = { .capacity = capacity, .evict = evict, .items = items };
  uint64_t size = shmseg_dict_size(&options);
  must(size != 0);
  patience = 0;
  new_anonymous(&ours, (size_t)size);
  must(shmseg_dict_open(&d, (shmseg_slice){ &ours, 0, (size_t)size }, SHMSEG_CREATE, &options,
                        NULL) == 0);
}

static inline void close_dict(void) {
  shmseg_dict_close(&d);
  shmseg_segment_close(&ours);
}

static inline uint64_t granted_cells(void) {
  return number_at(&ours, DICT_GRANTED);
}

#endif
