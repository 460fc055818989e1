/* SPDX-License-Identifier: MIT */
/* What the unit tests share. */
#include "unit/help.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/owner.h"
#include "core/wait.h"

#define NAMES 64

/* The sanitizer must not take the signals that the library is there for. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "handle_sigbus=0:handle_segv=0:detect_leaks=0:allow_user_segv_handler=1";
}

static char names[NAMES][64];
static unsigned names_used;
static int in = -1, out = -1; /* of a child */

const char *fresh_name(void) {
  char *name = names[names_used++ % NAMES];
  snprintf(name, sizeof names[0], "shmseg-unit-%ld-%u", (long)getpid(), names_used);
  return name;
}

shmseg_place place_of(const char *name) {
  return (shmseg_place){ SHMSEG_NAME, name };
}

shmseg_place fresh_place(void) {
  return place_of(fresh_name());
}

void must_be(bool good, const char *what, const char *file, int line) {
  if (good)
    return;
  test_line(what, false, file, line);
  exit(help_end());
}

void new_segment(shmseg_segment *segment, shmseg_place place, size_t size) {
  shmseg_options options = { .size = size, .perm = 0600 };
  must(shmseg_segment_open(segment, place, SHMSEG_CREATE_ONLY, &options, NULL) == 0);
}

void new_anonymous(shmseg_segment *segment, size_t size) {
  shmseg_options options = { .size = size };
  must(shmseg_segment_anonymous(segment, &options) == 0);
}

void same_segment(shmseg_segment *segment, const shmseg_segment *other) {
  must(shmseg_segment_from_fd(segment, other->fd, true) == 0);
}

int64_t in_ms(int64_t milliseconds) {
  return shmseg_wait_deadline(milliseconds * MILLISECOND);
}

bool is_soon(int64_t began) {
  return now_ms() - began < 900;
}

int64_t now_ms(void) {
  return shmseg_wait_deadline(0) / MILLISECOND;
}

int count_descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  must(folder);
  while (readdir(folder))
    count++;
  closedir(folder);
  return count;
}

uint32_t word_at(const shmseg_segment *segment, uint64_t offset) {
  uint32_t word;
  memcpy(&word, segment->data + offset, sizeof word);
  return word;
}

void set_word(const shmseg_segment *segment, uint64_t offset, uint32_t value) {
  memcpy(segment->data + offset, &value, sizeof value);
}

uint64_t number_at(const shmseg_segment *segment, uint64_t offset) {
  uint64_t number;
  memcpy(&number, segment->data + offset, sizeof number);
  return number;
}

void set_number(const shmseg_segment *segment, uint64_t offset, uint64_t value) {
  memcpy(segment->data + offset, &value, sizeof value);
}

bool disagrees(int err, const shmseg_object *object, const char *what) {
  return err == SHMSEG_INCOMPATIBLE && object->mismatch && strcmp(object->mismatch, what) == 0;
}

child child_start(void (*body)(void *argument), void *argument) {
  int down[2], up[2];
  must(pipe(down) == 0 && pipe(up) == 0);
  child c = { fork(), down[1], up[0] };
  must(c.pid >= 0);
  if (c.pid == 0) {
    in = down[0], out = up[1];
    close(down[1]);
    close(up[0]);
    body(argument);
    _exit(EXIT_SUCCESS);
  }
  close(down[0]);
  close(up[1]);
  return c;
}

void say(char c) {
  if (write(out, &c, 1) != 1)
    _exit(3);
}

static char receive(int from) {
  char c;
  struct pollfd one = { .fd = from, .events = POLLIN };
  int got;
  while ((got = poll(&one, 1, 10000)) < 0 && errno == EINTR)
    continue;
  return got == 1 && read(from, &c, 1) == 1 ? c : '\0';
}

char hear(void) {
  return receive(in);
}

char child_hear(child *c) {
  return receive(c->from);
}

void child_tell(child *c) {
  signal(SIGPIPE, SIG_IGN);
  must(write(c->to, "g", 1) == 1);
}

int child_end(child *c) {
  int status;
  close(c->to);
  must(waitpid(c->pid, &status, 0) == c->pid);
  close(c->from);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int child_kill(child *c) {
  kill(c->pid, SIGKILL);
  return child_end(c);
}

typedef struct {
  const shmseg_segment *segment;
  uint64_t offset;
} inside;

static void be_inside(void *argument) {
  const inside *where = argument;
  shmseg_segment own;
  uint32_t id;
  bool dirty;
  same_segment(&own, where->segment);
  uint32_t *word = (uint32_t *)(own.data + where->offset);
  must(shmseg_owner_identity(&own, &id) == 0);
  must(shmseg_lock_take(&own, word, id, 0, 0, &dirty) == 0);
  say('l');
  hear();
  must(shmseg_lock_release(&own, word, id, SHMSEG_LOCK_FREE, 1) == 0);
}

child child_inside(const shmseg_segment *segment, uint64_t offset) {
  inside where = { segment, offset };
  child c = child_start(be_inside, &where);
  must(child_hear(&c) == 'l');
  return c;
}

static unsigned char *trap;
static void (*surprise_in_trap)(void);

void disarm_trap(void) {
  if (trap)
    mprotect(trap, PAGE, PROT_READ | PROT_WRITE);
  trap = NULL;
}

static void spring(int number, siginfo_t *info, void *context) {
  unsigned char *address = info->si_addr;
  (void)context;
  if (!trap || address < trap || address >= trap + PAGE) {
    signal(number, SIG_DFL); /* the touch is made again, and ends the program */
    return;
  }
  disarm_trap();
  surprise_in_trap();
}

void set_trap(void *page, void (*surprise)(void)) {
  struct sigaction action = { .sa_sigaction = spring, .sa_flags = SA_SIGINFO | SA_NODEFER };
  must(!trap && sigaction(SIGSEGV, &action, NULL) == 0);
  trap = page;
  surprise_in_trap = surprise;
  must(mprotect(page, PAGE, PROT_NONE) == 0);
}

static int last_sleep;

/* Instead of shmseg_futex_wait, see rules.mk. */
int __real_shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds);
int __wrap_shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds);
int __wrap_shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds) {
  last_sleep = __real_shmseg_futex_wait(word, seen, nanoseconds);
  return last_sleep;
}

char sleep_ended(void) {
  return last_sleep == ETIMEDOUT ? 'l' : 'w';
}

bool wakes_each_time(child *c, bool (*change)(int round)) {
  int wakes = 0;
  for (int round = 0; round < WAKES; round++) {
    usleep(2000); /* until it sleeps */
    char answer = change(round) ? child_hear(c) : '\0';
    if (answer != 'w' && answer != 'l')
      return false;
    wakes += answer == 'w';
  }
  return wakes > WAKES / 2;
}

int lock_fully(shmseg_mutex *mutex, int64_t deadline, bool *abandoned) {
  int err;
  do
    err = shmseg_mutex_lock(mutex, deadline, abandoned);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

int read_fully(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned) {
  int err;
  do
    err = shmseg_rwlock_read_lock(rwlock, deadline, abandoned);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

int write_fully(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned) {
  int err;
  do
    err = shmseg_rwlock_write_lock(rwlock, deadline, abandoned);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

int acquire_fully(shmseg_semaphore *semaphore, int64_t deadline) {
  int err;
  do
    err = shmseg_semaphore_acquire(semaphore, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

int wait_fully(shmseg_event *event, int64_t deadline) {
  uint32_t began = 0;
  int err;
  do
    err = shmseg_event_wait(event, &began, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

int push_fully(shmseg_queue *queue, const void *bytes, size_t size, int64_t deadline) {
  int err;
  do
    err = shmseg_queue_push(queue, bytes, size, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

int push_many_fully(shmseg_queue *queue, const shmseg_source *messages, size_t count,
                    size_t *pushed, int64_t deadline) {
  size_t more = 0;
  int err;
  *pushed = 0;
  do {
    err = shmseg_queue_push_many(queue, messages + *pushed, count - *pushed, &more, deadline);
    *pushed += more;
  } while (err == SHMSEG_INTERRUPTED);
  return err;
}

int take_fully(shmseg_queue *queue, void *buffer, size_t available, uint64_t max, size_t *used,
               int64_t deadline) {
  int err;
  do
    err = shmseg_queue_take(queue, buffer, available, max, used, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

int help_end(void) {
  for (unsigned i = 0; i < NAMES; i++)
    if (names[i][0])
      shmseg_segment_remove(place_of(names[i]));
  return test_end();
}

/* That of programs with nothing to set up; the others have their own. */
int main(int count, char **words) __attribute__((weak));
int main(int count, char **words) {
  (void)count;
  test_run(words);
  return help_end();
}
