/* SPDX-License-Identifier: MIT */
/* Holds locks of the kernel's on a file until it ends:
 *
 *   file_lock PATH read            all of it, through a descriptor that is open for reading only
 *   file_lock PATH write START     the byte at START
 *   file_lock PATH exclusive       an exclusive flock, through a descriptor that is open for reading only
 *   file_lock PATH remove START    the byte at START and an exclusive flock, as who removes the name
 *
 * Prints "locked", or the errno's text. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count < 3)
    return 2;
  int removes = strcmp(arguments[2], "remove") == 0;
  int flocks = removes || strcmp(arguments[2], "exclusive") == 0;
  int writes = removes || strcmp(arguments[2], "write") == 0;
  int fd = open(arguments[1], writes ? O_RDWR : O_RDONLY);
  struct flock lock = { .l_type = writes ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
  if (writes && count > 3) {
    lock.l_start = (off_t)strtoll(arguments[3], NULL, 0);
    lock.l_len = 1;
  }
  int done = fd >= 0;
  if (done && (writes || !flocks))
    done = fcntl(fd, F_OFD_SETLK, &lock) == 0;
  if (done && flocks)
    done = flock(fd, LOCK_EX | LOCK_NB) == 0;
  puts(done ? "locked" : strerror(errno));
  fflush(stdout);
  while (done)
    pause();
  return 1;
}
