/* SPDX-License-Identifier: MIT */
/* core/hash: SipHash-1-3, beside its known results and a slow one that is written as its paper says. */
#include "core/hash.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unit/help.h"

#define LENGTHS 100

/* Of the key 00 01 … 0f and the bytes 00 01 02 …, one more each time; as bytes, the lowest first. */
static const unsigned char known[][8] = {
  { 0xdc, 0xc4, 0x0f, 0x05, 0x58, 0x01, 0xac, 0xab },
  { 0x93, 0xca, 0x57, 0x7d, 0xf3, 0x9b, 0xf4, 0xc9 },
  { 0x4d, 0xd4, 0xc7, 0x4d, 0x02, 0x9b, 0xcb, 0x82 },
  { 0xfb, 0xf7, 0xdd, 0xe7, 0xb8, 0x0a, 0xf8, 0x8b },
  { 0x28, 0x83, 0xd3, 0x88, 0x60, 0x57, 0x75, 0xcf },
  { 0x67, 0x3b, 0x53, 0x49, 0x2f, 0xd5, 0xf9, 0xde },
  { 0xa7, 0x22, 0x9f, 0xc5, 0x50, 0x2b, 0x0d, 0xc5 },
  { 0x40, 0x11, 0xb1, 0x9b, 0x98, 0x7d, 0x92, 0xd3 },
  { 0x8e, 0x9a, 0x29, 0x8d, 0x11, 0x95, 0x90, 0x36 },
};

static uint64_t rotated(uint64_t x, int bits) {
  return x << bits | x >> (64 - bits);
}

static void slow_round(uint64_t v[4]) {
  v[0] += v[1], v[1] = rotated(v[1], 13) ^ v[0], v[0] = rotated(v[0], 32);
  v[2] += v[3], v[3] = rotated(v[3], 16) ^ v[2];
  v[0] += v[3], v[3] = rotated(v[3], 21) ^ v[0];
  v[2] += v[1], v[1] = rotated(v[1], 17) ^ v[2], v[2] = rotated(v[2], 32);
}

static uint64_t slow_hash(const uint64_t key[2], const unsigned char *bytes, size_t size) {
  uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                    key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
  for (size_t word = 0; word <= size / 8; word++) {
    uint64_t m = word == size / 8 ? (uint64_t)size << 56 : 0;
    for (size_t i = 8 * word; i < size && i < 8 * word + 8; i++)
      m |= (uint64_t)bytes[i] << 8 * (i % 8);
    v[3] ^= m;
    slow_round(v);
    v[0] ^= m;
  }
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++)
    slow_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

TEST(known_results, "the hash of short messages is SipHash-1-3's") {
  unsigned char bytes[sizeof known / 8];
  for (size_t size = 0; size < sizeof known / 8; size++) {
    uint64_t expected = 0;
    for (int i = 0; i < 8; i++)
      expected |= (uint64_t)known[size][i] << 8 * i;
    check(shmseg_hash(key, bytes, size) == expected);
    bytes[size] = (unsigned char)size;
  }
}

TEST(every_length, "the hash of any length is that of a slow one, and reads no byte beside") {
  for (size_t size = 0; size < LENGTHS; size++) {
    unsigned char *bytes = malloc(size ? size : 1); /* of just that size, for the sanitizer */
    for (size_t i = 0; i < size; i++)
      bytes[i] = (unsigned char)(i * 151 + size * 7 + 128);
    check(shmseg_hash(key, bytes, size) == slow_hash(key, bytes, size));
    free(bytes);
  }
}

TEST(any_key, "the hash depends on both words of the key") {
  const uint64_t other[2] = { key[0], key[1] ^ 1 }, another[2] = { key[0] ^ 1, key[1] };
  check(shmseg_hash(key, "abc", 3) != shmseg_hash(other, "abc", 3));
  check(shmseg_hash(key, "abc", 3) != shmseg_hash(another, "abc", 3));
}

int main(int argc, char **argv) {
  (void)argc;
  test_run(argv);
  return help_end();
}
