/* SPDX-License-Identifier: MIT */
/* os/temporary: names that go with the process, whatever stands in the way. */
#define _GNU_SOURCE
#include "os/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/backing.h"
#include "unit/help.h"

static bool present(shmseg_place place) {
  struct stat status;
  return shmseg_backing_stat(place, &status) == 0;
}

/* A temporary segment that stays open; in a child, before it exits. */
static void have_temporary(shmseg_segment *segment, shmseg_place place) {
  shmseg_options options = { .size = PAGE, .perm = 0600, .temporary = true };
  if (shmseg_segment_open(segment, place, SHMSEG_CREATE_ONLY, &options, NULL) != 0)
    _exit(9);
}

/* Runs body in a child, which exits as it will: is the name gone then, and the exit good? */
static bool goes(void (*body)(void *place), shmseg_place *place) {
  child c = child_start(body, place);
  int status = child_end(&c);
  bool gone = !present(*place);
  shmseg_backing_unlink(*place);
  return status == 0 && gone;
}

static void scribble(void *place) {
  shmseg_segment segment;
  char name[64];
  strcpy(name, ((shmseg_place *)place)->name);
  have_temporary(&segment, place_of(name));
  memset(name, 'x', sizeof name - 1);
  exit(present(*(shmseg_place *)place) ? 0 : 8);
}

TESTS(own_names) {
  shmseg_place place = fresh_place();
  test("what exit needs is its own: the name that it was given may be gone by then",
       goes(scribble, &place));
}

static void exit_without_descriptor(void *place) {
  shmseg_segment segment;
  struct rlimit none = { 0, 0 };
  have_temporary(&segment, *(shmseg_place *)place);
  exit(setrlimit(RLIMIT_NOFILE, &none) == 0 ? 0 : 8);
}

TESTS(no_descriptor) {
  shmseg_place place = fresh_place();
  test("exit unlinks when no descriptor is free", goes(exit_without_descriptor, &place));
}

static void exit_busy(void *place) {
  shmseg_segment segment;
  have_temporary(&segment, *(shmseg_place *)place);
  say('o');
  hear();
  exit(0);
}

TEST(busy, "exit unlinks when a peer is at the object: afterwards, or in the end all the same") {
  shmseg_backing_lock lock;
  shmseg_place place = fresh_place();
  child c = child_start(exit_busy, &place);
  check(child_hear(&c) == 'o' && shmseg_backing_lock_place(place, &lock) == 0);
  child_tell(&c);
  usleep(50000); /* whether it sleeps by now or not: it has to wait for us */
  check(present(place));
  shmseg_backing_unlock(&lock);
  check(child_end(&c) == 0 && !present(place));

  c = child_start(exit_busy, &place);
  check(child_hear(&c) == 'o' && shmseg_backing_lock_place(place, &lock) == 0);
  child_tell(&c);
  check(child_end(&c) == 0 && !present(place));
  shmseg_backing_unlock(&lock);
}

/* From now on the kernel refuses locks to this process. */
static bool refuse_locks(unsigned err) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_SETLK, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof code / sizeof *code, code };
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void exit_refused(void *place) {
  shmseg_segment segment;
  have_temporary(&segment, *(shmseg_place *)place);
  exit(refuse_locks(EPERM) ? 0 : 8);
}

static void close_refused(void *place) {
  shmseg_segment segment;
  have_temporary(&segment, *(shmseg_place *)place);
  if (!refuse_locks(ENOSYS))
    _exit(8);
  shmseg_segment_close(&segment);
  _exit(0);
}

TEST(refused, "exit and close unlink where a sandbox refuses locks") {
  shmseg_place place = fresh_place();
  check(goes(exit_refused, &place));
  check(goes(close_refused, &place));
}

static const char *own_namespace(void) {
  return unshare(CLONE_NEWPID) == 0 ? NULL : "refused";
}

/* The first process of a namespace, whose child is the first of one, too. */
static void be_first(void *place) {
  shmseg_segment segment;
  have_temporary(&segment, *(shmseg_place *)place);
  if (getpid() != 1 || own_namespace())
    _exit(7);
  pid_t pid = fork();
  if (pid == 0)
    exit(getpid() == 1 ? 0 : 6);
  int status;
  waitpid(pid, &status, 0);
  say(status == 0 && present(*(shmseg_place *)place) ? 'p' : '-');
  exit(0);
}

static void make_first(void *place) {
  if (own_namespace()) {
    say('r');
    _exit(0);
  }
  pid_t pid = fork();
  if (pid == 0)
    be_first(place);
  int status;
  waitpid(pid, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 5);
}

TESTS(namespaces) {
  static const char sentence[] =
      "a child with its parent's process number, in a namespace of its own, unlinks nothing";
  shmseg_place place = fresh_place();
  child c = child_start(make_first, &place);
  char answer = child_hear(&c);
  if (answer == 'r') {
    test_skip(sentence, "namespaces are refused");
  } else {
    test_begin(sentence);
    check(answer == 'p');
    test_done();
  }
  child_end(&c);
  shmseg_backing_unlink(place);
}

TEST(unlimited, "10,000 names wait for exit, each with a ticket of its own") {
  enum { COUNT = 10000 };
  static shmseg_temporary *all[COUNT];
  shmseg_place place = { SHMSEG_NAME, "shmseg-unit-never-made" };
  shmseg_identity identity = { 1, 1 };
  int taken = 0, given = 0;
  for (int i = 0; i < COUNT; i++)
    taken += shmseg_temporary_add(place, identity, -1, false, &all[i]) == 0;
  for (int i = 0; i < COUNT; i++)
    given += shmseg_temporary_remove(all[i]) && !shmseg_temporary_remove(all[i]);
  check(taken == COUNT && given == COUNT);
}

static void exit_from_elsewhere(void *place) {
  shmseg_segment segment;
  have_temporary(&segment, *(shmseg_place *)place);
  exit(chdir("/") == 0 ? 0 : 8);
}

static void close_elsewhere(void *place) {
  shmseg_segment segment;
  have_temporary(&segment, *(shmseg_place *)place);
  if (chdir("/") != 0)
    _exit(8);
  shmseg_segment_close(&segment);
  _exit(0);
}

TEST(elsewhere, "a file of a relative path goes, wherever the process is by then") {
  char folder[] = "/tmp/shmseg-unit-XXXXXX", before[SHMSEG_PATH_MAX], deep[300] = "deep/";
  shmseg_place place = { SHMSEG_FILE, "memory.bin" };
  must(getcwd(before, sizeof before) && mkdtemp(folder) && chdir(folder) == 0);
  check(goes(exit_from_elsewhere, &place) && goes(close_elsewhere, &place));
  must(mkdir("deep", 0700) == 0);
  memset(deep + 5, 'n', 255);
  place.name = deep;
  check(goes(exit_from_elsewhere, &place) && goes(close_elsewhere, &place));
  must(rmdir("deep") == 0 && chdir(before) == 0 && rmdir(folder) == 0);
}

#define THREADS 3

static const char *prefix;

/* Opens and closes temporary segments until the process is no more. */
static void *open_for_ever(void *number) {
  shmseg_segment segments[4];
  shmseg_options options = { .size = PAGE, .perm = 0600, .temporary = true };
  char names[4][80];
  for (int i = 0; i < 4; i++)
    shmseg_segment_init(&segments[i]);
  for (unsigned round = 0;; round++) {
    shmseg_segment *segment = &segments[round % 4];
    char *name = names[round % 4];
    shmseg_segment_close(segment);
    snprintf(name, sizeof names[0], "%s-%d-%u", prefix, *(int *)number, round);
    int err = shmseg_segment_open(segment, place_of(name), SHMSEG_CREATE_ONLY, &options, NULL);
    if (err == ECANCELED)
      return NULL;
    if (err)
      _exit(9);
    if (round == 8 + (unsigned)*(int *)number)
      say('o');
  }
}

static void exit_among_threads(void *argument) {
  static const int numbers[THREADS] = { 0, 1, 2 };
  pthread_t id;
  (void)argument;
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&id, NULL, open_for_ever, (void *)(uintptr_t)&numbers[i]) != 0)
      _exit(8);
  hear();
  exit(0);
}

static int count_and_unlink(const char *beginning) {
  int count = 0;
  DIR *folder = opendir("/dev/shm");
  const struct dirent *entry;
  must(folder);
  while ((entry = readdir(folder)) != NULL)
    if (strncmp(entry->d_name, beginning, strlen(beginning)) == 0)
      count += unlinkat(dirfd(folder), entry->d_name, 0) == 0;
  closedir(folder);
  return count;
}

TEST(among_threads, "threads that go on opening while the process exits leave no name") {
  int left = 0;
  prefix = fresh_name();
  for (int round = 0; round < 100; round++) {
    child c = child_start(exit_among_threads, NULL);
    for (int i = 0; i < THREADS; i++)
      check(child_hear(&c) == 'o');
    child_tell(&c);
    check(child_end(&c) == 0);
    left += count_and_unlink(prefix);
  }
  check(left == 0);
}

/* Exits in the middle of its own opening: nobody else will name the object. */
static int exit_now(shmseg_segment *segment, void *context) {
  (void)segment, (void)context;
  exit(0);
}

static void exit_inside(void *place) {
  shmseg_segment segment;
  shmseg_options options = { .size = PAGE, .perm = 0600, .temporary = true, .init = exit_now };
  shmseg_segment_open(&segment, *(shmseg_place *)place, SHMSEG_CREATE_ONLY, &options, NULL);
}

TEST(from_init, "exit out of init leaves nothing, and waits for nobody") {
  shmseg_place place = fresh_place();
  int64_t began = now_ms();
  for (int i = 0; i < 20; i++)
    check(goes(exit_inside, &place));
  check(now_ms() - began < 15000); /* it would wait a second each time */
}
