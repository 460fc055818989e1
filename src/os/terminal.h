/* SPDX-License-Identifier: MIT */
/* What a descriptor tells of the terminal behind it. */
#ifndef SHMSEG_OS_TERMINAL_H
#define SHMSEG_OS_TERMINAL_H

#pragma GCC visibility push(hidden)

/* How many columns the terminal has, 80 where it does not tell; 0: it is no terminal. */
int shmseg_terminal_columns(int fd);

#pragma GCC visibility pop

#endif
