/* SPDX-License-Identifier: MIT */
/* Numbers that nobody can foresee: for names and identities that must not collide. */
#ifndef SHMSEG_OS_RANDOM_H
#define SHMSEG_OS_RANDOM_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

int shmseg_random_draw(uint64_t *bits);

#pragma GCC visibility pop

#endif
