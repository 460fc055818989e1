/* SPDX-License-Identifier: MIT */
/* The event in the storm: no wait misses a set that began and ended within it. */
#include "storm/storm.h"

#include "os/clock.h"

static shmseg_event event;

static void set(void) {
  storm_worker *me = &storm->workers[storm_me];
  storm_begin("event: set", 0);
  __atomic_store_n(&me->begun, me->done + 1, __ATOMIC_SEQ_CST);
  int err = shmseg_event_set(&event);
  __atomic_store_n(&me->done, me->done + 1, __ATOMIC_SEQ_CST);
  storm_end(err, true);
}

static void clear(void) {
  storm_begin("event: clear", 0);
  storm_end(shmseg_event_clear(&event), true);
}

/* A wait that has begun; then what others had begun; then, after a while, what they have done, and
 * one more look. Who has done more than he had begun has set it in between. */
static void wait(void) {
  uint64_t begun[STORM_WORKERS_MAX], done[STORM_WORKERS_MAX];
  uint32_t began = 0;
  storm_begin("event: wait", 0);
  int err = shmseg_event_wait(&event, &began, 0);
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    begun[w] = __atomic_load_n(&storm->workers[w].begun, __ATOMIC_SEQ_CST);
  int64_t deadline = shmseg_clock_now() + (int64_t)storm_draw(80) * 1000000;
  while (err == SHMSEG_INTERRUPTED || (err == SHMSEG_TIMEOUT && shmseg_clock_now() < deadline))
    err = shmseg_event_wait(&event, &began, deadline);
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    done[w] = __atomic_load_n(&storm->workers[w].done, __ATOMIC_SEQ_CST);
  if (err == SHMSEG_TIMEOUT)
    err = shmseg_event_wait(&event, &began, 0);
  for (unsigned w = 0; err == SHMSEG_TIMEOUT && w < STORM_WORKERS_MAX; w++)
    storm_expect(done[w] <= begun[w]);
  storm_end(err, false);
}

static void operate(void) {
  uint64_t drawn = storm_draw(8);
  if (drawn == 0)
    wait();
  else if (drawn < 3)
    clear();
  else if (drawn == 3)
    set();
}

static const char *finish(void) {
  bool is_set = false;
  uint32_t began = 0;
  const char *wrong = shmseg_event_check(&event);
  if (wrong)
    return wrong;
  if (shmseg_event_set(&event) != 0 || shmseg_event_is_set(&event, &is_set) != 0 || !is_set)
    return "it cannot be set";
  return shmseg_event_wait(&event, &began, 0) == 0 ? NULL : "a wait does not see it";
}

static const storm_noun storm_event = {
  .kind = &shmseg_event_kind,
  .handle = &event.object,
  .operate = operate,
  .finish = finish,
};

STORM_PLAY(storm_event);
