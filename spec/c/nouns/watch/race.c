/* SPDX-License-Identifier: MIT */
/* Watches: what was written before a push is seen by who learns of it through a watch; and the tables of the
 * threads that serve watches are used by many at once. */
#include "race/race.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define APART 4096u
#define PATIENCE 20000 /* milliseconds: a wake that is lost is not another one's */

static bool take(shmseg_queue *queue) {
  uint64_t buffer[32];
  size_t used;
  int err = shmseg_queue_take(queue, buffer, sizeof buffer, 1, &used, 0);
  race_must(err == 0 || err == SHMSEG_TIMEOUT);
  return err == 0;
}

/* Each time that the word is passed on there is another watch, or the same one. */
static void await(shmseg_queue *queue, shmseg_watch *watch, bool anew) {
  if (anew)
    shmseg_watch_close(watch);
  race_must(shmseg_queue_watch(queue, SHMSEG_WATCH_POP, watch) == 0);
  while (!take(queue)) {
    struct pollfd one = { .fd = watch->fd, .events = POLLIN };
    race_must(poll(&one, 1, PATIENCE) == 1);
    race_must(shmseg_queue_watch(queue, SHMSEG_WATCH_POP, watch) == 0);
  }
}

/* The threads pass a plain counter on in a ring, each by the next one's queue. */
static void body(participant *p) {
  shmseg_object_options options = { .capacity = 64 };
  shmseg_queue mine, next;
  shmseg_watch watch = { 0 };
  unsigned place = APART * (unsigned)p->number,
           other = APART * (unsigned)((p->number + 1) % RACE_THREADS);
  race_must(shmseg_queue_open(&mine, (shmseg_slice){ &p->segment, place + 2 * APART, APART },
                              SHMSEG_CREATE, &options, NULL) == 0);
  race_must(shmseg_queue_open(&next, (shmseg_slice){ &p->segment, other + 2 * APART, APART },
                              SHMSEG_CREATE, &options, NULL) == 0);
  int rounds = race_rounds() / 20;
  for (int i = 0; i < rounds; i++) {
    if (p->number != 0 || i > 0)
      await(&mine, &watch, i % (p->number + 2) == 0);
    race_words()->a++;
    race_must(shmseg_queue_push(&next, "x", 1, race_ms(PATIENCE)) == 0);
  }
  shmseg_watch_close(&watch);
  shmseg_queue_close(&mine);
  shmseg_queue_close(&next);
}

/* In a process of its own, since a process chooses the way once. */
static bool is_good(const char *way) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    setenv("SHMSEG_WATCH", way, 1);
    if (!shmseg_watch_way())
      _exit(EXIT_SUCCESS); /* there is no such way here */
    race_run(body);
    _exit(race_words()->a == (uint64_t)RACE_THREADS * (uint64_t)(race_rounds() / 20)
              ? EXIT_SUCCESS
              : EXIT_FAILURE);
  }
  race_must(pid > 0 && waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void) {
  test(
      "what is written before a push is read after a watch has told of it, without a race (io_uring)",
      is_good("io_uring"));
  test(
      "what is written before a push is read after a watch has told of it, without a race (thread)",
      is_good("thread"));
  return test_end();
}
