/* SPDX-License-Identifier: MIT */
/* Building: threads that open one object on the same zeroes. */
#include <pthread.h>
#include <string.h>

#include "race/race.h"

static pthread_barrier_t together;
static int creators, rounds;

static void body(participant *p) {
  for (int i = 0; i < rounds; i++) {
    shmseg_mutex mutex;
    bool created, abandoned;
    pthread_barrier_wait(&together);
    if (p->number == 0)
      memset(race_bytes, 0, RACE_DATA);
    pthread_barrier_wait(&together);
    int err = shmseg_mutex_open(&mutex, (shmseg_slice){ &p->segment, 0, RACE_DATA }, SHMSEG_CREATE,
                                NULL, &created);
    if (err)
      printf("# open: %d\n", err);
    race_must(err == 0);
    __atomic_add_fetch(&creators, created, __ATOMIC_RELAXED);
    do
      err = shmseg_mutex_lock(&mutex, race_ms(20000), &abandoned);
    while (err == SHMSEG_INTERRUPTED);
    race_must(err == 0 && !abandoned);
    race_words()->a++;
    race_must(shmseg_mutex_unlock(&mutex) == 0);
    shmseg_mutex_close(&mutex);
  }
}

int main(void) {
  rounds = race_rounds() / 4;
  pthread_barrier_init(&together, NULL, RACE_THREADS);
  race_run(body);
  test("of threads that open one object on zeroes one builds it, and all have the same",
       creators == rounds && race_words()->a == (uint64_t)RACE_THREADS * (uint64_t)rounds);
  return test_end();
}
