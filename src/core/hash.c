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

/* Up to 8 bytes as a number, the first one lowest. */
static inline uint64_t hash_word(const unsigned char *bytes, size_t count) {
  uint64_t word = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (count == 8) {
    memcpy(&word, bytes, 8);
    return word;
  }
#endif
  for (size_t i = 0; i < count; i++)
    word |= (uint64_t)bytes[i] << 8 * i;
  return word;
}

uint64_t shmseg_hash(const uint64_t key[2], const void *bytes, size_t size) {
  state v = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
              key[1] ^ 0x7465646279746573 };
  const unsigned char *at = bytes;
  size_t rest = size;
  for (; rest >= 8; at += 8, rest -= 8)
    hash_mix(&v, hash_word(at, 8));
  hash_mix(&v, (uint64_t)size << 56 | hash_word(at, rest));
  v.c ^= 0xff;
  hash_round(&v);
  hash_round(&v);
  hash_round(&v);
  return v.a ^ v.b ^ v.c ^ v.d;
}
