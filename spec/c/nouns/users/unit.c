/* SPDX-License-Identifier: MIT */
/* os/users: who has a backing mapped or locked. */
#define _GNU_SOURCE
#include "os/users.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/backing.h"
#include "os/liveness.h"
#include "unit/help.h"

/* A plain shared memory object of one page, and its descriptor. */
static int make(shmseg_identity *identity) {
  struct stat status;
  const char *name = fresh_name();
  int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  must(fd >= 0 && ftruncate(fd, PAGE) == 0 && fstat(fd, &status) == 0);
  *identity = shmseg_backing_identity(&status);
  return fd;
}

static void *map(int fd) {
  void *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  must(memory != MAP_FAILED);
  return memory;
}

/* Does the process that the walk is at have the backing mapped? */
static int look_for(shmseg_users *users, const shmseg_identity *wanted, bool *found) {
  shmseg_identity mapped;
  int err;
  while ((err = shmseg_users_mapping(users, &mapped)) == 0)
    *found |= mapped.inode == wanted->inode && mapped.device == wanted->device;
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Walks over all processes; *pid is one that has the backing mapped, or 0. */
static int find(const shmseg_identity *identity, int *pid) {
  shmseg_users users;
  bool found = false;
  *pid = 0;
  int err = shmseg_users_open(&users);
  if (err)
    return err;
  while (!found && (err = shmseg_users_next(&users)) == 0 &&
         (err = look_for(&users, identity, &found)) == 0)
    if (found)
      *pid = users.pid;
  shmseg_users_close(&users);
  return err == SHMSEG_EMPTY ? 0 : err;
}

static int user_of(const shmseg_identity *identity) {
  int pid;
  return find(identity, &pid) == 0 ? pid : -1;
}

static void map_and_stay(void *argument) {
  map(*(int *)argument);
  say('m');
  hear();
}

TEST(mapped, "a process is found as long as it has the backing mapped, and no longer") {
  shmseg_identity identity;
  int fd = make(&identity);
  int descriptors = count_descriptors();
  check(user_of(&identity) == 0);
  void *memory = map(fd);
  check(user_of(&identity) == getpid());
  munmap(memory, PAGE);
  check(user_of(&identity) == 0);
  child c = child_start(map_and_stay, &fd);
  check(child_hear(&c) == 'm' && user_of(&identity) == c.pid);
  child_tell(&c);
  check(child_end(&c) == 0 && user_of(&identity) == 0);
  check(count_descriptors() == descriptors);
  close(fd);
}

static void *stay(void *argument) {
  map(*(int *)argument);
  say('m');
  hear();
  _exit(0);
}

static void go_on_without_the_first_thread(void *argument) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, stay, argument) == 0);
  pthread_exit(NULL);
}

static bool first_thread_lives(int pid) {
  char path[64], line[SHMSEG_PROC_LINE];
  shmseg_proc maps;
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  must(shmseg_proc_open(&maps, path) == 0);
  int err = shmseg_proc_next(&maps, line);
  shmseg_proc_close(&maps);
  return err == 0;
}

TEST(thread, "a process is found whose first thread has ended") {
  shmseg_identity identity;
  int fd = make(&identity);
  int descriptors = count_descriptors();
  child c = child_start(go_on_without_the_first_thread, &fd);
  check(child_hear(&c) == 'm');
  while (first_thread_lives(c.pid))
    sched_yield();
  check(user_of(&identity) == c.pid);
  child_tell(&c);
  check(child_end(&c) == 0 && user_of(&identity) == 0);
  check(count_descriptors() == descriptors);
  close(fd);
}

TEST(stopped, "a process that is stopped is found, too") {
  shmseg_identity identity;
  int fd = make(&identity);
  child c = child_start(map_and_stay, &fd);
  check(child_hear(&c) == 'm');
  kill(c.pid, SIGSTOP);
  check(user_of(&identity) == c.pid);
  child_kill(&c);
  close(fd);
}

TEST(device, "the device is the one that stat tells of shared memory") {
  shmseg_identity identity;
  uint64_t device;
  int fd = make(&identity);
  check(shmseg_backing_device(&device) == 0 && device == identity.device);
  close(fd);
}

TEST(ending, "processes that come and end meanwhile do no harm to the walk") {
  shmseg_identity identity;
  int fd = make(&identity);
  void *memory = map(fd);
  pid_t busy = fork();
  if (busy == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(20);
    for (;;)
      if (fork() == 0)
        _exit(0);
      else
        waitpid(-1, NULL, 0);
  }
  for (int i = 0; i < 100; i++) {
    int pid = user_of(&identity);
    check(pid > 0);
  }
  kill(busy, SIGKILL);
  waitpid(busy, NULL, 0);
  munmap(memory, PAGE);
  close(fd);
}

TEST(closed, "a process that ends while its mappings are read has no more of them") {
  shmseg_identity identity;
  shmseg_users users;
  int fd = make(&identity);
  child c = child_start(map_and_stay, &fd);
  check(child_hear(&c) == 'm');
  must(shmseg_users_open(&users) == 0);
  int err = 0;
  while ((err = shmseg_users_next(&users)) == 0 && users.pid != c.pid)
    continue;
  check(err == 0);
  child_kill(&c);
  check(shmseg_users_mapping(&users, &identity) == SHMSEG_EMPTY);
  shmseg_users_close(&users);
  shmseg_users_close(&users); /* twice is harmless */
  close(fd);
}

TEST(lacking, "without a descriptor the walk fails, and does not say that there is nobody") {
  shmseg_identity identity;
  struct rlimit limit, few = { 0, 0 };
  int fd = make(&identity);
  void *memory = map(fd);
  must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  int lowest = dup(fd);
  close(lowest);
  few.rlim_max = limit.rlim_max;
  for (int spare = 0; spare < 2; spare++) {
    int pid = -1;
    few.rlim_cur = (rlim_t)(lowest + spare);
    must(setrlimit(RLIMIT_NOFILE, &few) == 0);
    int err = find(&identity, &pid);
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    check(err == EMFILE && pid == 0);
  }
  check(user_of(&identity) == getpid());
  munmap(memory, PAGE);
  close(fd);
}

/* --- locks -------------------------------------------------------------------------------- */

static int count_once(const shmseg_identity *identity, bool *is_write, int *pid) {
  shmseg_proc file;
  shmseg_proc_lock lock;
  int count = 0;
  must(shmseg_users_open_locks(&file) == 0);
  while (shmseg_users_next_lock(&file, &lock) == 0)
    if (lock.is_flock && lock.identity.inode == identity->inode &&
        lock.identity.device == identity->device) {
      count++;
      *is_write = lock.is_write;
      *pid = lock.pid;
    }
  shmseg_proc_close(&file);
  return count;
}

/* The list comes in pieces, and the locks of other programs move it meanwhile: two readings have to
 * agree. */
static int count_locks(const shmseg_identity *identity, bool *is_write, int *pid) {
  int before, count = count_once(identity, is_write, pid);
  do {
    before = count;
    count = count_once(identity, is_write, pid);
  } while (count != before);
  return count;
}

TEST(locks, "the kernel's list has each flock, with its process") {
  shmseg_identity identity;
  bool is_write = true;
  int pid = 0, fd = make(&identity);
  check(count_locks(&identity, &is_write, &pid) == 0);
  must(flock(fd, LOCK_SH) == 0);
  check(count_locks(&identity, &is_write, &pid) == 1 && !is_write && pid == getpid());
  must(flock(fd, LOCK_EX) == 0);
  check(count_locks(&identity, &is_write, &pid) == 1 && is_write);
  close(fd);
  check(count_locks(&identity, &is_write, &pid) == 0);
}

static bool has_identity(int pid, const shmseg_identity *backing, uint32_t wanted) {
  shmseg_descriptors descriptors;
  shmseg_proc_lock lock;
  bool found = false;
  must(shmseg_users_open_descriptors(&descriptors, pid) == 0);
  while (shmseg_users_next_descriptor(&descriptors) == 0)
    while (shmseg_users_next_lock(&descriptors.locks, &lock) == 0) {
      uint32_t id;
      found |= lock.is_ofd && lock.identity.inode == backing->inode &&
               shmseg_liveness_byte(lock.start, &id) && id == wanted;
    }
  shmseg_users_close_descriptors(&descriptors);
  return found;
}

TEST(identities, "the descriptors of a process tell which identities it has") {
  shmseg_identity backing;
  shmseg_member member = { 0 };
  shmseg_place nameless = { SHMSEG_NAME, NULL };
  int fd = make(&backing);
  must(shmseg_liveness_attach(fd, nameless, &member) == 0);
  uint32_t id = member.id;
  check(has_identity(getpid(), &backing, id) && !has_identity(getppid(), &backing, id));
  shmseg_liveness_detach(&member);
  check(!has_identity(getpid(), &backing, id));
  close(fd);
}

TEST(bytes, "the bytes of identities are those of no other lock") {
  uint32_t id;
  uint64_t first = (uint64_t)1 << 62;
  check(shmseg_liveness_byte(first + SHMSEG_ID_MIN, &id) && id == SHMSEG_ID_MIN);
  check(shmseg_liveness_byte(first + SHMSEG_ID_MAX, &id) && id == SHMSEG_ID_MAX);
  check(!shmseg_liveness_byte(0, &id) && !shmseg_liveness_byte(first - 1, &id));
  check(!shmseg_liveness_byte(first + SHMSEG_ID_MIN - 1, &id));
  check(!shmseg_liveness_byte(first + SHMSEG_ID_MAX + 1, &id));
}
