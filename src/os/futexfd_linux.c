/* SPDX-License-Identifier: MIT */
/* A descriptor that becomes readable when a word changes: what is polled, and which way it is told. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os/futexfd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/descriptor.h"
#include "os/fork.h"
#include "os/futexfd_ways.h"

/* Nanoseconds until one that cannot be woken is readable. */
#define LATER 10000000

/* Milliseconds that a timer that is over may take to say so. */
#define OVERDUE 1000

enum { UNKNOWN, RING, THREAD, NONE, TIMER };

/* What this process uses, as soon as that is known. The environment chooses, for tests and in trouble. */
static int way;

bool shmseg_futexfd_is_refused(int err) {
  return err == EPERM || err == ENOSYS || err == EACCES || err == EINVAL || err == EOPNOTSUPP;
}

static int futexfd_try_ring(void) {
  const char *wanted = getenv("SHMSEG_WATCH");
  if (wanted && strcmp(wanted, "thread") == 0)
    return THREAD;
  int err = shmseg_futexfd_ring_try();
  if (!err)
    return RING;
  if (!shmseg_futexfd_is_refused(err))
    return -err;
  return wanted && strcmp(wanted, "io_uring") == 0 ? NONE : THREAD;
}

/* Says which way it is: 0, or why that cannot be known now. */
static int futexfd_choose(int *chosen) {
  *chosen = __atomic_load_n(&way, __ATOMIC_RELAXED);
  if (*chosen != UNKNOWN)
    return 0;
  int found = futexfd_try_ring();
  if (found < 0)
    return -found;
  int none = UNKNOWN;
  __atomic_compare_exchange_n(&way, &none, found, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  *chosen = none == UNKNOWN ? found : none;
  return 0;
}

const char *shmseg_futexfd_way(void) {
  int chosen;
  if (futexfd_choose(&chosen) != 0 || chosen == NONE)
    return NULL;
  return chosen == RING ? "io_uring" : "thread";
}

/* --- what is polled ----------------------------------------------------------------------- */

int shmseg_futexfd_eventfd(int *fd) {
  *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return *fd < 0 ? errno : shmseg_descriptor_raise(fd);
}

void shmseg_futexfd_drain(int fd) {
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
    ;
}

void shmseg_futexfd_write(int fd) {
  const uint64_t one = 1;
  while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
    ;
}

/* 0: never. What was due is taken away. */
static int futexfd_set_timer(int fd, long nanoseconds) {
  struct itimerspec when = { .it_value.tv_nsec = nanoseconds };
  return timerfd_settime(fd, 0, &when, NULL) == 0 ? 0 : errno;
}

void shmseg_futexfd_raise(shmseg_futexfd *f) {
  struct pollfd readable = { .fd = f->fd, .events = POLLIN };
  if (f->way != TIMER) {
    shmseg_futexfd_write(f->fd);
    return;
  }
  futexfd_set_timer(f->fd, 1);
  while (poll(&readable, 1, OVERDUE) < 0 && errno == EINTR)
    ;
}

/* --- making and closing ------------------------------------------------------------------- */

/* The ring, or the thread where there is none: also when a sandbox has come since the first one. */
static int futexfd_open_way(shmseg_futexfd *f, int chosen) {
  int err = EPERM;
  f->way = (short)chosen;
  if (chosen == RING)
    err = shmseg_futexfd_ring_open(f);
  if (chosen == THREAD || shmseg_futexfd_is_refused(err)) {
    f->way = THREAD;
    err = shmseg_futexfd_thread_open(f);
  }
  return err;
}

int shmseg_futexfd_open(shmseg_futexfd *f) {
  int chosen;
  int err = shmseg_fork_prepare();
  memset(f, 0, sizeof *f);
  f->file = -1;
  f->process = shmseg_fork_generation();
  if (!err)
    err = futexfd_choose(&chosen);
  if (!err && chosen == NONE)
    err = ENOTSUP;
  if (err)
    return err;
  err = shmseg_futexfd_eventfd(&f->fd);
  if (!err)
    err = futexfd_open_way(f, chosen);
  if (err && f->fd > 0)
    close(f->fd);
  if (err)
    f->fd = 0;
  return err;
}

int shmseg_futexfd_open_timer(shmseg_futexfd *f) {
  int err = shmseg_fork_prepare();
  memset(f, 0, sizeof *f);
  f->way = TIMER;
  f->process = shmseg_fork_generation();
  if (err)
    return err;
  f->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  err = f->fd < 0 ? errno : shmseg_descriptor_raise(&f->fd);
  if (err)
    f->fd = 0;
  return err;
}

bool shmseg_futexfd_is_ours(const shmseg_futexfd *f) {
  return shmseg_fork_same(f->process);
}

static void futexfd_close_way(shmseg_futexfd *f) {
  if (f->way == RING)
    shmseg_futexfd_ring_close(f);
  else if (f->way == THREAD)
    shmseg_futexfd_thread_close(f);
}

void shmseg_futexfd_end(shmseg_futexfd *f) {
  futexfd_close_way(f);
  shmseg_futexfd_raise(f);
}

void shmseg_futexfd_close(shmseg_futexfd *f) {
  if (f->fd == 0)
    return;
  if (shmseg_futexfd_is_ours(f))
    futexfd_close_way(f);
  else if (f->ring > 0)
    close(f->ring);
  close(f->fd);
  memset(f, 0, sizeof *f);
}

/* --- waiting ------------------------------------------------------------------------------ */

/* The same word, though its segment may have moved. */
static bool futexfd_is_same(const shmseg_futexfd *f, const shmseg_futexfd_word *word) {
  return word->file == f->file &&
         (word->file >= 0 ? word->offset == f->offset : word->address == f->address);
}

/* A ring that is refused by now: the thread goes on. */
static int futexfd_leave_ring(shmseg_futexfd *f) {
  shmseg_futexfd_ring_close(f);
  int err = shmseg_futexfd_thread_open(f);
  if (!err)
    f->way = THREAD;
  return err;
}

int shmseg_futexfd_begin(shmseg_futexfd *f, const shmseg_futexfd_word *word) {
  bool same = futexfd_is_same(f, word);
  if (f->way == TIMER)
    return futexfd_set_timer(f->fd, 0);
  f->file = word->file;
  f->offset = word->offset;
  f->address = word->address;
  if (f->way == RING) {
    int err = shmseg_futexfd_ring_begin(f, same);
    if (shmseg_futexfd_is_refused(err))
      err = futexfd_leave_ring(f);
    if (err || f->way == RING)
      return err;
  }
  return shmseg_futexfd_thread_begin(f, same);
}

int shmseg_futexfd_wait(shmseg_futexfd *f, const shmseg_futexfd_word *word, uint32_t seen) {
  if (f->way == TIMER)
    return futexfd_set_timer(f->fd, LATER);
  if (f->way == RING)
    return shmseg_futexfd_ring_wait(f, word->address, seen);
  return shmseg_futexfd_thread_wait(f, word, seen);
}

#else
typedef int shmseg_futexfd_linux_is_empty; /* ISO C forbids an empty file */
#endif
