/* SPDX-License-Identifier: MIT */
/* Watches from their making to their end: what ends with what, what is given back, forks, threads,
 * sandboxes, and a system that has nothing left. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "core/wait.h"
#include "ways.h"

#define SIZE (4 * PAGE)
#define TAIL 128

static shmseg_segment ours;
static shmseg_queue queue;
static shmseg_watch watch;
static int descriptors, threads;

static void set_up(void) {
  shmseg_options options = { .size = SIZE, .perm = 0600, .max = 64 * PAGE };
  shmseg_object_options small = { .capacity = 100 };
  must(shmseg_segment_open(&ours, fresh_place(), SHMSEG_CREATE_ONLY, &options, NULL) == 0);
  must(shmseg_queue_open(&queue, shmseg_segment_whole(&ours), SHMSEG_CREATE, &small, NULL) == 0);
  must(shmseg_queue_push(&queue, "x", 1, 0) == 0); /* takes an identity, which has a descriptor */
  uint64_t buffer[32];
  size_t used;
  must(shmseg_queue_take(&queue, buffer, sizeof buffer, 1, &used, 0) == 0);
  descriptors = count_descriptors();
  threads = count_threads();
}

static bool is_mapped(const char *name) {
  char line[500];
  bool found = false;
  FILE *file = fopen("/proc/self/maps", "r");
  must(file);
  while (fgets(line, sizeof line, file))
    found |= strstr(line, name) != NULL;
  fclose(file);
  return found;
}

static void close_all(void) {
  shmseg_queue_close(&queue);
  shmseg_segment_close(&ours);
}

static void give_back(void) {
  shmseg_watch_close(&watch);
  check(count_descriptors() == descriptors && count_threads() == threads);
  close_all();
  check(!is_mapped("/dev/shm/"));
}

static const test_fixture fresh = { set_up, close_all };
#define WATCH_FIXTURE fresh
#define WATCH_AFTER give_back

static int arm(void) {
  return shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &watch);
}

static void push(void *argument) {
  (void)argument;
  must(shmseg_queue_push(&queue, "x", 1, 0) == 0);
}

static void take(void) {
  uint64_t buffer[32];
  size_t used;
  must(shmseg_queue_take(&queue, buffer, sizeof buffer, 100, &used, 0) == 0);
}

/* A push of another process has the watch readable; then the queue is empty again, and the watch armed. */
static bool works(void) {
  bool quiet = is_quiet(&watch, arm);
  child peer = child_start(push, NULL);
  bool heard = is_readable(&watch, SOON);
  if (child_end(&peer) == 0)
    take();
  return quiet && heard && is_quiet(&watch, arm);
}

/* How many sleepers has the queue's eventcount? They are woken. */
static int sleepers(void) {
  return shmseg_wait_wake((const uint32_t *)(ours.data + TAIL + 8), SHMSEG_WAKE_ALL);
}

/* --- what ends ---------------------------------------------------------------------------- */

WATCH(given_back, "the last watch that is closed gives all back, descriptors and thread") {
  shmseg_watch others[10] = { { 0 } };
  check(works());
  for (int i = 0; i < 10; i++)
    check(shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &others[i]) == 0 && others[i].fd > 2);
  check(count_threads() == threads + (ways_are("io_uring") ? 0 : ways_are("thread") ? 1 : 11));
  check(count_descriptors() == descriptors + 11 * (ways_are("io_uring") ? 2 : 1));
  for (int i = 0; i < 10; i++)
    shmseg_watch_close(&others[i]);
  shmseg_watch_close(&others[0]); /* twice is harmless */
  check(works());
}

WATCH(closed_while_armed, "a watch that is closed while it waits takes nobody's wake any more") {
  check(is_quiet(&watch, arm) && sleepers() == 1);
  check(is_quiet(&watch, arm));
  shmseg_watch_close(&watch);
  check(sleepers() == 0);
  shmseg_watch other = { 0 }; /* has the thread stay */
  check(shmseg_segment_watch(&ours, SIZE - 4, 0, &other) == 0 && is_quiet(&watch, arm));
  shmseg_watch_close(&watch);
  check(sleepers() == 0);
  check(is_quiet(&watch, arm));
  check(shmseg_queue_watch(&queue, SHMSEG_WATCH_PUSH, &watch) == 0 && sleepers() == 0);
  shmseg_watch_close(&other);
}

WATCH(object_closed, "closing the object ends its watch, which is readable for good") {
  check(works());
  shmseg_queue_close(&queue);
  check(is_readable(&watch, 0) && arm() == SHMSEG_CLOSED && is_readable(&watch, 0));
  check(sleepers() == 0 && watch.fd > 0);
  must(shmseg_queue_open(&queue, shmseg_segment_whole(&ours), SHMSEG_WRITE, NULL, NULL) == 0);
  check(arm() == SHMSEG_CLOSED && is_readable(&watch, 0)); /* another handle, though at its place */
  shmseg_watch_close(&watch);
  check(works());
}

WATCH(segment_closed, "closing the segment ends its watches, and those of other segments go on") {
  shmseg_segment twin;
  shmseg_watch word = { 0 };
  same_segment(&twin, &ours);
  must(shmseg_segment_watch(&twin, 0, word_at(&twin, 0), &word) == 0);
  check(works());
  shmseg_segment_close(&twin);
  check(is_readable(&word, 0) && shmseg_segment_watch(&twin, 0, 0, &word) == SHMSEG_CLOSED);
  check(is_readable(&word, 0) && works());
  shmseg_watch_close(&word);
}

WATCH(name_goes, "a segment that was watched does not count as open when it is closed") {
  shmseg_segment mine;
  shmseg_watch word = { 0 };
  shmseg_options options = { .size = PAGE, .perm = 0600, .temporary = SHMSEG_TEMPORARY_LAST };
  shmseg_place place = fresh_place();
  must(shmseg_segment_open(&mine, place, SHMSEG_CREATE_ONLY, &options, NULL) == 0);
  must(shmseg_segment_watch(&mine, 0, 0, &word) == 0);
  shmseg_segment_close(&mine);
  check(shmseg_segment_open(&mine, place, SHMSEG_WRITE, NULL, NULL) == ENOENT);
  shmseg_watch_close(&word);
}

/* --- what stays --------------------------------------------------------------------------- */

WATCH(resized, "a watch that waits goes on when its segment is resized, moved or refreshed") {
  check(works());
  child peer = child_start(push, NULL);
  check(is_readable(&watch, SOON) && child_end(&peer) == 0);
  take();
  check(is_quiet(&watch, arm));
  check(shmseg_segment_resize(&ours, 64 * PAGE) == 0);
  must(shmseg_queue_push(&queue, "x", 1, 0) == 0);
  check(is_readable(&watch, SOON));
  take();
  check(is_quiet(&watch, arm));
  const unsigned char *before = ours.data;
  check(shmseg_segment_resize(&ours, 4096 * (size_t)PAGE) == 0 && ours.data != before);
  must(shmseg_queue_push(&queue, "x", 1, 0) == 0);
  check(is_readable(&watch, SOON));
  take();
  check(is_quiet(&watch, arm) && shmseg_segment_refresh(&ours) == 0);
  must(shmseg_queue_push(&queue, "x", 1, 0) == 0);
  check(is_readable(&watch, SOON));
  take();
  check(works());
}

WATCH(truncated, "a cut is found by the next call, which says so and leaves the watch readable") {
  check(is_quiet(&watch, arm));
  must(ftruncate(ours.fd, 0) == 0);
  (void)shmseg_queue_push(&queue, "x", 1, 0); /* meets the hole */
  check(arm() == SHMSEG_TRUNCATED && is_readable(&watch, 0));
  check(arm() == SHMSEG_TRUNCATED && is_readable(&watch, 0));
  shmseg_watch_close(&watch);
  check(arm() == SHMSEG_TRUNCATED && watch.fd == 0);
}

WATCH(cut_unseen, "a cut that nobody has met yet is no change, and no harm") {
  check(is_quiet(&watch, arm));
  must(ftruncate(ours.fd, 0) == 0);
  int err = arm();
  check(err == SHMSEG_TRUNCATED && is_readable(&watch, 0));
}

WATCH(killed_publisher,
      "what a peer has published that died before its wake is found at the next call") {
  check(is_quiet(&watch, arm));
  set_number(&ours, TAIL, number_at(&ours, TAIL) + 2 * SHMSEG_RECORD((uint64_t)0));
  check(!is_readable(&watch, WHILE));
  check(arm() == 0 && is_readable(&watch, 0));
  take();
  check(works());
}

WATCH(one_wake, "a wake of one sleeper may be the watch's, which is one of them") {
  check(shmseg_segment_watch(&ours, SIZE - 4, 0, &watch) == 0);
  const uint32_t *word = (const uint32_t *)(ours.data + SIZE - 4);
  bool woken = false;
  for (int i = 0; i < 1000 && !woken; i++) { /* a thread may not sleep yet */
    woken = shmseg_wait_wake(word, 1) == 1;
    usleep(1000);
  }
  check(woken && is_readable(&watch, SOON) && shmseg_wait_wake(word, 1) == 0);
}

WATCH(closed_alone, "a watch that is closed, or rearmed for another word, wakes no other sleeper") {
  shmseg_watch other = { 0 };
  if (ways_are("waits")) /* whose thread is told by such wakes */
    return;
  check(shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &other) == 0);
  check(is_quiet(&watch, arm));
  check(shmseg_queue_watch(&queue, SHMSEG_WATCH_PUSH, &other) == 0);
  check(shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &other) == 0);
  shmseg_watch_close(&other);
  check(!is_readable(&watch, WHILE));
}

/* --- forks -------------------------------------------------------------------------------- */

static void use_inherited(void *argument) {
  shmseg_watch own = { 0 };
  (void)argument;
  int inherited = count_descriptors();
  bool good = arm() == SHMSEG_FORKED && arm() == SHMSEG_FORKED;
  good = good && shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &own) == 0 && own.fd > 0;
  say(good ? 'y' : 'n');
  hear();
  good = is_readable(&own, SOON); /* the parent's push */
  shmseg_watch_close(&own);
  good = good && count_descriptors() == inherited && count_threads() == 1;
  shmseg_queue_close(&queue); /* ends the parent's watch in no way */
  good = good && arm() == SHMSEG_FORKED;
  shmseg_watch_close(&watch);
  good = good && count_descriptors() < inherited && watch.fd == 0;
  say(good ? 'y' : 'n');
  hear();
}

WATCH(forked, "a child cannot use its parent's watch, closes it without harm, and makes its own") {
  check(works());
  child c = child_start(use_inherited, NULL);
  check(child_hear(&c) == 'y' && !is_readable(&watch, WHILE));
  push(NULL);
  check(is_readable(&watch, SOON));
  child_tell(&c);
  check(child_hear(&c) == 'y');
  take();
  check(works() && sleepers() == 1); /* with a child that lives */
  child_tell(&c);
  check(child_end(&c) == 0 && works());
}

static void stay(void *argument) {
  (void)argument;
  say('y');
  hear();
}

WATCH(forked_and_closed, "a watch whose descriptors a child has, too, ends with its close") {
  check(is_quiet(&watch, arm));
  child c = child_start(stay, NULL);
  check(child_hear(&c) == 'y');
  shmseg_watch_close(&watch);
  check(sleepers() == 0);
  child_tell(&c);
  check(child_end(&c) == 0);
}

WATCH(forked_in_epoll,
      "nor does it stay readable in a set of epoll, where the child's copy keeps it") {
  struct epoll_event event = { .events = EPOLLIN };
  int set = epoll_create1(EPOLL_CLOEXEC);
  push(NULL);
  check(arm() == 0 && epoll_ctl(set, EPOLL_CTL_ADD, watch.fd, &event) == 0);
  child c = child_start(stay, NULL);
  check(child_hear(&c) == 'y' && epoll_wait(set, &event, 1, 0) == 1);
  shmseg_watch_close(&watch);
  check(epoll_wait(set, &event, 1, 0) == 0);
  child_tell(&c);
  check(child_end(&c) == 0);
  close(set);
}

/* --- threads ------------------------------------------------------------------------------ */

static void *arm_here(void *result) {
  *(int *)result = arm();
  return NULL;
}

static int arm_elsewhere(void) {
  pthread_t thread;
  int err = -1;
  must(pthread_create(&thread, NULL, arm_here, &err) == 0 && pthread_join(thread, NULL) == 0);
  return err;
}

WATCH(moved, "a watch can go from thread to thread, and survives the end of one") {
  for (int i = 0; i < 10; i++) {
    check(arm_elsewhere() == 0); /* that thread is gone now: it may be readable for nothing */
    push(NULL);
    check(is_readable(&watch, SOON));
    take();
    check(arm_elsewhere() == 0 && works());
  }
}

/* Arms it in a thread that lives on until the end of the test. */
static void *arm_and_stay(void *barrier) {
  must(arm() == 0);
  pthread_barrier_wait(barrier);
  pthread_barrier_wait(barrier);
  return NULL;
}

WATCH(one_sleeper, "a watch that another thread arms anew, or closes, is one sleeper, or none") {
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    pthread_barrier_t barrier;
    must(pthread_barrier_init(&barrier, NULL, 2) == 0);
    must(pthread_create(&thread, NULL, arm_and_stay, &barrier) == 0);
    pthread_barrier_wait(&barrier);
    child c = child_start(stay, NULL); /* it has the ring, too */
    check(child_hear(&c) == 'y');
    if (i % 2)
      shmseg_watch_close(&watch);
    else
      check(is_quiet(&watch, arm));
    check(sleepers() == (i % 2 ? 0 : 1));
    child_tell(&c);
    check(child_end(&c) == 0);
    pthread_barrier_wait(&barrier);
    must(pthread_join(thread, NULL) == 0);
    pthread_barrier_destroy(&barrier);
    shmseg_watch_close(&watch);
  }
}

WATCH(ended_elsewhere, "a segment that is closed in another thread ends the watch, too") {
  check(arm_elsewhere() == 0 && is_quiet(&watch, arm) && arm_elsewhere() == 0);
  shmseg_queue_close(&queue);
  check(is_readable(&watch, 0) && arm() == SHMSEG_CLOSED);
  for (int i = 0; i < 1000 && sleepers() > 0; i++) /* what a thread has left, the system takes */
    usleep(1000);
  check(sleepers() == 0);
}

typedef struct {
  shmseg_segment segment;
  shmseg_queue queue;
  pthread_t thread;
  int heard;
} worker;

#define WORKERS 4
#define MESSAGES 300

static void *work(void *argument) {
  worker *w = argument;
  shmseg_watch own = { 0 };
  uint64_t buffer[32];
  size_t used;
  int err = shmseg_queue_watch(&w->queue, SHMSEG_WATCH_POP, &own);
  while (!err && w->heard < MESSAGES && is_readable(&own, SOON)) {
    while (shmseg_queue_take(&w->queue, buffer, sizeof buffer, 1, &used, 0) == 0)
      w->heard++;
    if (w->heard % 10 == 0)
      shmseg_watch_close(&own);
    err = shmseg_queue_watch(&w->queue, SHMSEG_WATCH_POP, &own);
  }
  shmseg_watch_close(&own);
  return NULL;
}

WATCH(crowd, "threads that watch, close and make anew at once lose no message") {
  static worker workers[WORKERS];
  for (int i = 0; i < WORKERS; i++) {
    worker *w = &workers[i];
    w->heard = 0;
    new_anonymous(&w->segment, SIZE);
    must(shmseg_queue_open(&w->queue, shmseg_segment_whole(&w->segment), SHMSEG_CREATE, NULL,
                           NULL) == 0);
    must(pthread_create(&w->thread, NULL, work, w) == 0);
  }
  child peer = child_start(stay, NULL); /* a fork among them */
  for (int k = 0; k < MESSAGES; k++)
    for (int i = 0; i < WORKERS; i++) {
      shmseg_queue own = workers[i].queue; /* a handle is for one thread */
      must(push_fully(&own, "x", 1, SHMSEG_FOREVER) == 0);
    }
  for (int i = 0; i < WORKERS; i++) {
    must(pthread_join(workers[i].thread, NULL) == 0);
    check(workers[i].heard == MESSAGES);
    shmseg_queue_close(&workers[i].queue);
    shmseg_segment_close(&workers[i].segment);
  }
  child_tell(&peer);
  check(child_end(&peer) == 0);
}

/* --- races -------------------------------------------------------------------------------- */

static void (*before_read)(void);

/* In the place of the C library's: something happens just before the watch's readiness is taken away. */
ssize_t read(int fd, void *buffer, size_t count) {
  void (*happens)(void) = fd == watch.fd ? before_read : NULL;
  if (happens) {
    before_read = NULL;
    happens();
  }
  return syscall(SYS_read, fd, buffer, count);
}

static const uint32_t *last_word(void) {
  return (const uint32_t *)(ours.data + SIZE - 4);
}

static void wake_for_nothing(void) {
  shmseg_wait_wake(last_word(), SHMSEG_WAKE_ALL);
}

static int arm_last(void) {
  return shmseg_segment_watch(&ours, SIZE - 4, *last_word(), &watch);
}

WATCH(late_wake,
      "a late wake, which comes while a watch is armed anew, does not cost it the next one") {
  for (uint32_t i = 1; i <= 20; i++) {
    check(is_quiet(&watch, arm_last));
    before_read = wake_for_nothing;
    check(arm_last() == 0 && before_read == NULL);
    set_word(&ours, SIZE - 4, i);
    wake_for_nothing();
    check(is_readable(&watch, SOON));
  }
}

/* --- idleness ----------------------------------------------------------------------------- */

/* How often threads of this process have gone to sleep, all together. */
static long count_sleeps(void) {
  struct rusage usage;
  must(getrusage(RUSAGE_SELF, &usage) == 0);
  return usage.ru_nvcsw;
}

WATCH(idle, "watches that wait do nothing") {
  shmseg_watch many[20] = { { 0 } };
  for (int i = 0; i < 20; i++)
    check(shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &many[i]) == 0);
  check(!is_readable(&many[0], 20 * WHILE)); /* all threads sleep by now */
  long before = count_sleeps();
  check(!is_readable(&many[0], 20 * WHILE));
  check(count_sleeps() - before <= 1); /* that poll's */
  for (int i = 0; i < 20; i++)
    shmseg_watch_close(&many[i]);
}

/* --- many --------------------------------------------------------------------------------- */

#define MANY 1000

WATCH(many, "a process has a thousand watches, and each of them hears its word alone") {
  static shmseg_watch all[MANY];
  if (ways_are("waits"))
    return; /* the next test */
  struct rlimit before, limit;
  must(getrlimit(RLIMIT_NOFILE, &before) == 0);
  limit = (struct rlimit){ 3000, before.rlim_max };
  must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  for (int i = 0; i < MANY; i++)
    check(shmseg_segment_watch(&ours, SIZE - 4096 + (size_t)i * 4, 0, &all[i]) == 0);
  check(count_threads() == threads + (ways_are("thread") ? (MANY + 126) / 127 : 0));
  for (int i = 0; i < MANY; i += 37) {
    set_word(&ours, SIZE - 4096 + (uint64_t)i * 4, 1);
    shmseg_wait_wake((const uint32_t *)(ours.data + SIZE - 4096 + i * 4), SHMSEG_WAKE_ALL);
    check(is_readable(&all[i], SOON));
  }
  for (int i = 0; i < MANY; i++) {
    check(is_readable(&all[i], 0) == (i % 37 == 0));
    shmseg_watch_close(&all[i]);
  }
  must(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

WATCH(too_many, "without futex_waitv there are 64 watches at once, and the next is refused") {
  static shmseg_watch all[65];
  if (!ways_are("waits"))
    return;
  for (int i = 0; i < 64; i++)
    check(shmseg_segment_watch(&ours, SIZE - 4, 0, &all[i]) == 0);
  check(shmseg_segment_watch(&ours, SIZE - 4, 0, &all[64]) == EAGAIN && all[64].fd == 0);
  shmseg_watch_close(&all[13]);
  check(shmseg_segment_watch(&ours, SIZE - 4, 0, &all[64]) == 0);
  set_word(&ours, SIZE - 4, 1);
  shmseg_wait_wake((const uint32_t *)(ours.data + SIZE - 4), SHMSEG_WAKE_ALL);
  for (int i = 0; i < 65; i++)
    check(i == 13 || is_readable(&all[i], SOON));
  for (int i = 0; i < 65; i++)
    shmseg_watch_close(&all[i]);
}

/* --- nothing left ------------------------------------------------------------------------- */

/* From now on there are so many descriptors more. */
static void leave_descriptors(int count, struct rlimit *before) {
  must(getrlimit(RLIMIT_NOFILE, before) == 0);
  int next = fcntl(ours.fd, F_DUPFD, 0); /* the lowest that is free; those above are, too */
  close(next);
  struct rlimit limit = { (rlim_t)(next + count), before->rlim_max };
  must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

WATCH(no_descriptor, "a watch that finds no descriptor is refused, and leaves nothing") {
  struct rlimit before;
  leave_descriptors(0, &before);
  check(arm() == EMFILE && watch.fd == 0);
  must(setrlimit(RLIMIT_NOFILE, &before) == 0);
  check(count_descriptors() == descriptors && count_threads() == threads);
  check(works());
}

WATCH(one_descriptor, "a watch that finds one descriptor has no ring, and a thread") {
  struct rlimit before;
  leave_descriptors(1, &before);
  int err = arm();
  must(setrlimit(RLIMIT_NOFILE, &before) == 0);
  check(err == 0 && count_threads() > threads);
  check(works());
}

WATCH(no_new_ring,
      "a watch that needs a ring again, and finds no descriptor, goes on with a thread") {
  struct rlimit before;
  if (!ways_are("io_uring"))
    return;
  check(is_quiet(&watch, arm));
  leave_descriptors(0, &before);
  int err = arm_elsewhere(); /* the old ring has made room */
  must(setrlimit(RLIMIT_NOFILE, &before) == 0);
  check(err == 0 && count_threads() == threads);
  struct rlimit none = { (rlim_t)watch.futexfd.ring, before.rlim_max };
  must(setrlimit(RLIMIT_NOFILE, &none) == 0);
  err = arm_elsewhere();
  must(setrlimit(RLIMIT_NOFILE, &before) == 0);
  check(err == 0 && count_threads() > threads);
  check(works());
}

WATCH(no_thread, "a watch that finds no thread is refused, and leaves nothing") {
  struct rlimit before, none;
  if (ways_are("io_uring") || geteuid() == 0) /* nothing limits root */
    return;
  must(getrlimit(RLIMIT_NPROC, &before) == 0);
  none = (struct rlimit){ 0, before.rlim_max };
  must(setrlimit(RLIMIT_NPROC, &none) == 0);
  check(arm() == EAGAIN && watch.fd == 0);
  must(setrlimit(RLIMIT_NPROC, &before) == 0);
  check(works());
}

/* --- sandboxes, which stay ---------------------------------------------------------------- */

WATCH(sandboxed, "a sandbox that comes later, and refuses io_uring, has the thread go on") {
  check(works());
  ways_refuse(RING_ENTER, EPERM);
  ways_refuse(RING_SETUP, EPERM);
  check(works() && works());
  shmseg_watch fresh_one = { 0 };
  check(shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &fresh_one) == 0);
  check(count_threads() > threads);
  shmseg_watch_close(&fresh_one);
}

int main(int count, char **words) {
  (void)count;
  return ways_run(words);
}
