/* SPDX-License-Identifier: MIT */
/* The formats of the objects, as a stranger reads them: bytes at documented offsets. */
#include <stddef.h>
#include <string.h>

#include "objects/dict_layout.h"
#include "options.h"
#include "unit/help.h"

/* What every process agrees on, 32-bit ones too. */
_Static_assert(SHMSEG_ALIGN == 64, "objects begin at multiples of a cache line");
_Static_assert(SHMSEG_RWLOCK_READERS == 64 && SHMSEG_PERMITS_MAX == 65535, "counts of the format");
_Static_assert(sizeof(shmseg_identity) == 16, "device and inode");
_Static_assert(sizeof(((shmseg_object *)0)->offset) == 8,
               "offsets do not shrink with the pointers");

_Static_assert(STRIPE_SIZE == 256 && LINE_SIZE == 64 && DICT_CELL == 64 && DICT_PAGE == 64 &&
                   PAGE_SIZE_IN_TABLE == 16,
               "what a dict has many of");
_Static_assert(DICT_KEY == 64 && DICT_FLUSH == 80 && DICT_ARENA_LOCK == 128 && DICT_BINS == 192 &&
                   DICT_STRIPES == 512,
               "the parts of a dict");
_Static_assert(STRIPE_EPOCH == 8 && STRIPE_CLAIMS == 56 && STRIPE_EVENTCOUNT == 128 &&
                   STRIPE_RUNS + SPARE_RUNS * 8 == 256,
               "the words of a stripe");
_Static_assert(LINE_CHAIN == 8 && LINE_HOT == 16 && LINE_SLOTS + 8 * DICT_SLOTS == 64,
               "the words of a line");
_Static_assert(ITEM_NUMBER == 8 && ITEM_EXPIRY == 16 && ITEM_STAMP == 24 && ITEM_NEXT == 32 &&
                   ITEM_KEY == 40 && ELEMENT_HEAD == 8 && ELEMENT_NUMBER == 16 &&
                   ELEMENT_BYTES == 24,
               "what an item and an element begin with");
_Static_assert(sizeof(((shmseg_dict *)0)->cells) == 8 && sizeof(((shmseg_dict *)0)->at_cells) == 8,
               "nor do a dict's");

static bool zeroes(const shmseg_segment *segment, uint64_t from, uint64_t end) {
  while (from < end && segment->data[from] == 0)
    from++;
  return from == end;
}

/* second: the second number of the geometry. */
static void check_header_of_two(const shmseg_segment *segment, uint32_t kind, uint32_t version,
                                uint64_t size, uint64_t capacity, uint64_t second) {
  check(word_at(segment, 0) == 0x53484d53);
  check(word_at(segment, 4) == kind);
  check(word_at(segment, 8) == version);
  check(word_at(segment, 12) == 0);
  check(number_at(segment, 16) == size);
  check(number_at(segment, 24) == capacity);
  check(number_at(segment, 32) == second);
  check(zeroes(segment, 40, 64));
  check(zeroes(segment, size, segment->size));
}

static void check_header(const shmseg_segment *segment, uint32_t kind, uint32_t version,
                         uint64_t size, uint64_t capacity) {
  check_header_of_two(segment, kind, version, size, capacity, 0);
}

TEST(mutex, "a new mutex is its documented bytes") {
  shmseg_segment segment;
  shmseg_mutex mutex;
  bool created;
  new_anonymous(&segment, PAGE);
  check(shmseg_mutex_open(&mutex, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE, NULL,
                          &created) == 0 &&
        created);
  check(shmseg_mutex_size(NULL) == 128);
  check_header(&segment, 1, 1, 128, 1);
  check(word_at(&segment, 64) == 1);
  check(zeroes(&segment, 68, 128));
  shmseg_mutex_close(&mutex);
  shmseg_segment_close(&segment);
}

TEST(rwlock, "a new rwlock is its documented bytes") {
  shmseg_segment segment;
  shmseg_rwlock rwlock;
  new_anonymous(&segment, PAGE);
  check(shmseg_rwlock_open(&rwlock, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE, NULL,
                           NULL) == 0);
  check(shmseg_rwlock_size(NULL) == 384);
  check_header(&segment, 2, 1, 384, 64);
  check(word_at(&segment, 64) == 1 && word_at(&segment, 68) == 1);
  check(zeroes(&segment, 72, 128));
  for (unsigned slot = 0; slot < 64; slot++)
    check(word_at(&segment, 128 + 4 * slot) == 1);
  shmseg_rwlock_close(&rwlock);
  shmseg_segment_close(&segment);
}

TEST(semaphore, "a new semaphore is its documented bytes") {
  shmseg_segment segment;
  shmseg_semaphore semaphore;
  new_anonymous(&segment, PAGE);
  check(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                              OF_PERMITS(17), NULL) == 0);
  check(shmseg_semaphore_size(OF_PERMITS(1)) == 192 &&
        shmseg_semaphore_size(OF_PERMITS(16)) == 192);
  check(shmseg_semaphore_size(OF_PERMITS(17)) == 256 &&
        shmseg_semaphore_size(OF_PERMITS(65535)) == 128 + 262144);
  check(shmseg_semaphore_size(NULL) == shmseg_semaphore_size(OF_PERMITS(1)) &&
        shmseg_semaphore_size(OF_PERMITS(65536)) == 0);
  check(shmseg_semaphore_size(OF_PERMITS(UINT64_MAX)) == 0);
  check_header_of_two(&segment, 3, 2, 256, 17, 1);
  check(word_at(&segment, 64) == 1);
  check(zeroes(&segment, 68, 128));
  for (unsigned slot = 0; slot < 17; slot++)
    check(word_at(&segment, 128 + 4 * slot) == 1);
  check(zeroes(&segment, 128 + 4 * 17, 256));
  shmseg_semaphore_close(&semaphore);
  shmseg_segment_close(&segment);
}

TEST(signal, "a new signal is its documented bytes") {
  shmseg_segment segment;
  shmseg_semaphore signal;
  new_anonymous(&segment, PAGE);
  check(shmseg_semaphore_open(&signal, shmseg_segment_whole(&segment), SHMSEG_CREATE, OF_SIGNAL(17),
                              NULL) == 0);
  check_header_of_two(&segment, 3, 2, 128, 17, 2);
  check(word_at(&segment, 64) == 1 && word_at(&segment, 68) == 1 && zeroes(&segment, 72, 128));
  check(shmseg_semaphore_post(&signal, 3) == 0 && word_at(&segment, 68) == 4);
  shmseg_semaphore_close(&signal);
  shmseg_segment_close(&segment);
}

TEST(event, "a new event is its documented bytes") {
  shmseg_segment segment;
  shmseg_event event;
  new_anonymous(&segment, PAGE);
  check(shmseg_event_open(&event, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE, NULL, NULL) ==
        0);
  check(shmseg_event_size(NULL) == 128);
  check_header(&segment, 4, 1, 128, 1);
  check(word_at(&segment, 64) == 2);
  check(zeroes(&segment, 68, 128));
  check(shmseg_event_set(&event) == 0 && word_at(&segment, 64) == 5);
  check(shmseg_event_clear(&event) == 0 && word_at(&segment, 64) == 4);
  shmseg_event_close(&event);
  shmseg_segment_close(&segment);
}

/* A message or value of 3 bytes behind its head. */
static bool is_abc(const shmseg_segment *segment, uint64_t offset) {
  return memcmp(segment->data + offset, "abc", 3) == 0;
}

TEST(cell, "a new cell is its documented bytes, and so is its first value") {
  shmseg_segment segment;
  shmseg_cell cell;
  uint64_t version;
  new_anonymous(&segment, PAGE);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(57),
                         NULL) == 0);
  check_header(&segment, 5, 1, 704, 57);
  check(word_at(&segment, 64) == 1 && zeroes(&segment, 68, 128));
  check(number_at(&segment, 128) == 1 && word_at(&segment, 136) == 1);
  check(zeroes(&segment, 140, 704));
  check(shmseg_cell_set(&cell, "abc", 3, &version) == 0);
  check(number_at(&segment, 128) == 2 && word_at(&segment, 64) == 1);
  check(number_at(&segment, 192 + 128) == 3 && is_abc(&segment, 192 + 128 + 8));
  shmseg_segment_close(&segment);
}

TEST(queue, "a new queue is its documented bytes, and so is its first message") {
  shmseg_segment segment;
  shmseg_queue queue;
  new_anonymous(&segment, PAGE);
  check(shmseg_queue_open(&queue, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                          OF_CAPACITY(25), NULL) == 0);
  check_header(&segment, 6, 2, 296, 25);
  check(word_at(&segment, 64) == 1 && zeroes(&segment, 68, 128));
  check(number_at(&segment, 128) == 80);
  check(word_at(&segment, 136) == 1 && zeroes(&segment, 140, 192));
  check(number_at(&segment, 192) == 40);
  check(word_at(&segment, 200) == 1 && zeroes(&segment, 204, 296));
  check(shmseg_queue_push(&queue, "abc", 3, 0) == 0 && number_at(&segment, 128) == 112);
  check(number_at(&segment, 256) == 3 && is_abc(&segment, 264));
  check(shmseg_queue_shutdown(&queue) == 0 && number_at(&segment, 128) == 113);
  shmseg_segment_close(&segment);
}

TEST(broadcast, "a new broadcast is its documented bytes, and so is its first message") {
  shmseg_segment segment;
  shmseg_broadcast broadcast;
  uint64_t sequence;
  new_anonymous(&segment, PAGE);
  check(shmseg_broadcast_open(&broadcast, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                              OF_CAPACITY(25), NULL) == 0);
  check_header(&segment, 7, 2, 304, 25);
  check(number_at(&segment, 64) == 4 && word_at(&segment, 72) == 1);
  check(zeroes(&segment, 76, 128) && word_at(&segment, 128) == 1 && zeroes(&segment, 132, 192));
  check(number_at(&segment, 192) == 48 && number_at(&segment, 200) == 48);
  check(zeroes(&segment, 208, 304));
  check(shmseg_broadcast_publish(&broadcast, "abc", 3, &sequence) == 0);
  check(number_at(&segment, 64) == (2 << 2 | 2) && number_at(&segment, 208) == 72);
  check(number_at(&segment, 256) == 1 && number_at(&segment, 264) == 3);
  check(is_abc(&segment, 272));
  check(shmseg_broadcast_shutdown(&broadcast) == 0);
  check(number_at(&segment, 64) == (2 << 2 | 2 | 1));
  shmseg_segment_close(&segment);
}
