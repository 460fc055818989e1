/* SPDX-License-Identifier: MIT */
/* Semaphores: never more inside than there are permits; one permit is a lock. */
#include "race/race.h"
#include "options.h"

#define MANY 1024u /* where the second one lies */
#define PERMITS 2

static int inside;

static int acquire(shmseg_semaphore *semaphore, int64_t deadline) {
  int err;
  do
    err = shmseg_semaphore_acquire(semaphore, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

static void alone(shmseg_semaphore *one) {
  race_must(acquire(one, race_ms(20000)) == 0);
  race_data *data = race_words();
  race_must(data->a == data->b);
  data->a++;
  data->b++;
  race_must(shmseg_semaphore_release(one) == 0);
}

static void together(shmseg_semaphore *many, participant *p) {
  if (acquire(many, race_draw(p, 2) ? 0 : race_ms(20000)) != 0)
    return;
  race_must(__atomic_add_fetch(&inside, 1, __ATOMIC_RELAXED) <= PERMITS);
  __atomic_sub_fetch(&inside, 1, __ATOMIC_RELAXED);
  race_must(shmseg_semaphore_release(many) == 0);
}

static void body(participant *p) {
  shmseg_semaphore one, many;
  uint32_t value;
  race_must(shmseg_semaphore_open(&one, (shmseg_slice){ &p->segment, 0, MANY }, SHMSEG_CREATE,
                                  OF_PERMITS(1), NULL) == 0);
  race_must(shmseg_semaphore_open(&many, (shmseg_slice){ &p->segment, MANY, MANY }, SHMSEG_CREATE,
                                  OF_PERMITS(PERMITS), NULL) == 0);
  for (int i = 0; i < race_rounds(); i++) {
    if (race_draw(p, 2))
      alone(&one);
    else
      together(&many, p);
    race_must(shmseg_semaphore_value(&many, &value) == 0 && value <= PERMITS);
  }
  shmseg_semaphore_close(&one);
  shmseg_semaphore_close(&many);
}

int main(void) {
  race_run(body);
  race_data *data = race_words();
  test("threads that share permits do not race, and never too many are inside",
       data->a == data->b && data->a > 0 && inside == 0);
  return test_end();
}
