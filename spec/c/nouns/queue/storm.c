/* SPDX-License-Identifier: MIT */
/* The queue in the storm: an account of every message. Each is taken once, whole, and in the order of
 * its producer; those that are not are what killed consumers had in their hands. What a killed
 * producer was pushing is there from the first message on, up to some message; and when there was
 * room for all of them, all are there, or none.
 *
 * The hands are memory that outlives the worker: what a take had copied there when its process was
 * killed may be lost, and nothing else.
 *
 * STORM_MESSAGES=…: the storm goes on until so many have been pushed, by the workers of even numbers,
 * and the others take them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/word.h"
#include "storm/storm.h"

#define CAPACITY 600
#define LARGEST 120 /* bytes of a message */
#define AT_ONCE 6   /* messages that are pushed or taken */
#define RECORDS (AT_ONCE * SHMSEG_RECORD((size_t)LARGEST))
#define HANDS (RECORDS > CAPACITY + 8 ? RECORDS : CAPACITY + 8) /* bytes */
#define ALONE 20 /* pushes in a row with nobody else's between them */
#define NUMBERS (1u << 21)

/* What is known of a message. DOUBTFUL: a killed producer was pushing it, and FIRST, together with
 * those behind it; WHOLE: all of these, or none. */
enum { PUSHED = 1, DOUBTFUL = 2, TAKEN = 4, IN_HANDS = 8, FIRST = 16, WHOLE = 32 };

typedef struct {
  uint64_t number;                  /* of the last message that was pushed */
  uint64_t pushing;                 /* 0, or the last number of those that are being pushed */
  uint64_t alone;                   /* 0, or which push of all it is: then there is room for all */
  uint64_t taking;                  /* 0 or 1 */
  uint64_t last[STORM_WORKERS_MAX]; /* numbers that were taken, of each producer */
  uint64_t hands[HANDS / 8];
} account;

static struct {
  account workers[STORM_WORKERS_MAX];
  uint64_t begun; /* pushes, of all */
  uint64_t alone; /* 0, or 1 + the worker who alone may begin to push */
  uint64_t takers_killed, went_on;
  unsigned char known[STORM_WORKERS_MAX][NUMBERS];
} * books;

static shmseg_queue queue;
static uint64_t wanted; /* messages; 0: as many as come */

static void prepare(void) {
  const char *text = getenv("STORM_MESSAGES");
  wanted = text && *text ? strtoull(text, NULL, 0) : 0;
  books = storm_memory(sizeof *books);
}

static account *mine(void) {
  return &books->workers[storm_me];
}

static void write_word(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static uint64_t read_word(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static bool is_done(void) {
  uint64_t pushed = 0;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    pushed += read_word(&books->workers[w].number);
  return pushed >= wanted;
}

/* What was known before. */
static unsigned learn(unsigned worker, uint64_t number, unsigned what) {
  return __atomic_fetch_or(&books->known[worker][number], (unsigned char)what, __ATOMIC_SEQ_CST);
}

/* --- pushing ------------------------------------------------------------------------------------ */

/* Is there room for that many bytes, as long as nobody else begins to push? */
static bool is_room(uint64_t bytes) {
  uint64_t there;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    if (w != storm_me && read_word(&books->workers[w].pushing))
      return false;
  return shmseg_queue_bytes(&queue, &there) == 0 && bytes <= queue.ring - there;
}

/* Notes that the next numbers are being pushed. */
static void begin_push(size_t count, uint64_t bytes) {
  write_word(&mine()->alone, 0);
  write_word(&mine()->pushing, mine()->number + count);
  uint64_t begun = __atomic_add_fetch(&books->begun, 1, __ATOMIC_SEQ_CST);
  if (count > 1 && is_room(bytes))
    write_word(&mine()->alone, begun);
}

/* What ends in vain leaves its number to the next one. */
static void note_pushed(size_t pushed) {
  storm_nap();
  for (size_t i = 1; i <= pushed; i++)
    learn(storm_me, mine()->number + i, PUSHED);
  write_word(&mine()->number, mine()->number + pushed);
}

static int push_all(const shmseg_source *sources, size_t count, int64_t deadline) {
  size_t done = 0, pushed = 0;
  int err;
  do {
    if (count == 1 && storm_draw(2)) {
      err = shmseg_queue_push(&queue, sources->bytes, sources->size, deadline);
      pushed = err == 0;
    } else {
      err = shmseg_queue_push_many(&queue, sources + done, count - done, &pushed, deadline);
    }
    note_pushed(pushed);
    done += pushed;
  } while (err == SHMSEG_INTERRUPTED);
  storm_expect(err || done == count);
  return err;
}

static int push(size_t count, int64_t deadline) {
  storm_message messages[AT_ONCE];
  shmseg_source sources[AT_ONCE];
  uint64_t bytes = 0;
  if (mine()->number + count >= NUMBERS)
    return 0;
  for (size_t i = 0; i < count; i++) {
    storm_compose(&messages[i], mine()->number + 1 + i, LARGEST);
    sources[i] = (shmseg_source){ &messages[i], messages[i].size, NULL };
    bytes += SHMSEG_RECORD(messages[i].size);
  }
  storm_begin("queue: push", deadline);
  begin_push(count, bytes);
  int err = push_all(sources, count, deadline);
  write_word(&mine()->pushing, 0);
  storm_end(err, false);
  return err;
}

/* --- taking ------------------------------------------------------------------------------------- */

/* The message of a record in somebody's hands that is whole, or false. */
static bool record_at(const account *its, size_t at, storm_message *message) {
  uint64_t size = at < HANDS ? its->hands[at / 8] : 0;
  if (size < STORM_MESSAGE_MIN || size > LARGEST || at + SHMSEG_RECORD(size) > HANDS)
    return false;
  memcpy(message, &its->hands[at / 8 + 1], (size_t)size);
  return storm_is_whole(message, (size_t)size);
}

static void accept(const storm_message *message) {
  uint64_t *last = &mine()->last[message->worker];
  uint64_t begun = read_word(&books->workers[message->worker].number) + AT_ONCE;
  storm_expect(message->number > *last && message->number <= begun);
  storm_expect(message->number < NUMBERS &&
               !(learn(message->worker, message->number, TAKEN) & TAKEN));
  *last = message->number;
}

/* Copies the message that was added last, most of the time with a pause in the middle. */
static int copy(const shmseg_queue_batch *batch, unsigned char *to) {
  if (!batch->bytes || storm_draw(4) == 0)
    return shmseg_queue_copy(&queue, batch, to);
  size_t half = batch->size / 2;
  copy_from_shared(to, batch->bytes, half);
  storm_nap();
  copy_from_shared(to + half, batch->bytes + half, batch->size - half);
  return 0;
}

/* Copies a batch of at most so many into this worker's hands. */
static int gather(shmseg_queue_batch *batch, uint64_t many, size_t *used, int64_t deadline) {
  unsigned char *hand = (unsigned char *)mine()->hands;
  int err;
  do
    err = shmseg_queue_look(&queue, batch, many, deadline);
  while (err == SHMSEG_INTERRUPTED);
  for (*used = 0; !err && (err = shmseg_queue_next(&queue, batch)) == 0;) {
    uint64_t size = batch->size;
    if (SHMSEG_RECORD(size) > HANDS - *used) /* no message of ours */
      return shmseg_queue_confirm(&queue, batch) ? SHMSEG_CHANGED : SHMSEG_CORRUPT;
    memcpy(hand + *used, &size, 8);
    err = copy(batch, hand + *used + 8);
    *used += SHMSEG_RECORD((size_t)size);
  }
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Claims what is in the hands, or what others have left of it: from *begin on. */
static int claim(shmseg_queue_batch *batch, size_t *begin, size_t used) {
  uint64_t first = batch->head;
  int err;
  while ((err = shmseg_queue_claim(&queue, batch)) == SHMSEG_CHANGED) {
    while (*begin < used && first + *begin < batch->head)
      *begin += SHMSEG_RECORD((size_t)mine()->hands[*begin / 8]);
    if (*begin >= used || first + *begin != batch->head)
      return err;
  }
  __atomic_add_fetch(&books->went_on, !err && *begin > 0, __ATOMIC_RELAXED);
  return err;
}

/* Some messages into this worker's hands, from *begin to *used. */
static int grab(uint64_t many, size_t *begin, size_t *used, int64_t deadline) {
  shmseg_queue_batch batch;
  int err;
  *begin = 0;
  if (storm_draw(2)) {
    err = gather(&batch, many, used, deadline);
    return err ? err : claim(&batch, begin, *used);
  }
  do
    err = shmseg_queue_take(&queue, mine()->hands, HANDS, many, used, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

static int take(uint64_t many, int64_t deadline) {
  storm_message message;
  size_t used, at;
  memset(mine()->hands, 0, HANDS);
  write_word(&mine()->taking, 1);
  storm_begin("queue: take", deadline);
  int err = grab(many, &at, &used, deadline);
  if (err == 0)
    storm_nap();
  while (err == 0 && at < used) {
    bool whole = record_at(mine(), at, &message);
    storm_expect(whole && many-- > 0);
    if (!whole)
      break;
    accept(&message);
    at += SHMSEG_RECORD((size_t)message.size);
  }
  write_word(&mine()->taking, 0);
  storm_end(err == SHMSEG_CHANGED ? 0 : err, false);
  return err;
}

/* --- the storm ---------------------------------------------------------------------------------- */

static void look(void) {
  shmseg_queue_stats stats;
  storm_begin("queue: count", 0);
  int err = shmseg_queue_count(&queue, &stats);
  storm_end(err == EAGAIN ? 0 : err, false);
  if (err == 0)
    storm_expect(stats.messages * SHMSEG_RECORD(STORM_MESSAGE_MIN) <= stats.bytes &&
                 stats.bytes <= queue.ring && !stats.shut);
}

static bool is_alone(void) {
  return read_word(&books->alone) == storm_me + 1;
}

/* May this worker push? Now and then one has the queue to itself, for some pushes in a row. */
static bool may_push(void) {
  static int left;
  uint64_t nobody = 0;
  if (is_alone() && left-- == 0)
    write_word(&books->alone, 0);
  if (storm_draw(64) == 0 && __atomic_compare_exchange_n(&books->alone, &nobody, storm_me + 1,
                                                         false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    left = ALONE;
  return is_alone() || read_word(&books->alone) == 0;
}

static void operate(void) {
  bool pushes = wanted ? storm_me % 2 == 0 : is_alone() || storm_draw(2);
  size_t count = (size_t)(1 + storm_draw(AT_ONCE));
  if (storm_draw(16) == 0)
    look();
  else if (pushes && may_push())
    push(is_alone() || storm_draw(2) ? count : 1, storm_short_deadline());
  else if (!pushes || !wanted)
    take(count, storm_short_deadline());
  else
    storm_nap();
}

/* Nobody else has begun to push since there was room for all: they are pushed by one store. */
static void bury_pushes(unsigned worker, account *its) {
  unsigned first = FIRST;
  if (its->alone && its->alone == read_word(&books->begun))
    first |= WHOLE;
  for (uint64_t n = its->number + 1; n <= its->pushing; n++, first = 0)
    learn(worker, n, DOUBTFUL | first);
  if (its->pushing > its->number)
    its->number = its->pushing;
}

/* A take may have died while it moved what is left of its records to the beginning. */
static void bury_hands(const account *its) {
  storm_message message;
  for (size_t at = 0; at < HANDS; at += 8)
    if (record_at(its, at, &message))
      learn(message.worker, message.number % NUMBERS, IN_HANDS);
}

static void bury(unsigned worker) {
  account *its = &books->workers[worker];
  bury_pushes(worker, its);
  if (its->taking)
    bury_hands(its);
  if (books->alone == worker + 1)
    write_word(&books->alone, 0);
  books->takers_killed += its->taking;
  its->pushing = its->taking = 0;
}

/* --- the account -------------------------------------------------------------------------------- */

static struct {
  uint64_t pushed, lost, doubtful, whole; /* messages; and pushes that were cut off and are whole */
} sums;

/* The messages of a push that was cut off, from n on. *gone: one of them is not there though
 * one that was pushed later is, or had to be there with others that are. */
static void judge_push(const unsigned char *known, uint64_t n, uint64_t end, bool *gone) {
  uint64_t count = 1, taken = 0, missing = 0;
  while (n + count < end && (known[n + count] & (DOUBTFUL | FIRST)) == DOUBTFUL)
    count++;
  for (uint64_t i = 0; i < count; i++) {
    taken = known[n + i] & TAKEN ? i + 1 : taken;
    if (!(known[n + i] & (TAKEN | IN_HANDS)) && missing == 0)
      missing = i + 1;
  }
  *gone = missing && (taken > missing || (taken > 0 && known[n] & WHOLE));
  sums.whole += (known[n] & WHOLE) != 0;
  sums.doubtful += count;
}

static const char *judge(unsigned worker) {
  const unsigned char *known = books->known[worker];
  uint64_t end = books->workers[worker].number + 1;
  bool gone = false;
  for (uint64_t n = 1; n < end; n++) {
    sums.pushed += known[n] & PUSHED;
    if (known[n] & TAKEN && !(known[n] & (PUSHED | DOUBTFUL)))
      return "a message was taken that was not pushed";
    if (known[n] & PUSHED && !(known[n] & (TAKEN | IN_HANDS)))
      return "a message is lost that nobody had in his hands";
    sums.lost += (known[n] & (PUSHED | TAKEN)) == PUSHED;
    if (known[n] & FIRST)
      judge_push(known, n, end, &gone);
    if (gone)
      return "a part of what a killed producer pushed is missing";
  }
  return NULL;
}

static const char *balance(void) {
  const char *wrong = NULL;
  for (unsigned w = 0; !wrong && w < STORM_WORKERS_MAX; w++)
    wrong = judge(w);
  printf("# queue: %llu messages, %llu lost in the hands of %llu killed consumers\n",
         (unsigned long long)sums.pushed, (unsigned long long)sums.lost,
         (unsigned long long)books->takers_killed);
  printf("# queue: %llu messages of pushes that were cut off, %llu of them all or nothing; %llu "
         "batches of which others had taken a part\n",
         (unsigned long long)sums.doubtful, (unsigned long long)sums.whole,
         (unsigned long long)books->went_on);
  if (wrong)
    return wrong;
  return sums.lost <= AT_ONCE * books->takers_killed ? NULL : "more is lost than killed";
}

static const char *finish(void) {
  const char *wrong = shmseg_queue_check(&queue);
  if (wrong)
    return wrong;
  while (take(AT_ONCE, 0) == 0)
    continue;
  wrong = balance();
  if (wrong)
    return wrong;
  if (push(1, 0) != 0 || take(2, 0) != 0 || take(1, 0) != SHMSEG_TIMEOUT || push(3, 0) != 0)
    return "it cannot be used";
  if (shmseg_queue_shutdown(&queue) != 0 || shmseg_queue_push(&queue, "", 0, 0) != SHMSEG_SHUTDOWN)
    return "it cannot be shut";
  size_t used;
  return take(3, 0) == 0 &&
                 shmseg_queue_take(&queue, mine()->hands, HANDS, 1, &used, 0) == SHMSEG_SHUTDOWN
             ? NULL
             : "it is not drained";
}

static const storm_noun storm_queue = {
  .kind = &shmseg_queue_kind,
  .handle = &queue.object,
  .options = &(const shmseg_object_options){ .capacity = CAPACITY },
  .operate = operate,
  .finish = finish,
  .prepare = prepare,
  .is_done = is_done,
  .bury = bury,
};

STORM_PLAY(storm_queue);
