/* SPDX-License-Identifier: MIT */
/* os/map, os/clock, os/signals, os/random, os/futex, os/features: small services, each by itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/wait.h"
#include "os/clock.h"
#include "os/features.h"
#include "os/futex.h"
#include "os/map.h"
#include "os/random.h"
#include "os/signals.h"
#include "unit/help.h"

static int memory(size_t size) {
  int fd = memfd_create("shmseg-unit", MFD_CLOEXEC);
  must(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
  return fd;
}

static void touch(void *address) {
  *(volatile unsigned char *)address = 1;
}

static int touch_signal(void *address) {
  child c = child_start(touch, address);
  return child_end(&c);
}

TEST(map, "a mapping with room for growth can be touched up to its length and not behind") {
  void *base;
  int fd = memory(2 * PAGE);
  check(shmseg_map_page() == PAGE && shmseg_map_round(1) == PAGE && shmseg_map_round(PAGE) == PAGE);
  check(shmseg_map_round(0) == 0 && shmseg_map_round(SIZE_MAX) == 0);
  check(shmseg_map_round(SIZE_MAX - PAGE + 1) == SIZE_MAX - PAGE + 1);
  must(shmseg_map_open(&base, 8 * PAGE, PAGE, fd, true) == 0);
  unsigned char *bytes = base;
  check(touch_signal(bytes) == 0 && touch_signal(bytes + PAGE) == 256 + SIGSEGV);
  check(shmseg_map_again(base, 8 * PAGE, 2 * PAGE, fd, true) == 0);
  bytes[PAGE] = 7;
  check(touch_signal(bytes + 2 * PAGE) == 256 + SIGSEGV);
  check(shmseg_map_again(base, 8 * PAGE, PAGE, fd, true) == 0);
  check(touch_signal(bytes + PAGE) == 256 + SIGSEGV);
  check(shmseg_map_again(base, 8 * PAGE, 0, fd, true) == 0);
  check(touch_signal(bytes) == 256 + SIGSEGV);
  shmseg_map_close(base, 8 * PAGE);
  close(fd);
}

TEST(map_modes,
     "a read-only mapping refuses writes; populate, pin, flush and advise work on both") {
  void *base;
  int fd = memory(2 * PAGE);
  must(shmseg_map_open(&base, 2 * PAGE, 2 * PAGE, fd, false) == 0);
  check(touch_signal(base) == 256 + SIGSEGV);
  check(shmseg_map_populate(base, 0, 2 * PAGE, false) == 0);
  check(shmseg_map_flush(base, 2 * PAGE) == 0);
  check(shmseg_map_pin(base, 2 * PAGE) == 0);
  for (int hint = 0; shmseg_map_hints[hint]; hint++) {
    int err = shmseg_map_advise(base, 2 * PAGE, hint);
    check(err == 0 || err == EINVAL);
  }
  shmseg_map_close(base, 2 * PAGE);
  must(shmseg_map_open(&base, 2 * PAGE, 2 * PAGE, fd, true) == 0);
  check(shmseg_map_populate(base, 0, 2 * PAGE, true) == 0);
  must(ftruncate(fd, PAGE) == 0);
  check(shmseg_map_populate(base, 0, 2 * PAGE, true) == ENOSPC);
  shmseg_map_close(base, 2 * PAGE);
  check(shmseg_map_open(&base, PAGE, PAGE, -1, true) == EBADF);
  check(shmseg_map_open(&base, 2 * PAGE, PAGE, -1, true) == EBADF);
  close(fd);
}

static void nothing(int number) {
  (void)number;
}

TEST(clock_forward,
     "the clock goes forward, a sleep lasts as long as it should and a signal ends it") {
  int64_t began = shmseg_clock_now();
  check(shmseg_clock_sleep(20 * MILLISECOND) == 0);
  int64_t slept = shmseg_clock_now() - began;
  check(slept >= 20 * MILLISECOND && slept < 2000 * MILLISECOND);
  check(shmseg_clock_sleep(0) == 0 && shmseg_clock_processors() >= 1);
  struct sigaction action = { .sa_handler = nothing };
  timer_t timer;
  struct itimerspec soon = { .it_value = { 0, 20 * MILLISECOND } };
  must(sigaction(SIGALRM, &action, NULL) == 0);
  must(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0 &&
       timer_settime(timer, 0, &soon, NULL) == 0);
  began = shmseg_clock_now();
  check(shmseg_clock_sleep(5000 * MILLISECOND) == EINTR);
  check(shmseg_clock_now() - began < 2000 * MILLISECOND);
  timer_delete(timer);
}

TEST(signals_caught,
     "caught signals are kept until they are taken, and the old handlers come back") {
  const int both[] = { SIGUSR1, SIGUSR2, SIGUSR1 };
  struct sigaction before = { .sa_handler = nothing }, after;
  must(sigaction(SIGUSR1, &before, NULL) == 0);
  check(shmseg_signals_catch(both, 3) == 0 && !shmseg_signals_pending());
  check(shmseg_signals_catch(both, 1) == EBUSY);
  raise(SIGUSR2);
  raise(SIGUSR1);
  raise(SIGUSR1);
  check(shmseg_signals_pending());
  int first = shmseg_signals_take(), second = shmseg_signals_take();
  check(first == SIGUSR1 && second == SIGUSR2);
  check(shmseg_signals_take() == 0 && !shmseg_signals_pending());
  shmseg_signals_release();
  check(sigaction(SIGUSR1, NULL, &after) == 0 && after.sa_handler == nothing);
  check(sigaction(SIGUSR2, NULL, &after) == 0 && after.sa_handler == SIG_DFL);
}

TEST(signals_refused,
     "a set with a signal that cannot be caught changes nothing; a newer handler stays") {
  const int bad[] = { SIGUSR1, SIGKILL };
  const int good[] = { SIGUSR1 };
  struct sigaction other = { .sa_handler = nothing }, after;
  signal(SIGUSR1, SIG_IGN);
  check(shmseg_signals_catch(bad, 2) == EINVAL);
  check(sigaction(SIGUSR1, NULL, &after) == 0 && after.sa_handler == SIG_IGN);
  check(shmseg_signals_catch(good, 1) == 0);
  must(sigaction(SIGUSR1, &other, NULL) == 0);
  shmseg_signals_release();
  check(sigaction(SIGUSR1, NULL, &after) == 0 && after.sa_handler == nothing);
  shmseg_signals_release(); /* twice is harmless */
  check(shmseg_signals_catch(good, 1) == 0);
  shmseg_signals_release();
  check(shmseg_signals_number("INT") == SIGINT && shmseg_signals_number("KILL") == 0);
  check(strcmp(shmseg_signals_name(SIGTERM), "TERM") == 0 && !shmseg_signals_name(SIGKILL));
  check(shmseg_signals_number("") == 0 && shmseg_signals_number("SIGINT") == 0);
}

static uint32_t futex_word = 5;

static void *change_and_wake(void *argument) {
  (void)argument;
  usleep(30000);
  __atomic_store_n(&futex_word, 6, __ATOMIC_SEQ_CST);
  for (int i = 0; i < 1000 && shmseg_futex_wake(&futex_word, 1) == 0; i++)
    usleep(1000);
  return NULL;
}

TEST(futex, "a futex sleeps while the word is what was seen, and until a wake") {
  pthread_t thread;
  check(shmseg_futex_wait(&futex_word, 4, 1000 * MILLISECOND) == 0);
  int64_t began = now_ms();
  check(shmseg_futex_wait(&futex_word, 5, 20 * MILLISECOND) == ETIMEDOUT);
  check(now_ms() - began >= 19 && shmseg_futex_wake(&futex_word, 1) == 0);
  must(pthread_create(&thread, NULL, change_and_wake, NULL) == 0);
  check(shmseg_futex_wait(&futex_word, 5, 900 * MILLISECOND) == 0);
  check(pthread_join(thread, NULL) == 0);
  began = now_ms(); /* never longer than a second */
  check(shmseg_futex_wait(&futex_word, 6, INT64_MAX) == ETIMEDOUT && now_ms() - began < 3000);
  int fd = memory(PAGE);
  uint32_t *hole = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  check(shmseg_futex_wait(hole, 0, MILLISECOND) == ETIMEDOUT); /* read-only is enough */
  must(ftruncate(fd, 0) == 0);
  check(shmseg_futex_wait(hole, 0, MILLISECOND) == EFAULT && shmseg_futex_wake(hole, 1) == -1);
  munmap(hole, PAGE);
  close(fd);
}

TEST(rest, "numbers are drawn, and the platform's features have names") {
  uint64_t a = 0, b = 0;
  check(shmseg_random_draw(&a) == 0 && shmseg_random_draw(&b) == 0 && a != b);
  int count = 0;
  while (shmseg_features[count].name)
    count++;
  check(count >= 7 && strcmp(shmseg_platform, "linux") == 0);
}

/* Looks of somebody who waits, once the process has waited often enough to have noticed. */
static unsigned looks(void) {
  shmseg_spin spin = { 0 };
  unsigned count = 0;
  for (int i = 0; i < SHMSEG_CLOCK_RECOUNT; i++)
    shmseg_clock_processors();
  shmseg_spinner spinner = shmseg_wait_spin_begin(&spin);
  do
    count++;
  while (shmseg_wait_spin_again(&spinner));
  return count;
}

TESTS(pinned) {
  static const char sentence[] =
      "who is pinned to one processor does not spin, until it is let loose";
  cpu_set_t all, one;
  must(sched_getaffinity(0, sizeof all, &all) == 0);
  if (CPU_COUNT(&all) < 2) {
    test_skip(sentence, "this machine has one processor");
    return;
  }
  CPU_ZERO(&one);
  for (int i = 0; CPU_COUNT(&one) == 0; i++)
    if (CPU_ISSET(i, &all))
      CPU_SET(i, &one);
  test_begin(sentence);
  check(looks() > 1 && shmseg_clock_processors() == CPU_COUNT(&all));
  must(sched_setaffinity(0, sizeof one, &one) == 0);
  check(looks() == 1 && shmseg_clock_processors() == 1);
  must(sched_setaffinity(0, sizeof all, &all) == 0);
  check(looks() > 1 && shmseg_clock_processors() == CPU_COUNT(&all));
  test_done();
}
