/* SPDX-License-Identifier: MIT */
/* What a descriptor tells of the terminal behind it. */
#ifndef SHMSEG_OS_TERMINAL_H
#define SHMSEG_OS_TERMINAL_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* How many columns and rows the terminal has, 80 and 24 where it does not tell. False: it is none. */
bool shmseg_terminal_size(int fd, int *columns, int *rows);

#pragma GCC visibility pop

#endif
