/* SPDX-License-Identifier: MIT */
/* The cell, stepped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "os/fault.h"
#include "step/step.h"

#define LOCK 64
#define BUFFERS 192
#define BUFFER_SIZE 64
#define COUNT 4

static shmseg_cell cell;

/* --- a full use ------------------------------------------------------------------------------- */

/* "none", or version and value: "3:a24". */
static const char *tell_value(char *text, size_t available, uint64_t *version) {
  unsigned char bytes[STEP_CAPACITY];
  size_t size;
  int err = shmseg_cell_get(&cell, bytes, sizeof bytes, &size, version);
  snprintf(text, available, "none");
  if (err == SHMSEG_EMPTY)
    return *version == 0 ? NULL : "empty, but with a version";
  if (err != 0)
    return "the value cannot be read";
  snprintf(text, available, "%llu:", (unsigned long long)*version);
  step_tell(text, available, bytes, size);
  return NULL;
}

static bool holds(char letter, size_t size, uint64_t version) {
  unsigned char bytes[STEP_CAPACITY];
  size_t there;
  uint64_t now;
  return shmseg_cell_get(&cell, bytes, sizeof bytes, &there, &now) == 0 && now == version &&
         step_is_message(bytes, there, letter, size);
}

/* Once around all buffers, and each value is there and counted. */
static const char *set_around(shmseg_cell *other, uint64_t *version) {
  for (int i = 0; i <= COUNT; i++) {
    uint64_t next;
    char letter = (char)('p' + i);
    size_t size = (size_t)(STEP_CAPACITY - 10 * i);
    if (shmseg_cell_set(other, step_message(letter, size), size, &next) != 0)
      return "it cannot be set";
    if (next != *version + 1 || !holds(letter, size, next))
      return "what was set is not there";
    *version = next;
  }
  return NULL;
}

static const char *compare_and_set(shmseg_cell *other, uint64_t *version) {
  uint64_t actual = 0;
  if (shmseg_cell_cas(other, *version - 1, "x", 1, &actual) != SHMSEG_CHANGED || actual != *version)
    return "a cas of an old version succeeds";
  if (shmseg_cell_cas(other, *version, step_message('u', 9), 9, &actual) != 0 ||
      actual != *version + 1 || !holds('u', 9, actual))
    return "a cas of the version fails";
  *version = actual;
  return NULL;
}

/* What is being read stays as long as two more values do not push it out. */
static const char *read_slowly(shmseg_cell *other, uint64_t *version) {
  const unsigned char *bytes;
  size_t size;
  uint64_t seen;
  if (shmseg_cell_peek(&cell, &bytes, &size, &seen) != 0 || seen != *version)
    return "no peek";
  for (int i = 0; i < 2; i++)
    if (shmseg_cell_set(other, step_message('v', 30), 30, version) != 0)
      return "it cannot be set while it is read";
  if (shmseg_cell_confirm(&cell, seen) != 0 || !step_is_message(bytes, size, 'u', 9))
    return "a value has changed while it was read";
  if (shmseg_cell_set(other, "x", 1, version) != 0 ||
      shmseg_cell_confirm(&cell, seen) != SHMSEG_CHANGED)
    return "a reader is not told that it was overtaken";
  return NULL;
}

static const char *wait_for(uint64_t version) {
  uint64_t now;
  if (shmseg_cell_version(&cell, &now) != 0 || now != version)
    return "another version";
  if (shmseg_cell_wait(&cell, version, 0) != SHMSEG_TIMEOUT)
    return "a wait does not wait";
  return shmseg_cell_wait(&cell, version + 1, 0) == 0 ? NULL : "a wait waits for nothing";
}

/* The value as it is; then another handle sets, while this one reads. */
static const char *use(void) {
  static char found[64];
  shmseg_segment segment;
  shmseg_cell other;
  uint64_t version = 0;
  const char *wrong = tell_value(found, sizeof found, &version);
  if (!wrong)
    wrong = wait_for(version);
  if (wrong)
    return wrong;
  if (step_open_other(&segment) != 0 ||
      shmseg_cell_open(&other, shmseg_segment_whole(&segment), SHMSEG_WRITE, NULL, NULL) != 0)
    return "no second handle";
  wrong = set_around(&other, &version);
  if (!wrong)
    wrong = compare_and_set(&other, &version);
  if (!wrong)
    wrong = read_slowly(&other, &version);
  if (!wrong)
    wrong = wait_for(version);
  if (!wrong)
    wrong = shmseg_cell_check(&cell);
  shmseg_cell_close(&other);
  shmseg_segment_close(&segment);
  return wrong ? wrong : found;
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static void set(char letter, size_t size) {
  uint64_t version;
  step_expect(shmseg_cell_set(&cell, step_message(letter, size), size, &version) == 0);
}

static void set_a(void) {
  set('a', 24);
}

static void set_b(void) {
  set('b', 40);
}

static void set_c(void) {
  set('c', 13);
}

static void set_none(void) {
  set('a', 0);
}

static void set_three(void) {
  set_a(), set_b(), set_c();
}

static void set_four(void) {
  set_three(), set('d', 33);
}

static void set_too_large(void) {
  uint64_t version;
  step_expect(shmseg_cell_set(&cell, step_message('x', 41), 41, &version) == EINVAL);
}

static void cas_from(uint64_t expected, int err, uint64_t actual) {
  uint64_t version = 0;
  step_expect(shmseg_cell_cas(&cell, expected, step_message('c', 13), 13, &version) == err);
  step_expect(version == actual);
}

static void cas_none(void) {
  cas_from(0, 0, 1);
}

static void cas_hits(void) {
  cas_from(1, 0, 2);
}

static void cas_misses(void) {
  cas_from(0, SHMSEG_CHANGED, 1);
}

/* --- from and into a segment ------------------------------------------------------------------- */

#define PLACE 100 /* where the bytes are */

static shmseg_segment other;

static void have_other(void) {
  shmseg_options options = { .size = 4096, .perm = 0600 };
  step_expect(shmseg_segment_anonymous(&other, &options) == 0);
  memcpy(other.data + PLACE, step_message('b', 40), 40);
}

/* As the guard leaves it when a peer has cut the segment. */
static void have_cut(void) {
  have_other();
  other.fault->code = SHMSEG_TRUNCATED;
}

static int set_from_other(uint64_t expected) {
  shmseg_source value = { other.data + PLACE, 40, &other };
  int64_t deadline = 0;
  uint64_t version;
  int err;
  STEP_UNTIL_DONE(err, shmseg_cell_set_until(&cell, expected, &value, &deadline, &version));
  return err;
}

static void set_slice(void) {
  step_expect(set_from_other(SHMSEG_ANY_VERSION) == 0);
}

static void cas_slice(void) {
  step_expect(set_from_other(1) == 0);
}

static void set_cut_slice(void) {
  step_expect(set_from_other(SHMSEG_ANY_VERSION) == SHMSEG_TRUNCATED);
}

static void get_into_slice(void) {
  size_t size;
  uint64_t version;
  step_expect(shmseg_cell_get(&cell, other.data + PLACE, 30, &size, &version) == 0);
  step_expect(version == 1 && step_is_message(other.data + PLACE, size, 'a', 24));
}

/* As a writer is left that dies with the next buffer half filled. */
static void die_setting(void) {
  uint64_t version;
  step_expect(shmseg_cell_version(&cell, &version) == 0);
  step_enter_lock(LOCK);
  memset(step_segment.data + BUFFERS + (version + 1) % COUNT * BUFFER_SIZE, 0xee, BUFFER_SIZE);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void get_it(void) {
  step_expect(holds('a', 24, 1));
}

static void get_into_less(void) {
  size_t size;
  uint64_t version;
  char bytes[8];
  step_expect(shmseg_cell_get(&cell, bytes, sizeof bytes, &size, &version) == SHMSEG_TOO_SMALL);
}

static void get_nothing(void) {
  size_t size;
  uint64_t version;
  step_expect(shmseg_cell_get(&cell, NULL, 0, &size, &version) == SHMSEG_EMPTY);
}

static int wait_within(uint64_t seen, int64_t milliseconds) {
  int err;
  int64_t deadline = step_deadline(milliseconds);
  STEP_UNTIL_DONE(err, shmseg_cell_wait(&cell, seen, deadline));
  return err;
}

static void wait_first(void) {
  step_expect(wait_within(0, 5000) == 0);
}

static void wait_in_vain(void) {
  step_expect(wait_within(1, 20) == SHMSEG_TIMEOUT);
}

static void wait_or_not(void) {
  int err;
  uint64_t version = 0;
  STEP_UNTIL_OVER(err, shmseg_cell_wait(&cell, 1, SHMSEG_FOREVER));
  step_expect(shmseg_cell_version(&cell, &version) == 0);
  step_expect(err == 0 ? version == 2 && holds('b', 40, 2) : err == SHMSEG_INTERRUPTED);
}

static void be_reader(void) {
  static shmseg_segment segment;
  step_expect(step_open_reader(&segment) == 0);
  step_expect(shmseg_cell_open(&cell, shmseg_segment_whole(&segment), SHMSEG_READ, NULL, NULL) ==
              0);
}

static void set_in_vain(void) {
  uint64_t version;
  step_expect(shmseg_cell_set(&cell, "x", 1, &version) == SHMSEG_READ_ONLY);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define SLEEPER                                                                                    \
  { STEP_SLEEPS, wait_or_not, NULL }

static const step_case cases[] = {
  { .sentence = "set, no value yet", .operate = set_a, .outcomes = { "none", "1:a24" } },
  { .sentence = "set by who has no identity yet",
    .operate = set_a,
    .outcomes = { "none", "1:a24" },
    TAKES_IDENTITY },
  { .sentence = "set over another value, as large as can be",
    .actors = { AFTER(set_a) },
    .operate = set_b,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "set to nothing, no value yet",
    .operate = set_none,
    .outcomes = { "none", "1:0" } },
  { .sentence = "set to nothing, over a value",
    .actors = { AFTER(set_a) },
    .operate = set_none,
    .outcomes = { "1:a24", "2:0" } },
  { .sentence = "set into the first buffer again",
    .actors = { AFTER(set_three) },
    .operate = set_b,
    .outcomes = { "3:c13", "4:b40" } },
  { .sentence = "set over the oldest value",
    .actors = { AFTER(set_four) },
    .operate = set_b,
    .outcomes = { "4:d33", "5:b40" } },
  { .sentence = "set three times at once",
    .operate = set_three,
    .outcomes = { "none", "1:a24", "2:b40", "3:c13" } },
  { .sentence = "set, a writer died at its first value",
    .actors = { AFTER(die_setting) },
    .operate = set_a,
    .outcomes = { "none", "1:a24" } },
  { .sentence = "set, a writer died over the oldest value",
    .actors = { AFTER(set_four), AFTER(die_setting) },
    .operate = set_b,
    .outcomes = { "4:d33", "5:b40" } },
  { .sentence = "set, two sleep",
    .actors = { AFTER(set_a), SLEEPER, SLEEPER },
    .operate = set_b,
    .outcomes = { "1:a24", "2:b40" },
    .wakes = 2 },
  { .sentence = "set, flagged by somebody dead",
    .actors = { AFTER(set_a), AFTER(wait_in_vain) },
    .operate = set_b,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "set to more than the capacity",
    .actors = { AFTER(set_a) },
    .operate = set_too_large,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "cas of no value", .operate = cas_none, .outcomes = { "none", "1:c13" } },
  { .sentence = "cas that hits",
    .actors = { AFTER(set_a) },
    .operate = cas_hits,
    .outcomes = { "1:a24", "2:c13" } },
  { .sentence = "cas that hits, a writer died",
    .actors = { AFTER(set_a), AFTER(die_setting) },
    .operate = cas_hits,
    .outcomes = { "1:a24", "2:c13" } },
  { .sentence = "cas that misses",
    .actors = { AFTER(set_a) },
    .operate = cas_misses,
    .outcomes = { "1:a24" } },
  { .sentence = "set from a segment, no value yet",
    .prepare = have_other,
    .operate = set_slice,
    .outcomes = { "none", "1:b40" } },
  { .sentence = "set from a segment over another value, two sleep",
    .actors = { AFTER(set_a), SLEEPER, SLEEPER },
    .prepare = have_other,
    .operate = set_slice,
    .outcomes = { "1:a24", "2:b40" },
    .wakes = 2 },
  { .sentence = "set from a segment that was cut",
    .actors = { AFTER(set_a) },
    .prepare = have_cut,
    .operate = set_cut_slice,
    .outcomes = { "1:a24" } },
  { .sentence = "cas from a segment, a writer died",
    .actors = { AFTER(set_a), AFTER(die_setting) },
    .prepare = have_other,
    .operate = cas_slice,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "get into a segment",
    .actors = { AFTER(set_a) },
    .prepare = have_other,
    .operate = get_into_slice,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "get",
    .actors = { AFTER(set_a) },
    .operate = get_it,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "get by a reader, a writer died",
    .actors = { AFTER(set_a), AFTER(die_setting) },
    .prepare = be_reader,
    .operate = get_it,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "get into less room than it needs",
    .actors = { AFTER(set_a) },
    .operate = get_into_less,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "get, no value yet",
    .operate = get_nothing,
    .outcomes = { "none" },
    .changes_nothing = true },
  { .sentence = "wait, there is a value",
    .actors = { AFTER(set_a) },
    .operate = wait_first,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "wait in vain",
    .actors = { AFTER(set_a) },
    .operate = wait_in_vain,
    .outcomes = { "1:a24" } },
  { .sentence = "wait in vain, a reader",
    .actors = { AFTER(set_a) },
    .prepare = be_reader,
    .operate = wait_in_vain,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "set by a reader",
    .actors = { AFTER(set_a) },
    .prepare = be_reader,
    .operate = set_in_vain,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { 0 },
};

static const step_structure step_cell = {
  .kind = &shmseg_cell_kind,
  .handle = &cell.object,
  .options = &(const shmseg_object_options){ .capacity = STEP_CAPACITY },
  .as_new = "none",
  .use = use,
  .keeps_nothing = true,
  .sleepers_write_nothing = true,
  .cases = cases,
};

STEP_PLAY(step_cell);
