/* SPDX-License-Identifier: MIT */
/* A handle of zeroes is a closed one, of every kind. */
#include <errno.h>

#include "objects/kinds.h"
#include "unit/help.h"

static shmseg_segment segment;
static shmseg_mutex mutex;
static shmseg_rwlock rwlock;
static shmseg_semaphore semaphore;
static shmseg_event event;
static shmseg_cell cell;
static shmseg_queue queue;
static shmseg_broadcast broadcast;
static shmseg_subscription subscription;
static shmseg_dict dict;

static char bytes[64];
static size_t size;
static uint64_t number;
static int64_t deadline;
static bool told;

TEST(segments, "a segment of zeroes is closed: it gives no bytes and no size, and harms nothing") {
  check(!shmseg_segment_is_open(&segment) && shmseg_segment_status(&segment) == 0);
  check(shmseg_segment_read(&segment, 0, bytes, 1) == SHMSEG_CLOSED);
  check(shmseg_segment_write(&segment, 0, bytes, 1) == SHMSEG_CLOSED);
  check(shmseg_segment_flush(&segment, 0, 0) == SHMSEG_CLOSED);
  check(shmseg_segment_resize(&segment, 64) == SHMSEG_CLOSED);
  check(shmseg_segment_resize_until(&segment, 64, &deadline) == SHMSEG_CLOSED);
  check(shmseg_segment_refresh(&segment) == SHMSEG_CLOSED);
  check(shmseg_segment_unlink(&segment) == SHMSEG_CLOSED);
  check(shmseg_segment_unlink_until(&segment, &deadline) == SHMSEG_CLOSED);
  check(shmseg_mutex_open(&mutex, shmseg_segment_whole(&segment), SHMSEG_CREATE, NULL, NULL) ==
        SHMSEG_CLOSED);
  int descriptors = count_descriptors();
  shmseg_segment_close(&segment);
  check(count_descriptors() == descriptors); /* standard input stays */
}

TEST(locks, "locks of zeroes are closed") {
  check(shmseg_mutex_lock(&mutex, 0, &told) == SHMSEG_CLOSED);
  check(shmseg_mutex_unlock(&mutex) == SHMSEG_CLOSED && !shmseg_mutex_holds(&mutex));
  check(shmseg_rwlock_read_lock(&rwlock, 0, &told) == SHMSEG_CLOSED);
  check(shmseg_rwlock_write_lock(&rwlock, 0, &told) == SHMSEG_CLOSED);
  shmseg_rwlock_cancel(&rwlock);
  check(shmseg_rwlock_unlock(&rwlock) == SHMSEG_CLOSED && !shmseg_rwlock_holds(&rwlock));
  uint32_t value, began = 0;
  check(shmseg_semaphore_acquire(&semaphore, 0) == SHMSEG_CLOSED);
  check(shmseg_semaphore_release(&semaphore) == SHMSEG_CLOSED);
  check(shmseg_semaphore_post(&semaphore, 1) == SHMSEG_CLOSED);
  check(shmseg_semaphore_value(&semaphore, &value) == SHMSEG_CLOSED);
  check(shmseg_event_set(&event) == SHMSEG_CLOSED && shmseg_event_clear(&event) == SHMSEG_CLOSED);
  check(shmseg_event_is_set(&event, &told) == SHMSEG_CLOSED);
  check(shmseg_event_wait(&event, &began, 0) == SHMSEG_CLOSED);
}

TEST(values, "cells, queues, broadcasts and subscriptions of zeroes are closed") {
  const unsigned char *where;
  shmseg_source source = { "x", 1, NULL };
  shmseg_queue_stats stats;
  check(shmseg_cell_set(&cell, "x", 1, &number) == SHMSEG_CLOSED);
  check(shmseg_cell_cas(&cell, 1, "x", 1, &number) == SHMSEG_CLOSED);
  check(shmseg_cell_set_until(&cell, 1, &source, &deadline, &number) == SHMSEG_CLOSED);
  check(shmseg_cell_get(&cell, bytes, sizeof bytes, &size, &number) == SHMSEG_CLOSED);
  check(shmseg_cell_peek(&cell, &where, &size, &number) == SHMSEG_CLOSED);
  check(shmseg_cell_confirm(&cell, 0) == SHMSEG_CLOSED);
  check(shmseg_cell_version(&cell, &number) == SHMSEG_CLOSED);
  check(shmseg_cell_wait(&cell, 0, 0) == SHMSEG_CLOSED);
  check(shmseg_queue_push(&queue, "x", 1, 0) == SHMSEG_CLOSED);
  check(shmseg_queue_take(&queue, bytes, sizeof bytes, 1, &size, 0) == SHMSEG_CLOSED);
  shmseg_queue_batch some = { .tail = 8, .left = 1 };
  check(shmseg_queue_push_many(&queue, &source, 1, &size, 0) == SHMSEG_CLOSED && size == 0);
  check(shmseg_queue_look(&queue, &some, 1, 0) == SHMSEG_CLOSED);
  check(shmseg_queue_next(&queue, &some) == SHMSEG_CLOSED);
  check(shmseg_queue_copy(&queue, &some, bytes) == SHMSEG_CLOSED);
  check(shmseg_queue_confirm(&queue, &some) == SHMSEG_CLOSED);
  check(shmseg_queue_claim(&queue, &some) == SHMSEG_CLOSED);
  check(shmseg_queue_shutdown(&queue) == SHMSEG_CLOSED);
  check(shmseg_queue_bytes(&queue, &number) == SHMSEG_CLOSED);
  check(shmseg_queue_count(&queue, &stats) == SHMSEG_CLOSED);
  shmseg_queue_walk messages = { 0 };
  check(shmseg_queue_count_on(&queue, &messages, &stats) == SHMSEG_CLOSED);
  check(shmseg_broadcast_publish(&broadcast, "x", 1, &number) == SHMSEG_CLOSED);
  check(shmseg_broadcast_publish_until(&broadcast, &(shmseg_source){ "x", 1, NULL }, &deadline,
                                       &number) == SHMSEG_CLOSED);
  check(shmseg_broadcast_publish_many(&broadcast, &(shmseg_source){ "x", 1, NULL }, 1, &size,
                                      &deadline, &number) == SHMSEG_CLOSED);
  check(shmseg_broadcast_shutdown(&broadcast) == SHMSEG_CLOSED);
  check(shmseg_broadcast_count(&broadcast, &(shmseg_broadcast_stats){ 0 }) == SHMSEG_CLOSED);
  shmseg_subscription_batch seen = { 0 };
  check(shmseg_subscription_look(&subscription, &seen, 0) == SHMSEG_CLOSED);
  check(shmseg_subscription_show(&subscription, &seen) == SHMSEG_CLOSED);
  check(shmseg_subscription_copy(&subscription, &seen, bytes) == SHMSEG_CLOSED);
  check(shmseg_subscription_confirm(&subscription, &seen, &number) == SHMSEG_CLOSED);
  check(shmseg_subscription_next(&subscription, bytes, sizeof bytes, &size, &number, &number, 0) ==
        SHMSEG_CLOSED);
  check(shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_NEW, &subscription) == SHMSEG_CLOSED);
  shmseg_broadcast_walk walk = { 0 };
  check(shmseg_broadcast_subscribe_on(&broadcast, SHMSEG_FROM_NEW, &walk, &subscription) ==
        SHMSEG_CLOSED);
}

TEST(dicts, "a dict of zeroes is closed") {
  shmseg_dict_value value = { .type = SHMSEG_DICT_BOOLEAN };
  shmseg_dict_stats stats;
  shmseg_dict_claim claim = { 0 };
  shmseg_dict_outcome outcome;
  check(shmseg_dict_store(&dict, "k", 1, &value, NULL, &told, &deadline) == SHMSEG_CLOSED);
  check(shmseg_dict_get(&dict, "k", 1, bytes, sizeof bytes, &value) == SHMSEG_CLOSED);
  check(shmseg_dict_ttl(&dict, "k", 1, &deadline) == SHMSEG_CLOSED);
  check(shmseg_dict_delete(&dict, "k", 1, NULL, &deadline) == SHMSEG_CLOSED);
  check(shmseg_dict_get_stats(&dict, &stats) == SHMSEG_CLOSED);
  check(shmseg_dict_flush_all(&dict) == SHMSEG_CLOSED);
  check(shmseg_dict_wait(&dict, "k", 1, &value.token, 0) == SHMSEG_CLOSED);
  check(shmseg_dict_claim_take(&dict, "k", 1, &claim, &outcome, 0, &deadline) == SHMSEG_CLOSED);
  shmseg_dict_claim_end(&dict, &claim, "k", 1, SHMSEG_DICT_ENDED);
  number = 0;
  check(shmseg_dict_scan(&dict, &number, "", 0, bytes, sizeof bytes, &size) == SHMSEG_CLOSED);
}

TEST(closing, "closing and checking handles of zeroes does no harm") {
#define CLOSE(noun)                                                                                \
  {                                                                                                \
    static shmseg_##noun none;                                                                     \
    check(shmseg_##noun##_check(&none) != NULL);                                                   \
    shmseg_##noun##_close(&none);                                                                  \
  }
  SHMSEG_KINDS(CLOSE)
#undef CLOSE
}

#define KINDS(noun) &shmseg_##noun##_kind,
static const shmseg_kind *const kinds[] = { SHMSEG_KINDS(KINDS) };
#undef KINDS

static union {
  shmseg_object object;
  shmseg_cell cell;
  char space[1024];
} handle;

/* Opens an object of the kind behind the first page of a segment that has a name. */
static bool open_behind_first_page(const shmseg_kind *kind) {
  static const shmseg_object_options options = { .capacity = 8, .permits = 1 };
  new_segment(&segment, fresh_place(), 17 * PAGE);
  shmseg_slice where = { &segment, PAGE, 16 * PAGE };
  return kind->handle_size <= sizeof handle &&
         shmseg_object_open(&handle.object, kind, where, SHMSEG_CREATE, &options, NULL) == 0;
}

TEST(gone,
     "an object whose segment was closed, or cut and refreshed, is checked without a look at it") {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    shmseg_segment peer;
    check(open_behind_first_page(kinds[i]) && shmseg_object_check(&handle.object) == NULL);
    shmseg_segment_close(&segment);
    check(shmseg_object_check(&handle.object) != NULL);
    check(open_behind_first_page(kinds[i]));
    same_segment(&peer, &segment);
    check(shmseg_segment_resize(&peer, PAGE) == 0 && shmseg_segment_refresh(&segment) == 0);
    check(shmseg_object_check(&handle.object) != NULL);
    shmseg_segment_close(&peer);
    shmseg_segment_close(&segment);
  }
}

TEST(confirmed,
     "what was peeked at in a cell is not confirmed when the segment was closed or cut") {
  const unsigned char *where;
  shmseg_segment peer;
  check(open_behind_first_page(&shmseg_cell_kind));
  check(shmseg_cell_set(&handle.cell, "x", 1, &number) == 0);
  check(shmseg_cell_peek(&handle.cell, &where, &size, &number) == 0);
  same_segment(&peer, &segment);
  check(shmseg_segment_resize(&peer, PAGE) == 0 && shmseg_segment_refresh(&segment) == 0);
  check(shmseg_cell_confirm(&handle.cell, number) == SHMSEG_TRUNCATED);
  shmseg_segment_close(&peer);
  shmseg_segment_close(&segment);
  check(shmseg_cell_confirm(&handle.cell, number) == SHMSEG_CLOSED);
}

TEST(no_version,
     "a cas that expects no version that can be tells the actual one, or why it cannot") {
  check(open_behind_first_page(&shmseg_cell_kind));
  check(shmseg_cell_set(&handle.cell, "x", 1, &number) == 0);
  number = 7;
  check(shmseg_cell_cas(&handle.cell, SHMSEG_ANY_VERSION, "y", 1, &number) == SHMSEG_CHANGED);
  check(number == 1);
  shmseg_segment_close(&segment);
  check(shmseg_cell_cas(&handle.cell, SHMSEG_ANY_VERSION, "y", 1, &number) == SHMSEG_CLOSED);
}

TEST(reopened, "an object ends when its segment's handle is closed and opened anew") {
  shmseg_place place = fresh_place();
  new_segment(&segment, place, PAGE);
  shmseg_slice whole = shmseg_segment_whole(&segment);
  check(shmseg_mutex_open(&mutex, whole, SHMSEG_CREATE, NULL, NULL) == 0);
  shmseg_segment_close(&segment);
  check(shmseg_segment_open(&segment, place, SHMSEG_WRITE, NULL, NULL) == 0);
  must(shmseg_mutex_lock(&mutex, 0, &told) == SHMSEG_CLOSED && !shmseg_mutex_holds(&mutex));
  check(shmseg_object_check(&mutex.object) != NULL);
  check(shmseg_mutex_open(&mutex, whole, SHMSEG_WRITE, NULL, NULL) == 0);
  check(shmseg_mutex_lock(&mutex, 0, &told) == 0 && !told);
  shmseg_mutex_close(&mutex);
  shmseg_segment_close(&segment);
}
