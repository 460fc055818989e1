/* SPDX-License-Identifier: MIT */
/* Zeroes in the place of a hole, also where the process is at one of the kernel's limits. */
#ifndef SHMSEG_OS_ZEROES_H
#define SHMSEG_OS_ZEROES_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Holds ready what shmseg_zeroes_put may need. What the system refuses now, the next call tries to
 * get again; a call that finds everything there does nothing. */
void shmseg_zeroes_prepare(void);

/* Puts memory without a file over [from, end), part of a mapping that begins at base: private
 * zeroes, or as a last resort others that holes share, also those of forked children; over the
 * whole mapping or page alone when that is all there is to be had. All are whole pages. For signal
 * handlers. False: not even that. */
bool shmseg_zeroes_put(uintptr_t base, uintptr_t from, uintptr_t end, uintptr_t page);

#pragma GCC visibility pop

#endif
