/* SPDX-License-Identifier: MIT */
/* What this library alone may ask of a segment. */
#ifndef SHMSEG_CORE_SEGMENT_H
#define SHMSEG_CORE_SEGMENT_H

#include "os/fault.h"
#include "shmseg.h"

/* shmseg_segment_status(), for the hot paths of this library. */
static inline int segment_status(const shmseg_segment *segment) {
  return segment->fault ? shmseg_fault_code(segment->fault) : 0;
}

/* Is it one of the modes? A C program can give any number. */
static inline bool segment_is_mode(shmseg_mode mode) {
  return (unsigned)mode <= SHMSEG_CREATE_ONLY;
}

#pragma GCC visibility push(hidden)

/* 0, or why the place cannot have a backing: EINVAL, ENOENT, ENAMETOOLONG. */
int shmseg_segment_valid_place(shmseg_place place);

#pragma GCC visibility pop

#endif
