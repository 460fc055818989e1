/* SPDX-License-Identifier: MIT */
/* Linux's system call, for futex_linux.c and the two ways of a futexfd. */
#ifndef SHMSEG_OS_FUTEX_CALL_H
#define SHMSEG_OS_FUTEX_CALL_H

#include <stdint.h>
#include <sys/syscall.h>

/* As linux/futex.h has them; musl-gcc has no such header. */
enum {
  FUTEX_WAIT = 0,
  FUTEX_WAKE = 1,
  FUTEX_CMP_REQUEUE = 4,
  FUTEX_PRIVATE = 128,
  FUTEX_WAIT_PRIVATE = FUTEX_WAIT + FUTEX_PRIVATE,
  FUTEX_SIZE_U32 = 2,
};

/* What the system call takes, whatever the C library's time_t is. */
#if defined(SYS_futex)
typedef long kernel_time;
#define FUTEX_CALL SYS_futex
#else
typedef int64_t kernel_time;
#define FUTEX_CALL SYS_futex_time64
#endif

#endif
