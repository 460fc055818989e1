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

/* What the bytes of a backing, open as fd, say of its name: SHMSEG_TEMPORARY_LAST, or something
 * else. */
typedef int shmseg_mark(int fd);

/* For options.temporary: what the call creates is SHMSEG_TEMPORARY_LAST; what is there, only if its
 * mark says so. */
#define SHMSEG_LAST_BY_MARK 3

/* Like shmseg_segment_open_until(); and a shared memory object that is there may say by its mark that
 * it goes with the last handle. */
int shmseg_segment_open_marked(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                               const shmseg_options *options, shmseg_mark *mark, int64_t *deadline,
                               bool *created);

/* Undoes a partial open, and gives err. Of a backing that was built the name stays. */
int shmseg_segment_give_up(shmseg_segment *segment, int err);

/* Closes the handle and leaves the name. */
void shmseg_segment_leave(shmseg_segment *segment);

/* Naps, since a peer has the backing. *deadline and *interval, 0 at first, are set here. 0: try again;
 * SHMSEG_TIMEOUT at *deadline; SHMSEG_INTERRUPTED at the end of *interval: the caller looks around. */
int shmseg_segment_wait_for_peer(int64_t *deadline, int64_t *interval);

/* 0, or why the place cannot have a backing: EINVAL, ENOENT, ENAMETOOLONG. */
int shmseg_segment_valid_place(shmseg_place place);

#pragma GCC visibility pop

#endif
