/* SPDX-License-Identifier: MIT */
/* The broadcast under the scheduler; option is the processes, as bits, whose mapping is read-only.
 *
 * Operations: p publish, b publish a longer message, m publish as many as its operand says (3 is more
 * than the ring holds, and for one publisher alone); d drain so many, D within 30 ms; w subscribe to what is new, e to the oldest, u
 * to the number that is its operand; n next, N next within 30 ms, y try for the next, z next with too
 * small a buffer first; s shut it, and those of opening.h. */
#include <string.h>

#include "core/lock.h"
#include "nouns/broadcast/schedule.h"
#include "objects/object.h"
#include "schedule/ledger.h"
#include "schedule/opening.h"

/* Offsets, as broadcast.c says. */
#define LOCK 128
#define PUBLISHED 64
#define FLOOR 192
#define ENDS 200
#define EVENTCOUNT 72
#define RING 256

#define MANY (UINT64_C(1) << 40)

#define RECORD(size) (16 + ((uint64_t)(size) + 7) / 8 * 8)

#define SHORT 8
#define LONG 12
#define CAPACITY 40
#define LENGTH RECORD(CAPACITY) /* two messages and not a whole head more: so heads wrap */

static shmseg_broadcast handles[PROCESSES];
static shmseg_subscription subscriptions[PROCESSES];

static struct {
  char in[PROCESSES];
  uint64_t next[PROCESSES]; /* the number that each subscriber is to get, or a later one */
  uint64_t out;             /* the last number that somebody was told of */
  uint64_t end;             /* somebody was told that there is no such number; 0: not so */
  bool shutting, shut;      /* somebody has begun to shut it, has done so */
  uint64_t before;          /* so many were published that nobody remembers */
} model;

/* The next number. */
static uint64_t published(void) {
  return block_word(PUBLISHED) >> 2;
}

static bool is_shut(void) {
  return block_word(PUBLISHED) & 1;
}

/* Of the end of the last message, and of the one that the next publisher stores. */
static uint64_t slot_in_use(void) {
  return ENDS + (block_word(PUBLISHED) & 2) * 4;
}

static uint64_t slot_not_in_use(void) {
  return ENDS + 8 - (block_word(PUBLISHED) & 2) * 4;
}

/* --- starting states ---------------------------------------------------------------------- */

/* What a publisher leaves who dies before it publishes. */
static void leave_half(void) {
  unsigned char bytes[LEDGER_ROOM];
  uint64_t end = block_word(slot_in_use());
  ledger_write(NOBODY, 0, LONG, bytes);
  ledger_died(NOBODY);
  block_put32(LOCK, ID_DEAD | SHMSEG_LOCK_WAITERS);
  block_put(FLOOR, block_word(FLOOR) + RECORD(SHORT));
  block_put(RING + end % LENGTH, published());
  block_put(RING + (end + 8) % LENGTH, UINT64_C(0x3333333333333333));
  block_put(slot_not_in_use(), UINT64_C(0x3333333333333333));
}

static void make_state(shmseg_broadcast *b, int start) {
  static const int messages[] = { 0, 1, 2, 3, 1, 2, 2, 2 };
  unsigned char bytes[LEDGER_ROOM];
  if (start == LONG_AGO)
    block_put(PUBLISHED, (MANY + 1) << 2);
  for (int i = 0; i < messages[start - EMPTY]; i++) {
    uint64_t sequence;
    int entry = ledger_write(NOBODY, 0, SHORT, bytes);
    must(shmseg_broadcast_publish(b, bytes, SHORT, &sequence) == 0, "publishing");
    ledger_done(entry, sequence);
  }
  if (start == SHUT)
    must(shmseg_broadcast_shutdown(b) == 0, "shutting it");
  if (start == SLEEPERS_DEAD)
    block_put32(EVENTCOUNT, (uint32_t)block_word(EVENTCOUNT) | SHMSEG_LOCK_WAITERS);
  if (start == OWNER_DEAD)
    leave_half();
}

static void make(const scenario *s) {
  static shmseg_broadcast b;
  ledger_clear();
  if (opening_made(s, &b.object))
    make_state(&b, s->start);
  ledger_keep();
}

static void begin(const scenario *s) {
  memset(&model, 0, sizeof model);
  memset(subscriptions, 0, sizeof subscriptions);
  ledger_begin();
  model.shutting = model.shut = s->start == SHUT;
  if (s->start == OWNER_DEAD)
    engine_excuse();
  model.before = s->start == LONG_AGO ? MANY : 0;
  if (s->start >= EMPTY)
    model.out = published() - 1;
  opening_begin((unsigned)s->option);
}

/* --- operations --------------------------------------------------------------------------- */

/* Somebody was told that the number is out. */
static void is_out(uint64_t number) {
  model.out = number > model.out ? number : model.out;
  expect(model.end == 0 || number < model.end, "number %llu is out, and it was over before %llu",
         (unsigned long long)number, (unsigned long long)model.end);
}

/* May that message be overwritten, by those behind it that are out or were begun? */
static bool may_be_gone(uint64_t number) {
  uint64_t bytes = 0;
  for (int i = 1; i < ledger_count; i++)
    if (ledger[i].number == 0 || ledger[i].number >= number)
      bytes += RECORD(ledger[i].size);
  return bytes > LENGTH;
}

static void publish(int p, size_t size) {
  unsigned char bytes[LEDGER_ROOM];
  uint64_t sequence = 0, out = model.out;
  bool was_shut = model.shut;
  int entry = ledger_write(p, 0, size, bytes);
  model.in[p] = 'p';
  int err = shmseg_broadcast_publish(&handles[p], bytes, size, &sequence);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 || (err == SHMSEG_SHUTDOWN && model.shutting), "publish: %d", err);
  expect(!was_shut || err == SHMSEG_SHUTDOWN, "it was shut, yet publish gives %d", err);
  if (err != 0) {
    ledger_refused(entry);
    return;
  }
  expect(sequence > out, "number %llu, and %llu was out", (unsigned long long)sequence,
         (unsigned long long)out);
  ledger_done(entry, sequence);
  is_out(sequence);
}

/* Several, whose numbers follow each other. */
static void publish_many(int p, size_t count) {
  unsigned char bytes[3][LEDGER_ROOM];
  shmseg_source messages[3];
  int entries[3], err;
  uint64_t sequence = 0, out = model.out;
  size_t done = 0, now;
  int64_t deadline = 0;
  bool was_shut = model.shut;
  for (size_t i = 0; i < count; i++) {
    entries[i] = ledger_write(p, 0, SHORT, bytes[i]);
    messages[i] = (shmseg_source){ bytes[i], SHORT, NULL };
  }
  model.in[p] = 'p';
  do {
    err = shmseg_broadcast_publish_many(&handles[p], messages + done, count - done, &now, &deadline,
                                        &sequence);
    done += now;
  } while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0 ? done == count : err == SHMSEG_SHUTDOWN && model.shutting,
         "publish_many: %d, %zu are out", err, done);
  expect(!was_shut || err == SHMSEG_SHUTDOWN, "it was shut, yet publish_many gives %d", err);
  expect(done == 0 || sequence >= out + done, "number %llu, and %llu was out",
         (unsigned long long)sequence, (unsigned long long)out);
  for (size_t i = 0; i < count; i++)
    if (i < done)
      ledger_done(entries[i], sequence - (done - 1 - i));
    else
      ledger_refused(entries[i]);
  if (done > 0)
    is_out(sequence);
}

static void subscribe(int p, uint64_t from) {
  shmseg_subscription *s = &subscriptions[p];
  uint64_t out = model.out;
  int err = shmseg_broadcast_subscribe(&handles[p], from, s);
  w.processes[p].last = err;
  bool number = from != SHMSEG_FROM_NEW && from != SHMSEG_FROM_OLDEST;
  expect(err == 0 || (err == SHMSEG_OUT_OF_RANGE && number), "subscribe: %d", err);
  expect(err == 0 || from > out + 1 || w.stale, "%llu is said to be beyond the next",
         (unsigned long long)from);
  model.next[p] = err ? 0 : s->sequence;
  if (err != 0)
    return;
  expect(s->sequence > model.before && s->sequence <= model.before + (uint64_t)ledger_count,
         "subscribed to number %llu", (unsigned long long)s->sequence);
  expect(!number || s->sequence == from, "subscribed to %llu, not %llu",
         (unsigned long long)s->sequence, (unsigned long long)from);
  expect(from != SHMSEG_FROM_NEW || s->sequence > out || w.stale, "new is number %llu",
         (unsigned long long)s->sequence);
  expect(from != SHMSEG_FROM_OLDEST || s->sequence == model.before + 1 ||
             may_be_gone(s->sequence - 1),
         "the oldest is number %llu", (unsigned long long)s->sequence);
}

/* p got that message: the one it was to get, or one behind others that are gone. */
static void got(int p, uint64_t sequence, uint64_t lost) {
  expect(sequence == model.next[p] + lost, "number %llu, %llu lost, behind %llu",
         (unsigned long long)sequence, (unsigned long long)lost,
         (unsigned long long)(model.next[p] - 1));
  expect(lost == 0 || may_be_gone(sequence - 1), "number %llu is lost, and there was room",
         (unsigned long long)(sequence - 1));
  model.next[p] = sequence + 1;
  is_out(sequence);
}

/* The number that p waits for: it may know already that some are lost. */
static uint64_t awaited(int p) {
  uint64_t number = subscriptions[p].sequence;
  expect(number == model.next[p] || may_be_gone(number - 1), "it waits for number %llu, not %llu",
         (unsigned long long)number, (unsigned long long)model.next[p]);
  return number;
}

static int next_into(int p, size_t available, int64_t deadline) {
  ledger_buffer buffer;
  uint64_t sequence = 0, lost = 0;
  size_t size = 0;
  int err;
  ledger_wipe(&buffer);
  model.in[p] = 'n';
  do
    err = shmseg_subscription_next(&subscriptions[p], buffer.bytes, available, &size, &sequence,
                                   &lost, deadline);
  while (err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  ledger_guard(&buffer);
  must(err != 0 || size <= available, "a message of %zu bytes", size);
  must(err != SHMSEG_TOO_SMALL || size <= CAPACITY, "a message of %zu bytes", size);
  if (err == 0) {
    ledger_seen(0, buffer.bytes, size, sequence);
    got(p, sequence, lost);
  }
  return err;
}

static ledger_buffer drained[PROCESSES][3];
static size_t sizes[PROCESSES][3];

/* Fills those of p with a batch of at most max. */
static int fill_batch(int p, shmseg_subscription_batch *batch, uint64_t max, int64_t deadline) {
  shmseg_subscription *s = &subscriptions[p];
  int err = shmseg_subscription_look(s, batch, deadline);
  while (!err && batch->count < max && (err = shmseg_subscription_show(s, batch)) == 0) {
    uint64_t i = batch->count - 1;
    must(batch->size <= CAPACITY, "a message of %zu bytes", batch->size);
    ledger_wipe(&drained[p][i]);
    sizes[p][i] = batch->size;
    err = shmseg_subscription_copy(s, batch, drained[p][i].bytes);
  }
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Confirms what is left of the batch: *first is the first that is. */
static int confirm_batch(int p, shmseg_subscription_batch *batch, uint64_t *first) {
  uint64_t floor;
  int err;
  while ((err = shmseg_subscription_confirm(&subscriptions[p], batch, &floor)) == SHMSEG_CHANGED) {
    for (; batch->count > 0 && batch->position < floor; batch->count--, ++*first) {
      batch->position += RECORD(sizes[p][*first]);
      batch->sequence++;
      batch->lost++;
    }
    if (batch->count == 0 || batch->position != floor)
      break;
  }
  return err;
}

static int drain_into(int p, uint64_t max, int64_t deadline) {
  shmseg_subscription_batch batch = { 0 };
  uint64_t first;
  int err;
  model.in[p] = 'n';
  do {
    first = 0;
    err = fill_batch(p, &batch, max, deadline);
    if (!err)
      err = confirm_batch(p, &batch, &first);
  } while (err == SHMSEG_CHANGED || err == SHMSEG_INTERRUPTED);
  model.in[p] = 0;
  w.processes[p].last = err;
  if (err)
    return err;
  expect(batch.count > 0, "a batch of none");
  for (uint64_t i = 0; i < batch.count; i++) {
    ledger_guard(&drained[p][first + i]);
    ledger_seen(0, drained[p][first + i].bytes, sizes[p][first + i], batch.sequence + i);
    got(p, batch.sequence + i, i == 0 ? batch.lost : 0);
  }
  shmseg_subscription_advance(&subscriptions[p], &batch);
  return 0;
}

/* The next one, or with max as many at once. */
static void next(int p, uint64_t max, int64_t timeout) {
  uint64_t out = model.out;
  int64_t deadline = engine_deadline(p, timeout);
  int err = max > 0 ? drain_into(p, max, deadline) : next_into(p, LEDGER_BUFFER, deadline);
  /* who was stopped may find that it was overtaken for too long */
  bool timed_out = err == SHMSEG_TIMEOUT && (timeout != SHMSEG_FOREVER || w.excused);
  expect(err == 0 || timed_out || (err == SHMSEG_SHUTDOWN && model.shutting), "next: %d", err);
  expect(!timed_out || fake.now >= deadline || w.excused, "a time-out before its time");
  expect(!timed_out || out < awaited(p) || w.stale || w.excused,
         "a time-out, and there is a message");
  if (err != SHMSEG_SHUTDOWN)
    return;
  model.end = awaited(p);
  expect(model.out < model.end, "shut down, and there is a message");
}

/* With a buffer for short messages first. */
static void next_twice(int p) {
  int err = next_into(p, SHORT, engine_deadline(p, SHMSEG_FOREVER));
  expect(err == 0 || err == SHMSEG_TOO_SMALL || (err == SHMSEG_TIMEOUT && w.excused), "next: %d",
         err);
  if (err == SHMSEG_TOO_SMALL)
    next(p, 0, SHMSEG_FOREVER);
}

static void shut(int p) {
  model.shutting = true;
  model.in[p] = 's';
  int err = shmseg_broadcast_shutdown(&handles[p]);
  model.in[p] = 0;
  w.processes[p].last = err;
  expect(err == 0, "shutdown: %d", err);
  model.shut = true;
}

static void perform_one(int p, char op) {
  bool subscribed = model.next[p] > 0;
  switch (op) {
  case 'p': publish(p, SHORT); break;
  case 'b': publish(p, LONG); break;
  case 's': shut(p); break;
  case 'w': subscribe(p, SHMSEG_FROM_NEW); break;
  case 'e': subscribe(p, SHMSEG_FROM_OLDEST); break;
  case 'n':
  case 'N':
  case 'y':
    if (subscribed)
      next(p, 0, op == 'n' ? SHMSEG_FOREVER : op == 'N' ? 30 * MILLISECOND : 0);
    break;
  case 'd':
  case 'D':
    if (subscribed)
      next(p, w.processes[p].operand, op == 'd' ? 0 : 30 * MILLISECOND);
    break;
  case 'm': publish_many(p, w.processes[p].operand); break;
  case 'z':
    if (subscribed)
      next_twice(p);
    break;
  case 'u': subscribe(p, model.before + w.processes[p].operand); break;
  }
}

static void perform(int p, char op) {
  if (!opening_perform(p, op) && handles[p].object.segment)
    perform_one(p, op);
}

/* --- deaths, sleepers, the end ------------------------------------------------------------ */

static void died(int p) {
  model.in[p] = 0;
  ledger_died(p);
}

static bool in_vain(int p) {
  int owner = block_owner(LOCK);
  if (block_is_asleep_on(p, LOCK))
    return owner == NOBODY || model.in[owner] != 'p';
  expect(model.in[p] != 'p', "a publisher waits for something else than a publisher");
  return model.in[p] == 'n' && (is_shut() || published() > awaited(p));
}

/* Each message that was published has a number of its own, and there are no others. */
static const char *check_numbers(void) {
  uint64_t count = published() - 1 - model.before;
  uint64_t done = (uint64_t)ledger_with(0, LEDGER_DONE),
           unsure = (uint64_t)ledger_with(0, LEDGER_UNSURE);
  return count >= done && count <= done + unsure ? NULL : "a number too many or too few";
}

static const char *check(void) {
  static shmseg_broadcast b;
  const char *wrong = opening_check(&b.object);
  return wrong || !b.object.segment ? wrong : check_numbers();
}

static const shmseg_object_options options = { .capacity = CAPACITY };

SCHEDULE(broadcast, .kind = &shmseg_broadcast_kind, .handles = handles, .options = &options,
         .operands = "umdD");
