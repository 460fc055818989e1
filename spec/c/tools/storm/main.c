/* SPDX-License-Identifier: MIT */
/* The storm's killer: kills and restarts the workers, and looks at what they leave.
 * KILLS=2000, WORKERS=6, STORM_SEED=…; words name the nouns that play, else all do. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/random.h"
#include "storm/storm.h"
#include "test.h"

#define KILLS 2000
#define WORKERS 6
#define CALM ((int64_t)1000000000) /* first nobody is killed for so long */
#define BETWEEN 18000000           /* nanoseconds from kill to kill, at most */
/* Without deaths a waiter is woken, and its interval does not have to help. Pauses between the end of
 * a time-out and the look at the word make some seem late: far less than one operation in so many. */
#define LATE_ONE_IN 100
#define STUCK ((int64_t)40 * 1000000000)

static pid_t pids[STORM_WORKERS_MAX];
static uint64_t starts, seed;
static unsigned workers;

static uint64_t number_of(const char *variable, uint64_t otherwise) {
  const char *text = getenv(variable);
  return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void start(unsigned w) {
  starts++;
  uint64_t own = seed * 0x9e3779b97f4a7c15u + starts * 0xbf58476d1ce4e5b9u;
  pids[w] = fork();
  if (pids[w] == 0)
    storm_work(w, own ? own : 1);
  if (pids[w] < 0)
    abort();
}

/* It counts no more from before the kill on, and is gone afterwards. */
static void bury(unsigned w) {
  uint64_t dying = (uint64_t)1 << (32 + w), bits = (uint64_t)3 << (2 * w);
  for (unsigned n = 0; n < storm_nouns_count; n++)
    __atomic_fetch_or(&storm->inside[n], dying, __ATOMIC_SEQ_CST);
  kill(pids[w], SIGKILL);
  waitpid(pids[w], NULL, 0);
  pids[w] = 0;
  for (unsigned n = 0; n < storm_nouns_count; n++) {
    uint64_t was = __atomic_fetch_and(&storm->inside[n], ~(dying | bits), __ATOMIC_SEQ_CST);
    storm->died_inside[n] += (was & bits) != 0;
    if (storm_nouns[n]->bury)
      storm_nouns[n]->bury(w);
  }
  storm->workers[w].since = 0;
  storm->workers[w].begun = storm->workers[w].done;
  storm->kills++;
}

static void look_for_stuck(void) {
  for (unsigned w = 0; w < workers; w++) {
    int64_t since = __atomic_load_n(&storm->workers[w].since, __ATOMIC_RELAXED);
    if (since != 0 && shmseg_clock_now() - since > STUCK && storm->wrong[0] == '\0')
      snprintf(storm->wrong, sizeof storm->wrong, "stuck in %s", storm->workers[w].doing);
  }
}

/* A worker that ends by itself has crashed, or has found something wrong. */
static void look_for_crashes(void) {
  int status;
  for (unsigned w = 0; w < workers; w++)
    if (pids[w] > 0 && waitpid(pids[w], &status, WNOHANG) == pids[w]) {
      pids[w] = 0;
      if (storm->wrong[0] == '\0')
        snprintf(storm->wrong, sizeof storm->wrong, "a worker died of status %d at %s", status,
                 storm->workers[w].doing);
    }
}

static bool all_done(void) {
  for (unsigned n = 0; n < storm_nouns_count; n++)
    if (storm_nouns[n]->is_done && !storm_nouns[n]->is_done())
      return false;
  return true;
}

static void rage(uint64_t kills) {
  while ((storm->kills < kills || !all_done()) && storm->wrong[0] == '\0') {
    shmseg_clock_sleep(1 + (int64_t)storm_draw(BETWEEN));
    look_for_crashes();
    look_for_stuck();
    unsigned w = (unsigned)storm_draw(workers);
    if (storm->wrong[0] == '\0') {
      bury(w);
      start(w);
    }
  }
}

static void stop(void) {
  __atomic_store_n(&storm->stop, true, __ATOMIC_SEQ_CST);
  int64_t deadline = shmseg_clock_now() + STUCK;
  for (unsigned w = 0; w < workers; w++) {
    while (pids[w] > 0 && waitpid(pids[w], NULL, WNOHANG) == 0 && shmseg_clock_now() < deadline)
      shmseg_clock_sleep(1000000);
    if (pids[w] > 0 && shmseg_clock_now() >= deadline) {
      look_for_stuck();
      bury(w);
    }
  }
}

/* --- what is left ------------------------------------------------------------------------------ */

static bool locks_left(void) {
  struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
  return fcntl(storm_segment.fd, F_OFD_GETLK, &all) != 0 || all.l_type != F_UNLCK;
}

static unsigned names_left(void) {
  unsigned count = 0;
  DIR *folder = opendir("/dev/shm");
  for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
    count += strncmp(entry->d_name, storm_segment_name, strlen(storm_segment_name)) == 0;
  if (folder)
    closedir(folder);
  return count;
}

static void look_at_the_end(void) {
  char sentence[640];
  int err = storm_open(SHMSEG_WRITE);
  test("the object can be opened when all are dead", err == 0);
  if (err)
    return;
  test("the dead hold no lock", !locks_left());
  for (storm_noun_number = 0; storm_noun_number < storm_nouns_count; storm_noun_number++) {
    const storm_noun *noun = storm_nouns[storm_noun_number];
    storm->wrong[0] = '\0'; /* what was wrong before has been told */
    const char *wrong = noun->finish();
    if (!wrong && storm->wrong[0] != '\0')
      wrong = storm->wrong;
    snprintf(sentence, sizeof sentence, "%s: whole after the storm%s%s", storm_name_of(noun),
             wrong ? ": " : "", wrong ? wrong : "");
    test(sentence, !wrong);
  }
  storm_close();
}

static void report(int64_t began) {
  uint64_t operations = 0, abandoned = 0, timeouts = 0, late = 0, inside = 0;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++) {
    operations += storm->workers[w].operations;
    abandoned += storm->workers[w].abandoned;
    timeouts += storm->workers[w].timeouts;
  }
  for (unsigned n = 0; n < storm_nouns_count; n++) {
    late += storm->late[n];
    inside += storm->died_inside[n];
  }
  printf("# %" PRIu64 " operations, %" PRIu64 " kills (%" PRIu64 " while holding a lock), %" PRIu64
         " abandonments told, %" PRIu64 " timeouts in %.1f s\n",
         operations, storm->kills, inside, abandoned, timeouts,
         (double)(shmseg_clock_now() - began) / 1e9);
  printf("# a call outlived its timeout by %.1f ms at most; %" PRIu64
         " waits ended with their interval only\n",
         (double)storm->overrun / 1e6, late);
}

/* Of which noun too many were late so far, or NULL. */
static const char *late_noun(void) {
  const char *name = NULL;
  for (unsigned n = 0; n < storm_nouns_count; n++) {
    uint64_t late = __atomic_load_n(&storm->late[n], __ATOMIC_RELAXED);
    uint64_t operated = __atomic_load_n(&storm->operated[n], __ATOMIC_RELAXED);
    if (late > 0)
      printf("# %s: %" PRIu64 " waits late in %" PRIu64 " operations without kills\n",
             storm_name_of(storm_nouns[n]), late, operated);
    if (late * LATE_ONE_IN > operated + 10 * LATE_ONE_IN)
      name = storm_name_of(storm_nouns[n]);
  }
  return name;
}

/* Names go with a storm that is interrupted, too; workers go with their parent. */
static void clean_up(int number) {
  char path[128] = "/dev/shm/";
  strcpy(path + 9, storm_segment_name);
  unlink(path);
  strcpy(path + 9, storm_scratch_name);
  unlink(path);
  signal(number, SIG_DFL);
  raise(number);
}

static unsigned choose(void) {
  uint64_t drawn = 1, wanted = number_of("WORKERS", WORKERS);
  shmseg_random_draw(&drawn);
  seed = number_of("STORM_SEED", drawn);
  return wanted < 1 || wanted > STORM_WORKERS_MAX ? WORKERS : (unsigned)wanted;
}

static char **names;

static bool is_wanted(const char *name) {
  return test_is_wanted(names, name, "");
}

int main(int count, char **words) {
  uint64_t kills = number_of("KILLS", KILLS);
  int64_t began = shmseg_clock_now();
  (void)count;
  workers = choose();
  names = words;
  storm_prepare(is_wanted);
  if (storm_nouns_count == 0)
    return test_end();
  printf("# STORM_SEED=%" PRIu64 " KILLS=%" PRIu64 " WORKERS=%u\n", seed, kills, workers);
  fflush(stdout);
  test("the objects can be made", storm_open(SHMSEG_CREATE_ONLY) == 0);
  storm_close();
  for (unsigned w = 0; w < workers; w++)
    start(w);
  signal(SIGINT, clean_up);
  signal(SIGTERM, clean_up);
  shmseg_clock_sleep(CALM);
  const char *late = late_noun();
  storm_seed(seed ? seed : 1);
  rage(kills);
  storm_seed(0);
  stop();
  printf("# %s\n", storm->wrong[0] ? storm->wrong : "nothing went wrong");
  test("no invariant is broken, and nobody is stuck", storm->wrong[0] == '\0');
  printf("# sleepers that nobody woke: %s\n", late ? late : "hardly any");
  if (words[1]) /* fewer nouns are more crowded, and more waits seem late that were not */
    test_skip("while nobody dies, sleepers are woken", "is told of all nouns together");
  else
    test("while nobody dies, sleepers are woken", !late);
  look_at_the_end();
  shmseg_segment_remove((shmseg_place){ SHMSEG_NAME, storm_segment_name });
  test("no name is left", names_left() == 0);
  report(began);
  return test_end();
}
