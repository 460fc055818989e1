/* SPDX-License-Identifier: MIT */
/* The processes of a case: actors, users, and what they leave behind. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/owner.h"
#include "os/clock.h"
#include "step/step.h"

/* Seconds after which a process of a case is stuck. */
#define STUCK 10

shmseg_segment step_segment;
char step_name[64];

/* Shared by all processes of the run: the first thing that went wrong. */
static char *complaint;

#define COMPLAINT 4000 /* bytes; behind it, the flags */
volatile bool *step_over, *step_walking;

void step_prepare_complaints(void) {
  complaint = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (complaint == MAP_FAILED)
    abort();
  step_over = (volatile bool *)complaint + COMPLAINT;
  step_walking = step_over + 1;
}

static pid_t process; /* that has made the names */

/* Names go with a run that is interrupted, too. */
static void clean_up(int number) {
  char path[sizeof "/dev/shm/" + sizeof step_name] = "/dev/shm/";
  strcpy(path + strlen(path), step_name);
  if (step_name[0] && getpid() == process)
    unlink(path);
  signal(number, SIG_DFL);
  raise(number);
}

void step_prepare_signals(void) {
  process = getpid();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, clean_up);
  signal(SIGTERM, clean_up);
  signal(SIGSEGV, clean_up);
}

void step_expect_that(bool good, const char *what, const char *file, int line) {
  if (!good && complaint[0] == '\0')
    snprintf(complaint, COMPLAINT, "%s (%s:%d)", what, file, line);
}

const char *step_complaint(void) {
  static char found[COMPLAINT];
  strcpy(found, complaint);
  complaint[0] = '\0';
  return found[0] ? found : NULL;
}

int step_open_other(shmseg_segment *other) {
  shmseg_segment_init(other);
  return shmseg_segment_from_fd(other, step_segment.fd, true);
}

int step_open_reader(shmseg_segment *reader) {
  shmseg_segment_init(reader);
  return shmseg_segment_from_fd(reader, step_segment.fd, false);
}

void step_enter_lock(size_t offset) {
  uint32_t id, seen = SHMSEG_LOCK_FREE;
  step_expect(shmseg_owner_identity(&step_segment, &id) == 0);
  step_expect(cas_ordered((uint32_t *)(step_segment.data + offset), &seen, id));
}

bool step_alone;
static bool sleeps; /* this process is an actor that sleeps */

int __real_shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds);
int __wrap_shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds);

/* Linked in front of the real one. During a walk a sleeper goes on when it is woken, and not at the
 * end of its interval: what it did then would be taken for the subject's work. */
int __wrap_shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds) {
  int err = ETIMEDOUT;
  if (step_alone)
    return err;
  do
    err = __real_shmseg_futex_wait(word, seen, nanoseconds);
  while (err == ETIMEDOUT && sleeps && *step_walking);
  return err;
}

int64_t step_deadline(int64_t milliseconds) {
  return shmseg_clock_now() + milliseconds * 1000000;
}

const char *step_noun(const step_structure *structure) {
  return structure->noun ? structure->noun : structure->kind->name;
}

const char *step_name_of(const step_structure *structure) {
  return structure->name ? structure->name : step_noun(structure);
}

size_t step_size(const step_structure *structure) {
  return structure->kind ? (size_t)shmseg_object_size(structure->kind, structure->options)
                         : structure->size;
}

int step_open(const step_structure *structure, shmseg_mode mode) {
  if (!structure->kind)
    return 0;
  return shmseg_object_open(structure->handle, structure->kind, shmseg_segment_whole(&step_segment),
                            mode, structure->options, NULL);
}

const char *step_verify(const step_structure *structure) {
  return structure->kind ? shmseg_object_check(structure->handle) : structure->verify();
}

void step_close(const step_structure *structure) {
  if (structure->kind)
    shmseg_object_close(structure->handle);
}

void step_enter(const step_structure *structure) {
  static const shmseg_options none;
  shmseg_place place = { SHMSEG_NAME, step_name };
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(STUCK);
  if (structure->look)
    return;
  step_expect(shmseg_segment_open(&step_segment, place, SHMSEG_WRITE, &none, NULL) == 0);
  step_expect(step_open(structure, SHMSEG_WRITE) == 0);
}

static void act(const step_structure *structure, const step_actor *actor, int out, int in) {
  char byte = 0;
  sleeps = actor->fate == STEP_SLEEPS;
  step_enter(structure);
  actor->begin();
  bool told = write(out, "a", 1) == 1 && read(in, &byte, 1) == 1;
  if (told && actor->end)
    actor->end();
  _exit(told ? 0 : 1);
}

step_process step_process_start(const step_structure *structure, const step_actor *actor) {
  int from[2], to[2];
  *step_over = false; /* actors come before it begins */
  if (pipe2(from, O_CLOEXEC) != 0 || pipe2(to, O_CLOEXEC) != 0)
    abort();
  pid_t pid = fork();
  if (pid == 0) {
    close(from[0]);
    close(to[1]);
    act(structure, actor, from[1], to[0]);
  }
  if (pid < 0)
    abort();
  close(from[1]);
  close(to[0]);
  return (step_process){ pid, from[0], to[1] };
}

bool step_process_arrived(step_process *process, int milliseconds) {
  char byte;
  struct pollfd come = { .fd = process->from, .events = POLLIN };
  return poll(&come, 1, milliseconds) == 1 && read(process->from, &byte, 1) == 1;
}

/* Asleep in a futex call. */
bool step_process_asleep(pid_t pid) {
  char path[64], line[256] = "";
  snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
  FILE *file = fopen(path, "re");
  if (!file)
    return false;
  bool read_it = fgets(line, sizeof line, file) != NULL;
  fclose(file);
  return read_it && line[0] >= '0' && line[0] <= '9' && strtol(line, NULL, 10) == SYS_futex;
}

static bool end_process(step_process *process) {
  int status = 1;
  if (process->pid > 0)
    waitpid(process->pid, &status, 0);
  if (process->from >= 0)
    close(process->from);
  if (process->to >= 0)
    close(process->to);
  *process = (step_process){ 0, -1, -1 };
  return status == 0;
}

void step_process_kill(step_process *process) {
  if (process->pid > 0)
    kill(process->pid, SIGKILL);
  end_process(process);
}

bool step_process_finish(step_process *process) {
  if (write(process->to, "e", 1) != 1)
    step_expect(!"an actor has died");
  return end_process(process);
}

static const char *look_and_use(const step_structure *structure) {
  const char *found = structure->look();
  const char *wrong = structure->use();
  return wrong ? wrong : found;
}

static const char *check_and_use(const step_structure *structure) {
  const char *wrong = step_verify(structure);
  return wrong ? wrong : structure->use();
}

static void use_and_tell(const step_structure *structure, int out) {
  step_enter(structure);
  const char *found = structure->look ? look_and_use(structure) : check_and_use(structure);
  step_expect(write(out, found, strlen(found)) > 0);
  _exit(0);
}

const char *step_use_elsewhere(const step_structure *structure, char *buffer, size_t size) {
  int come[2];
  if (pipe2(come, O_CLOEXEC) != 0)
    abort();
  pid_t pid = fork();
  if (pid == 0) {
    close(come[0]);
    use_and_tell(structure, come[1]);
  }
  close(come[1]);
  step_process user = { pid, come[0], -1 };
  ssize_t count = read(come[0], buffer, size - 1);
  buffer[count > 0 ? count : 0] = '\0';
  if (!end_process(&user))
    snprintf(buffer, size, "the user has died or is stuck");
  return buffer;
}

static unsigned count_entries(const char *path, const char *prefix) {
  unsigned count = 0;
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
    count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
  if (folder)
    closedir(folder);
  return count;
}

unsigned step_names_count(void) {
  char prefix[64];
  snprintf(prefix, sizeof prefix, "shmseg-step-%d-", (int)getpid());
  return count_entries("/dev/shm", prefix);
}

unsigned step_descriptors(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  return count_entries(path, "");
}

bool step_locks_left(const shmseg_segment *segment) {
  struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
  return fcntl(segment->fd, F_OFD_GETLK, &all) != 0 || all.l_type != F_UNLCK;
}
