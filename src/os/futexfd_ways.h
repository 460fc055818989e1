/* SPDX-License-Identifier: MIT */
/* The ways of a futexfd, for futexfd_linux.c alone, which has the eventfd. */
#ifndef SHMSEG_OS_FUTEXFD_WAYS_H
#define SHMSEG_OS_FUTEXFD_WAYS_H

#include "os/futexfd.h"

#pragma GCC visibility push(hidden)

/* Makes an eventfd; takes readiness away from it, and gives it. */
int shmseg_futexfd_eventfd(int *fd);
void shmseg_futexfd_drain(int fd);
void shmseg_futexfd_write(int fd);

/* --- an io_uring: futexfd_ring_linux.c --------------------------------------------------------- */

int shmseg_futexfd_ring_open(shmseg_futexfd *f);

/* Opens it, if the kernel knows such waits: 0, or why not. It is not tried with a ring of its own: some
 * time after a ring was closed the kernel interrupts a system call of the thread that made it. */
int shmseg_futexfd_ring_try(shmseg_futexfd *f);

/* As shmseg_futexfd_begin() and _wait(); same: the word is that of the wait that may be under way. */
int shmseg_futexfd_ring_begin(shmseg_futexfd *f, bool same);
int shmseg_futexfd_ring_wait(shmseg_futexfd *f, const uint32_t *word, uint32_t seen);

/* Ends the wait, and gives the ring back. */
void shmseg_futexfd_ring_close(shmseg_futexfd *f);

/* --- a thread: futexfd_thread_linux.c ---------------------------------------------------------- */

int shmseg_futexfd_thread_open(shmseg_futexfd *f);
int shmseg_futexfd_thread_begin(shmseg_futexfd *f, bool same);
int shmseg_futexfd_thread_wait(shmseg_futexfd *f, const shmseg_futexfd_word *word, uint32_t seen);
void shmseg_futexfd_thread_close(shmseg_futexfd *f);

#pragma GCC visibility pop

#endif
