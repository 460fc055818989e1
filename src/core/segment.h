/* SPDX-License-Identifier: MIT */
/* shmseg_segment_status for the hot paths of this library. */
#ifndef SHMSEG_CORE_SEGMENT_H
#define SHMSEG_CORE_SEGMENT_H

#include "os/fault.h"
#include "shmseg.h"

/* 0, or what an access before this call has met: SHMSEG_TRUNCATED or ENOSPC. */
static inline int segment_status(const shmseg_segment *segment) {
  return segment->fault ? shmseg_fault_code(segment->fault) : 0;
}

#endif
