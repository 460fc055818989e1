/* SPDX-License-Identifier: MIT */
/* objects/object: large places, data far behind their beginning, and holes. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "objects/header.h"
#include "options.h"
#include "unit/help.h"

/* Where its queue is to be opened, which wants all of it: from the second line to the last. */
#define LARGE (16 * PAGE)
#define RING_OF(size) ((size)-256 - 8)

static int open_queue(shmseg_segment *large, uint64_t capacity, shmseg_queue *queue) {
  return shmseg_queue_open(queue, (shmseg_slice){ large, 64, LARGE - 64 }, SHMSEG_CREATE,
                           OF_CAPACITY(capacity), NULL);
}

TEST(
    data_far_behind,
    "all of a place is looked at before it is built upon, and the first of what is there is told") {
  shmseg_segment large;
  shmseg_queue queue;
  bool good = true;
  new_segment(&large, fresh_place(), LARGE);
  for (uint64_t at = 64 + 8; at < LARGE; at += at < 256 ? 60 : 4093) {
    large.data[at] = 1;
    large.data[LARGE - 1] = 2;
    int err = open_queue(&large, RING_OF(LARGE - 64), &queue);
    good = good && disagrees(err, &queue.object, "magic") && queue.object.found == at - 64;
    good = good && word_at(&large, 64) == 0 && large.data[at] == 1 && large.data[LARGE - 1] == 2;
    large.data[at] = 0;
  }
  check(good);
  large.data[LARGE - 1] = 0;
  large.data[0] = 1;
  check(open_queue(&large, RING_OF(LARGE - 64), &queue) == 0);
  shmseg_segment_close(&large);
}

static uint64_t allocated(const shmseg_segment *of) {
  struct stat status;
  must(fstat(of->fd, &status) == 0);
  return (uint64_t)status.st_blocks * 512;
}

/* Opens a new queue of 2^28 bytes in a hole, and the same one again; what that has taken. */
static uint64_t taken_by_building(uint64_t offset) {
  shmseg_segment sparse;
  shmseg_queue queue;
  shmseg_options options = { .size = (size_t)1 << 29, .perm = 0600, .sparse = true };
  must(shmseg_segment_open(&sparse, fresh_place(), SHMSEG_CREATE, &options, NULL) == 0);
  sparse.data[sparse.size - 1] = 1; /* somebody else's, behind a hole */
  must(lseek(sparse.fd, 77, SEEK_SET) == 77);
  uint64_t before = allocated(&sparse), capacity = (uint64_t)1 << 28;
  uint64_t available = sparse.size - offset - PAGE;
  check(shmseg_queue_open(&queue, (shmseg_slice){ &sparse, offset, available }, SHMSEG_CREATE,
                          OF_CAPACITY(capacity), NULL) == 0);
  check(shmseg_queue_check(&queue) == NULL);
  check(lseek(sparse.fd, 0, SEEK_CUR) == 77); /* it may be the caller's, too */
  set_word(&sparse, offset,
           SHMSEG_HEADER_INIT | 0x12345678); /* and by who takes over from a dead builder */
  check(shmseg_queue_open(&queue, (shmseg_slice){ &sparse, offset, available }, SHMSEG_CREATE,
                          OF_CAPACITY(capacity / 2), NULL) == 0);
  uint64_t taken = allocated(&sparse) - before;
  shmseg_segment_unlink(&sparse);
  shmseg_segment_close(&sparse);
  return taken;
}

TEST(holes, "to look at a place and to build on it takes no memory but for the words of the kind") {
  check(taken_by_building(0) <= PAGE);
  check(taken_by_building(64) <= PAGE);
  check(taken_by_building(3 * PAGE - 64) <= 2 * PAGE);
}

/* 32-bit floats: -1.0, zeroes, and numbers. */
TEST(numbers_like_init, "numbers behind one that looks like a dead builder are not cleared") {
  shmseg_segment large;
  shmseg_queue queue;
  new_segment(&large, fresh_place(), LARGE);
  set_word(&large, 64, 0xbf800000);
  for (uint64_t at = LARGE - 4; at >= 128; at -= 4)
    set_word(&large, at, 0x3f800000);
  check(disagrees(open_queue(&large, RING_OF(LARGE - 64), &queue), &queue.object, "magic"));
  check(disagrees(open_queue(&large, 64, &queue), &queue.object, "magic"));
  check(word_at(&large, 64) == 0xbf800000 && word_at(&large, 128) == 0x3f800000);
  memset(large.data + 64, 0, LARGE - 68); /* but for the very last */
  set_word(&large, 64, 0xbf800000);
  check(disagrees(open_queue(&large, RING_OF(LARGE - 64), &queue), &queue.object, "magic"));
  check(word_at(&large, 64) == 0xbf800000 && word_at(&large, LARGE - 4) == 0x3f800000);
  shmseg_segment_close(&large);
}
