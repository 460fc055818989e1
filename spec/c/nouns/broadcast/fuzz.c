/* SPDX-License-Identifier: MIT */
/* Broadcasts, for the fuzzer. */
#include <stdlib.h>

#include "fuzz/fuzz.h"

/* What is done, eight ways of each. */
enum { PUBLISH, NEXT, MANY, SUBSCRIBE, VERBS };

static shmseg_broadcast handles[FUZZ_HANDLES];
static shmseg_subscription subscriptions[FUZZ_HANDLES];
static const unsigned char bytes[2048]; /* more than the largest capacity */

static uint64_t capacity(unsigned choice) {
  static const uint64_t some[] = { 1, 8, 16, 32, 48, 100, 240, 1000 };
  return some[choice % 8];
}

static void opened(int handle) {
  shmseg_broadcast_subscribe(&handles[handle], SHMSEG_FROM_OLDEST, &subscriptions[handle]);
}

static int publish(shmseg_broadcast *b, int way) {
  size_t most = (size_t)b->object.capacity;
  const size_t sizes[] = { 0, 1, 8, 9, most / 2, most - 1, most, most + 1 };
  uint64_t sequence;
  return shmseg_broadcast_publish(b, bytes, sizes[way], &sequence);
}

/* Into memory that is no larger than it has to be. */
static int next(int handle, int way, int64_t deadline) {
  size_t most = (size_t)handles[handle].object.capacity, count = 0;
  const size_t rooms[] = { 0, 1, 8, most - 1, most, most, most, most };
  uint64_t sequence, lost;
  unsigned char *buffer = malloc(rooms[way] ? rooms[way] : 1);
  int err = shmseg_subscription_next(&subscriptions[handle], buffer, rooms[way], &count, &sequence,
                                     &lost, deadline);
  if (err == 0 && count > rooms[way])
    fuzz_fail("a message that is larger than the room for it");
  if (err == SHMSEG_TOO_SMALL && (count <= rooms[way] || count > most))
    fuzz_fail("what is needed cannot be");
  free(buffer);
  return err;
}

/* Several, of which one may be too large. */
static int publish_many(shmseg_broadcast *b, int way, int64_t deadline) {
  size_t most = (size_t)b->object.capacity, published;
  const size_t sizes[] = { 0, 1, most / 3, most };
  shmseg_source messages[4];
  uint64_t sequence;
  for (int i = 0; i < 4; i++)
    messages[i] = (shmseg_source){ bytes, sizes[(way + i) % 4] + (way == 3 && i == 3), NULL };
  return shmseg_broadcast_publish_many(b, messages, 1 + (size_t)way % 4, &published, &deadline,
                                       &sequence);
}

/* Copies a batch, and confirms it as far as it can be. */
static int read_batch(int handle, int way, int64_t deadline) {
  shmseg_subscription *s = &subscriptions[handle];
  shmseg_subscription_batch batch = { 0 };
  uint64_t most = handles[handle].object.capacity, floor;
  int err = shmseg_subscription_look(s, &batch, deadline);
  while (!err && batch.count < (uint64_t)way && !(err = shmseg_subscription_show(s, &batch))) {
    if (batch.size > most)
      fuzz_fail("a message that is larger than the capacity");
    unsigned char *buffer = malloc(batch.size ? batch.size : 1);
    err = shmseg_subscription_copy(s, &batch, buffer);
    free(buffer);
  }
  if (!err || err == SHMSEG_EMPTY)
    err = shmseg_subscription_confirm(s, &batch, &floor);
  if (!err)
    shmseg_subscription_advance(s, &batch);
  return err == SHMSEG_CHANGED ? SHMSEG_TIMEOUT : err;
}

static int subscribe(int handle, int way) {
  shmseg_broadcast *b = &handles[handle];
  uint64_t now = subscriptions[handle].sequence;
  const uint64_t from[] = {
    SHMSEG_FROM_NEW, SHMSEG_FROM_OLDEST, SHMSEG_FROM_LAST(2), now - 1, now, now + 1,
    now + 3,         (uint64_t)1 << 40
  };
  return way == 7 && now % 8 == 0
             ? shmseg_broadcast_shutdown(b)
             : shmseg_broadcast_subscribe(b, from[way], &subscriptions[handle]);
}

static int operate(int handle, int operation, int64_t deadline) {
  int way = operation / VERBS;
  switch (operation % VERBS) {
  case PUBLISH: return publish(&handles[handle], way);
  case SUBSCRIBE: return subscribe(handle, way);
  case MANY:
    return way < 4 ? publish_many(&handles[handle], way, deadline)
                   : read_batch(handle, way, deadline);
  default: return next(handle, way, deadline);
  }
}

static bool patient(int operation) {
  return operation % VERBS == PUBLISH || (operation % VERBS == MANY && operation / VERBS < 4);
}

const fuzz_structure fuzz_subject = {
  .kind = &shmseg_broadcast_kind,
  .handles = handles,
  .number = capacity,
  .opened = opened,
  .operations = 8 * VERBS,
  .operate = operate,
  .patient = patient,
};
