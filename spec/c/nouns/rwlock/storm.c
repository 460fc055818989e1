/* SPDX-License-Identifier: MIT */
/* The rwlock in the storm: readers see a pair that nobody changes, and an equal one unless they are
 * told. The first bit of a worker is the reader's, the second the writer's. */
#include "storm/storm.h"

static shmseg_rwlock rwlock;

static uint64_t word(int which) {
  return __atomic_load_n(storm_data() + 8 * which, __ATOMIC_RELAXED);
}

static void set_word(int which, uint64_t value) {
  __atomic_store_n(storm_data() + 8 * which, value, __ATOMIC_RELAXED);
}

static void note_told(bool abandoned) {
  if (abandoned) {
    __atomic_fetch_add(&storm->told[storm_noun_number], 1, __ATOMIC_RELAXED);
    storm->workers[storm_me].abandoned++;
  }
}

static void read_inside(bool abandoned) {
  storm_expect((storm_enter(storm_bit(0)) & STORM_SECOND_BITS) == 0);
  note_told(abandoned);
  uint64_t first = word(0), second = word(1);
  storm_expect(abandoned || first == second);
  storm_nap();
  storm_expect(word(0) == first && word(1) == second);
}

static void write_inside(bool abandoned) {
  storm_expect(storm_enter(storm_bit(1)) == 0);
  note_told(abandoned);
  storm_expect(abandoned || word(0) == word(1));
  uint64_t value = word(0) + 1;
  set_word(0, value);
  storm_nap();
  set_word(1, value);
}

/* Calls until it is over, or, now and then, gives a writer up that still waits. */
static int take(bool writing, int64_t deadline, bool *abandoned, bool *cancelled) {
  int err;
  do {
    err = writing ? shmseg_rwlock_write_lock(&rwlock, deadline, abandoned)
                  : shmseg_rwlock_read_lock(&rwlock, deadline, abandoned);
    *cancelled = err == SHMSEG_INTERRUPTED && storm_draw(20) == 0;
  } while (err == SHMSEG_INTERRUPTED && !*cancelled);
  if (*cancelled)
    shmseg_rwlock_cancel(&rwlock);
  return *cancelled ? SHMSEG_TIMEOUT : err;
}

static void operate(void) {
  bool abandoned, patient, cancelled, writing = storm_draw(3) == 0;
  int64_t deadline = storm_deadline(&patient);
  storm_begin(writing ? "rwlock: write_lock" : "rwlock: read_lock", deadline);
  int err = take(writing, deadline, &abandoned, &cancelled);
  storm_end(err, patient && !cancelled);
  if (err)
    return;
  if (writing)
    write_inside(abandoned);
  else
    read_inside(abandoned);
  storm_leave(storm_bit(writing));
  if (storm_draw(50) == 0) {
    storm_reopen();
    return;
  }
  storm_begin("rwlock: unlock", 0);
  storm_end(shmseg_rwlock_unlock(&rwlock), true);
}

static const char *finish(void) {
  bool abandoned, again = true;
  const char *wrong = shmseg_rwlock_check(&rwlock);
  if (wrong)
    return wrong;
  if (shmseg_rwlock_read_lock(&rwlock, 0, &abandoned) != 0 || shmseg_rwlock_unlock(&rwlock) != 0)
    return "the read lock is not to be had";
  if (!abandoned && word(0) != word(1))
    return "the pair differs";
  if (shmseg_rwlock_write_lock(&rwlock, 0, &abandoned) != 0 || shmseg_rwlock_unlock(&rwlock) != 0)
    return "the write lock is not to be had";
  if (shmseg_rwlock_read_lock(&rwlock, 0, &again) != 0 || again ||
      shmseg_rwlock_unlock(&rwlock) != 0)
    return "abandoned after a writer's unlock";
  return NULL;
}

static const storm_noun storm_rwlock = {
  .kind = &shmseg_rwlock_kind,
  .handle = &rwlock.object,
  .operate = operate,
  .finish = finish,
};

STORM_PLAY(storm_rwlock);
