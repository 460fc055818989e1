/* SPDX-License-Identifier: MIT */
/* Streams of bytes, as pipes, terminals and sockets are: reading what has come, and writing without
 * being held up for longer than an interval. */
#ifndef SHMSEG_OS_STREAM_H
#define SHMSEG_OS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* Reads what is there, at most size bytes; *count is 0 at the end of the stream. When nothing is
 * there it waits: SHMSEG_INTERRUPTED after an interval or a signal, SHMSEG_TIMEOUT at the deadline. */
int shmseg_stream_read(int fd, void *bytes, size_t size, int64_t deadline, size_t *count);

/* Writes a part of the bytes, for which there is room at once. Results as above; EPIPE when nobody
 * reads any more, with SIGPIPE only if the reader goes at that very moment. */
int shmseg_stream_write(int fd, const void *bytes, size_t size, int64_t deadline, size_t *count);

/* Has the other end gone? Then nothing can be written any more. */
bool shmseg_stream_is_closed(int fd);

#pragma GCC visibility pop

#endif
