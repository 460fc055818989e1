/* SPDX-License-Identifier: MIT */
/* A fake OS: time, sleeping, waking, life and death, as a test wants them. */
#include "fake/fake.h"

#include <errno.h>
#include <string.h>

#include "os/clock.h"
#include "os/futex.h"
#include "os/liveness.h"

#define START ((int64_t)1000000000)
#define WALL ((int64_t)1000000000000)
#define FIRST_ID 0x1000u

const char *const fake_call_names[FAKE_CALLS] = { "futex wait", "futex wake", "sleep", "attach",
                                                  "probe" };

fake_os fake = { .now = START, .wall = WALL, .processors = 1 };

void fake_reset(void) {
  fake_hooks hooks = fake.hooks;
  memset(&fake, 0, sizeof fake);
  fake.hooks = hooks;
  fake.now = START;
  fake.wall = WALL;
  fake.processors = 1;
}

void fake_fail(fake_call call, unsigned nth, int err) {
  fake.failure[call].at = nth;
  fake.failure[call].err = err;
}

/* Counts the call; the error that it is to have, or 0. */
static int enter(fake_call call, const uint32_t *word, uint32_t about) {
  if (fake.hooks.call)
    fake.hooks.call(call, word, about);
  fake.calls[call]++;
  return fake.failure[call].at > 0 && --fake.failure[call].at == 0 ? fake.failure[call].err : 0;
}

static int sleep_until(const uint32_t *word, int64_t until) {
  if (fake.hooks.sleep)
    return fake.hooks.sleep(word, until);
  fake.now = until;
  return word ? ETIMEDOUT : 0;
}

/* --- os/futex.h --------------------------------------------------------------------------- */

int shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds) {
  int err = enter(FAKE_WAIT, word, seen);
  if (err)
    return err;
  uint32_t now = fake.hooks.look ? fake.hooks.look(word) : *word;
  return now != seen ? 0 : sleep_until(word, fake.now + nanoseconds);
}

int shmseg_futex_wake(const uint32_t *word, int count) {
  if (enter(FAKE_WAKE, word, (uint32_t)count))
    return -1;
  return fake.hooks.wake ? fake.hooks.wake(word, count) : 0;
}

/* --- os/clock.h --------------------------------------------------------------------------- */

int64_t shmseg_clock_now(void) {
  return fake.now;
}

int64_t shmseg_clock_wall(void) {
  return fake.wall + fake.now / 1000000;
}

int shmseg_clock_sleep(int64_t nanoseconds) {
  int err = enter(FAKE_SLEEP, NULL, 0);
  if (err)
    return err;
  return sleep_until(NULL, fake.now + nanoseconds) == EINTR ? EINTR : 0;
}

int shmseg_clock_processors(void) {
  return fake.processors;
}

/* --- os/liveness.h ------------------------------------------------------------------------ */

static uint32_t *place_of(uint32_t id) {
  for (int i = 0; i < FAKE_IDENTITIES; i++)
    if (fake.alive[i] == id)
      return &fake.alive[i];
  return NULL;
}

bool fake_is_alive(uint32_t id) {
  return id != 0 && place_of(id) != NULL;
}

void fake_born(uint32_t id) {
  uint32_t *place = place_of(0);
  if (place)
    *place = id;
}

void fake_died(uint32_t id) {
  uint32_t *place = id != 0 ? place_of(id) : NULL;
  if (place)
    *place = 0;
}

int shmseg_liveness_attach(int fd, shmseg_place place, shmseg_member *member) {
  static uint32_t drawn;
  (void)fd, (void)place;
  int err = enter(FAKE_ATTACH, NULL, 0);
  if (err)
    return err;
  member->id = fake.hooks.draw ? fake.hooks.draw() : FIRST_ID + drawn++;
  member->slot = 0;
  member->forks = 0;
  fake_born(member->id);
  return 0;
}

void shmseg_liveness_detach(shmseg_member *member) {
  fake_died(member->id);
  member->id = 0;
}

void shmseg_liveness_renew(shmseg_member *member) {
  shmseg_place nameless = { SHMSEG_NAME, NULL };
  if (member->id == 0)
    return;
  shmseg_liveness_detach(member);
  if (shmseg_liveness_attach(0, nameless, member) != 0)
    member->id = 0;
}

bool shmseg_liveness_probe(int fd, uint32_t id) {
  (void)fd;
  if (enter(FAKE_PROBE, NULL, id) || fake_is_alive(id))
    return true;
  if (fake.hooks.found_dead)
    fake.hooks.found_dead(id);
  return false;
}
