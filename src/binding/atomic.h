/* SPDX-License-Identifier: MIT */
/* The atomic userdata: what its own file and the front share. */
#ifndef SHMSEG_BINDING_ATOMIC_H
#define SHMSEG_BINDING_ATOMIC_H

#include "binding/scalar.h"
#include "binding/view.h"
#include "core/word.h"

/* Tries of an operation on 64 bits where Lua's numbers are floats. A try fails only when another
 * process has changed the word meanwhile. */
#define ATOMIC_TRIES 1000000

typedef struct {
  view view;
  scalar type;
} atomic;

typedef enum { ATOMIC_SWAP, ATOMIC_ADD, ATOMIC_AND, ATOMIC_OR, ATOMIC_XOR } atomic_operation;

#pragma GCC visibility push(hidden)

extern const char atomic_tag;

#pragma GCC visibility pop

static inline bool atomic_is_wide(const atomic *n) {
  return n->type >= SCALAR_i64; /* of the four types that an atomic has */
}

static inline uint64_t atomic_load_word(const atomic *n, const void *word) {
  return atomic_is_wide(n) ? load_ordered((const uint64_t *)word)
                           : load_ordered((const uint32_t *)word);
}

static inline uint64_t atomic_apply32(uint32_t *word, atomic_operation op, uint32_t operand) {
  switch (op) {
  case ATOMIC_SWAP: return swap_ordered(word, operand);
  case ATOMIC_ADD: return add_ordered(word, operand);
  case ATOMIC_AND: return and_ordered(word, operand);
  case ATOMIC_OR: return or_ordered(word, operand);
  default: return xor_ordered(word, operand);
  }
}

/* What becomes of the old value. */
static inline uint64_t atomic_result(atomic_operation op, uint64_t old, uint64_t operand) {
  switch (op) {
  case ATOMIC_SWAP: return operand;
  case ATOMIC_ADD: return old + operand;
  case ATOMIC_AND: return old & operand;
  case ATOMIC_OR: return old | operand;
  default: return old ^ operand;
  }
}

/* Exchanges the word if it is *expected, else puts the word there. */
static inline bool atomic_exchange(const atomic *n, void *word, uint64_t *expected, uint64_t bits) {
  if (atomic_is_wide(n))
    return cas_ordered((uint64_t *)word, expected, bits);
  uint32_t narrow = (uint32_t)*expected;
  bool done = cas_ordered((uint32_t *)word, &narrow, (uint32_t)bits);
  *expected = narrow;
  return done;
}

static inline void atomic_store_word(const atomic *n, void *word, uint64_t bits) {
  if (atomic_is_wide(n))
    store_ordered((uint64_t *)word, bits);
  else
    store_ordered((uint32_t *)word, (uint32_t)bits);
}

#endif
