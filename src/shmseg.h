/* SPDX-License-Identifier: MIT */
/* The public C API of shmseg; doc/c.md is its manual.
 *
 * Handles are plain structs that the caller owns and keeps at one address from open to close;
 * nothing here allocates. A handle is for one thread at a time. Every function that can fail
 * returns 0 or a code: shmseg/base.h has them. A pointer is NULL only where it is said that it may
 * be. Sizes, offsets and counts are bytes. Deadlines are nanoseconds of shmseg_clock_now(). */
#ifndef SHMSEG_H
#define SHMSEG_H

#include "shmseg/base.h"
#include "shmseg/dict.h"
#include "shmseg/locks.h"
#include "shmseg/messages.h"
#include "shmseg/object.h"
#include "shmseg/segment.h"
#include "shmseg/watch.h"

#endif
