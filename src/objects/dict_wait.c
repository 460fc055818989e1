/* SPDX-License-Identifier: MIT */
/* Waiting until a key of a dict changes. */
#include "core/eventcount.h"
#include "core/wait.h"
#include "core/watch.h"
#include "objects/dict_find.h"

/* An expiry that is further away is waited for in intervals. */
#define SOON 1000

#define MILLISECOND ((int64_t)1000000) /* nanoseconds */

static uint32_t *wait_eventcount(const shmseg_dict *dict, const dict_key *key) {
  return dict_word32(dict, dict_stripe_at(key->stripe, STRIPE_EVENTCOUNT));
}

uint32_t shmseg_dict_ask(const shmseg_dict *dict, const dict_key *key) {
  uint32_t watched = shmseg_eventcount_prepare(dict->object.segment, wait_eventcount(dict, key));
  uint32_t *marks = dict_word32(dict, key->line + LINE_MARKS);
  if (watched != 0 && !(load_ordered(marks) & DICT_WATCHED))
    or_ordered(marks, DICT_WATCHED);
  /* A writer unlocks, and then looks for the mark. If it did not see this one, the unlocked word is seen
   * here, and all that stands before it by the loads that follow. The same for a flush. */
  (void)load_ordered(dict_word32(dict, dict_stripe_at(key->stripe, STRIPE_LOCK)));
  (void)load_ordered(dict_word32(dict, key->line + LINE_LOCK));
  (void)load_ordered(dict_word64(dict, DICT_FLUSH));
  return watched;
}

int shmseg_dict_sleep(const shmseg_dict *dict, const dict_key *key, uint32_t watched,
                      int64_t deadline) {
  return shmseg_eventcount_wait(dict->object.segment, wait_eventcount(dict, key), watched,
                                deadline);
}

/* One look: 0 when the state is another one; SHMSEG_INTERRUPTED when it is the same, *expiry tells until
 * when (0: for ever). */
static int wait_once(const shmseg_dict *dict, const dict_key *key, const shmseg_dict_token *seen,
                     uint64_t *expiry) {
  dict_found found;
  int64_t now = 0;
  uint64_t word = 0, number = 0;
  *expiry = 0;
  int err = shmseg_dict_find(dict, key, &found);
  if (err != SHMSEG_EMPTY) {
    number = err ? 0 : dict_number(dict, key->line, &found);
    bool is_live = !err && dict_is_live(dict, &found, &now);
    if (!err)
      err = dict_prove(dict, key->stripe, &found);
    if (err)
      return err;
    word = is_live ? found.word : 0;
    *expiry = is_live ? found.head.expiry : 0;
  }
  bool is_same =
      word == seen->word &&
      (word == 0 || (number == seen->number && dict_is_same(word, seen->epoch, found.epoch)));
  return is_same ? SHMSEG_INTERRUPTED : 0;
}

/* A look. What is overtaken all the time is looked at again after an interval. */
static int wait_look(const shmseg_dict *dict, const dict_key *key, const shmseg_dict_token *seen,
                     uint64_t *expiry) {
  dict_retry retry = { 0 };
  int err;
  do
    err = dict_again(wait_once(dict, key, seen, expiry), &retry);
  while (err == SHMSEG_CHANGED);
  return err == SHMSEG_TIMEOUT ? SHMSEG_INTERRUPTED : err;
}

/* Nanoseconds until the expiry, at least 1: 24 days at most. */
static int64_t wait_left(uint64_t expiry) {
  int64_t now = shmseg_clock_wall(), left = (int64_t)expiry - now;
  return left <= 0 ? 1 : left > INT32_MAX ? INT32_MAX * MILLISECOND : left * MILLISECOND;
}

/* The deadline, or the moment of the expiry, which the wall clock tells, if that is soon. */
static int64_t wait_until(uint64_t expiry, int64_t deadline) {
  if (expiry == 0)
    return deadline;
  int64_t now = shmseg_clock_wall();
  if ((int64_t)expiry > now && (int64_t)expiry - SOON > now)
    return deadline;
  int64_t left = (int64_t)expiry > now ? (int64_t)expiry - now : 0;
  int64_t end = shmseg_wait_deadline(left * MILLISECOND);
  return end < deadline ? end : deadline;
}

int shmseg_dict_wait(const shmseg_dict *dict, const void *key, size_t key_size,
                     const shmseg_dict_token *seen, int64_t deadline) {
  dict_key where;
  uint64_t expiry;
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (err == SHMSEG_EMPTY && seen->word == 0) { /* nobody has stored anything yet */
    err = shmseg_eventcount_wait(dict->object.segment, NULL, 0, deadline);
    return err ? err : shmseg_wait_again(deadline);
  }
  if (err)
    return err == SHMSEG_EMPTY ? 0 : err;
  err = wait_look(dict, &where, seen, &expiry);
  if (err != SHMSEG_INTERRUPTED)
    return err;
  uint32_t watched = shmseg_dict_ask(dict, &where);
  err = wait_look(dict, &where, seen, &expiry);
  if (err != SHMSEG_INTERRUPTED)
    return err;
  err = shmseg_dict_sleep(dict, &where, watched, wait_until(expiry, deadline));
  if (err != 0 && err != SHMSEG_TIMEOUT)
    return err;
  err = wait_look(dict, &where, seen, &expiry);
  return err == SHMSEG_INTERRUPTED ? shmseg_wait_again(deadline) : err;
}

/* Through a read-only handle on a dict that nobody has stored anything in, there is no eventcount yet. */
static int wait_watch_nothing(const shmseg_dict *dict, const shmseg_dict_token *seen,
                              shmseg_watch *watch) {
  const shmseg_segment *segment = dict->object.segment;
  uint32_t *word = dict_word32(dict, 0);
  int err = shmseg_watch_begin(watch, segment, dict, word, true);
  bool is_same = seen && seen->word == 0;
  return err ? err : shmseg_watch_arm(watch, segment, word, 0, is_same ? SHMSEG_EMPTY : 0);
}

int shmseg_dict_watch(const shmseg_dict *dict, const void *key, size_t key_size,
                      const shmseg_dict_token *seen, int64_t *left, shmseg_watch *watch) {
  const shmseg_segment *segment = dict->object.segment;
  dict_key where;
  uint64_t expiry = 0;
  *left = 0;
  int err = shmseg_dict_locate(dict, key, key_size, &where);
  if (err == SHMSEG_EMPTY)
    return wait_watch_nothing(dict, seen, watch);
  if (err)
    return shmseg_watch_refuse(watch, err);
  uint32_t *word = wait_eventcount(dict, &where);
  err = shmseg_watch_begin(watch, segment, dict, word, !segment->writable);
  if (err)
    return err;
  uint32_t asked = shmseg_dict_ask(dict, &where);
  err = seen ? wait_look(dict, &where, seen, &expiry) : 0;
  if (err == SHMSEG_INTERRUPTED && (asked != 0 || !segment->writable))
    err = SHMSEG_EMPTY;
  if (err == SHMSEG_EMPTY && expiry != 0)
    *left = wait_left(expiry);
  return shmseg_watch_arm(watch, segment, word, asked, err == SHMSEG_INTERRUPTED ? 0 : err);
}
