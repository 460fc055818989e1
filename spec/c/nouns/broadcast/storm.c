/* SPDX-License-Identifier: MIT */
/* The broadcast in the storm: sequence numbers are dense, each is one message, whole, and who misses
 * some is told how many; no publication is lost or doubled. */
#include "storm/storm.h"

#define CAPACITY 240

typedef struct {
  uint64_t number, published, publishing, doubts; /* doubts: what a death may have cut off */
  uint64_t next;                                  /* sequence number */
  uint64_t last[STORM_WORKERS_MAX]; /* numbers that were received, of each publisher */
} account;

static struct {
  account workers[STORM_WORKERS_MAX];
  uint64_t sums[STORM_SUMS];
} * books;

static shmseg_broadcast broadcast;
static shmseg_subscription subscription;

static void prepare(void) {
  books = storm_memory(sizeof *books);
}

static account *mine(void) {
  return &books->workers[storm_me];
}

static void write_word(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* From where this worker, or the one that it is the successor of, has got to. */
static int subscribe(void) {
  int err;
  if (mine()->next == 0)
    mine()->next = 1;
  do
    err = shmseg_broadcast_subscribe(&broadcast, mine()->next, &subscription);
  while (err == SHMSEG_TIMEOUT);
  return err;
}

static uint64_t publish(void) {
  storm_message message;
  uint64_t sequence = 0;
  storm_compose(&message, ++mine()->number, CAPACITY);
  storm_begin("broadcast: publish", 0);
  write_word(&mine()->publishing, 1);
  int err = shmseg_broadcast_publish(&broadcast, &message, message.size, &sequence);
  if (!err) {
    write_word(&mine()->published, mine()->published + 1);
    storm_note_sum(books->sums, sequence, &message);
  }
  write_word(&mine()->publishing, 0);
  storm_end(err, true);
  storm_expect(sequence >= mine()->next);
  return sequence;
}

/* Two at once, whose numbers follow each other. */
static void publish_two(void) {
  storm_message messages[2];
  shmseg_source sources[2];
  uint64_t sequence = 0;
  size_t published;
  int64_t limit = 0;
  int err;
  for (int i = 0; i < 2; i++) {
    storm_compose(&messages[i], ++mine()->number, CAPACITY / 2 - 16);
    sources[i] = (shmseg_source){ &messages[i], messages[i].size, NULL };
  }
  storm_begin("broadcast: publish_many", 0);
  write_word(&mine()->publishing, 2);
  do
    err = shmseg_broadcast_publish_many(&broadcast, sources, 2, &published, &limit, &sequence);
  while (err == SHMSEG_INTERRUPTED);
  if (!err) {
    write_word(&mine()->published, mine()->published + 2);
    storm_note_sum(books->sums, sequence - 1, &messages[0]);
    storm_note_sum(books->sums, sequence, &messages[1]);
  }
  write_word(&mine()->publishing, 0);
  storm_end(err, true);
  storm_expect(err || (published == 2 && sequence > mine()->next));
}

static int next(int64_t deadline) {
  storm_message message;
  size_t size;
  uint64_t sequence, lost;
  int err;
  storm_begin("broadcast: next", deadline);
  do
    err = shmseg_subscription_next(&subscription, &message, sizeof message, &size, &sequence, &lost,
                                   deadline);
  while (err == SHMSEG_INTERRUPTED);
  storm_end(err, false);
  if (err)
    return err;
  storm_expect(sequence == mine()->next + lost && storm_is_whole(&message, size));
  storm_compare_sum(books->sums, sequence, &message);
  mine()->next = sequence + 1;
  if (message.worker < STORM_WORKERS_MAX) {
    storm_expect(message.number > mine()->last[message.worker]);
    mine()->last[message.worker] = message.number;
  }
  return 0;
}

static void operate(void) {
  uint64_t drawn = storm_draw(8);
  if (drawn == 0)
    storm_expect(subscribe() == 0);
  else if (drawn < 3)
    for (uint64_t i = storm_draw(12); i > 0; i--) /* several, to overtake subscribers */
      if (storm_draw(2) == 0)
        publish_two();
      else
        publish();
  else
    next(storm_short_deadline());
}

static void bury(unsigned worker) {
  account *its = &books->workers[worker];
  its->doubts += its->publishing;
  its->publishing = 0;
}

/* All that is there, to the end. */
static bool drain(uint64_t end) {
  while (next(0) == 0)
    continue;
  return mine()->next == end;
}

static const char *finish(void) {
  uint64_t published = 0, doubts = 0, end;
  const char *wrong = shmseg_broadcast_check(&broadcast);
  if (wrong)
    return wrong;
  for (unsigned w = 0; w < STORM_WORKERS_MAX; w++) {
    published += books->workers[w].published;
    doubts += books->workers[w].doubts;
  }
  if (shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_NEW, &subscription) != 0)
    return "no subscription";
  end = subscription.sequence;
  if (end - 1 < published || end - 1 > published + doubts)
    return "messages are lost, or doubled";
  if (subscribe() != 0 || !drain(end))
    return "what is there is not to be had";
  if (publish() != end || !drain(end + 1) || shmseg_broadcast_shutdown(&broadcast) != 0)
    return "it cannot be used";
  uint64_t sequence;
  return shmseg_broadcast_publish(&broadcast, "", 0, &sequence) == SHMSEG_SHUTDOWN
             ? NULL
             : "it is not shut";
}

static const storm_noun storm_broadcast = {
  .kind = &shmseg_broadcast_kind,
  .handle = &broadcast.object,
  .options = &(const shmseg_object_options){ .capacity = CAPACITY },
  .opened = subscribe,
  .operate = operate,
  .finish = finish,
  .prepare = prepare,
  .bury = bury,
};

STORM_PLAY(storm_broadcast);
