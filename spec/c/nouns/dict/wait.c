/* SPDX-License-Identifier: MIT */
/* Many threads, each with a handle of its own, that wait for one key of a dict: one change wakes all. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/wait.h"
#include "core/word.h"
#include "os/clock.h"
#include "shmseg.h"
#include "test.h"

#define WAITERS 200
#define CAPACITY 65536
#define SECOND ((int64_t)1000000000)

/* What each of them does with its handle. */
typedef void (*errand)(shmseg_dict *dict);

static shmseg_segment segment;
static shmseg_dict d;
static errand task;
static uint32_t asleep, bad;
static int64_t patience;
static bool forcible;
static shmseg_dict_claim claim;

static void fail(void) {
  add_ordered(&bad, 1);
}

/* --- what they wait for ------------------------------------------------------------------------ */

/* They say that they are about to sleep: the change comes a while later. */
static void wait_for_change(shmseg_dict *dict) {
  shmseg_dict_value seen;
  char buffer[16];
  int err = shmseg_dict_get(dict, "k", 1, buffer, sizeof buffer, &seen);
  if (err && err != SHMSEG_EMPTY)
    fail();
  add_ordered(&asleep, 1);
  do
    err = shmseg_dict_wait(dict, "k", 1, &seen.token, SHMSEG_FOREVER);
  while (err == SHMSEG_INTERRUPTED);
  if (err)
    fail();
}

static void wait_for_claim(shmseg_dict *dict) {
  shmseg_dict_claim mine = { 0 };
  shmseg_dict_outcome outcome;
  int64_t deadline = 0;
  int err;
  add_ordered(&asleep, 1);
  do
    err = shmseg_dict_claim_take(dict, "k", 1, &mine, &outcome, SHMSEG_FOREVER, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  if (err || (outcome != SHMSEG_DICT_ENDED && outcome != SHMSEG_DICT_CLAIMED))
    fail();
  shmseg_dict_claim_end(dict, &mine, "k", 1, SHMSEG_DICT_ENDED); /* it came late, and has it */
}

/* --- the crowd --------------------------------------------------------------------------------- */

static void *live(void *unused) {
  shmseg_segment mine;
  shmseg_dict dict;
  int fd = segment.fd;
  shmseg_segment_init(&mine);
  if (shmseg_segment_from_fd(&mine, fd, true) != 0 ||
      shmseg_dict_open(&dict, (shmseg_slice){ &mine, 0, (size_t)mine.size }, SHMSEG_WRITE, NULL,
                       NULL) != 0) {
    fail();
    add_ordered(&asleep, 1);
    return unused;
  }
  task(&dict);
  shmseg_dict_close(&dict);
  shmseg_segment_close(&mine);
  return unused;
}

/* All wait for it, and then that happens. No wake is lost: no wait ends late. */
static void crowd(errand what, void (*happens)(void)) {
  pthread_t threads[WAITERS];
  int started = 0;
  task = what;
  asleep = bad = 0;
  shmseg_wait_late = 0;
  while (started < WAITERS && pthread_create(&threads[started], NULL, live, NULL) == 0)
    started++;
  check(started == WAITERS);
  while (load_ordered(&asleep) < (uint32_t)started)
    shmseg_wait_sleep(shmseg_clock_now() + SECOND / 1000);
  shmseg_wait_sleep(shmseg_clock_now() + SECOND / 20);
  int64_t began = shmseg_clock_now();
  happens();
  while (started-- > 0)
    pthread_join(threads[started], NULL);
  check(load_ordered(&bad) == 0 && shmseg_wait_late == 0);
  check(shmseg_clock_now() - began < 5 * SECOND); /* half an interval: nobody was forgotten */
}

/* --- what happens ------------------------------------------------------------------------------ */

static void do_set(void) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = "v", .size = 1 };
  check(shmseg_dict_store(&d, "k", 1, &value, NULL, &forcible, &patience) == 0);
}

static void do_delete(void) {
  check(shmseg_dict_delete(&d, "k", 1, NULL, &patience) == 0);
}

static void do_incr(void) {
  shmseg_dict_value sum;
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  check(shmseg_dict_incr(&d, "k", 1, &step, &sum, &forcible, &patience) == 0);
}

static void do_end(void) {
  shmseg_dict_claim_end(&d, &claim, "k", 1, SHMSEG_DICT_ENDED);
}

static void do_store(void) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = "v", .size = 1 };
  check(shmseg_dict_claim_store(&d, &claim, "k", 1, &value, NULL, &forcible, &patience) == 0);
}

static void take_claim(void) {
  shmseg_dict_outcome outcome;
  claim = (shmseg_dict_claim){ 0 };
  patience = 0;
  check(shmseg_dict_claim_take(&d, "k", 1, &claim, &outcome, 0, &patience) == 0);
  check(outcome == SHMSEG_DICT_CLAIMED);
}

/* --- the cases --------------------------------------------------------------------------------- */

static void set_up(void) {
  shmseg_object_options given = { .capacity = CAPACITY };
  shmseg_options options = { .size = (size_t)shmseg_dict_size(&given) };
  patience = 0;
  shmseg_segment_init(&segment);
  check(shmseg_segment_anonymous(&segment, &options) == 0);
  check(shmseg_dict_open(&d, (shmseg_slice){ &segment, 0, options.size }, SHMSEG_CREATE, &given,
                         NULL) == 0);
}

static void tear_down(void) {
  check(shmseg_dict_check(&d) == NULL);
  shmseg_dict_close(&d);
  shmseg_segment_close(&segment);
}

static const test_fixture fresh = { set_up, tear_down };

TEST_WITH(fresh, dict_set, "one set wakes all of 200 who wait for a key, and one delete does") {
  crowd(wait_for_change, do_set);
  crowd(wait_for_change, do_set);
  crowd(wait_for_change, do_delete);
}

TEST_WITH(fresh, dict_incr, "one incr wakes all of 200 who wait for a number, also of a hot one") {
  for (int i = 0; i < 4; i++)
    crowd(wait_for_change, do_incr);
}

TEST_WITH(fresh, dict_claim,
          "all of 200 who wait for a claim are woken when it ends, or is stored") {
  take_claim();
  crowd(wait_for_claim, do_end);
  take_claim();
  crowd(wait_for_claim, do_store);
}
