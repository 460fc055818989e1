/* SPDX-License-Identifier: MIT */
/* The shared library that this code is part of, when it is part of one. */
#ifndef SHMSEG_OS_LIBRARY_H
#define SHMSEG_OS_LIBRARY_H

#pragma GCC visibility push(hidden)

/* Keeps it loaded until the process ends: dlclose, and so lua_close, would leave whatever still
 * calls into it with nothing to call. May be called again. */
void shmseg_library_pin(void);

/* The file of the library or program that an address lies in; NULL when nobody knows. */
const char *shmseg_library_path(const void *address);

#pragma GCC visibility pop

#endif
