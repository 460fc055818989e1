/* SPDX-License-Identifier: MIT */
/* objects/object: what a call has proved of an object holds until something happens to its segment. */
#include <unistd.h>

#include "unit/help.h"

#define FAR (2 * PAGE) /* where the second mutex lies */

static shmseg_segment segment;
static shmseg_mutex near, far;

/* The code of a lock and an unlock. */
static int use(shmseg_mutex *mutex) {
  bool abandoned;
  int err = shmseg_mutex_lock(mutex, 0, &abandoned);
  return err ? err : shmseg_mutex_unlock(mutex);
}

static int attach(shmseg_mutex *mutex, uint64_t offset) {
  shmseg_slice where = { &segment, offset, PAGE };
  return shmseg_mutex_open(mutex, where, SHMSEG_CREATE, NULL, NULL);
}

/* Two mutexes that were used: all of both is proved. */
static void open_both(void) {
  new_segment(&segment, fresh_place(), 4 * PAGE);
  must(attach(&near, 0) == 0 && attach(&far, FAR) == 0 && use(&near) == 0 && use(&far) == 0);
}

static void close_all(void) {
  shmseg_mutex_close(&near);
  shmseg_mutex_close(&far);
  shmseg_segment_close(&segment);
}

static const test_fixture fresh = { open_both, close_all };

TEST_WITH(fresh, out_of_reach,
          "an object that its segment's own shrinking cuts off is gone, and the others are not") {
  check(shmseg_segment_resize(&segment, PAGE) == 0);
  check(use(&near) == 0 && use(&far) == SHMSEG_TRUNCATED && use(&near) == 0);
  check(shmseg_mutex_unlock(&far) == SHMSEG_TRUNCATED);
  check(shmseg_segment_resize(&segment, 4 * PAGE) == 0);
  check(use(&near) == 0 && use(&far) == SHMSEG_CORRUPT); /* there, and its bytes are gone */
}

TEST_WITH(fresh, moved, "an object goes on where its segment has moved to") {
  const unsigned char *before = segment.data;
  check(shmseg_segment_resize(&segment, 4096 * PAGE) == 0 && segment.data != before);
  check(use(&near) == 0 && use(&far) == 0);
  bool abandoned;
  check(shmseg_mutex_lock(&far, 0, &abandoned) == 0);
  check(word_at(&segment, FAR + 64) == segment.member.id && shmseg_mutex_unlock(&far) == 0);
}

TEST_WITH(fresh, hole, "a hole that one object meets ends the others of its segment, too") {
  must(ftruncate(segment.fd, FAR) == 0);
  check(use(&far) == SHMSEG_TRUNCATED && use(&near) == SHMSEG_TRUNCATED);
  must(shmseg_segment_refresh(&segment) == 0);
  check(use(&near) == SHMSEG_TRUNCATED && attach(&near, 0) == 0 && use(&near) == 0);
  check(use(&far) == SHMSEG_TRUNCATED);
}

TEST_WITH(fresh, reopened, "an object ends with what its segment handle was, not with the handle") {
  shmseg_place other = fresh_place();
  shmseg_segment_close(&segment);
  check(use(&near) == SHMSEG_CLOSED);
  new_segment(&segment, other, 4 * PAGE); /* the guard is the one that was given back */
  check(use(&near) == SHMSEG_CLOSED && use(&far) == SHMSEG_CLOSED);
  check(attach(&near, 0) == 0 && use(&near) == 0 && use(&far) == SHMSEG_CLOSED);
}

TEST_WITH(fresh, closed, "an object that was used and closed is closed, and the other one is not") {
  shmseg_mutex_close(&near);
  check(use(&near) == SHMSEG_CLOSED && use(&far) == 0);
}

int main(int count, char **words) {
  (void)count;
  test_run(words);
  return help_end();
}
