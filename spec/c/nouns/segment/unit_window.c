/* SPDX-License-Identifier: MIT */
/* core/segment: windows of a backing, private mappings, and growing at opening. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "unit/help.h"

static shmseg_segment whole, segment, other;
static shmseg_place place;

/* A backing of that size whose words are their own offsets. */
static void set_up(size_t size) {
  place = fresh_place();
  new_segment(&whole, place, size);
  for (uint32_t at = 0; at + 4 <= size; at += 4)
    set_word(&whole, at, at);
}

static int open_window(uint64_t offset, size_t length) {
  shmseg_options options = { .offset = offset, .length = length };
  shmseg_segment_close(&segment);
  return shmseg_segment_open(&segment, place, SHMSEG_WRITE, &options, NULL);
}

static int open_with(shmseg_mode mode, shmseg_options options) {
  shmseg_segment_close(&other);
  return shmseg_segment_open(&other, place, mode, &options, NULL);
}

static void tear_down(void) {
  shmseg_segment_close(&whole);
  shmseg_segment_close(&segment);
  shmseg_segment_close(&other);
}

TEST(window, "a window has the bytes that it says, wherever it begins in a page") {
  set_up(4 * PAGE);
  for (uint64_t offset = 0; offset < 3 * PAGE; offset += PAGE - 192) {
    check(open_window(offset, PAGE) == 0 && segment.size == PAGE);
    check(word_at(&segment, 0) == offset && word_at(&segment, PAGE - 4) == offset + PAGE - 4);
    set_word(&segment, 8, 1);
    check(word_at(&whole, offset + 8) == 1);
    set_word(&segment, 8, (uint32_t)offset + 8);
    check(shmseg_segment_flush(&segment, 8, 100) == 0);
    uint32_t word;
    check(shmseg_segment_read(&segment, PAGE - 3, &word, 4) == SHMSEG_OUT_OF_RANGE);
  }
  check(open_window(64, 0) == 0 && segment.size == 4 * PAGE - 64);
  tear_down();
}

TEST(refused, "a window that cannot be is refused, and leaves no descriptor") {
  set_up(2 * PAGE);
  int before = count_descriptors();
  check(open_window(32, 0) == EINVAL && open_window((uint64_t)INT64_MAX / 64 * 64, 0) == EINVAL);
  check(open_window(0, SIZE_MAX) == EINVAL);
  check(open_window(2 * PAGE, 0) == SHMSEG_TOO_SMALL);
  check(open_window(64, 2 * PAGE - 63) == SHMSEG_TOO_SMALL);
  check(open_with(SHMSEG_WRITE, (shmseg_options){ .offset = 64, .grow = true, .size = 9 }) ==
        EINVAL);
  check(count_descriptors() == before);
  check(open_window(64, 64) == 0);
  check(shmseg_segment_resize(&segment, 2 * PAGE) == EINVAL);
  check(shmseg_segment_refresh(&segment) == EINVAL && segment.size == 64);
  tear_down();
}

TEST(cut, "a window that is cut is truncated from the cut on") {
  set_up(8 * PAGE);
  check(open_window(2 * PAGE + 128, 5 * PAGE) == 0);
  must(ftruncate(whole.fd, 4 * PAGE) == 0);
  check(word_at(&segment, 0) == 2 * PAGE + 128 && shmseg_segment_status(&segment) == 0);
  check(word_at(&segment, 3 * PAGE) == 0);
  check(shmseg_segment_status(&segment) == SHMSEG_TRUNCATED);
  check(word_at(&segment, 0) == 2 * PAGE + 128); /* that page is still the backing's */
  tear_down();
  set_up(8 * PAGE);
  check(open_window(4 * PAGE + 64, 2 * PAGE) == 0);
  must(ftruncate(whole.fd, PAGE) == 0); /* all of it, and what is before it */
  check(word_at(&segment, 0) == 0 && shmseg_segment_status(&segment) == SHMSEG_TRUNCATED);
  tear_down();
}

TEST(objects, "an object is the same through two windows, and they exclude each other") {
  shmseg_mutex a, b;
  bool abandoned;
  set_up(4 * PAGE);
  memset(whole.data, 0, whole.size);
  check(open_window(PAGE + 64, 0) == 0);
  check(open_with(SHMSEG_WRITE, (shmseg_options){ .offset = 2 * PAGE }) == 0);
  check(shmseg_mutex_open(&a, (shmseg_slice){ &segment, PAGE - 64 + 256, 128 }, SHMSEG_CREATE, NULL,
                          NULL) == 0);
  check(shmseg_mutex_open(&b, (shmseg_slice){ &other, 256, 128 }, SHMSEG_WRITE, NULL, NULL) == 0);
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  check(shmseg_mutex_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT);
  check(shmseg_mutex_unlock(&a) == 0 && shmseg_mutex_lock(&b, 0, &abandoned) == 0 && !abandoned);
  shmseg_mutex_close(&b);
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0 && abandoned);
  tear_down();
}

TEST(copies, "a private mapping changes its own pages alone") {
  shmseg_mutex mutex;
  set_up(4 * PAGE);
  check(open_with(SHMSEG_WRITE, (shmseg_options){ .is_private = true, .populate = true }) == 0);
  check((fcntl(other.fd, F_GETFL) & O_ACCMODE) == O_RDONLY && other.writable);
  set_word(&other, PAGE, 7);
  check(word_at(&whole, PAGE) == PAGE && word_at(&other, PAGE) == 7);
  check(shmseg_segment_refresh(&other) == 0 && word_at(&other, PAGE) == 7);
  check(shmseg_segment_flush(&other, 0, 4) == EINVAL);
  check(shmseg_segment_resize(&other, 8 * PAGE) == EINVAL);
  check(shmseg_mutex_open(&mutex, shmseg_segment_whole(&other), SHMSEG_CREATE, NULL, NULL) ==
        EINVAL);
  must(ftruncate(whole.fd, 2 * PAGE) == 0);
  check(word_at(&other, 3 * PAGE) == 0 && shmseg_segment_status(&other) == SHMSEG_TRUNCATED);
  check(shmseg_segment_refresh(&other) == 0 && other.size == 2 * PAGE);
  check(word_at(&other, PAGE) == PAGE && shmseg_segment_status(&other) == 0);
  check(open_with(SHMSEG_READ, (shmseg_options){ .is_private = true }) == 0 && !other.writable);
  check(open_with(SHMSEG_CREATE, (shmseg_options){ .is_private = true, .size = 9 }) == EINVAL);
  check(open_with(SHMSEG_WRITE, (shmseg_options){ .is_private = true,
                                                  .temporary = SHMSEG_TEMPORARY_LAST }) == EINVAL);
  tear_down();
}

TEST(grown, "a smaller backing is grown at opening, and a larger one stays") {
  set_up(PAGE);
  check(open_with(SHMSEG_WRITE, (shmseg_options){ .size = 3 * PAGE }) == SHMSEG_TOO_SMALL);
  check(open_with(SHMSEG_WRITE, (shmseg_options){ .size = 3 * PAGE, .grow = true }) == 0);
  check(other.size == 3 * PAGE && word_at(&other, 8) == 8 && word_at(&other, PAGE) == 0);
  check(open_with(SHMSEG_CREATE, (shmseg_options){ .size = PAGE, .grow = true }) == 0);
  check(other.size == 3 * PAGE && shmseg_segment_refresh(&whole) == 0 && whole.size == 3 * PAGE);
  check(open_with(SHMSEG_READ, (shmseg_options){ .size = 9 * PAGE, .grow = true }) == EINVAL);
  int before = count_descriptors();
  check(open_with(SHMSEG_WRITE, (shmseg_options){ .size = (size_t)1 << (sizeof(size_t) * 8 - 8),
                                                  .grow = true }) != 0);
  check(count_descriptors() == before && shmseg_segment_refresh(&whole) == 0);
  check(whole.size == 3 * PAGE);
  check(shmseg_object_open_named(&(shmseg_mutex){ 0 }.object, &shmseg_mutex_kind, &segment,
                                 fresh_name(), SHMSEG_CREATE, NULL,
                                 &(shmseg_options){ .perm = 0600, .grow = true }, NULL) == EINVAL);
  tear_down();
}
