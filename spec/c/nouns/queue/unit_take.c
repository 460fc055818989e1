/* SPDX-License-Identifier: MIT */
/* objects/queue: what other consumers and producers do in the middle of a take.
 *
 * The ring, and the buffer that is taken into, have a page of their own, whose first touch lets
 * the others in. */
#include <string.h>

#include "options.h"
#include "unit/help.h"

#define CAPACITY 104
#define LENGTH 112 /* of the ring */
#define HEAD 192
#define RING 256
#define BEFORE (PAGE - RING) /* of the queue: its ring begins with a page */
#define SIZE ((uint64_t)2 * PAGE)
#define MANY 7 /* messages of one word each fill the ring */

static shmseg_segment ours, theirs;
static shmseg_queue a, b; /* the others', and ours */
static size_t used;

static _Alignas(4096) unsigned char room[2 * PAGE]; /* taken into, across the pages */
static _Alignas(8) unsigned char taken[PAGE];

static void set_up(void) {
  new_anonymous(&ours, SIZE);
  same_segment(&theirs, &ours);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, BEFORE, SIZE - BEFORE }, SHMSEG_CREATE,
                         OF_CAPACITY(CAPACITY), NULL) == 0);
  must(shmseg_queue_open(&a, (shmseg_slice){ &theirs, BEFORE, SIZE - BEFORE }, SHMSEG_WRITE, NULL,
                         NULL) == 0);
}

static void tear_down(void) {
  shmseg_queue_close(&a);
  shmseg_queue_close(&b);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&theirs);
}

static const test_fixture fresh = { set_up, tear_down };

/* --- what is in the queue, and what others do ------------------------------------------------ */

static uint64_t first, last; /* numbers of the messages in the queue */

static struct { uint64_t takes, pushes, words; /* so many messages, of so many words */ } plan;

/* Each of the message's words is its number. */
static bool push_number(uint64_t number, uint64_t words) {
  uint64_t message[CAPACITY / 8];
  for (uint64_t i = 0; i < words; i++)
    message[i] = number;
  return shmseg_queue_push(&a, message, 8 * words, 0) == 0;
}

/* The others' take, which leaves the bytes in taken. */
static bool others_take(size_t *bytes) {
  return shmseg_queue_take(&a, taken, sizeof taken, 1, bytes, 0) == 0;
}

static void others_act(void) {
  size_t bytes;
  for (uint64_t i = 0; i < plan.takes; i++)
    must(others_take(&bytes));
  first += plan.takes;
  for (uint64_t i = 0; i < plan.pushes && push_number(last + 1, plan.words); i++)
    last++;
}

/* Are the records of the buffer the next messages of the queue? *count of them. */
static bool are_next(const unsigned char *buffer, size_t size, uint64_t *count) {
  size_t at = 0;
  for (*count = 0; at < size; ++*count, first++) {
    uint64_t words[1 + CAPACITY / 8];
    memcpy(words, buffer + at, 8);
    if (words[0] % 8 != 0 || words[0] > CAPACITY || words[0] > size - at - 8)
      return false;
    memcpy(words + 1, buffer + at + 8, words[0]);
    for (uint64_t i = 1; i <= words[0] / 8; i++)
      if (words[i] != first)
        return false;
    at += 8 + words[0];
  }
  return at == size && first <= last + 1;
}

/* A full queue, at any place of the ring. */
static void fill(uint64_t lap) {
  uint64_t start = (lap + 1) * LENGTH + 8 * lap % LENGTH;
  set_number(&ours, BEFORE + HEAD, start);
  set_number(&ours, BEFORE + 128, start << 1);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, BEFORE, SIZE - BEFORE }, SHMSEG_WRITE, NULL,
                         NULL) == 0);
  must(shmseg_queue_open(&a, (shmseg_slice){ &theirs, BEFORE, SIZE - BEFORE }, SHMSEG_WRITE, NULL,
                         NULL) == 0);
  first = 1;
  for (last = 0; last < MANY; last++)
    must(push_number(last + 1, 1));
}

/* Takes while the others act when the record of that number, from 0 on, is copied. */
static int take_meanwhile(uint64_t record, uint64_t max, unsigned char **buffer) {
  *buffer = room + PAGE - 16 * record;
  set_trap(room + PAGE, others_act);
  return shmseg_queue_take(&b, *buffer, PAGE, max, &used, 0);
}

/* Is what a take has given right, and is the rest still there? */
static bool is_exact(int err, const unsigned char *buffer, uint64_t *count) {
  bool good = err == 0 ? used > 0 && are_next(buffer, used, count)
                       : err == SHMSEG_TIMEOUT && used == 0 && first > last;
  size_t bytes;
  while (good && others_take(&bytes)) {
    uint64_t one;
    good = are_next(taken, bytes, &one) && one == 1;
  }
  return good && first == last + 1 && !shmseg_queue_check(&a);
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST_WITH(fresh, keeps_the_rest,
          "a take that others overtake keeps what they have left, from the first record on") {
  for (uint64_t record = 0; record < MANY; record++)
    for (uint64_t lap = 0; lap < LENGTH / 8; lap++)
      for (uint64_t takes = 0; takes <= record + 1 && takes < MANY; takes++) {
        unsigned char *buffer;
        uint64_t count = 0;
        plan.takes = takes;
        plan.pushes = takes; /* over what they have taken */
        plan.words = 1;
        fill(lap);
        int err = take_meanwhile(record, UINT64_MAX, &buffer);
        check(err == 0 && used == 16 * (MANY - takes) && is_exact(err, buffer, &count));
        check(count ==
              MANY - takes); /* it has not begun anew, which would give the new ones, too */
      }
}

TEST_WITH(fresh, whatever_happens,
          "whatever others take and push in the middle of a take, it gives what is there, once") {
  for (uint64_t record = 0; record < MANY; record++)
    for (plan.takes = 0; plan.takes <= MANY; plan.takes++)
      for (plan.words = 0; plan.words <= CAPACITY / 8; plan.words++)
        for (uint64_t max = 1; max <= MANY; max += 3)
          for (plan.pushes = 0; plan.pushes <= MANY; plan.pushes += 2) {
            unsigned char *buffer;
            uint64_t count = 0;
            if (record >= max)
              continue;
            fill(plan.words);
            int err = take_meanwhile(record, max, &buffer);
            check(is_exact(err, buffer, &count) && count <= max);
          }
}

/* Its words are sizes that could be, where a size was read before. */
static void replace_the_first(void) {
  uint64_t words[11];
  size_t bytes;
  for (int i = 0; i < 11; i++)
    words[i] = 48;
  must(others_take(&bytes));
  must(shmseg_queue_push(&a, words, sizeof words, 0) == 0);
}

TEST_WITH(fresh, too_small,
          "a message is too large for the buffer only if it is still there when that is said") {
  uint64_t got[3];
  check(shmseg_queue_push(&a, taken, 40, 0) == 0 && push_number(7, 1));
  set_trap(ours.data + PAGE, replace_the_first); /* when the size is read */
  check(shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == 0 && used == 16);
  check(got[0] == 8 && got[1] == 7);
  check(shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == SHMSEG_TOO_SMALL && used == 96);
}

static int rounds; /* in which others have taken all, and pushed as many */

static void others_are_faster(void);

static void wait_for_the_second(void) {
  set_trap(room + PAGE, others_are_faster);
}

static void others_are_faster(void) {
  rounds++;
  others_act();
  set_trap(room, wait_for_the_second);
}

/* Takes from a queue of two messages, which others take each time after both were copied. */
static int take_in_vain(int64_t deadline) {
  rounds = 0;
  plan.takes = plan.pushes = 2;
  plan.words = 1;
  set_trap(room, wait_for_the_second);
  int err = shmseg_queue_take(&b, room + PAGE - 16, PAGE, 2, &used, deadline);
  disarm_trap();
  return err;
}

TEST_WITH(fresh, overtaken,
          "a take that others overtake each time gives up at last, with nothing") {
  first = 1;
  last = 2;
  must(push_number(1, 1) && push_number(2, 1));
  check(take_in_vain(0) == SHMSEG_TIMEOUT && used == 0 && rounds > 10);
  check(take_in_vain(SHMSEG_FOREVER) == SHMSEG_INTERRUPTED && used == 0 && rounds > 10);
  uint64_t count;
  check(shmseg_queue_take(&b, taken, sizeof taken, 9, &used, 0) == 0);
  check(are_next(taken, used, &count) && count == 2 && first == last + 1);
}

/* --- large messages --------------------------------------------------------------------------- */

#define LARGE 200000u
#define PIECE 65536u

TEST(in_pieces, "of a large message that another one takes, at most 64 KiB more are copied") {
  static unsigned char copy[LARGE], message[LARGE], untouched[LARGE], got[SHMSEG_RECORD(LARGE)];
  shmseg_queue_batch batch;
  memset(message, 'm', sizeof message);
  new_anonymous(&ours, RING + LARGE + 4096);
  must(shmseg_queue_open(&b, shmseg_segment_whole(&ours), SHMSEG_CREATE, OF_CAPACITY(LARGE),
                         NULL) == 0);
  for (int lap = 0; lap < 3; lap++) { /* it wraps at different places */
    check(shmseg_queue_push(&b, message, LARGE, 0) == 0);
    check(shmseg_queue_look(&b, &batch, 1, 0) == 0 && shmseg_queue_next(&b, &batch) == 0);
    check(batch.size == LARGE && shmseg_queue_copy(&b, &batch, copy) == 0);
    check(memcmp(copy, message, LARGE) == 0 && shmseg_queue_confirm(&b, &batch) == 0);
    check(shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == 0);
    check(memcmp(got + 8, message, LARGE) == 0);
    memset(copy, 'c', sizeof copy);
    memset(untouched, 'c', sizeof untouched);
    check(shmseg_queue_copy(&b, &batch, copy) == SHMSEG_CHANGED);
    check(memcmp(copy + PIECE, untouched, LARGE - PIECE) == 0);
    check(shmseg_queue_push(&b, message, PIECE, 0) == 0 &&
          shmseg_queue_look(&b, &batch, 1, 0) == 0);
    check(shmseg_queue_next(&b, &batch) == 0);
    check(shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == 0);
    check(shmseg_queue_copy(&b, &batch, copy) == 0 && memcmp(copy, message, PIECE) == 0);
    check(shmseg_queue_claim(&b, &batch) == SHMSEG_CHANGED);
  }
  shmseg_queue_close(&b);
  shmseg_segment_close(&ours);
}
