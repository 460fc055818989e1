/* SPDX-License-Identifier: MIT */
/* os/fault where the process is at one of the kernel's limits. Without sanitizers, which make nothing
 * of mlock. */
#define _GNU_SOURCE
#include "os/fault.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/map.h"
#include "unit/help.h"

typedef struct {
  int fd;
  volatile unsigned char *bytes;
  size_t length;
  shmseg_fault *record;
} mapping;

static mapping map_pages(size_t pages) {
  mapping m = { .length = pages * PAGE };
  void *base;
  m.fd = memfd_create("shmseg-unit", MFD_CLOEXEC);
  must(m.fd >= 0 && ftruncate(m.fd, (off_t)m.length) == 0);
  must(shmseg_map_open(&base, m.length, m.length, m.fd, true) == 0);
  must(shmseg_fault_watch(&m.record, base, m.length, m.fd, 0) == 0);
  m.bytes = base;
  return m;
}

static size_t mappings_limit(void) {
  size_t limit = 0;
  FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
  must(file && fscanf(file, "%zu", &limit) == 1);
  fclose(file);
  return limit;
}

/* Until not even one mapping more is to be had. Each page of the large one becomes one. */
static void exhaust_mappings(size_t limit) {
  const int flags = MAP_ANONYMOUS | MAP_NORESERVE;
  unsigned char *pages = mmap(NULL, limit * PAGE, PROT_NONE, MAP_PRIVATE | flags, -1, 0);
  if (pages != MAP_FAILED)
    for (size_t i = 1; i < limit && mprotect(pages + i * PAGE, PAGE, PROT_READ) == 0; i += 2)
      continue;
  for (size_t i = 0; i < limit; i++) /* shared ones never become one with their neighbours */
    if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED | flags, -1, 0) == MAP_FAILED)
      return;
}

/* Is the mapping, of bytes 7, a hole from that page on, which is read and written to its end? What is
 * before it may be gone as well, but is nothing else. */
static bool meets_hole(const mapping *m, size_t first) {
  bool good = m->bytes[first * PAGE] != 7;
  for (size_t i = m->length / PAGE; i-- > first;)
    m->bytes[i * PAGE] = 1;
  unsigned char before = m->bytes[first * PAGE - 1];
  return good && (before == 7 || before == 0) && shmseg_fault_code(m->record) == SHMSEG_TRUNCATED;
}

enum { SEGMENTS = 40, SEGMENT_PAGES = 9 };

static mapping many[SEGMENTS];

static void map_many(void) {
  for (int i = 0; i < SEGMENTS; i++) {
    many[i] = map_pages(SEGMENT_PAGES);
    memset((void *)(uintptr_t)many[i].bytes, 7, many[i].length);
  }
}

/* Each is cut where all mappings are used up again. */
static bool meet_holes_exhausted(void) {
  size_t limit = mappings_limit();
  for (int i = 0; i < SEGMENTS; i++) {
    exhaust_mappings(limit);
    if (ftruncate(many[i].fd, 4 * PAGE) != 0 || !meets_hole(&many[i], 4))
      return false;
  }
  return true;
}

static void exhaust(void *argument) {
  (void)argument;
  map_many();
  _exit(meet_holes_exhausted() ? 0 : 1);
}

static void exhaust_forked(void *argument) {
  (void)argument;
  map_many();
  exhaust_mappings(mappings_limit());
  pid_t pid = fork();
  if (pid == 0)
    _exit(meet_holes_exhausted() ? 0 : 1);
  child inner = { pid, -1, -1 };
  int status = child_end(&inner);
  _exit(status == 0 && meet_holes_exhausted() ? 0 : 1);
}

static void exhaust_advised(void *argument) {
  (void)argument;
  mapping m = map_pages(1001);
  memset((void *)(uintptr_t)m.bytes, 7, m.length);
  for (size_t i = 0; i < 1001; i += 2)
    must(madvise((void *)(uintptr_t)(m.bytes + i * PAGE), PAGE, MADV_RANDOM) == 0);
  exhaust_mappings(mappings_limit());
  _exit(ftruncate(m.fd, 500 * PAGE) == 0 && meets_hole(&m, 500) ? 0 : 1);
}

static pthread_barrier_t barrier;

static void *cut_together(void *argument) {
  mapping *own = argument;
  bool good = true;
  for (int i = 0; i < SEGMENTS / 4; i++) {
    pthread_barrier_wait(&barrier);
    good = good && ftruncate(own[i].fd, 4 * PAGE) == 0 && meets_hole(&own[i], 4);
  }
  return good ? argument : NULL;
}

static void exhaust_in_threads(void *argument) {
  pthread_t ids[4];
  void *good = NULL;
  (void)argument;
  map_many();
  must(pthread_barrier_init(&barrier, NULL, 4) == 0);
  for (int i = 0; i < 4; i++)
    must(pthread_create(&ids[i], NULL, cut_together, &many[i * (SEGMENTS / 4)]) == 0);
  exhaust_mappings(mappings_limit());
  for (int i = 0; i < 4; i++)
    if (pthread_join(ids[i], &good) != 0 || !good)
      _exit(1);
  _exit(0);
}

static bool survives(void (*body)(void *argument), void *argument) {
  child c = child_start(body, argument);
  return child_end(&c) == 0;
}

TEST(without_mappings,
     "where no mapping is left to be had a hole is mended: one, many, in threads, forked") {
  check(survives(exhaust, NULL));
  check(survives(exhaust_advised, NULL));
  check(survives(exhaust_in_threads, NULL));
  check(survives(exhaust_forked, NULL));
}

/* From now on this process is nobody, to whom limits apply. */
static void be_nobody(void) {
  must(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
}

static bool limit_to(int what, rlim_t bytes) {
  struct rlimit limit = { bytes, bytes };
  return setrlimit(what, &limit) == 0;
}

enum { LARGE = 300 };

typedef struct {
  bool data;         /* a limit of data, not of locked memory */
  bool locked_first; /* all that is mapped was locked before the mapping was made, not after */
  bool current;      /* and all that there was */
  bool and_mappings; /* and no mapping is left */
} limits;

static void meet_limit(void *argument) {
  const limits *l = argument;
  be_nobody();
  if (l->locked_first &&
      (!limit_to(RLIMIT_MEMLOCK, (LARGE + 100) * PAGE) || mlockall(MCL_FUTURE) != 0))
    _exit(7);
  mapping m = map_pages(LARGE);
  if (!l->locked_first && !l->data && mlockall(MCL_FUTURE) != 0)
    _exit(8);
  if (l->current && mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
    _exit(errno == ENOMEM ? 0 : 8);
  memset((void *)(uintptr_t)m.bytes, 7, m.length);
  if (l->and_mappings)
    exhaust_mappings(mappings_limit());
  if (!limit_to(l->data ? RLIMIT_DATA : RLIMIT_MEMLOCK, 0))
    _exit(9);
  _exit(ftruncate(m.fd, 4 * PAGE) == 0 && meets_hole(&m, 4) ? 0 : 1);
}

TEST(without_locked_memory, "where no memory can be locked, or had as data, a hole is mended") {
  limits late = { 0 }, early = { .locked_first = true }, all = { .current = true },
         both = { .and_mappings = true }, data = { .data = true },
         data_and = { .data = true, .and_mappings = true };
  check(survives(meet_limit, &late));
  check(survives(meet_limit, &early));
  check(survives(meet_limit, &all));
  check(survives(meet_limit, &both));
  check(survives(meet_limit, &data));
  check(survives(meet_limit, &data_and));
}
