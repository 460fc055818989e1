/* SPDX-License-Identifier: MIT */
/* The fault guard: SIGBUS in one of our mappings, turned into a code. */
#define _GNU_SOURCE
#include "os/fault.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/library.h"
#include "os/map.h"
#include "os/zeroes.h"
#include "shmseg/base.h"

/* More than the kernel maps for one process (vm.max_map_count is 65,530). The table is zero
 * pages until it is used, and it never moves: the handler reads it without a lock. */
#define RECORDS 65536

/* So many faults in a row at one page are answered by another try, when the file has that page. */
#define RETRIES 100

static shmseg_fault records[RECORDS];
static unsigned used;  /* records from here on were never taken */
static unsigned first; /* hint: no free record below */

static struct sigaction previous;
static uintptr_t page_size;

enum { ABSENT, INSTALLING, INSTALLED };
static int handler_state;

static uintptr_t fault_round_up(uintptr_t n) {
  return (n + page_size - 1) & ~(page_size - 1);
}

/* A fault may hit while another thread changes its own record: a record that changes
 * meanwhile is not the faulting thread's, and does not match. */
static bool fault_covers(const shmseg_fault *record, uintptr_t address) {
  unsigned sequence = __atomic_load_n(&record->sequence, __ATOMIC_ACQUIRE);
  uintptr_t base = __atomic_load_n(&record->base, __ATOMIC_RELAXED);
  size_t length = __atomic_load_n(&record->length, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with the release in fault_change_done() */
  return sequence % 2 == 0 && sequence == __atomic_load_n(&record->sequence, __ATOMIC_RELAXED) &&
         address - base < length;
}

static shmseg_fault *fault_find(uintptr_t address) {
  unsigned count = __atomic_load_n(&used, __ATOMIC_ACQUIRE);
  for (unsigned i = 0; i < count && i < RECORDS; i++)
    if (fault_covers(&records[i], address))
      return &records[i];
  return NULL;
}

/* A fault below the file's end: the file was cut and has grown again since, or the file system has
 * no page to give. After a cut the next try succeeds, unless a peer cuts it again and again. */
static bool fault_is_worth_retrying(shmseg_fault *record, uintptr_t page) {
  if (record->code == ENOSPC)
    return false; /* an earlier fault has shown that there is no page */
  record->retries = record->retried == page ? record->retries + 1 : 0;
  record->retried = page;
  return record->retries < RETRIES;
}

/* Covers the hole at address, and at once all from the end of the file on: page by page, a program
 * that touches many pages would reach the kernel's limit of mappings. */
static bool fault_mend(shmseg_fault *record, uintptr_t address) {
  struct stat status;
  uintptr_t end = record->base + fault_round_up(record->length);
  uintptr_t page = address & ~(page_size - 1);
  uintptr_t from = page;
  int code = SHMSEG_TRUNCATED;
  if (fstat(record->fd, &status) == 0) {
    uint64_t file_end = ((uint64_t)status.st_size + page_size - 1) / page_size * page_size;
    file_end = file_end > record->from ? file_end - record->from : 0;
    if (address - record->base >= file_end) {
      from = record->base + (uintptr_t)file_end;
    } else if (fault_is_worth_retrying(record, page)) {
      return true;
    } else {
      from = record->base;
      code = ENOSPC;
    }
  }
  if (!shmseg_zeroes_put(record->base, from, end, page))
    return false;
  record->code = code;
  record->proof = 0;
  return true;
}

/* The fault is not ours: does what would happen without this handler. */
static void fault_chain(int number, siginfo_t *info, void *context) {
  if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(number, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(number);
  } else if (info->si_code > 0) {
    sigaction(number, &previous, NULL); /* the access faults again, and the kernel acts */
  } else if (previous.sa_handler == SIG_DFL) {
    sigaction(number, &previous, NULL);
    raise(number); /* sent by a process; pending until we return */
  }
}

static void fault_on_signal(int number, siginfo_t *info, void *context) {
  int saved = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  shmseg_fault *record = info->si_code > 0 ? fault_find(address) : NULL; /* > 0: from the kernel */
  if (!record || !fault_mend(record, address))
    fault_chain(number, info, context);
  errno = saved;
}

static int fault_install(void) {
  struct sigaction action = { 0 };
  page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
  shmseg_library_pin(); /* the handler outlives a host's dlclose */
  action.sa_sigaction = fault_on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  /* previous is filled before the handler can run: a fault between the two calls is the host's */
  if (sigaction(SIGBUS, NULL, &previous) != 0 || sigaction(SIGBUS, &action, NULL) != 0)
    return errno;
  return 0;
}

static int fault_install_once(void) {
  int state = ABSENT;
  if (__atomic_load_n(&handler_state, __ATOMIC_ACQUIRE) == INSTALLED)
    return 0;
  if (__atomic_compare_exchange_n(&handler_state, &state, INSTALLING, false, __ATOMIC_ACQUIRE,
                                  __ATOMIC_ACQUIRE)) {
    int err = fault_install();
    __atomic_store_n(&handler_state, err ? ABSENT : INSTALLED, __ATOMIC_RELEASE);
    return err;
  }
  for (int i = 0; i < 100000 && state != INSTALLED; i++) { /* another thread installs it */
    sched_yield();
    state = __atomic_load_n(&handler_state, __ATOMIC_ACQUIRE);
  }
  return state == INSTALLED ? 0 : EAGAIN;
}

static shmseg_fault *fault_take_from(unsigned start) {
  for (unsigned i = start; i < RECORDS; i++) {
    unsigned taken = 0;
    if (__atomic_load_n(&records[i].taken, __ATOMIC_RELAXED) == 0 &&
        __atomic_compare_exchange_n(&records[i].taken, &taken, 1, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      __atomic_store_n(&first, i + 1, __ATOMIC_RELAXED);
      unsigned count = __atomic_load_n(&used, __ATOMIC_RELAXED);
      while (count <= i && !__atomic_compare_exchange_n(&used, &count, i + 1, false,
                                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
      return &records[i];
    }
  }
  return NULL;
}

static void fault_change_begin(shmseg_fault *record) {
  __atomic_store_n(&record->sequence, record->sequence | 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void fault_change_done(shmseg_fault *record) {
  __atomic_store_n(&record->sequence, record->sequence + 1, __ATOMIC_RELEASE);
}

/* A blocked SIGBUS kills even with a handler. It stays unblocked, for any access may raise it. */
static int fault_unblock(void) {
  sigset_t bus;
  sigemptyset(&bus);
  sigaddset(&bus, SIGBUS);
  return pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
}

int shmseg_fault_watch(shmseg_fault **result, void *base, size_t length, int fd, uint64_t from) {
  int err = fault_install_once();
  if (!err)
    err = fault_unblock();
  if (err)
    return err;
  shmseg_fault *record = fault_take_from(__atomic_load_n(&first, __ATOMIC_RELAXED));
  if (!record)
    record = fault_take_from(0);
  if (!record)
    return ENFILE;
  record->fd = fd;
  record->from = from;
  shmseg_fault_move(record, base, length);
  *result = record;
  return 0;
}

void shmseg_fault_move(shmseg_fault *record, void *base, size_t length) {
  shmseg_zeroes_prepare();
  fault_change_begin(record);
  __atomic_store_n(&record->base, (uintptr_t)base, __ATOMIC_RELAXED);
  __atomic_store_n(&record->length, length, __ATOMIC_RELAXED);
  record->code = 0;
  record->proof = 0;
  record->retried = 0;
  record->retries = 0;
  fault_change_done(record);
}

void shmseg_fault_forget(shmseg_fault *record) {
  unsigned index = (unsigned)(record - records);
  record->proof = 0;
  fault_change_begin(record); /* odd until the next watch */
  __atomic_store_n(&record->taken, 0, __ATOMIC_RELEASE);
  if (index < __atomic_load_n(&first, __ATOMIC_RELAXED))
    __atomic_store_n(&first, index, __ATOMIC_RELAXED);
}

unsigned shmseg_fault_prove(shmseg_fault *record) {
  while (record->proof == 0)
    record->proof = shmseg_map_number();
  return record->proof;
}
