/* SPDX-License-Identifier: MIT */
/* The words of src/core/word.h, with copies that go word by word: what a copy races with is then
 * seen as the atomic accesses that it stands for. */
#pragma GCC system_header /* for include_next */
#ifndef SHMSEG_RACE_WORD_H
#define SHMSEG_RACE_WORD_H

#include_next "core/word.h"
#include <stddef.h>

#define copy_from_shared race_copy_from
#define copy_to_shared race_copy_to

static inline void race_copy_from(void *to, const void *shared, size_t count) {
  unsigned char *bytes = to;
  const unsigned char *from = shared;
  for (size_t i = 0; i < count; i++)
    bytes[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
}

static inline void race_copy_to(void *shared, const void *from, size_t count) {
  unsigned char *to = shared;
  const unsigned char *bytes = from;
  for (size_t i = 0; i < count; i++)
    __atomic_store_n(to + i, bytes[i], __ATOMIC_RELAXED);
}

#endif
