/* SPDX-License-Identifier: MIT */
/* The counting signal in the storm: no acquire that nobody has posted; a kill costs no more than it has
 * acquired, and adds no more than it was posting. */
#include "storm/storm.h"

#define MOST 1000000

static shmseg_semaphore signal;

/* In memory that the killer does not touch. begun: posts that somebody has begun; done: that are
 * there; taken: acquired ones that somebody has noted; trying: acquires that have begun. */
static struct account { uint64_t begun, done, trying, taken; } * account;

static void prepare(void) {
  account = storm_memory(sizeof *account);
}

static void note(uint64_t *number, uint64_t by) {
  __atomic_add_fetch(number, by, __ATOMIC_SEQ_CST);
}

static void post(uint32_t count) {
  storm_begin("signal: post", 0);
  note(&account->begun, count);
  int err = shmseg_semaphore_post(&signal, count);
  note(&account->done, count);
  storm_end(err, true);
}

static void acquire(void) {
  bool patient = false;
  int64_t deadline = storm_deadline(&patient);
  int err;
  storm_begin("signal: acquire", deadline);
  note(&account->trying, 1);
  do
    err = shmseg_semaphore_acquire(&signal, deadline);
  while (err == SHMSEG_INTERRUPTED);
  if (err == 0)
    note(&account->taken, 1);
  else
    note(&account->trying, (uint64_t)-1);
  storm_expect(__atomic_load_n(&account->taken, __ATOMIC_SEQ_CST) <=
               __atomic_load_n(&account->begun, __ATOMIC_SEQ_CST));
  storm_end(err, false);
}

static void operate(void) {
  uint64_t drawn = storm_draw(9);
  if (drawn < 3) /* fewer than are acquired */
    post(1 + drawn % 2);
  else if (drawn < 8)
    acquire();
  else
    storm_reopen();
}

/* What is left lies between what was certainly posted without all that may have been taken, and all
 * that may have been posted without what was certainly taken. */
static const char *finish(void) {
  uint32_t value;
  const char *wrong = shmseg_semaphore_check(&signal);
  if (wrong)
    return wrong;
  if (shmseg_semaphore_value(&signal, &value) != 0)
    return "no value";
  if (value + account->taken > account->begun)
    return "more are there than were posted";
  if (value + account->trying < account->done)
    return "a post is lost";
  for (; value > 0; value--)
    if (shmseg_semaphore_acquire(&signal, 0) != 0)
      return "what is there cannot be acquired";
  return shmseg_semaphore_acquire(&signal, 0) == SHMSEG_TIMEOUT ? NULL : "one too many";
}

static const storm_noun storm_signal = {
  .kind = &shmseg_semaphore_kind,
  .handle = &signal.object,
  .name = "signal",
  .options = &(const shmseg_object_options){ .permits = MOST, .signal = SHMSEG_SEMAPHORE_SIGNAL },
  .operate = operate,
  .finish = finish,
  .prepare = prepare,
};

STORM_PLAY(storm_signal);
