/* SPDX-License-Identifier: MIT */
/* objects/queue: very many messages, and holes that read as such. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/ring.h"
#include "options.h"
#include "unit/help.h"

#define TAIL 128
#define HEAD 192
#define RING 256

static shmseg_segment ours;
static shmseg_queue a;
static uint64_t got[64]; /* aligned to 8 */
static size_t used;

#define MANY ((uint64_t)2 * SHMSEG_RING_GO + 1000)

/* A queue of MANY empty messages, in memory that is sparse else. */
static void set_up_many(void) {
  shmseg_options options = { .size = (size_t)1 << 33, .sparse = true };
  shmseg_segment_init(&ours);
  must(shmseg_segment_anonymous(&ours, &options) == 0);
  must(shmseg_queue_open(&a, (shmseg_slice){ &ours, 0, 8 * MANY + RING + 8 }, SHMSEG_CREATE,
                         OF_CAPACITY(8 * MANY), NULL) == 0);
  for (uint64_t i = 0; i < MANY; i++)
    must(shmseg_queue_push(&a, "", 0, 0) == 0);
}

TEST(many_counted,
     "a long count goes on where it was interrupted, also when messages are taken meanwhile") {
  shmseg_queue_stats stats;
  shmseg_queue_walk walk = { 0 };
  set_up_many();
  check(shmseg_queue_count_on(&a, &walk, &stats) == SHMSEG_INTERRUPTED);
  check(shmseg_queue_take(&a, got, sizeof got, 10, &used, 0) == 0 && used == 80);
  check(shmseg_queue_count_on(&a, &walk, &stats) == SHMSEG_INTERRUPTED);
  check(shmseg_queue_count_on(&a, &walk, &stats) == 0 && stats.messages == MANY);
  check(stats.bytes == 8 * MANY && stats.capacity == 8 * MANY && !stats.shut);
  check(shmseg_queue_count(&a, &stats) == 0 && stats.messages == MANY - 10);
  memset(&walk, 0, sizeof walk);
  check(shmseg_queue_count_on(&a, &walk, &stats) == SHMSEG_INTERRUPTED);
  set_number(&ours, HEAD, number_at(&ours, TAIL) >> 1); /* all are taken: it begins anew */
  check(shmseg_queue_count_on(&a, &walk, &stats) == 0 && stats.messages == 0 && stats.bytes == 0);
  memset(&walk, 0, sizeof walk);
  set_number(&ours, HEAD, 8 * MANY + 8);
  check(shmseg_queue_count_on(&a, &walk, &stats) == SHMSEG_INTERRUPTED);
  shmseg_segment_close(&ours);
  check(shmseg_queue_count_on(&a, &walk, &stats) == SHMSEG_CLOSED);
}

static uint64_t allocated(void) {
  struct stat status;
  must(fstat(ours.fd, &status) == 0);
  return (uint64_t)status.st_blocks * 512;
}

TEST(holes,
     "holes are counted as the empty messages that they read as, and looking takes no memory") {
  shmseg_queue_stats stats;
  uint64_t capacity = ((uint64_t)1 << 33) - RING - 8 - 56, length = capacity + 8, count;
  set_up_many();
  set_number(&ours, 16,
             shmseg_queue_size(OF_CAPACITY(capacity))); /* as if the rest were of the queue */
  set_number(&ours, 24, capacity);
  for (uint64_t quarter = 0; quarter < 4; quarter++) { /* where they begin, and wrap */
    uint64_t head = length + quarter * length / 4 / 8 * 8;
    set_number(&ours, HEAD, head);
    set_number(&ours, TAIL, (head + length) << 1);
    must(shmseg_queue_open(&a, shmseg_segment_whole(&ours), SHMSEG_WRITE, NULL, NULL) == 0);
    uint64_t before = allocated();
    int64_t began = now_ms();
    check(shmseg_queue_count(&a, &stats) == 0 && !shmseg_queue_check(&a));
    check(stats.messages == length / 8 && stats.bytes == length);
    check(shmseg_queue_bytes(&a, &count) == SHMSEG_CORRUPT && count == 0);
    check(allocated() == before && now_ms() - began < 2000);
  }
  lseek(ours.fd, 77, SEEK_SET);
  check(shmseg_queue_count(&a, &stats) == 0 && lseek(ours.fd, 0, SEEK_CUR) == 77);
  shmseg_segment_close(&ours);
}
