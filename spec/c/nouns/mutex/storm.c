/* SPDX-License-Identifier: MIT */
/* The mutex in the storm: two counters that are equal whenever it is free and nobody was told
 * otherwise. */
#include "storm/storm.h"

static shmseg_mutex mutex;

static uint64_t read_word(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void write_word(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* The first counter is ahead when somebody died between them: then the second follows. */
static void count(bool abandoned) {
  uint64_t *pair = storm_data();
  uint64_t value = read_word(&pair[0]);
  storm_expect(abandoned || value == read_word(&pair[8]));
  storm_expect(value - read_word(&pair[8]) <= 1);
  write_word(&pair[8], value);
  write_word(&pair[0], value + 1);
  storm_nap();
  write_word(&pair[8], value + 1);
  storm->workers[storm_me].counted++;
}

/* Who is told counts it before it counts as inside: were it to die in between, its successor would
 * be told once for both. */
static void inside(bool abandoned) {
  if (abandoned) {
    __atomic_fetch_add(&storm->told[storm_noun_number], 1, __ATOMIC_RELAXED);
    storm->workers[storm_me].abandoned++;
  }
  storm_expect(storm_enter(storm_bit(0)) == 0);
  storm_nap();
  count(abandoned);
}

static void give_up(void) {
  storm_leave(storm_bit(0));
  __atomic_fetch_add(&storm->given_up[storm_noun_number], 1, __ATOMIC_RELAXED);
  storm_reopen();
}

static void operate(void) {
  bool abandoned, patient;
  int64_t deadline = storm_deadline(&patient);
  int err;
  storm_begin("mutex: lock", deadline);
  do
    err = shmseg_mutex_lock(&mutex, deadline, &abandoned);
  while (err == SHMSEG_INTERRUPTED);
  storm_end(err, patient);
  if (err)
    return;
  inside(abandoned);
  if (storm_draw(50) == 0) {
    give_up();
    return;
  }
  storm_leave(storm_bit(0));
  storm_begin("mutex: unlock", 0);
  storm_end(shmseg_mutex_unlock(&mutex), true);
}

/* Nobody is told of a death that was none, and every death inside has been told. */
static const char *finish(void) {
  bool abandoned;
  uint64_t counted = 0, value = read_word(storm_data());
  const char *wrong = shmseg_mutex_check(&mutex);
  if (wrong)
    return wrong;
  if (shmseg_mutex_lock(&mutex, 0, &abandoned) != 0)
    return "the lock is not to be had";
  uint64_t told = storm->told[storm_noun_number] + abandoned;
  if (told > storm->kills + storm->given_up[storm_noun_number])
    return "told of more deaths than there were";
  if (told < storm->died_inside[storm_noun_number] + storm->given_up[storm_noun_number])
    return "a death inside, or a close, was not told";
  if (!abandoned && value != read_word(storm_data() + 8))
    return "the counters differ";
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    counted += storm->workers[w].counted;
  if (value < counted || value > counted + storm->kills)
    return "increments are lost, or doubled";
  return shmseg_mutex_unlock(&mutex) == 0 ? NULL : "no unlock";
}

static const storm_noun storm_mutex = {
  .kind = &shmseg_mutex_kind,
  .handle = &mutex.object,
  .operate = operate,
  .finish = finish,
};

STORM_PLAY(storm_mutex);
