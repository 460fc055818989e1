/* SPDX-License-Identifier: MIT */
/* The header of every object: what it is, which format, how large.
 *
 * LAYOUT      offset  size
 *             0       4     state: 0 not initialised; INIT | identity while somebody builds;
 *                           SHMSEG_HEADER_MAGIC when complete
 *             4       4     kind
 *             8       4     format version of the kind
 *             12      4     mark: what is to become of the name of the object's own segment: 0 or
 *                           another number that has no meaning: it stays; SHMSEG_TEMPORARY: it
 *                           goes with who has created it; SHMSEG_TEMPORARY_LAST: with the last
 *                           handle. 0 in a slice
 *             16      8     size of the object, from this header on
 *             24      32    geometry: 4 numbers of the kind, the first of them not 0; a kind with fewer
 *                           leaves the rest 0
 *             56      8     0
 *             64            the kind's own words
 *
 * All in the byte order of the machine: the magic of the other order is none.
 *
 * INVARIANTS  H1  a complete header never changes, once somebody can see it.
 *             H2  under INIT the rest of the object is nobody's but the builder's.
 *
 *             H3  under INIT each byte behind the state is zero, or what the kind has there at
 *                 first; of the kind's own words only those of the geometry in the header, whose first
 *                 number is written last, and size is zero or that of this geometry.
 *
 * PROTOCOL    build: see that the whole place is zero. Compare-and-swap 0 to INIT | identity, write
 *             geometry, then the other fields, then the kind's words that are not zero (H3), store the
 *             magic with release: that publishes. An attacher reads the magic with acquire, then
 *             each field once, checks them, and keeps its own copies.
 *             rebuild: see that the builder is dead, and then that H3 holds for all of the place;
 *             compare-and-swap its INIT to one's own. For another geometry clear the words of the old
 *             one, then size and the first number (H3), and build.
 *
 * CRASHES     a dead builder is recognised by its identity, and H3 proves that it has written all that
 *             is there: somebody's data, which may begin like INIT, are left alone. */
#ifndef SHMSEG_OBJECTS_HEADER_H
#define SHMSEG_OBJECTS_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "objects/kinds.h"
#include "shmseg.h"

#pragma GCC visibility push(hidden)

#define SHMSEG_HEADER_MAGIC 0x53484d53u /* bit 31 clear in either byte order, as INIT is not */
#define SHMSEG_HEADER_INIT 0x80000000u
#define SHMSEG_HEADER_SIZE 64

/* Tries once to open the object; its handle has the kind and the offset. Attaches, or builds, or
 * finds that somebody else is building (SHMSEG_INTERRUPTED: try again). */
int shmseg_header_enter(shmseg_object *object, uint64_t available, shmseg_mode mode,
                        const shmseg_object_options *options, bool *created);

/* Notes in the handle that it does not fit: SHMSEG_TOO_SMALL. */
int shmseg_header_too_small(shmseg_object *object, uint64_t available, uint64_t needed);

/* What SHMSEG_HEADER_SIZE bytes from the beginning of a segment say of its name: SHMSEG_TEMPORARY,
 * SHMSEG_TEMPORARY_LAST or 0. 0, too, for bytes that are no complete header. */
int shmseg_header_mark(const void *bytes);

/* The same of the backing that is open as fd. */
int shmseg_header_mark_of(int fd);

/* Marks an object that nobody else has seen yet. */
void shmseg_header_set_mark(const shmseg_object *object, int mark);

/* What the bytes at the beginning of a backing say. */
typedef struct shmseg_description {
  const shmseg_kind *kind; /* NULL: none, or none that is known */
  uint32_t number, version;
  int mark; /* SHMSEG_TEMPORARY, SHMSEG_TEMPORARY_LAST or 0 */
  uint64_t size;
  uint64_t geometry[SHMSEG_GEOMETRY];
  const char *mismatch; /* as in shmseg_object, after SHMSEG_INCOMPATIBLE; also found and wanted */
  uint64_t found, wanted;
} shmseg_description;

/* Reads the first count bytes, at most SHMSEG_HEADER_SIZE, of a backing of so many. 0: an object, which
 * has all of its bytes. SHMSEG_EMPTY: none. SHMSEG_INCOMPATIBLE: one that this version does not know,
 * or that has spoilt bytes. SHMSEG_TOO_SMALL: it was cut, and found of wanted bytes are there. */
int shmseg_header_describe(const void *bytes, size_t count, uint64_t available,
                           shmseg_description *description);

/* Names what the header of an open object says otherwise than the handle, or NULL. */
const char *shmseg_header_check(const shmseg_object *object);

#pragma GCC visibility pop

#endif
