/* SPDX-License-Identifier: MIT */
/* Zeroes in the place of a hole on Linux.
 *
 * What can refuse them, and what helps:
 *
 * - The number of mappings (vm.max_map_count). Pages are held ready, every second one readable, so
 *   that each is a mapping of its own. Protecting them alike makes one of them: at once there is
 *   room. The pages themselves stay ours.
 * - Memory that may be locked, when mlockall(MCL_FUTURE) locks each new mapping; memory for data;
 *   strict overcommitment. A page of a sparse memfd is held ready, not locked: mremap makes a
 *   mapping of any size from it that is no new one to these limits.
 *
 * A handler and other threads may be in here at the same time. All there is lies at one address for
 * good, and each change is one system call after which it is as good as before. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os/zeroes.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/descriptor.h"
#include "os/map.h"

/* mremap wants to stay 6 mappings below the limit, which can be exceeded by one; a hole needs two. */
#define SPARE_PAGES 16

/* How often other threads may be faster to take the room. */
#define TRIES 3

static unsigned char *held;  /* the memfd's page, then SPARE_PAGES; NULL before there are any */
static bool has_shared;      /* the first page is the memfd's */
static uint64_t shared_size; /* of the memfd: behind it there is no page */
static bool lacks_room;      /* not all spare pages are mappings of their own */
static bool shared_is_used;  /* holes have left something in it */

static bool zeroes_get(const bool *flag) {
  return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static void zeroes_set(bool *flag, bool value) {
  __atomic_store_n(flag, value, __ATOMIC_RELAXED);
}

static unsigned char *zeroes_held_pages(void) {
  return __atomic_load_n(&held, __ATOMIC_ACQUIRE);
}

/* --- room for mappings -------------------------------------------------------------------- */

static void zeroes_take_room(void) {
  size_t page = shmseg_map_page();
  unsigned char *spare = zeroes_held_pages() + page;
  bool all = true;
  for (size_t i = 1; i < SPARE_PAGES && all; i += 2)
    all = mprotect(spare + i * page, page, PROT_READ) == 0;
  zeroes_set(&lacks_room, !all);
}

static void zeroes_give_room(void) {
  size_t page = shmseg_map_page();
  zeroes_set(&lacks_room, true);
  mprotect(zeroes_held_pages() + page, SPARE_PAGES * page, PROT_NONE);
}

/* --- preparing ---------------------------------------------------------------------------- */

/* As large as a mapping can be, but beyond the limit the kernel would send SIGXFSZ, which kills. */
static off_t zeroes_sparse_size(void) {
  struct rlimit limit;
  off_t largest = (off_t)(SIZE_MAX / 2 - shmseg_map_page() + 1);
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < (rlim_t)largest)
    return (off_t)limit.rlim_cur;
  return largest;
}

/* A new, empty memfd in the first page. */
static void zeroes_renew_shared(void) {
  size_t page = shmseg_map_page();
  int fd = memfd_create("shmseg-zeroes", MFD_CLOEXEC);
  if (fd < 0 || shmseg_descriptor_raise(&fd) != 0)
    return;
  off_t size = zeroes_sparse_size();
  zeroes_set(&shared_is_used, false); /* before: a hole may be put from the new one at once */
  if (size >= (off_t)page && ftruncate(fd, size) == 0 &&
      mmap(zeroes_held_pages(), page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
          MAP_FAILED) {
    munlock(zeroes_held_pages(), page); /* locked or not it goes on so in what mremap makes of it */
    __atomic_store_n(&shared_size, (uint64_t)size, __ATOMIC_RELAXED);
    zeroes_set(&has_shared, true);
  }
  close(fd);
}

static bool zeroes_hold_pages(void) {
  size_t size = (1 + SPARE_PAGES) * shmseg_map_page();
  unsigned char *before = NULL;
  void *pages = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED)
    return false;
  munlock(pages, size);
  zeroes_set(&lacks_room, true);
  if (!__atomic_compare_exchange_n(&held, &before, pages, false, __ATOMIC_RELEASE,
                                   __ATOMIC_RELAXED))
    munmap(pages, size); /* another thread has */
  return true;
}

void shmseg_zeroes_prepare(void) {
  if (!zeroes_held_pages() && !zeroes_hold_pages())
    return;
  if (!zeroes_get(&has_shared) || zeroes_get(&shared_is_used))
    zeroes_renew_shared();
  if (zeroes_get(&lacks_room))
    zeroes_take_room();
}

/* --- putting ------------------------------------------------------------------------------ */

static bool zeroes_put_private(uintptr_t from, uintptr_t end, int how) {
  void *place = (void *)from;
  void *got = mmap(place, end - from, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0);
  if (got == place)
    return true;
  if (got != MAP_FAILED) /* a kernel that does not know MAP_FIXED_NOREPLACE */
    munmap(got, end - from);
  return false;
}

static bool zeroes_put_shared(uintptr_t from, uintptr_t end) {
  size_t page = shmseg_map_page();
  if (!zeroes_held_pages() || !zeroes_get(&has_shared) ||
      end - from > __atomic_load_n(&shared_size, __ATOMIC_RELAXED))
    return false;
  zeroes_set(&shared_is_used, true);
  munlock(zeroes_held_pages(), page); /* mlockall(MCL_CURRENT) may have been here */
  return mremap(zeroes_held_pages(), 0, end - from, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)from) !=
         MAP_FAILED;
}

static bool zeroes_put_any(uintptr_t base, uintptr_t from, uintptr_t end) {
  return zeroes_put_private(from, end, MAP_FIXED) || zeroes_put_private(base, end, MAP_FIXED) ||
         zeroes_put_shared(from, end);
}

/* Where not even one mapping is left to be had, the one with the hole goes first. It is taken out
 * whole, which splits none; meanwhile another thread could have its addresses. */
static bool zeroes_put_by_force(uintptr_t base, uintptr_t end) {
  munmap((void *)base, end - base);
  return zeroes_put_private(base, end, MAP_FIXED_NOREPLACE) || zeroes_put_shared(base, end);
}

bool shmseg_zeroes_put(uintptr_t base, uintptr_t from, uintptr_t end, uintptr_t page) {
  if (zeroes_put_private(from, end, MAP_FIXED))
    return true;
  bool done = false;
  for (int i = 0; i < TRIES && !done && zeroes_held_pages(); i++) {
    zeroes_give_room();
    done = zeroes_put_any(base, from, end);
  }
  done =
      done || zeroes_put_by_force(base, end) || zeroes_put_shared(page, page + shmseg_map_page());
  if (zeroes_held_pages())
    zeroes_take_room();
  return done;
}

#else
typedef int shmseg_zeroes_linux_is_empty; /* ISO C forbids an empty file */
#endif
