/* SPDX-License-Identifier: MIT */
/* An OS in which time passes only when something happens, so that runs are quick and repeat. */
#include <errno.h>
#include <stddef.h>

#include "fuzz/fuzz.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/liveness.h"

const int fuzz_longest = 120;
const int fuzz_patience = 5000;

/* What things cost, in nanoseconds; a look at the clock more than it does, so that spinning ends. */
#define ACCESS 5
#define LOOK_AT_CLOCK 100000
#define PROBE 1200
#define WAKE 1900

/* Milliseconds since 1970 when the run begins. */
#define WALL ((int64_t)1000000000000)

#define MEMBERS 4096

static int64_t now;
static uint32_t next_id;
static bool alive[MEMBERS];

void fuzz_os_reset(void) {
  now = 1000000000;
  next_id = 0;
  for (int i = 0; i < MEMBERS; i++)
    alive[i] = false;
}

void fuzz_scribble(bool now) {
  (void)now;
}

void fuzz_os_access(void) {
  now += ACCESS;
}

int64_t fuzz_now(void) {
  return now;
}

int64_t fuzz_stolen(void) {
  return 0;
}

int64_t shmseg_clock_now(void) {
  return now += LOOK_AT_CLOCK;
}

int64_t shmseg_clock_wall(void) {
  return WALL + (now += LOOK_AT_CLOCK) / 1000000;
}

int shmseg_clock_sleep(int64_t nanoseconds) {
  now += nanoseconds;
  return 0;
}

int shmseg_clock_processors(void) {
  return 2;
}

int shmseg_futex_wait(const uint32_t *word, uint32_t seen, int64_t nanoseconds) {
  if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != seen)
    return 0;
  now += nanoseconds > 1000000000 ? 1000000000 : nanoseconds;
  return now % 7 == 0 ? EINTR : ETIMEDOUT;
}

int shmseg_futex_wake(const uint32_t *word, int count) {
  (void)word, (void)count;
  now += WAKE;
  return 0;
}

/* Identities are MIN + 64 times a number, so that some collide in small tables. */
int shmseg_liveness_attach(int fd, shmseg_place place, shmseg_member *member) {
  (void)fd, (void)place;
  if (next_id == MEMBERS)
    return EAGAIN;
  member->id = SHMSEG_ID_MIN + 64 * next_id;
  alive[next_id++] = true;
  return 0;
}

void shmseg_liveness_detach(shmseg_member *member) {
  if (member->id != 0)
    alive[(member->id - SHMSEG_ID_MIN) / 64] = false;
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
  now += PROBE;
  if (id >= 0x20000000) /* a stranger can hold as many as it likes */
    return true;
  uint32_t i = (id - SHMSEG_ID_MIN) / 64;
  return (id - SHMSEG_ID_MIN) % 64 == 0 && i < MEMBERS && alive[i];
}
