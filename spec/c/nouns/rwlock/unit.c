/* SPDX-License-Identifier: MIT */
/* objects/rwlock: readers, writers, who goes first, who dies. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/owner.h"
#include "core/slots.h"
#include "unit/help.h"

#define WORD 64
#define EVENTCOUNT 68
#define SLOTS 128
#define READERS SHMSEG_RWLOCK_READERS

static shmseg_segment ours, theirs, extra[READERS];
static shmseg_rwlock a, b, readers[READERS];
static bool abandoned;

static void set_up(void) {
  new_anonymous(&ours, PAGE);
  same_segment(&theirs, &ours);
  must(shmseg_rwlock_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, NULL, NULL) == 0);
  must(shmseg_rwlock_open(&b, (shmseg_slice){ &theirs, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
}

static void tear_down(void) {
  shmseg_rwlock_close(&a);
  shmseg_rwlock_close(&b);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&theirs);
}

static const test_fixture fresh = { set_up, tear_down };

static int taken(void) {
  int count = 0;
  for (unsigned slot = 0; slot < READERS; slot++)
    count += word_at(&ours, SLOTS + 4 * slot) != SHMSEG_SLOT_FREE;
  return count;
}

static bool is_idle(void) {
  return word_at(&ours, WORD) == SHMSEG_LOCK_FREE && taken() == 0 && !shmseg_rwlock_check(&a);
}

TEST_WITH(fresh, shares, "readers share, a writer excludes readers and writers") {
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0 && !abandoned && shmseg_rwlock_holds(&a));
  check(shmseg_rwlock_read_lock(&b, 0, &abandoned) == 0 && taken() == 2);
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == SHMSEG_HELD);
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == SHMSEG_HELD);
  check(shmseg_rwlock_unlock(&a) == 0 && shmseg_rwlock_unlock(&a) == SHMSEG_NOT_HELD);
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == SHMSEG_TIMEOUT && !shmseg_rwlock_holds(&a));
  check(shmseg_rwlock_unlock(&b) == 0 && is_idle());
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0 && !abandoned);
  check(shmseg_rwlock_write_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT);
  check(shmseg_rwlock_read_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT && taken() == 0);
  int64_t began = now_ms();
  check(read_fully(&b, in_ms(120), &abandoned) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 119 && is_soon(began));
  check(shmseg_rwlock_unlock(&b) == SHMSEG_NOT_HELD && shmseg_rwlock_unlock(&a) == 0);
  check(shmseg_rwlock_write_lock(&b, 0, &abandoned) == 0 && !abandoned);
  check(shmseg_rwlock_unlock(&b) == 0 && is_idle());
}

static void read_lock_late(void *argument) {
  shmseg_segment own;
  shmseg_rwlock rwlock;
  (void)argument;
  same_segment(&own, &ours);
  must(shmseg_rwlock_open(&rwlock, (shmseg_slice){ &own, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  say(shmseg_rwlock_read_lock(&rwlock, 0, &abandoned) == SHMSEG_TIMEOUT ? 't' : 'x');
  say(read_fully(&rwlock, in_ms(5000), &abandoned) == 0 ? 'l' : 'x');
  say(shmseg_rwlock_unlock(&rwlock) == 0 ? 'u' : 'x');
}

TEST_WITH(fresh, full_house,
          "64 readers read at once; the 65th waits and gets in when one leaves") {
  int locked = 0;
  for (int i = 0; i < READERS; i++) {
    same_segment(&extra[i], &ours);
    must(shmseg_rwlock_open(&readers[i], (shmseg_slice){ &extra[i], 0, PAGE }, SHMSEG_WRITE, NULL,
                            NULL) == 0);
    locked += shmseg_rwlock_read_lock(&readers[i], 0, &abandoned) == 0;
  }
  check(locked == READERS && taken() == READERS);
  child c = child_start(read_lock_late, NULL);
  check(child_hear(&c) == 't');
  usleep(20000);
  check(taken() == READERS && shmseg_rwlock_unlock(&readers[40]) == 0);
  int64_t began = now_ms();
  check(child_hear(&c) == 'l' && child_hear(&c) == 'u' && is_soon(began));
  check(child_end(&c) == 0 && taken() == READERS - 1);
  for (int i = 0; i < READERS; i++) {
    shmseg_rwlock_close(&readers[i]); /* a reader that ends is silent */
    shmseg_segment_close(&extra[i]);
  }
  check(is_idle() && shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0 && !abandoned);
}

TEST(writers_first, "a writer that waits keeps its place before new readers until it gives up") {
  set_up();
  shmseg_segment third;
  shmseg_rwlock late;
  same_segment(&third, &ours);
  must(shmseg_rwlock_open(&late, (shmseg_slice){ &third, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0);
  check(shmseg_rwlock_write_lock(&b, in_ms(1000), &abandoned) == SHMSEG_INTERRUPTED);
  check(b.draining && shmseg_rwlock_unlock(&b) == SHMSEG_NOT_HELD);
  check(shmseg_rwlock_read_lock(&late, 0, &abandoned) == SHMSEG_TIMEOUT);
  check(shmseg_rwlock_unlock(&a) == 0);
  check(shmseg_rwlock_read_lock(&late, 0, &abandoned) == SHMSEG_TIMEOUT); /* it is the writer's */
  check(write_fully(&b, 0, &abandoned) == 0 && !abandoned && !b.draining);
  check(shmseg_rwlock_unlock(&b) == 0 && shmseg_rwlock_read_lock(&late, 0, &abandoned) == 0);
  check(shmseg_rwlock_write_lock(&b, in_ms(1000), &abandoned) == SHMSEG_INTERRUPTED);
  check(!shmseg_rwlock_holds(&b) && shmseg_rwlock_unlock(&b) == SHMSEG_NOT_HELD); /* not yet */
  shmseg_rwlock_cancel(&b);
  shmseg_rwlock_cancel(&b);                                             /* twice is harmless */
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0 && !abandoned); /* it has written nothing */
  check(write_fully(&b, in_ms(60), &abandoned) == SHMSEG_TIMEOUT && !b.draining);
  check(shmseg_rwlock_unlock(&late) == 0 && shmseg_rwlock_unlock(&a) == 0 && is_idle());
  shmseg_rwlock_close(&late);
  shmseg_segment_close(&third);
  tear_down();
}

/* 'r' or 'w': locks so and waits. */
static void lock_and_wait(void *argument) {
  shmseg_segment own;
  shmseg_rwlock rwlock;
  bool told = false;
  same_segment(&own, &ours);
  must(shmseg_rwlock_open(&rwlock, (shmseg_slice){ &own, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  int err = *(char *)argument == 'r' ? read_fully(&rwlock, in_ms(5000), &told)
                                     : write_fully(&rwlock, in_ms(5000), &told);
  say(err ? 'x' : 'l');
  hear();
}

static void kill_with(char how) {
  child c = child_start(lock_and_wait, &how);
  must(child_hear(&c) == 'l');
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == SHMSEG_TIMEOUT);
  child_kill(&c);
}

TEST_WITH(fresh, dead_readers,
          "a dead reader blocks nobody and is silent, with no time to wait either") {
  kill_with('r');
  check(taken() == 1);
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0 && !abandoned);
  check(shmseg_rwlock_unlock(&a) == 0 && is_idle());
  for (unsigned slot = 0; slot < READERS; slot++) /* all of one that died */
    set_word(&ours, SLOTS + 4 * slot, 123456);
  check(shmseg_rwlock_read_lock(&b, 0, &abandoned) == 0 && !abandoned && taken() == 1);
  check(shmseg_rwlock_unlock(&b) == 0 && is_idle());
}

TEST_WITH(fresh, dead_writer,
          "after a writer's death everybody is told, until a writer has unlocked") {
  kill_with('w');
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_read_lock(&b, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_unlock(&a) == 0 && shmseg_rwlock_unlock(&b) == 0);
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_unlock(&a) == 0);
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0 && abandoned);
  shmseg_rwlock_close(&a); /* gives up: still to be told */
  check(shmseg_rwlock_read_lock(&b, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_unlock(&b) == 0);
  must(shmseg_rwlock_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  kill_with('w');
  check(shmseg_rwlock_write_lock(&b, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_unlock(&b) == 0);
  check(shmseg_rwlock_read_lock(&b, 0, &abandoned) == 0 && !abandoned);
  check(shmseg_rwlock_unlock(&b) == 0 && is_idle());
}

TEST_WITH(fresh, closed_while_written,
          "a writer that closes its handle gives up and is told; a reader that does is not") {
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0 && !abandoned);
  shmseg_rwlock_close(&a);
  check(shmseg_rwlock_read_lock(&b, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_unlock(&b) == 0);
  check(shmseg_rwlock_write_lock(&b, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_unlock(&b) == 0 && shmseg_rwlock_read_lock(&b, 0, &abandoned) == 0);
  check(!abandoned);
  shmseg_segment_close(&theirs);
  must(shmseg_rwlock_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  check(is_idle() && shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0 && !abandoned);
}

TEST_WITH(fresh, draining_writer_told,
          "a writer that gives up waiting leaves an earlier writer's death to be told") {
  set_word(&ours, WORD, SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY);
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0 && abandoned);
  check(shmseg_rwlock_write_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT);
  check(word_at(&ours, WORD) == (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY));
  check(shmseg_rwlock_write_lock(&b, in_ms(1000), &abandoned) == SHMSEG_INTERRUPTED);
  shmseg_segment_close(&theirs);
  check(word_at(&ours, WORD) == (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY));
  check(shmseg_rwlock_unlock(&a) == 0);
}

static void use_inherited(void *argument) {
  (void)argument;
  say(!shmseg_rwlock_holds(&a) && shmseg_rwlock_unlock(&a) == SHMSEG_NOT_HELD ? 'n' : 'x');
  say(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0 ? 'r' : 't');
  say(shmseg_rwlock_write_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT ? 't' : 'x');
  shmseg_rwlock_close(&a);
  shmseg_rwlock_cancel(&b);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&theirs);
}

TEST_WITH(fresh, forked,
          "a forked child has none of its parent's reads and writes, and leaves them alone") {
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0);
  child c = child_start(use_inherited, NULL);
  check(child_hear(&c) == 'n' && child_hear(&c) == 'r' && child_hear(&c) == 't');
  check(child_end(&c) == 0 && shmseg_rwlock_holds(&a) && taken() == 1);
  check(shmseg_rwlock_unlock(&a) == 0 && shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0);
  c = child_start(use_inherited, NULL);
  check(child_hear(&c) == 'n' && child_hear(&c) == 't' && child_hear(&c) == 't');
  check(child_end(&c) == 0 && shmseg_rwlock_holds(&a) && shmseg_rwlock_unlock(&a) == 0);
  check(is_idle());
}

TEST_WITH(fresh, forked_while_draining,
          "a child that was forked while its parent waits as a writer does not give that up") {
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0);
  check(shmseg_rwlock_write_lock(&b, in_ms(1000), &abandoned) == SHMSEG_INTERRUPTED);
  child c = child_start(use_inherited, NULL);
  check(child_hear(&c) == 'n' && child_hear(&c) == 't' && child_hear(&c) == 't');
  check(child_end(&c) == 0);
  check(shmseg_rwlock_unlock(&a) == 0 && write_fully(&b, 0, &abandoned) == 0 && !abandoned);
  check(shmseg_rwlock_unlock(&b) == 0 && is_idle());
}

TEST_WITH(fresh, strange_bytes,
          "strange words are corrupt, strange slots end with their owner's lock, both at once") {
  set_word(&ours, WORD, 0);
  check(shmseg_rwlock_read_lock(&a, SHMSEG_FOREVER, &abandoned) == SHMSEG_CORRUPT);
  check(shmseg_rwlock_write_lock(&a, SHMSEG_FOREVER, &abandoned) == SHMSEG_CORRUPT);
  check(shmseg_rwlock_check(&a) != NULL);
  set_word(&ours, WORD, SHMSEG_LOCK_FREE);
  for (unsigned slot = 0; slot < READERS; slot++)
    set_word(&ours, SLOTS + 4 * slot, slot + 2);
  check(shmseg_rwlock_check(&a) != NULL);
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0 && taken() == 0);
  check(shmseg_rwlock_unlock(&a) == 0);
  check(shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0);
  set_word(&ours, SLOTS + 4 * a.slot, SHMSEG_SLOT_FREE);
  check(shmseg_rwlock_unlock(&a) == SHMSEG_CORRUPT && !shmseg_rwlock_holds(&a));
  set_word(&ours, EVENTCOUNT, 0);
  check(shmseg_rwlock_check(&a) != NULL && shmseg_rwlock_read_lock(&a, 0, &abandoned) == 0);
  check(shmseg_rwlock_write_lock(&b, in_ms(20), &abandoned) != 0);
  shmseg_rwlock_cancel(&b);
  check(shmseg_rwlock_unlock(&a) == 0);
}

TEST_WITH(fresh, zero_slots, "a slot of zeroes, which nobody can own, blocks no writer for ever") {
  set_word(&ours, SLOTS + 20, 0);
  check(shmseg_rwlock_write_lock(&a, 0, &abandoned) == 0);
}
