/* SPDX-License-Identifier: MIT */
/* A descriptor that becomes readable when a word changes, for event loops.
 *
 * Two ways lead to one thing, an eventfd: an io_uring waits on the word, or a thread does. A third sort,
 * for who cannot be woken, is readable after a while. */
#ifndef SHMSEG_OS_FUTEXFD_H
#define SHMSEG_OS_FUTEXFD_H

#include <stdbool.h>
#include <stdint.h>

#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* A word, and where it lies. */
typedef struct shmseg_futexfd_word {
  const uint32_t *address;
  int file;        /* descriptor of the backing; -1: private memory, which stays where it is */
  bool apart;      /* what maps the backing has a description of its own, not that of file */
  uint64_t offset; /* in the backing */
} shmseg_futexfd_word;

/* Makes one, of zeroes, that waits for nothing and is not readable. ENOTSUP: there is no way here;
 * EMFILE, ENFILE, ENOMEM, EAGAIN. A failed call leaves nothing. */
int shmseg_futexfd_open(shmseg_futexfd *f);

/* The same for who cannot be woken: it waits for no word. */
int shmseg_futexfd_open_timer(shmseg_futexfd *f);

/* The first half of a wait: from here on it is not readable, but for a change that comes. A wait that is
 * under way on that word goes on; another one ends. */
int shmseg_futexfd_begin(shmseg_futexfd *f, const shmseg_futexfd_word *word);

/* The second half: it becomes readable when *word is not seen, or at a wake; or, of a timer, soon. */
int shmseg_futexfd_wait(shmseg_futexfd *f, const shmseg_futexfd_word *word, uint32_t seen);

/* Makes it readable until the next begin. */
void shmseg_futexfd_raise(shmseg_futexfd *f);

/* Makes it readable, and gives back all but the descriptor: only close may follow. Any thread may. */
void shmseg_futexfd_end(shmseg_futexfd *f);

/* In a process that has not made it, too: there it closes that process's copies of the descriptors. */
void shmseg_futexfd_close(shmseg_futexfd *f);

/* Has this process made it? */
bool shmseg_futexfd_is_ours(const shmseg_futexfd *f);

/* "io_uring", "thread", or NULL: there is no way. One that finds no ring free uses a thread all the same. */
const char *shmseg_futexfd_way(void);

#pragma GCC visibility pop

#endif
