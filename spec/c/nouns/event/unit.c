/* SPDX-License-Identifier: MIT */
/* objects/event: set, cleared, waited for, also through a read-only handle. */
#include <unistd.h>

#include "unit/help.h"

#define WORD 64

static shmseg_segment ours, reader;
static shmseg_event a, r;
static const char *name;

static void set_up(void) {
  shmseg_options options = { 0 };
  name = fresh_name();
  new_segment(&ours, place_of(name), PAGE);
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, &options, NULL) == 0);
  must(shmseg_event_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, NULL, NULL) == 0);
  must(shmseg_event_open(&r, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_READ, NULL, NULL) == 0);
}

static void tear_down(void) {
  shmseg_event_close(&a);
  shmseg_event_close(&r);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&reader);
}

static const test_fixture fresh = { set_up, tear_down };

TEST_WITH(fresh, states,
          "an event stays set until it is cleared, for readers too, who cannot change it") {
  bool set = true;
  check(shmseg_event_is_set(&a, &set) == 0 && !set && wait_fully(&a, 0) == SHMSEG_TIMEOUT);
  check(shmseg_event_set(&a) == 0 && shmseg_event_set(&a) == 0);
  check(shmseg_event_is_set(&r, &set) == 0 && set);
  check(wait_fully(&a, 0) == 0 && wait_fully(&r, SHMSEG_FOREVER) == 0);
  check(shmseg_event_set(&r) == SHMSEG_READ_ONLY && shmseg_event_clear(&r) == SHMSEG_READ_ONLY);
  check(shmseg_event_clear(&a) == 0 && shmseg_event_clear(&a) == 0);
  check(shmseg_event_is_set(&r, &set) == 0 && !set);
  int64_t began = now_ms();
  check(wait_fully(&r, in_ms(120)) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 119 && is_soon(began));
}

TEST_WITH(fresh, pulse, "a wait that began before a set ends although it was cleared at once") {
  uint32_t began = 0;
  check(shmseg_event_wait(&r, &began, in_ms(10)) != 0 && began != 0);
  check(shmseg_event_set(&a) == 0 && shmseg_event_clear(&a) == 0);
  check(shmseg_event_wait(&r, &began, 0) == 0);
  began = 0; /* one that begins now does not know of it */
  check(shmseg_event_wait(&r, &began, 0) == SHMSEG_TIMEOUT);
}

static void wait_long(void *argument) {
  shmseg_event *event = argument;
  uint32_t began = 0;
  say(shmseg_event_wait(event, &began, in_ms(1)) != 0 ? 'w' : 'x');
  int err;
  while ((err = shmseg_event_wait(event, &began, in_ms(5000))) == SHMSEG_INTERRUPTED)
    continue;
  say(err == 0 ? 's' : 'x');
}

TEST_WITH(fresh, woken, "set wakes all who wait, readers too") {
  child children[4];
  for (int i = 0; i < 4; i++) {
    children[i] = child_start(wait_long, i % 2 ? &a : &r);
    check(child_hear(&children[i]) == 'w');
  }
  usleep(30000);
  int64_t began = now_ms();
  check(shmseg_event_set(&a) == 0 && shmseg_event_clear(&a) == 0);
  for (int i = 0; i < 4; i++)
    check(child_hear(&children[i]) == 's' && child_end(&children[i]) == 0);
  check(is_soon(began));
}

TEST_WITH(fresh, counts, "the count wraps past zero, and a word of zero is corrupt") {
  bool set;
  set_word(&ours, WORD, 0xfffffffe);
  check(shmseg_event_set(&a) == 0 && word_at(&ours, WORD) == 3 && !shmseg_event_check(&a));
  set_word(&ours, WORD, 0xffffffff);
  check(shmseg_event_set(&a) == 0 && word_at(&ours, WORD) == 3);
  for (uint32_t word = 0; word < 2; word++) {
    set_word(&ours, WORD, word);
    check(shmseg_event_set(&a) == SHMSEG_CORRUPT && shmseg_event_clear(&a) == SHMSEG_CORRUPT);
    check(wait_fully(&a, SHMSEG_FOREVER) == SHMSEG_CORRUPT && shmseg_event_check(&a));
    check(shmseg_event_is_set(&a, &set) == SHMSEG_CORRUPT && !set);
  }
}

TEST_WITH(fresh, truncated,
          "after a cut an event says so, and so does one whose segment is closed") {
  bool set;
  must(ftruncate(ours.fd, 0) == 0);
  check(wait_fully(&r, SHMSEG_FOREVER) == SHMSEG_TRUNCATED);
  check(shmseg_event_set(&a) == SHMSEG_TRUNCATED);
  check(shmseg_event_is_set(&r, &set) == SHMSEG_TRUNCATED && !set);
  shmseg_segment_close(&reader);
  check(wait_fully(&r, SHMSEG_FOREVER) == SHMSEG_CLOSED);
  shmseg_event_close(&r);
  check(shmseg_event_set(&r) == SHMSEG_CLOSED);
}
