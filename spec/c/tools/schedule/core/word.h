/* SPDX-License-Identifier: MIT */
/* The word.h of the scheduler's build: every access to a shared word is a step that it sees.
 *
 * Found before src/core/word.h by its include path. Same names, same meanings. */
#ifndef SHMSEG_CORE_WORD_H
#define SHMSEG_CORE_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum { STEP_RELAXED, STEP_ACQUIRE, STEP_RELEASE, STEP_ORDERED } step_order;
typedef enum { STEP_SWAP, STEP_ADD, STEP_AND, STEP_OR, STEP_XOR } step_change;

uint32_t step_load32(const void *word, step_order order);
uint64_t step_load64(const void *word, step_order order);
void step_store32(void *word, uint32_t value, step_order order);
void step_store64(void *word, uint64_t value, step_order order);
bool step_cas32(void *word, uint32_t *seen, uint32_t value);
bool step_cas64(void *word, uint64_t *seen, uint64_t value);
uint32_t step_change32(void *word, uint32_t value, step_change change);
uint64_t step_change64(void *word, uint64_t value, step_change change);
void step_fence(step_order order);
void step_pause(void);

/* Copies in pieces of at most 8 bytes; bytes that are not shared are copied as usual. */
void step_copy_from(void *to, const void *shared, size_t count);
void step_copy_to(void *shared, const void *from, size_t count);
void *step_set(void *to, int byte, size_t count);

#define STEP_SIZED(word, name) _Generic(*(word), uint32_t : name##32, uint64_t : name##64)

#define load_relaxed(word) STEP_SIZED(word, step_load)(word, STEP_RELAXED)
#define load_acquire(word) STEP_SIZED(word, step_load)(word, STEP_ACQUIRE)
#define load_ordered(word) STEP_SIZED(word, step_load)(word, STEP_ORDERED)

#define store_relaxed(word, value) STEP_SIZED(word, step_store)(word, value, STEP_RELAXED)
#define store_release(word, value) STEP_SIZED(word, step_store)(word, value, STEP_RELEASE)
#define store_ordered(word, value) STEP_SIZED(word, step_store)(word, value, STEP_ORDERED)

#define cas_ordered(word, seen, value) STEP_SIZED(word, step_cas)(word, seen, value)
#define swap_ordered(word, value) STEP_SIZED(word, step_change)(word, value, STEP_SWAP)
#define add_ordered(word, value) STEP_SIZED(word, step_change)(word, value, STEP_ADD)
#define and_ordered(word, value) STEP_SIZED(word, step_change)(word, value, STEP_AND)
#define or_ordered(word, value) STEP_SIZED(word, step_change)(word, value, STEP_OR)
#define xor_ordered(word, value) STEP_SIZED(word, step_change)(word, value, STEP_XOR)

#define fence_release() step_fence(STEP_RELEASE)
#define fence_acquire() step_fence(STEP_ACQUIRE)

#define spin_pause() step_pause()
#define copy_from_shared(to, shared, count) step_copy_from(to, shared, count)
#define copy_to_shared(shared, from, count) step_copy_to(shared, from, count)

/* Clearing shared memory by the C library is seen, too. */
#define memset(to, byte, count) step_set(to, byte, count)

#endif
