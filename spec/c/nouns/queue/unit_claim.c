/* SPDX-License-Identifier: MIT */
/* objects/queue: a message that is copied before anything is locked, and then claimed. */
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "options.h"
#include "unit/help.h"

#define CAPACITY 100
#define LENGTH 112 /* of the ring */
#define TAIL 128
#define CONSUMERS 192
#define HEAD 256
#define RING 320
#define LAPS 8

static shmseg_segment ours, reader;
static shmseg_queue a, b, r;

/* What was shown last. */
static const unsigned char *shown;
static size_t shown_size;
static uint64_t shown_at;

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

/* Empty, at that position, and handles that have seen nothing yet. */
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

static int take(void) {
  uint64_t got[2 + CAPACITY / 8]; /* aligned to 8 */
  size_t used;
  return shmseg_queue_take(&a, got, sizeof got, 1, &used, 0);
}

static int peek(shmseg_queue *queue) {
  return shmseg_queue_peek(queue, &shown, &shown_size, &shown_at);
}

static int claim(void) {
  return shmseg_queue_claim(&b, shown_at, shown_size);
}

/* Is what was shown behind a head in the ring, to its last byte? */
static bool is_inside(const shmseg_segment *segment) {
  const unsigned char *first = segment->data + RING + 8;
  return shown >= first && shown < segment->data + RING + LENGTH && shown_size <= CAPACITY &&
         shown_size <= (size_t)(first - 8 + LENGTH - shown);
}

/* Is so many equal bytes shown? */
static bool shows(char byte, size_t size) {
  if (peek(&b) != 0 || shown_size != size || !is_inside(&ours))
    return false;
  for (size_t i = 0; i < size; i++)
    if (shown[i] != (unsigned char)byte)
      return false;
  return shown_at == number_at(&ours, HEAD);
}

/* Claims it: it is gone, and nobody is inside. */
static bool is_claimed(void) {
  return claim() == 0 && number_at(&ours, HEAD) == shown_at + SHMSEG_RECORD(shown_size) &&
         word_at(&ours, CONSUMERS) == SHMSEG_LOCK_FREE && !shmseg_queue_check(&a);
}

/* Is it refused, and nothing is changed? */
static bool is_refused(void) {
  uint64_t head = number_at(&ours, HEAD), tail = number_at(&ours, TAIL);
  uint32_t lock = word_at(&ours, CONSUMERS);
  return claim() == SHMSEG_CHANGED && number_at(&ours, HEAD) == head &&
         number_at(&ours, TAIL) == tail && word_at(&ours, CONSUMERS) == lock;
}

/* Can the bytes of a record of that size at that place be had in one piece? */
static bool is_whole_at(uint64_t place, uint64_t size) {
  return place + 8 < LENGTH && size <= LENGTH - 8 - place;
}

/* --- messages ----------------------------------------------------------------------------- */

TESTS(at_each_place) {
  set_up();
  test_begin("a message of any size is shown and claimed, unless it wraps; then it can be taken");
  check(peek(&b) == SHMSEG_CHANGED);
  for (size_t lap = 0; lap < LAPS; lap++) /* each size begins at each place of the ring */
    for (size_t size = 0; size <= CAPACITY; size++) {
      bool whole = is_whole_at(number_at(&ours, HEAD) % LENGTH, size);
      check(push((char)('a' + (size + lap) % 26), size) == 0);
      if (whole)
        check(shows((char)('a' + (size + lap) % 26), size) && is_claimed());
      else
        check(peek(&b) == SHMSEG_CHANGED && take() == 0);
      check(peek(&b) == SHMSEG_CHANGED && take() == SHMSEG_TIMEOUT);
    }
  test_done();
  test_begin("a message may end, and its size may stand, where the ring ends");
  move_to(2 * LENGTH - 24, 2 * LENGTH - 24);
  check(push('a', 16) == 0 && push('b', 0) == 0 && shows('a', 16) && is_claimed());
  check(shows('b', 0) && shown == ours.data + RING + 8 && is_claimed());
  for (size_t size = 0; size <= 1; size++) {
    move_to(2 * LENGTH - 8, 2 * LENGTH - 8);
    check(push('c', size) == 0 && push('d', 3) == 0);
    check(peek(&b) == SHMSEG_CHANGED && take() == 0 && shows('d', 3) && is_claimed());
  }
  test_done();
  tear_down();
}

TEST_WITH(fresh, in_order,
          "messages are claimed one after the other, by sight and by taking in turn") {
  for (int round = 0; round < 50; round++) {
    move_to(LENGTH, LENGTH);
    for (size_t i = 0; i < 4; i++)
      check(push((char)('a' + i), 9 + i) == 0);
    check(push('x', 17) == SHMSEG_TIMEOUT);
    check(shows('a', 9) && shows('a', 9) && is_claimed() && take() == 0);
    check(shows('c', 11) && is_claimed() && push('e', 20) == 0 && shows('d', 12) && is_claimed());
    check(take() == 0 && peek(&b) == SHMSEG_CHANGED);
  }
}

TEST_WITH(fresh, shut,
          "what is left after a shutdown is claimed, and then there is nothing to see") {
  check(push('a', 3) == 0 && push('b', 4) == 0 && shmseg_queue_shutdown(&a) == 0);
  check(shows('a', 3) && is_claimed() && shows('b', 4));
  check(take() == 0 && is_refused() && peek(&b) == SHMSEG_CHANGED && take() == SHMSEG_SHUTDOWN);
}

/* --- others ------------------------------------------------------------------------------- */

TEST_WITH(fresh, too_late,
          "a message that somebody else has taken is not claimed, whatever is there now") {
  check(push('a', 8) == 0 && push('b', 8) == 0 && shows('a', 8));
  check(take() == 0 && is_refused() && take() == 0 && is_refused());
  check(push('c', 8) == 0 && shows('c', 8) && is_claimed() && is_refused()); /* twice */
  check(push('d', 8) == 0 && is_refused() && shows('d', 8) && take() == 0);
  for (size_t i = 0; i < LENGTH; i += 16) /* once around the ring */
    check(push('e', 8) == 0 && is_refused() && (i + 16 == LENGTH || take() == 0));
  check(shows('e', 8));
  static const uint64_t wrong[] = { 0, 8, LENGTH, UINT64_MAX, UINT64_MAX - 7 };
  for (int i = 0; i < 5; i++)
    check(shmseg_queue_claim(&b, wrong[i], 8) == SHMSEG_CHANGED);
  check(is_claimed() && is_refused());
}

TEST_WITH(fresh, locked, "nothing is claimed while another one is inside, or has died there") {
  check(push('a', 5) == 0 && push('b', 6) == 0);
  child c = child_inside(&ours, CONSUMERS);
  int64_t began = now_ms();
  check(shows('a', 5) && is_refused() && now_ms() - began < 100);
  child_tell(&c);
  check(child_end(&c) == 0 && is_claimed());
  c = child_inside(&ours, CONSUMERS);
  child_kill(&c);
  check(shows('b', 6) && is_refused() && take() == 0 && push('c', 7) == 0);
  check(shows('c', 7) && is_claimed());
  static const uint32_t others[] = { SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY,
                                     SHMSEG_LOCK_FREE | SHMSEG_LOCK_WAITERS, 0 };
  for (int i = 0; i < 3; i++) {
    check(push('d', 8) == 0 && shows('d', 8));
    set_word(&ours, CONSUMERS, others[i]);
    check(is_refused());
    set_word(&ours, CONSUMERS, SHMSEG_LOCK_FREE);
    check(is_claimed());
  }
}

static void claim_one(void *argument) {
  (void)argument;
  say(shows('a', CAPACITY) && is_claimed() ? 'c' : 'x');
}

static void push_often(void *argument) {
  static const char message[CAPACITY] = "";
  (void)argument;
  for (int i = 0; i < WAKES; i++)
    say(push_fully(&a, message, CAPACITY, in_ms(5000)) == 0 ? 'w' : 'x');
}

static bool claim_next(int round) {
  bool whole = is_whole_at(number_at(&ours, HEAD) % LENGTH, CAPACITY);
  (void)round;
  return whole && peek(&b) == 0 && claim() == 0;
}

TEST_WITH(fresh, wakes, "a claim wakes who waits for room each time") {
  check(push('a', CAPACITY) == 0);
  child c = child_start(push_often, NULL);
  check(wakes_each_time(&c, claim_next) && child_end(&c) == 0);
}

TEST_WITH(fresh, forked,
          "a forked child claims as one of its own, and not what its parent has claimed") {
  check(push('a', CAPACITY) == 0 && shows('a', CAPACITY));
  child c = child_start(claim_one, NULL);
  check(child_hear(&c) == 'c' && child_end(&c) == 0 && is_refused());
}

TEST_WITH(fresh, read_only, "a read-only handle is shown the message, and does not claim it") {
  check(peek(&r) == SHMSEG_CHANGED && push('a', 3) == 0 && peek(&r) == 0);
  check(shown_size == 3 && shown[2] == 'a' && is_inside(&reader));
  check(shmseg_queue_claim(&r, shown_at, shown_size) == SHMSEG_READ_ONLY);
  check(shows('a', 3) && is_claimed());
}

/* --- damage ------------------------------------------------------------------------------- */

/* Is a record that says so at head shown when it can be, and otherwise not? */
static bool is_judged(uint64_t head, uint64_t tail, uint64_t size) {
  bool good = size <= CAPACITY && SHMSEG_RECORD(size) <= tail - head;
  set_number(&ours, RING + head % LENGTH, size);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  int err = peek(&b);
  if (!good || !is_whole_at(head % LENGTH, size))
    return err == SHMSEG_CHANGED;
  return err == 0 && shown_size == size && shown_at == head && is_inside(&ours);
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
          "a head or a tail that cannot be shows nothing, also to who has seen better ones") {
  static const uint64_t wrong[][2] = {
    { 0, 0 },
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
    check(push('a', 8) == 0 && push('b', 8) == 0 && shows('a', 8));
    set_number(&ours, HEAD, wrong[i][0]);
    set_number(&ours, TAIL, wrong[i][1] << 1);
    bool same = wrong[i][0] == LENGTH; /* it goes by the tail that it has seen */
    check(peek(&b) == (same ? 0 : SHMSEG_CHANGED) && (!same || is_inside(&ours)));
    open_both();
    check(peek(&b) == SHMSEG_CHANGED);
  }
  uint64_t far = ((uint64_t)1 << 62) - ((uint64_t)1 << 62) % LENGTH;
  move_to(far, far);
  check(push('a', CAPACITY) == 0 && shows('a', CAPACITY) && is_claimed());
}

/* Head and locks lie on the first page, and the message on the second. */
TEST(half_truncated,
     "a message of which a cut has taken a part, while it was copied, is not claimed") {
  static const char message[PAGE + PAGE / 2] = "message";
  new_segment(&ours, place_of(fresh_name()), 3 * PAGE);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, 3 * PAGE }, SHMSEG_CREATE,
                         OF_CAPACITY(2 * PAGE), NULL) == 0);
  check(shmseg_queue_push(&b, message, sizeof message, 0) == 0 && peek(&b) == 0);
  must(ftruncate(ours.fd, PAGE) == 0);
  char copy[sizeof message];
  memcpy(copy, shown, sizeof copy);
  uint64_t head = number_at(&ours, HEAD);
  check(claim() == SHMSEG_TRUNCATED && number_at(&ours, HEAD) == head && head == shown_at);
  check((word_at(&ours, CONSUMERS) & SHMSEG_LOCK_STATE) == SHMSEG_LOCK_FREE);
  check(peek(&b) == SHMSEG_TRUNCATED);
  shmseg_queue_close(&b);
  shmseg_segment_close(&ours);
}

static bool is_gone(void) {
  int looked = peek(&b), claimed = claim();
  return (looked == SHMSEG_TRUNCATED || looked == SHMSEG_CHANGED) &&
         (claimed == SHMSEG_TRUNCATED || claimed == SHMSEG_CHANGED) && take() == SHMSEG_TRUNCATED;
}

TEST_WITH(fresh, truncated,
          "after a cut nothing is shown or claimed, nor when the segment is closed") {
  check(push('a', 5) == 0 && shows('a', 5));
  must(ftruncate(ours.fd, 0) == 0);
  check(is_gone() && is_gone());
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  check(is_gone());
  open_both();
  check(push('b', 5) == 0 && shows('b', 5) && is_claimed());
  shmseg_segment_close(&ours);
  check(peek(&b) == SHMSEG_CLOSED && claim() == SHMSEG_CLOSED);
  shmseg_queue_close(&b);
  check(peek(&b) == SHMSEG_CLOSED && claim() == SHMSEG_CLOSED);
}
