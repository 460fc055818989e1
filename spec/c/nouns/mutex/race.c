/* SPDX-License-Identifier: MIT */
/* Mutexes: threads that race to build one, lock it, and give up while they hold it. */
#include "race/race.h"

static int lock(shmseg_mutex *mutex, int64_t deadline, bool *abandoned) {
  int err;
  do
    err = shmseg_mutex_lock(mutex, deadline, abandoned);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

static void open(shmseg_mutex *mutex, participant *p) {
  race_must(shmseg_mutex_open(mutex, (shmseg_slice){ &p->segment, 0, RACE_DATA }, SHMSEG_CREATE,
                              NULL, NULL) == 0);
}

static void body(participant *p) {
  shmseg_mutex mutex;
  bool abandoned;
  open(&mutex, p);
  for (int i = 0; i < race_rounds(); i++) {
    bool tries = race_draw(p, 4) == 0;
    int err = lock(&mutex, tries ? 0 : race_ms(20000), &abandoned);
    race_must(err == 0 || (tries && err == SHMSEG_TIMEOUT));
    if (err)
      continue;
    race_data *data = race_words();
    race_must(data->a == data->b);
    data->a++;
    data->told += abandoned;
    data->b++;
    if (race_draw(p, 50) == 0) {
      data->given_up++;
      if (race_draw(p, 2)) {
        shmseg_mutex_close(&mutex);
      } else {
        race_leave(p);
        shmseg_mutex_close(&mutex);
        race_join(p, p->number);
      }
      open(&mutex, p);
    } else {
      race_must(shmseg_mutex_unlock(&mutex) == 0);
    }
  }
  shmseg_mutex_close(&mutex);
}

int main(void) {
  race_run(body);
  race_data *data = race_words();
  uint64_t left = *(uint32_t *)(race_bytes + 64) != 1; /* the last one gave up, perhaps */
  test("threads under a mutex do not race, and each one that gives up is told once",
       data->a == data->b && data->a > 0 && data->given_up == data->told + left);
  return test_end();
}
