/* SPDX-License-Identifier: MIT */
/* The dict, stepped: values stored and deleted, and their end. */
#include <errno.h>

#include "nouns/dict/step.h"
#include "os/clock.h"

static const shmseg_dict_how timed = { .ttl = 3600000 }, brief = { .ttl = 1 };

/* --- states ------------------------------------------------------------------------------- */

static void be_empty(void) {
  step_dict_fix_hash();
}

static void have_a(void) {
  step_dict_fix_hash();
  step_expect(step_dict_set(&dict, 'a', 'x', 100, NULL) == 0);
}

static void have_two(void) {
  have_a();
  step_expect(step_dict_set(&dict, 'b', 'y', 100, NULL) == 0);
}

/* Three of them have no slot. */
static void have_eight(void) {
  step_dict_fix_hash();
  for (char key = 'a'; key <= 'h'; key++)
    step_expect(step_dict_set(&dict, key, key, 8, NULL) == 0);
}

static void have_timed(void) {
  step_dict_fix_hash();
  step_expect(step_dict_set(&dict, 'a', 'x', 100, &timed) == 0);
}

/* Two that have expired, and one that lives. */
static void have_expired(void) {
  step_dict_fix_hash();
  step_expect(step_dict_set(&dict, 'a', 'x', 100, &brief) == 0);
  step_expect(step_dict_set(&dict, 'b', 'y', 8, NULL) == 0);
  step_expect(step_dict_set(&dict, 'c', 'z', 8, &brief) == 0);
  shmseg_clock_sleep(3000000);
}

static void have_flushed(void) {
  have_two();
  step_expect(shmseg_dict_flush_all(&dict) == 0);
}

static void have_full(void) {
  step_dict_fix_hash();
  for (char key = 'a'; key <= 'd'; key++)
    step_expect(step_dict_set(&dict, key, key, 200, NULL) == 0);
}

static void have_full_expired(void) {
  step_dict_fix_hash();
  for (char key = 'a'; key <= 'd'; key++)
    step_expect(step_dict_set(&dict, key, key, 200, key == 'b' ? &brief : NULL) == 0);
  shmseg_clock_sleep(3000000);
}

/* --- operations --------------------------------------------------------------------------- */

static void set_a(void) {
  step_expect(step_dict_set(&dict, 'a', 'x', 100, NULL) == 0);
}

static void set_timed(void) {
  step_expect(step_dict_set(&dict, 'a', 'x', 8, &timed) == 0);
}

static void set_larger(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 300, NULL) == 0);
}

static void set_smaller(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 8, NULL) == 0);
}

static void set_the_same_size(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 99, NULL) == 0);
}

static void set_ninth(void) {
  step_expect(step_dict_set(&dict, 'i', 'i', 8, NULL) == 0);
}

static void set_in_chain(void) {
  step_expect(step_dict_set(&dict, 'g', 'z', 100, NULL) == 0);
}

static void add_in_vain(void) {
  step_expect(step_dict_set(&dict, 'a', 'z', 8, &(shmseg_dict_how){ .add = true }) == EEXIST);
}

static void set_on_top(void) {
  step_expect(step_dict_set(&dict, 'e', 'e', 200, NULL) == 0);
}

static void set_on_top_safely(void) {
  step_expect(step_dict_set(&dict, 'e', 'e', 200, &(shmseg_dict_how){ .safe = true }) == ENOMEM);
}

static void set_expired(void) {
  step_expect(step_dict_set(&dict, 'e', 'e', 200, &(shmseg_dict_how){ .safe = true }) == 0);
}

static void set_much(void) {
  step_expect(step_dict_set(&dict, 'e', 'e', 456, NULL) == 0);
}

static void unset_a(void) {
  step_expect(step_dict_unset(&dict, 'a') == 0);
}

static void unset_in_chain(void) {
  step_expect(step_dict_unset(&dict, 'g') == 0);
}

static void unset_end_of_chain(void) {
  step_expect(step_dict_unset(&dict, 'f') == 0);
}

static void expire(int64_t ttl) {
  int64_t patience = 0;
  step_expect(shmseg_dict_expire(&dict, "a", 1, ttl, &patience) == 0);
}

static void expire_late(void) {
  expire(3600000);
}

static void expire_never(void) {
  expire(0);
}

static void flush(void) {
  step_expect(shmseg_dict_flush_all(&dict) == 0);
}

static void flush_expired(void) {
  uint64_t cursor = 0, freed = 0;
  int64_t patience = 0;
  step_expect(shmseg_dict_flush_expired(&dict, 0, &cursor, &freed, &patience) == 0 && freed == 2);
}

static void look(void) {
  shmseg_dict_value value;
  unsigned char bytes[300];
  step_expect(shmseg_dict_get(&dict, "a", 1, bytes, sizeof bytes, &value) == 0 &&
              value.size == 100);
}

/* --- somebody who waits for a change ------------------------------------------------------ */

static void sleep_for_change(void) {
  shmseg_dict_value value;
  int err = shmseg_dict_get(&dict, "a", 1, NULL, 0, &value);
  step_expect(err == SHMSEG_EMPTY || err == SHMSEG_TOO_SMALL);
  STEP_UNTIL_OVER(err, shmseg_dict_wait(&dict, "a", 1, &value.token, SHMSEG_FOREVER));
  step_expect(err == 0 || err == SHMSEG_INTERRUPTED);
}

#define WATCHER                                                                                    \
  { STEP_SLEEPS, sleep_for_change, NULL }

#define EIGHT "a:a8 b:b8 c:c8 d:d8 e:e8 f:f8 g:g8 h:h8"

const step_case dict_store_cases[] = {
  { .sentence = "a first value",
    .actors = { AFTER(be_empty) },
    .operate = set_a,
    .outcomes = { "empty", "a:x100" } },
  { .sentence = "a value by who has no identity yet",
    .actors = { AFTER(be_empty) },
    .operate = set_a,
    .outcomes = { "empty", "a:x100" },
    TAKES_IDENTITY },
  { .sentence = "a value with a time to live",
    .actors = { AFTER(be_empty) },
    .operate = set_timed,
    .outcomes = { "empty", "a:x8~" } },
  { .sentence = "a larger value",
    .actors = { AFTER(have_two) },
    .operate = set_larger,
    .outcomes = { "a:x100 b:y100", "a:z300 b:y100" } },
  { .sentence = "a smaller value",
    .actors = { AFTER(have_two) },
    .operate = set_smaller,
    .outcomes = { "a:x100 b:y100", "a:z8 b:y100" } },
  { .sentence = "a value of the same size, without an end",
    .actors = { AFTER(have_timed) },
    .operate = set_the_same_size,
    .outcomes = { "a:x100~", "a:z99" } },
  { .sentence = "a value that finds no slot",
    .actors = { AFTER(have_eight) },
    .operate = set_ninth,
    .outcomes = { EIGHT, EIGHT " i:i8" } },
  { .sentence = "a larger value in a chain",
    .actors = { AFTER(have_eight) },
    .operate = set_in_chain,
    .outcomes = { EIGHT, "a:a8 b:b8 c:c8 d:d8 e:e8 f:f8 g:z100 h:h8" } },
  { .sentence = "add in vain",
    .actors = { AFTER(have_a) },
    .operate = add_in_vain,
    .outcomes = { "a:x100" } },
  { .sentence = "a value, and another one goes",
    .actors = { AFTER(have_full) },
    .operate = set_on_top,
    .outcomes = { "a:a200 b:b200 c:c200 d:d200", "b:b200 c:c200 d:d200",
                  "b:b200 c:c200 d:d200 e:e200" } },
  { .sentence = "a value, and two others go",
    .actors = { AFTER(have_full) },
    .operate = set_much,
    .outcomes = { "a:a200 b:b200 c:c200 d:d200", "b:b200 c:c200 d:d200", "c:c200 d:d200",
                  "c:c200 d:d200 e:e456" } },
  { .sentence = "a value in vain, safely",
    .actors = { AFTER(have_full) },
    .operate = set_on_top_safely,
    .outcomes = { "a:a200 b:b200 c:c200 d:d200" } },
  { .sentence = "a value in the room of one that has expired",
    .actors = { AFTER(have_full_expired) },
    .operate = set_expired,
    .outcomes = { "a:a200 c:c200 d:d200 +4", "a:a200 c:c200 d:d200",
                  "a:a200 c:c200 d:d200 e:e200" } },
  { .sentence = "a value over one that has expired",
    .actors = { AFTER(have_expired) },
    .operate = set_larger,
    .outcomes = { "b:y8 +4", "a:z300 b:y8 +1" } },
  { .sentence = "a value over one that was flushed",
    .actors = { AFTER(have_flushed) },
    .operate = set_larger,
    .outcomes = { "empty +6", "a:z300 +3" } },
  { .sentence = "a value, somebody waits for it",
    .actors = { AFTER(be_empty), WATCHER },
    .operate = set_a,
    .outcomes = { "empty", "a:x100" },
    .wakes = 1 },
  { .sentence = "delete the only one",
    .actors = { AFTER(have_a) },
    .operate = unset_a,
    .outcomes = { "a:x100", "empty" } },
  { .sentence = "delete inside of a chain",
    .actors = { AFTER(have_eight) },
    .operate = unset_in_chain,
    .outcomes = { EIGHT, "a:a8 b:b8 c:c8 d:d8 e:e8 f:f8 h:h8" } },
  { .sentence = "delete at the end of a chain",
    .actors = { AFTER(have_eight) },
    .operate = unset_end_of_chain,
    .outcomes = { EIGHT, "a:a8 b:b8 c:c8 d:d8 e:e8 g:g8 h:h8" } },
  { .sentence = "delete, somebody waits for it",
    .actors = { AFTER(have_two), WATCHER },
    .operate = unset_a,
    .outcomes = { "a:x100 b:y100", "b:y100" },
    .wakes = 1 },
  { .sentence = "delete what is not there",
    .actors = { AFTER(be_empty) },
    .operate = unset_a,
    .outcomes = { "empty" } },
  { .sentence = "a time to live",
    .actors = { AFTER(have_two) },
    .operate = expire_late,
    .outcomes = { "a:x100 b:y100", "a:x100~ b:y100" } },
  { .sentence = "no time to live any more",
    .actors = { AFTER(have_timed) },
    .operate = expire_never,
    .outcomes = { "a:x100~", "a:x100" } },
  { .sentence = "what has expired lives again",
    .actors = { AFTER(have_expired) },
    .operate = expire_late,
    .outcomes = { "b:y8 +4", "a:x100~ b:y8 +1" } },
  { .sentence = "what was flushed lives again",
    .actors = { AFTER(have_flushed) },
    .operate = expire_late,
    .outcomes = { "empty +6", "a:x100~ +3" } },
  { .sentence = "what was flushed lives again, for ever",
    .actors = { AFTER(have_flushed) },
    .operate = expire_never,
    .outcomes = { "empty +6", "a:x100 +3" } },
  { .sentence = "flush",
    .actors = { AFTER(have_two), WATCHER },
    .operate = flush,
    .outcomes = { "a:x100 b:y100", "empty +6" },
    .wakes = 1 },
  { .sentence = "free what has expired",
    .actors = { AFTER(have_expired) },
    .operate = flush_expired,
    .outcomes = { "b:y8 +4", "b:y8 +1", "b:y8" } },
  { .sentence = "free what was flushed",
    .actors = { AFTER(have_flushed) },
    .operate = flush_expired,
    .outcomes = { "empty +6", "empty +3", "empty" } },
  { .sentence = "look",
    .actors = { AFTER(have_two) },
    .operate = look,
    .outcomes = { "a:x100 b:y100" },
    .no_identity = true },
  { 0 },
};
