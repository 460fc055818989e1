/* SPDX-License-Identifier: MIT */
/* The operations on a queue under the scheduler. */
#include <string.h>

#include "core/wait.h"
#include "core/word.h"
#include "nouns/queue/schedule.h"

#define OVERTAKEN (100 * MILLISECOND)

shmseg_queue queue_handles[PROCESSES];

/* --- producers ---------------------------------------------------------------------------- */

/* Is it right to say so, after a try or a wait? */
static bool is_timeout(const queue_turn *it, int err, int64_t timeout, int64_t deadline) {
  bool is = err == SHMSEG_TIMEOUT && timeout != SHMSEG_FOREVER;
  expect(!is || fake.now >= deadline, "a time-out before its time");
  expect(!is || w.stale || it->was_empty || it->was_full || it->was_locked ||
             fake.now >= it->since + OVERTAKEN,
         "a time-out, and it could be done");
  return is;
}

/* All that has to be pushed, by one call for each interval. */
static int push_all(int p, const shmseg_source *messages, size_t count, int64_t deadline) {
  size_t pushed, done = 0;
  int err;
  do {
    err =
        shmseg_queue_push_many(&queue_handles[p], messages + done, count - done, &pushed, deadline);
    done += pushed;
  } while (err == SHMSEG_INTERRUPTED);
  expect(done == (size_t)queue_turns[p].published, "%zu are pushed, %d published", done,
         queue_turns[p].published);
  expect(err != 0 || done == count, "%zu are pushed of %zu", done, count);
  return err;
}

static int push_one(int p, const shmseg_source *message, int64_t deadline) {
  int err;
  do
    err = shmseg_queue_push(&queue_handles[p], message->bytes, message->size, deadline);
  while (err == SHMSEG_INTERRUPTED);
  expect((err == 0) == (queue_turns[p].published == 1), "push gives %d", err);
  return err;
}

void queue_push(int p, size_t size, int count, int64_t timeout) {
  unsigned char bytes[4][LEDGER_ROOM];
  shmseg_source messages[4];
  bool was_shut = queue_is_shut();
  queue_turn *it = queue_begin(p, 'p', 0);
  int64_t deadline = engine_deadline(p, timeout);
  for (int i = 0; i < count; i++) {
    queue_sends(p, ledger_write(p, 0, size, bytes[i]));
    messages[i] = (shmseg_source){ bytes[i], size, NULL };
  }
  int err =
      count == 1 ? push_one(p, messages, deadline) : push_all(p, messages, (size_t)count, deadline);
  queue_end(p, err);
  it->was_empty = false;
  bool timed_out = is_timeout(it, err, timeout, deadline);
  expect(err == 0 || timed_out || (err == SHMSEG_SHUTDOWN && queue_is_shut()), "push: %d", err);
  expect(!was_shut || err == SHMSEG_SHUTDOWN || (timed_out && w.stale),
         "it was shut, yet push gives %d", err);
}

/* --- taking into a buffer ----------------------------------------------------------------- */

static void given_all(int p, const ledger_buffer *buffer, size_t used) {
  uint64_t size;
  int count = 0;
  ledger_guard(buffer);
  must(used <= LEDGER_BUFFER, "%zu bytes are taken", used);
  for (size_t at = 0; at < used; at += SHMSEG_RECORD(size), count++) {
    memcpy(&size, buffer->bytes + at, sizeof size);
    must(size <= used - at - sizeof size, "a record of %llu bytes", (unsigned long long)size);
    queue_given(p, count, buffer->bytes + at + sizeof size, (size_t)size);
  }
  must(count > 0 && (uint64_t)count <= queue_turns[p].max, "%d messages are given", count);
  expect(count == queue_turns[p].taking, "%d messages are given, not %d", count,
         queue_turns[p].taking);
}

static void took(int p, int err, int64_t timeout, int64_t deadline) {
  queue_turn *it = &queue_turns[p];
  it->was_full = it->was_locked = false;
  bool timed_out = is_timeout(it, err, timeout, deadline);
  expect(err == 0 || timed_out || err == SHMSEG_SHUTDOWN || err == SHMSEG_TOO_SMALL, "take: %d",
         err);
  if (err == SHMSEG_SHUTDOWN)
    queue_over(p);
}

static int take(int p, size_t available, uint64_t max, int64_t timeout) {
  ledger_buffer buffer;
  size_t used = 0;
  int64_t deadline = engine_deadline(p, timeout);
  queue_begin(p, 'g', max);
  int err;
  ledger_wipe(&buffer);
  do
    err = shmseg_queue_take(&queue_handles[p], buffer.bytes, available, max, &used, deadline);
  while (err == SHMSEG_INTERRUPTED);
  queue_end(p, err);
  took(p, err, timeout, deadline);
  if (err == 0)
    given_all(p, &buffer, used);
  if (err == SHMSEG_TOO_SMALL)
    must(used > available && used <= LEDGER_BUFFER, "%zu bytes are too few, %zu are asked for",
         available, used);
  expect(err != SHMSEG_TOO_SMALL || w.stale || queue_turns[p].firsts >> used / 8 & 1,
         "%zu bytes are asked for, and no message takes them", used);
  return err;
}

void queue_take(int p, size_t available, uint64_t max, int64_t timeout) {
  int err = take(p, available, max, timeout);
  expect(err != SHMSEG_TOO_SMALL || available < LEDGER_BUFFER, "take: %d", err);
}

void queue_take_twice(int p) {
  if (take(p, SHMSEG_RECORD(SHORT), 1, SHMSEG_FOREVER) == SHMSEG_TOO_SMALL)
    queue_take(p, LEDGER_BUFFER, 1, SHMSEG_FOREVER);
}

void queue_go_on(int p) {
  queue_take(p, LEDGER_BUFFER, 3, SHMSEG_FOREVER);
  if (queue_turns[p].taking == 2 && queue_head() != queue_tail())
    engine_fail("it goes on with the rest");
}

/* --- a batch, as the binding takes it ----------------------------------------------------- */

#define SHOWN 8

typedef struct {
  shmseg_queue_batch batch;
  int count;
  uint64_t begin[SHOWN];
  size_t size[SHOWN];
  unsigned char bytes[SHOWN][WIDE];
} shown;

/* The last message of the batch, from where it lies, or else by the library's copy. */
static int copy_last(int p, shown *s, bool straight) {
  const shmseg_queue_batch *batch = &s->batch;
  uint64_t ring = queue_handles[p].ring;
  must(batch->size <= WIDE && batch->size < ring && s->count < SHOWN, "%zu bytes are shown",
       batch->size);
  must(!batch->bytes ||
           (batch->bytes >= block + RING && batch->bytes + batch->size <= block + RING + ring),
       "%zu bytes are shown at +%ld", batch->size, (long)(batch->bytes - block));
  s->size[s->count] = batch->size;
  if (!straight || !batch->bytes)
    return shmseg_queue_copy(&queue_handles[p], batch, s->bytes[s->count]);
  copy_from_shared(s->bytes[s->count], batch->bytes, batch->size);
  return 0;
}

static int copy_batch(int p, shown *s) {
  bool straight = s->batch.left == 1;
  int err;
  for (s->count = 0;; s->count++) {
    must(s->count < SHOWN, "%d messages are shown", s->count);
    s->begin[s->count] = s->batch.end;
    err = shmseg_queue_next(&queue_handles[p], &s->batch);
    if (!err)
      err = copy_last(p, s, straight);
    if (err)
      return err == SHMSEG_EMPTY ? 0 : err;
  }
}

/* Claims what was copied, or what others have left of it: *first is the first of them. */
static int claim_batch(int p, shown *s, int *first) {
  int err;
  *first = 0;
  while ((err = shmseg_queue_claim(&queue_handles[p], &s->batch)) == SHMSEG_CHANGED) {
    while (*first < s->count && s->begin[*first] < s->batch.head)
      ++*first;
    if (*first == s->count || s->begin[*first] != s->batch.head)
      return err;
  }
  return err;
}

static int take_batch(int p, uint64_t max, int64_t deadline) {
  shown s = { .count = 0 };
  int first, err = shmseg_queue_look(&queue_handles[p], &s.batch, max, deadline);
  if (!err)
    err = copy_batch(p, &s);
  if (!err)
    err = claim_batch(p, &s, &first);
  if (err)
    return err;
  for (int n = first; n < s.count; n++)
    queue_given(p, n - first, s.bytes[n], s.size[n]);
  expect(s.count - first == queue_turns[p].taking && s.count > first,
         "%d messages are given, not %d", s.count - first, queue_turns[p].taking);
  return 0;
}

void queue_pop(int p, uint64_t max, int64_t timeout) {
  int64_t deadline = engine_deadline(p, timeout), patience = 0;
  queue_begin(p, 'g', max);
  int err;
  do {
    err = take_batch(p, max, deadline);
    if (err == SHMSEG_CHANGED)
      err = shmseg_wait_overtaken(&patience, deadline);
  } while (err == SHMSEG_CHANGED || err == SHMSEG_INTERRUPTED);
  queue_end(p, err);
  took(p, err, timeout, deadline);
}

void queue_claim(int p, uint64_t max) {
  int64_t deadline = engine_deadline(p, 0);
  queue_begin(p, 'g', max);
  int err = take_batch(p, max, deadline);
  queue_end(p, err);
  if (err != SHMSEG_CHANGED)
    took(p, err, 0, deadline);
  expect(err != SHMSEG_CHANGED || w.stale || queue_turns[p].head != queue_head(),
         "nothing has changed");
}

/* --- shutting, counting ------------------------------------------------------------------- */

void queue_shut(int p) {
  queue_shutting = true;
  queue_begin(p, 's', 0);
  int err = shmseg_queue_shutdown(&queue_handles[p]);
  queue_end(p, err);
  expect(err == 0 && queue_is_shut(), "shutdown: %d", err);
}

void queue_count(int p) {
  shmseg_queue_stats stats = { 0, 0, 0, false };
  uint64_t head = queue_head(), tail = queue_tail();
  queue_begin(p, 'n', 0);
  int err = shmseg_queue_count(&queue_handles[p], &stats);
  queue_end(p, err);
  bool still = head == queue_head() && tail == queue_tail() && !w.stale;
  expect(err == 0, "count: %d", err);
  expect(stats.bytes <= queue_handles[p].ring &&
             stats.messages * SHMSEG_RECORD(SHORT) <= stats.bytes,
         "%llu messages in %llu bytes", (unsigned long long)stats.messages,
         (unsigned long long)stats.bytes);
  expect(!still || stats.bytes == tail - head, "%llu bytes are counted, not %llu",
         (unsigned long long)stats.bytes, (unsigned long long)(tail - head));
}
