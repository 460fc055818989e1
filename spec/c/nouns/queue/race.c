/* SPDX-License-Identifier: MIT */
/* Queues: two producers, two consumers, each message once, whole and in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/word.h"
#include "options.h"
#include "race/race.h"

#define CAPACITY 200
#define PRODUCERS 2

typedef struct {
  uint64_t producer, number;
  unsigned char bytes[CAPACITY - 16];
} message;

static uint64_t *notes[PRODUCERS]; /* plain words: what is pushed after them is taken before */
static int producing = PRODUCERS, rounds, claimed;

static int push(shmseg_queue *queue, const message *m, size_t size) {
  int64_t deadline = race_ms(20000);
  int err;
  do
    err = shmseg_queue_push(queue, m, size, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

static void produce(shmseg_queue *queue, participant *p) {
  for (int i = 1; i <= rounds; i++) {
    message m = { (uint64_t)p->number, (uint64_t)i, { 0 } };
    size_t more = race_draw(p, 4) ? race_draw(p, 40) : race_draw(p, sizeof m.bytes + 1);
    memset(m.bytes, i % 251, more);
    notes[p->number][i] = (uint64_t)i + more;
    race_must(push(queue, &m, 16 + more) == 0);
  }
  if (__atomic_sub_fetch(&producing, 1, __ATOMIC_RELAXED) == 0)
    race_must(shmseg_queue_shutdown(queue) == 0);
}

/* Whole, in the order of its producer, and the first to be told of it. */
static void accept(const unsigned char *record, uint64_t size, uint64_t *last) {
  message m;
  race_must(size >= 16 && size <= CAPACITY);
  memcpy(&m, record, (size_t)size);
  race_must(m.producer < PRODUCERS && m.number > last[m.producer] && m.number <= (uint64_t)rounds);
  for (uint64_t i = 0; i < size - 16; i++)
    race_must(m.bytes[i] == m.number % 251);
  uint64_t *note = &notes[m.producer][m.number];
  race_must(*note == m.number + size - 16);
  *note = 0;
  last[m.producer] = m.number;
}

/* A message that is copied without the lock, and then claimed. */
static int claim(shmseg_queue *queue, uint64_t *record, size_t *used) {
  const unsigned char *bytes;
  size_t size;
  uint64_t position;
  int err = shmseg_queue_peek(queue, &bytes, &size, &position);
  if (err)
    return err;
  race_must(size <= CAPACITY);
  record[0] = size;
  copy_from_shared(record + 1, bytes, size);
  *used = SHMSEG_RECORD(size);
  err = shmseg_queue_claim(queue, position, size);
  __atomic_add_fetch(&claimed, err == 0, __ATOMIC_RELAXED);
  return err;
}

/* Some messages, in one of both ways. */
static int get(shmseg_queue *queue, participant *p, uint64_t *records, size_t available,
               size_t *used) {
  int64_t deadline = race_draw(p, 2) ? 0 : race_ms(3);
  int err = race_draw(p, 3) ? claim(queue, records, used) : SHMSEG_CHANGED;
  if (err == SHMSEG_CHANGED)
    err = shmseg_queue_take(queue, records, available, 1 + race_draw(p, 3), used, deadline);
  return err;
}

static void consume(shmseg_queue *queue, participant *p) {
  uint64_t records[64], last[PRODUCERS] = { 0 };
  for (;;) {
    size_t used, at = 0;
    int err = get(queue, p, records, sizeof records, &used);
    if (err == SHMSEG_SHUTDOWN)
      return;
    race_must(err == 0 || err == SHMSEG_TIMEOUT || err == SHMSEG_INTERRUPTED);
    while (!err && at < used) {
      uint64_t size = records[at / 8];
      accept((unsigned char *)records + at + 8, size, last);
      at += SHMSEG_RECORD((size_t)size);
    }
    uint64_t bytes;
    race_must(shmseg_queue_bytes(queue, &bytes) == 0 && bytes <= queue->ring);
  }
}

static void body(participant *p) {
  shmseg_queue queue;
  race_must(shmseg_queue_open(&queue, (shmseg_slice){ &p->segment, 0, RACE_DATA }, SHMSEG_CREATE,
                              OF_CAPACITY(CAPACITY), NULL) == 0);
  if (p->number < PRODUCERS)
    produce(&queue, p);
  else
    consume(&queue, p);
  shmseg_queue_close(&queue);
}

int main(void) {
  rounds = race_rounds() / 2;
  for (int i = 0; i < PRODUCERS; i++)
    notes[i] = calloc((size_t)rounds + 1, sizeof **notes);
  race_run(body);
  int missing = 0;
  for (int i = 0; i < PRODUCERS; i++)
    for (int number = 1; number <= rounds; number++)
      missing += notes[i][number] != 0;
  printf("# %d of %d messages were claimed\n", claimed, PRODUCERS * rounds);
  test("what producers push, consumers take: each message once, whole and in order", missing == 0);
  return test_end();
}
