/* SPDX-License-Identifier: MIT */
/* Queues, for the fuzzer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/word.h"
#include "fuzz/fuzz.h"

/* What is done, eight ways of each. */
enum { PUSH, PUSH_MANY, TAKE, BATCH, BATCH_TOO, LOOK, VERBS };

static shmseg_queue handles[FUZZ_HANDLES];
static const unsigned char bytes[2048]; /* more than the largest capacity */

#define AT_ONCE 9 /* messages */

/* What a handle has looked at last; others may have taken it since. */
static struct {
  shmseg_queue_batch batch;
  uint64_t begins[AT_ONCE + 1]; /* positions of its messages */
  int count;
} shown[FUZZ_HANDLES];

static uint64_t capacity(unsigned choice) {
  static const uint64_t some[] = { 1, 8, 16, 24, 56, 100, 120, 1000 };
  return some[choice % 8];
}

static void opened(int handle) {
  memset(&shown[handle], 0, sizeof shown[handle]);
}

static size_t some_size(const shmseg_queue *queue, int way) {
  size_t most = (size_t)queue->object.capacity;
  const size_t sizes[] = { 0, 1, 8, 9, most / 2, most - 1, most, most + 1 };
  return sizes[way];
}

static int push(shmseg_queue *queue, int way, int64_t deadline) {
  return shmseg_queue_push(queue, bytes, some_size(queue, way), deadline);
}

/* Some messages of several sizes; the last way has one that is too large among them. */
static int push_many(shmseg_queue *queue, int way, int64_t deadline) {
  shmseg_source messages[AT_ONCE];
  size_t count = (size_t)(way < 7 ? way * way % (AT_ONCE + 1) : AT_ONCE), pushed;
  for (size_t i = 0; i < count; i++)
    messages[i] = (shmseg_source){ bytes, some_size(queue, ((int)i + way) % 7), NULL };
  if (way == 7)
    messages[AT_ONCE / 2].size = some_size(queue, 7);
  int err = shmseg_queue_push_many(queue, messages, count, &pushed, deadline);
  if (pushed > count || (err == 0 && pushed < count))
    fuzz_fail("pushed: not all, or more than that");
  if (err == EINVAL && pushed > 0)
    fuzz_fail("pushed, and one was too large");
  return err;
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

/* Adds a message to the batch, and copies it into memory that is no larger than it has to be. */
static int add(int handle, bool copies) {
  shmseg_queue *queue = &handles[handle];
  shmseg_queue_batch *batch = &shown[handle].batch;
  unsigned char *ring = queue->object.segment->data + queue->object.offset + 256;
  int err = shmseg_queue_next(queue, batch);
  if (err)
    return err;
  if (batch->size > queue->object.capacity || batch->end > batch->tail)
    fuzz_fail("a message is shown that cannot be");
  if (batch->bytes &&
      (batch->bytes < ring + 8 || batch->size > (size_t)(ring + queue->ring - batch->bytes)))
    fuzz_fail("a message is shown that is not in the ring");
  unsigned char *copy = malloc(batch->size ? batch->size : 1);
  if (batch->bytes)
    copy_from_shared(copy, batch->bytes, batch->size);
  err = copies ? shmseg_queue_copy(queue, batch, copy) : 0;
  free(copy);
  return err;
}

/* Looks at some messages. */
static int gather(int handle, int way, int64_t deadline) {
  shmseg_queue_batch *batch = &shown[handle].batch;
  uint64_t max = way % 2 ? AT_ONCE : (uint64_t)way / 2;
  int err = shmseg_queue_look(&handles[handle], batch, max, deadline);
  shown[handle].count = 0;
  while (!err && shown[handle].count < AT_ONCE) {
    shown[handle].begins[shown[handle].count] = batch->end;
    err = add(handle, way % 3);
    shown[handle].count += !err;
  }
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Does a message of the batch begin where the queue begins? */
static bool goes_on(int handle, int *first) {
  while (*first < shown[handle].count && shown[handle].begins[*first] < shown[handle].batch.head)
    ++*first;
  return *first < shown[handle].count && shown[handle].begins[*first] == shown[handle].batch.head;
}

/* Of eight ways one looks only, and two claim what was shown before. */
static int claim(int handle, int way, int64_t deadline) {
  shmseg_queue_batch *batch = &shown[handle].batch;
  int err = way < 6 ? gather(handle, way, deadline) : 0, first = 0;
  if (err || way == 0 || shown[handle].count == 0)
    return err;
  err = shmseg_queue_confirm(&handles[handle], batch);
  if (err && way < 3)
    return err;
  do
    err = shmseg_queue_claim(&handles[handle], batch);
  while (err == SHMSEG_CHANGED && goes_on(handle, &first));
  return err;
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
  case PUSH: return push(queue, way, deadline);
  case PUSH_MANY: return push_many(queue, way, deadline);
  case TAKE: return take(queue, way, deadline);
  case BATCH:
  case BATCH_TOO: return claim(handle, way, deadline);
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
