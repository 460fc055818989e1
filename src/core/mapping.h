/* SPDX-License-Identifier: MIT */
/* The mapping of a segment: made ahead of the size that it is for, then adopted by the handle or
 * dropped. */
#ifndef SHMSEG_CORE_MAPPING_H
#define SHMSEG_CORE_MAPPING_H

#include <stddef.h>

#include "os/fault.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

/* What a size needs: more of the address space that the handle holds, or new one. */
typedef struct shmseg_mapping {
  unsigned char *base;
  size_t size, length; /* length: size in whole pages */
  size_t reserved;
  shmseg_fault *fault; /* of new address space; NULL: it is the handle's */
} shmseg_mapping;

/* Maps size bytes of the backing, which may have fewer yet. The handle does not change (segment.c,
 * S5). */
int shmseg_mapping_ahead(const shmseg_segment *segment, size_t size, shmseg_mapping *m);

/* Asks whether the pages may be pinned. New address space counts beside the old one, which makes room
 * where the limit does not hold both: shmseg_mapping_drop() pins it again. */
int shmseg_mapping_pin_ahead(const shmseg_segment *segment, const shmseg_mapping *m);

/* Brings in and pins the pages, as the options of the segment ask, before they count. */
int shmseg_mapping_prepare(const shmseg_segment *segment, const shmseg_mapping *m);

/* From here on the handle has the size and the pages of the mapping. */
void shmseg_mapping_adopt(shmseg_segment *segment, const shmseg_mapping *m);

/* Undoes shmseg_mapping_ahead(). What cannot be taken back is out of everybody's reach all the same. */
void shmseg_mapping_drop(const shmseg_segment *segment, const shmseg_mapping *m);

/* Maps that size, which the backing has, and adopts it. A failure changes nothing. */
int shmseg_mapping_renew(shmseg_segment *segment, size_t size);

/* Ends the mapping of a segment that is closed, if it has one. */
void shmseg_mapping_end(const shmseg_segment *segment);

#pragma GCC visibility pop

#endif
