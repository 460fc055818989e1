/* SPDX-License-Identifier: MIT */
/* Words that processes share: the only home of atomics.
 *
 * A shared word is read once, into a local, by one of these; the local is checked and used. The
 * macros take a pointer to a naturally aligned uint32_t or uint64_t in the mapping. Nothing here
 * writes in order to read: loads work through a read-only mapping.
 *
 * The tests build the structures with a word.h of their own, which sees every access. */
#ifndef SHMSEG_CORE_WORD_H
#define SHMSEG_CORE_WORD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Without these a compiler would call libatomic, whose locks are private to the process. */
#if !defined(__GCC_ATOMIC_INT_LOCK_FREE) || __GCC_ATOMIC_INT_LOCK_FREE != 2
#error "32-bit atomics are not always lock-free on this machine"
#endif
#if !defined(__GCC_ATOMIC_LLONG_LOCK_FREE) || __GCC_ATOMIC_LLONG_LOCK_FREE != 2
#error "64-bit atomics are not always lock-free on this machine"
#endif

#define load_relaxed(word) __atomic_load_n(word, __ATOMIC_RELAXED)
#define load_acquire(word) __atomic_load_n(word, __ATOMIC_ACQUIRE)
#define load_ordered(word) __atomic_load_n(word, __ATOMIC_SEQ_CST)

#define store_relaxed(word, value) __atomic_store_n(word, value, __ATOMIC_RELAXED)
#define store_release(word, value) __atomic_store_n(word, value, __ATOMIC_RELEASE)
#define store_ordered(word, value) __atomic_store_n(word, value, __ATOMIC_SEQ_CST)

/* All ordered operations are in one total order (sequentially consistent). A word that is not *seen
 * is put into *seen. The order is not a full barrier: on ARM a plain store behind such a swap can
 * be seen before the swap is, and C11 promises no more. The code assumes only what the compilers of
 * all machines keep: a process that sees the result of a swap sees what stands before it; and when
 * two processes both swap or store in order, and then load the other's word in order, one sees what
 * the other did. Where a later plain store must not be seen first, there is a fence. */
#define cas_ordered(word, seen, value)                                                             \
  __atomic_compare_exchange_n(word, seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define swap_ordered(word, value) __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST)
#define add_ordered(word, value) __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST)
#define and_ordered(word, value) __atomic_fetch_and(word, value, __ATOMIC_SEQ_CST)
#define or_ordered(word, value) __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST)
#define xor_ordered(word, value) __atomic_fetch_xor(word, value, __ATOMIC_SEQ_CST)

/* What was stored before is seen before what is stored after. */
#define fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)

/* What is loaded after is loaded after what was loaded before. */
#define fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)

/* Tells the processor that this is a loop that waits for another one. */
static inline void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

/* From so many bytes on memcpy fetches cache lines that another core has written one by one; the
 * string instruction is 5 times as fast (6.8 and 33 GB/s for 1 MiB, measured between two cores). */
#define COPY_BY_STRING 2048

/* Bytes that a peer may change at the same time: what is copied is then any mixture. */
static inline void copy_bytes(void *to, const void *from, size_t count) {
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
  if (count >= COPY_BY_STRING) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return;
  }
#endif
  memcpy(to, from, count);
}

static inline void copy_from_shared(void *to, const void *shared, size_t count) {
  copy_bytes(to, shared, count);
}

static inline void copy_to_shared(void *shared, const void *from, size_t count) {
  copy_bytes(shared, from, count);
}

#endif
