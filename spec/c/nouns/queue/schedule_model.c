/* SPDX-License-Identifier: MIT */
/* The model of the queue: it sees each store as it happens. So it knows which messages a swap of the
 * tail word has published, and which ones a swap of head has taken, also by those who die. */
#include <string.h>

#include "nouns/queue/schedule.h"

queue_turn queue_turns[PROCESSES];
bool queue_shutting;

static struct {
  uint64_t length;     /* of the ring */
  uint64_t head, word; /* that were stored last */
  bool over;           /* somebody was told so */
} model;

uint64_t queue_head(void) {
  return block_word(HEAD);
}

uint64_t queue_tail(void) {
  return block_word(TAIL) >> 1;
}

bool queue_is_shut(void) {
  return block_word(TAIL) & 1;
}

static uint64_t available(void) {
  return model.length - (queue_tail() - queue_head());
}

/* The message whose record is at the position, whole; its size. 0 after strangers, and for none. */
static int message_at(uint64_t position, uint64_t *size) {
  unsigned char bytes[LEDGER_ROOM];
  *size = block_word(RING + position % model.length);
  expect(*size <= LEDGER_ROOM, "a record of %llu bytes", (unsigned long long)*size);
  if (*size > LEDGER_ROOM)
    return 0;
  for (uint64_t i = 0; i < *size; i++)
    bytes[i] = block[RING + (position + 8 + i) % model.length];
  return ledger_seen(0, bytes, (size_t)*size, 0);
}

/* --- what is seen ------------------------------------------------------------------------- */

static uint64_t need_of(const queue_turn *it, int n) {
  return n < it->sending ? SHMSEG_RECORD((uint64_t)ledger[it->sent[n]].size) : 0;
}

/* Bytes of the first record; 0 when there is none. */
static uint64_t first_need(void) {
  return queue_head() == queue_tail()
             ? 0
             : SHMSEG_RECORD(block_word(RING + queue_head() % model.length));
}

static void look_around(void) {
  int owner = block_owner(PRODUCERS);
  for (int p = 0; p < PROCESSES; p++) {
    queue_turn *it = &queue_turns[p];
    it->was_empty |= queue_head() == queue_tail();
    it->firsts |= first_need() < 256 ? 1u << first_need() / 8 : 0;
    it->was_full |= available() < need_of(it, it->published);
    it->was_locked |= owner != NOBODY && owner != p;
  }
}

/* p has the lock: how many of its messages fit? */
static void locked(queue_turn *it) {
  uint64_t need = 0;
  it->fitted = 0;
  for (int n = it->published; n < it->sending; n++, it->fitted++)
    if ((need += need_of(it, n)) > available())
      break;
}

static void published(int p, uint64_t from) {
  queue_turn *it = &queue_turns[p];
  uint64_t size, to = queue_tail();
  int before = it->published;
  expect(!(model.word & 1) && !model.over, "published, and it was shut");
  expect(it->what == 'p' && to - queue_head() <= model.length, "the tail moves to %llu",
         (unsigned long long)to);
  for (; from < to; from += SHMSEG_RECORD(size)) {
    int entry = message_at(from, &size);
    expect(it->published < it->sending && entry == it->sent[it->published], "%d is published",
           entry);
    it->published++;
    ledger_done(entry, from);
  }
  expect(from == to && (w.stale || it->published - before >= it->fitted),
         "%d are published of %d that fit", it->published - before, it->fitted);
}

static void taken(int p, uint64_t from) {
  queue_turn *it = &queue_turns[p];
  uint64_t size, to = queue_head();
  expect(it->what == 'g' && it->taking == 0 && to <= queue_tail(), "head moves to %llu",
         (unsigned long long)to);
  for (; from < to; from += SHMSEG_RECORD(size)) {
    int entry = message_at(from, &size);
    expect(ledger[entry].taker == NOBODY && (uint64_t)it->taking < it->max, "%d is taken", entry);
    ledger[entry].taker = p;
    it->taken[it->taking++] = entry;
  }
  expect(from == to, "head moves into a record");
}

static void moved(int p, size_t offset) {
  uint64_t tail = model.word >> 1;
  if (offset == PRODUCERS && block_owner(PRODUCERS) == p)
    locked(&queue_turns[p]);
  if (offset == TAIL && queue_tail() != tail)
    published(p, tail);
  else if (offset == TAIL)
    expect(queue_shutting && queue_is_shut(), "it is shut, or open again");
  if (offset == HEAD)
    taken(p, model.head);
}

void queue_model_stored(const void *word) {
  size_t offset = (size_t)((const unsigned char *)word - block);
  int p = w.current;
  if (queue_turns[p].what) /* else it is being built */
    moved(p, offset);
  model.word = block_word(TAIL);
  model.head = queue_head();
  look_around();
}

void queue_model_begin(uint64_t capacity) {
  uint64_t size;
  memset(queue_turns, 0, sizeof queue_turns);
  memset(&model, 0, sizeof model);
  model.length = (capacity + 7) / 8 * 8 + 8;
  model.head = queue_head();
  model.word = block_word(TAIL);
  queue_shutting = queue_is_shut();
  for (uint64_t at = model.head; at < model.word >> 1; at += SHMSEG_RECORD(size))
    ledger_done(message_at(at, &size), at);
}

/* --- what is told ------------------------------------------------------------------------- */

queue_turn *queue_begin(int p, char what, uint64_t max) {
  queue_turns[p] =
      (queue_turn){ .what = what, .since = fake.now, .head = queue_head(), .max = max };
  look_around();
  return &queue_turns[p];
}

void queue_sends(int p, int entry) {
  queue_turn *it = &queue_turns[p];
  it->sent[it->sending++] = entry;
  look_around();
}

void queue_end(int p, int err) {
  queue_turn *it = &queue_turns[p];
  look_around();
  w.processes[p].last = err;
  it->what = 0;
  expect(it->taking == 0 || err == 0, "%d messages are taken with %d", it->taking, err);
  for (int n = it->published; n < it->sending; n++)
    ledger_refused(it->sent[n]);
}

void queue_given(int p, int n, const unsigned char *bytes, size_t size) {
  int entry = ledger_seen(0, bytes, size, 0);
  expect(n < queue_turns[p].taking && entry == queue_turns[p].taken[n],
         "%d is given, which was not taken", entry);
}

void queue_over(int p) {
  expect(queue_is_shut() && queue_head() == queue_tail(), "%d is told that it is over", p);
  model.over = true;
}

/* A consumer holds up nobody, and a producer only producers. */
bool queue_in_vain(int p) {
  const queue_turn *it = &queue_turns[p];
  int owner = block_owner(PRODUCERS);
  if (it->what == 'g')
    return queue_head() != queue_tail() || queue_is_shut();
  if (it->what != 'p' || (owner != NOBODY && owner != p))
    return false;
  return block_is_asleep_on(p, PRODUCERS) || queue_is_shut() ||
         available() >= need_of(it, it->published);
}

/* In the end what was published and not taken is there, and nothing else is. */
const char *queue_model_check(void) {
  uint64_t size;
  int there = 0, published = 0;
  if (queue_head() != model.head || block_word(TAIL) != model.word)
    return "head or tail has moved by itself";
  for (uint64_t at = queue_head(); at < queue_tail(); at += SHMSEG_RECORD(size), there++)
    if (ledger[message_at(at, &size)].taker != NOBODY)
      return "a message that was taken is there";
  for (int i = 1; i < ledger_count; i++)
    published += ledger[i].fate == LEDGER_DONE && ledger[i].taker == NOBODY;
  return there == published ? NULL : "another number of messages than was pushed";
}
