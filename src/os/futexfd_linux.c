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

/* Who has a ring and loses it, or finds none free, goes on with a thread, unless a ring is wanted. */
enum { UNKNOWN, RING, THREAD, NONE, TIMER };

/* What this process uses, as soon as that is known. The environment chooses, for tests and in trouble. */
static int way;

/* Does a kernel, or a sandbox, refuse this, and will it do so each time? */
static bool futexfd_is_refused(int err) {
  return err == EPERM || err == ENOSYS || err == EACCES || err == EINVAL || err == EOPNOTSUPP;
}

static bool futexfd_wants(const char *name) {
  const char *wanted = getenv("SHMSEG_WATCH");
  return wanted && strcmp(wanted, name) == 0;
}

/* *stays: it will be so the next time, too. f has its eventfd, and has the ring if one is found. */
static int futexfd_find(shmseg_futexfd *f, bool *stays) {
  *stays = true;
  if (futexfd_wants("thread"))
    return THREAD;
  int err = shmseg_futexfd_ring_try(f);
  bool refused = futexfd_is_refused(err);
  *stays = err == 0 || refused;
  if (futexfd_wants("io_uring"))
    return refused ? NONE : RING;
  return err ? THREAD : RING;
}

static int futexfd_choose(shmseg_futexfd *f) {
  bool stays;
  int chosen = __atomic_load_n(&way, __ATOMIC_RELAXED);
  if (chosen != UNKNOWN)
    return chosen;
  chosen = futexfd_find(f, &stays); /* the same for each thread that is here at once */
  if (stays)
    __atomic_store_n(&way, chosen, __ATOMIC_RELAXED);
  return chosen;
}

const char *shmseg_futexfd_way(void) {
  shmseg_futexfd f = { 0 };
  int chosen = __atomic_load_n(&way, __ATOMIC_RELAXED);
  if (chosen == UNKNOWN && shmseg_futexfd_eventfd(&f.fd) == 0) {
    chosen = futexfd_choose(&f);
    shmseg_futexfd_ring_close(&f);
    close(f.fd);
  }
  return chosen == NONE ? NULL : chosen == RING ? "io_uring" : "thread";
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

/* The ring that was there, if any, does not go on, because of err: the thread does. */
static int futexfd_leave_ring(shmseg_futexfd *f, int err) {
  shmseg_futexfd_ring_close(f);
  if (futexfd_wants("io_uring"))
    return err;
  err = shmseg_futexfd_thread_open(f);
  if (!err)
    f->way = THREAD;
  return err;
}

static int futexfd_open_way(shmseg_futexfd *f, int chosen) {
  f->way = chosen == THREAD ? THREAD : RING;
  if (f->way == THREAD)
    return shmseg_futexfd_thread_open(f);
  int err = f->ring > 0 ? 0 : shmseg_futexfd_ring_open(f);
  return err ? futexfd_leave_ring(f, err) : 0;
}

int shmseg_futexfd_open(shmseg_futexfd *f) {
  int err = shmseg_fork_prepare();
  memset(f, 0, sizeof *f);
  f->file = -1;
  f->process = shmseg_fork_generation();
  if (!err)
    err = shmseg_futexfd_eventfd(&f->fd);
  int chosen = err ? NONE : futexfd_choose(f);
  if (!err)
    err = chosen == NONE ? ENOTSUP : futexfd_open_way(f, chosen);
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
  if (shmseg_futexfd_is_ours(f)) {
    futexfd_close_way(f);
    shmseg_futexfd_drain(f->fd); /* a child's copy keeps it in the sets of epoll */
  } else if (f->ring > 0) {
    close(f->ring);
  }
  close(f->fd);
  memset(f, 0, sizeof *f);
}

/* --- waiting ------------------------------------------------------------------------------ */

/* The same word, though its segment may have moved. */
static bool futexfd_is_same(const shmseg_futexfd *f, const shmseg_futexfd_word *word) {
  return word->file == f->file &&
         (word->file >= 0 ? word->offset == f->offset : word->address == f->address);
}

static int futexfd_begin_way(shmseg_futexfd *f, bool same) {
  if (f->way == RING) {
    int err = shmseg_futexfd_ring_begin(f, same);
    if (err)
      err = futexfd_leave_ring(f, err);
    if (err || f->way == RING)
      return err;
  }
  return shmseg_futexfd_thread_begin(f, same);
}

int shmseg_futexfd_begin(shmseg_futexfd *f, const shmseg_futexfd_word *word) {
  bool same = futexfd_is_same(f, word);
  if (f->way == TIMER)
    return futexfd_set_timer(f->fd, 0);
  if (same)
    f->address = word->address; /* else the old wait, if it is to end, is one on the old word */
  int err = futexfd_begin_way(f, same);
  f->file = word->file;
  f->offset = word->offset;
  f->address = word->address;
  return err;
}

int shmseg_futexfd_wait(shmseg_futexfd *f, const shmseg_futexfd_word *word, uint32_t seen) {
  if (f->way == TIMER)
    return futexfd_set_timer(f->fd, LATER);
  if (f->way == RING) {
    int err = shmseg_futexfd_ring_wait(f, word->address, seen);
    if (err)
      err = futexfd_leave_ring(f, err);
    if (err || f->way == RING)
      return err;
  }
  return shmseg_futexfd_thread_wait(f, word, seen);
}

#else
typedef int shmseg_futexfd_linux_is_empty; /* ISO C forbids an empty file */
#endif
