/* SPDX-License-Identifier: MIT */
/* The shared library that this code is part of, when it is part of one. */
#ifndef SHMSEG_OS_LIBRARY_H
#define SHMSEG_OS_LIBRARY_H

#pragma GCC visibility push(hidden)

/* Keeps the library loaded until the process ends: after a dlclose, as by lua_close, handlers of
 * signals and of exit would call code that is gone. May be called again. */
void shmseg_library_pin(void);

/* The file of the library or program that an address lies in; NULL when nobody knows. */
const char *shmseg_library_path(const void *address);

#pragma GCC visibility pop

#endif
