/* SPDX-License-Identifier: MIT */
/* A futexfd over threads that wait for its words and write to its eventfd.
 *
 * LAYOUT      static tables, since floor 1 does not call malloc. Thread t waits for the words of its
 *             entries, 127 at most, and for its control word, which stands for all of them: futex_waitv
 *             takes 128. Without futex_waitv (before Linux 5.16, or in a sandbox) a thread has one entry.
 *             A thread maps the page of each word itself: the segment may move, or shrink, meanwhile.
 *
 * INVARIANTS  T1  the mutex guards the tables. Who has it waits for no thread, but in thread_settle(),
 *                 which lets go of it.
 *             T2  an armed entry's word is waited for by its thread, or will be, since the control word
 *                 was changed after the entry; an entry that is not armed is readable, or about to be
 *                 armed.
 *             T3  only what disarms an entry writes to its eventfd, both under the mutex.
 *             T4  a thread loads no shared memory: the kernel compares.
 *
 * PROTOCOL    arm    write the entry, change the control word, wake the thread. It copies what it has to
 *                    wait for, under the mutex, and sleeps while all words are as they were seen. A
 *                    change between an entry's look and the sleep ends the sleep at once (EAGAIN): then
 *                    the kernel is asked for each word. An entry that was armed anew meanwhile is passed
 *                    over: the next round has its new number.
 *             disarm the same, and wait until the thread says that it has noted it: from then on it takes
 *                    nobody's wake. Without futex_waitv it sleeps on the word itself, and the word's
 *                    sleepers are woken until it says so; if the page is gone that is in a second.
 *             The first entry starts a thread, the last one's end ends it. Signals are for other threads,
 *             but for those that say that this one has gone wrong.
 *
 * CRASHES     all of it is private to the process, and goes with it. A forked child has none of the threads,
 *             nor what they had mapped, and starts with empty tables. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/futex_call.h"
#include "os/futexfd_ways.h"
#include "os/map.h"

#define THREADS 64
#define ENTRIES 127 /* of a thread */

/* Bytes of a thread's stack; a C library that needs more says so. */
#define STACK ((size_t)128 << 10)

/* Seconds that who has only FUTEX_WAIT sleeps at most. */
#define INTERVAL 1

/* Nanoseconds between two wakes of such a one, and between two looks of one whose calls are refused. */
#define AGAIN 1000000
#define POLL 10000000

/* futex_waitv, whose number is the same on all machines of this library. */
#define WAITV_CALL 449

/* struct futex_waitv */
typedef struct {
  uint64_t value, address;
  uint32_t flags, reserved;
} thread_word;

typedef struct {
  int fd; /* the eventfd; 0: the entry is free */
  bool is_armed;
  uint32_t seen;
  unsigned number;      /* another one each time that it is armed */
  const uint32_t *word; /* where the thread sees it */
  void *page;           /* that is mapped for that; NULL: none */
} thread_entry;

typedef struct {
  enum { ABSENT, RUNNING, ENDING } state;
  pthread_t id;
  int used;         /* entries that are not free */
  bool is_over;     /* it is to end */
  uint32_t control; /* changes with each entry, and with is_over */
  uint32_t noted;   /* what it was when the thread looked */
  thread_entry entries[ENTRIES];
} thread;

/* What a thread waits for; number i is entry who[i - 1]'s, and number 0 the control word. */
typedef struct {
  thread_word words[ENTRIES + 1];
  unsigned count, numbers[ENTRIES];
  unsigned char who[ENTRIES];
} thread_plan;

/* Guards what is below. fork waits for it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_noted = PTHREAD_COND_INITIALIZER;

static thread threads[THREADS];
static unsigned process; /* whose they are */
static int prepared;
static int capacity; /* entries of a thread; 0: nobody has asked yet */

/* --- the system's calls ------------------------------------------------------------------- */

static void thread_wake(const uint32_t *word, int flags) {
  syscall(FUTEX_CALL, word, FUTEX_WAKE | flags, INT32_MAX, NULL, NULL, 0);
}

/* Has the thread look at its entries again. */
static uint32_t thread_change(thread *t) {
  uint32_t now = __atomic_add_fetch(&t->control, 1, __ATOMIC_RELAXED);
  thread_wake(&t->control, FUTEX_PRIVATE);
  return now;
}

/* Is the word as it was seen? EAGAIN: no; EFAULT: its page is gone. Nobody is woken, and nobody is moved:
 * this is the one comparison that does not sleep when it succeeds. */
static int thread_compare(const uint32_t *word, uint32_t seen) {
  long moved = syscall(FUTEX_CALL, word, FUTEX_CMP_REQUEUE, 0, (void *)0, word, seen);
  return moved < 0 ? errno : 0;
}

static int thread_wait_one(const uint32_t *word, uint32_t seen, int operation) {
  const kernel_time interval[2] = { INTERVAL, 0 };
  return syscall(FUTEX_CALL, word, operation, seen, interval, NULL, 0) == 0 ? 0 : errno;
}

/* Does the system have futex_waitv? It says then that none is too few. */
static int thread_capacity(void) {
  syscall(WAITV_CALL, NULL, 0, 0, NULL, 0);
  return errno == EINVAL ? ENTRIES : 1;
}

/* --- the thread --------------------------------------------------------------------------- */

/* Copies what the thread has to wait for. False: it is to end. */
static bool thread_note(thread *t, thread_plan *plan) {
  pthread_mutex_lock(&mutex);
  bool goes_on = !t->is_over;
  t->noted = t->control;
  pthread_cond_broadcast(&has_noted);
  plan->words[0] = (thread_word){ t->control, (uint64_t)(uintptr_t)&t->control,
                                  FUTEX_SIZE_U32 | FUTEX_PRIVATE, 0 };
  plan->count = 0;
  for (int i = 0; i < capacity; i++) {
    const thread_entry *e = &t->entries[i];
    if (!e->is_armed)
      continue;
    plan->numbers[plan->count] = e->number;
    plan->who[plan->count++] = (unsigned char)i;
    plan->words[plan->count] =
        (thread_word){ e->seen, (uint64_t)(uintptr_t)e->word, FUTEX_SIZE_U32, 0 };
  }
  pthread_mutex_unlock(&mutex);
  return goes_on;
}

/* The mutex is held. */
static void thread_fire(thread_entry *e) {
  if (!e->is_armed)
    return;
  e->is_armed = false;
  shmseg_futexfd_write(e->fd);
}

/* Word i has had a wake: it is told, though the entry may have been armed anew, for the wake may be that
 * one's. */
static void thread_tell(thread *t, const thread_plan *plan, unsigned i) {
  if (i == 0)
    return;
  pthread_mutex_lock(&mutex);
  thread_fire(&t->entries[plan->who[i - 1]]);
  pthread_mutex_unlock(&mutex);
}

/* Some word is another one, or cannot be looked at. */
static void thread_tell_changed(thread *t, const thread_plan *plan) {
  for (unsigned i = 0; i < plan->count; i++) {
    thread_entry *e = &t->entries[plan->who[i]];
    const thread_word *word = &plan->words[i + 1];
    if (thread_compare((const uint32_t *)(uintptr_t)word->address, (uint32_t)word->value) == 0)
      continue;
    pthread_mutex_lock(&mutex);
    if (e->number == plan->numbers[i])
      thread_fire(e);
    pthread_mutex_unlock(&mutex);
  }
}

/* Sleeps until a wake, or an interval where there is no futex_waitv: the index of the word; or -errno. */
static int thread_sleep(const thread_plan *plan) {
  if (capacity > 1) {
    long woken = syscall(WAITV_CALL, plan->words, plan->count + 1, 0, NULL, CLOCK_MONOTONIC);
    return woken < 0 ? -errno : (int)woken;
  }
  const thread_word *word = &plan->words[plan->count];
  int err = thread_wait_one((const uint32_t *)(uintptr_t)word->address, (uint32_t)word->value,
                            plan->count == 0 ? FUTEX_WAIT_PRIVATE : FUTEX_WAIT);
  return err ? -err : (int)plan->count;
}

static void *thread_run(void *argument) {
  thread *t = argument;
  thread_plan plan;
  prctl(PR_SET_NAME, "shmseg", 0, 0, 0);
  while (thread_note(t, &plan)) {
    int woken = thread_sleep(&plan);
    if (woken >= 0) {
      thread_tell(t, &plan, (unsigned)woken);
      continue;
    }
    if (woken == -EINTR)
      continue;
    if (woken != -EAGAIN && woken != -EFAULT && woken != -ETIMEDOUT)
      shmseg_clock_sleep(POLL);
    if (__atomic_load_n(&t->control, __ATOMIC_RELAXED) == plan.words[0].value || woken != -EAGAIN)
      thread_tell_changed(t, &plan);
  }
  return NULL;
}

/* --- starting and ending ------------------------------------------------------------------ */

static void thread_before_fork(void) {
  pthread_mutex_lock(&mutex);
}

static void thread_after_fork_in_parent(void) {
  pthread_mutex_unlock(&mutex);
}

static void thread_forget(void) {
  for (int i = 0; i < THREADS; i++)
    if (threads[i].state != ABSENT)
      memset(&threads[i], 0, sizeof threads[i]);
  process = shmseg_fork_generation();
}

static void thread_after_fork_in_child(void) {
  static const pthread_cond_t fresh = PTHREAD_COND_INITIALIZER;
  has_noted = fresh; /* a thread of the parent's may wait for it */
  thread_forget();
  pthread_mutex_unlock(&mutex);
}

/* The mutex is held. */
static int thread_prepare(void) {
  int err = 0;
  if (!prepared)
    err =
        pthread_atfork(thread_before_fork, thread_after_fork_in_parent, thread_after_fork_in_child);
  prepared = prepared || err == 0;
  if (process != shmseg_fork_generation()) /* a raw clone, or the first time */
    thread_forget();
  if (capacity == 0)
    capacity = thread_capacity();
  return err;
}

static int thread_create(thread *t, size_t stack) {
  pthread_attr_t attributes;
  int err = pthread_attr_init(&attributes);
  if (err)
    return err;
  if (stack != 0)
    err = pthread_attr_setstacksize(&attributes, stack);
  if (!err)
    err = pthread_create(&t->id, &attributes, thread_run, t);
  pthread_attr_destroy(&attributes);
  return err;
}

/* The mutex is held. */
static int thread_start(thread *t) {
  sigset_t blocked, before;
  sigfillset(&blocked);
  sigdelset(&blocked, SIGBUS);
  sigdelset(&blocked, SIGSEGV);
  sigdelset(&blocked, SIGILL);
  sigdelset(&blocked, SIGFPE);
  t->is_over = false;
  int err = pthread_sigmask(SIG_SETMASK, &blocked, &before);
  if (err)
    return err;
  err = thread_create(t, STACK);
  if (err == EINVAL) /* too small for what the program's libraries keep on each stack */
    err = thread_create(t, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!err)
    t->state = RUNNING;
  return err;
}

/* The mutex is held, and let go of meanwhile. */
static void thread_stop(thread *t) {
  t->state = ENDING;
  t->is_over = true;
  thread_change(t);
  pthread_mutex_unlock(&mutex);
  pthread_join(t->id, NULL);
  pthread_mutex_lock(&mutex);
  t->state = ABSENT;
}

/* --- entries ------------------------------------------------------------------------------ */

static thread *thread_of(const shmseg_futexfd *f) {
  return &threads[(f->slot - 1) / ENTRIES];
}

static thread_entry *thread_entry_of(const shmseg_futexfd *f) {
  return &thread_of(f)->entries[(f->slot - 1) % ENTRIES];
}

static void thread_unmap(thread_entry *e) {
  if (e->page)
    munmap(e->page, shmseg_map_page());
  e->page = NULL;
  e->word = NULL;
}

/* Disarms the entry, and waits until its thread has noted it. The mutex is held, and let go of meanwhile. */
static void thread_settle(thread *t, thread_entry *e) {
  e->is_armed = false;
  uint32_t goal = thread_change(t);
  while ((int32_t)(t->noted - goal) < 0) {
    struct timespec until;
    if (capacity > 1) {
      pthread_cond_wait(&has_noted, &mutex);
      continue;
    }
    thread_wake(e->word, 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += AGAIN;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&has_noted, &mutex, &until);
  }
}

static int thread_map(thread_entry *e, const shmseg_futexfd_word *word) {
  size_t size = shmseg_map_page();
  uint64_t at = word->offset % size;
  int fresh, file = word->file;
  if (file < 0) {
    e->word = word->address;
    return 0;
  }
  bool is_fresh = word->apart && shmseg_descriptor_reopen(file, &fresh) == 0;
  void *page =
      mmap(NULL, size, PROT_READ, MAP_SHARED, is_fresh ? fresh : file, (off_t)(word->offset - at));
  int err = page == MAP_FAILED ? errno : 0;
  if (is_fresh)
    close(fresh);
  if (err)
    return err;
#if defined(MADV_DONTFORK)
  madvise(page, size, MADV_DONTFORK);
#endif
  e->page = page;
  e->word = (const uint32_t *)(const void *)((const char *)page + at);
  return 0;
}

/* Finds a thread that has an entry free, or can be started. The mutex is held. */
static int thread_find(int *found) {
  for (*found = 0; *found < THREADS; (*found)++) {
    thread *t = &threads[*found];
    if (t->state == RUNNING && t->used < capacity)
      return 0;
    if (t->state == ABSENT)
      return thread_start(t);
  }
  return EAGAIN; /* as the system says that it has no thread left */
}

int shmseg_futexfd_thread_open(shmseg_futexfd *f) {
  int found;
  pthread_mutex_lock(&mutex);
  int err = thread_prepare();
  if (!err)
    err = thread_find(&found);
  if (!err) {
    thread *t = &threads[found];
    int i = 0;
    while (t->entries[i].fd != 0)
      i++;
    t->entries[i].fd = f->fd;
    t->used++;
    f->slot = found * ENTRIES + i + 1;
  }
  pthread_mutex_unlock(&mutex);
  return err;
}

int shmseg_futexfd_thread_begin(shmseg_futexfd *f, bool same) {
  pthread_mutex_lock(&mutex);
  thread_entry *e = thread_entry_of(f);
  if (e->is_armed && !same)
    thread_settle(thread_of(f), e);
  if (!same)
    thread_unmap(e);
  shmseg_futexfd_drain(f->fd);
  pthread_mutex_unlock(&mutex);
  return 0;
}

int shmseg_futexfd_thread_wait(shmseg_futexfd *f, const shmseg_futexfd_word *word, uint32_t seen) {
  pthread_mutex_lock(&mutex);
  thread *t = thread_of(f);
  thread_entry *e = thread_entry_of(f);
  bool is_noted = e->is_armed && e->seen == seen;
  int err = e->word ? 0 : thread_map(e, word);
  if (!err && !is_noted) {
    e->seen = seen;
    e->number++;
    e->is_armed = true;
    thread_change(t);
  }
  pthread_mutex_unlock(&mutex);
  return err;
}

void shmseg_futexfd_thread_close(shmseg_futexfd *f) {
  if (f->slot == 0)
    return;
  pthread_mutex_lock(&mutex);
  thread *t = thread_of(f);
  thread_entry *e = thread_entry_of(f);
  if (e->is_armed)
    thread_settle(t, e);
  thread_unmap(e);
  e->fd = 0;
  f->slot = 0;
  if (--t->used == 0)
    thread_stop(t);
  pthread_mutex_unlock(&mutex);
}

#else
typedef int shmseg_futexfd_thread_linux_is_empty; /* ISO C forbids an empty file */
#endif
