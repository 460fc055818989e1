/* SPDX-License-Identifier: MIT */
/* Waits whose end an event loop is told.
 *
 * LAYOUT      none: a watch writes to shared memory what a sleeper writes, the flag of an eventcount. It is
 *             a descriptor (os/futexfd.h), and a place in the list of its segment handle.
 *
 * INVARIANTS  W1  between two calls an open watch is readable, or a wait of its is under way, or both.
 *             W2  who changes what is watched wakes the sleepers after the change, unless it sees that
 *                 nobody has asked; a watch has asked before it looks. So the look sees the change, or the
 *                 wake comes, and finds the wait, or the word is no longer what was seen when it begins.
 *             W3  the descriptor is one and the same from the first call to the close.
 *             W4  what is in the list is of a segment that is open, and of an object that is open. Closing
 *                 either takes it out, and leaves it readable. So it does not matter which goes first, the
 *                 handle's memory or the watch's, if each is closed before.
 *             W5  in a child of the process that has made it a watch touches neither the descriptor, which
 *                 is the parent's too, nor a ring's memory, which is not there.
 *
 * PROTOCOL    begin  the readiness of before is taken away. A wait that is under way on the same word goes
 *                    on: it is queued in the kernel, or will be, and ends at any wake, so it serves the new
 *                    look as well as a new one would. Another one ends.
 *             ask    the caller sets the flag of the eventcount, which gives the key. An event, a word and
 *                    the signals are slept on themselves: nothing is asked.
 *             look   the caller looks, by ordered loads.
 *             arm    found: readable at once. Not found: wait until the word is not the key.
 *             A failure on the way makes it readable, so that a loop comes back, and learns why.
 *             Through a read-only handle the flag cannot be set: a timer of 10 ms takes the place of the
 *             wait.
 *
 * CRASHES     a peer that dies between its change and its wake, or cuts the segment, wakes nobody, as it
 *             wakes no sleeper; and a loop has no interval at whose end it looks by itself. So it calls
 *             once a second (shmseg/watch.h). A dead process's flag costs one wake. */
#include "core/watch.h"

#include <errno.h>
#include <string.h>

#include "core/segment.h"
#include "core/word.h"
#include "os/futexfd.h"
#include "os/signals.h"

/* --- the list ----------------------------------------------------------------------------- */

static void watch_drop(shmseg_watch *watch) {
  if (!watch->link)
    return;
  *watch->link = watch->next;
  if (watch->next)
    watch->next->link = watch->link;
  watch->link = NULL;
}

static void watch_add(shmseg_watch **list, shmseg_watch *watch) {
  watch_drop(watch);
  watch->next = *list;
  if (watch->next)
    watch->next->link = &watch->next;
  watch->link = list;
  *list = watch;
}

void shmseg_watch_end(shmseg_watch **list, const void *of) {
  shmseg_watch *next;
  for (shmseg_watch *watch = *list; watch; watch = next) {
    next = watch->next;
    if (of && watch->of != of)
      continue;
    watch_drop(watch);
    if (shmseg_futexfd_is_ours(&watch->futexfd)) /* else it is the parent's that would be told */
      shmseg_futexfd_end(&watch->futexfd);
  }
}

/* --- the two halves ----------------------------------------------------------------------- */

void shmseg_watch_close(shmseg_watch *watch) {
  watch_drop(watch);
  shmseg_futexfd_close(&watch->futexfd);
  memset(watch, 0, sizeof *watch);
}

int shmseg_watch_refuse(shmseg_watch *watch, int err) {
  if (!watch->is_made)
    shmseg_watch_close(watch);
  else if (shmseg_futexfd_is_ours(&watch->futexfd))
    shmseg_futexfd_raise(&watch->futexfd);
  else
    return SHMSEG_FORKED;
  return err;
}

/* An ended one has given all back but the descriptor: it is none of this object's. */
static int watch_enter(shmseg_watch *watch, shmseg_watch **list, const void *of, bool is_polled,
                       const shmseg_futexfd_word *word) {
  int err = 0;
  if (watch->fd == 0) {
    memset(watch, 0, sizeof *watch);
    err = is_polled ? shmseg_futexfd_open_timer(&watch->futexfd)
                    : shmseg_futexfd_open(&watch->futexfd);
    watch->fd = watch->futexfd.fd;
  } else if (!shmseg_futexfd_is_ours(&watch->futexfd)) {
    return SHMSEG_FORKED;
  } else if (!watch->link) {
    return shmseg_watch_refuse(watch, SHMSEG_CLOSED);
  } else if (watch->is_polled != is_polled) {
    return shmseg_watch_refuse(watch, EINVAL);
  }
  if (!err) {
    watch->is_polled = is_polled;
    watch->of = of;
    watch_add(list, watch);
    err = shmseg_futexfd_begin(&watch->futexfd, word);
  }
  return err ? shmseg_watch_refuse(watch, err) : 0;
}

static int watch_leave(shmseg_watch *watch, const shmseg_futexfd_word *word, uint32_t seen,
                       int found) {
  int err = found;
  if (found == SHMSEG_EMPTY)
    err = shmseg_futexfd_wait(&watch->futexfd, word, seen);
  else if (found == 0)
    shmseg_futexfd_raise(&watch->futexfd);
  if (err)
    return shmseg_watch_refuse(watch, err);
  watch->is_made = true;
  return 0;
}

static shmseg_futexfd_word watch_word(const shmseg_segment *segment, const uint32_t *word) {
  uint64_t at = (uint64_t)((const unsigned char *)word - segment->data);
  return (shmseg_futexfd_word){ word, segment->fd, segment->apart, segment->window + at };
}

int shmseg_watch_begin(shmseg_watch *watch, const shmseg_segment *segment, const void *of,
                       const uint32_t *word, bool is_polled) {
  shmseg_futexfd_word where = watch_word(segment, word);
  /* a handle is constant to those who only read, but its list is not */
  return watch_enter(watch, &((shmseg_segment *)segment)->watches, of, is_polled, &where);
}

int shmseg_watch_arm(shmseg_watch *watch, const shmseg_segment *segment, const uint32_t *word,
                     uint32_t seen, int found) {
  shmseg_futexfd_word where = watch_word(segment, word);
  int err = segment_status(segment);
  return watch_leave(watch, &where, seen, err ? err : found);
}

int shmseg_segment_watch(const shmseg_segment *segment, size_t offset, uint32_t seen,
                         shmseg_watch *watch) {
  int err = !shmseg_segment_is_open(segment) ? SHMSEG_CLOSED : segment_status(segment);
  if (!err && (segment->is_private || offset % sizeof seen != 0))
    err = EINVAL;
  if (!err && (offset > segment->size || segment->size - offset < sizeof seen))
    err = SHMSEG_OUT_OF_RANGE;
  if (err)
    return shmseg_watch_refuse(watch, err);
  const uint32_t *word = (const uint32_t *)(const void *)(segment->data + offset);
  err = shmseg_watch_begin(watch, segment, segment, word, false);
  if (err)
    return err;
  return shmseg_watch_arm(watch, segment, word, seen,
                          load_ordered(word) != seen ? 0 : SHMSEG_EMPTY);
}

int shmseg_watch_signals(shmseg_watch **list, shmseg_watch *watch) {
  const shmseg_futexfd_word word = { &shmseg_signals_word, -1, false, 0 };
  int err = watch_enter(watch, list, list, false, &word);
  if (err)
    return err;
  /* the handler sets a bit, and then wakes; who waits is queued, and then looks */
  bool pending = __atomic_load_n(&shmseg_signals_word, __ATOMIC_SEQ_CST) != 0;
  return watch_leave(watch, &word, 0, pending ? 0 : SHMSEG_EMPTY);
}

const char *shmseg_watch_way(void) {
  return shmseg_futexfd_way();
}
