/* SPDX-License-Identifier: MIT */
/* Numbers that nobody can foresee: for names and identities that must not collide. */
#define _GNU_SOURCE
#include "os/random.h"

#include <errno.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/random.h>
#endif

int shmseg_random_draw(uint64_t *bits) {
  return getentropy(bits, sizeof *bits) == 0 ? 0 : errno;
}
