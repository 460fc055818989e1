/* SPDX-License-Identifier: MIT */
/* Watches: every system call of making one, and of a later call, fails once with each of its plausible
 * errors. Then nothing is left, or the watch is readable, and the next call goes well. */
#define _GNU_SOURCE
#include "core/wait.h"
#include "unit/wrapped.h"
#include "ways.h"

static const struct {
  const char *call;
  int errors[4];
} plausible[] = {
  { "eventfd", { EMFILE, ENFILE, ENOMEM } },
  { "timerfd_create", { EMFILE, ENFILE, ENOMEM } },
  { "pthread_create", { EAGAIN, ENOMEM } },
  { "mmap", { ENOMEM, EAGAIN } },
  { "open", { EMFILE, ENFILE, ENOENT } },
  { "fcntl", { EBADF } },
  { "madvise", { ENOMEM } },
  { "munmap", { 0 } },
  { "sigaction", { 0 } },
};

static shmseg_segment ours, reader;
static shmseg_queue queue;
static shmseg_watch watch;

static void set_up(void) {
  shmseg_object_options small = { .capacity = 100 };
  const char *name = fresh_name();
  new_segment(&ours, place_of(name), PAGE);
  must(shmseg_queue_open(&queue, shmseg_segment_whole(&ours), SHMSEG_CREATE, &small, NULL) == 0);
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, NULL, NULL) == 0);
}

static void close_all(void) {
  shmseg_watch_close(&watch);
  shmseg_queue_close(&queue);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&reader);
}

static const test_fixture fresh = { set_up, close_all };
#define WATCH_FIXTURE fresh
#define WATCH_AFTER close_all

static int arm(void) {
  return shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &watch);
}

static int turn(void) {
  return shmseg_segment_watch(&ours, PAGE - 4, word_at(&ours, PAGE - 4), &watch);
}

static bool works(void) {
  bool quiet = is_quiet(&watch, turn);
  set_word(&ours, PAGE - 4, word_at(&ours, PAGE - 4) + 1);
  shmseg_wait_wake((const uint32_t *)(ours.data + PAGE - 4), SHMSEG_WAKE_ALL);
  return quiet && is_readable(&watch, SOON);
}

static const int *errors_of(const char *call) {
  for (size_t i = 0; i < sizeof plausible / sizeof *plausible; i++)
    if (strcmp(plausible[i].call, call) == 0)
      return plausible[i].errors;
  must_be(false, call, __FILE__, __LINE__);
  return NULL;
}

/* Can a watch do without what that call gives? Without a ring, with the description that is there. */
static bool is_needed(const char *call) {
  return strcmp(call, "madvise") != 0 && strcmp(call, "open") != 0 && strcmp(call, "fcntl") != 0 &&
         !(strcmp(call, "mmap") == 0 && ways_are("io_uring"));
}

/* A call fails: so does making a watch that needs it; and nothing is left when it is closed. */
static void fail_making(int (*make)(void), int i, const char *call, int err) {
  int descriptors = count_descriptors(), threads = count_threads();
  long mappings = wrapped_mappings();
  wrapped_begin(i, err);
  int result = make();
  wrapped_end();
  check(result == (is_needed(call) ? err : 0) && (result == 0) == (watch.fd > 0));
  shmseg_watch_close(&watch);
  check(count_descriptors() == descriptors && count_threads() == threads);
  check(wrapped_mappings() == mappings);
}

static const char *calls[100];
static int calls_count;

/* Notes which system calls it makes. */
static void note_calls(int (*make)(void)) {
  wrapped_begin(-1, 0);
  must(make() == 0);
  calls_count = wrapped_end();
  for (int i = 0; i < calls_count; i++)
    calls[i] = wrapped_name(i);
}

static void fail_each_call(int (*make)(void)) {
  must(make() == 0); /* what is done once in a process is done */
  shmseg_watch_close(&watch);
  note_calls(make);
  shmseg_watch_close(&watch);
  for (int i = 0; i < calls_count; i++)
    for (const int *err = errors_of(calls[i]); *err != 0; err++)
      fail_making(make, i, calls[i], *err);
}

WATCH(made, "a watch that cannot be made is refused with the reason, and leaves nothing") {
  fail_each_call(turn);
  check(works());
}

static int arm_reader(void) {
  shmseg_queue other;
  must(shmseg_queue_open(&other, shmseg_segment_whole(&reader), SHMSEG_READ, NULL, NULL) == 0);
  int err = shmseg_queue_watch(&other, SHMSEG_WATCH_POP, &watch);
  shmseg_queue_close(&other);
  return err;
}

WATCH(made_for_reader, "so is one of a read-only handle") {
  fail_each_call(arm_reader);
}

WATCH(turned, "a later call that fails says why, and leaves the watch readable") {
  must(arm() == 0);
  note_calls(turn);
  for (int i = 0; i < calls_count; i++)
    for (const int *err = errors_of(calls[i]); *err != 0; err++) {
      shmseg_watch_close(&watch);
      check(is_quiet(&watch, arm));
      wrapped_begin(i, *err);
      int result = turn();
      wrapped_end();
      check(result == (is_needed(calls[i]) ? *err : 0));
      check(result == 0 || is_readable(&watch, 0));
    }
  check(works());
}

/* --- what a sandbox, or a kernel, says of io_uring; in a process each, since it stays ----------- */

static int refused_call, refused_with, refused_result;

static void be_refused(void *argument) {
  (void)argument;
  int descriptors = count_descriptors();
  ways_refuse((unsigned)refused_call, (unsigned)refused_with);
  say(arm() == refused_result ? 'y' : 'n');
  bool good = refused_result == 0 ? works() && count_threads() == 2 : watch.fd == 0;
  shmseg_watch_close(&watch);
  say(good && count_descriptors() == descriptors ? 'y' : 'n');
}

static bool is_met(int call, int err, int result) {
  refused_call = call;
  refused_with = err;
  refused_result = result;
  child c = child_start(be_refused, NULL);
  bool good = child_hear(&c) == 'y';
  good = child_hear(&c) == 'y' && good;
  return child_end(&c) == 0 && good;
}

WATCH(refused, "where io_uring is refused, or has no room, a thread does it") {
  if (!ways_are("io_uring"))
    return;
  for (int call = RING_SETUP; call <= RING_ENTER + 1; call++) {
    check(is_met(call, EPERM, 0) && is_met(call, ENOSYS, 0) && is_met(call, EACCES, 0));
    check(is_met(call, ENOMEM, 0) && is_met(call, EMFILE, 0));
  }
}

int main(int count, char **words) {
  (void)count;
  return ways_run(words);
}
