/* SPDX-License-Identifier: MIT */
/* A worker of the storm: random operations, until it is killed or told to stop. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/wait.h"
#include "os/clock.h"
#include "storm/storm.h"

#define PATIENCE ((int64_t)20 * 1000000000)
#define MILLISECOND 1000000

storm_control *storm;
shmseg_segment storm_segment;
char storm_segment_name[64], storm_scratch_name[64];
unsigned storm_me, storm_noun_number;

static uint64_t dice;
static int64_t wanted; /* the deadline of the call that is being made */

extern const storm_noun *__start_storm_entries[], *__stop_storm_entries[];

const storm_noun **storm_nouns = __start_storm_entries;
unsigned storm_nouns_count;

const char *storm_name_of(const storm_noun *noun) {
  return noun->name ? noun->name : noun->kind->name;
}

static int by_name(const void *a, const void *b) {
  return strcmp(storm_name_of(*(const storm_noun *const *)a),
                storm_name_of(*(const storm_noun *const *)b));
}

static void find_nouns(bool (*wanted)(const char *name)) {
  size_t all = (size_t)(__stop_storm_entries - __start_storm_entries);
  qsort(storm_nouns, all, sizeof *storm_nouns, by_name);
  for (size_t i = 0; i < all; i++)
    if (wanted(storm_name_of(storm_nouns[i])))
      storm_nouns[storm_nouns_count++] = storm_nouns[i];
  if (storm_nouns_count > STORM_NOUNS_MAX)
    abort();
}

void *storm_memory(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    abort();
  return memory;
}

void storm_prepare(bool (*wanted)(const char *name)) {
  storm = storm_memory(sizeof *storm);
  find_nouns(wanted);
  for (unsigned n = 0; n < storm_nouns_count; n++)
    if (storm_nouns[n]->prepare)
      storm_nouns[n]->prepare();
  snprintf(storm_segment_name, sizeof storm_segment_name, "shmseg-storm-%d", (int)getpid());
  snprintf(storm_scratch_name, sizeof storm_scratch_name, "shmseg-storm-%d-s", (int)getpid());
}

/* Bytes of a noun's object, and of what it protects, which lies behind it. */
static uint64_t object_room(const storm_noun *noun) {
  uint64_t size = noun->kind ? shmseg_object_size(noun->kind, noun->options) : 0;
  return (size + SHMSEG_ALIGN - 1) / SHMSEG_ALIGN * SHMSEG_ALIGN;
}

/* Where in the segment the noun of that number begins; that of their count: the end. */
static uint64_t offset_of(unsigned number) {
  uint64_t offset = 0;
  for (unsigned n = 0; n < number; n++)
    offset += object_room(storm_nouns[n]) + STORM_DATA;
  return offset;
}

uint64_t *storm_data(void) {
  uint64_t offset = offset_of(storm_noun_number) + object_room(storm_nouns[storm_noun_number]);
  return (uint64_t *)(storm_segment.data + offset);
}

static int open_noun(shmseg_mode mode) {
  const storm_noun *noun = storm_nouns[storm_noun_number];
  if (!noun->kind)
    return 0;
  shmseg_slice where = { &storm_segment, offset_of(storm_noun_number), object_room(noun) };
  int err = shmseg_object_open(noun->handle, noun->kind, where, mode, noun->options, NULL);
  return err || !noun->opened ? err : noun->opened();
}

void storm_reopen(void) {
  shmseg_object_close(storm_nouns[storm_noun_number]->handle);
  storm_expect(open_noun(SHMSEG_WRITE) == 0);
}

/* --- chance ------------------------------------------------------------------------------------ */

void storm_seed(uint64_t seed) {
  dice = seed;
  for (int i = 0; seed && i < 8; i++)
    storm_draw(2);
}

uint64_t storm_draw(uint64_t below) {
  dice ^= dice << 13; /* xorshift */
  dice ^= dice >> 7;
  dice ^= dice << 17;
  return (dice >> 11) % below;
}

static void sleep_up_to(uint64_t nanoseconds) {
  struct timespec time = { 0, (long)storm_draw(nanoseconds) };
  nanosleep(&time, NULL);
}

void storm_pause(void) {
  if (dice == 0)
    return;
  uint64_t drawn = storm_draw(128);
  if (drawn < 2)
    sleep_up_to(100000);
  else if (drawn < 8)
    sched_yield();
}

void storm_nap(void) {
  uint64_t drawn = storm_draw(8);
  if (drawn == 0)
    sleep_up_to(500000);
  else if (drawn < 4)
    sched_yield();
}

int64_t storm_deadline(bool *patient) {
  uint64_t drawn = storm_draw(8);
  int64_t after = drawn == 0   ? 0
                  : drawn == 1 ? MILLISECOND
                  : drawn == 2 ? 60 * MILLISECOND
                               : PATIENCE;
  *patient = after == PATIENCE;
  return after == 0 ? 0 : shmseg_clock_now() + after;
}

int64_t storm_short_deadline(void) {
  uint64_t drawn = storm_draw(4);
  int64_t after = drawn < 2 ? 0 : drawn == 2 ? MILLISECOND : 60 * MILLISECOND;
  return after == 0 ? 0 : shmseg_clock_now() + after;
}

/* --- what goes wrong --------------------------------------------------------------------------- */

void storm_expect_that(bool good, const char *what, const char *file, int line) {
  if (!good && storm->wrong[0] == '\0')
    snprintf(storm->wrong, sizeof storm->wrong, "%s: %s (%s:%d)",
             storm->workers[storm_me].doing ? storm->workers[storm_me].doing : "", what, file,
             line);
}

void storm_begin(const char *what, int64_t deadline) {
  storm_worker *me = &storm->workers[storm_me];
  wanted = deadline ? deadline : shmseg_clock_now();
  me->doing = what;
  __atomic_store_n(&me->since, shmseg_clock_now(), __ATOMIC_RELAXED);
}

void storm_end(int err, bool patient) {
  storm_worker *me = &storm->workers[storm_me];
  __atomic_store_n(&me->since, 0, __ATOMIC_RELAXED);
  me->operations++;
  me->timeouts += err == SHMSEG_TIMEOUT;
  storm_expect_that(err == 0 || err == SHMSEG_TIMEOUT, "an error", __FILE__, err);
  storm_expect_that(!patient || err == 0, "stuck", __FILE__, __LINE__);
  int64_t overrun = shmseg_clock_now() - wanted;
  if (err == SHMSEG_TIMEOUT && overrun > storm->overrun)
    storm->overrun = overrun;
}

/* --- oracles ----------------------------------------------------------------------------------- */

uint64_t storm_bit(unsigned which) {
  return (uint64_t)1 << (2 * storm_me + which);
}

static uint64_t living(uint64_t word) {
  uint64_t inside = word & 0xffffffffu;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    if (word >> (32 + w) & 1)
      inside &= ~((uint64_t)3 << (2 * w));
  return inside;
}

uint64_t storm_enter(uint64_t bit) {
  return living(__atomic_fetch_or(&storm->inside[storm_noun_number], bit, __ATOMIC_SEQ_CST));
}

void storm_leave(uint64_t bit) {
  __atomic_fetch_and(&storm->inside[storm_noun_number], ~bit, __ATOMIC_SEQ_CST);
}

/* --- life -------------------------------------------------------------------------------------- */

int storm_open(shmseg_mode mode) {
  shmseg_place place = { SHMSEG_NAME, storm_segment_name };
  shmseg_options options = { .size = (size_t)offset_of(storm_nouns_count), .perm = 0600 };
  int err = shmseg_segment_open(&storm_segment, place, mode, &options, NULL);
  for (storm_noun_number = 0; !err && storm_noun_number < storm_nouns_count; storm_noun_number++)
    err = open_noun(SHMSEG_CREATE);
  return err;
}

void storm_close(void) {
  for (storm_noun_number = 0; storm_noun_number < storm_nouns_count; storm_noun_number++)
    if (storm_nouns[storm_noun_number]->kind)
      shmseg_object_close(storm_nouns[storm_noun_number]->handle);
  shmseg_segment_close(&storm_segment);
}

static bool must_stop(void) {
  return __atomic_load_n(&storm->stop, __ATOMIC_RELAXED) || storm->wrong[0] != '\0';
}

_Noreturn void storm_work(unsigned worker, uint64_t seed) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  storm_me = worker;
  storm_seed(seed);
  storm_begin("open", 0);
  int err = storm_open(SHMSEG_WRITE);
  storm_end(err, true);
  while (!err && !must_stop()) {
    uint64_t late = shmseg_wait_late;
    storm_noun_number = (unsigned)storm_draw(storm_nouns_count);
    storm_nouns[storm_noun_number]->operate();
    __atomic_fetch_add(&storm->late[storm_noun_number], shmseg_wait_late - late, __ATOMIC_RELAXED);
    __atomic_fetch_add(&storm->operated[storm_noun_number], 1, __ATOMIC_RELAXED);
    if (storm_draw(500) == 0) { /* another identity */
      storm_begin("open again", 0);
      storm_close();
      err = storm_open(SHMSEG_WRITE);
      storm_end(err, true);
    }
  }
  if (!err && storm_draw(2))
    storm_close();
  _exit(0);
}
