/* SPDX-License-Identifier: MIT */
/* objects/mutex and core/owner: owners, their deaths, forks and cuts. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/owner.h"
#include "os/clock.h"
#include "unit/help.h"

#define WORD 64

static shmseg_segment ours, theirs; /* two handles on one object: two participants */
static shmseg_mutex a, b;
static bool abandoned;
static const char *name;

static void set_up(void) {
  shmseg_options options = { 0 };
  name = fresh_name();
  new_segment(&ours, place_of(name), PAGE);
  must(shmseg_segment_open(&theirs, place_of(name), SHMSEG_WRITE, &options, NULL) == 0);
  must(shmseg_mutex_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, NULL, NULL) == 0);
  must(shmseg_mutex_open(&b, (shmseg_slice){ &theirs, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
}

static void tear_down(void) {
  shmseg_mutex_close(&a);
  shmseg_mutex_close(&b);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&theirs);
}

static const test_fixture fresh = { set_up, tear_down };

TEST_WITH(fresh, owners,
          "a handle is the owner: one has the mutex, the other waits until its deadline") {
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0 && !abandoned && shmseg_mutex_holds(&a));
  check(shmseg_mutex_lock(&a, 0, &abandoned) == SHMSEG_HELD);
  check(shmseg_mutex_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT && !shmseg_mutex_holds(&b));
  int64_t began = now_ms();
  check(lock_fully(&b, in_ms(120), &abandoned) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 119 && is_soon(began));
  check(shmseg_mutex_unlock(&b) == SHMSEG_NOT_HELD && shmseg_mutex_unlock(&a) == 0);
  check(shmseg_mutex_unlock(&a) == SHMSEG_NOT_HELD);
  check(shmseg_mutex_lock(&b, 0, &abandoned) == 0 && !abandoned);
  check(shmseg_mutex_unlock(&b) == 0 && word_at(&ours, WORD) == SHMSEG_LOCK_FREE);
}

TEST_WITH(fresh, two_on_one_handle,
          "two mutex handles on one segment handle are one owner: locking by both is misuse") {
  shmseg_mutex second;
  must(shmseg_mutex_open(&second, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  check(shmseg_mutex_lock(&second, 0, &abandoned) == SHMSEG_HELD);
  check(shmseg_mutex_unlock(&second) == SHMSEG_NOT_HELD && !shmseg_mutex_holds(&second));
  shmseg_mutex_close(&second);
  check(shmseg_mutex_holds(&a) && shmseg_mutex_unlock(&a) == 0);
}

TEST_WITH(fresh, many_held,
          "a segment handle holds many mutexes, gives them back in any order, abandons the rest") {
  shmseg_mutex all[20];
  for (int i = 0; i < 20; i++) {
    must(shmseg_mutex_open(&all[i], (shmseg_slice){ &ours, 192u + 128u * (unsigned)i, 128 },
                           SHMSEG_CREATE, NULL, NULL) == 0);
    check(shmseg_mutex_lock(&all[i], 0, &abandoned) == 0);
  }
  static const int order[] = { 7, 0, 19, 8, 6, 18, 1 };
  for (int i = 0; i < 7; i++)
    check(shmseg_mutex_unlock(&all[order[i]]) == 0);
  for (int i = 0; i < 20; i++) {
    bool held = word_at(&ours, 192u + 128u * (unsigned)i + WORD) != SHMSEG_LOCK_FREE;
    check(held == shmseg_mutex_holds(&all[i]));
  }
  shmseg_segment_close(&ours);
  int told = 0;
  for (int i = 0; i < 20; i++) {
    must(shmseg_mutex_open(&b, (shmseg_slice){ &theirs, 192u + 128u * (unsigned)i, 128 },
                           SHMSEG_WRITE, NULL, NULL) == 0);
    check(shmseg_mutex_lock(&b, 0, &abandoned) == 0);
    told += abandoned;
    check(shmseg_mutex_unlock(&b) == 0 && !shmseg_mutex_holds(&all[i]));
  }
  check(told == 13);
}

TEST_WITH(fresh, closed_while_held,
          "closing a handle that holds gives the mutex up as abandoned, told once") {
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  shmseg_mutex_close(&a);
  check(word_at(&theirs, WORD) == (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY));
  check(shmseg_mutex_lock(&b, 0, &abandoned) == 0 && abandoned && shmseg_mutex_unlock(&b) == 0);
  check(shmseg_mutex_lock(&b, 0, &abandoned) == 0 && !abandoned);
  shmseg_segment_close(&theirs);
  must(shmseg_mutex_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0 && abandoned && shmseg_mutex_unlock(&a) == 0);
}

static void lock_and_wait(void *argument) {
  shmseg_segment own;
  shmseg_mutex mutex;
  shmseg_options options = { 0 };
  must(shmseg_segment_open(&own, place_of(name), SHMSEG_WRITE, &options, NULL) == 0);
  must(shmseg_mutex_open(&mutex, (shmseg_slice){ &own, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  say(lock_fully(&mutex, in_ms(5000), &abandoned) == 0 ? 'l' : 'x');
  hear();
  if (argument)
    execlp("sleep", "sleep", "20", (char *)NULL);
}

TEST_WITH(fresh, killed,
          "after its owner was killed the mutex is the next one's, abandoned, within 100 ms") {
  child c = child_start(lock_and_wait, NULL);
  must(child_hear(&c) == 'l');
  check(shmseg_mutex_lock(&a, 0, &abandoned) == SHMSEG_TIMEOUT);
  child_kill(&c);
  int64_t began = now_ms();
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0 && abandoned); /* with no time at all */
  check(shmseg_mutex_unlock(&a) == 0 && is_soon(began));
  c = child_start(lock_and_wait, NULL);
  must(child_hear(&c) == 'l');
  kill(c.pid, SIGSTOP);
  check(lock_fully(&a, in_ms(100), &abandoned) == SHMSEG_TIMEOUT); /* stopped is alive */
  kill(c.pid, SIGKILL);
  began = now_ms();
  check(lock_fully(&a, in_ms(5000), &abandoned) == 0 && abandoned);
  check(is_soon(began) && shmseg_mutex_unlock(&a) == 0);
  child_end(&c);
}

TEST_WITH(fresh, executed, "an owner that executes another program is dead") {
  child c = child_start(lock_and_wait, "exec");
  must(child_hear(&c) == 'l');
  child_tell(&c);
  int64_t began = now_ms();
  check(lock_fully(&a, in_ms(5000), &abandoned) == 0 && abandoned && now_ms() - began < 4500);
  check(kill(c.pid, 0) == 0);
  child_kill(&c);
}

static void use_inherited(void *argument) {
  (void)argument;
  say(shmseg_mutex_holds(&a) ? 'h' : '-');
  say(shmseg_mutex_unlock(&a) == SHMSEG_NOT_HELD ? 'n' : 'x');
  say(shmseg_mutex_lock(&a, 0, &abandoned) == SHMSEG_TIMEOUT ? 't' : 'x');
  hear(); /* the parent unlocks */
  say(lock_fully(&a, in_ms(5000), &abandoned) == 0 && !abandoned ? 'l' : 'x');
  hear();
  say(shmseg_mutex_unlock(&a) == 0 ? 'u' : 'x');
  hear();
}

TEST_WITH(fresh, forked, "a forked child does not hold its parent's locks, and locks for itself") {
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  child c = child_start(use_inherited, NULL);
  check(child_hear(&c) == '-' && child_hear(&c) == 'n' && child_hear(&c) == 't');
  check(shmseg_mutex_holds(&a) && shmseg_mutex_unlock(&a) == 0);
  child_tell(&c);
  check(child_hear(&c) == 'l');
  check(shmseg_mutex_lock(&a, 0, &abandoned) == SHMSEG_TIMEOUT);
  child_tell(&c);
  check(child_hear(&c) == 'u' && lock_fully(&a, in_ms(5000), &abandoned) == 0 && !abandoned);
  child_tell(&c);
  check(child_end(&c) == 0 && shmseg_mutex_holds(&a) && shmseg_mutex_unlock(&a) == 0);
}

static void close_inherited(void *argument) {
  (void)argument;
  shmseg_mutex_close(&a);
  shmseg_segment_close(&ours);
  say('c');
}

TEST_WITH(fresh, forked_closes,
          "a forked child that closes its copies leaves its parent's lock alone") {
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  child c = child_start(close_inherited, NULL);
  check(child_hear(&c) == 'c' && child_end(&c) == 0);
  check(shmseg_mutex_holds(&a) && shmseg_mutex_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT);
  check(shmseg_mutex_unlock(&a) == 0 && shmseg_mutex_lock(&b, 0, &abandoned) == 0 && !abandoned);
}

/* Locks, forks a child that outlives it, and dies. */
static void leave_child_behind(void *argument) {
  (void)argument;
  must(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  if (fork() == 0) {
    say('l');
    hear();
    _exit(0);
  }
  pause();
}

TEST_WITH(fresh, parent_dies, "a forked child does not keep its dead parent alive") {
  child c = child_start(leave_child_behind, NULL);
  must(child_hear(&c) == 'l');
  check(shmseg_mutex_lock(&b, 0, &abandoned) == SHMSEG_TIMEOUT);
  kill(c.pid, SIGKILL);
  check(lock_fully(&b, in_ms(2000), &abandoned) == 0 && abandoned);
  child_tell(&c);
  child_end(&c);
}

TEST_WITH(fresh, truncated,
          "a cut ends the holds of the handle, and its identity is dead for the peers") {
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  must(ftruncate(ours.fd, 0) == 0);
  check(shmseg_mutex_unlock(&a) == SHMSEG_TRUNCATED || ours.holds == NULL);
  check(shmseg_mutex_unlock(&a) == SHMSEG_TRUNCATED && !shmseg_mutex_holds(&a));
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  check(shmseg_mutex_unlock(&a) == SHMSEG_TRUNCATED);
  check(shmseg_mutex_lock(&a, 0, &abandoned) == SHMSEG_TRUNCATED);
  shmseg_segment_refresh(&theirs);
  int err = shmseg_mutex_lock(&b, 0, &abandoned); /* zeroes are no lock word */
  check(err == SHMSEG_CORRUPT || err == SHMSEG_TRUNCATED);
}

TEST_WITH(fresh, regrown,
          "a lock that is a stranger's after a cut and regrowth is not freed by its old owner") {
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0);
  uint32_t id = ours.member.id;
  set_word(&ours, WORD, SHMSEG_LOCK_FREE); /* as if cut, grown and built anew: same bytes */
  check(shmseg_mutex_lock(&b, 0, &abandoned) == 0 && id != theirs.member.id);
  check(shmseg_mutex_unlock(&a) == SHMSEG_CORRUPT);
  check(word_at(&ours, WORD) == theirs.member.id && shmseg_mutex_unlock(&b) == 0);
}

TEST_WITH(fresh, strange_words,
          "a word that is no state is corrupt, at once, whatever the deadline") {
  static const uint32_t words[] = {
    0, 2, 15, SHMSEG_LOCK_DIRTY, SHMSEG_LOCK_WAITERS, SHMSEG_LOCK_WAITERS | SHMSEG_LOCK_DIRTY | 5
  };
  for (int i = 0; i < 6; i++) {
    set_word(&ours, WORD, words[i]);
    check(shmseg_mutex_lock(&a, SHMSEG_FOREVER, &abandoned) == SHMSEG_CORRUPT);
    check(shmseg_mutex_check(&a) != NULL && word_at(&ours, WORD) == words[i]);
  }
  set_word(&ours, WORD, SHMSEG_LOCK_FREE | SHMSEG_LOCK_WAITERS);
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0 && !abandoned && shmseg_mutex_unlock(&a) == 0);
  check(word_at(&ours, WORD) == SHMSEG_LOCK_FREE && shmseg_mutex_check(&a) == NULL);
  must(shmseg_mutex_lock(&a, 0, &abandoned) == 0 && shmseg_mutex_unlock(&a) == 0);
  set_word(&ours, WORD, ours.member.id); /* ours, though we do not hold it: from before */
  check(shmseg_mutex_lock(&a, 0, &abandoned) == 0 && abandoned);
  set_word(&ours, WORD, 0);
  check(shmseg_mutex_unlock(&a) == SHMSEG_CORRUPT && word_at(&ours, WORD) == 0);
}

static void slow_owner(void *argument) {
  (void)argument;
  shmseg_segment own;
  shmseg_mutex mutex;
  same_segment(&own, &ours);
  must(shmseg_mutex_open(&mutex, (shmseg_slice){ &own, 0, PAGE }, SHMSEG_WRITE, NULL, NULL) == 0);
  must(shmseg_mutex_lock(&mutex, 0, &abandoned) == 0);
  say('l');
  shmseg_clock_sleep(30 * MILLISECOND);
  must(shmseg_mutex_unlock(&mutex) == 0);
}

TEST_WITH(fresh, woken,
          "who waits has the mutex as soon as its owner unlocks, and it is not abandoned") {
  child c = child_start(slow_owner, NULL);
  must(child_hear(&c) == 'l');
  int64_t began = now_ms();
  check(lock_fully(&a, SHMSEG_FOREVER, &abandoned) == 0 && !abandoned);
  check(is_soon(began));
  check(child_end(&c) == 0 && shmseg_mutex_unlock(&a) == 0);
}
