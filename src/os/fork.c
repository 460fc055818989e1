/* SPDX-License-Identifier: MIT */
/* Which process this is among those that forks have made of it. */
#define _GNU_SOURCE
#include "os/fork.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "os/map.h"

static unsigned plain; /* the word, where the kernel wipes no pages */
static unsigned drawn; /* copied to a child: what it draws is new */
static int prepared;

unsigned *shmseg_fork_word = &plain;

static void fork_forget(void) {
  __atomic_store_n(shmseg_fork_word, 0, __ATOMIC_RELAXED);
}

#if defined(MADV_WIPEONFORK)
/* A page that is zero in every child, one of a raw clone included, if there are such pages here. */
static int fork_wiped_page(unsigned **page) {
  size_t size = shmseg_map_page();
  void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    return errno;
  if (madvise(base, size, MADV_WIPEONFORK) == 0)
    *page = base;
  else
    munmap(base, size);
  return 0;
}
#else
static int fork_wiped_page(unsigned **page) {
  (void)page;
  return 0;
}
#endif

int shmseg_fork_prepare(void) {
  unsigned *page = NULL, *before = &plain;
  if (__atomic_load_n(&prepared, __ATOMIC_ACQUIRE))
    return 0;
  int err = fork_wiped_page(&page);
  if (err)
    return err;
  /* Beside the page, too: an emulator may pass over such advice and say nothing. Two threads may both be
   * here: the handler does no more when it runs twice. */
  err = pthread_atfork(NULL, NULL, fork_forget);
  if (page && (err || !__atomic_compare_exchange_n(&shmseg_fork_word, &before, page, false,
                                                   __ATOMIC_RELEASE, __ATOMIC_RELAXED)))
    munmap(page, shmseg_map_page());
  if (!err)
    __atomic_store_n(&prepared, 1, __ATOMIC_RELEASE);
  return err;
}

unsigned shmseg_fork_generation(void) {
  unsigned *word = __atomic_load_n(&shmseg_fork_word, __ATOMIC_ACQUIRE);
  unsigned generation = __atomic_load_n(word, __ATOMIC_RELAXED);
  if (generation != 0)
    return generation;
  unsigned fresh = __atomic_add_fetch(&drawn, 1, __ATOMIC_RELAXED);
  bool first = __atomic_compare_exchange_n(word, &generation, fresh, false, __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED);
  return first ? fresh : generation; /* another thread's */
}
