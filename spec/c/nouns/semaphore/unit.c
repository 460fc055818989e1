/* SPDX-License-Identifier: MIT */
/* objects/semaphore: permits, whose they are, and that they come back. */
#include <signal.h>
#include <unistd.h>

#include "core/owner.h"
#include "core/slots.h"
#include "options.h"
#include "unit/help.h"

#define SLOTS 128

static shmseg_segment ours, theirs;
static shmseg_semaphore a, b;
static uint32_t value;

static void set_up(uint64_t permits) {
  new_anonymous(&ours, 70 * PAGE);
  same_segment(&theirs, &ours);
  must(shmseg_semaphore_open(&a, shmseg_segment_whole(&ours), SHMSEG_CREATE, OF_PERMITS(permits),
                             NULL) == 0);
  must(shmseg_semaphore_open(&b, (shmseg_slice){ &theirs, 0, ours.size }, SHMSEG_WRITE, NULL,
                             NULL) == 0);
}

static void tear_down(void) {
  shmseg_semaphore_close(&a);
  shmseg_semaphore_close(&b);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&theirs);
}

static uint32_t free_now(void) {
  value = UINT32_MAX;
  return shmseg_semaphore_value(&b, &value) == 0 ? value : UINT32_MAX;
}

TEST(permits, "as many acquire as there are permits; who has none cannot release") {
  set_up(3);
  check(free_now() == 3 && shmseg_semaphore_release(&a) == SHMSEG_NOT_HELD);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&a, 0) == 0);
  check(shmseg_semaphore_release(&b) == SHMSEG_NOT_HELD);
  check(shmseg_semaphore_acquire(&b, 0) == 0 && free_now() == 0);
  check(shmseg_semaphore_acquire(&a, 0) == SHMSEG_TIMEOUT);
  int64_t began = now_ms();
  check(acquire_fully(&b, in_ms(120)) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 119 && is_soon(began));
  check(shmseg_semaphore_release(&b) == 0 && shmseg_semaphore_release(&b) == SHMSEG_NOT_HELD);
  check(free_now() == 1 && shmseg_semaphore_acquire(&a, 0) == 0 && a.permits == 3);
  for (int i = 0; i < 3; i++)
    check(shmseg_semaphore_release(&a) == 0);
  check(shmseg_semaphore_release(&a) == SHMSEG_NOT_HELD && free_now() == 3);
  check(!shmseg_semaphore_check(&a));
  tear_down();
}

TEST(extremes, "one permit and 65,535 permits work alike") {
  set_up(1);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&b, 0) == SHMSEG_TIMEOUT);
  check(shmseg_semaphore_release(&a) == 0 && shmseg_semaphore_acquire(&b, 0) == 0);
  tear_down();
  set_up(SHMSEG_PERMITS_MAX);
  int got = 0;
  for (int i = 0; i < SHMSEG_PERMITS_MAX; i++)
    got += shmseg_semaphore_acquire(&a, 0) == 0;
  check(got == SHMSEG_PERMITS_MAX && free_now() == 0);
  check(shmseg_semaphore_acquire(&b, 0) == SHMSEG_TIMEOUT);
  check(shmseg_semaphore_release(&a) == 0 && shmseg_semaphore_acquire(&b, 0) == 0);
  shmseg_semaphore_close(&a);
  check(free_now() == SHMSEG_PERMITS_MAX - 1);
  tear_down();
}

TEST(what_fits, "without a number of permits a new semaphore has those that fit") {
  shmseg_segment segment;
  shmseg_semaphore semaphore;
  new_anonymous(&segment, 512);
  check(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, 512 }, SHMSEG_CREATE, NULL,
                              NULL) == 0);
  check(semaphore.object.capacity == 96 && shmseg_semaphore_size(OF_PERMITS(96)) == 512);
  shmseg_semaphore_close(&semaphore);
  check(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 256, 128 }, SHMSEG_CREATE, NULL,
                              NULL) != 0);
  shmseg_segment_close(&segment);
}

static void acquire_and_wait(void *argument) {
  shmseg_segment own;
  shmseg_semaphore semaphore;
  int count = *(int *)argument;
  same_segment(&own, &ours);
  must(shmseg_semaphore_open(&semaphore, shmseg_segment_whole(&own), SHMSEG_WRITE, NULL, NULL) ==
       0);
  while (count-- > 0)
    if (acquire_fully(&semaphore, in_ms(5000)) != 0)
      say('x');
  say('a');
  hear();
}

TEST(dead_holders, "a dead process's permits come back, those of the living stay") {
  set_up(5);
  int two = 2, three = 3;
  child c = child_start(acquire_and_wait, &two), d = child_start(acquire_and_wait, &three);
  must(child_hear(&c) == 'a' && child_hear(&d) == 'a');
  check(free_now() == 0 && shmseg_semaphore_acquire(&a, 0) == SHMSEG_TIMEOUT);
  child_kill(&c);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && free_now() == 1);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&b, 0) == SHMSEG_TIMEOUT);
  child_kill(&d);
  check(free_now() == 3); /* nobody waited */
  tear_down();
}

TEST(woken, "who waits gets the permit as soon as it is released") {
  set_up(1);
  int one = 1;
  check(shmseg_semaphore_acquire(&a, 0) == 0);
  child c = child_start(acquire_and_wait, &one);
  usleep(30000);
  check(shmseg_semaphore_release(&a) == 0);
  int64_t began = now_ms();
  check(child_hear(&c) == 'a' && is_soon(began));
  child_kill(&c);
  tear_down();
}

TEST(closed_while_held,
     "a handle or a segment that closes gives its permits back, and nobody else's") {
  set_up(4);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&a, 0) == 0);
  check(shmseg_semaphore_acquire(&b, 0) == 0 && free_now() == 1);
  shmseg_semaphore_close(&a);
  check(free_now() == 3);
  must(shmseg_semaphore_open(&a, shmseg_segment_whole(&ours), SHMSEG_WRITE, OF_PERMITS(4), NULL) ==
       0);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&a, 0) == 0);
  shmseg_segment_close(&ours);
  check(free_now() == 3 && shmseg_semaphore_release(&a) == SHMSEG_CLOSED);
  tear_down();
}

TEST(two_on_one_handle,
     "permits belong to the handle that acquired them, also of two on one segment handle") {
  shmseg_semaphore second;
  set_up(4);
  must(shmseg_semaphore_open(&second, shmseg_segment_whole(&ours), SHMSEG_WRITE, NULL, NULL) == 0);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&second, 0) == 0);
  check(shmseg_semaphore_acquire(&second, 0) == 0 && free_now() == 1);
  check(shmseg_semaphore_release(&a) == 0 && shmseg_semaphore_release(&a) == SHMSEG_NOT_HELD);
  check(free_now() == 2);
  shmseg_semaphore_close(&second);
  check(free_now() == 4);
  tear_down();
}

static void use_inherited(void *argument) {
  (void)argument;
  say(shmseg_semaphore_release(&a) == SHMSEG_NOT_HELD ? 'n' : 'x');
  say(shmseg_semaphore_acquire(&a, 0) == 0 && a.permits == 1 ? 'a' : 'x');
  say(shmseg_semaphore_release(&a) == 0 ? 'r' : 'x');
  say(shmseg_semaphore_release(&a) == SHMSEG_NOT_HELD ? 'n' : 'x');
}

TEST(forked, "a forked child has none of its parent's permits, and can acquire its own") {
  set_up(3);
  check(shmseg_semaphore_acquire(&a, 0) == 0 && shmseg_semaphore_acquire(&a, 0) == 0);
  child c = child_start(use_inherited, NULL);
  check(child_hear(&c) == 'n' && child_hear(&c) == 'a' && child_hear(&c) == 'r');
  check(child_hear(&c) == 'n' && child_end(&c) == 0);
  check(free_now() == 1 && shmseg_semaphore_release(&a) == 0 && shmseg_semaphore_release(&a) == 0);
  check(free_now() == 3);
  tear_down();
}

TEST(strange_slots,
     "slots that a peer has scribbled over come back, and a stolen permit is corrupt") {
  set_up(4);
  set_word(&ours, SLOTS, 2);
  set_word(&ours, SLOTS + 4, 0xffffffff);
  check(shmseg_semaphore_check(&a) != NULL && free_now() == 4);
  check(shmseg_semaphore_acquire(&a, 0) == 0);
  for (unsigned slot = 0; slot < 4; slot++)
    set_word(&ours, SLOTS + 4 * slot, SHMSEG_SLOT_FREE);
  check(shmseg_semaphore_release(&a) == SHMSEG_CORRUPT);
  check(shmseg_semaphore_release(&a) == SHMSEG_NOT_HELD);
  must(ftruncate(ours.fd, PAGE) == -1); /* sealed, so no cut here */
  tear_down();
}

TEST(truncated, "after a cut no permit is held, and the semaphore is to be opened anew") {
  shmseg_segment segment;
  shmseg_semaphore semaphore;
  new_segment(&segment, fresh_place(), PAGE);
  must(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                             OF_PERMITS(2), NULL) == 0);
  check(shmseg_semaphore_acquire(&semaphore, 0) == 0);
  must(ftruncate(segment.fd, 0) == 0);
  check(shmseg_semaphore_acquire(&semaphore, 0) == SHMSEG_TRUNCATED);
  check(shmseg_semaphore_release(&semaphore) == SHMSEG_TRUNCATED);
  check(shmseg_semaphore_value(&semaphore, &value) == SHMSEG_TRUNCATED && !segment.holds);
  must(ftruncate(segment.fd, PAGE) == 0 && shmseg_segment_refresh(&segment) == 0);
  check(shmseg_semaphore_release(&semaphore) == SHMSEG_TRUNCATED);
  shmseg_semaphore_close(&semaphore);
  check(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                              OF_PERMITS(2), NULL) == 0);
  check(shmseg_semaphore_acquire(&semaphore, 0) == 0 && semaphore.permits == 1);
  shmseg_semaphore_close(&semaphore);
  shmseg_segment_close(&segment);
}
