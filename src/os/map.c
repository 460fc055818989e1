/* SPDX-License-Identifier: MIT */
/* Address space: a backing's bytes at an address, with room to grow behind them. */
#define _GNU_SOURCE
#include "os/map.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MADV_POPULATE_READ /* Linux 5.14; older headers */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_POPULATE
#define MAP_POPULATE 0
#endif

#define NO_HINT (-1)

const char *const shmseg_map_hints[] = { "normal",   "random",   "sequential", "willneed",
                                         "dontneed", "hugepage", "nohugepage", NULL };

static const int advices[] = {
  MADV_NORMAL,   MADV_RANDOM,     MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
#ifdef MADV_HUGEPAGE
  MADV_HUGEPAGE, MADV_NOHUGEPAGE,
#else
  NO_HINT,     NO_HINT,
#endif
};

unsigned shmseg_map_number(void) {
  static unsigned last;
  return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

size_t shmseg_map_page(void) {
  static size_t known; /* the same value whoever writes it */
  size_t page = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (page == 0) {
    page = (size_t)sysconf(_SC_PAGESIZE);
    __atomic_store_n(&known, page, __ATOMIC_RELAXED);
  }
  return page;
}

size_t shmseg_map_round(size_t n) {
  size_t page = shmseg_map_page();
  return n > SIZE_MAX - (page - 1) ? 0 : (n + page - 1) / page * page;
}

static int map_protection(bool writable) {
  return writable ? PROT_READ | PROT_WRITE : PROT_READ;
}

static void *map_hold(void *base, size_t reserved) {
  return mmap(base, reserved, PROT_NONE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (base ? MAP_FIXED : 0), -1, 0);
}

int shmseg_map_open(void **base, size_t reserved, size_t length, int fd, bool writable) {
  if (length == reserved) {
    *base = mmap(NULL, length, map_protection(writable), MAP_SHARED, fd, 0);
    return *base == MAP_FAILED ? errno : 0;
  }
  *base = map_hold(NULL, reserved);
  if (*base == MAP_FAILED)
    return errno;
  int err = shmseg_map_again(*base, reserved, length, fd, writable);
  if (err)
    munmap(*base, reserved);
  return err;
}

int shmseg_map_window(void **base, size_t length, int fd, uint64_t from, bool writable,
                      bool copies) {
  *base = mmap(NULL, length, map_protection(writable), copies ? MAP_PRIVATE : MAP_SHARED, fd,
               (off_t)from);
  return *base == MAP_FAILED ? errno : 0;
}

static int map_range(void *base, size_t from, size_t to, int fd, bool writable, int flags) {
  if (from >= to)
    return 0;
  void *at = (char *)base + from;
  flags |= MAP_SHARED | MAP_FIXED;
  return mmap(at, to - from, map_protection(writable), flags, fd, (off_t)from) != MAP_FAILED
             ? 0
             : errno;
}

int shmseg_map_range(void *base, size_t from, size_t to, int fd, bool writable) {
  return map_range(base, from, to, fd, writable, 0);
}

int shmseg_map_hold(void *base, size_t from, size_t to) {
  if (from >= to)
    return 0;
  return map_hold((char *)base + from, to - from) != MAP_FAILED ? 0 : errno;
}

int shmseg_map_again(void *base, size_t reserved, size_t length, int fd, bool writable) {
  int err = shmseg_map_range(base, 0, length, fd, writable);
  return err ? err : shmseg_map_hold(base, length, reserved);
}

void shmseg_map_close(void *base, size_t reserved) {
  munmap(base, reserved);
}

int shmseg_map_range_populated(void *base, size_t from, size_t to, int fd, bool writable) {
  return map_range(base, from, to, fd, writable, MAP_POPULATE);
}

int shmseg_map_populate(void *base, size_t from, size_t to, bool writable) {
  int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  while (from < to && madvise((char *)base + from, to - from, advice) != 0) {
    if (errno == EINVAL)
      return ENOSYS;
    if (errno == EFAULT) /* a touch would raise SIGBUS */
      return ENOSPC;
    if (errno != EINTR)
      return errno;
  }
  return 0;
}

#if defined(MLOCK_ONFAULT)
static int map_pin_on_fault(void *base, size_t length) {
  return mlock2(base, length, MLOCK_ONFAULT) == 0 ? 0 : errno;
}
#else
static int map_pin_on_fault(void *base, size_t length) {
  (void)base, (void)length;
  return ENOSYS;
}
#endif

void shmseg_map_unpin(void *base, size_t length) {
  munlock(base, length);
}

int shmseg_map_pin_ahead(void *base, size_t length) {
  int err = map_pin_on_fault(base, length);
  return err == ENOSYS ? 0 : err;
}

int shmseg_map_pin(void *base, size_t length) {
  int err = map_pin_on_fault(base, length);
  return err != ENOSYS ? err : mlock(base, length) == 0 ? 0 : errno;
}

int shmseg_map_flush(void *base, size_t length) {
  return msync(base, length, MS_SYNC) == 0 ? 0 : errno;
}

int shmseg_map_advise(void *base, size_t length, int hint) {
  if (advices[hint] == NO_HINT)
    return EINVAL;
  return madvise(base, length, advices[hint]) == 0 ? 0 : errno;
}
