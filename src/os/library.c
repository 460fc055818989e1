/* SPDX-License-Identifier: MIT */
/* The shared library that this code is part of, when it is part of one. */
#define _GNU_SOURCE
#include "os/library.h"

#include <dlfcn.h>
#include <stddef.h>

static const char here;

const char *shmseg_library_path(const void *address) {
  Dl_info library;
  return dladdr(address, &library) != 0 ? library.dli_fname : NULL;
}

void shmseg_library_pin(void) {
  const char *path = shmseg_library_path(&here);
  if (path) /* of a program there is no handle, and no need of one */
    dlopen(path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}
