/* SPDX-License-Identifier: MIT */
/* What this platform has: decided when the library is compiled. */
#define _GNU_SOURCE
#include "os/features.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>

#if defined(__linux__)
#define LINUX true
const char shmseg_platform[] = "linux";
#elif defined(__APPLE__)
#define LINUX false
const char shmseg_platform[] = "macos";
#else
#define LINUX false
const char shmseg_platform[] = "posix";
#endif

#if defined(MFD_ALLOW_SEALING)
#define MEMFD true
#else
#define MEMFD false
#endif

#if defined(F_OFD_SETLK)
#define OFD true
#else
#define OFD false
#endif

const shmseg_feature shmseg_features[] = {
  { "futex", LINUX },         /* waiting sleeps in the kernel, on the word itself */
  { "memfd", MEMFD },         /* anonymous segments that cannot shrink */
  { "ofd_locks", OFD },       /* a holder's death is seen at once */
  { "atomic_create", LINUX }, /* a new backing appears complete or not at all */
  { "reserve", LINUX },       /* memory is taken when the segment is created */
  { "list", LINUX },          /* shmseg.list works */
  { "presence", LINUX },      /* who has an object open is known */
  { "fault_guard", true },    /* a hole is an error and not SIGBUS */
  { NULL, false },
};
