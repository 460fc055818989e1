/* SPDX-License-Identifier: MIT */
/* Watches of a process that locks all its memory. Without sanitizers, which make nothing of mlock. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>

#include "core/wait.h"
#include "ways.h"

static shmseg_segment ours;
static shmseg_watch watch;

static void set_up(void) {
  new_anonymous(&ours, PAGE);
}

static void close_all(void) {
  shmseg_watch_close(&watch);
  shmseg_segment_close(&ours);
}

static const test_fixture fresh = { set_up, close_all };
#define WATCH_FIXTURE fresh
#define WATCH_AFTER close_all

static int arm(void) {
  return shmseg_segment_watch(&ours, 0, word_at(&ours, 0), &watch);
}

static bool works(void) {
  bool quiet = is_quiet(&watch, arm);
  set_word(&ours, 0, word_at(&ours, 0) + 1);
  shmseg_wait_wake((const uint32_t *)(void *)ours.data, SHMSEG_WAKE_ALL);
  return quiet && is_readable(&watch, SOON);
}

WATCH(locked, "a process whose memory is locked, now and later, can watch") {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
    test_skip(ways_named("memory is locked"), "this user may not");
    return;
  }
  check(works() && works());
  shmseg_watch_close(&watch);
  check(works());
  munlockall();
}

/* Last: there is no way back to root. */
WATCH(no_memory_to_lock, "a watch that finds no memory to lock is refused, and leaves nothing") {
  struct rlimit before, none;
  if (geteuid() == 0)
    must(setresuid(65534, 65534, 65534) ==
         0); /* who is not limited by others' memory, nor by none */
  must(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
  must(mlockall(MCL_FUTURE) == 0);
  none = (struct rlimit){ 0, before.rlim_max };
  int descriptors = count_descriptors(), threads = count_threads();
  must(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
  int err = arm();
  must(setrlimit(RLIMIT_MEMLOCK, &before) == 0);
  check(err == EAGAIN && watch.fd == 0);
  check(count_descriptors() == descriptors && count_threads() == threads);
  check(works());
  munlockall();
}

int main(int count, char **words) {
  (void)count;
  return ways_run(words);
}
