/* SPDX-License-Identifier: MIT */
/* The broadcast, stepped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nouns/broadcast/step.h"
#include "options.h"

#define LOCK 128
#define FLOOR 192
#define ENDS 200
#define RING_AT 256
#define RING 56 /* two messages of 8 bytes, or one that is as large as can be */

shmseg_broadcast broadcast;

/* --- subscribers ------------------------------------------------------------------------------ */

typedef struct {
  unsigned char bytes[STEP_CAPACITY];
  size_t size;
  uint64_t sequence, lost;
} message;

static int next(shmseg_subscription *s, message *m, int64_t deadline) {
  int err;
  STEP_UNTIL_DONE(err, shmseg_subscription_next(s, m->bytes, sizeof m->bytes, &m->size,
                                                &m->sequence, &m->lost, deadline));
  return err;
}

/* Gets this one, after so many lost. */
static bool gets(shmseg_subscription *s, char letter, size_t size, uint64_t sequence,
                 uint64_t lost) {
  message m;
  return next(s, &m, 0) == 0 && step_is_message(m.bytes, m.size, letter, size) &&
         m.sequence == sequence && m.lost == lost;
}

/* One who has been there from the beginning, and has not looked since. */
static shmseg_subscription late_one(const shmseg_broadcast *b) {
  return (shmseg_subscription){ .broadcast = b, .position = b->ring, .sequence = 1 };
}

/* What a subscription gets, when sequence is the next one for it: "2:a8 3:b24", and what it is told
 * in the end. Sequence numbers are dense, and all that is missing is counted. */
static const char *tell_all(char *text, size_t available, shmseg_subscription s, uint64_t *sequence,
                            int *end) {
  message m;
  text[0] = '\0';
  while ((*end = next(&s, &m, 0)) == 0) {
    size_t length = strlen(text);
    if (m.sequence != *sequence + m.lost)
      return "a number is missing, or counted as lost";
    *sequence = m.sequence + 1;
    snprintf(text + length, available - length, "%s%llu:", length ? " " : "",
             (unsigned long long)m.sequence);
    step_tell(text, available, m.bytes, m.size);
  }
  return *end == SHMSEG_TIMEOUT || *end == SHMSEG_SHUTDOWN ? NULL : "a message cannot be read";
}

/* All subscribers get the same, wherever they begin. */
static const char *compare(const shmseg_broadcast *reader, const char *found, uint64_t after,
                           int told) {
  char again[256];
  shmseg_subscription s = late_one(reader);
  uint64_t sequence = 1;
  int end;
  const char *wrong = tell_all(again, sizeof again, s, &sequence, &end);
  if (wrong || end != told || strcmp(again, found) != 0)
    return wrong ? wrong : "who has been there from the beginning gets others";
  sequence = 1;
  if (after > 1 && shmseg_broadcast_subscribe(reader, 1, &s) != 0)
    return "no subscription from 1 on";
  wrong = after > 1 ? tell_all(again, sizeof again, s, &sequence, &end) : NULL;
  if (wrong || end != told || strcmp(again, found) != 0)
    return wrong ? wrong : "who begins with 1 gets others";
  if (shmseg_broadcast_subscribe(reader, SHMSEG_FROM_NEW, &s) != 0 || s.sequence != after)
    return "the next number is another";
  return next(&s, &(message){ .size = 0 }, 0) == told ? NULL : "a new one gets something";
}

/* What is there: "2:a8 3:b24 shut, then 4". */
static const char *tell(char *text, size_t available, const shmseg_broadcast *reader,
                        uint64_t *after, int *end) {
  shmseg_subscription oldest, newest;
  if (shmseg_broadcast_subscribe(reader, SHMSEG_FROM_OLDEST, &oldest) != 0 ||
      shmseg_broadcast_subscribe(reader, SHMSEG_FROM_NEW, &newest) != 0)
    return "no subscription";
  *after = oldest.sequence;
  const char *wrong = tell_all(text, available, oldest, after, end);
  if (wrong)
    return wrong;
  if (*after != newest.sequence)
    return "the last message is not to be had";
  wrong = compare(reader, text, *after, *end);
  size_t length = strlen(text);
  snprintf(text + length, available - length, "%s then %llu%s", length ? "," : "none,",
           (unsigned long long)*after, *end == SHMSEG_SHUTDOWN ? ", shut" : "");
  return wrong;
}

/* Who looks at once gets each; who does not learns how many are lost. */
static const char *publish_more(const shmseg_broadcast *reader, uint64_t first) {
  shmseg_subscription s, late = late_one(reader);
  char text[256];
  uint64_t sequence = 0;
  int end;
  if (shmseg_broadcast_subscribe(reader, SHMSEG_FROM_NEW, &s) != 0)
    return "no subscription";
  for (unsigned i = 0; i < 5; i++) {
    char letter = (char)('p' + i);
    size_t size = i * 10;
    if (shmseg_broadcast_publish(&broadcast, step_message(letter, size), size, &sequence) != 0)
      return "nothing can be published";
    if (sequence != first + i || !gets(&s, letter, size, sequence, 0))
      return "what was published is not to be had";
  }
  if (!gets(&late, 't', 40, sequence, sequence - 1))
    return "a late one does not learn how many are lost";
  sequence = 1;
  const char *wrong = tell_all(text, sizeof text, late_one(reader), &sequence, &end);
  return wrong || sequence != first + 5 ? "a late one loses count" : NULL;
}

static const char *stay_shut(const shmseg_broadcast *reader) {
  shmseg_subscription s;
  uint64_t sequence;
  if (shmseg_broadcast_shutdown(&broadcast) != 0)
    return "it cannot be shut";
  if (shmseg_broadcast_publish(&broadcast, "x", 1, &sequence) != SHMSEG_SHUTDOWN)
    return "published after the shutdown";
  if (shmseg_broadcast_subscribe(reader, SHMSEG_FROM_NEW, &s) != 0 ||
      next(&s, &(message){ .size = 0 }, 0) != SHMSEG_SHUTDOWN)
    return "a subscriber is not told of the shutdown";
  return shmseg_broadcast_check(&broadcast);
}

/* Subscribers read through a read-only mapping. */
static const char *use_with(const shmseg_broadcast *reader, char *text, size_t available) {
  uint64_t after = 0;
  int end;
  const char *wrong = tell(text, available, reader, &after, &end);
  if (!wrong && end != SHMSEG_SHUTDOWN)
    wrong = publish_more(reader, after);
  return wrong ? wrong : stay_shut(reader);
}

static const char *use(void) {
  static char found[256];
  shmseg_segment segment;
  shmseg_broadcast reader;
  if (step_open_reader(&segment) != 0 ||
      shmseg_broadcast_open(&reader, shmseg_segment_whole(&segment), SHMSEG_READ, NULL, NULL) != 0)
    return "no second handle";
  const char *wrong = use_with(&reader, found, sizeof found);
  shmseg_broadcast_close(&reader);
  shmseg_segment_close(&segment);
  return wrong ? wrong : found;
}

/* --- publishers ------------------------------------------------------------------------------- */

void broadcast_publish_now(char letter, size_t size) {
  uint64_t sequence;
  step_expect(shmseg_broadcast_publish(&broadcast, step_message(letter, size), size, &sequence) ==
              0);
}

static void publish_a(void) {
  broadcast_publish_now('a', 8);
}

static void publish_b(void) {
  broadcast_publish_now('b', 8);
}

static void publish_two(void) {
  publish_a(), publish_b();
}

/* The next one's bytes are at the beginning of the ring again. */
static void publish_to_end(void) {
  publish_a(), broadcast_publish_now('b', 0);
}

static void publish_small(void) {
  broadcast_publish_now('a', 0), broadcast_publish_now('b', 0), broadcast_publish_now('c', 1);
}

static void publish_c(void) {
  broadcast_publish_now('c', 8);
}

static void publish_none(void) {
  broadcast_publish_now('c', 0);
}

static void publish_16(void) {
  broadcast_publish_now('c', 16);
}

static void publish_24(void) {
  broadcast_publish_now('c', 24);
}

static void publish_as_much(void) {
  broadcast_publish_now('d', STEP_CAPACITY);
}

static void publish_too_much(void) {
  uint64_t sequence;
  step_expect(shmseg_broadcast_publish(&broadcast, step_message('x', 41), 41, &sequence) == EINVAL);
}

static void publish_shut(void) {
  uint64_t sequence;
  step_expect(shmseg_broadcast_publish(&broadcast, "x", 1, &sequence) == SHMSEG_SHUTDOWN);
}

static void shut(void) {
  step_expect(shmseg_broadcast_shutdown(&broadcast) == 0);
}

/* As a publisher is left that dies before its swap, with nothing published yet, or two. */
static void die_publishing(void) {
  step_enter_lock(LOCK);
  memset(step_segment.data + RING_AT, 0xee, RING);
  memset(step_segment.data + ENDS + 8, 0xee, 8);
}

void broadcast_die_over_a(void) {
  uint64_t *floor = (uint64_t *)(step_segment.data + FLOOR);
  step_enter_lock(LOCK);
  __atomic_store_n(floor, RING + 24, __ATOMIC_SEQ_CST);
  memset(step_segment.data + RING_AT, 0xee, 24);
  memset(step_segment.data + RING_AT + 48, 0xee, 8);
  memset(step_segment.data + ENDS + 8, 0xee, 8);
}

/* --- subscribers ------------------------------------------------------------------------------ */

static shmseg_segment read_only;
static shmseg_subscription subscription;

static void subscribe(void) {
  step_expect(shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_NEW, &subscription) == 0);
}

void broadcast_subscribe_oldest(void) {
  step_expect(shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_OLDEST, &subscription) == 0);
}

/* Nothing is missing that is not counted; how many are lost is told with the next one. */
void broadcast_catch_up(void) {
  char text[256];
  uint64_t sequence = subscription.sequence;
  int end;
  step_expect(!tell_all(text, sizeof text, subscription, &sequence, &end));
  step_expect(!strchr(text, '?'));
  subscribe();
  step_expect(sequence == subscription.sequence || text[0] == '\0');
}

void broadcast_sleep(void) {
  message m;
  int err;
  subscribe();
  STEP_UNTIL_OVER(err, shmseg_subscription_next(&subscription, m.bytes, sizeof m.bytes, &m.size,
                                                &m.sequence, &m.lost, SHMSEG_FOREVER));
  step_expect(err == SHMSEG_INTERRUPTED || err == SHMSEG_SHUTDOWN ||
              (err == 0 && step_is_message(m.bytes, m.size, m.bytes[0] == 'e' ? 'e' : 'c', 8)));
}

void broadcast_be_reader(void) {
  step_expect(step_open_reader(&read_only) == 0);
  step_expect(shmseg_broadcast_open(&broadcast, shmseg_segment_whole(&read_only), SHMSEG_READ, NULL,
                                    NULL) == 0);
}

static void be_late_reader(void) {
  broadcast_be_reader();
  subscription = late_one(&broadcast);
}

static void read_two(void) {
  broadcast_subscribe_oldest();
  step_expect(gets(&subscription, 'a', 8, 1, 0) && gets(&subscription, 'b', 8, 2, 0));
}

static void read_late(void) {
  step_expect(gets(&subscription, 'd', 40, 3, 2));
}

static void read_from(void) {
  step_expect(shmseg_broadcast_subscribe(&broadcast, 2, &subscription) == 0);
  step_expect(gets(&subscription, 'b', 8, 2, 0));
}

static void wait_in_vain(void) {
  message m;
  subscribe();
  step_expect(next(&subscription, &m, step_deadline(20)) == SHMSEG_TIMEOUT);
}

static void wait_shut(void) {
  message m;
  subscribe();
  step_expect(next(&subscription, &m, step_deadline(20)) == SHMSEG_SHUTDOWN);
}

static const step_case cases[] = {
  { .sentence = "publish",
    .actors = { LATE_ONE },
    .operate = publish_a,
    .outcomes = { "none, then 1", "1:a8, then 2" } },
  { .sentence = "publish by who has no identity yet",
    .operate = publish_a,
    .outcomes = { "none, then 1", "1:a8, then 2" },
    TAKES_IDENTITY },
  { .sentence = "publish another one",
    .actors = { AFTER(publish_a), LATE_ONE },
    .operate = publish_b,
    .outcomes = { "1:a8, then 2", "1:a8 2:b8, then 3" } },
  { .sentence = "publish the last that fits",
    .actors = { AFTER(publish_a) },
    .operate = publish_16,
    .outcomes = { "1:a8, then 2", "1:a8 2:c16, then 3" } },
  { .sentence = "publish an empty message",
    .actors = { AFTER(publish_a) },
    .operate = publish_none,
    .outcomes = { "1:a8, then 2", "1:a8 2:0, then 3" } },
  { .sentence = "publish a message as large as can be",
    .operate = publish_as_much,
    .outcomes = { "none, then 1", "1:d40, then 2" } },
  { .sentence = "publish over the oldest, a head around the end",
    .actors = { AFTER(publish_two), LATE_ONE },
    .operate = publish_c,
    .outcomes = { "1:a8 2:b8, then 3", "2:b8, then 3", "2:b8 3:c8, then 4" } },
  { .sentence = "publish an empty message over the oldest",
    .actors = { AFTER(publish_two), LATE_ONE },
    .operate = publish_none,
    .outcomes = { "1:a8 2:b8, then 3", "2:b8, then 3", "2:b8 3:0, then 4" } },
  { .sentence = "publish over several",
    .actors = { AFTER(publish_small), LATE_ONE },
    .operate = publish_16,
    .outcomes = { "1:0 2:0 3:c1, then 4", "3:c1, then 4", "3:c1 4:c16, then 5" } },
  { .sentence = "publish over all",
    .actors = { AFTER(publish_two), LATE_ONE },
    .operate = publish_as_much,
    .outcomes = { "1:a8 2:b8, then 3", "none, then 3", "3:d40, then 4" } },
  { .sentence = "publish around the end",
    .actors = { AFTER(publish_a), LATE_ONE },
    .operate = publish_24,
    .outcomes = { "1:a8, then 2", "none, then 2", "2:c24, then 3" } },
  { .sentence = "publish around the end, behind the head",
    .actors = { AFTER(publish_to_end), LATE_ONE },
    .operate = publish_24,
    .outcomes = { "1:a8 2:0, then 3", "2:0, then 3", "2:0 3:c24, then 4" } },
  { .sentence = "publish three at once",
    .operate = publish_small,
    .outcomes = { "none, then 1", "1:0, then 2", "1:0 2:0, then 3", "1:0 2:0 3:c1, then 4" } },
  { .sentence = "publish more than the capacity",
    .actors = { AFTER(publish_a) },
    .operate = publish_too_much,
    .outcomes = { "1:a8, then 2" },
    .changes_nothing = true },
  { .sentence = "publish, shut",
    .actors = { AFTER(publish_a), AFTER(shut) },
    .operate = publish_shut,
    .outcomes = { "1:a8, then 2, shut" } },
  { .sentence = "publish, a publisher died at the first message",
    .actors = { AFTER(die_publishing) },
    .operate = publish_a,
    .outcomes = { "none, then 1", "1:a8, then 2" } },
  { .sentence = "publish, a publisher died over the oldest",
    .actors = { AFTER(publish_two), AFTER(broadcast_die_over_a) },
    .operate = publish_c,
    .outcomes = { "2:b8, then 3", "2:b8 3:c8, then 4" } },
  { .sentence = "publish over all, a publisher died over the oldest",
    .actors = { AFTER(publish_two), AFTER(broadcast_die_over_a) },
    .operate = publish_as_much,
    .outcomes = { "2:b8, then 3", "none, then 3", "3:d40, then 4" } },
  { .sentence = "publish, two sleep",
    .actors = { AFTER(publish_a), SLEEPER, SLEEPER },
    .operate = publish_c,
    .outcomes = { "1:a8, then 2", "1:a8 2:c8, then 3" },
    .wakes = 2 },
  { .sentence = "publish, flagged by somebody dead",
    .actors = { AFTER(wait_in_vain) },
    .operate = publish_a,
    .outcomes = { "none, then 1", "1:a8, then 2" } },
  { .sentence = "shut",
    .actors = { AFTER(publish_two), LATE_ONE },
    .operate = shut,
    .outcomes = { "1:a8 2:b8, then 3", "1:a8 2:b8, then 3, shut" } },
  { .sentence = "shut, already shut",
    .actors = { AFTER(shut) },
    .operate = shut,
    .outcomes = { "none, then 1, shut" },
    .changes_nothing = true },
  { .sentence = "shut, a publisher died",
    .actors = { AFTER(publish_two), AFTER(broadcast_die_over_a) },
    .operate = shut,
    .outcomes = { "2:b8, then 3", "2:b8, then 3, shut" } },
  { .sentence = "shut, two sleep",
    .actors = { SLEEPER, SLEEPER },
    .operate = shut,
    .outcomes = { "none, then 1", "none, then 1, shut" },
    .wakes = 2 },
  { .sentence = "next, a reader",
    .actors = { AFTER(publish_two) },
    .prepare = broadcast_be_reader,
    .operate = read_two,
    .outcomes = { "1:a8 2:b8, then 3" },
    .changes_nothing = true },
  { .sentence = "next, a reader that is late",
    .actors = { AFTER(publish_two), AFTER(publish_as_much) },
    .prepare = be_late_reader,
    .operate = read_late,
    .outcomes = { "3:d40, then 4" },
    .changes_nothing = true },
  { .sentence = "next from a number on, a publisher died",
    .actors = { AFTER(publish_two), AFTER(broadcast_die_over_a) },
    .operate = read_from,
    .outcomes = { "2:b8, then 3" },
    .changes_nothing = true },
  { .sentence = "next in vain",
    .actors = { AFTER(publish_a) },
    .operate = wait_in_vain,
    .outcomes = { "1:a8, then 2" } },
  { .sentence = "next in vain, a reader",
    .actors = { AFTER(publish_a) },
    .prepare = broadcast_be_reader,
    .operate = wait_in_vain,
    .outcomes = { "1:a8, then 2" },
    .changes_nothing = true },
  { .sentence = "next, shut",
    .actors = { AFTER(shut) },
    .operate = wait_shut,
    .outcomes = { "none, then 1, shut" },
    .changes_nothing = true },
  { 0 },
};

static const step_structure step_broadcast = {
  .kind = &shmseg_broadcast_kind,
  .handle = &broadcast.object,
  .options = &(const shmseg_object_options){ .capacity = STEP_CAPACITY },
  .as_new = "none, then 1",
  .use = use,
  .keeps_nothing = true,
  .sleepers_write_nothing = true,
  .cases = cases,
};

STEP_PLAY(step_broadcast);

static const step_structure step_broadcast_many = {
  .kind = &shmseg_broadcast_kind,
  .handle = &broadcast.object,
  .options = &(const shmseg_object_options){ .capacity = STEP_CAPACITY },
  .noun = "broadcast, several",
  .name = "broadcast.many",
  .use = use,
  .keeps_nothing = true,
  .sleepers_write_nothing = true,
  .cases = broadcast_many_cases,
};

STEP_PLAY(step_broadcast_many);
