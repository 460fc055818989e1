/* SPDX-License-Identifier: MIT */
/* os/liveness: the kernel tells who is alive. */
#define _GNU_SOURCE
#include "os/liveness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/backing.h"
#include "unit/help.h"

static shmseg_segment segment; /* shared with the children */
static uint32_t *report;       /* a word in it */
static const char *name;
static const shmseg_place nameless;

static bool alive(uint32_t id) {
  return shmseg_liveness_probe(segment.fd, id);
}

/* The kernel lets go of a dead process's locks within this time. */
static bool dies(uint32_t id) {
  for (int64_t end = in_ms(2000); alive(id) && in_ms(0) < end;)
    usleep(1000);
  return !alive(id);
}

TEST(in_one_process, "an identity lives until it is given up, and two of one process are two") {
  shmseg_member a = { 0 }, b = { 0 };
  int descriptors = count_descriptors();
  check(shmseg_liveness_attach(segment.fd, segment.place, &a) == 0 &&
        shmseg_liveness_attach(segment.fd, segment.place, &b) == 0);
  check(a.id != b.id && a.id >= SHMSEG_ID_MIN && a.id <= SHMSEG_ID_MAX);
  check(alive(a.id) && alive(b.id) && shmseg_liveness_own(&a));
  uint32_t id = a.id;
  shmseg_liveness_detach(&a);
  check(a.id == 0 && !alive(id) && alive(b.id));
  shmseg_liveness_detach(&a); /* twice is harmless */
  shmseg_liveness_detach(&b);
  check(count_descriptors() == descriptors);
}

TEST(refused,
     "an identity needs a descriptor that is open for writing, and leaves nothing when refused") {
  shmseg_member member = { 0 };
  shmseg_segment reader;
  shmseg_options options = { 0 };
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, &options, NULL) == 0);
  int descriptors = count_descriptors();
  check(shmseg_liveness_attach(-1, nameless, &member) == EBADF && member.id == 0);
  int folder = open("/dev/shm", O_RDONLY | O_DIRECTORY);
  check(shmseg_liveness_attach(folder, nameless, &member) == EISDIR && member.id == 0);
  close(folder);
  check(count_descriptors() == descriptors);
  shmseg_segment_close(&reader);
}

TEST(beside_readers,
     "who locks everything for reading keeps nobody from an identity, but can hide a death") {
  shmseg_member member = { 0 }, other = { 0 };
  struct flock everything = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
  int reader;
  must(shmseg_backing_open(place_of(name), false, &reader) == 0);
  must(fcntl(reader, F_OFD_SETLK, &everything) == 0);
  check(shmseg_liveness_attach(segment.fd, segment.place, &member) == 0);
  check(shmseg_liveness_attach(segment.fd, segment.place, &other) == 0 && other.id != member.id);
  check(member.id & SHMSEG_ID_SHARED && member.id <= SHMSEG_ID_MAX && alive(member.id));
  uint32_t id = member.id;
  shmseg_liveness_detach(&member);
  check(alive(id)); /* what cannot be helped */
  close(reader);
  check(!alive(id) && alive(other.id));
  shmseg_liveness_detach(&other);
}

static void take(void *argument) {
  shmseg_member member = { 0 };
  (void)argument;
  *report = shmseg_liveness_attach(segment.fd, segment.place, &member) == 0 ? member.id : 0;
  say('t');
  hear();
}

TEST(killed, "a process that was killed is dead, a stopped one is alive") {
  child c = child_start(take, NULL);
  check(child_hear(&c) == 't' && *report != 0);
  uint32_t id = *report;
  check(alive(id));
  kill(c.pid, SIGSTOP);
  waitpid(c.pid, NULL, WUNTRACED);
  check(alive(id));
  kill(c.pid, SIGKILL);
  siginfo_t info;
  check(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT) == 0);
  check(!alive(id)); /* still a zombie: its files are gone */
  check(child_end(&c) == 256 + SIGKILL);
}

static void take_and_execute(void *argument) {
  shmseg_member member = { 0 };
  (void)argument;
  *report = shmseg_liveness_attach(segment.fd, segment.place, &member) == 0 ? member.id : 0;
  say('t');
  hear();
  execlp("sleep", "sleep", "20", (char *)NULL);
}

TEST(executed, "a process that executes another program is dead, though its number lives on") {
  child c = child_start(take_and_execute, NULL);
  check(child_hear(&c) == 't' && alive(*report));
  child_tell(&c);
  check(dies(*report));
  check(kill(c.pid, 0) == 0);
  check(child_kill(&c) == 256 + SIGKILL);
}

static shmseg_member inherited;

static void look_at_inherited(void *argument) {
  (void)argument;
  say(shmseg_liveness_own(&inherited) ? 'o' : 'f');
  say(alive(inherited.id) ? 'a' : 'd');
  hear(); /* the parent has given it up */
  say(alive(inherited.id) ? 'a' : 'd');
  shmseg_member own = { 0 };
  say(shmseg_liveness_attach(segment.fd, segment.place, &own) == 0 && own.id != inherited.id ? 'n'
                                                                                             : '-');
  uint32_t id = own.id;
  shmseg_liveness_detach(&inherited); /* the parent's: must not close what is ours */
  say(alive(id) ? 'a' : 'd');
}

TEST(forked, "a forked child has none of its parent's identities, and does not keep them alive") {
  must(shmseg_liveness_attach(segment.fd, segment.place, &inherited) == 0);
  uint32_t id = inherited.id;
  child c = child_start(look_at_inherited, NULL);
  check(child_hear(&c) == 'f' && child_hear(&c) == 'a');
  check(shmseg_liveness_own(&inherited) && alive(id));
  shmseg_liveness_detach(&inherited);
  check(!alive(id));
  child_tell(&c);
  inherited.id = id; /* what the child still has in its copy */
  check(child_hear(&c) == 'd' && child_hear(&c) == 'n' && child_hear(&c) == 'a');
  check(child_end(&c) == 0);
  inherited.id = 0;
}

TEST(child_ends_first, "the end of a forked child leaves its parent's identity alive") {
  must(shmseg_liveness_attach(segment.fd, segment.place, &inherited) == 0);
  child c = child_start(take, NULL);
  check(child_hear(&c) == 't');
  child_tell(&c);
  check(child_end(&c) == 0);
  check(alive(inherited.id) && shmseg_liveness_own(&inherited));
  shmseg_liveness_detach(&inherited);
}

/* fork without the C library: no handler of pthread_atfork runs. */
TEST(raw_clone, "a child of a raw clone knows that its parent's identity is not its own") {
  must(shmseg_liveness_attach(segment.fd, segment.place, &inherited) == 0);
  *report = 0;
  long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
  if (pid == 0) {
    shmseg_member own = { 0 };
    uint32_t seen = shmseg_liveness_own(&inherited) ? 1 : 2;
    if (shmseg_liveness_attach(segment.fd, segment.place, &own) == 0 && own.id != inherited.id)
      seen += shmseg_liveness_own(&own) ? 4 : 0;
    *report = seen;
    _exit(0);
  }
  must(pid > 0 && waitpid((pid_t)pid, NULL, 0) == pid);
  check(*report == 6);
  check(alive(inherited.id) && shmseg_liveness_own(&inherited));
  shmseg_liveness_detach(&inherited);
}

static void take_in_namespace(void *argument) {
  (void)argument;
  if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
    say('-');
    return;
  }
  pid_t pid = fork(); /* process 1 of the new namespace */
  if (pid == 0)
    take(NULL);
  if (pid > 0)
    waitpid(pid, NULL, 0);
}

TESTS(other_namespace) {
  static const char sentence[] = "death is seen across PID namespaces";
  child c = child_start(take_in_namespace, NULL);
  char answer = child_hear(&c);
  if (answer != 't') {
    test_skip(sentence, "unshare is refused");
    child_end(&c);
    return;
  }
  test_begin(sentence);
  check(*report != 0 && alive(*report));
  child_tell(&c);
  check(child_end(&c) == 0);
  check(dies(*report));
  test_done();
}

TEST(readers_locks, "a peer that may only read cannot make an identity look alive") {
  struct flock lock = {
    .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = ((off_t)1 << 62) + 12345, .l_len = 1
  };
  char path[64];
  snprintf(path, sizeof path, "/dev/shm/%s", name);
  int fd = open(path, O_RDONLY);
  check(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
  check(!alive(12345));
  close(fd);
}

TEST(many, "hundreds of identities on one object are told apart, and their slots are used again") {
  enum { COUNT = 300 };
  static shmseg_member members[COUNT];
  int descriptors = count_descriptors(), live = 0;
  for (int i = 0; i < COUNT; i++)
    check(shmseg_liveness_attach(segment.fd, segment.place, &members[i]) == 0);
  for (int i = 0; i < COUNT; i += 2) {
    uint32_t id = members[i].id;
    shmseg_liveness_detach(&members[i]);
    live += alive(id);
  }
  check(live == 0);
  for (int i = 1; i < COUNT; i += 2)
    live += alive(members[i].id);
  check(live == COUNT / 2);
  for (int i = 0; i < COUNT; i += 2)
    check(shmseg_liveness_attach(segment.fd, segment.place, &members[i]) == 0 &&
          members[i].slot < COUNT);
  for (int i = 0; i < COUNT; i++)
    shmseg_liveness_detach(&members[i]);
  check(count_descriptors() == descriptors);
}

int main(int count, char **words) {
  (void)count;
  name = fresh_name();
  new_segment(&segment, place_of(name), PAGE);
  report = (uint32_t *)segment.data;
  test_run(words);
  shmseg_segment_close(&segment);
  return help_end();
}
