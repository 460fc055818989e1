/* SPDX-License-Identifier: MIT */
/* What lies behind a name, without mapping it, and without a change. */
#define _GNU_SOURCE
#include "objects/look.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "os/backing.h"

int shmseg_look_through(int fd, shmseg_look *look) {
  unsigned char bytes[SHMSEG_HEADER_SIZE];
  size_t count;
  if (fstat(fd, &look->status) != 0)
    return errno;
  look->code = shmseg_backing_peek(fd, bytes, sizeof bytes, &count);
  if (!look->code)
    look->code =
        shmseg_header_describe(bytes, count, (uint64_t)look->status.st_size, &look->description);
  return 0;
}

/* What is no regular file is not opened: that could wake somebody who waits at a FIFO. */
int shmseg_look_at(shmseg_place place, shmseg_look *look) {
  int fd;
  memset(look, 0, sizeof *look);
  int err = shmseg_backing_stat(place, &look->status);
  if (!err && !S_ISREG(look->status.st_mode))
    err = ENODEV;
  if (err)
    return err;
  err = shmseg_backing_open(place, false, &fd);
  if (err == ENOENT || err == ELOOP || err == ENODEV) /* it was replaced meanwhile */
    return err;
  look->code = err;
  if (err)
    return 0;
  err = shmseg_look_through(fd, look);
  close(fd);
  return err;
}
