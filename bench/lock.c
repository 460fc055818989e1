/* SPDX-License-Identifier: MIT */
/* Locks in C, side by side: one process alone, and two that want the same lock.
 *
 *   lock NAME SLICE LAPS      NAME: a segment; SLICE: nanoseconds
 *
 * Prints lines as harness.lua does. Compiled together with src/os, src/core and src/objects. */

#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shmseg.h"

#define LINE 64
#define BATCH 64 /* turns between two looks at the clock */

/* What the processes share; each member on a line of its own. */
typedef struct {
  _Alignas(LINE) int ready, go, stop;
  _Alignas(LINE) long theirs;           /* how many turns the child has made */
  _Alignas(LINE) volatile long counter; /* what the lock is for */
  _Alignas(LINE) uint32_t word;
  _Alignas(LINE) pthread_mutex_t plain;
  _Alignas(LINE) pthread_mutex_t robust;
} area;

static area *shared;
static const char *name; /* of the segment */

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void check(int code, const char *what) {
  if (code == 0)
    return;
  fprintf(stderr, "lock: %s: %d\n", what, code);
  exit(EXIT_FAILURE);
}

/* --- the plain futex mutex: 0 free, 1 locked, 2 locked and somebody sleeps; owners must not die -- */

static inline void futex_lock(void *on) {
  uint32_t *word = on;
  uint32_t seen = 0;
  if (__atomic_compare_exchange_n(word, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
    return;
  while (__atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) != 0)
    syscall(SYS_futex, word, FUTEX_WAIT, 2, NULL, NULL, 0);
}

static inline void futex_unlock(void *on) {
  uint32_t *word = on;
  if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2)
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* --- the others --------------------------------------------------------------------------- */

static inline void pthread_lock(void *on) {
  check(pthread_mutex_lock(on), "pthread_mutex_lock");
}

static inline void pthread_unlock(void *on) {
  check(pthread_mutex_unlock(on), "pthread_mutex_unlock");
}

static inline void shmseg_lock(void *on) {
  bool abandoned;
  int code;
  do {
    code = shmseg_mutex_lock(on, SHMSEG_FOREVER, &abandoned);
  } while (code == SHMSEG_INTERRUPTED);
  check(code, "shmseg_mutex_lock");
}

static inline void shmseg_unlock(void *on) {
  check(shmseg_mutex_unlock(on), "shmseg_mutex_unlock");
}

/* A loop for each, with its lock and unlock written into it. */
static inline __attribute__((always_inline)) void turn(void (*lock)(void *), void (*unlock)(void *),
                                                       void *on, volatile long *counter, long n) {
  for (long i = 0; i < n; i++) {
    lock(on);
    if (counter)
      (*counter)++;
    unlock(on);
  }
}

static void turn_futex(void *on, volatile long *counter, long n) {
  turn(futex_lock, futex_unlock, on, counter, n);
}

static void turn_pthread(void *on, volatile long *counter, long n) {
  turn(pthread_lock, pthread_unlock, on, counter, n);
}

static void turn_shmseg(void *on, volatile long *counter, long n) {
  turn(shmseg_lock, shmseg_unlock, on, counter, n);
}

static void turn_nothing(void *on, volatile long *counter, long n) {
  (void)on, (void)counter;
  for (long i = 0; i < n; i++)
    __asm__ volatile("");
}

typedef struct {
  const char *who;
  void (*turn)(void *on, volatile long *counter, long n);
  void *(*attach)(void); /* in each process: the lock */
} contestant;

static void *attach_futex(void) {
  return &shared->word;
}

static void *attach_plain(void) {
  return &shared->plain;
}

static void *attach_robust(void) {
  return &shared->robust;
}

/* A handle of this process's own. */
static void *attach_shmseg(void) {
  static shmseg_segment segments[2];
  static shmseg_mutex mutexes[2];
  static pid_t owners[2];
  int i = owners[0] != 0 && owners[0] != getpid();
  if (owners[i] == getpid())
    return &mutexes[i];
  shmseg_place place = { SHMSEG_NAME, name };
  shmseg_segment *segment = &segments[i];
  shmseg_segment_init(segment);
  check(shmseg_segment_open(segment, place, SHMSEG_WRITE, &(shmseg_options){ 0 }, NULL), "segment");
  check(shmseg_mutex_open(&mutexes[i], (shmseg_slice){ segment, 0, segment->size }, SHMSEG_CREATE,
                          NULL, NULL),
        "mutex");
  owners[i] = getpid();
  return &mutexes[i];
}

static const contestant contestants[] = {
  { "shmseg mutex in C", turn_shmseg, attach_shmseg },
  { "plain futex mutex in C", turn_futex, attach_futex },
  { "process-shared pthread mutex in C", turn_pthread, attach_plain },
  { "robust pthread mutex in C", turn_pthread, attach_robust },
};

enum { COUNT = sizeof contestants / sizeof *contestants };

/* --- one process -------------------------------------------------------------------------- */

/* Nanoseconds of one turn. */
static double alone(void (*turns)(void *, volatile long *, long), void *on, int64_t slice) {
  long n = 0;
  int64_t start = now(), end;
  do {
    turns(on, NULL, BATCH * 16);
    n += BATCH * 16;
    end = now();
  } while (end - start < slice);
  return (double)(end - start) / (double)n;
}

/* --- two processes ------------------------------------------------------------------------ */

static void await(const int *flag) {
  while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
  }
}

static long take_turns(const contestant *c, void *on) {
  long n = 0;
  for (; !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED); n += BATCH)
    c->turn(on, &shared->counter, BATCH);
  return n;
}

static void child(const contestant *c) {
  void *on = c->attach();
  c->turn(on, NULL, 1);
  __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
  await(&shared->go);
  shared->theirs = take_turns(c, on);
  _exit(0);
}

/* Nanoseconds of one turn, whoever made it. */
static double together(const contestant *c, int64_t slice) {
  void *on = c->attach();
  shared->ready = shared->go = shared->stop = 0;
  shared->counter = 0;
  pid_t pid = fork();
  if (pid == 0)
    child(c);
  await(&shared->ready);
  int64_t start = now(), end;
  long n = 0;
  __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
  do {
    c->turn(on, &shared->counter, BATCH);
    n += BATCH;
    end = now();
  } while (end - start < slice);
  __atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
  waitpid(pid, NULL, 0);
  n += shared->theirs;
  check(n != shared->counter, "the count is wrong");
  return (double)(end - start) / (double)n;
}

/* ------------------------------------------------------------------------------------------ */

static void make_pthread(pthread_mutex_t *mutex, int robust) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, robust);
  check(pthread_mutex_init(mutex, &attributes), "pthread_mutex_init");
}

static void lap(int first, int64_t slice) {
  double empty = alone(turn_nothing, NULL, slice);
  for (int i = 0; i < COUNT; i++) {
    const contestant *c = &contestants[(first + i) % COUNT];
    double taken = alone(c->turn, c->attach(), slice);
    printf("time\tlock and unlock in C\t%s\t%f\t%f\n", c->who, taken, empty);
  }
  for (int i = 0; i < COUNT; i++) {
    const contestant *c = &contestants[(first + i) % COUNT];
    double taken = together(c, 10 * slice);
    printf("time\tlock, add, unlock in two processes\t%s, two processes\t%f\t%f\n", c->who, taken,
           empty);
  }
}

int main(int count, char **arguments) {
  if (count < 4)
    return 2;
  name = arguments[1];
  setvbuf(stdout, NULL, _IOLBF, 0); /* what is printed is not printed again by a child */
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(shared == MAP_FAILED, "mmap");
  make_pthread(&shared->plain, PTHREAD_MUTEX_STALLED);
  make_pthread(&shared->robust, PTHREAD_MUTEX_ROBUST);
  for (int i = 0; i < atoi(arguments[3]); i++)
    lap(i, atoll(arguments[2]));
  return EXIT_SUCCESS;
}
