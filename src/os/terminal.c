/* SPDX-License-Identifier: MIT */
/* What a descriptor tells of the terminal behind it. */
#define _GNU_SOURCE
#include "os/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_UNKNOWN 80
#define ROWS_UNKNOWN 24

bool shmseg_terminal_size(int fd, int *columns, int *rows) {
  struct winsize size = { 0 };
  if (!isatty(fd))
    return false;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0)
    size = (struct winsize){ 0 };
  *columns = size.ws_col ? size.ws_col : COLUMNS_UNKNOWN;
  *rows = size.ws_row ? size.ws_row : ROWS_UNKNOWN;
  return true;
}
