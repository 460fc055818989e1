/* SPDX-License-Identifier: MIT */
/* SipHash-1-3: a hash that nobody can foresee without its key (Aumasson and Bernstein 2012).
 *
 * With a key of its own for each table, nobody can choose keys that fall into one place. */
#ifndef SHMSEG_CORE_HASH_H
#define SHMSEG_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The bytes are private: no peer changes them. The same on machines of both byte orders. */
uint64_t shmseg_hash(const uint64_t key[2], const void *bytes, size_t size);

#pragma GCC visibility pop

#endif
