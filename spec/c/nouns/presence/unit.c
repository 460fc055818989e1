/* SPDX-License-Identifier: MIT */
/* os/presence: who has an object open; and names that go with the last of them. */
#define _GNU_SOURCE
#include "os/presence.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "objects/header.h"
#include "os/backing.h"
#include "os/users.h"
#include "unit/help.h"

static shmseg_place place;

static bool present(void) {
  struct stat status;
  return shmseg_backing_stat(place, &status) == 0;
}

static int open_fd(bool writable) {
  int fd = -1;
  must(shmseg_backing_open(place, writable, &fd) == 0);
  return fd;
}

static int enter(int fd) {
  struct stat status;
  return shmseg_presence_enter(fd, &status);
}

/* What a remover would find. */
static int try_to_exclude(void) {
  int fd = open_fd(true);
  int err = shmseg_presence_exclude(fd);
  if (!err)
    shmseg_presence_readmit(fd);
  close(fd);
  return err;
}

static void make_object(void) {
  shmseg_segment segment;
  place = fresh_place();
  new_segment(&segment, place, PAGE);
  shmseg_segment_close(&segment);
}

static void remove_object(void) {
  shmseg_backing_unlink(place);
}

static const test_fixture object = { make_object, remove_object };

/* --- the lock ----------------------------------------------------------------------------- */

TEST_WITH(object, in_one_process,
          "a presence keeps removers out, and a remover keeps openers out") {
  int a = open_fd(true), b = open_fd(false), remover = open_fd(true);
  check(enter(a) == 0 && enter(b) == 0);
  check(shmseg_presence_exclude(remover) == EBUSY);
  shmseg_presence_close(a);
  check(shmseg_presence_exclude(remover) == EBUSY);
  shmseg_presence_close(b);
  check(shmseg_presence_exclude(remover) == 0);
  check(try_to_exclude() == EAGAIN);
  a = open_fd(false);
  check(enter(a) == EAGAIN);
  shmseg_presence_readmit(remover);
  check(enter(a) == 0 && try_to_exclude() == EBUSY);
  shmseg_presence_close(a);
  close(remover);
}

TEST_WITH(object, fake, "who may only read can look present, and shuts nobody out") {
  struct flock all = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
  int reader = open_fd(false), a = open_fd(false), b = open_fd(true);
  check(flock(reader, LOCK_EX | LOCK_NB) == 0);
  check(try_to_exclude() == EBUSY);
  check(enter(a) == 0 && enter(b) == 0); /* each by a lock of another sort */
  check(try_to_exclude() == EBUSY);
  flock(reader, LOCK_UN);
  check(try_to_exclude() == EBUSY);
  shmseg_presence_close(a);
  check(try_to_exclude() == EBUSY);
  shmseg_presence_close(b);
  check(try_to_exclude() == 0);
  check(fcntl(reader, F_OFD_SETLK, &all) == 0);
  check(try_to_exclude() == EBUSY);
  a = open_fd(false);
  check(enter(a) == 0);
  shmseg_presence_close(a);
  close(reader);
  check(try_to_exclude() == 0);
}

static int reader_fd;

static void share(void *argument) {
  (void)argument;
  say('s');
  hear();
}

TEST_WITH(object, forked, "a presence lasts until all who share it by fork are gone") {
  reader_fd = open_fd(false);
  check(enter(reader_fd) == 0);
  child c = child_start(share, NULL);
  check(child_hear(&c) == 's');
  shmseg_presence_close(reader_fd);
  check(try_to_exclude() == EBUSY);
  child_kill(&c);
  check(try_to_exclude() == 0);
}

static void exclude_and_stop(void *argument) {
  (void)argument;
  int fd = open_fd(true);
  say(shmseg_presence_exclude(fd) == 0 ? 'x' : 'n');
  hear();
  shmseg_presence_readmit(fd);
}

static int init_calls;

static int count_init(shmseg_segment *segment, void *context) {
  (void)segment, (void)context;
  init_calls++;
  return 0;
}

/* Opens until 150 ms are over; counts the intervals. */
static int open_behind(shmseg_mode mode, int *intervals) {
  shmseg_segment segment;
  shmseg_options options = { .size = PAGE, .perm = 0600, .init = count_init };
  int64_t deadline = in_ms(150);
  int err, descriptors = count_descriptors();
  *intervals = -1;
  do {
    err = shmseg_segment_open_until(&segment, place, mode, &options, &deadline, NULL);
    ++*intervals;
  } while (err == SHMSEG_INTERRUPTED);
  check(!shmseg_segment_is_open(&segment) || err == 0);
  shmseg_segment_close(&segment);
  check(count_descriptors() == descriptors);
  return err;
}

TEST_WITH(object, stopped, "behind a remover that is stopped an opener waits, in intervals") {
  shmseg_cell cell;
  shmseg_segment segment;
  bool created;
  int intervals;
  child c = child_start(exclude_and_stop, NULL);
  check(child_hear(&c) == 'x' && kill(c.pid, SIGSTOP) == 0);
  check(open_behind(SHMSEG_READ, &intervals) == SHMSEG_TIMEOUT && intervals > 0);
  check(open_behind(SHMSEG_WRITE, &intervals) == SHMSEG_TIMEOUT && intervals > 0);
  check(open_behind(SHMSEG_CREATE, &intervals) == SHMSEG_TIMEOUT && intervals > 0);
  check(open_behind(SHMSEG_CREATE_ONLY, &intervals) == EEXIST && init_calls == 0);
  int64_t deadline = 0, least = in_ms(5000);
  memset(&segment, 0, sizeof segment);
  check(shmseg_object_open_named_until(&cell.object, &shmseg_cell_kind, &segment, place.name,
                                       SHMSEG_WRITE, NULL, NULL, &deadline,
                                       &created) == SHMSEG_INTERRUPTED);
  check(deadline >= least && !shmseg_segment_is_open(&segment));
  kill(c.pid, SIGCONT);
  child_tell(&c);
  check(open_behind(SHMSEG_CREATE, &intervals) == 0);
  check(child_end(&c) == 0);
}

TEST_WITH(object, killed, "a remover that is killed keeps nobody out") {
  child c = child_start(exclude_and_stop, NULL);
  check(child_hear(&c) == 'x');
  child_kill(&c);
  int fd = open_fd(true);
  check(enter(fd) == 0);
  shmseg_presence_close(fd);
  check(try_to_exclude() == 0);
}

/* Takes the name for another object, and lets a remover be at work on it. */
static child winner;

static int lose_race(shmseg_segment *segment, void *context) {
  shmseg_segment other;
  (void)segment, (void)context;
  if (init_calls++ > 0)
    return 0;
  new_segment(&other, place, PAGE);
  shmseg_segment_close(&other);
  winner = child_start(exclude_and_stop, NULL);
  check(child_hear(&winner) == 'x' && kill(winner.pid, SIGSTOP) == 0);
  return 0;
}

TEST(lost_race, "who has lost the race for a name to what is being removed tries again") {
  shmseg_segment segment;
  shmseg_options options = { .size = 2 * PAGE, .perm = 0600, .init = lose_race };
  int64_t deadline = 0;
  bool created = true;
  int descriptors = count_descriptors();
  place = fresh_place();
  init_calls = 0;
  check(shmseg_segment_open_until(&segment, place, SHMSEG_CREATE, &options, &deadline, &created) ==
        SHMSEG_INTERRUPTED);
  check(init_calls == 1 && !created && !shmseg_segment_is_open(&segment));
  check(count_descriptors() == descriptors + 2); /* the pipes to the child */
  shmseg_backing_unlink(place);
  child_kill(&winner);
  check(shmseg_segment_open_until(&segment, place, SHMSEG_CREATE, &options, &deadline, &created) ==
        0);
  check(init_calls == 2 && created);
  shmseg_segment_close(&segment);
  shmseg_backing_unlink(place);
}

/* --- counting ----------------------------------------------------------------------------- */

static int count_once(shmseg_identity identity) {
  shmseg_proc locks = { 0 };
  shmseg_proc_lock lock;
  int count = 0;
  must(shmseg_users_open_locks(&locks) == 0);
  while (shmseg_users_next_lock(&locks, &lock) == 0)
    count += lock.identity.device == identity.device && lock.identity.inode == identity.inode &&
             shmseg_presence_is_lock(&lock);
  shmseg_proc_close(&locks);
  return count;
}

/* The handles of an object, as the kernel's list of locks tells them. The list comes in pieces, and the
 * locks of other programs move it meanwhile: two readings have to agree. */
static int count_handles(shmseg_identity identity) {
  int before, count = count_once(identity);
  do {
    before = count;
    count = count_once(identity);
  } while (count != before);
  return count;
}

TEST_WITH(object, counted, "the handles of an object are counted, and those of no other") {
  shmseg_segment segments[40];
  int reader = open_fd(false), last;
  struct stat status;
  must(fstat(reader, &status) == 0);
  shmseg_identity identity = shmseg_backing_identity(&status);
  check(count_handles(identity) == 0);
  for (int i = 0; i < 40; i++)
    check(shmseg_segment_open(&segments[i], place, i % 2 ? SHMSEG_READ : SHMSEG_WRITE, NULL,
                              NULL) == 0);
  check(count_handles(identity) == 40);
  check(flock(reader, LOCK_EX | LOCK_NB) != 0);
  for (int i = 0; i < 40; i++)
    shmseg_segment_close(&segments[i]);
  check(flock(reader, LOCK_EX | LOCK_NB) == 0);
  last = open_fd(false);
  check(enter(last) == 0 && count_handles(identity) == 1);
  shmseg_presence_close(last);
  close(reader);
}

TEST_WITH(object, from_fd, "a handle on a descriptor has a presence, and the descriptor has none") {
  shmseg_segment segment, nameless;
  int fd = open_fd(true);
  check(shmseg_segment_from_fd(&segment, fd, true) == 0);
  check(try_to_exclude() == EBUSY);
  shmseg_segment_close(&segment);
  check(try_to_exclude() == 0 && fcntl(fd, F_GETFD) >= 0);
  close(fd);
  new_anonymous(&nameless, PAGE);
  fd = fcntl(nameless.fd, F_DUPFD_CLOEXEC, 3);
  check(flock(fd, LOCK_EX | LOCK_NB) == 0); /* anonymous memory has none */
  close(fd);
  shmseg_segment_close(&nameless);
}

/* --- the last handle ---------------------------------------------------------------------- */

static const shmseg_options last = { .size = PAGE,
                                     .perm = 0600,
                                     .temporary = SHMSEG_TEMPORARY_LAST };

static void open_last(shmseg_segment *segment) {
  must(shmseg_segment_open(segment, place, SHMSEG_CREATE, &last, NULL) == 0);
}

TEST(goes_last, "the name goes with the last handle that has asked for it, creator or not") {
  shmseg_segment a, b, plain;
  place = fresh_place();
  open_last(&a);
  open_last(&b);
  must(shmseg_segment_open(&plain, place, SHMSEG_READ, NULL, NULL) == 0);
  shmseg_segment_close(&a);
  check(present());
  shmseg_segment_close(&plain);
  check(present());
  shmseg_segment_close(&b);
  check(!present());

  open_last(&a);
  must(shmseg_segment_open(&plain, place, SHMSEG_WRITE, NULL, NULL) == 0);
  shmseg_segment_close(&a);
  shmseg_segment_close(&plain); /* has not asked */
  check(present());
  open_last(&a);
  shmseg_segment_close(&a);
  check(!present());
}

TEST(namesake, "another object of that name stays") {
  shmseg_segment a, other;
  place = fresh_place();
  open_last(&a);
  check(shmseg_segment_remove(place) == 0);
  new_segment(&other, place, PAGE);
  shmseg_segment_close(&other);
  shmseg_segment_close(&a);
  check(present());
  remove_object();
}

/* How a child ends that has the name, and perhaps other handles. */
static void exit_plainly(void *argument) {
  shmseg_segment a, b;
  (void)argument;
  open_last(&a);
  must(shmseg_segment_open(&b, place, SHMSEG_READ, NULL, NULL) == 0);
  exit(present() ? 0 : 8);
}

static void exit_after_fork(void *argument) {
  shmseg_segment a;
  (void)argument;
  open_last(&a);
  must(shmseg_segment_resize(&a, 16 * PAGE) == 0); /* which maps anew */
  child c = child_start(share, NULL);
  child_hear(&c);
  child_kill(&c);
  exit(present() ? 0 : 8);
}

static void exit_in_forked(void *argument) {
  shmseg_segment a;
  open_last(&a);
  pid_t pid = fork();
  if (pid == 0) { /* has the handle, too, and outlives its parent */
    usleep(20000);
    say('l');
    hear();
    exit(present() ? 0 : 8);
  }
  (void)argument;
  shmseg_segment_close(&a);
  _exit(present() ? 0 : 8);
}

static void exit_without_descriptor(void *argument) {
  shmseg_segment a, b;
  (void)argument;
  open_last(&a);
  open_last(&b);
  while (dup(0) >= 0)
    continue;
  exit(errno == EMFILE ? 0 : 8);
}

static void exit_hard(void *argument) {
  shmseg_segment a;
  (void)argument;
  open_last(&a);
  _exit(0);
}

static bool goes(void (*body)(void *argument)) {
  place = fresh_place();
  child c = child_start(body, NULL);
  bool good = child_end(&c) == 0 && !present();
  shmseg_backing_unlink(place);
  return good;
}

TESTS(exits) {
  test("exit is closing, of all handles of the process", goes(exit_plainly));
  test("exit is closing, also when the process has forked since", goes(exit_after_fork));
  test("exit closes also without a free descriptor", goes(exit_without_descriptor));
}

TEST(forked_last, "a forked child that is the last one takes the name along when it exits") {
  place = fresh_place();
  child c = child_start(exit_in_forked, NULL);
  check(child_hear(&c) == 'l' && present());
  child_tell(&c);
  check(child_end(&c) == 0);
  for (int64_t end = in_ms(5000); present() && in_ms(0) < end;)
    usleep(1000);
  check(!present());
}

TEST(left, "_exit and signals leave the name to the next who closes") {
  shmseg_segment a;
  place = fresh_place();
  child c = child_start(exit_hard, NULL);
  check(child_end(&c) == 0 && present());
  must(shmseg_segment_open(&a, place, SHMSEG_WRITE, &last, NULL) == 0);
  shmseg_segment_close(&a);
  check(!present());
}

TEST(failed, "an open that fails removes nothing, and leaves nothing behind") {
  shmseg_segment a;
  shmseg_options large = last;
  large.size = 2 * PAGE;
  place = fresh_place();
  child c = child_start(exit_hard, NULL);
  check(child_end(&c) == 0);
  int descriptors = count_descriptors();
  check(shmseg_segment_open(&a, place, SHMSEG_WRITE, &large, NULL) == SHMSEG_TOO_SMALL);
  check(present() && count_descriptors() == descriptors);
  check(try_to_exclude() == 0);
  remove_object();
}

TEST(files, "a file goes, too, when those ask that have it open") {
  char path[64];
  shmseg_segment a, b, other;
  snprintf(path, sizeof path, "/tmp/%s", fresh_name());
  place = (shmseg_place){ SHMSEG_FILE, path };
  open_last(&a);
  open_last(&b);
  must(shmseg_segment_open(&other, place, SHMSEG_WRITE, NULL, NULL) == 0); /* does not count */
  shmseg_segment_close(&a);
  check(present());
  shmseg_segment_close(&b);
  check(!present());
  shmseg_segment_close(&other);
}

/* --- the mark ----------------------------------------------------------------------------- */

static int open_cell(shmseg_cell *cell, shmseg_segment *segment, shmseg_mode mode, int temporary) {
  shmseg_options own = { .perm = 0600, .temporary = temporary };
  shmseg_object_options options = { .capacity = 8 };
  return shmseg_object_open_named(&cell->object, &shmseg_cell_kind, segment, place.name, mode,
                                  &options, &own, NULL);
}

static int mark_there(void) {
  int fd = open_fd(false);
  int mark = shmseg_header_mark_of(fd);
  close(fd);
  return mark;
}

TEST(marked, "an object tells that it goes with its last handle: who attaches need not ask") {
  shmseg_cell a, b;
  shmseg_mutex other;
  shmseg_segment sa, sb, so;
  place = fresh_place();
  must(open_cell(&a, &sa, SHMSEG_CREATE_ONLY, SHMSEG_TEMPORARY_LAST) == 0);
  check(mark_there() == SHMSEG_TEMPORARY_LAST && !shmseg_cell_check(&a));
  must(open_cell(&b, &sb, SHMSEG_WRITE, 0) == 0);
  shmseg_segment_close(&sa);
  check(present());
  check(shmseg_object_open_named(&other.object, &shmseg_mutex_kind, &so, place.name, SHMSEG_WRITE,
                                 NULL, NULL, NULL) == SHMSEG_INCOMPATIBLE);
  shmseg_segment_close(&sb);
  check(!present());
}

TEST(unmarked, "an object without the mark is not changed by who asks for it later") {
  shmseg_cell a;
  shmseg_segment sa;
  place = fresh_place();
  for (int mark = 0; mark < 3; mark++) {
    must(open_cell(&a, &sa, SHMSEG_CREATE, mark == 0 ? 0 : SHMSEG_TEMPORARY_LAST) == 0);
    check(mark_there() == 0);
    shmseg_segment_close(&sa);
    check(present());
  }
  remove_object();
  must(open_cell(&a, &sa, SHMSEG_CREATE, SHMSEG_TEMPORARY) == 0);
  check(mark_there() == SHMSEG_TEMPORARY);
  shmseg_segment_close(&sa);
  check(!present());
  check(open_cell(&a, &sa, SHMSEG_CREATE, 3) == EINVAL);
}

TEST(wrong_mark, "what is no mark of a complete header is none, and a failed open keeps the name") {
  uint32_t header[SHMSEG_HEADER_SIZE / 4] = { SHMSEG_HEADER_MAGIC, 1, 1, SHMSEG_TEMPORARY_LAST };
  check(shmseg_header_mark(header) == SHMSEG_TEMPORARY_LAST);
  header[3] = 3;
  check(shmseg_header_mark(header) == 0);
  header[3] = SHMSEG_TEMPORARY_LAST;
  header[0] = SHMSEG_HEADER_INIT | 20;
  check(shmseg_header_mark(header) == 0);

  shmseg_cell a;
  shmseg_mutex other;
  shmseg_segment segment;
  place = fresh_place();
  pid_t pid = fork();
  if (pid == 0)
    _exit(open_cell(&a, &segment, SHMSEG_CREATE, SHMSEG_TEMPORARY_LAST));
  int status = -1;
  check(waitpid(pid, &status, 0) == pid && status == 0);
  check(shmseg_object_open_named(&other.object, &shmseg_mutex_kind, &segment, place.name,
                                 SHMSEG_CREATE, NULL, NULL, NULL) == SHMSEG_INCOMPATIBLE);
  check(present());
  must(open_cell(&a, &segment, SHMSEG_WRITE, 0) == 0);
  shmseg_segment_close(&segment);
  check(!present());
}

/* --- many at once ------------------------------------------------------------------------- */

#define PROCESSES 4

/* Is the name there, and leads it to the handle's object? */
static bool leads_to(const shmseg_segment *segment) {
  struct stat status;
  if (shmseg_backing_stat(place, &status) != 0)
    return false;
  return (uint64_t)status.st_ino == segment->identity.inode;
}

/* Opens and closes; exits with 1 when the name goes while it has the object open. */
static void come_and_go(int rounds, unsigned seed) {
  shmseg_segment segment;
  for (int i = 0; rounds == 0 || i < rounds; i++) {
    int err = shmseg_segment_open(&segment, place, SHMSEG_CREATE, &last, NULL);
    if (err)
      _exit(2);
    for (unsigned look = rand_r(&seed) % 4; look > 0; look--) {
      if (!leads_to(&segment))
        _exit(1);
      sched_yield();
    }
    shmseg_segment_close(&segment);
  }
  _exit(0);
}

static pid_t start_coming(int rounds, unsigned seed) {
  pid_t pid = fork();
  must(pid >= 0);
  if (pid == 0)
    come_and_go(rounds, seed);
  return pid;
}

TEST(race, "of processes that come and go none loses the name, and the last one takes it along") {
  place = fresh_place();
  for (int round = 0; round < 40 && test_good; round++) {
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
      pids[i] = start_coming(25, (unsigned)(round * PROCESSES + i));
    for (int i = 0; i < PROCESSES; i++) {
      int status = -1;
      check(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
    }
    check(!present());
    shmseg_backing_unlink(place);
  }
}

TEST(storm, "when some are killed meanwhile, the next who closes takes the name along") {
  shmseg_segment segment;
  pid_t pids[PROCESSES];
  unsigned seed = 1;
  place = fresh_place();
  for (int i = 0; i < PROCESSES; i++)
    pids[i] = start_coming(0, (unsigned)i);
  for (int kills = 0; kills < 300 && test_good; kills++) {
    int status = -1, victim = kills % PROCESSES;
    usleep((useconds_t)(rand_r(&seed) % 2000));
    kill(pids[victim], SIGKILL);
    check(waitpid(pids[victim], &status, 0) == pids[victim] && WIFSIGNALED(status));
    pids[victim] = start_coming(0, (unsigned)kills + 100);
  }
  for (int i = 0; i < PROCESSES; i++) {
    kill(pids[i], SIGKILL);
    waitpid(pids[i], NULL, 0);
  }
  open_last(&segment);
  shmseg_segment_close(&segment);
  check(!present());
}

#define CLOSERS 3

static pthread_barrier_t gate;
static int wrong; /* the name was gone too early, or stayed */

/* Closes together with the others, as often. */
static void *close_together(void *rounds) {
  shmseg_segment segment;
  for (int i = 0; i < *(int *)rounds; i++) {
    open_last(&segment);
    if (pthread_barrier_wait(&gate) == PTHREAD_BARRIER_SERIAL_THREAD)
      wrong += !present();
    pthread_barrier_wait(&gate);
    shmseg_segment_close(&segment);
    if (pthread_barrier_wait(&gate) == PTHREAD_BARRIER_SERIAL_THREAD)
      wrong += present();
    pthread_barrier_wait(&gate);
  }
  return NULL;
}

TEST(together, "of handles that close at the same moment one takes the name along") {
  int rounds = 3000;
  pthread_t ids[CLOSERS];
  place = fresh_place();
  must(pthread_barrier_init(&gate, NULL, CLOSERS) == 0);
  for (int i = 0; i < CLOSERS; i++)
    must(pthread_create(&ids[i], NULL, close_together, &rounds) == 0);
  for (int i = 0; i < CLOSERS; i++)
    pthread_join(ids[i], NULL);
  pthread_barrier_destroy(&gate);
  check(wrong == 0);
  shmseg_backing_unlink(place);
}

/* Threads that keep a handle, and open and close others until exit refuses them. */
static void *open_for_ever(void *number) {
  shmseg_segment kept, segment;
  open_last(&kept);
  for (unsigned round = 0;; round++) {
    int err = shmseg_segment_open(&segment, place, SHMSEG_CREATE, &last, NULL);
    if (err == ECANCELED)
      return NULL;
    if (err)
      _exit(9);
    shmseg_segment_close(&segment);
    if (round == *(unsigned *)number)
      say('o');
  }
}

static void exit_among_threads(void *argument) {
  static const unsigned numbers[3] = { 3, 4, 5 };
  pthread_t id;
  (void)argument;
  for (int i = 0; i < 3; i++)
    if (pthread_create(&id, NULL, open_for_ever, (void *)(uintptr_t)&numbers[i]) != 0)
      _exit(8);
  hear();
  exit(0);
}

TEST(among_threads, "threads that go on opening while the process exits leave no name") {
  place = fresh_place();
  for (int round = 0; round < 30 && test_good; round++) {
    child c = child_start(exit_among_threads, NULL);
    for (int i = 0; i < 3; i++)
      child_hear(&c);
    child_tell(&c);
    check(child_end(&c) == 0 && !present());
    shmseg_backing_unlink(place);
  }
}

static bool opens_late;

/* main registers it, and so it runs after exit has removed what was to be removed. */
static void open_late(void) {
  shmseg_segment a, b;
  if (!opens_late)
    return;
  if (shmseg_segment_open(&a, place, SHMSEG_WRITE, NULL, NULL) != 0)
    _exit(7);
  if (shmseg_segment_open(&b, place, SHMSEG_WRITE, &last, NULL) != ECANCELED)
    _exit(8);
  say('o');
  hear();
}

static void open_at_exit(void *argument) {
  shmseg_segment a;
  (void)argument;
  opens_late = true;
  open_last(&a);
  exit(0);
}

TEST(at_exit, "what a process opens while it exits has no presence, and keeps no name") {
  shmseg_segment a;
  place = fresh_place();
  must(shmseg_segment_open(&a, place, SHMSEG_CREATE, &last, NULL) == 0);
  child c = child_start(open_at_exit, NULL);
  check(child_hear(&c) == 'o' && present());
  shmseg_segment_close(&a);
  check(!present());
  child_tell(&c);
  check(child_end(&c) == 0);
}

int main(int count, char **words) {
  (void)count;
  must(atexit(open_late) == 0);
  test_run(words);
  return help_end();
}
