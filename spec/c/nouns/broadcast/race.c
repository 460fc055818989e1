/* SPDX-License-Identifier: MIT */
/* Broadcasts: two publishers, two subscribers, who get whole messages and know of those they miss. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "race/race.h"

#define CAPACITY 300
#define PUBLISHERS 2

typedef struct {
  uint64_t publisher, number;
  unsigned char bytes[CAPACITY - 16];
} message;

static uint64_t *notes[PUBLISHERS]; /* plain words: what is published after them is read before */
static int publishing = PUBLISHERS, rounds;
static uint64_t received, missed;

static void publish(shmseg_broadcast *b, participant *p) {
  uint64_t sequence, before = 0;
  for (int i = 1; i <= rounds; i++) {
    message m = { (uint64_t)p->number, (uint64_t)i, { 0 } };
    size_t more = race_draw(p, 4) ? race_draw(p, 40) : race_draw(p, sizeof m.bytes + 1);
    memset(m.bytes, i % 251, more);
    notes[p->number][i] = (uint64_t)i + more;
    race_must(shmseg_broadcast_publish(b, &m, 16 + more, &sequence) == 0 && sequence > before);
    before = sequence;
    if (race_draw(p, 4) == 0)
      sched_yield(); /* or hardly anything is received */
  }
  if (__atomic_sub_fetch(&publishing, 1, __ATOMIC_RELAXED) == 0)
    race_must(shmseg_broadcast_shutdown(b) == 0);
}

static void check_message(const message *m, size_t size, uint64_t *last) {
  race_must(size >= 16 && m->publisher < PUBLISHERS && m->number > last[m->publisher]);
  for (size_t i = 0; i < size - 16; i++)
    race_must(m->bytes[i] == m->number % 251);
  race_must(notes[m->publisher][m->number] == m->number + size - 16);
  last[m->publisher] = m->number;
}

/* From somewhere on: a number that is gone counts as lost, like those that are missed later. */
static uint64_t begin(const shmseg_broadcast *b, participant *p, shmseg_subscription *s) {
  race_must(shmseg_broadcast_subscribe(b, SHMSEG_FROM_NEW, s) == 0);
  uint64_t from = race_draw(p, 2) ? 1 : 1 + race_draw(p, (uint32_t)s->sequence);
  race_must(shmseg_broadcast_subscribe(b, from, s) == 0);
  return from - 1;
}

static void receive(const shmseg_broadcast *b, participant *p) {
  shmseg_subscription s;
  uint64_t last[PUBLISHERS] = { 0 }, before = begin(b, p, &s), sum = before, count = 0;
  int err;
  do {
    message m;
    size_t size;
    uint64_t sequence, lost;
    int64_t deadline = race_draw(p, 2) ? 0 : race_ms(3);
    err = shmseg_subscription_next(&s, &m, sizeof m, &size, &sequence, &lost, deadline);
    race_must(err == 0 || err == SHMSEG_TIMEOUT || err == SHMSEG_INTERRUPTED ||
              err == SHMSEG_SHUTDOWN);
    if (err)
      continue;
    race_must(sequence == before + lost + 1);
    check_message(&m, size, last);
    before = sequence;
    sum += lost + 1;
    count++;
  } while (err != SHMSEG_SHUTDOWN);
  race_must(sum == 2 * (uint64_t)rounds);
  __atomic_add_fetch(&received, count, __ATOMIC_RELAXED);
  __atomic_add_fetch(&missed, sum - count, __ATOMIC_RELAXED);
}

static void body(participant *p) {
  shmseg_broadcast b;
  race_must(shmseg_broadcast_open(&b, (shmseg_slice){ &p->segment, 0, RACE_DATA }, SHMSEG_CREATE,
                                  OF_CAPACITY(CAPACITY), NULL) == 0);
  if (p->number < PUBLISHERS)
    publish(&b, p);
  else
    receive(&b, p);
  shmseg_broadcast_close(&b);
}

int main(void) {
  rounds = race_rounds();
  for (int i = 0; i < PUBLISHERS; i++)
    notes[i] = calloc((size_t)rounds + 1, sizeof **notes);
  race_run(body);
  printf("# %llu received, %llu missed\n", (unsigned long long)received,
         (unsigned long long)missed);
  test("subscribers get whole messages in order, and know exactly how many they miss",
       received > 0);
  return test_end();
}
