/* SPDX-License-Identifier: MIT */
/* Counting signals: what is acquired was posted before, with all that was written before it. */
#include "race/race.h"
#include "options.h"

#define MOST 5

static uint32_t posted, acquired;

/* One post is one baton: between acquire and post the data are the thread's own. */
static void pass_on(shmseg_semaphore *baton) {
  int err;
  do
    err = shmseg_semaphore_acquire(baton, race_ms(20000));
  while (err == SHMSEG_INTERRUPTED);
  race_must(err == 0);
  race_data *data = race_words();
  race_must(data->a == data->b);
  data->a++;
  data->b++;
  race_must(shmseg_semaphore_post(baton, 1) == 0);
}

static void count(shmseg_semaphore *signal, participant *p) {
  uint32_t posts = 1 + race_draw(p, 3), value;
  if (race_draw(p, 2)) {
    __atomic_add_fetch(&posted, posts, __ATOMIC_SEQ_CST);
    int err = shmseg_semaphore_post(signal, posts);
    race_must(err == 0 || err == SHMSEG_TOO_MANY);
    if (err)
      __atomic_sub_fetch(&posted, posts, __ATOMIC_SEQ_CST);
  } else if (shmseg_semaphore_acquire(signal, 0) == 0) {
    __atomic_add_fetch(&acquired, 1, __ATOMIC_SEQ_CST);
  }
  race_must(shmseg_semaphore_value(signal, &value) == 0 && value <= MOST);
}

static void body(participant *p) {
  shmseg_semaphore baton, signal;
  bool created;
  race_must(shmseg_semaphore_open(&baton, (shmseg_slice){ &p->segment, 0, 128 }, SHMSEG_CREATE,
                                  OF_SIGNAL(1), &created) == 0);
  race_must(shmseg_semaphore_open(&signal, (shmseg_slice){ &p->segment, 128, 128 }, SHMSEG_CREATE,
                                  OF_SIGNAL(MOST), NULL) == 0);
  if (created)
    race_must(shmseg_semaphore_post(&baton, 1) == 0);
  for (int i = 0; i < race_rounds(); i++) {
    if (race_draw(p, 2))
      pass_on(&baton);
    else
      count(&signal, p);
  }
  if (p->number == 0) { /* the others post and acquire no more than they count */
    uint32_t value;
    race_must(shmseg_semaphore_value(&signal, &value) == 0 && value <= MOST);
  }
  shmseg_semaphore_close(&baton);
  shmseg_semaphore_close(&signal);
}

int main(void) {
  race_run(body);
  race_data *data = race_words();
  const uint32_t *left = (const uint32_t *)(race_bytes + 128 + 68); /* the count and 1 */
  test("threads that pass on a signal do not race, and all that was posted is acquired or left",
       data->a == data->b && data->a > 0 && posted - acquired == *left - 1);
  return test_end();
}
