/* SPDX-License-Identifier: MIT */
/* A futexfd over io_uring: raw system calls, for which no library and no header is needed.
 *
 * LAYOUT      one ring a futexfd, with room for one request, whose number is 1, and for two answers. Its
 *             memory is the kernel's two queues and the request; a forked child does not get it.
 *
 * INVARIANTS  R1  at most one request is under way, and while none is no signal comes: a request gives
 *                 one answer.
 *             R2  pending is false only when none is under way.
 *             R3  while a request is under way that has no answer yet, its wait is queued in the kernel,
 *                 whatever the word is by now: each wake of the word ends it.
 *
 * PROTOCOL    The ring is of the sort that does nothing by itself (DEFER_TASKRUN): else each wake would
 *             interrupt the loop's system calls, and end epoll_wait with EINTR. Its own descriptor is
 *             never readable then; it signals the eventfd, once when a wake comes, and once more when
 *             the thread that made the ring enters the kernel to reap the answer.
 *             begin  reap; take the readiness away; if a request seemed to be under way reap once more,
 *                    since a wake that came between the two was taken away with the rest. If that finds
 *                    an answer take the readiness away again: nothing is under way now (R1).
 *             wait   a request that is still under way does (R3). Else submit; an answer that is there
 *                    at once, for the word is another one or its page is gone, makes it readable.
 *             Another thread than the one that made the ring is refused (EEXIST): it makes a new one. The
 *             old one's request is ended by a wake of the word, and its signals are off; one that was on
 *             its way makes the descriptor readable for nothing. The kernel ends the requests of a
 *             thread that ends, which signals: so the loop, in whatever thread, calls, and gets a new
 *             ring.
 *
 * CRASHES     all of it is private to the process, and goes with it. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/descriptor.h"
#include "os/futex.h"
#include "os/futex_call.h"
#include "os/futexfd_ways.h"

/* As linux/io_uring.h has them; older systems' has not all, and musl-gcc has none. The numbers of the system
 * calls are the same on all machines of this library. */
#define SETUP_CALL 425
#define ENTER_CALL 426
#define REGISTER_CALL 427

enum {
  SETUP_SINGLE_ISSUER = 1 << 12,
  SETUP_DEFER_TASKRUN = 1 << 13,
  SETUP_NO_SQARRAY = 1 << 16,
  ENTER_GETEVENTS = 1,
  REGISTER_EVENTFD = 4,
  REGISTER_SYNC_CANCEL = 24,
  CQ_EVENTFD_DISABLED = 1,
  OP_FUTEX_WAIT = 51,
};

#define OFFSET_RINGS 0
#define OFFSET_ENTRIES 0x10000000

typedef struct {
  uint32_t sq_entries, cq_entries, flags, sq_cpu, sq_idle, features, wq_fd, reserved[3];
  struct {
    uint32_t head, tail, mask, entries, flags, dropped, array, reserved;
    uint64_t address;
  } sq;
  struct {
    uint32_t head, tail, mask, entries, overflow, cqes, flags, reserved;
    uint64_t address;
  } cq;
} ring_params;

_Static_assert(sizeof(ring_params) == 120, "struct io_uring_params");

typedef struct {
  uint8_t opcode, flags;
  uint16_t priority;
  int32_t fd;
  uint64_t value, word; /* off, addr */
  uint32_t length, op_flags;
  uint64_t number; /* user_data */
  uint32_t reserved[2];
  uint64_t mask, padding; /* addr3 */
} ring_request;

_Static_assert(sizeof(ring_request) == 64, "struct io_uring_sqe");

typedef struct {
  uint64_t number;
  int32_t result;
  uint32_t flags;
} ring_answer;

typedef struct {
  uint64_t number;
  int32_t fd;
  uint32_t flags;
  int64_t seconds, nanoseconds;
  uint64_t reserved[4];
} ring_cancel;

#define NUMBER 1
#define ANSWERS 2 /* room for */

static uint32_t *ring_word(const shmseg_futexfd *f, uint32_t offset) {
  return (uint32_t *)(void *)(f->memory + offset);
}

/* --- making one --------------------------------------------------------------------------- */

static int ring_map(void **memory, size_t size, int ring, off_t offset) {
  *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, offset);
  if (*memory == MAP_FAILED) {
    *memory = NULL;
    return errno;
  }
#if defined(MADV_DONTFORK)
  madvise(*memory, size, MADV_DONTFORK);
#endif
  return 0;
}

static int ring_take_memory(shmseg_futexfd *f, const ring_params *p) {
  void *memory;
  f->size = p->cq.cqes + p->cq_entries * (uint32_t)sizeof(ring_answer);
  f->sq_tail = p->sq.tail;
  f->cq_head = p->cq.head;
  f->cq_tail = p->cq.tail;
  f->cq_flags = p->cq.flags;
  f->cq_entries = p->cq.cqes;
  int err = ring_map(&memory, f->size, f->ring, OFFSET_RINGS);
  f->memory = memory;
  return err ? err : ring_map(&f->entry, sizeof(ring_request), f->ring, OFFSET_ENTRIES);
}

static void ring_drop(shmseg_futexfd *f) {
  if (f->memory)
    munmap(f->memory, f->size);
  if (f->entry)
    munmap(f->entry, sizeof(ring_request));
  if (f->ring > 0)
    close(f->ring);
  f->ring = 0;
  f->memory = NULL;
  f->entry = NULL;
  f->pending = false;
}

int shmseg_futexfd_ring_open(shmseg_futexfd *f) {
  ring_params p = { .flags = SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_NO_SQARRAY };
  f->ring = (int)syscall(SETUP_CALL, 1, &p);
  int err = f->ring < 0 ? errno : shmseg_descriptor_raise(&f->ring);
  if (!err && p.cq_entries != ANSWERS)
    err = EINVAL;
  if (!err)
    err = ring_take_memory(f, &p);
  if (!err && syscall(REGISTER_CALL, f->ring, REGISTER_EVENTFD, &f->fd, 1) != 0)
    err = errno;
  if (err)
    ring_drop(f);
  return err;
}

/* --- a wait ------------------------------------------------------------------------------- */

/* Enters the kernel, which does what is due, with so many new requests. */
static int ring_enter(const shmseg_futexfd *f, unsigned requests) {
  long done;
  do
    done = syscall(ENTER_CALL, f->ring, requests, 0, ENTER_GETEVENTS, NULL, 0);
  while (done < 0 && errno == EINTR);
  return done < 0 ? errno : (unsigned)done == requests ? 0 : ENOMEM;
}

/* Takes the answer, if there is one: then *result is what came of the wait. */
static bool ring_take_answer(shmseg_futexfd *f, int *result) {
  uint32_t *head = ring_word(f, f->cq_head);
  uint32_t tail = __atomic_load_n(ring_word(f, f->cq_tail), __ATOMIC_ACQUIRE);
  if (*head == tail)
    return false;
  const ring_answer *answers = (const ring_answer *)(void *)(f->memory + f->cq_entries);
  *result = answers[(tail - 1) % ANSWERS].result;
  __atomic_store_n(head, tail, __ATOMIC_RELEASE);
  f->pending = false;
  return true;
}

static int ring_reap(shmseg_futexfd *f) {
  int result, err = ring_enter(f, 0);
  if (!err)
    ring_take_answer(f, &result);
  return err;
}

int shmseg_futexfd_ring_begin(shmseg_futexfd *f, bool same) {
  int err = 0;
  if (f->ring > 0 && !(f->pending && !same))
    err = ring_reap(f);
  if (f->ring <= 0 || (f->pending && !same) || err == EEXIST) {
    shmseg_futexfd_ring_close(f);
    err = shmseg_futexfd_ring_open(f);
  }
  if (err)
    return err;
  shmseg_futexfd_drain(f->fd);
  if (!f->pending)
    return 0;
  err = ring_reap(f);
  if (!f->pending)
    shmseg_futexfd_drain(f->fd);
  return err;
}

/* Submits the wait. *result: 0, it is under way; or what came of it at once. */
static int ring_submit(shmseg_futexfd *f, const uint32_t *word, uint32_t seen, int *result) {
  ring_request *request = f->entry;
  memset(request, 0, sizeof *request);
  request->opcode = OP_FUTEX_WAIT;
  request->fd = FUTEX_SIZE_U32;
  request->word = (uint64_t)(uintptr_t)word;
  request->value = seen;
  request->mask = UINT32_MAX;
  request->number = NUMBER;
  uint32_t *tail = ring_word(f, f->sq_tail);
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  f->pending = true;
  int err = ring_enter(f, 1);
  *result = 0;
  if (!err)
    ring_take_answer(f, result);
  return err;
}

int shmseg_futexfd_ring_wait(shmseg_futexfd *f, const uint32_t *word, uint32_t seen) {
  int result;
  if (f->pending)
    return 0;
  int err = ring_submit(f, word, seen, &result);
  if (err) /* the request may be in the queue still */
    shmseg_futexfd_ring_close(f);
  else if (!f->pending)
    shmseg_futexfd_write(f->fd);
  return err;
}

/* Ends the wait at once, so that it takes nobody's wake. Another thread than the ring's is refused: it wakes
 * the word's sleepers, this one among them; for the kernel would end it later, and a child that has the
 * ring's descriptor, too, keeps it. */
void shmseg_futexfd_ring_close(shmseg_futexfd *f) {
  if (f->ring <= 0)
    return;
  __atomic_fetch_or(ring_word(f, f->cq_flags), CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  ring_cancel cancel = { .number = NUMBER, .fd = -1, .seconds = -1, .nanoseconds = -1 };
  if (f->pending && syscall(REGISTER_CALL, f->ring, REGISTER_SYNC_CANCEL, &cancel, 1) < 0 &&
      errno != ENOENT)
    shmseg_futex_wake(f->address, INT32_MAX);
  ring_drop(f);
}

int shmseg_futexfd_ring_try(shmseg_futexfd *f) {
  uint32_t word = 1;
  int result = 0;
  int err = shmseg_futexfd_ring_open(f);
  if (!err)
    err = ring_submit(f, &word, 0, &result);
  if (!err && result != -EAGAIN)
    err = EINVAL;
  if (err)
    ring_drop(f);
  else
    shmseg_futexfd_drain(f->fd);
  return err;
}

#else
typedef int shmseg_futexfd_ring_linux_is_empty; /* ISO C forbids an empty file */
#endif
