/* SPDX-License-Identifier: MIT */
/* Taking over from the dead, in a fake OS: who is dead already is found before the first sleep, and
 * in each interval the kernel is asked once. One processor: nobody spins. */
#include <string.h>

#include "core/lock.h"
#include "core/owner.h"
#include "core/slots.h"
#include "fake/fake.h"
#include "objects/header.h"
#include "options.h"
#include "test.h"

#define WORD 64 /* of a mutex or an rwlock */
#define SLOTS 128
#define STRANGER 0x2000000u

static _Alignas(64) unsigned char memory[4096];
static shmseg_segment segment;
static bool abandoned;
static uint64_t version, number;

/* A segment of zeroes in private memory, and nobody alive. */
static void set_up(void) {
  memset(memory, 0, sizeof memory);
  memset(&segment, 0, sizeof segment);
  segment.data = memory;
  segment.size = sizeof memory;
  segment.fd = 3;
  segment.writable = true;
  fake_reset();
}

static void set_word(uint64_t offset, uint32_t value) {
  memcpy(memory + offset, &value, sizeof value);
}

static unsigned sleeps(void) {
  return fake.calls[FAKE_WAIT] + fake.calls[FAKE_SLEEP];
}

static int64_t soon(void) {
  return fake.now + 1000000000;
}

/* Everything that an owner's death can keep waiting, and where the dead one stands then. */
static shmseg_mutex mutex;
static shmseg_rwlock rwlock;
static shmseg_semaphore semaphore;
static shmseg_cell cell;
static shmseg_queue queue;
static shmseg_broadcast broadcast;

static int open_mutex(void) {
  return shmseg_mutex_open(&mutex, (shmseg_slice){ &segment, 0, sizeof memory }, SHMSEG_CREATE,
                           NULL, NULL);
}

static int open_rwlock(void) {
  return shmseg_rwlock_open(&rwlock, (shmseg_slice){ &segment, 0, sizeof memory }, SHMSEG_CREATE,
                            NULL, NULL);
}

static int open_semaphore(void) {
  return shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, sizeof memory },
                               SHMSEG_CREATE, OF_PERMITS(1), NULL);
}

static int open_cell(void) {
  return shmseg_cell_open(&cell, (shmseg_slice){ &segment, 0, sizeof memory }, SHMSEG_CREATE,
                          OF_CAPACITY(8), NULL);
}

static int open_queue(void) {
  int err = shmseg_queue_open(&queue, (shmseg_slice){ &segment, 0, sizeof memory }, SHMSEG_CREATE,
                              OF_CAPACITY(64), NULL);
  return err ? err : shmseg_queue_push(&queue, "x", 1, 0);
}

static int open_broadcast(void) {
  return shmseg_broadcast_open(&broadcast, (shmseg_slice){ &segment, 0, sizeof memory },
                               SHMSEG_CREATE, OF_CAPACITY(64), NULL);
}

static int lock(void) {
  return shmseg_mutex_lock(&mutex, soon(), &abandoned);
}

static int read_lock(void) {
  return shmseg_rwlock_read_lock(&rwlock, soon(), &abandoned);
}

static int write_lock(void) {
  return shmseg_rwlock_write_lock(&rwlock, soon(), &abandoned);
}

static int acquire(void) {
  return shmseg_semaphore_acquire(&semaphore, soon());
}

static int set_cell(void) {
  int64_t deadline = 0;
  shmseg_source source = { "x", 1, NULL };
  return shmseg_cell_set_until(&cell, SHMSEG_ANY_VERSION, &source, &deadline, &version);
}

static int push(void) {
  return shmseg_queue_push(&queue, "y", 1, soon());
}

static int publish(void) {
  int64_t deadline = 0;
  return shmseg_broadcast_publish_until(&broadcast, &(shmseg_source){ "x", 1, NULL }, &deadline,
                                        &number);
}

static const struct {
  const char *what;
  int (*open)(void);
  uint64_t offset; /* of the word that names the owner */
  int (*act)(void);
} ways[] = {
  { "a mutex", open_mutex, WORD, lock },
  { "an rwlock's writer, for a writer", open_rwlock, WORD, write_lock },
  { "an rwlock's writer, for a reader", open_rwlock, WORD, read_lock },
  { "an rwlock's reader, for a writer", open_rwlock, SLOTS, write_lock },
  { "a semaphore's permit", open_semaphore, SLOTS, acquire },
  { "a cell's lock", open_cell, 64, set_cell },
  { "a queue's lock", open_queue, 64, push },
  { "a broadcast's lock", open_broadcast, 128, publish },
};

#define WAYS (sizeof ways / sizeof *ways)

TEST(dead_already, "what a dead owner holds is taken without a sleep, and with one question") {
  for (size_t i = 0; i < WAYS; i++) {
    set_up();
    if (!check(ways[i].open() == 0))
      continue;
    set_word(ways[i].offset, STRANGER);
    unsigned asked = fake.calls[FAKE_PROBE];
    if (!check(ways[i].act() == 0) || !check(sleeps() == 0) ||
        !check(fake.calls[FAKE_PROBE] == asked + 1))
      printf("# %s\n", ways[i].what);
  }
}

TEST(alive,
     "about an owner who lives the kernel is asked once in each interval, before the sleep") {
  for (size_t i = 0; i < WAYS; i++) {
    set_up();
    if (!check(ways[i].open() == 0))
      continue;
    set_word(ways[i].offset, STRANGER);
    fake_born(STRANGER);
    unsigned asked = fake.calls[FAKE_PROBE];
    for (unsigned interval = 1; interval <= 3; interval++)
      if (!check(ways[i].act() == SHMSEG_INTERRUPTED) || !check(sleeps() == interval) ||
          !check(fake.calls[FAKE_PROBE] == asked + interval))
        printf("# %s\n", ways[i].what);
    fake_died(STRANGER);
    check(ways[i].act() == 0 && sleeps() == 3);
  }
}

TEST(dies_in_last_interval,
     "an owner who dies in the last interval is found before the deadline is told") {
  set_up();
  check(open_mutex() == 0);
  set_word(WORD, STRANGER);
  fake_born(STRANGER);
  int64_t deadline = fake.now + 1000000;
  check(shmseg_mutex_lock(&mutex, deadline, &abandoned) == SHMSEG_INTERRUPTED);
  fake_died(STRANGER);
  check(fake.now >= deadline && shmseg_mutex_lock(&mutex, deadline, &abandoned) == 0 && abandoned);
}

TEST(builder, "what a dead builder has left is built anew without a sleep") {
  set_up();
  set_word(0, SHMSEG_HEADER_INIT | STRANGER);
  check(open_mutex() == 0 && sleeps() == 0);
}

int main(int count, char **words) {
  (void)count;
  test_run(words);
  return test_end();
}
