/* SPDX-License-Identifier: MIT */
/* SipHash-1-3: one round for each word, three at the end. */
#include "core/hash.h"

#include <string.h>

typedef struct {
  uint64_t a, b, c, d;
} state;

static inline uint64_t hash_rotate(uint64_t x, unsigned bits) {
  return x << bits | x >> (64 - bits);
}

static inline void hash_round(state *v) {
  v->a += v->b;
  v->c += v->d;
  v->b = hash_rotate(v->b, 13) ^ v->a;
  v->d = hash_rotate(v->d, 16) ^ v->c;
  v->a = hash_rotate(v->a, 32);
  v->c += v->b;
  v->a += v->d;
  v->b = hash_rotate(v->b, 17) ^ v->c;
  v->d = hash_rotate(v->d, 21) ^ v->a;
  v->c = hash_rotate(v->c, 32);
}

static inline void hash_mix(state *v, uint64_t word) {
  v->d ^= word;
  hash_round(v);
  v->a ^= word;
}

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline uint64_t hash_word(const unsigned char *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

static inline uint64_t hash_half(const unsigned char *bytes) {
  uint32_t half;
  memcpy(&half, bytes, sizeof half);
  return half;
}

/* Less than 8 bytes, the last ones of size, as a number, the first one lowest: cut from words that
 * may begin before them. */
static inline uint64_t hash_rest(const unsigned char *bytes, size_t rest, size_t size) {
  if (rest == 0)
    return 0;
  if (size >= 8)
    return hash_word(bytes + rest - 8) >> (64 - 8 * rest);
  if (rest >= 4)
    return hash_half(bytes) | hash_half(bytes + rest - 4) << (8 * rest - 32);
  return bytes[0] | (uint64_t)bytes[rest / 2] << rest / 2 * 8 |
         (uint64_t)bytes[rest - 1] << (rest - 1) * 8;
}
#else
static inline uint64_t hash_rest(const unsigned char *bytes, size_t rest, size_t size) {
  (void)size;
  uint64_t word = 0;
  for (size_t i = 0; i < rest; i++)
    word |= (uint64_t)bytes[i] << 8 * i;
  return word;
}

static inline uint64_t hash_word(const unsigned char *bytes) {
  return hash_rest(bytes, 8, 8);
}
#endif

uint64_t shmseg_hash(const uint64_t key[2], const void *bytes, size_t size) {
  state v = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
              key[1] ^ 0x7465646279746573 };
  const unsigned char *at = bytes;
  size_t rest = size;
  for (; rest >= 8; at += 8, rest -= 8)
    hash_mix(&v, hash_word(at));
  hash_mix(&v, (uint64_t)size << 56 | hash_rest(at, rest, size));
  v.c ^= 0xff;
  hash_round(&v);
  hash_round(&v);
  hash_round(&v);
  return v.a ^ v.b ^ v.c ^ v.d;
}
