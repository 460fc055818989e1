/* SPDX-License-Identifier: MIT */
/* What the tests of watches share: each of them runs once for each way in which a watch is told of a change,
 * in a process of its own, since a process chooses once. */
#ifndef SHMSEG_SPEC_WATCH_WAYS_H
#define SHMSEG_SPEC_WATCH_WAYS_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/help.h"

/* The numbers of system calls, the same on all machines. */
#define RING_SETUP 425
#define RING_ENTER 426
#define FUTEX_WAITV 449

/* From now on, in this process, that call fails with err. */
static inline void ways_refuse(unsigned call, unsigned err) {
  struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = { .len = 4, .filter = program };
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0);
}

/* "waits": a thread, and no futex_waitv. */
static const char *const ways[] = { "io_uring", "thread", "waits" };
static const char *ways_now = "";

static inline bool ways_are(const char *way) {
  return strcmp(ways_now, way) == 0;
}

static inline const char *ways_named(const char *sentence) {
  static char named[300];
  snprintf(named, sizeof named, "%s (%s)", sentence, ways_now);
  return named;
}

/* A test that has WATCH_FIXTURE around it, the way in its sentence, and WATCH_AFTER() to check at its end. */
#define WATCH(function, sentence)                                                                  \
  static void function##_body(void);                                                               \
  TEST_WITH(WATCH_FIXTURE, function, sentence) {                                                   \
    test_name = ways_named(sentence);                                                              \
    function##_body();                                                                             \
    WATCH_AFTER();                                                                                 \
  }                                                                                                \
  static void function##_body(void)

/* Is it there? And then it is chosen. */
static inline bool ways_choose(const char *way) {
  ways_now = way;
  const char *wanted = ways_are("waits") ? "thread" : way, *chosen;
  if (ways_are("io_uring")) /* with a thread when it is refused */
    unsetenv("SHMSEG_WATCH");
  else
    setenv("SHMSEG_WATCH", wanted, 1);
  if (ways_are("waits"))
    ways_refuse(FUTEX_WAITV, ENOSYS);
  chosen = shmseg_watch_way();
  return chosen && strcmp(chosen, wanted) == 0;
}

/* The tests that words name, in each way: what main returns. */
static inline int ways_run(char **words) {
  bool lists = words[1] && strcmp(words[1], "--list") == 0;
  for (size_t i = 0; i < (lists ? 1 : sizeof ways / sizeof *ways); i++) {
    int status;
    pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
      if (ways_choose(ways[i]))
        test_run(words);
      else
        test_skip(ways_named("watches"), "there is no such way here");
      exit(help_end());
    }
    must(waitpid(pid, &status, 0) == pid);
    test_failures += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  return test_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Is it readable, or does it become so in time? */
static inline bool is_readable(const shmseg_watch *watch, int milliseconds) {
  struct pollfd one = { .fd = watch->fd, .events = POLLIN };
  int got;
  while ((got = poll(&one, 1, milliseconds)) < 0 && errno == EINTR)
    continue;
  return got == 1;
}

#define SOON 10000 /* milliseconds that a wake may take on a busy machine */
#define WHILE 5    /* that nothing comes in */

/* Calls arm, which looks, and finds nothing: then nothing is readable, but for a signal that was still on its
 * way from before. */
static inline bool is_quiet(const shmseg_watch *watch, int (*arm)(void)) {
  for (int i = 0; i < 20; i++)
    if (arm() != 0)
      return false;
    else if (!is_readable(watch, WHILE))
      return true;
  return false;
}

static inline int count_threads(void) {
  char line[200];
  int count = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "Threads: %d", &count) == 1)
      break;
  if (file)
    fclose(file);
  return count;
}

#endif
