/* SPDX-License-Identifier: MIT */
/* core/segment: the modes of open, reading and writing, sizes, names. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/help.h"

static const shmseg_options none;

static int open_as(shmseg_segment *segment, shmseg_place place, shmseg_mode mode, size_t size,
                   bool *created) {
  shmseg_options options = { .size = size, .perm = 0600 };
  return shmseg_segment_open(segment, place, mode, &options, created);
}

TEST(modes, "each mode does what the table says, on an absent and on a present object") {
  shmseg_segment a, b;
  shmseg_place place = fresh_place();
  bool created = true;
  check(open_as(&a, place, SHMSEG_READ, 0, &created) == ENOENT && !created &&
        !shmseg_segment_is_open(&a));
  check(open_as(&a, place, SHMSEG_WRITE, 0, &created) == ENOENT);
  check(open_as(&a, place, SHMSEG_CREATE, 0, &created) == EINVAL);
  check(open_as(&a, place, SHMSEG_CREATE_ONLY, 0, &created) == EINVAL && !created);
  check(open_as(&a, place, SHMSEG_CREATE, 100, &created) == 0 && created);
  check(a.size == 100 && a.writable);
  check(open_as(&b, place, SHMSEG_CREATE_ONLY, 100, &created) == EEXIST && !created &&
        !shmseg_segment_is_open(&b));
  check(open_as(&b, place, SHMSEG_CREATE, 101, &created) == SHMSEG_TOO_SMALL && !created);
  check(open_as(&b, place, SHMSEG_WRITE, 101, &created) == SHMSEG_TOO_SMALL);
  check(open_as(&b, place, SHMSEG_READ, 100, &created) == 0 && !b.writable && b.size == 100);
  check(b.identity.inode == a.identity.inode && b.identity.device == a.identity.device);
  shmseg_segment_close(&b);
  check(open_as(&b, place, SHMSEG_CREATE, 50, &created) == 0 && !created && b.size == 100);
  shmseg_segment_close(&b);
  check(shmseg_segment_unlink(&a) == 0 && shmseg_segment_unlink(&a) == ENOENT);
  check(open_as(&b, place, SHMSEG_CREATE_ONLY, 10, &created) == 0 && created);
  check(shmseg_segment_unlink(&a) == SHMSEG_RENAMED);
  shmseg_segment_close(&a);
  shmseg_segment_close(&b);
}

TEST(no_options,
     "without options a segment is opened, and none is created; without a place nothing is") {
  shmseg_segment segment, present;
  shmseg_place place = fresh_place();
  check(shmseg_segment_open(&segment, place_of(NULL), SHMSEG_WRITE, NULL, NULL) == EINVAL);
  check(shmseg_segment_remove(place_of(NULL)) == EINVAL);
  check(shmseg_segment_open(&segment, place, (shmseg_mode)9, NULL, NULL) == EINVAL);
  place.type = (shmseg_place_type)9;
  check(shmseg_segment_open(&segment, place, SHMSEG_WRITE, NULL, NULL) == EINVAL);
  place.type = SHMSEG_NAME;
  check(shmseg_segment_anonymous(&segment, NULL) == EINVAL && !shmseg_segment_is_open(&segment));
  check(shmseg_segment_open(&segment, place, SHMSEG_WRITE, NULL, NULL) == ENOENT);
  check(shmseg_segment_open(&segment, place, SHMSEG_CREATE, NULL, NULL) == EINVAL);
  new_segment(&present, place, 100);
  check(shmseg_segment_open(&segment, place, SHMSEG_CREATE, NULL, NULL) == 0);
  check(segment.size == 100 && segment.writable);
  shmseg_segment_close(&segment);
  shmseg_segment_close(&present);
}

TEST(names, "names that cannot be are refused, and the longest that can be is taken") {
  static const char *const bad[] = { "", "/", "a/b", ".", ".." };
  char longest[257];
  shmseg_segment segment;
  for (int i = 0; i < 5; i++) {
    check(open_as(&segment, place_of(bad[i]), SHMSEG_CREATE, 10, NULL) == EINVAL);
    check(shmseg_segment_remove(place_of(bad[i])) == EINVAL);
  }
  memset(longest, 'a', sizeof longest);
  longest[256] = '\0';
  check(open_as(&segment, place_of(longest), SHMSEG_CREATE, 10, NULL) == ENAMETOOLONG);
  snprintf(longest, sizeof longest, "%s%0230d", fresh_name(), 1);
  longest[255] = '\0';
  check(open_as(&segment, place_of(longest), SHMSEG_CREATE, 10, NULL) == 0);
  check(shmseg_segment_unlink(&segment) == 0);
  shmseg_segment_close(&segment);
  check(open_as(&segment, (shmseg_place){ SHMSEG_FILE, "" }, SHMSEG_CREATE, 10, NULL) == ENOENT);
}

TEST(bounds, "reads and writes stay in the segment, for any offset and count") {
  shmseg_segment segment, reader;
  shmseg_place place = fresh_place();
  unsigned char bytes[100] = { 0 };
  new_segment(&segment, place, 100);
  check(shmseg_segment_write(&segment, 90, "0123456789", 10) == 0);
  check(shmseg_segment_read(&segment, 95, bytes, 5) == 0 && memcmp(bytes, "56789", 5) == 0);
  check(shmseg_segment_read(&segment, 100, bytes, 0) == 0);
  check(shmseg_segment_read(&segment, 101, bytes, 0) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_read(&segment, 91, bytes, 10) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_read(&segment, SIZE_MAX, bytes, 2) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_read(&segment, 2, bytes, SIZE_MAX) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_write(&segment, 99, "ab", 2) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_flush(&segment, 0, 100) == 0 && shmseg_segment_flush(&segment, 50, 1) == 0);
  check(shmseg_segment_flush(&segment, 50, 51) == SHMSEG_OUT_OF_RANGE);
  must(open_as(&reader, place, SHMSEG_READ, 0, NULL) == 0);
  check(shmseg_segment_write(&reader, 0, "a", 1) == SHMSEG_READ_ONLY);
  check(shmseg_segment_resize(&reader, 200) == SHMSEG_READ_ONLY);
  shmseg_segment_close(&reader);
  shmseg_segment_close(&reader); /* twice is harmless */
  check(shmseg_segment_read(&reader, 0, bytes, 1) == SHMSEG_CLOSED);
  check(shmseg_segment_write(&reader, 0, bytes, 1) == SHMSEG_CLOSED);
  check(shmseg_segment_resize(&reader, 1) == SHMSEG_CLOSED);
  check(shmseg_segment_refresh(&reader) == SHMSEG_CLOSED);
  check(shmseg_segment_unlink(&reader) == SHMSEG_CLOSED && shmseg_segment_status(&reader) == 0);
  shmseg_segment_close(&segment);
}

TEST(sizes, "one handle's growth is seen by another's refresh, and never undone by its own") {
  shmseg_segment a, b;
  unsigned char byte = 0;
  new_anonymous(&a, PAGE);
  same_segment(&b, &a);
  check(shmseg_segment_resize(&a, 0) == EINVAL && shmseg_segment_resize(&a, SIZE_MAX) == EFBIG);
  check(shmseg_segment_resize(&a, 10 * PAGE + 1) == 0 && a.size == 10 * PAGE + 1);
  check(shmseg_segment_write(&a, 10 * PAGE, "x", 1) == 0);
  check(b.size == PAGE && shmseg_segment_read(&b, PAGE, &byte, 1) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_resize(&b, 5 * PAGE) == 0 && b.size == 10 * PAGE + 1); /* was growth */
  check(shmseg_segment_read(&b, 10 * PAGE, &byte, 1) == 0 && byte == 'x');
  check(shmseg_segment_resize(&a, PAGE) == EPERM && a.size == 10 * PAGE + 1); /* sealed */
  check(shmseg_segment_refresh(&a) == 0 && a.size == 10 * PAGE + 1);
  shmseg_segment_close(&a);
  shmseg_segment_close(&b);
}

TEST(shrunk, "a handle that met a hole says so until it is refreshed, and then has the new size") {
  shmseg_segment a, b;
  shmseg_place place = fresh_place();
  unsigned char byte = 1;
  new_segment(&a, place, 4 * PAGE);
  must(open_as(&b, place, SHMSEG_WRITE, 0, NULL) == 0);
  check(shmseg_segment_resize(&a, PAGE) == 0 && a.size == PAGE);
  check(shmseg_segment_read(&b, 0, &byte, 1) == 0);
  check(shmseg_segment_read(&b, 3 * PAGE, &byte, 1) == SHMSEG_TRUNCATED && byte == 0);
  check(shmseg_segment_read(&b, 0, &byte, 1) == SHMSEG_TRUNCATED);
  check(shmseg_segment_status(&b) == SHMSEG_TRUNCATED && b.generation == b.opened);
  check(shmseg_segment_refresh(&b) == 0 && b.size == PAGE && b.generation > b.opened);
  check(shmseg_segment_read(&b, 0, &byte, 1) == 0);
  check(ftruncate(a.fd, 0) == 0 && shmseg_segment_write(&b, 0, "x", 1) == SHMSEG_TRUNCATED);
  check(shmseg_segment_refresh(&b) == 0 && b.size == 0);
  check(shmseg_segment_read(&b, 0, &byte, 0) == 0);
  check(shmseg_segment_read(&b, 0, &byte, 1) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_resize(&b, 2 * PAGE) == 0 && b.size == 2 * PAGE);
  check(shmseg_segment_write(&b, 2 * PAGE - 1, "x", 1) == 0);
  check(shmseg_segment_refresh(&a) == 0 && a.size == 2 * PAGE);
  shmseg_segment_close(&a);
  shmseg_segment_close(&b);
}

TEST(reserved, "a segment with room for growth grows in its place") {
  shmseg_segment segment;
  shmseg_options options = { .size = 10, .max = 64 * PAGE, .perm = 0600 };
  must(shmseg_segment_open(&segment, fresh_place(), SHMSEG_CREATE, &options, NULL) == 0);
  unsigned char *data = segment.data;
  check(segment.reserved == 64 * PAGE);
  check(shmseg_segment_resize(&segment, 64 * PAGE) == 0 && segment.data == data);
  check(shmseg_segment_write(&segment, 64 * PAGE - 1, "x", 1) == 0);
  check(shmseg_segment_resize(&segment, 65 * PAGE) == 0 && segment.reserved >= 65 * PAGE);
  check(segment.data[64 * PAGE - 1] == 'x');
  check(shmseg_segment_resize(&segment, 1) == 0 && segment.size == 1);
  shmseg_segment_close(&segment);
}

static int fail_in_init(shmseg_segment *segment, void *context) {
  segment->data[0] = 1;
  return *(int *)context;
}

static int close_in_init(shmseg_segment *segment, void *context) {
  (void)context;
  shmseg_segment_close(segment);
  return 0;
}

static shmseg_place init_place;

/* Somebody else takes the name while this object is being filled. */
static int lose_race_in_init(shmseg_segment *segment, void *context) {
  segment->data[0] = 'l';
  new_segment(context, init_place, 20);
  return shmseg_segment_write(context, 0, "w", 1);
}

TEST(filled, "a new object is filled before anyone can see it, or given up without a trace") {
  shmseg_segment segment, winner;
  shmseg_place place = init_place = fresh_place();
  int code = 77, descriptors = count_descriptors();
  bool created = true;
  shmseg_options options = { .size = 10, .perm = 0600, .init = fail_in_init, .context = &code };
  check(shmseg_segment_open(&segment, place, SHMSEG_CREATE, &options, &created) == 77 && !created);
  check(!shmseg_segment_is_open(&segment) &&
        open_as(&segment, place, SHMSEG_READ, 0, NULL) == ENOENT);
  options.init = close_in_init;
  check(shmseg_segment_open(&segment, place, SHMSEG_CREATE, &options, NULL) == SHMSEG_CLOSED);
  check(shmseg_segment_anonymous(&segment, &options) == SHMSEG_CLOSED);
  check(count_descriptors() == descriptors);
  options.init = lose_race_in_init;
  options.context = &winner;
  check(shmseg_segment_open(&segment, place, SHMSEG_CREATE, &options, &created) == 0 && !created);
  check(segment.size == 20 && segment.data[0] == 'w');
  shmseg_segment_close(&segment);
  shmseg_segment_close(&winner);
  shmseg_segment_remove(place);
  check(shmseg_segment_open(&segment, place, SHMSEG_CREATE_ONLY, &options, &created) == EEXIST);
  shmseg_segment_close(&winner);
  shmseg_segment_remove(place);
  options.size = 30; /* the winner's is smaller than we need */
  check(shmseg_segment_open(&segment, place, SHMSEG_CREATE, &options, NULL) == SHMSEG_TOO_SMALL);
  shmseg_segment_close(&winner);
  check(count_descriptors() == descriptors);
}

TEST(from_descriptor, "a descriptor stays the caller's, and one that is no object is refused") {
  shmseg_segment a, b;
  int descriptors = count_descriptors();
  new_anonymous(&a, PAGE);
  check(shmseg_segment_from_fd(&b, a.fd, false) == 0 && b.fd != a.fd && b.size == PAGE);
  check(shmseg_segment_unlink(&b) == EINVAL);
  shmseg_segment_close(&b);
  check(fcntl(a.fd, F_GETFD) >= 0);
  check(shmseg_segment_from_fd(&b, -1, true) == EBADF);
  int null = open("/dev/null", O_RDWR);
  check(shmseg_segment_from_fd(&b, null, true) == ENODEV && !shmseg_segment_is_open(&b));
  close(null);
  int empty = memfd_create("empty", MFD_CLOEXEC);
  check(shmseg_segment_from_fd(&b, empty, true) == SHMSEG_TOO_SMALL);
  close(empty);
  shmseg_options options = { .size = 10, .temporary = true };
  check(shmseg_segment_anonymous(&b, &options) == EINVAL);
  check(shmseg_segment_anonymous(&b, &none) == EINVAL);
  shmseg_segment_close(&a);
  check(count_descriptors() == descriptors);
}

TEST(temporary, "a temporary object's name goes with the handle that opened it so") {
  shmseg_segment a, b;
  shmseg_place place = fresh_place();
  shmseg_options options = { .size = 10, .perm = 0600, .temporary = true };
  must(shmseg_segment_open(&a, place, SHMSEG_CREATE, &options, NULL) == 0);
  must(open_as(&b, place, SHMSEG_WRITE, 0, NULL) == 0);
  shmseg_segment_close(&b);
  check(open_as(&b, place, SHMSEG_WRITE, 0, NULL) == 0);
  shmseg_segment_close(&a);
  check(shmseg_segment_write(&b, 0, "x", 1) == 0);
  check(open_as(&a, place, SHMSEG_WRITE, 0, NULL) == ENOENT);
  shmseg_segment_close(&b);
}

TEST(pages, "pages are taken, populated, pinned or left away as the options say") {
  shmseg_segment segment;
  shmseg_options options = { .size = 4 * PAGE, .perm = 0600, .populate = true, .pin = true };
  struct stat status;
  must(shmseg_segment_open(&segment, fresh_place(), SHMSEG_CREATE, &options, NULL) == 0);
  check(fstat(segment.fd, &status) == 0 && status.st_blocks >= 32);
  shmseg_segment_close(&segment);
  options = (shmseg_options){ .size = 4 * PAGE, .perm = 0600, .sparse = true };
  must(shmseg_segment_open(&segment, fresh_place(), SHMSEG_CREATE, &options, NULL) == 0);
  check(fstat(segment.fd, &status) == 0 && status.st_blocks <= 8);
  shmseg_segment_close(&segment);
  options = (shmseg_options){ .size = SIZE_MAX / 4, .perm = 0600 };
  check(shmseg_segment_open(&segment, fresh_place(), SHMSEG_CREATE, &options, NULL) == ENOSPC);
  check(shmseg_segment_anonymous(&segment, &options) == ENOMEM);
}

/* Keeps the name busy: here now, gone when somebody looks. */
static void create_and_unlink(void *argument) {
  const shmseg_place *place = argument;
  shmseg_segment segment;
  say('b');
  for (int i = 0; i < 2000; i++)
    if (open_as(&segment, *place, SHMSEG_CREATE, 64, NULL) == 0) {
      shmseg_segment_unlink(&segment);
      shmseg_segment_close(&segment);
    }
}

TEST(busy_name, "creators and unlinkers of one name at full speed end with an object or EAGAIN") {
  shmseg_place place = fresh_place();
  int descriptors = count_descriptors(), errors = 0;
  child c = child_start(create_and_unlink, &place);
  child_hear(&c);
  for (int i = 0; i < 2000; i++) {
    shmseg_segment segment;
    int err = open_as(&segment, place, SHMSEG_CREATE, 64, NULL);
    if (err == 0) {
      errors += segment.size != 64;
      err = shmseg_segment_unlink(&segment);
      errors += err != 0 && err != ENOENT && err != SHMSEG_RENAMED;
      shmseg_segment_close(&segment);
    } else {
      errors += err != EAGAIN;
    }
  }
  check(child_end(&c) == 0 && errors == 0);
  check(count_descriptors() == descriptors);
}
