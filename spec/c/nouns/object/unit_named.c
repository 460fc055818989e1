/* SPDX-License-Identifier: MIT */
/* objects/object: opening by name, as a C program does it. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "core/owner.h"
#include "objects/header.h"
#include "options.h"
#include "os/backing.h"
#include "unit/help.h"

static shmseg_segment segment, other;
static shmseg_queue queue, peer;

static int open_queue(const char *name, shmseg_mode mode, uint64_t capacity, bool *created) {
  return shmseg_object_open_named(&queue.object, &shmseg_queue_kind, &segment, name, mode,
                                  OF_CAPACITY(capacity), NULL, created);
}

static void close_queue(void) {
  shmseg_queue_close(&queue);
  shmseg_segment_close(&segment);
}

static bool is_there(const char *name) {
  char path[300];
  struct stat status;
  snprintf(path, sizeof path, "/dev/shm/%s", name);
  return stat(path, &status) == 0;
}

TEST(makes, "one call makes a queue with its segment, and another one attaches to it") {
  const char *name = fresh_name();
  bool created = false;
  char got[16];
  size_t used = 0;
  struct stat status;
  check(open_queue(name, SHMSEG_CREATE, 64, &created) == 0 && created);
  check(queue.object.capacity == 64 && segment.size == shmseg_queue_size(OF_CAPACITY(64)));
  check(fstat(segment.fd, &status) == 0 && (status.st_mode & 0777) == 0600);
  check(shmseg_object_open_named(&peer.object, &shmseg_queue_kind, &other, name, SHMSEG_WRITE, NULL,
                                 NULL, &created) == 0 &&
        !created);
  check(shmseg_queue_push(&queue, "hello", 5, 0) == 0);
  check(shmseg_queue_take(&peer, got, sizeof got, 1, &used, 0) == 0 && used == 16);
  check(memcmp(got + 8, "hello", 5) == 0);
  check(shmseg_segment_unlink(&segment) == 0 && !is_there(name));
  shmseg_queue_close(&peer);
  shmseg_segment_close(&other);
  close_queue();
}

TEST(options, "the segment's options count, but for its size") {
  const char *name = fresh_name();
  shmseg_options own = { .perm = 0640, .size = 1, .temporary = true };
  struct stat status;
  check(shmseg_object_open_named(&queue.object, &shmseg_queue_kind, &segment, name,
                                 SHMSEG_CREATE_ONLY, OF_CAPACITY(64), &own, NULL) == 0);
  check(fstat(segment.fd, &status) == 0 && (status.st_mode & 0777) == 0640);
  check(segment.size == shmseg_queue_size(OF_CAPACITY(64)) && is_there(name));
  close_queue();
  check(!is_there(name));
}

/* Has it failed with that, and is nothing left of it? */
static bool fails(int err, int expected, const char *name, bool there, int descriptors) {
  return err == expected && !shmseg_segment_is_open(&segment) && !queue.object.segment &&
         is_there(name) == there && count_descriptors() == descriptors;
}

TEST(failures, "a failure leaves nothing behind, and tells the segment's from the object's") {
  const char *name = fresh_name(), *none = fresh_name();
  shmseg_mutex mutex;
  int descriptors = count_descriptors();
  check(fails(open_queue(none, SHMSEG_WRITE, 0, NULL), ENOENT, none, false, descriptors));
  check(queue.object.kind == NULL);
  check(fails(open_queue(none, SHMSEG_CREATE, SHMSEG_CAPACITY_MAX + 1, NULL), EINVAL, none, false,
              descriptors));
  check(fails(open_queue("a/b", SHMSEG_CREATE, 64, NULL), EINVAL, none, false, descriptors));
  must(shmseg_object_open_named(&mutex.object, &shmseg_mutex_kind, &other, name, SHMSEG_CREATE,
                                NULL, NULL, NULL) == 0);
  descriptors = count_descriptors();
  /* the mutex is smaller than what is asked for, and still it is what is there */
  check(fails(open_queue(name, SHMSEG_CREATE, 64, NULL), SHMSEG_INCOMPATIBLE, name, true,
              descriptors));
  check(queue.object.kind == &shmseg_queue_kind && queue.object.found == shmseg_mutex_kind.number);
  check(
      fails(open_queue(name, SHMSEG_WRITE, 0, NULL), SHMSEG_INCOMPATIBLE, name, true, descriptors));
  check(fails(open_queue(name, SHMSEG_CREATE_ONLY, 64, NULL), EEXIST, name, true, descriptors));
  check(shmseg_segment_unlink(&other) == 0);
  shmseg_mutex_close(&mutex);
  shmseg_segment_close(&other);
}

TEST(zeroes, "a segment of zeroes that is there already gets its object, which is told") {
  shmseg_place place = fresh_place();
  bool created = false;
  new_segment(&other, place, 8192);
  check(open_queue(place.name, SHMSEG_WRITE, 64, &created) == ENOENT && !created);
  check(queue.object.kind == &shmseg_queue_kind && is_there(place.name));
  check(open_queue(place.name, SHMSEG_CREATE, 64, &created) == 0 && created);
  check(segment.size == 8192 && queue.object.capacity == 64);
  close_queue();
  check(shmseg_segment_unlink(&other) == 0);
  shmseg_segment_close(&other);
}

TEST(interrupted, "behind a living builder the call comes back, and goes on where it was") {
  shmseg_place place = fresh_place();
  uint32_t id;
  int64_t deadline = 0;
  bool created = false;
  new_segment(&other, place, 8192);
  must(shmseg_owner_identity(&other, &id) == 0);
  set_word(&other, 0, SHMSEG_HEADER_INIT | id);
  shmseg_segment_init(&segment);
#define OPEN()                                                                                     \
  shmseg_object_open_named_until(&queue.object, &shmseg_queue_kind, &segment, place.name,          \
                                 SHMSEG_CREATE, OF_CAPACITY(64), NULL, &deadline, &created)
  check(OPEN() == SHMSEG_INTERRUPTED && deadline > 0 && shmseg_segment_is_open(&segment));
  int fd = segment.fd;
  int64_t first = deadline;
  check(OPEN() == SHMSEG_INTERRUPTED && deadline == first && segment.fd == fd);
  set_word(&other, 0, 0); /* it has given up */
  check(OPEN() == 0 && created && segment.fd == fd);
  close_queue();
  set_word(&other, 0, SHMSEG_HEADER_INIT | id);
  deadline = 1; /* long over */
  check(OPEN() == SHMSEG_TIMEOUT && !shmseg_segment_is_open(&segment) && is_there(place.name));
#undef OPEN
  check(shmseg_segment_unlink(&other) == 0);
  shmseg_segment_close(&other);
}

/* --- an object that a peer spoils before its maker has opened it ---------------------------------- */

static shmseg_backing_lock
    spoiler; /* the peer's, in this process: it has a description of its own */
static int closings;

static uint64_t odd_size(const uint64_t *geometry) {
  return geometry[0] == 1 ? 128 : 0;
}

static void odd_fit(uint64_t available, uint64_t *geometry) {
  (void)available;
  geometry[0] = 1;
}

static int odd_build(const uint64_t *geometry, shmseg_words *words) {
  (void)geometry;
  words[0] = (shmseg_words){ 64, 1, 4, 1, 0 };
  return 1;
}

/* Called when the object is complete, and its segment has no name yet. */
static void odd_close(shmseg_object *object) {
  if (object->segment && closings++ == 0) {
    memset(segment.data, 0xff, 64);
    must(shmseg_backing_lock_fd(segment.fd, segment.place, &spoiler) == 0);
  }
}

static const shmseg_kind odd = { .name = "odd",
                                 .number = 1000,
                                 .version = 1,
                                 .handle_size = sizeof(shmseg_object),
                                 .size = odd_size,
                                 .fit = odd_fit,
                                 .build = odd_build,
                                 .close = odd_close };

TEST(spoilt, "while a peer has the lock, the call that removes a spoilt object again comes back") {
  const char *name = fresh_name();
  shmseg_object object;
  int64_t deadline = 0;
  bool created = false;
  shmseg_segment_init(&segment);
  for (int i = 0; i < 2; i++)
    check(shmseg_object_open_named_until(&object, &odd, &segment, name, SHMSEG_CREATE, NULL, NULL,
                                         &deadline, &created) == SHMSEG_INTERRUPTED);
  check(is_there(name));
  shmseg_backing_unlock(&spoiler);
  check(shmseg_object_open_named_until(&object, &odd, &segment, name, SHMSEG_CREATE, NULL, NULL,
                                       &deadline, &created) == SHMSEG_INCOMPATIBLE);
  check(!created && !is_there(name) && !shmseg_segment_is_open(&segment));
}
