/* SPDX-License-Identifier: MIT */
/* Waiting on a word: the results of each call, and a hunt for wakes that are lost.
 *
 * It is built with intervals so long that a wait whose wake is lost ends late, is counted as such, and
 * fails the hunt, where intervals of the usual length would hide it. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/wait.h"
#include "core/word.h"
#include "os/clock.h"
#include "shmseg.h"
#include "test.h"

#if !defined(SHMSEG_COUNT_LATE)
#error "the hunt needs SHMSEG_COUNT_LATE"
#endif

enum {
  LIMIT = 300,     /* seconds: a guard against hanging, never a measure */
  ROUNDS = 100000, /* of the hunt between two processes */
  CROWD = 3,       /* waiters on one word */
  CROWD_ROUNDS = 10000,
  LONGEST_PAUSE = 4000, /* empty loops between two steps, up to about 10 us */
  MILLISECOND = 1000000
};

/* The shared words, each on a line of its own. */
typedef struct board {
  _Alignas(64) uint32_t ping;
  _Alignas(64) uint32_t pong;
  _Alignas(64) uint64_t late; /* of the children */
} board;

static shmseg_segment segment;

static board *open_board(void) {
  shmseg_options options = { .size = sizeof(board) };
  shmseg_segment_init(&segment);
  if (shmseg_segment_anonymous(&segment, &options) != 0) {
    printf("no segment can be made\n");
    exit(EXIT_FAILURE);
  }
  shmseg_wait_late = 0;
  return (board *)(void *)segment.data;
}

static int64_t soon(void) {
  return shmseg_wait_deadline(MILLISECOND);
}

/* Waits until the word is not seen, as the binding does: what is there then. */
static uint32_t await_change(const uint32_t *word, uint32_t seen) {
  int err;
  do
    err = shmseg_wait_word(&segment, word, seen, SHMSEG_FOREVER);
  while (err == SHMSEG_INTERRUPTED);
  check(err == 0);
  return load_ordered(word);
}

static uint32_t next_random(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  return *state ^= *state << 5;
}

/* A random pause, half of them none: the other side is met before, at and after its sleep. */
static void pause_briefly(uint32_t *state) {
  uint32_t n = next_random(state);
  for (volatile uint32_t i = n & 1 ? n / 2 % LONGEST_PAUSE : 0; i > 0; i--)
    continue;
}

static void post(uint32_t *word, uint32_t value) {
  store_ordered(word, value);
  check(shmseg_wait_wake(word, SHMSEG_WAKE_ALL) >= 0);
}

/* Runs a function in a child, which reports its late waits. */
static pid_t start(void (*act)(board *, uint32_t), board *b, uint32_t seed) {
  pid_t child = fork();
  if (child != 0)
    return child;
  alarm(LIMIT);
  test_good = true;
  shmseg_wait_late = 0;
  act(b, seed);
  add_ordered(&b->late, shmseg_wait_late);
  _exit(!test_good);
}

static bool ended_well(pid_t child) {
  int status;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- the hunt ----------------------------------------------------------------------------- */

static void echo(board *b, uint32_t seed) {
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    check(await_change(&b->ping, i - 1) == i);
    pause_briefly(&seed);
    post(&b->pong, i);
    pause_briefly(&seed);
  }
}

TEST(two_processes, "no wake between two processes is lost") {
  board *b = open_board();
  uint32_t seed = 0x9E3779B9;
  pid_t child = start(echo, b, 0x85EBCA6B);
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    pause_briefly(&seed);
    post(&b->ping, i);
    pause_briefly(&seed);
    check(await_change(&b->pong, i - 1) == i);
  }
  check(ended_well(child));
  check(shmseg_wait_late == 0);
  check(load_ordered(&b->late) == 0);
  printf("# %d rounds, %d late waits\n", ROUNDS, (int)(shmseg_wait_late + load_ordered(&b->late)));
  shmseg_segment_close(&segment);
}

static void join_in(board *b, uint32_t seed) {
  for (uint32_t i = 1; i <= CROWD_ROUNDS; i++) {
    check(await_change(&b->ping, i - 1) == i);
    pause_briefly(&seed);
    add_ordered(&b->pong, 1);
    check(shmseg_wait_wake(&b->pong, 1) >= 0);
  }
}

TEST(crowd, "no wake of a crowd is lost") {
  board *b = open_board();
  pid_t children[CROWD];
  uint32_t seed = 0x9E3779B9;
  for (uint32_t i = 0; i < CROWD; i++)
    children[i] = start(join_in, b, i + 1);
  for (uint32_t i = 1; i <= CROWD_ROUNDS; i++) {
    pause_briefly(&seed);
    post(&b->ping, i);
    for (uint32_t seen = load_ordered(&b->pong); seen != i * CROWD;)
      seen = await_change(&b->pong, seen);
  }
  for (int i = 0; i < CROWD; i++)
    check(ended_well(children[i]));
  check(shmseg_wait_late == 0);
  check(load_ordered(&b->late) == 0);
  shmseg_segment_close(&segment);
}

static void store_silently(board *b, uint32_t seed) {
  (void)seed;
  await_change(&b->pong, 0);
  usleep(10000); /* so that the other is asleep; it may be late, then the wait below is not */
  store_ordered(&b->ping, 1);
}

TEST(late_is_counted, "a wake that never comes is counted as a late wait") {
  board *b = open_board();
  pid_t child = start(store_silently, b, 0);
  post(&b->pong, 1);
  check(await_change(&b->ping, 0) == 1);
  check(shmseg_wait_late == 1);
  check(ended_well(child));
  shmseg_segment_close(&segment);
}

/* --- results ------------------------------------------------------------------------------ */

TEST(results, "a wait tells whether the word differs or the deadline is over") {
  board *b = open_board();
  check(shmseg_wait_word(&segment, &b->ping, 7, SHMSEG_FOREVER) == 0);
  check(shmseg_wait_word(&segment, &b->ping, 7, 0) == 0);
  check(shmseg_wait_word(&segment, &b->ping, 0, 0) == SHMSEG_TIMEOUT);
  check(shmseg_wait_word(&segment, &b->ping, 0, shmseg_clock_now()) == SHMSEG_TIMEOUT);
  int64_t deadline = soon();
  int err;
  while ((err = shmseg_wait_word(&segment, &b->ping, 0, deadline)) == SHMSEG_INTERRUPTED)
    continue;
  check(err == SHMSEG_TIMEOUT);
  check(shmseg_clock_now() >= deadline);
  check(shmseg_wait_late == 0);
  shmseg_segment_close(&segment);
}

TEST(wakes, "a wake where nobody waits wakes nobody") {
  board *b = open_board();
  check(shmseg_wait_wake(&b->ping, SHMSEG_WAKE_ALL) == 0);
  check(shmseg_wait_wake(&b->ping, 1) == 0);
  shmseg_segment_close(&segment);
}

TEST(deadlines, "a deadline never overflows") {
  int64_t now = shmseg_clock_now();
  check(shmseg_wait_deadline(0) >= now);
  check(shmseg_wait_deadline(MILLISECOND) >= now + MILLISECOND);
  check(shmseg_wait_deadline(SHMSEG_FOREVER) == SHMSEG_FOREVER);
  check(shmseg_wait_deadline(SHMSEG_FOREVER - 1) == SHMSEG_FOREVER);
  check(shmseg_wait_deadline(SHMSEG_FOREVER / 2) > now);
}

TEST(sleeps, "a sleep lasts until its deadline") {
  check(shmseg_wait_sleep(0) == SHMSEG_TIMEOUT);
  check(shmseg_wait_pause(0) == SHMSEG_TIMEOUT);
  int64_t deadline = soon();
  while (shmseg_wait_sleep(deadline) == SHMSEG_INTERRUPTED)
    continue;
  check(shmseg_clock_now() >= deadline);
  deadline = shmseg_wait_deadline(3 * MILLISECOND);
  while (shmseg_wait_pause(deadline) == 0)
    continue;
  check(shmseg_clock_now() >= deadline);
}

static volatile sig_atomic_t signals;

static void note(int number) {
  (void)number;
  signals++;
}

static void send_signal(board *b, uint32_t seed) {
  (void)seed;
  do {
    kill(getppid(), SIGUSR1);
    usleep(1000);
  } while (load_ordered(&b->pong) == 0);
}

static void meet_signal(int flags) {
  board *b = open_board();
  struct sigaction action = { .sa_handler = note, .sa_flags = flags };
  struct sigaction old;
  signals = 0;
  sigaction(SIGUSR1, &action, &old);
  pid_t child = start(send_signal, b, 0);
  int64_t began = shmseg_clock_now();
  int err;
  do
    err = shmseg_wait_word(&segment, &b->ping, 0, SHMSEG_FOREVER);
  while (err == SHMSEG_INTERRUPTED && signals == 0);
  check(err == SHMSEG_INTERRUPTED);
  shmseg_wait_sleep(SHMSEG_FOREVER);
  check(shmseg_clock_now() - began < (int64_t)5000 * MILLISECOND); /* half an interval */
  store_ordered(&b->pong, 1);
  check(ended_well(child));
  sigaction(SIGUSR1, &old, NULL);
  check(shmseg_wait_late == 0);
  shmseg_segment_close(&segment);
}

TEST(signalled, "a signal interrupts a wait and a sleep") {
  meet_signal(0);
}

/* A sleep with a timeout is not begun anew. */
TEST(signal_that_restarts, "so does one whose handler restarts system calls") {
  meet_signal(SA_RESTART);
}

/* Cuts a temporary file under its mapping. */
TEST(truncation, "a wait ends when the object is cut") {
  char path[] = "/tmp/shmseg-test-XXXXXX";
  int fd = mkstemp(path);
  if (!check(fd >= 0))
    return;
  unlink(path);
  check(ftruncate(fd, sizeof(board)) == 0);
  check(shmseg_segment_from_fd(&segment, fd, true) == 0);
  board *b = (board *)(void *)segment.data;
  check(ftruncate(fd, 0) == 0);
  check(shmseg_wait_word(&segment, &b->ping, 0, SHMSEG_FOREVER) == SHMSEG_TRUNCATED);
  check(shmseg_wait_word(&segment, &b->ping, 1, SHMSEG_FOREVER) == SHMSEG_TRUNCATED);
  shmseg_segment_close(&segment);
  close(fd);
}

int main(int count, char **words) {
  (void)count;
  alarm(LIMIT);
  test_run(words);
  return test_end();
}
