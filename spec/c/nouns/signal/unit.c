/* SPDX-License-Identifier: MIT */
/* objects/signal: what is posted is acquired once, and never more than the most. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "core/owner.h"
#include "options.h"
#include "unit/help.h"

#define EVENTCOUNT 64
#define COUNT 68

static shmseg_segment ours, theirs;
static shmseg_semaphore a, b;
static uint32_t value;

static void set_up(uint64_t most) {
  new_anonymous(&ours, PAGE);
  same_segment(&theirs, &ours);
  must(shmseg_semaphore_open(&a, shmseg_segment_whole(&ours), SHMSEG_CREATE, OF_SIGNAL(most),
                             NULL) == 0);
  must(shmseg_semaphore_open(&b, shmseg_segment_whole(&theirs), SHMSEG_WRITE, NULL, NULL) == 0);
}

static void tear_down(void) {
  check(!shmseg_semaphore_check(&a) || !shmseg_segment_is_open(&ours));
  shmseg_semaphore_close(&a);
  shmseg_semaphore_close(&b);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&theirs);
}

static uint32_t count_now(void) {
  value = UINT32_MAX;
  return shmseg_semaphore_value(&b, &value) == 0 ? value : UINT32_MAX;
}

TEST(counts, "as many are acquired as were posted, by anybody; nobody releases") {
  set_up(5);
  check(count_now() == 0 && shmseg_semaphore_acquire(&a, 0) == SHMSEG_TIMEOUT);
  check(shmseg_semaphore_post(&a, 1) == 0 && shmseg_semaphore_post(&b, 2) == 0);
  check(count_now() == 3 && shmseg_semaphore_is_signal(&b));
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&b, 0) == 0);
  check(shmseg_semaphore_release(&a) == SHMSEG_NOT_HELD && a.permits == 0 && count_now() == 1);
  check(shmseg_semaphore_acquire(&b, 0) == 0 && shmseg_semaphore_acquire(&b, 0) == SHMSEG_TIMEOUT);
  int64_t began = now_ms();
  check(acquire_fully(&b, in_ms(120)) == SHMSEG_TIMEOUT && now_ms() - began >= 119);
  tear_down();
}

TEST(too_many, "a post beyond the most changes nothing, however large it is") {
  set_up(3);
  check(shmseg_semaphore_post(&a, 4) == SHMSEG_TOO_MANY && count_now() == 0);
  check(shmseg_semaphore_post(&a, 2) == 0 && shmseg_semaphore_post(&b, 2) == SHMSEG_TOO_MANY);
  check(shmseg_semaphore_post(&b, UINT32_MAX) == SHMSEG_TOO_MANY && count_now() == 2);
  check(shmseg_semaphore_post(&b, 0) == EINVAL && count_now() == 2);
  check(shmseg_semaphore_post(&b, 1) == 0 && shmseg_semaphore_post(&a, 1) == SHMSEG_TOO_MANY);
  tear_down();
  set_up(SHMSEG_SIGNAL_MAX);
  check(shmseg_semaphore_post(&a, SHMSEG_SIGNAL_MAX) == 0 && count_now() == SHMSEG_SIGNAL_MAX);
  check(shmseg_semaphore_post(&a, 1) == SHMSEG_TOO_MANY && shmseg_semaphore_acquire(&b, 0) == 0);
  check(shmseg_semaphore_post(&a, 2) == SHMSEG_TOO_MANY && shmseg_semaphore_post(&a, 1) == 0);
  tear_down();
}

TEST(sorts, "a signal and a semaphore of permits are told apart") {
  shmseg_semaphore other;
  set_up(7);
  check(disagrees(shmseg_semaphore_open(&other, shmseg_segment_whole(&ours), SHMSEG_CREATE,
                                        OF_PERMITS_OWNED(7), NULL),
                  &other.object, "signal"));
  check(disagrees(
      shmseg_semaphore_open(&other, shmseg_segment_whole(&ours), SHMSEG_CREATE, OF_SIGNAL(8), NULL),
      &other.object, "permits"));
  check(shmseg_semaphore_open(&other, shmseg_segment_whole(&ours), SHMSEG_WRITE, OF_SIGNAL(7),
                              NULL) == 0);
  check(ours.size == PAGE && other.object.size == 128);
  shmseg_slice rest = { &ours, 1024, 1024 };
  check(shmseg_semaphore_open(&other, rest, SHMSEG_CREATE, OF_PERMITS(7), NULL) == 0);
  check(!shmseg_semaphore_is_signal(&other) && shmseg_semaphore_post(&other, 1) == EINVAL);
  check(shmseg_semaphore_value(&other, &value) == 0 && value == 7);
  check(disagrees(shmseg_semaphore_open(&other, rest, SHMSEG_WRITE, OF_SIGNAL(7), NULL),
                  &other.object, "signal"));
  tear_down();
}

TEST(what_fits, "without a number a new signal has the most there can be, and needs 128 bytes") {
  shmseg_segment segment;
  shmseg_semaphore signal;
  new_anonymous(&segment, 256);
  check(shmseg_semaphore_open(&signal, (shmseg_slice){ &segment, 0, 128 }, SHMSEG_CREATE,
                              OF_SIGNAL(0), NULL) == 0);
  check(signal.object.capacity == SHMSEG_SIGNAL_MAX && shmseg_semaphore_post(&signal, 3) == 0);
  check(shmseg_semaphore_size(OF_SIGNAL(0)) == 128 && shmseg_semaphore_size(OF_SIGNAL(1)) == 128);
  check(shmseg_semaphore_size(OF_SIGNAL(SHMSEG_SIGNAL_MAX)) == 128);
  check(shmseg_semaphore_size(OF_SIGNAL((uint64_t)SHMSEG_SIGNAL_MAX + 1)) == 0);
  check(shmseg_semaphore_open(&signal, (shmseg_slice){ &segment, 128, 64 }, SHMSEG_CREATE,
                              OF_SIGNAL(0), NULL) == SHMSEG_TOO_SMALL);
  shmseg_segment_close(&segment);
}

TEST(no_owner, "no call takes an identity, and closing gives nothing back") {
  set_up(3);
  int before = count_descriptors();
  check(shmseg_semaphore_post(&a, 3) == 0 && shmseg_semaphore_acquire(&a, 0) == 0);
  check(acquire_fully(&b, in_ms(1000)) == 0 && count_descriptors() == before);
  check(ours.member.id == 0 || ours.member.id != theirs.member.id);
  shmseg_semaphore_close(&a);
  check(count_now() == 1);
  shmseg_segment_close(&ours);
  check(count_now() == 1 && shmseg_semaphore_acquire(&a, 0) == SHMSEG_CLOSED);
  check(shmseg_semaphore_post(&a, 1) == SHMSEG_CLOSED);
  tear_down();
}

static void acquire_and_wait(void *argument) {
  shmseg_segment own;
  shmseg_semaphore signal;
  int count = *(int *)argument;
  same_segment(&own, &ours);
  must(shmseg_semaphore_open(&signal, shmseg_segment_whole(&own), SHMSEG_WRITE, NULL, NULL) == 0);
  while (count-- > 0)
    if (acquire_fully(&signal, in_ms(5000)) != 0)
      say('x');
  say('a');
  hear();
}

TEST(dead, "what a dead process has acquired is used up, what it has posted is there") {
  set_up(9);
  int two = 2;
  check(shmseg_semaphore_post(&a, 3) == 0);
  child c = child_start(acquire_and_wait, &two);
  must(child_hear(&c) == 'a');
  child_kill(&c);
  check(count_now() == 1 && shmseg_semaphore_acquire(&a, 0) == 0);
  check(shmseg_semaphore_acquire(&a, 0) == SHMSEG_TIMEOUT && count_now() == 0);
  tear_down();
}

static bool post_one(int round) {
  (void)round;
  return shmseg_semaphore_post(&a, 1) == 0;
}

static void acquire_each(void *argument) {
  (void)argument;
  for (int i = 0; i < WAKES; i++)
    say(acquire_fully(&b, in_ms(5000)) == 0 ? sleep_ended() : 'x');
}

TEST(woken, "who waits is woken by each post") {
  set_up(9);
  child c = child_start(acquire_each, NULL);
  check(wakes_each_time(&c, post_one) && child_end(&c) == 0);
  tear_down();
}

TEST(all_woken, "a post of several wakes as many") {
  set_up(9);
  int one = 1;
  child c = child_start(acquire_and_wait, &one), d = child_start(acquire_and_wait, &one);
  usleep(30000);
  check(shmseg_semaphore_post(&a, 2) == 0);
  check(child_hear(&c) == 'a' && child_hear(&d) == 'a' && count_now() == 0);
  child_kill(&c);
  child_kill(&d);
  tear_down();
}

TEST(read_only, "through a read-only handle the count can be read, and nothing else") {
  shmseg_segment segment, reader;
  shmseg_semaphore signal;
  shmseg_place place = fresh_place();
  new_segment(&segment, place, PAGE);
  must(shmseg_semaphore_open(&a, shmseg_segment_whole(&segment), SHMSEG_CREATE, OF_SIGNAL(5),
                             NULL) == 0);
  must(shmseg_segment_open(&reader, place, SHMSEG_READ, NULL, NULL) == 0);
  check(shmseg_semaphore_open(&signal, shmseg_segment_whole(&reader), SHMSEG_READ, NULL, NULL) ==
        0);
  check(shmseg_semaphore_post(&a, 4) == 0);
  check(shmseg_semaphore_value(&signal, &value) == 0 && value == 4);
  check(shmseg_semaphore_post(&signal, 1) == SHMSEG_READ_ONLY);
  check(shmseg_semaphore_acquire(&signal, SHMSEG_FOREVER) == SHMSEG_READ_ONLY);
  shmseg_segment_close(&reader);
  shmseg_segment_close(&segment);
}

TEST(strange, "a count that a peer has scribbled over is corrupt, and is left as it is") {
  set_up(4);
  for (int i = 0; i < 3; i++) {
    uint32_t word = i == 0 ? 0 : i == 1 ? 6 : UINT32_MAX;
    set_word(&ours, COUNT, word);
    check(shmseg_semaphore_check(&a) != NULL);
    check(shmseg_semaphore_post(&a, 1) == SHMSEG_CORRUPT);
    check(shmseg_semaphore_acquire(&a, 0) == SHMSEG_CORRUPT);
    check(shmseg_semaphore_acquire(&a, SHMSEG_FOREVER) == SHMSEG_CORRUPT);
    check(shmseg_semaphore_value(&a, &value) == SHMSEG_CORRUPT);
    check(word_at(&ours, COUNT) == word);
  }
  set_word(&ours, COUNT, 5);
  check(!shmseg_semaphore_check(&a) && count_now() == 4);
  set_word(&ours, EVENTCOUNT, 0);
  check(shmseg_semaphore_check(&a) != NULL);
  set_word(&ours, EVENTCOUNT, 1);
  tear_down();
}

static void use_inherited(void *argument) {
  (void)argument;
  say(shmseg_semaphore_acquire(&a, 0) == 0 ? 'a' : 'x');
  say(shmseg_semaphore_post(&a, 2) == 0 ? 'p' : 'x');
}

TEST(forked, "a forked child posts and acquires as its parent does") {
  set_up(4);
  check(shmseg_semaphore_post(&a, 1) == 0);
  child c = child_start(use_inherited, NULL);
  check(child_hear(&c) == 'a' && child_hear(&c) == 'p' && child_end(&c) == 0);
  check(count_now() == 2);
  tear_down();
}

TEST(truncated, "after a cut a signal is to be opened anew") {
  shmseg_segment segment;
  shmseg_semaphore signal;
  new_segment(&segment, fresh_place(), PAGE);
  must(shmseg_semaphore_open(&signal, shmseg_segment_whole(&segment), SHMSEG_CREATE, OF_SIGNAL(2),
                             NULL) == 0);
  must(ftruncate(segment.fd, 0) == 0);
  check(shmseg_semaphore_acquire(&signal, 0) == SHMSEG_TRUNCATED);
  check(shmseg_semaphore_post(&signal, 1) == SHMSEG_TRUNCATED);
  check(shmseg_semaphore_value(&signal, &value) == SHMSEG_TRUNCATED);
  must(ftruncate(segment.fd, PAGE) == 0 && shmseg_segment_refresh(&segment) == 0);
  check(shmseg_semaphore_post(&signal, 1) == SHMSEG_TRUNCATED);
  shmseg_semaphore_close(&signal);
  check(shmseg_semaphore_open(&signal, shmseg_segment_whole(&segment), SHMSEG_CREATE, OF_SIGNAL(2),
                              NULL) == 0);
  check(shmseg_semaphore_post(&signal, 2) == 0 && shmseg_semaphore_acquire(&signal, 0) == 0);
  shmseg_segment_close(&segment);
}
