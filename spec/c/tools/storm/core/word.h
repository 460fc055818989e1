/* SPDX-License-Identifier: MIT */
/* Shared words for the storm: the real ones, with a random pause before each access. */
#ifndef SHMSEG_SPEC_STORM_WORD_H
#define SHMSEG_SPEC_STORM_WORD_H

#include "../../../../src/core/word.h"

/* Now and then yields or sleeps, so that a kill meets this process between two accesses. */
void storm_pause(void);

#undef load_relaxed
#undef load_acquire
#undef load_ordered
#define load_relaxed(word) (storm_pause(), __atomic_load_n(word, __ATOMIC_RELAXED))
#define load_acquire(word) (storm_pause(), __atomic_load_n(word, __ATOMIC_ACQUIRE))
#define load_ordered(word) (storm_pause(), __atomic_load_n(word, __ATOMIC_SEQ_CST))

#undef store_relaxed
#undef store_release
#undef store_ordered
#define store_relaxed(word, value) (storm_pause(), __atomic_store_n(word, value, __ATOMIC_RELAXED))
#define store_release(word, value) (storm_pause(), __atomic_store_n(word, value, __ATOMIC_RELEASE))
#define store_ordered(word, value) (storm_pause(), __atomic_store_n(word, value, __ATOMIC_SEQ_CST))

#undef cas_ordered
#undef swap_ordered
#undef add_ordered
#undef and_ordered
#undef or_ordered
#undef xor_ordered
#define cas_ordered(word, seen, value)                                                             \
  (storm_pause(),                                                                                  \
   __atomic_compare_exchange_n(word, seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define swap_ordered(word, value)                                                                  \
  (storm_pause(), __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST))
#define add_ordered(word, value) (storm_pause(), __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST))
#define and_ordered(word, value) (storm_pause(), __atomic_fetch_and(word, value, __ATOMIC_SEQ_CST))
#define or_ordered(word, value) (storm_pause(), __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST))
#define xor_ordered(word, value) (storm_pause(), __atomic_fetch_xor(word, value, __ATOMIC_SEQ_CST))

/* Pieces of a copy, each of which may be the last. */
static inline void storm_copy(unsigned char *to, const unsigned char *from, size_t count) {
  while (count > 0) {
    size_t piece = count < 8 ? count : 8;
    storm_pause();
    memcpy(to, from, piece);
    to += piece;
    from += piece;
    count -= piece;
  }
}

#define copy_from_shared(to, shared, count)                                                        \
  storm_copy((unsigned char *)(to), (const unsigned char *)(shared), count)
#define copy_to_shared(shared, from, count)                                                        \
  storm_copy((unsigned char *)(shared), (const unsigned char *)(from), count)

#endif
