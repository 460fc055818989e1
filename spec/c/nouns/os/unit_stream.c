/* SPDX-License-Identifier: MIT */
/* os/stream: what comes through a pipe, and what goes into one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "os/stream.h"
#include "unit/help.h"

typedef struct {
  int from, to;
} tube;

static tube tube_open(void) {
  int ends[2];
  must(pipe2(ends, O_CLOEXEC) == 0);
  return (tube){ ends[0], ends[1] };
}

static int64_t past(void) {
  return shmseg_clock_now() - 1;
}

TEST(stream_read, "a read gives what has come, and waits only when nothing has") {
  tube t = tube_open();
  char bytes[8];
  size_t count = 99;
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, past(), &count) == SHMSEG_TIMEOUT);
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, SHMSEG_FOREVER, &count) ==
        SHMSEG_INTERRUPTED);
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, shmseg_clock_now() + 1000, &count) ==
        SHMSEG_INTERRUPTED);
  must(write(t.to, "part", 4) == 4);
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, past(), &count) == 0 && count == 4);
  check(memcmp(bytes, "part", 4) == 0);
  must(write(t.to, "0123456789", 10) == 10);
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, past(), &count) == 0 && count == 8);
  close(t.to);
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, past(), &count) == 0 && count == 2);
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, past(), &count) == 0 && count == 0);
  close(t.from);
  check(shmseg_stream_read(t.from, bytes, sizeof bytes, past(), &count) == EBADF);
  int folder = open("/", O_RDONLY | O_CLOEXEC);
  check(shmseg_stream_read(folder, bytes, sizeof bytes, past(), &count) == EISDIR);
  close(folder);
}

TEST(stream_write, "a write is as long as there is room for, and never blocks") {
  static char block[100000];
  tube t = tube_open();
  size_t count, sum = 0;
  int err;
  while ((err = shmseg_stream_write(t.to, block, sizeof block, past(), &count)) == 0) {
    check(count > 0 && count <= 4096);
    sum += count;
  }
  check(err == SHMSEG_TIMEOUT && sum == (size_t)fcntl(t.to, F_GETPIPE_SZ));
  check(shmseg_stream_write(t.to, block, 1, SHMSEG_FOREVER, &count) == SHMSEG_INTERRUPTED);
  must(read(t.from, block, 4096) == 4096);
  check(shmseg_stream_write(t.to, block, 3, past(), &count) == 0 && count == 3);
  close(t.from);
  close(t.to);
}

TEST(stream_closed, "the end of the other side is seen before anything is written") {
  tube t = tube_open();
  size_t count;
  check(!shmseg_stream_is_closed(t.to));
  close(t.from);
  check(shmseg_stream_is_closed(t.to));
  check(shmseg_stream_write(t.to, "x", 1, past(), &count) == EPIPE); /* and no SIGPIPE */
  close(t.to);
  check(shmseg_stream_is_closed(t.to));
  check(shmseg_stream_write(t.to, "x", 1, past(), &count) == EBADF);
}
