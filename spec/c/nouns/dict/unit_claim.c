/* SPDX-License-Identifier: MIT */
/* objects/dict_claim: the right to compute a value; and waiting, among real processes. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "nouns/dict/help.h"
#include "unit/help.h"

#define CAPACITY 16384
#define WORDS 8 /* claims that a line has */

static shmseg_segment theirs, reader;
static shmseg_dict b, r;
static shmseg_dict_claim claim, others;
static shmseg_dict_outcome outcome;
static shmseg_dict_value value;
static bool forcible;
static char buffer[64];

static void set_up(void) {
  open_dict(CAPACITY, SHMSEG_DICT_LRU, 0);
  same_segment(&theirs, &ours);
  must(shmseg_segment_from_fd(&reader, ours.fd, false) == 0);
  shmseg_slice place = { &theirs, 0, ours.size };
  must(shmseg_dict_open(&b, place, SHMSEG_WRITE, NULL, NULL) == 0);
  place.segment = &reader;
  must(shmseg_dict_open(&r, place, SHMSEG_READ, NULL, NULL) == 0);
  claim = others = (shmseg_dict_claim){ 0 };
}

static void tear_down(void) {
  check(shmseg_dict_check(&d) == NULL);
  shmseg_dict_close(&b);
  shmseg_dict_close(&r);
  shmseg_segment_close(&theirs);
  shmseg_segment_close(&reader);
  close_dict();
}

static const test_fixture fresh = { set_up, tear_down };

static int take(shmseg_dict *dict, const char *key, shmseg_dict_claim *it, int64_t milliseconds) {
  int64_t deadline = in_ms(milliseconds);
  int err;
  patience = 0;
  do
    err = shmseg_dict_claim_take(dict, key, strlen(key), it, &outcome, deadline, &patience);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

/* Takes the claim on the key at once. */
static bool takes(shmseg_dict *dict, const char *key, shmseg_dict_claim *it) {
  return take(dict, key, it, 0) == 0 && outcome == SHMSEG_DICT_CLAIMED && it->offset != 0;
}

static bool is_valid(void) {
  return shmseg_dict_claim_is_valid(&d, &claim);
}

static void end(const char *key, shmseg_dict_outcome how) {
  shmseg_dict_claim_end(&d, &claim, key, strlen(key), how);
}

static int set(shmseg_dict *dict, const char *key, const char *bytes) {
  shmseg_dict_value string = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = strlen(bytes) };
  return shmseg_dict_store(dict, key, strlen(key), &string, NULL, &forcible, &patience);
}

static int store(const char *key, const char *bytes) {
  shmseg_dict_value string = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = strlen(bytes) };
  return shmseg_dict_claim_store(&d, &claim, key, strlen(key), &string, NULL, &forcible, &patience);
}

static bool has(const char *key, const char *bytes) {
  return shmseg_dict_get(&d, key, strlen(key), buffer, sizeof buffer, &value) == 0 &&
         value.size == strlen(bytes) && memcmp(buffer, bytes, value.size) == 0;
}

static uint64_t claims_counted(void) {
  return number_at(&ours, dict_stripe_at(0, STRIPE_CLAIMS));
}

TEST_WITH(fresh, one, "one has the claim on a key, stores the value, and then nobody has it") {
  check(takes(&d, "k", &claim) && is_valid() && claims_counted() == 1);
  check(take(&b, "k", &others, 0) == SHMSEG_TIMEOUT && !shmseg_dict_claim_is_valid(&b, &others));
  check(takes(&b, "other", &others));
  check(store("k", "value") == 0 && claim.offset == 0 && !is_valid() && has("k", "value"));
  check(takes(&d, "k", &claim));
  end("k", SHMSEG_DICT_ENDED);
  check(claim.offset == 0 && takes(&b, "k", &(shmseg_dict_claim){ 0 }));
  end("k", SHMSEG_DICT_ENDED); /* harmless */
}

TEST_WITH(fresh, held, "who has the claim does not wait for it, nor does his other handle") {
  shmseg_dict second;
  shmseg_slice place = { &ours, 0, ours.size };
  must(shmseg_dict_open(&second, place, SHMSEG_WRITE, NULL, NULL) == 0);
  check(takes(&d, "k", &claim) && take(&d, "k", &claim, 1000) == SHMSEG_HELD);
  check(take(&second, "k", &others, 1000) == SHMSEG_HELD && is_valid());
  shmseg_dict_close(&second);
}

static void do_set(void) {
  check(set(&b, "k", "theirs") == 0);
}

static void do_set_own(void) {
  check(set(&d, "k", "own") == 0);
}

static void do_delete(void) {
  check(shmseg_dict_delete(&b, "k", 1, NULL, &patience) == 0);
}

static void do_incr(void) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  check(shmseg_dict_incr(&b, "k", 1, &step, &value, &forcible, &patience) == 0);
}

static void do_push(void) {
  uint64_t length;
  shmseg_dict_value element = { .type = SHMSEG_DICT_INTEGER };
  check(shmseg_dict_push(&b, "k", 1, true, &element, &length, &patience) == 0);
}

static void do_pop(void) {
  check(shmseg_dict_pop(&b, "k", 1, true, buffer, sizeof buffer, &value, &patience) == 0);
}

static void do_expire(void) {
  check(shmseg_dict_expire(&b, "k", 1, 1000, &patience) == 0);
}

static void do_flush(void) {
  check(shmseg_dict_flush_all(&b) == 0);
}

/* Does that make the claim void, so that nothing is stored? */
static bool voids(void (*write)(void)) {
  check(takes(&d, "k", &claim) && is_valid());
  write();
  bool was_valid = is_valid();
  return !was_valid && store("k", "late") == SHMSEG_CHANGED && !has("k", "late") &&
         claim.offset == 0;
}

TEST_WITH(fresh, voided, "each write to the key, and a flush, makes a claim void") {
  check(voids(do_set) && has("k", "theirs") && voids(do_set_own) && has("k", "own"));
  check(voids(do_expire) && voids(do_delete) && voids(do_delete));
  check(voids(do_push) && voids(do_push) && voids(do_pop) && voids(do_pop));
  check(voids(do_incr) && voids(do_incr) && voids(do_incr) && voids(do_flush));
}

TEST_WITH(fresh, not_voided,
          "a claim stays valid while other keys are written, and its key is read") {
  char key[16];
  check(takes(&d, "k", &claim));
  for (int i = 0; i < 100; i++) {
    snprintf(key, sizeof key, "key%d", i);
    check(set(&b, key, "x") == 0 && !has("k", "x"));
  }
  check(is_valid() && store("k", "value") == 0 && has("k", "value"));
}

TEST_WITH(fresh, uncounted, "claims that have ended are looked for no more") {
  check(takes(&d, "k", &claim) && claims_counted() == 1);
  end("k", SHMSEG_DICT_ENDED);
  check(set(&b, "k", "x") == 0 && claims_counted() == 0);
}

/* A key whose claim is in the same line as that of "k". */
static const char *next_in_line(int *number) {
  static char key[16];
  dict_key first, where;
  must(shmseg_dict_locate(&d, "k", 1, &first) == 0);
  do {
    snprintf(key, sizeof key, "n%d", ++*number);
    must(shmseg_dict_locate(&d, key, strlen(key), &where) == 0);
  } while ((where.hash ^ first.hash) >> 32 & (d.claim_lines - 1));
  return key;
}

TEST_WITH(fresh, full, "claims may be too many; those of the dead are not") {
  shmseg_dict_claim all[WORDS] = { { 0 } };
  int number = 0;
  for (int i = 0; i < WORDS; i++)
    check(takes(i % 2 ? &d : &b, next_in_line(&number), &all[i]));
  check(take(&d, "k", &claim, 1000) == ENOMEM && claim.offset == 0);
  shmseg_segment_close(&theirs);
  check(takes(&d, "k", &claim) && store("k", "value") == 0 && has("k", "value"));
  for (int i = 0; i < WORDS / 2; i++)
    check(shmseg_dict_claim_is_valid(&d, &all[2 * i + 1]));
  for (int i = 0; i < WORDS / 2; i++)
    check(takes(&d, next_in_line(&number), &(shmseg_dict_claim){ 0 }));
}

TEST_WITH(fresh, refused, "a claim needs a handle that can write, and a key") {
  check(take(&r, "k", &claim, 0) == SHMSEG_READ_ONLY && take(&d, "", &claim, 0) == EINVAL);
  check(!shmseg_dict_claim_is_valid(&r, &claim));
}

TEST_WITH(fresh, not_stored, "a value that cannot be stored ends the claim") {
  static char large[CAPACITY];
  shmseg_dict_value string = { .type = SHMSEG_DICT_STRING, .bytes = large, .size = sizeof large };
  check(takes(&d, "k", &claim));
  check(shmseg_dict_claim_store(&d, &claim, "k", 1, &string, NULL, &forcible, &patience) == EFBIG);
  check(claim.offset == 0 && takes(&b, "k", &others));
}

static void child_uses_claim(void *argument) {
  (void)argument;
  bool was_valid = is_valid();
  end("k", SHMSEG_DICT_ENDED);
  say(was_valid ? 'v' : '-');
}

TEST_WITH(fresh, forked, "a forked child has none of its parent's claims") {
  check(takes(&d, "k", &claim));
  child c = child_start(child_uses_claim, NULL);
  check(child_hear(&c) == '-' && child_end(&c) == 0);
  check(is_valid() && store("k", "value") == 0 && has("k", "value"));
}

static void child_claims(void *argument) {
  (void)argument;
  shmseg_segment mine;
  same_segment(&mine, &ours);
  must(shmseg_dict_open(&d, (shmseg_slice){ &mine, 0, mine.size }, SHMSEG_WRITE, NULL, NULL) == 0);
  say(takes(&d, "k", &claim) ? 'y' : 'n');
  hear();
  say(store("k", "value") == 0 ? 'y' : 'n');
  hear();
}

TEST_WITH(fresh, killed, "who waits for the claim of a process that is killed gets it") {
  child c = child_start(child_claims, NULL);
  check(child_hear(&c) == 'y' && take(&d, "k", &claim, 60) == SHMSEG_TIMEOUT);
  check(child_kill(&c) == 256 + SIGKILL);
  check(take(&d, "k", &claim, 10000) == 0 && outcome == SHMSEG_DICT_CLAIMED);
  check(store("k", "mine") == 0 && has("k", "mine"));
}

TEST_WITH(fresh, stopped, "the claim of a process that is stopped stays its own") {
  child c = child_start(child_claims, NULL);
  check(child_hear(&c) == 'y' && kill(c.pid, SIGSTOP) == 0);
  check(take(&d, "k", &claim, 120) == SHMSEG_TIMEOUT);
  check(kill(c.pid, SIGCONT) == 0);
  child_tell(&c);
  check(child_hear(&c) == 'y' && has("k", "value") && take(&d, "k", &claim, 10000) == 0);
  check(child_kill(&c) == 256 + SIGKILL);
}

static void child_waits(void *argument) {
  (void)argument;
  shmseg_segment mine;
  same_segment(&mine, &ours);
  must(shmseg_dict_open(&d, (shmseg_slice){ &mine, 0, mine.size }, SHMSEG_WRITE, NULL, NULL) == 0);
  has("k", "");
  for (;;) {
    int err;
    shmseg_dict_token seen = value.token;
    do
      err = shmseg_dict_wait(&d, "k", 1, &seen, SHMSEG_FOREVER);
    while (err == SHMSEG_INTERRUPTED);
    must(err == 0);
    has("k", "");
    say(sleep_ended());
  }
}

static bool change(int round) {
  return set(&b, "k", round % 2 ? "odd" : "even") == 0;
}

TEST_WITH(fresh, woken, "a process that waits for a key is woken by each change, at once") {
  child c = child_start(child_waits, NULL);
  check(wakes_each_time(&c, change));
  check(child_kill(&c) == 256 + SIGKILL);
}
