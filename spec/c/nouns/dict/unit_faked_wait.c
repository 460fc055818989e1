/* SPDX-License-Identifier: MIT */
/* objects/dict_wait and the waits of objects/dict_claim over a fake OS: something happens while a process
 * sleeps. */
#include "nouns/dict/faked.h"

static shmseg_dict_token seen;
static shmseg_dict_claim claim, others;
static shmseg_dict_outcome outcome;
static void (*meanwhile)(void); /* happens in the next sleep */
static const uint32_t *slept_on;
static bool is_woken;

static int sleep_on(const uint32_t *word, int64_t until) {
  void (*now)(void) = meanwhile;
  meanwhile = NULL;
  slept_on = word;
  is_woken = false;
  if (now)
    now();
  if (!is_woken)
    fake.now = until > fake.now ? until : fake.now;
  return is_woken || !word ? 0 : ETIMEDOUT;
}

static int wake_on(const uint32_t *word, int count) {
  (void)count;
  is_woken |= word == slept_on;
  return 0;
}

static void set_up_sleep(void) {
  set_up();
  fake.hooks.sleep = sleep_on;
  fake.hooks.wake = wake_on;
  meanwhile = NULL;
  claim = others = (shmseg_dict_claim){ 0 };
}

static const test_fixture asleep = { set_up_sleep, tear_down };

/* Waits for another state than that of now. *milliseconds: how long that took. */
static int wait_while(void (*now)(void), int64_t most, int64_t *milliseconds) {
  int64_t began = fake.now;
  int err = get("k");
  seen = value.token;
  meanwhile = now;
  check(err == 0 || err == SHMSEG_EMPTY);
  do
    err = shmseg_dict_wait(&a, "k", 1, &seen,
                           most == 0 ? SHMSEG_FOREVER : began + most * MILLISECOND);
  while (err == SHMSEG_INTERRUPTED);
  *milliseconds = (fake.now - began) / MILLISECOND;
  return err;
}

static int64_t took;

/* Does the wait end at once when that happens? */
static bool wakes(void (*now)(void)) {
  return wait_while(now, 0, &took) == 0 && took == 0 && is_woken;
}

static void do_set(void) {
  check(set(&b, "k", "v", 0) == 0);
}

static void do_set_other(void) {
  check(set(&b, "other", "v", 0) == 0);
}

static void do_delete(void) {
  check(shmseg_dict_delete(&b, "k", 1, NULL, &patience) == 0);
}

static void do_flush(void) {
  check(shmseg_dict_flush_all(&b) == 0);
}

static void do_push(void) {
  uint64_t length;
  shmseg_dict_value element = { .type = SHMSEG_DICT_INTEGER };
  check(shmseg_dict_push(&b, "k", 1, false, &element, &length, &patience) == 0);
}

static void do_pop(void) {
  check(shmseg_dict_pop(&b, "k", 1, false, buffer, sizeof buffer, &value, &patience) == 0);
}

static void do_incr(void) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  check(shmseg_dict_incr(&b, "k", 1, &step, &value, &forcible, &patience) == 0);
}

static void do_revive(void) {
  check(shmseg_dict_expire(&b, "k", 1, 0, &patience) == 0);
}

TEST_WITH(asleep, woken, "whatever changes a key wakes who waits for it, at once") {
  check(wakes(do_set) && wakes(do_set) && wakes(do_delete));
  check(wakes(do_push) && wakes(do_push) && wakes(do_pop) && wakes(do_pop));
  for (int i = 0; i < 5; i++)
    check(wakes(do_incr));
  check(wakes(do_flush) && wakes(do_revive) && wakes(do_delete));
}

TEST_WITH(asleep, awake, "a wait for a state that is no more does not sleep") {
  check(get("k") == SHMSEG_EMPTY);
  seen = value.token;
  do_set();
  check(shmseg_dict_wait(&a, "k", 1, &seen, fake.now) == 0 && get("k") == 0);
  seen = value.token;
  do_set();
  check(shmseg_dict_wait(&a, "k", 1, &seen, fake.now) == 0);
  check(fake.calls[FAKE_WAIT] + fake.calls[FAKE_SLEEP] == 0);
}

TEST_WITH(asleep, in_vain, "a wait ends with its time, and not by what happens to other keys") {
  do_set();
  check(wait_while(NULL, 120, &took) == SHMSEG_TIMEOUT && took == 120);
  check(wait_while(do_set_other, 120, &took) == SHMSEG_TIMEOUT && took >= 120);
  check(shmseg_dict_wait(&a, "k", 1, &seen, fake.now) == SHMSEG_TIMEOUT);
}

TEST_WITH(asleep, expires, "a wait ends with the life of its key, to the millisecond") {
  check(set(&a, "k", "v", 30) == 0 && wait_while(NULL, 0, &took) == 0 && took == 30);
  check(set(&a, "k", "v", 1730) == 0 && wait_while(NULL, 0, &took) == 0 && took == 1730);
  check(set(&a, "k", "v", 30) == 0 && wait_while(NULL, 20, &took) == SHMSEG_TIMEOUT && took == 20);
  check(set(&a, "k", "v", INT64_MAX) == 0 && wait_while(NULL, 20, &took) == SHMSEG_TIMEOUT);
}

static void do_set_back(void) {
  fake.wall -= 3600000;
}

static void do_set_forward(void) {
  fake.wall += 3600000;
}

TEST_WITH(asleep, clock,
          "a wait follows the real-time clock when that is set, within an interval") {
  check(set(&a, "k", "v", 5000) == 0);
  check(wait_while(do_set_back, 100, &took) == SHMSEG_TIMEOUT);
  check(wait_while(do_set_forward, 10000, &took) == 0 && took > 4000);
  check(set(&a, "k", "v", 3600000) == 0 && wait_while(do_set_forward, 0, &took) == 0 && took <= 50);
}

TEST_WITH(asleep, read_only,
          "through a handle that cannot write a wait looks every few milliseconds") {
  theirs.writable = false;
  check(get("k") == SHMSEG_EMPTY);
  meanwhile = do_set;
  seen = value.token;
  theirs = ours;
  ours.writable = false;
  int err;
  do
    err = shmseg_dict_wait(&a, "k", 1, &seen, SHMSEG_FOREVER);
  while (err == SHMSEG_INTERRUPTED);
  check(err == 0 && fake.calls[FAKE_WAIT] == 0 && fake.calls[FAKE_SLEEP] == 1);
  ours.writable = true;
}

/* --- claims ---------------------------------------------------------------------------------- */

static int take(shmseg_dict *dict, shmseg_dict_claim *it, int64_t milliseconds) {
  int64_t deadline = fake.now + milliseconds * MILLISECOND;
  int err;
  patience = 0;
  do
    err = shmseg_dict_claim_take(dict, "k", 1, it, &outcome, deadline, &patience);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

/* b has the claim, and a waits for it while that happens. */
static bool gives(void (*now)(void), shmseg_dict_outcome expected) {
  int64_t began = fake.now;
  meanwhile = now;
  check(others.offset != 0 || (take(&b, &others, 0) == 0 && outcome == SHMSEG_DICT_CLAIMED));
  return take(&a, &claim, 10000) == 0 && outcome == expected && fake.now == began;
}

static void do_end(void) {
  shmseg_dict_claim_end(&b, &others, "k", 1, SHMSEG_DICT_ENDED);
}

static void do_find_none(void) {
  shmseg_dict_claim_end(&b, &others, "k", 1, SHMSEG_DICT_NO_VALUE);
}

static void do_fail(void) {
  shmseg_dict_claim_end(&b, &others, "k", 1, SHMSEG_DICT_FAILED);
}

static void do_store(void) {
  shmseg_dict_value string = { .type = SHMSEG_DICT_STRING, .bytes = "v", .size = 1 };
  check(shmseg_dict_claim_store(&b, &others, "k", 1, &string, NULL, &forcible, &patience) == 0);
}

static void do_void_and_end(void) {
  do_set();
  do_end();
}

TEST_WITH(asleep, told, "who waits for a claim is woken by its end, and told how it ended") {
  check(gives(do_end, SHMSEG_DICT_ENDED) && gives(do_find_none, SHMSEG_DICT_NO_VALUE));
  check(gives(do_fail, SHMSEG_DICT_FAILED) && gives(do_end, SHMSEG_DICT_ENDED));
  check(gives(do_void_and_end, SHMSEG_DICT_ENDED) && claim.offset == 0);
  check(gives(do_store, SHMSEG_DICT_ENDED) && has("k", "v") && claim.offset == 0);
}

TEST_WITH(asleep, too_long, "a wait for a claim ends with its time, and the claim stays") {
  int64_t began = fake.now;
  check(take(&b, &others, 0) == 0 && take(&a, &claim, 230) == SHMSEG_TIMEOUT);
  check(fake.now - began == 230 * MILLISECOND && claim.offset == 0 && claim.word == 0);
  check(take(&a, &claim, 0) == SHMSEG_TIMEOUT && shmseg_dict_claim_is_valid(&b, &others));
}

static void do_die(void) {
  fake_died(theirs.member.id);
}

TEST_WITH(asleep, dead,
          "the claim of a dead process goes to the next who wants it, within an interval") {
  int64_t began = fake.now;
  check(take(&b, &others, 0) == 0);
  meanwhile = do_die;
  check(take(&a, &claim, 1000) == 0 && outcome == SHMSEG_DICT_CLAIMED && claim.offset != 0);
  check(fake.now - began <= 50 * MILLISECOND && shmseg_dict_claim_is_valid(&a, &claim));
  check(!shmseg_dict_claim_is_valid(&b, &others));
  do_end(); /* of no effect */
  check(shmseg_dict_claim_is_valid(&a, &claim));
}

TEST_WITH(asleep, dead_before, "a claim whose owner is dead already is taken without a sleep") {
  check(take(&b, &others, 0) == 0);
  do_die();
  check(take(&a, &claim, 0) == 0 && outcome == SHMSEG_DICT_CLAIMED);
  check(fake.calls[FAKE_WAIT] + fake.calls[FAKE_SLEEP] == 0);
}

int main(int argc, char **argv) {
  (void)argc;
  test_run(argv);
  return test_end();
}
