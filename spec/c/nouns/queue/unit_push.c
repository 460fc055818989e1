/* SPDX-License-Identifier: MIT */
/* objects/queue: many messages at once; and what befalls a push in the middle of its copy. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "options.h"
#include "unit/help.h"

#define CAPACITY 100
#define LENGTH 112 /* of the ring */
#define PRODUCERS 64
#define TAIL 128
#define HEAD 192
#define RING 256
#define FULL 7 /* so many messages of one word each fill the ring */
#define MOST 1500

static shmseg_segment ours;
static shmseg_queue a, b;
static shmseg_source list[MOST];
static uint64_t numbers[MOST], got[64];
static size_t used, pushed;
static _Alignas(4096) unsigned char trapped[PAGE]; /* a source */

static void open_both(void) {
  must(shmseg_queue_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(CAPACITY),
                         NULL) == 0);
  must(shmseg_queue_open(&b, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
}

/* The list is numbers, from 1 on. */
static void set_up(void) {
  new_segment(&ours, fresh_place(), PAGE);
  open_both();
  for (size_t i = 0; i < MOST; i++) {
    numbers[i] = i + 1;
    list[i] = (shmseg_source){ &numbers[i], 8, NULL };
  }
}

static void tear_down(void) {
  shmseg_queue_close(&a);
  shmseg_queue_close(&b);
  shmseg_segment_close(&ours);
}

static const test_fixture fresh = { set_up, tear_down };

static int push_many(size_t count) {
  pushed = 77;
  return shmseg_queue_push_many(&a, list, count, &pushed, 0);
}

/* Are the next messages in the queue these numbers, up to the last? */
static bool pops_numbers(uint64_t first, uint64_t last) {
  for (; first <= last; first++)
    if (shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) != 0 || got[0] != 8 || got[1] != first)
      return false;
  return true;
}

static bool is_empty(void) {
  return shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == SHMSEG_TIMEOUT;
}

/* Nothing was published, nobody is inside, and the queue can be used. */
static bool is_untouched(void) {
  return number_at(&ours, TAIL) == number_at(&ours, HEAD) << 1 && !shmseg_queue_check(&a) &&
         word_at(&ours, PRODUCERS) == SHMSEG_LOCK_FREE && push_many(2) == 0 && pops_numbers(1, 2) &&
         is_empty();
}

/* --- what is pushed ----------------------------------------------------------------------- */

TEST_WITH(fresh, counts, "a list is pushed in its order, and how many of it is told") {
  check(push_many(0) == 0 && pushed == 0 && is_empty());
  check(shmseg_queue_push_many(&a, list, 0, &pushed, SHMSEG_FOREVER) == 0 && pushed == 0);
  for (size_t lap = 0; lap < 50; lap++) /* at each place of the ring */
    for (size_t count = 1; count <= FULL; count++) {
      check(push_many(count) == 0 && pushed == count && !shmseg_queue_check(&b));
      check(pops_numbers(1, count) && is_empty());
      check(shmseg_queue_push(&a, "", 0, 0) == 0 &&
            shmseg_queue_take(&b, got, 8, 1, &used, 0) == 0);
    }
}

TEST_WITH(fresh, sizes, "messages of all sizes go together, empty ones too") {
  static char bytes[CAPACITY];
  for (size_t size = 0; size + 40 <= LENGTH; size++) {
    memset(bytes, (int)size, sizeof bytes);
    list[0] = list[2] = (shmseg_source){ bytes, 0, NULL };
    list[1] = (shmseg_source){ bytes, size, NULL };
    list[3] = (shmseg_source){ bytes, 1, NULL };
    check(push_many(4) == 0 && pushed == 4 && !shmseg_queue_check(&a));
    check(shmseg_queue_take(&b, got, sizeof got, 9, &used, 0) == 0);
    check(used == SHMSEG_RECORD(size) + 32 && got[0] == 0 && got[1] == size);
    check(memcmp(&got[2], bytes, size) == 0);
    check(got[used / 8 - 3] == 0 && got[used / 8 - 2] == 1 && is_empty());
  }
}

TEST_WITH(fresh, too_large, "one message that is too large keeps all of them out") {
  for (size_t i = 0; i < 5; i++) {
    list[i].size = CAPACITY + 1;
    check(push_many(5) == EINVAL && pushed == 0 && is_empty());
    list[i].size = SIZE_MAX;
    check(push_many(5) == EINVAL && pushed == 0 && is_empty());
    check(push_many(i) == 0 && pushed == i && pops_numbers(1, i));
    list[i].size = 8;
  }
  check(is_untouched());
}

TEST_WITH(fresh, as_fits, "of a list that does not fit, as many as do are pushed") {
  check(push_many(2 * FULL) == SHMSEG_TIMEOUT && pushed == FULL);
  check(push_many(1) == SHMSEG_TIMEOUT && pushed == 0);
  check(pops_numbers(1, 3) && push_many(5) == SHMSEG_TIMEOUT && pushed == 3);
  check(pops_numbers(4, FULL) && pops_numbers(1, 3) && is_empty());
  int64_t began = now_ms();
  check(push_many_fully(&a, list, FULL + 1, &pushed, in_ms(120)) == SHMSEG_TIMEOUT);
  check(pushed == FULL && now_ms() - began >= 119 && is_soon(began));
  check(pops_numbers(1, FULL) && is_untouched());
}

TEST_WITH(fresh, read_only, "through a read-only handle nothing is pushed") {
  shmseg_segment reader;
  shmseg_queue r;
  shmseg_options options = { 0 };
  must(shmseg_segment_open(&reader, place_of(ours.place.name), SHMSEG_READ, &options, NULL) == 0);
  must(shmseg_queue_open(&r, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_READ, NULL, NULL) == 0);
  pushed = 77;
  check(shmseg_queue_push_many(&r, list, 2, &pushed, 0) == SHMSEG_READ_ONLY && pushed == 0);
  check(is_untouched());
  shmseg_queue_close(&r);
  shmseg_segment_close(&reader);
}

/* --- others ------------------------------------------------------------------------------- */

static void push_all(void *argument) {
  (void)argument;
  say('w');
  int err = push_many_fully(&a, list, MOST, &pushed, in_ms(20000));
  say(err == 0 && pushed == MOST ? 'p' : err == SHMSEG_SHUTDOWN && pushed == FULL ? 's' : 'x');
}

TEST_WITH(fresh, in_pieces, "a list longer than the ring is pushed while a consumer takes") {
  child c = child_start(push_all, NULL);
  check(child_hear(&c) == 'w');
  uint64_t next = 1;
  while (next <= MOST &&
         check(take_fully(&b, got, sizeof got, 1 + next % 9, &used, in_ms(5000)) == 0))
    for (size_t at = 0; at < used / 8; at += 2)
      check(got[at] == 8 && got[at + 1] == next++);
  check(child_hear(&c) == 'p' && child_end(&c) == 0 && next == MOST + 1 && is_untouched());
}

TEST_WITH(fresh, shut, "a shutdown ends a list, and how many of it are in the queue is told") {
  child c = child_start(push_all, NULL);
  check(child_hear(&c) == 'w');
  usleep(30000);
  check(shmseg_queue_shutdown(&b) == 0 && child_hear(&c) == 's' && child_end(&c) == 0);
  check(push_many(1) == SHMSEG_SHUTDOWN && pushed == 0 && pops_numbers(1, FULL));
  check(shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == SHMSEG_SHUTDOWN);
}

TEST_WITH(fresh, locked, "who is stopped inside keeps a list out, and a shutdown is told") {
  child c = child_inside(&ours, PRODUCERS);
  check(push_many(3) == SHMSEG_TIMEOUT && pushed == 0 && shmseg_queue_shutdown(&b) == 0);
  check(push_many(3) == SHMSEG_SHUTDOWN && pushed == 0);
  child_tell(&c);
  check(child_end(&c) == 0);
}

/* --- in the middle of the copy ------------------------------------------------------------ */

/* Pushes so many, of which that one is in the trap. */
static int push_trapped(size_t count, size_t index, void (*surprise)(void)) {
  list[index].bytes = trapped;
  memcpy(trapped, &numbers[index], 8);
  set_trap(trapped, surprise);
  int err = push_many(count);
  list[index].bytes = &numbers[index];
  return err;
}

static void take_one(void) {
  must(shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == 0);
}

static void shut_down(void) {
  must(shmseg_queue_shutdown(&b) == 0);
}

static void spoil_tail(void) {
  set_number(&ours, TAIL, 8 * LENGTH);
}

static void cut(void) {
  must(ftruncate(ours.fd, 0) == 0);
}

TEST_WITH(fresh, not_yet, "nothing of a list is seen before all that fits is published") {
  check(push_many(2) == 0);
  check(push_trapped(5, 4, take_one) == 0 && pushed == 5 && pops_numbers(2, 2));
  check(pops_numbers(1, 5) && is_untouched());
}

TEST_WITH(fresh, shut_meanwhile, "a list that a shutdown has overtaken is not pushed") {
  check(push_many(2) == 0 && push_trapped(5, 4, shut_down) == SHMSEG_SHUTDOWN && pushed == 0);
  check(pops_numbers(1, 2) && !shmseg_queue_check(&a));
  check(shmseg_queue_take(&b, got, sizeof got, 1, &used, 0) == SHMSEG_SHUTDOWN);
  check(word_at(&ours, PRODUCERS) == SHMSEG_LOCK_FREE);
}

TEST_WITH(fresh, shut_at_last, "what was published before the shutdown stays, and is counted") {
  list[FULL].bytes = trapped;
  set_trap(trapped, shut_down);
  check(push_many(FULL) == 0 && pushed == FULL && pops_numbers(1, 1));
  check(shmseg_queue_push_many(&a, list + FULL, 1, &pushed, 0) == SHMSEG_SHUTDOWN && pushed == 0);
  check(pops_numbers(2, FULL) && shmseg_queue_count(&a, &(shmseg_queue_stats){ 0 }) == 0);
}

TEST_WITH(fresh, spoilt, "a tail that somebody has written over is not written over again") {
  check(push_trapped(5, 2, spoil_tail) == SHMSEG_CORRUPT && pushed == 0);
  check(number_at(&ours, TAIL) == 8 * LENGTH);
  check(word_at(&ours, PRODUCERS) == (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY));
}

TEST_WITH(fresh, cut_meanwhile,
          "a list that goes into a segment that is cut meanwhile is not pushed") {
  check(push_trapped(5, 2, cut) == SHMSEG_TRUNCATED && pushed == 0);
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  check(push_many(1) == SHMSEG_TRUNCATED && pushed == 0);
  open_both();
  check(is_untouched());
}

static void die(void) {
  say('d');
  raise(SIGKILL);
}

static void push_and_die(void *argument) {
  (void)argument;
  push_trapped(5, 4, die);
}

TEST_WITH(fresh, killed, "a producer that is killed while it copies has pushed nothing") {
  child c = child_start(push_and_die, NULL);
  check(child_hear(&c) == 'd' && child_end(&c) == 256 + SIGKILL);
  check(is_empty() && push_many(1) == 0 && pops_numbers(1, 1) && is_untouched());
}

/* --- sources in segments ------------------------------------------------------------------ */

static shmseg_segment other;

static void cut_other(void) {
  must(ftruncate(other.fd, 0) == 0);
}

/* The second and third message lie in a segment of their own. */
static void open_other(void) {
  new_segment(&other, fresh_place(), 2 * PAGE);
  set_number(&other, PAGE, 2);
  set_number(&other, 0, 3);
  list[1] = (shmseg_source){ other.data + PAGE, 8, &other };
  list[2] = (shmseg_source){ other.data, 8, &other };
}

TEST_WITH(fresh, from_segment, "what lies in another segment is pushed as it is there") {
  open_other();
  check(push_many(4) == 0 && pushed == 4 && pops_numbers(1, 4) && is_empty());
  shmseg_segment_close(&other);
}

TEST_WITH(fresh, cut_source,
          "when a segment that messages come from is cut, nothing is pushed, and the queue is as "
          "it was") {
  open_other();
  must(ftruncate(other.fd, PAGE) == 0); /* one of both */
  check(push_many(4) == SHMSEG_TRUNCATED && pushed == 0 && shmseg_segment_is_open(&other));
  list[1] = list[2] = (shmseg_source){ &numbers[1], 8, NULL };
  check(is_untouched());
  shmseg_segment_close(&other);
}

TEST_WITH(fresh, cut_source_meanwhile, "nor when it is cut in the middle of the copy") {
  open_other();
  check(push_trapped(4, 0, cut_other) == SHMSEG_TRUNCATED && pushed == 0);
  list[1] = list[2] = (shmseg_source){ &numbers[1], 8, NULL };
  check(is_untouched());
  shmseg_segment_close(&other);
}

TEST_WITH(fresh, cut_later, "what one store has published before the cut stays, and is counted") {
  open_other();
  list[FULL] = list[1];
  list[1] = (shmseg_source){ &numbers[1], 8, NULL };
  list[2] = (shmseg_source){ &numbers[2], 8, NULL };
  must(ftruncate(other.fd, 0) == 0);
  check(push_many(FULL + 1) == SHMSEG_TIMEOUT && pushed == FULL && pops_numbers(1, 2));
  check(shmseg_queue_push_many(&a, list + FULL - 1, 2, &pushed, 0) == SHMSEG_TRUNCATED);
  check(pushed == 0 && pops_numbers(3, FULL));
  list[FULL] = list[0];
  check(is_untouched());
  shmseg_segment_close(&other);
}

/* --- the end ------------------------------------------------------------------------------ */

TEST_WITH(fresh, ended,
          "after a cut nothing is pushed, nor when the segment or the queue is closed") {
  check(push_many(1) == 0);
  cut();
  check(push_many(2) == SHMSEG_TRUNCATED && pushed == 0);
  check(push_many(0) == SHMSEG_TRUNCATED && pushed == 0);
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  open_both();
  shmseg_segment_close(&ours);
  check(push_many(2) == SHMSEG_CLOSED && pushed == 0);
  shmseg_queue_close(&a);
  check(push_many(2) == SHMSEG_CLOSED && pushed == 0);
}
