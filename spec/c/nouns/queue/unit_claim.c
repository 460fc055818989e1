/* SPDX-License-Identifier: MIT */
/* objects/queue: batches, which are looked at and copied with nothing held, and then claimed. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "unit/help.h"

#define CAPACITY 100
#define LENGTH 112 /* of the ring */
#define TAIL 128
#define HEAD 192
#define RING 256
#define LAPS 8

static shmseg_segment ours, reader;
static shmseg_queue a, b, r;
static shmseg_queue_batch batch;

static void open_both(void) {
  must(shmseg_queue_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(CAPACITY),
                         NULL) == 0);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
}

static void set_up(void) {
  shmseg_options options = { 0 };
  const char *name = fresh_name();
  new_segment(&ours, place_of(name), PAGE);
  open_both();
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, &options, NULL) == 0);
  must(shmseg_queue_open(&r, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_READ, NULL, NULL) == 0);
}

static void tear_down(void) {
  shmseg_queue_close(&a);
  shmseg_queue_close(&b);
  shmseg_queue_close(&r);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&reader);
}

static const test_fixture fresh = { set_up, tear_down };

/* Handles that have seen nothing yet, at these positions. */
static void move_to(uint64_t head, uint64_t tail) {
  set_number(&ours, HEAD, head);
  set_number(&ours, TAIL, tail << 1);
  open_both();
}

static int push(char byte, size_t size) {
  char bytes[CAPACITY];
  memset(bytes, byte, sizeof bytes);
  return shmseg_queue_push(&a, bytes, size, 0);
}

/* Another consumer takes so many. */
static int take(uint64_t max) {
  uint64_t got[LENGTH / 8]; /* aligned to 8 */
  size_t used;
  return shmseg_queue_take(&a, got, sizeof got, max, &used, 0);
}

static int look(uint64_t max) {
  return shmseg_queue_look(&b, &batch, max, 0);
}

static int next(void) {
  return shmseg_queue_next(&b, &batch);
}

static int claim(void) {
  return shmseg_queue_claim(&b, &batch);
}

/* Can the bytes of a record of that size at that place be had in one piece? */
static bool is_whole_at(uint64_t place, uint64_t size) {
  return place + 8 < LENGTH && size <= LENGTH - 8 - place;
}

/* Is what was added last in the ring, to its last byte, or joined by copy where it wraps? */
static bool is_inside(void) {
  uint64_t place = (batch.end - SHMSEG_RECORD(batch.size)) % LENGTH;
  if (!is_whole_at(place, batch.size))
    return batch.bytes == NULL;
  return batch.bytes == ours.data + RING + place + 8;
}

/* Is the next message of so many equal bytes? */
static bool shows(char byte, size_t size) {
  char expected[CAPACITY], copy[CAPACITY];
  memset(expected, byte, sizeof expected);
  if (next() != 0 || batch.size != size || !is_inside())
    return false;
  if (batch.bytes && memcmp(batch.bytes, expected, size) != 0)
    return false;
  return shmseg_queue_copy(&b, &batch, copy) == 0 && memcmp(copy, expected, size) == 0;
}

/* Takes the batch: it is gone. */
static bool is_claimed(void) {
  return shmseg_queue_confirm(&b, &batch) == 0 && claim() == 0 &&
         number_at(&ours, HEAD) == batch.end && !shmseg_queue_check(&a);
}

/* Is it refused, and nothing is changed? */
static bool is_refused(void) {
  uint64_t head = number_at(&ours, HEAD), tail = number_at(&ours, TAIL);
  return shmseg_queue_confirm(&b, &batch) == SHMSEG_CHANGED && claim() == SHMSEG_CHANGED &&
         batch.head == head && number_at(&ours, HEAD) == head && number_at(&ours, TAIL) == tail;
}

/* --- messages ----------------------------------------------------------------------------- */

TEST_WITH(fresh, at_each_place,
          "a batch shows messages of any size, at each place of the ring, and copies those that "
          "wrap") {
  check(look(1) == SHMSEG_TIMEOUT);
  for (size_t lap = 0; lap < LAPS; lap++)
    for (size_t size = 0; size <= CAPACITY; size++) {
      char byte = (char)('a' + (size + lap) % 26);
      check(push(byte, size) == 0);
      bool second = push('+', lap) == 0, third = push('-', 0) == 0; /* if there is room */
      check(look(UINT64_MAX) == 0 && shows(byte, size));
      check((!second || shows('+', lap)) && (!third || shows('-', 0)));
      check(next() == SHMSEG_EMPTY && next() == SHMSEG_EMPTY && is_claimed());
      check(look(1) == SHMSEG_TIMEOUT);
    }
}

TEST_WITH(fresh, ends, "a message may end, and its size may stand, where the ring ends") {
  move_to(2 * LENGTH - 24, 2 * LENGTH - 24);
  check(push('a', 16) == 0 && push('b', 0) == 0 && look(2) == 0 && shows('a', 16));
  check(shows('b', 0) && batch.bytes == ours.data + RING + 8 && is_claimed());
  for (size_t size = 0; size <= 1; size++) {
    move_to(2 * LENGTH - 8, 2 * LENGTH - 8);
    check(push('c', size) == 0 && push('d', 3) == 0 && look(2) == 0 && shows('c', size));
    check(batch.bytes == NULL && shows('d', 3) && is_claimed());
  }
}

TEST_WITH(fresh, limits, "a batch has as many messages as were asked for, or as were there") {
  for (size_t i = 0; i < 4; i++)
    check(push((char)('a' + i), 9 + i) == 0);
  check(look(0) == EINVAL && look(3) == 0);
  check(shows('a', 9) && shows('b', 10) && shows('c', 11) && next() == SHMSEG_EMPTY);
  check(is_claimed() && look(UINT64_MAX) == 0 && push('e', 20) == 0); /* not of this batch */
  check(shows('d', 12) && next() == SHMSEG_EMPTY && is_claimed());
  check(look(1) == 0 && shows('e', 20) && next() == SHMSEG_EMPTY && is_claimed());
  check(look(1) == SHMSEG_TIMEOUT && push('f', 1) == 0 && look(9) == 0);
  check(is_claimed() && batch.end == batch.head); /* an empty batch */
  check(look(9) == 0 && shows('f', 1) && is_claimed() && is_refused());
}

TEST_WITH(fresh, in_turn, "a part of what is there is claimed, by batches and by taking in turn") {
  for (int round = 0; round < 50; round++) {
    for (size_t i = 0; i < 4; i++)
      check(push((char)('a' + i), 9 + i) == 0);
    check(push('x', 17) == SHMSEG_TIMEOUT);
    check(look(9) == 0 && shows('a', 9) && is_claimed() && take(1) == 0);
    check(look(2) == 0 && shows('c', 11) && is_claimed() && look(2) == 0 && shows('d', 12));
    check(is_claimed() && take(1) == SHMSEG_TIMEOUT);
  }
}

TEST_WITH(fresh, shut, "what is left after a shutdown is claimed, and then it is over") {
  check(push('a', 3) == 0 && push('b', 4) == 0 && look(1) == 0 && shows('a', 3));
  check(shmseg_queue_shutdown(&a) == 0 && is_claimed() && look(5) == 0 && shows('b', 4));
  check(take(1) == 0 && is_refused() && look(1) == SHMSEG_SHUTDOWN);
  check(shmseg_queue_look(&b, &batch, 1, SHMSEG_FOREVER) == SHMSEG_SHUTDOWN);
}

/* --- others ------------------------------------------------------------------------------- */

TEST_WITH(
    fresh, too_late,
    "a batch that others have taken is neither confirmed nor claimed, whatever is there now") {
  check(push('a', 8) == 0 && push('b', 8) == 0 && look(1) == 0 && shows('a', 8));
  check(shmseg_queue_confirm(&b, &batch) == 0 && take(1) == 0);
  shmseg_queue_batch old = batch;
  for (size_t i = 0; i < 2 * LENGTH; i += 16) { /* twice around the ring */
    batch = old;
    check(push('e', 8) == 0 && is_refused() && take(1) == 0);
  }
  check(look(1) == 0 && shows('e', 8) && is_claimed() && is_refused()); /* twice */
  check(look(1) == SHMSEG_TIMEOUT && batch.head == number_at(&ours, HEAD));
}

TEST_WITH(fresh, overtaken, "others may take all that a batch has, also while it looks") {
  for (size_t i = 0; i < 4; i++)
    check(push((char)('a' + i), 9 + i) == 0);
  check(look(4) == 0 && shows('a', 9) && take(2) == 0 && is_refused());
  check(claim() == EINVAL && number_at(&ours, HEAD) == batch.head); /* head never goes back */
  check(look(4) == 0 && shows('c', 11) && take(9) == 0 && next() == 0 && is_refused());
  check(batch.head == batch.end && look(4) == SHMSEG_TIMEOUT);
}

TEST_WITH(fresh, goes_on,
          "what others have left of a batch is claimed by another call, and nothing before it") {
  for (uint64_t taken = 1; taken < 4; taken++) {
    for (size_t i = 0; i < 4; i++)
      check(push((char)('a' + i), 9 + i) == 0);
    check(look(4) == 0 && shows('a', 9) && shows('b', 10) && shows('c', 11) && shows('d', 12));
    uint64_t first = batch.head, end = batch.end;
    check(take(taken) == 0 && push('+', 5) == 0 && is_refused());
    check(batch.head == first + 24 * taken && batch.end == end && is_claimed());
    check(take(1) == 0 && take(1) == SHMSEG_TIMEOUT);
  }
}

TEST_WITH(fresh, misled,
          "a size that others have written over leads to no corruption, and to nothing outside") {
  static const uint64_t wrong[] = { 40, 80, 88, CAPACITY + 1, UINT64_MAX, UINT64_MAX - 7 };
  for (int i = 0; i < 6; i++) {
    uint64_t words[2] = { wrong[i], wrong[i] };
    move_to(LENGTH, LENGTH);
    check(push('a', 8) == 0 && push('\xff', 80) == 0 && look(9) == 0 && take(1) == 0);
    check(shmseg_queue_push(&a, words, 16, 0) == 0); /* over the size of the first */
    int err = next();
    check(err == SHMSEG_CHANGED || (err == 0 && is_inside() && next() == SHMSEG_CHANGED));
    check(is_refused() && look(9) == 0 && shows('\xff', 80) && is_claimed());
  }
}

static void claim_one(void *argument) {
  (void)argument;
  say(look(1) == 0 && shows('a', CAPACITY) && is_claimed() ? 'c' : 'x');
}

static void push_often(void *argument) {
  static const char message[CAPACITY] = "";
  (void)argument;
  for (int i = 0; i < WAKES; i++)
    say(push_fully(&a, message, CAPACITY, in_ms(5000)) == 0 ? sleep_ended() : 'x');
}

static bool claim_next(int round) {
  (void)round;
  return look(1) == 0 && next() == 0 && claim() == 0;
}

TEST_WITH(fresh, wakes, "a claim wakes who waits for room each time") {
  check(push('a', CAPACITY) == 0);
  child c = child_start(push_often, NULL);
  check(wakes_each_time(&c, claim_next) && child_end(&c) == 0);
}

static void look_often(void *argument) {
  (void)argument;
  for (int i = 0; i < WAKES; i++) {
    int err;
    do
      err = shmseg_queue_look(&b, &batch, 1, in_ms(5000));
    while (err == SHMSEG_INTERRUPTED);
    say(err == 0 && shows('a', 5) && is_claimed() ? sleep_ended() : 'x');
  }
}

static bool push_next(int round) {
  (void)round;
  return push('a', 5) == 0;
}

TEST_WITH(fresh, woken, "who looks while there is nothing is woken by a push each time") {
  child c = child_start(look_often, NULL);
  check(wakes_each_time(&c, push_next) && child_end(&c) == 0);
}

TEST_WITH(fresh, forked,
          "a forked child claims as one of its own, and not what its parent has claimed") {
  check(push('a', CAPACITY) == 0 && look(1) == 0 && shows('a', CAPACITY));
  child c = child_start(claim_one, NULL);
  check(child_hear(&c) == 'c' && child_end(&c) == 0 && is_refused());
}

TEST_WITH(fresh, read_only, "through a read-only handle nothing is looked at or claimed") {
  check(shmseg_queue_look(&r, &batch, 1, 0) == SHMSEG_READ_ONLY && push('a', 3) == 0);
  check(shmseg_queue_look(&r, &batch, 1, 0) == SHMSEG_READ_ONLY && look(1) == 0 && shows('a', 3));
  check(shmseg_queue_claim(&r, &batch) == SHMSEG_READ_ONLY && is_claimed());
}

/* --- damage ------------------------------------------------------------------------------- */

/* Is a record that says so at head shown when it can be, and otherwise corrupt? */
static bool is_judged(uint64_t head, uint64_t tail, uint64_t size) {
  bool good = size <= CAPACITY && SHMSEG_RECORD(size) <= tail - head;
  set_number(&ours, RING + head % LENGTH, size);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  if (look(1) != 0 || batch.head != head || batch.tail != tail)
    return false;
  return good ? next() == 0 && batch.size == size && is_inside() : next() == SHMSEG_CORRUPT;
}

TEST_WITH(fresh, sizes, "nothing outside the ring is shown, whatever the size, head and tail say") {
  static const uint64_t wrong[] = { CAPACITY + 1,   LENGTH,          UINT64_MAX,     UINT64_MAX - 7,
                                    UINT64_MAX - 8, UINT64_MAX - 15, UINT64_MAX / 2, 1u << 31 };
  for (uint64_t head = LENGTH; head < 2 * LENGTH; head += 8)
    for (uint64_t tail = head + 8; tail <= head + LENGTH; tail += 8) {
      set_number(&ours, HEAD, head);
      set_number(&ours, TAIL, tail << 1);
      for (uint64_t size = 0; size <= CAPACITY; size++)
        check(is_judged(head, tail, size));
      for (int i = 0; i < 8; i++)
        check(is_judged(head, tail, wrong[i]));
    }
}

TEST_WITH(fresh, positions,
          "a head or a tail that cannot be is corrupt, also to who has seen better ones") {
  static const uint64_t wrong[][2] = {
    { 0, 0 }, /* a page of zeroes, which is not an empty queue */
    { 0, LENGTH },
    { LENGTH - 8, LENGTH + 8 },
    { LENGTH, 0 },
    { LENGTH + 8, LENGTH },
    { LENGTH, 2 * LENGTH + 8 },
    { LENGTH + 1, LENGTH + 17 },
    { LENGTH, LENGTH + 4 },
    { UINT64_MAX - 7, LENGTH + 16 },
    { LENGTH, UINT64_MAX / 2 - 7 },
    { UINT64_MAX, UINT64_MAX / 2 },
  };
  for (int i = 0; i < 11; i++) {
    move_to(LENGTH, LENGTH);
    check(push('a', 8) == 0 && push('b', 8) == 0 && look(1) == 0 && shows('a', 8));
    set_number(&ours, HEAD, wrong[i][0]);
    set_number(&ours, TAIL, wrong[i][1] << 1);
    bool known = wrong[i][0] == LENGTH || wrong[i][0] == LENGTH + 8;
    /* for one message it goes by the tail that it has seen */
    check(look(1) == (known ? 0 : SHMSEG_CORRUPT) && look(2) == SHMSEG_CORRUPT);
    open_both();
    check(look(1) == SHMSEG_CORRUPT);
  }
  uint64_t far = ((uint64_t)1 << 62) - ((uint64_t)1 << 62) % LENGTH;
  move_to(far, far);
  check(push('a', CAPACITY) == 0 && look(1) == 0 && shows('a', CAPACITY) && is_claimed());
}

/* Head lies on the first page, and the message on the second. */
TEST(half_truncated,
     "a batch of which a cut has taken a part, while it was copied, is not claimed") {
  static const char message[PAGE + PAGE / 2] = "message";
  static char copy[sizeof message];
  new_segment(&ours, place_of(fresh_name()), 3 * PAGE);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, 3 * PAGE }, SHMSEG_CREATE,
                         OF_CAPACITY(2 * PAGE), NULL) == 0);
  check(shmseg_queue_push(&b, message, sizeof message, 0) == 0 && look(1) == 0 && next() == 0);
  must(ftruncate(ours.fd, PAGE) == 0);
  check(shmseg_queue_copy(&b, &batch, copy) == 0); /* zeroes, perhaps */
  uint64_t head = number_at(&ours, HEAD);
  check(shmseg_queue_confirm(&b, &batch) == SHMSEG_TRUNCATED && claim() == SHMSEG_TRUNCATED);
  check(number_at(&ours, HEAD) == head && head == batch.head && look(1) == SHMSEG_TRUNCATED);
  shmseg_queue_close(&b);
  shmseg_segment_close(&ours);
}

/* Are all calls told so? */
static bool is_told(int err) {
  char copy[CAPACITY];
  shmseg_queue_batch old = { .tail = 8, .left = 1 };
  return look(1) == err && shmseg_queue_next(&b, &old) == err && claim() == err &&
         shmseg_queue_copy(&b, &batch, copy) == err && shmseg_queue_confirm(&b, &batch) == err;
}

TEST_WITH(fresh, truncated,
          "after a cut nothing is shown or claimed, nor when the segment is closed") {
  check(push('a', 5) == 0 && look(1) == 0 && shows('a', 5));
  must(ftruncate(ours.fd, 0) == 0);
  check(claim() != 0 && look(1) == SHMSEG_TRUNCATED && is_told(SHMSEG_TRUNCATED));
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  check(is_told(SHMSEG_TRUNCATED));
  open_both();
  check(push('b', 5) == 0 && look(1) == 0 && shows('b', 5));
  shmseg_queue_batch kept = batch;
  shmseg_segment_close(&ours);
  check(is_told(SHMSEG_CLOSED));
  batch = kept;
  check(is_told(SHMSEG_CLOSED));
  shmseg_queue_close(&b);
  check(is_told(SHMSEG_CLOSED));
}
