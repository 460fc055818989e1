/* SPDX-License-Identifier: MIT */
/* Events: what was written before a set is seen after the wait. */
#include "race/race.h"

#define APART 128u

static void wait(shmseg_event *event) {
  uint32_t began = 0;
  int64_t deadline = race_ms(20000);
  int err;
  do
    err = shmseg_event_wait(event, &began, deadline);
  while (err == SHMSEG_INTERRUPTED);
  race_must(err == 0);
}

/* The threads pass a plain counter on in a ring, each by the next one's event. */
static void body(participant *p) {
  shmseg_event events[RACE_THREADS];
  for (unsigned i = 0; i < RACE_THREADS; i++)
    race_must(shmseg_event_open(&events[i], (shmseg_slice){ &p->segment, APART * i, APART },
                                SHMSEG_CREATE, NULL, NULL) == 0);
  int next = (p->number + 1) % RACE_THREADS;
  int rounds = race_rounds() / 10;
  for (int i = 0; i < rounds; i++) {
    if (p->number != 0 || i > 0)
      wait(&events[p->number]);
    race_must(shmseg_event_clear(&events[p->number]) == 0);
    race_words()->a++;
    race_must(shmseg_event_set(&events[next]) == 0);
  }
  for (unsigned i = 0; i < RACE_THREADS; i++)
    shmseg_event_close(&events[i]);
}

int main(void) {
  race_run(body);
  test("what is written before a set is read after the wait, without a race",
       race_words()->a == (uint64_t)RACE_THREADS * (uint64_t)(race_rounds() / 10));
  return test_end();
}
