/* SPDX-License-Identifier: MIT */
/* Zeroes in the place of a hole, where nothing is known of the limits. Untested. */
#if !defined(__linux__)
#define _GNU_SOURCE
#include "os/zeroes.h"

#include <sys/mman.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

void shmseg_zeroes_prepare(void) {}

static bool zeroes_cover(uintptr_t from, uintptr_t end) {
  return mmap((void *)from, end - from, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANON | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

bool shmseg_zeroes_put(uintptr_t base, uintptr_t from, uintptr_t end, uintptr_t page) {
  (void)page;
  return zeroes_cover(from, end) || zeroes_cover(base, end);
}

#else
typedef int shmseg_zeroes_posix_is_empty; /* ISO C forbids an empty file */
#endif
