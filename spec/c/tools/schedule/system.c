/* SPDX-License-Identifier: MIT */
/* What the fake OS asks of the scheduler: sleeping and waking among the processes, and a step before
 * each call. */
#include <errno.h>

#include "schedule/schedule.h"

static void on_call(fake_call call, const uint32_t *word, uint32_t about) {
  access a = { fake_call_names[call], (void *)word, 4, call != FAKE_SLEEP, false, 0, false };
  a.wait = call == FAKE_WAIT || call == FAKE_SLEEP;
  if (w.current == NOBODY)
    return;
  if (a.wait)
    w.processes[w.current].reason = 0;
  engine_step(&a, NULL);
  engine_trace("%s%s 0x%x", fake_call_names[call],
               call != FAKE_PROBE     ? ""
               : fake_is_alive(about) ? ": alive"
                                      : ": dead",
               about);
}

static int on_sleep(const uint32_t *word, int64_t until) {
  process *me = &w.processes[w.current];
  if (w.current == NOBODY)
    return ETIMEDOUT;
  if (me->reason == EINTR)
    return EINTR;
  me->state = ASLEEP;
  me->word = word;
  me->until = until;
  me->queued = ++w.queue;
  me->reason = ETIMEDOUT;
  engine_leave();
  me->word = NULL;
  engine_trace("wakes: %s", me->reason ? "time" : "woken");
  return me->reason;
}

static int on_wake(const uint32_t *word, int count) {
  int woken = 0;
  while (woken < count) {
    process *first = NULL;
    for (int p = 0; p < PROCESSES; p++) {
      process *it = &w.processes[p];
      if (it->state == ASLEEP && it->word == word && (!first || it->queued < first->queued))
        first = it;
    }
    if (!first)
      break;
    first->state = READY;
    first->reason = 0;
    woken++;
  }
  engine_trace("has woken %d", woken);
  return woken;
}

static uint32_t on_draw(void) {
  if (w.current == NOBODY)
    return 0x4001; /* of the test, while it makes the starting state */
  process *me = &w.processes[w.current];
  me->id = ID_OF(w.current) + 0x10000u * (uint32_t)me->draws++;
  return me->id;
}

static void on_found_dead(uint32_t id) {
  for (int p = 0; p < PROCESSES; p++)
    if (w.processes[p].id == id && w.current != NOBODY)
      memory_found_dead(w.current, p);
}

const fake_hooks system_hooks = { on_call, memory_look, on_sleep, on_wake, on_draw, on_found_dead };
