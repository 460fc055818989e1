/* SPDX-License-Identifier: MIT */
/* Queues: two producers, two consumers, each message once, whole and in order. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "race/race.h"

#define CAPACITY 200
#define PRODUCERS 2
#define AT_ONCE 8 /* messages of a batch */

typedef struct {
  uint64_t producer, number;
  unsigned char bytes[CAPACITY - 16];
} message;

static uint64_t *notes[PRODUCERS]; /* plain words: what is pushed after them is taken before */
static int producing = PRODUCERS, rounds, claimed, went_on;

static void compose(message *m, shmseg_source *source, participant *p, int number) {
  size_t more = race_draw(p, 4) ? race_draw(p, 40) : race_draw(p, sizeof m->bytes + 1);
  *m = (message){ (uint64_t)p->number, (uint64_t)number, { 0 } };
  memset(m->bytes, number % 251, more);
  *source = (shmseg_source){ m, 16 + more, NULL };
  notes[p->number][number] = (uint64_t)number + more;
}

/* All of them, in one of both ways. */
static void push(shmseg_queue *queue, participant *p, const shmseg_source *sources, size_t count) {
  int64_t deadline = race_ms(20000);
  size_t done = 0, more;
  int err = 0;
  bool singly = race_draw(p, 2);
  while ((err == 0 || err == SHMSEG_INTERRUPTED) && done < count) {
    if (singly) {
      err = shmseg_queue_push(queue, sources[done].bytes, sources[done].size, deadline);
      more = err == 0;
    } else {
      err = shmseg_queue_push_many(queue, sources + done, count - done, &more, deadline);
    }
    done += more;
  }
  race_must(err == 0);
}

static void produce(shmseg_queue *queue, participant *p) {
  message messages[AT_ONCE];
  shmseg_source sources[AT_ONCE];
  for (int i = 1; i <= rounds;) {
    size_t count = 1 + race_draw(p, AT_ONCE), n = 0;
    for (; n < count && i <= rounds; n++, i++)
      compose(&messages[n], &sources[n], p, i);
    push(queue, p, sources, n);
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

/* A batch that is copied, and then claimed, or what others have left of it. *begin: where that is in
 * the records. */
static int claim(shmseg_queue *queue, participant *p, unsigned char *records, size_t *begin,
                 size_t *used, int64_t deadline) {
  shmseg_queue_batch batch;
  size_t at = 0;
  int err = shmseg_queue_look(queue, &batch, 1 + race_draw(p, AT_ONCE), deadline);
  uint64_t first = batch.head;
  while (!err && (err = shmseg_queue_next(queue, &batch)) == 0) {
    uint64_t size = batch.size;
    race_must(size <= CAPACITY);
    memcpy(records + at, &size, 8);
    err = shmseg_queue_copy(queue, &batch, records + at + 8);
    at += SHMSEG_RECORD(batch.size);
  }
  if (err != SHMSEG_EMPTY)
    return err;
  if (race_draw(p, 2))
    sched_yield(); /* for the other one */
  *used = at;
  *begin = 0;
  while ((err = shmseg_queue_claim(queue, &batch)) == SHMSEG_CHANGED) {
    uint64_t size;
    for (; *begin < at && first + *begin < batch.head; *begin += SHMSEG_RECORD((size_t)size))
      memcpy(&size, records + *begin, 8);
    if (*begin == at || first + *begin != batch.head)
      return err;
  }
  __atomic_add_fetch(&claimed, err == 0, __ATOMIC_RELAXED);
  __atomic_add_fetch(&went_on, err == 0 && *begin > 0, __ATOMIC_RELAXED);
  return err;
}

/* Some messages, in one of both ways. */
static int get(shmseg_queue *queue, participant *p, uint64_t *records, size_t available,
               size_t *begin, size_t *used) {
  int64_t deadline = race_draw(p, 2) ? 0 : race_ms(3);
  uint64_t max = race_draw(p, 4) ? 1 + race_draw(p, 3) : UINT64_MAX;
  *begin = 0;
  if (race_draw(p, 4))
    return claim(queue, p, (unsigned char *)records, begin, used, deadline);
  return shmseg_queue_take(queue, records, available, max, used, deadline);
}

/* Counts, while all others push and take. */
static void look(shmseg_queue *queue) {
  shmseg_queue_stats stats;
  uint64_t bytes;
  race_must(shmseg_queue_bytes(queue, &bytes) == 0 && bytes <= queue->ring);
  int err = shmseg_queue_count(queue, &stats);
  race_must(err == EAGAIN || (err == 0 && stats.bytes <= queue->ring &&
                              stats.messages * SHMSEG_RECORD(16) <= stats.bytes));
}

static void consume(shmseg_queue *queue, participant *p) {
  uint64_t records[AT_ONCE * SHMSEG_RECORD(CAPACITY) / 8], last[PRODUCERS] = { 0 };
  for (;;) {
    size_t used, at;
    int err = get(queue, p, records, sizeof records, &at, &used);
    if (err == SHMSEG_SHUTDOWN)
      return;
    race_must(err == 0 || err == SHMSEG_TIMEOUT || err == SHMSEG_INTERRUPTED ||
              err == SHMSEG_CHANGED);
    while (!err && at < used) {
      uint64_t size = records[at / 8];
      accept((unsigned char *)records + at + 8, size, last);
      at += SHMSEG_RECORD((size_t)size);
    }
    if (race_draw(p, 4) == 0)
      look(queue);
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
  printf("# %d batches were claimed, %d of them after others had taken a part\n", claimed, went_on);
  test("what producers push, consumers take: each message once, whole and in order", missing == 0);
  return test_end();
}
