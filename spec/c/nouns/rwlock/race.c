/* SPDX-License-Identifier: MIT */
/* Rwlocks: readers beside readers, writers alone. */
#include "race/race.h"

static void write(shmseg_rwlock *rwlock, participant *p) {
  bool abandoned, patient = race_draw(p, 3) != 0;
  int64_t deadline = patient ? race_ms(20000) : race_ms(1);
  int err;
  do
    err = shmseg_rwlock_write_lock(rwlock, deadline, &abandoned);
  while (err == SHMSEG_INTERRUPTED && (patient || race_draw(p, 2)));
  if (err == SHMSEG_INTERRUPTED) {
    shmseg_rwlock_cancel(rwlock);
    return;
  }
  race_must(err == 0 || (!patient && err == SHMSEG_TIMEOUT));
  if (err)
    return;
  race_data *data = race_words();
  race_must(data->a == data->b);
  data->a++;
  data->told += abandoned;
  data->b++;
  race_must(shmseg_rwlock_unlock(rwlock) == 0);
}

static void read(shmseg_rwlock *rwlock) {
  bool abandoned;
  int64_t deadline = race_ms(20000);
  int err;
  do
    err = shmseg_rwlock_read_lock(rwlock, deadline, &abandoned);
  while (err == SHMSEG_INTERRUPTED);
  race_must(err == 0);
  race_must(race_words()->a == race_words()->b && !abandoned);
  race_must(shmseg_rwlock_unlock(rwlock) == 0);
}

static void body(participant *p) {
  shmseg_rwlock rwlock;
  race_must(shmseg_rwlock_open(&rwlock, (shmseg_slice){ &p->segment, 0, RACE_DATA }, SHMSEG_CREATE,
                               NULL, NULL) == 0);
  for (int i = 0; i < race_rounds(); i++) {
    if (race_draw(p, 4) == 0)
      write(&rwlock, p);
    else
      read(&rwlock);
    if (race_draw(p, 100) == 0) { /* a reader that ends while it reads is silent */
      bool abandoned;
      if (shmseg_rwlock_read_lock(&rwlock, 0, &abandoned) == 0 && race_draw(p, 2)) {
        race_leave(p);
        shmseg_rwlock_close(&rwlock);
        race_join(p, p->number);
      }
      shmseg_rwlock_close(&rwlock);
      race_must(shmseg_rwlock_open(&rwlock, (shmseg_slice){ &p->segment, 0, RACE_DATA },
                                   SHMSEG_WRITE, NULL, NULL) == 0);
    }
  }
  shmseg_rwlock_close(&rwlock);
}

int main(void) {
  race_run(body);
  race_data *data = race_words();
  test("readers and writers do not race, and nobody is told of deaths that were none",
       data->a == data->b && data->a > 0 && data->told == 0);
  return test_end();
}
