/* SPDX-License-Identifier: MIT */
/* The words of src/core/word.h, each access shown to the fuzzer first: it may only lead into the
 * object, and a stranger may write there just before it. */
#pragma GCC system_header /* for include_next */
#ifndef SHMSEG_FUZZ_WORD_H
#define SHMSEG_FUZZ_WORD_H

#include <stdbool.h>

#include_next "core/word.h"
#include <stddef.h>

void *fuzz_touch(const volatile void *address, size_t size, bool is_word);

#define FUZZ_WORD(word) ((__typeof__(word))fuzz_touch(word, sizeof *(word), true))

#undef load_relaxed
#undef load_acquire
#undef load_ordered
#undef store_relaxed
#undef store_release
#undef store_ordered
#undef cas_ordered
#undef swap_ordered
#undef add_ordered
#undef and_ordered
#undef or_ordered
#undef xor_ordered

#define load_relaxed(word) __atomic_load_n(FUZZ_WORD(word), __ATOMIC_RELAXED)
#define load_acquire(word) __atomic_load_n(FUZZ_WORD(word), __ATOMIC_ACQUIRE)
#define load_ordered(word) __atomic_load_n(FUZZ_WORD(word), __ATOMIC_SEQ_CST)
#define store_relaxed(word, value) __atomic_store_n(FUZZ_WORD(word), value, __ATOMIC_RELAXED)
#define store_release(word, value) __atomic_store_n(FUZZ_WORD(word), value, __ATOMIC_RELEASE)
#define store_ordered(word, value) __atomic_store_n(FUZZ_WORD(word), value, __ATOMIC_SEQ_CST)
#define cas_ordered(word, seen, value)                                                             \
  __atomic_compare_exchange_n(FUZZ_WORD(word), seen, value, false, __ATOMIC_SEQ_CST,               \
                              __ATOMIC_SEQ_CST)
#define swap_ordered(word, value) __atomic_exchange_n(FUZZ_WORD(word), value, __ATOMIC_SEQ_CST)
#define add_ordered(word, value) __atomic_fetch_add(FUZZ_WORD(word), value, __ATOMIC_SEQ_CST)
#define and_ordered(word, value) __atomic_fetch_and(FUZZ_WORD(word), value, __ATOMIC_SEQ_CST)
#define or_ordered(word, value) __atomic_fetch_or(FUZZ_WORD(word), value, __ATOMIC_SEQ_CST)
#define xor_ordered(word, value) __atomic_fetch_xor(FUZZ_WORD(word), value, __ATOMIC_SEQ_CST)

#define copy_from_shared fuzz_copy_from
#define copy_to_shared fuzz_copy_to

/* Piece by piece, so that bytes can change in the middle. */
#define FUZZ_PIECE 64

static inline void fuzz_copy_from(void *to, const void *shared, size_t count) {
  for (size_t at = 0; at < count; at += FUZZ_PIECE) {
    size_t piece = count - at < FUZZ_PIECE ? count - at : FUZZ_PIECE;
    memcpy((char *)to + at, fuzz_touch((const char *)shared + at, piece, false), piece);
  }
}

static inline void fuzz_copy_to(void *shared, const void *from, size_t count) {
  for (size_t at = 0; at < count; at += FUZZ_PIECE) {
    size_t piece = count - at < FUZZ_PIECE ? count - at : FUZZ_PIECE;
    memcpy(fuzz_touch((char *)shared + at, piece, false), (const char *)from + at, piece);
  }
}

#endif
