/* SPDX-License-Identifier: MIT */
/* The queue in the storm: an account of every message. Each is taken once, whole, and in the order of
 * its producer; those that are not are what killed consumers had in their hands.
 *
 * The hands are memory that outlives the worker: what a take had copied there when its process was
 * killed may be lost, and nothing else. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/word.h"
#include "storm/storm.h"

#define CAPACITY 120
#define AT_ONCE 3                                         /* messages that are taken */
#define HANDS (AT_ONCE * SHMSEG_RECORD((size_t)CAPACITY)) /* bytes */
#define NUMBERS (1u << 20)

/* What is known of a message. */
enum { PUSHED = 1, DOUBTFUL = 2, TAKEN = 4, IN_HANDS = 8 };

typedef struct {
  uint64_t number;                  /* of the last message that was pushed */
  uint64_t pushing, taking;         /* 0, or the number; 0 or 1 */
  uint64_t last[STORM_WORKERS_MAX]; /* numbers that were taken, of each producer */
  uint64_t hands[HANDS / 8];
} account;

static struct {
  account workers[STORM_WORKERS_MAX];
  uint64_t takers_killed;
  unsigned char known[STORM_WORKERS_MAX][NUMBERS];
} * books;

static shmseg_queue queue;

static void prepare(void) {
  books = storm_memory(sizeof *books);
}

static account *mine(void) {
  return &books->workers[storm_me];
}

static void write_word(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* What was known before. */
static unsigned learn(unsigned worker, uint64_t number, unsigned what) {
  return __atomic_fetch_or(&books->known[worker][number], (unsigned char)what, __ATOMIC_SEQ_CST);
}

/* A push that ends in vain leaves its number to the next one. */
static int push(int64_t deadline) {
  storm_message message;
  uint64_t number = mine()->number + 1;
  int err;
  if (number >= NUMBERS)
    return 0;
  storm_compose(&message, number, CAPACITY);
  write_word(&mine()->pushing, number);
  storm_begin("queue: push", deadline);
  do
    err = shmseg_queue_push(&queue, &message, message.size, deadline);
  while (err == SHMSEG_INTERRUPTED);
  if (err == 0) {
    storm_nap();
    learn(storm_me, number, PUSHED);
    write_word(&mine()->number, number);
  }
  write_word(&mine()->pushing, 0);
  storm_end(err, false);
  return err;
}

/* The message of a record in somebody's hands that is whole, or false. */
static bool record_at(const account *its, size_t at, storm_message *message) {
  uint64_t size = at < HANDS ? its->hands[at / 8] : 0;
  if (size < STORM_MESSAGE_MIN || size > CAPACITY || at + SHMSEG_RECORD(size) > HANDS)
    return false;
  memcpy(message, &its->hands[at / 8 + 1], (size_t)size);
  return storm_is_whole(message, (size_t)size);
}

static void accept(const storm_message *message) {
  uint64_t *last = &mine()->last[message->worker];
  uint64_t begun = __atomic_load_n(&books->workers[message->worker].number, __ATOMIC_SEQ_CST) + 1;
  storm_expect(message->number > *last && message->number <= begun);
  storm_expect(message->number < NUMBERS &&
               !(learn(message->worker, message->number, TAKEN) & TAKEN));
  *last = message->number;
}

/* Copies a message with a pause in the middle, and then claims it. */
static int claim(size_t *used) {
  const unsigned char *bytes;
  unsigned char *hand = (unsigned char *)(mine()->hands + 1);
  size_t size;
  uint64_t position;
  int err = shmseg_queue_peek(&queue, &bytes, &size, &position);
  if (err)
    return err;
  if (size > CAPACITY)
    return SHMSEG_CORRUPT;
  mine()->hands[0] = size;
  copy_from_shared(hand, bytes, size / 2);
  storm_nap();
  copy_from_shared(hand + size / 2, bytes + size / 2, size - size / 2);
  *used = SHMSEG_RECORD(size);
  return shmseg_queue_claim(&queue, position, size);
}

/* Some messages into this worker's hands. */
static int grab(uint64_t many, size_t *used, int64_t deadline) {
  int err = many == 1 ? claim(used) : SHMSEG_CHANGED;
  if (err != SHMSEG_CHANGED)
    return err;
  memset(mine()->hands, 0, HANDS);
  do
    err = shmseg_queue_take(&queue, mine()->hands, HANDS, many, used, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

static int take(int64_t deadline) {
  storm_message message;
  size_t used, at = 0;
  uint64_t many = 1 + storm_draw(AT_ONCE);
  memset(mine()->hands, 0, HANDS);
  write_word(&mine()->taking, 1);
  storm_begin("queue: take", deadline);
  int err = grab(many, &used, deadline);
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
  storm_end(err, false);
  return err;
}

static void look(void) {
  shmseg_queue_stats stats;
  storm_begin("queue: count", 0);
  int err = shmseg_queue_count(&queue, &stats);
  storm_end(err == EAGAIN ? 0 : err, false);
  if (err == 0)
    storm_expect(stats.messages * SHMSEG_RECORD(STORM_MESSAGE_MIN) <= stats.bytes &&
                 stats.bytes <= queue.ring && !stats.shut);
}

static void operate(void) {
  uint64_t drawn = storm_draw(16);
  if (drawn == 0)
    look();
  else if (drawn < 8)
    take(storm_short_deadline());
  else
    push(storm_short_deadline());
}

static void bury(unsigned worker) {
  account *its = &books->workers[worker];
  storm_message message;
  if (its->pushing > its->number) {
    learn(worker, its->pushing, DOUBTFUL);
    its->number = its->pushing;
  }
  for (size_t at = 0; its->taking && record_at(its, at, &message);) {
    learn(message.worker, message.number % NUMBERS, IN_HANDS);
    at += SHMSEG_RECORD((size_t)message.size);
  }
  books->takers_killed += its->taking;
  its->pushing = its->taking = 0;
}

static const char *balance(void) {
  uint64_t pushed = 0, lost = 0;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++)
    for (uint64_t n = 1; n <= books->workers[w].number; n++) {
      unsigned known = books->known[w][n];
      pushed += known & PUSHED;
      if (known & TAKEN && !(known & (PUSHED | DOUBTFUL)))
        return "a message was taken that was not pushed";
      if (known & PUSHED && !(known & (TAKEN | IN_HANDS)))
        return "a message is lost that nobody had in his hands";
      lost += (known & (PUSHED | TAKEN)) == PUSHED;
    }
  printf("# queue: %llu messages, %llu lost in the hands of %llu killed consumers\n",
         (unsigned long long)pushed, (unsigned long long)lost,
         (unsigned long long)books->takers_killed);
  return lost <= AT_ONCE * books->takers_killed ? NULL : "more is lost than killed";
}

static const char *finish(void) {
  const char *wrong = shmseg_queue_check(&queue);
  if (wrong)
    return wrong;
  while (take(0) == 0)
    continue;
  wrong = balance();
  if (wrong)
    return wrong;
  if (push(0) != 0 || take(0) != 0 || take(0) != SHMSEG_TIMEOUT || push(0) != 0)
    return "it cannot be used";
  if (shmseg_queue_shutdown(&queue) != 0 || shmseg_queue_push(&queue, "", 0, 0) != SHMSEG_SHUTDOWN)
    return "it cannot be shut";
  size_t used;
  return take(0) == 0 &&
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
  .bury = bury,
};

STORM_PLAY(storm_queue);
