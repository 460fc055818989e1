/* SPDX-License-Identifier: MIT */
/* Queues, for the fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "core/word.h"
#include "fuzz/fuzz.h"

/* What is done, eight ways of each. */
enum { PUSH, PUSH_TOO, TAKE, TAKE_TOO, CLAIM, LOOK, VERBS };

static shmseg_queue handles[FUZZ_HANDLES];
static const unsigned char bytes[2048]; /* more than the largest capacity */

/* What was shown last to a handle; others may have taken it since. */
static struct {
  bool known;
  size_t size;
  uint64_t position;
} shown[FUZZ_HANDLES];

static uint64_t capacity(unsigned choice) {
  static const uint64_t some[] = { 1, 8, 16, 24, 56, 100, 120, 1000 };
  return some[choice % 8];
}

static void opened(int handle) {
  shown[handle].known = false;
}

static int push(shmseg_queue *queue, int way, int64_t deadline) {
  size_t most = (size_t)queue->object.capacity;
  const size_t sizes[] = { 0, 1, 8, 9, most / 2, most - 1, most, most + 1 };
  return shmseg_queue_push(queue, bytes, sizes[way], deadline);
}

/* Who reads what was taken goes by the sizes in it: they are checked ones. */
static void check_records(const unsigned char *records, size_t used, size_t most) {
  size_t at = 0;
  while (at < used) {
    uint64_t record;
    memcpy(&record, records + at, sizeof record);
    if (record > most || SHMSEG_RECORD(record) > used - at)
      fuzz_fail("a record that cannot be was taken");
    at += (size_t)SHMSEG_RECORD(record);
  }
}

/* Into memory that is no larger than it has to be. */
static int take(shmseg_queue *queue, int way, int64_t deadline) {
  size_t most = (size_t)queue->object.capacity, one = (size_t)SHMSEG_RECORD(most), used = 0;
  const size_t rooms[] = { 0, 8, 16, 24, one, one, one, 3 * one };
  const uint64_t many[] = { 1, 1, 2, UINT64_MAX, 1, 2, UINT64_MAX, UINT64_MAX };
  unsigned char *buffer = malloc(rooms[way] ? rooms[way] : 1);
  int err = shmseg_queue_take(queue, buffer, rooms[way], many[way], &used, deadline);
  if (err == 0 && (used == 0 || used > rooms[way]))
    fuzz_fail("taken: nothing, or more than there is room for");
  if (err == 0)
    check_records(buffer, used, most);
  if (err == SHMSEG_TOO_SMALL && (used <= rooms[way] || used > one))
    fuzz_fail("what is needed cannot be");
  free(buffer);
  return err;
}

/* Looks, and copies what is shown into memory that is no larger than it has to be. */
static int peek(int handle) {
  const unsigned char *bytes;
  size_t size;
  uint64_t position;
  int err = shmseg_queue_peek(&handles[handle], &bytes, &size, &position);
  if (err)
    return err;
  if (size > handles[handle].object.capacity)
    fuzz_fail("a message larger than the capacity is shown");
  unsigned char *copy = malloc(size ? size : 1);
  copy_from_shared(copy, bytes, size);
  free(copy);
  shown[handle].known = true;
  shown[handle].size = size;
  shown[handle].position = position;
  return 0;
}

/* Of eight ways two look only, and two claim what was shown before. */
static int claim(int handle, int way) {
  int err = way < 6 ? peek(handle) : 0;
  if (err || way < 2 || !shown[handle].known)
    return err;
  return shmseg_queue_claim(&handles[handle], shown[handle].position, shown[handle].size);
}

static int look(shmseg_queue *queue, int way) {
  shmseg_queue_stats stats;
  uint64_t there;
  switch (way) {
  case 0: return shmseg_queue_shutdown(queue);
  case 1:
  case 2: return shmseg_queue_bytes(queue, &there);
  default: return shmseg_queue_count(queue, &stats);
  }
}

static int operate(int handle, int operation, int64_t deadline) {
  shmseg_queue *queue = &handles[handle];
  int way = operation / VERBS;
  switch (operation % VERBS) {
  case PUSH:
  case PUSH_TOO: return push(queue, way, deadline);
  case TAKE:
  case TAKE_TOO: return take(queue, way, deadline);
  case CLAIM: return claim(handle, way);
  default: return look(queue, way);
  }
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_queue_kind,
  .handles = handles,
  .number = capacity,
  .opened = opened,
  .operations = 8 * VERBS,
  .operate = operate,
};
