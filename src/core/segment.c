/* SPDX-License-Identifier: MIT */
/* A segment: one backing, mapped whole or in a window, that can be built, resized and lost without
 * harm.
 *
 * LAYOUT      none: a segment's bytes are its users'.
 *
 * INVARIANTS  S1  [data, data + size) is mapped to the backing, or to private zeroes after a fault.
 *                 A private mapping has its own copies of the pages that were written to.
 *             S2  fault guards that range while the handle is open; of a window all of its pages.
 *             S3  reserved is whole pages, reserved >= size; what lies between cannot be touched. A window
 *                 has no more than its pages; data is window % page behind the first of them.
 *             S4  a name leads to a complete backing: right size, permissions and content.
 *             S5  a call that fails leaves handle and backing as they were: what can be refused (address
 *                 space, pinning, memory) is asked for before the size of either changes.
 *
 * PROTOCOL    open    attach, or build a nameless backing and link it under its name: the link
 *                     publishes. Losing the race for the name means attaching to the winner's. The
 *                     presence is taken before the link; or before a look at whether the backing
 *                     still has its name.
 *             resize  under the backing's lock: map what will be there, take its memory, then set the
 *                     size in one system call: that publishes.
 *                     A segment that is to be grown at opening is resized when all else is done.
 *             unlink  under the backing's lock, after a look at what the name leads to.
 *
 * CRASHES     before the link nothing has a name and all is gone; the lock goes with its
 *             descriptor; memory taken for a growth that was not published is freed with the
 *             backing or used by the next growth. */
#define _GNU_SOURCE
#include "core/segment.h"

#include <errno.h>
#include <string.h>

#include "core/mapping.h"
#include "core/owner.h"
#include "core/watch.h"
#include "os/backing.h"
#include "os/map.h"
#include "os/presence.h"
#include "os/temporary.h"

void shmseg_segment_init(shmseg_segment *segment) {
  memset(segment, 0, sizeof *segment);
}

int shmseg_segment_valid_place(shmseg_place place) {
  if (!place.name || (place.type != SHMSEG_NAME && place.type != SHMSEG_FILE))
    return EINVAL;
  if (place.type == SHMSEG_FILE)
    return *place.name == '\0' ? ENOENT : 0;
  if (*place.name == '\0' || strchr(place.name, '/') || strcmp(place.name, ".") == 0 ||
      strcmp(place.name, "..") == 0)
    return EINVAL;
  return strlen(place.name) > SHMSEG_NAME_MAX ? ENAMETOOLONG : 0;
}

/* --- closing ------------------------------------------------------------------------------ */

int shmseg_segment_give_up(shmseg_segment *segment, int err) {
  shmseg_watch_end(&segment->watches, NULL); /* first: what a watch maps keeps a description */
  if (segment->temporary)
    shmseg_temporary_remove(segment->temporary);
  shmseg_owner_forget_all(segment); /* init may have locked something */
  shmseg_mapping_end(segment);
  if (shmseg_segment_is_open(segment))
    shmseg_presence_close(segment->fd);
  shmseg_segment_init(segment);
  return err;
}

void shmseg_segment_close(shmseg_segment *segment) {
  if (!shmseg_segment_is_open(segment))
    return;
  shmseg_temporary *temporary = segment->temporary;
  bool last = temporary && shmseg_temporary_is_last(temporary);
  segment->temporary = NULL;
  shmseg_owner_abandon_all(segment);
  if (temporary && !last)
    shmseg_temporary_unlink(temporary);
  shmseg_segment_give_up(segment, 0);
  if (last) /* without our presence, and with the descriptor's number free again */
    shmseg_temporary_unlink(temporary);
}

void shmseg_segment_leave(shmseg_segment *segment) {
  if (!shmseg_segment_is_open(segment))
    return;
  shmseg_owner_abandon_all(segment);
  shmseg_segment_give_up(segment, 0);
}

/* --- bytes -------------------------------------------------------------------------------- */

int shmseg_segment_status(const shmseg_segment *segment) {
  return segment_status(segment);
}

static int segment_check_range(const shmseg_segment *segment, size_t offset, size_t count) {
  if (!shmseg_segment_is_open(segment))
    return SHMSEG_CLOSED;
  return offset > segment->size || count > segment->size - offset ? SHMSEG_OUT_OF_RANGE : 0;
}

int shmseg_segment_read(const shmseg_segment *segment, size_t offset, void *buffer, size_t count) {
  int err = segment_check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  memcpy(buffer, segment->data + offset, count);
  return shmseg_segment_status(segment);
}

int shmseg_segment_write(const shmseg_segment *segment, size_t offset, const void *bytes,
                         size_t count) {
  int err = segment_check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  if (!segment->writable)
    return SHMSEG_READ_ONLY;
  memcpy(segment->data + offset, bytes, count);
  return shmseg_segment_status(segment);
}

int shmseg_segment_flush(const shmseg_segment *segment, size_t offset, size_t count) {
  int err = segment_check_range(segment, offset, count);
  if (err || count == 0)
    return err;
  if (segment->is_private)
    return EINVAL;
  unsigned char *bytes = segment->data + offset;
  size_t before = (size_t)((uintptr_t)bytes % shmseg_map_page());
  err = shmseg_map_flush(bytes - before, before + count);
  return err ? err : shmseg_segment_status(segment);
}
