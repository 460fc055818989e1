/* SPDX-License-Identifier: MIT */
/* Streams of bytes, as pipes, terminals and sockets are. */
#include "os/stream.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Milliseconds of the longest sleep: a signal that comes just before it is noticed then. */
#define INTERVAL 50

#define MILLISECOND 1000000

/* What a pipe takes at once when poll says that it takes something (PIPE_BUF on Linux). */
#define PIECE 4096

/* Milliseconds to sleep, rounded up; 0 when the deadline is over. */
static int stream_duration(int64_t deadline) {
  int64_t now = shmseg_clock_now();
  if (now >= deadline)
    return 0;
  int64_t left = (deadline - now - 1) / MILLISECOND + 1;
  return left < INTERVAL ? (int)left : INTERVAL;
}

/* Waits for one of the events: 0 and what there is. */
static int stream_await(int fd, short events, int64_t deadline, short *there) {
  struct pollfd poll_fd = { .fd = fd, .events = events };
  int duration = stream_duration(deadline);
  *there = 0;
  int count = poll(&poll_fd, 1, duration);
  if (count < 0)
    return errno == EINTR ? SHMSEG_INTERRUPTED : errno;
  if (count == 0)
    return duration == 0 ? SHMSEG_TIMEOUT : SHMSEG_INTERRUPTED;
  *there = poll_fd.revents;
  return *there & POLLNVAL ? EBADF : 0;
}

/* What became of a read or a write. Another process may have been faster on a stream that does not
 * block. */
static int stream_result(ssize_t done, size_t *count) {
  if (done < 0)
    return errno == EINTR || errno == EAGAIN ? SHMSEG_INTERRUPTED : errno;
  *count = (size_t)done;
  return 0;
}

int shmseg_stream_read(int fd, void *bytes, size_t size, int64_t deadline, size_t *count) {
  short there;
  int err = stream_await(fd, POLLIN, deadline, &there);
  return err ? err : stream_result(read(fd, bytes, size), count);
}

int shmseg_stream_write(int fd, const void *bytes, size_t size, int64_t deadline, size_t *count) {
  short there;
  int err = stream_await(fd, POLLOUT, deadline, &there);
  if (err)
    return err;
  if (there & (POLLERR | POLLHUP))
    return EPIPE;
  return stream_result(write(fd, bytes, size < PIECE ? size : PIECE), count);
}

bool shmseg_stream_is_closed(int fd) {
  short there;
  int err = stream_await(fd, 0, 0, &there);
  return err == EBADF || (err == 0 && (there & (POLLERR | POLLHUP)) != 0);
}
