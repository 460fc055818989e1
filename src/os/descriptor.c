/* SPDX-License-Identifier: MIT */
/* Descriptors of the library: away from the standard streams. */
#define _GNU_SOURCE
#include "os/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int shmseg_descriptor_duplicate(int fd, int *duplicate) {
  *duplicate = fcntl(fd, F_DUPFD_CLOEXEC, SHMSEG_DESCRIPTOR_MIN);
  return *duplicate < 0 ? errno : 0;
}

int shmseg_descriptor_reopen(int fd, int *fresh) {
  char path[32];
  int flags = fcntl(fd, F_GETFL);
  if (flags == -1)
    return errno;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  *fresh = open(path, (flags & O_ACCMODE) | O_CLOEXEC | O_NONBLOCK);
  return *fresh < 0 ? errno : shmseg_descriptor_raise(fresh);
}

int shmseg_descriptor_raise(int *fd) {
  int low = *fd;
  if (low >= SHMSEG_DESCRIPTOR_MIN)
    return 0;
  int err = shmseg_descriptor_duplicate(low, fd);
  close(low);
  return err;
}
