/* SPDX-License-Identifier: MIT */
/* What the front calls for strings in segments and records, and for atomics. These functions know no Lua,
 * check all that they are given, and leave what is odd to the methods: 0 or NaN says so. Then nothing
 * was changed, but for what the method does again. */
#include "binding/front.h"

#if LUA_VERSION_NUM == 501

#include <math.h>
#include <string.h>

#include "binding/atomic.h"
#include "binding/record.h"
#include "binding/segment.h"

#define TWO_63 9223372036854775808.0

/* Is n an integer from 0 on? */
static inline bool take_size(double n, uint64_t *size) {
  if (!(n >= 0 && n < TWO_63))
    return false;
  *size = (uint64_t)(int64_t)n; /* floor() is a call on some machines */
  return (double)(int64_t)n == n;
}

/* The address of these bytes, or NULL. */
static inline unsigned char *find_bytes(const view *v, double offset, double count) {
  uint64_t from, size;
  if (!take_size(offset, &from) || !take_size(count, &size) || view_is_closed(v))
    return NULL;
  uint64_t limit = view_limit(v);
  bool is_inside = from <= limit && size <= limit - from;
  return is_inside ? v->segment->data + v->offset + from : NULL;
}

/* --- strings ------------------------------------------------------------------------------ */

/* Copies to the front's buffer. Returns how often that has been done, or 0. */
static int32_t read_bytes(front *f, const view *v, double offset, double count) {
  const unsigned char *bytes = v->tag == &segment_tag ? find_bytes(v, offset, count) : NULL;
  if (!bytes || count > FRONT_BUFFER)
    return 0;
  memcpy(f->buffer, bytes, (size_t)count);
  f->reads = f->reads < INT32_MAX ? f->reads + 1 : 1;
  return view_status(v) == 0 ? f->reads : 0;
}

static bool write_bytes(const view *v, double offset, const char *bytes, size_t count) {
  unsigned char *to = v->tag == &segment_tag ? find_bytes(v, offset, (double)count) : NULL;
  if (!to || !v->segment->writable)
    return false;
  memcpy(to, bytes, count);
  return view_status(v) == 0;
}

/* Copies a fixed string that is at offset of a record to the front's buffer, and puts its length into
 * f->length. */
static int32_t read_text(front *f, const record *r, const shape *s, double offset, double size) {
  const view *v = &r->view;
  bool is_ours = v->tag == &record_tag && r->shape == s && size <= FRONT_BUFFER;
  const unsigned char *bytes = is_ours ? find_bytes(v, offset, size) : NULL;
  if (!bytes)
    return 0;
  memcpy(f->buffer, bytes, (size_t)size);
  const char *end = memchr(f->buffer, 0, (size_t)size);
  f->length = end ? (uint32_t)(end - f->buffer) : (uint32_t)size;
  f->reads = f->reads < INT32_MAX ? f->reads + 1 : 1;
  return view_status(v) == 0 ? f->reads : 0;
}

static bool write_text(const record *r, const shape *s, double offset, double size,
                       const char *text, size_t length) {
  const view *v = &r->view;
  bool is_ours = v->tag == &record_tag && r->shape == s && (double)length <= size;
  unsigned char *to = is_ours ? find_bytes(v, offset, size) : NULL;
  if (!to || !v->segment->writable)
    return false;
  memcpy(to, text, length);
  memset(to + length, 0, (size_t)size - length);
  return view_status(v) == 0;
}

/* --- atomics ------------------------------------------------------------------------------ */

/* A number holds at least the integers from -EXACT to EXACT. */
#define EXACT (INT64_C(1) << 53)

/* The number that the bits are, or NaN when none holds them exactly. */
static inline double give_wide(const atomic *n, uint64_t bits) {
  if (n->type == SCALAR_i64)
    return bits + EXACT <= 2 * EXACT || holds_int64((int64_t)bits) ? (double)(int64_t)bits : NAN;
  return bits <= EXACT || holds_uint64(bits) ? (double)bits : (double)NAN;
}

static inline double give_bits(const atomic *n, uint64_t bits) {
  if (atomic_is_wide(n))
    return give_wide(n, bits);
  return n->type == SCALAR_i32 ? (double)(int32_t)bits : (double)(uint32_t)bits;
}

/* The word, or NULL. A closed segment has the size 0. */
static inline void *find_word(const atomic *n, bool to_change) {
  const shmseg_segment *segment = n->view.segment;
  if (n->view.tag != &atomic_tag || !segment || n->view.offset + n->view.size > segment->size)
    return NULL;
  return segment->writable || !to_change ? segment->data + n->view.offset : NULL;
}

static inline double give_result(const atomic *n, uint64_t bits) {
  return view_status(&n->view) == 0 ? give_bits(n, bits) : (double)NAN;
}

/* A result that no number holds is the method's business, so it is looked at before the change. */
static __attribute__((noinline)) double apply_again(const atomic *n, uint64_t *word,
                                                    atomic_operation op, uint64_t operand) {
  uint64_t old = load_ordered(word);
  for (int i = 0; i < ATOMIC_TRIES; i++) {
    double result = give_wide(n, old);
    if (isnan(result))
      break;
    if (cas_ordered(word, &old, atomic_result(op, old, operand)))
      return view_status(&n->view) == 0 ? result : (double)NAN;
  }
  return (double)NAN;
}

/* The usual case calls nothing: what a number holds, at the first try. */
static inline double apply_wide(const atomic *n, uint64_t *word, atomic_operation op,
                                uint64_t operand) {
  uint64_t old = load_ordered(word);
  bool is_usual = n->type == SCALAR_i64 ? old + EXACT <= 2 * EXACT : old <= EXACT;
  if (!is_usual || !cas_ordered(word, &old, atomic_result(op, old, operand)))
    return apply_again(n, word, op, operand);
  return view_status(&n->view) == 0 ? (double)(int64_t)old : (double)NAN;
}

static inline double apply_narrow(const atomic *n, uint32_t *word, atomic_operation op,
                                  uint64_t operand) {
  uint64_t old = atomic_apply32(word, op, (uint32_t)operand);
  if (view_status(&n->view) != 0)
    return (double)NAN;
  return n->type == SCALAR_i32 ? (double)(int32_t)old : (double)old;
}

static inline double apply(const atomic *n, atomic_operation op, uint64_t operand) {
  void *word = find_word(n, true);
  if (!word)
    return (double)NAN;
  return atomic_is_wide(n) ? apply_wide(n, word, op, operand) : apply_narrow(n, word, op, operand);
}

static double add(const atomic *n, int64_t operand) {
  return apply(n, ATOMIC_ADD, (uint64_t)operand);
}

static double sub(const atomic *n, int64_t operand) {
  return apply(n, ATOMIC_ADD, 0 - (uint64_t)operand);
}

static double band(const atomic *n, int64_t operand) {
  return apply(n, ATOMIC_AND, (uint64_t)operand);
}

static double bor(const atomic *n, int64_t operand) {
  return apply(n, ATOMIC_OR, (uint64_t)operand);
}

static double bxor(const atomic *n, int64_t operand) {
  return apply(n, ATOMIC_XOR, (uint64_t)operand);
}

static double swap(const atomic *n, int64_t operand) {
  return apply(n, ATOMIC_SWAP, (uint64_t)operand);
}

static double load(const atomic *n) {
  const void *word = find_word(n, false);
  return word ? give_result(n, atomic_load_word(n, word)) : (double)NAN;
}

static bool store(const atomic *n, int64_t value) {
  void *word = find_word(n, true);
  if (!word)
    return false;
  atomic_store_word(n, word, (uint64_t)value);
  return view_status(&n->view) == 0;
}

/* Infinity when it was done, else the value that is there. */
static double cas(const atomic *n, int64_t expected, int64_t value) {
  uint64_t seen = (uint64_t)expected;
  void *word = find_word(n, true);
  if (!word)
    return (double)NAN;
  if (!atomic_exchange(n, word, &seen, (uint64_t)value))
    return give_result(n, seen);
  return view_status(&n->view) == 0 ? (double)INFINITY : (double)NAN;
}

const front_views front_view_calls = {
  read_bytes, write_bytes, read_text, write_text, add, sub, band, bor, bxor, swap, load, store, cas,
};

#endif
