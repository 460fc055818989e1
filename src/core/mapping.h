/* SPDX-License-Identifier: MIT */
/* The mapping of a segment. A new one is made before the size changes; then the handle adopts it,
 * or it is dropped. */
#ifndef SHMSEG_CORE_MAPPING_H
#define SHMSEG_CORE_MAPPING_H

#include <stdbool.h>
#include <stddef.h>

#include "os/fault.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* A mapping for some size: in the address space that the handle has, or in new address space. */
typedef struct shmseg_mapping {
  unsigned char *base;
  size_t size, length; /* length: size in whole pages */
  size_t reserved;
  bool is_whole;       /* all of it is mapped anew, not only what lies behind the handle's bytes */
  unsigned pieces;     /* what the segment's will be */
  shmseg_fault *fault; /* guards new address space; NULL: base is the handle's */
} shmseg_mapping;

/* Maps size bytes of the backing, which may still have fewer. The handle does not change
 * (segment.c, S5). */
int shmseg_mapping_ahead(const shmseg_segment *segment, size_t size, shmseg_mapping *m);

/* Asks whether the pages may be pinned. The system's limit counts new address space beside the old.
 * If both are too much, the old pages are unpinned; shmseg_mapping_drop() pins them again. */
int shmseg_mapping_pin_ahead(const shmseg_segment *segment, const shmseg_mapping *m);

/* Brings in and pins the pages, as the segment's options ask; before the mapping is adopted. */
int shmseg_mapping_prepare(const shmseg_segment *segment, const shmseg_mapping *m);

/* From here on the handle has the size and the pages of the mapping. */
void shmseg_mapping_adopt(shmseg_segment *segment, const shmseg_mapping *m);

/* Undoes shmseg_mapping_ahead(). Pages that stay mapped lie behind the handle's size, unused. */
void shmseg_mapping_drop(const shmseg_segment *segment, const shmseg_mapping *m);

/* Maps size bytes, which the backing has, and adopts the mapping. A failure changes nothing. */
int shmseg_mapping_renew(shmseg_segment *segment, size_t size);

/* Unmaps a segment that is about to be closed, if it is mapped. */
void shmseg_mapping_end(const shmseg_segment *segment);

#pragma GCC visibility pop

#endif
