/* SPDX-License-Identifier: MIT */
/* What a descriptor tells of the terminal behind it. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include "os/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_UNKNOWN 80

int shmseg_terminal_columns(int fd) {
  struct winsize size;
  if (!isatty(fd))
    return 0;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return COLUMNS_UNKNOWN;
  return size.ws_col;
}
