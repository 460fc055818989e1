/* SPDX-License-Identifier: MIT */
/* The queue userdata.
 *
 * Messages become strings while they are still in the queue, and are taken after that, all by one
 * store: so nothing is lost when memory runs out, a codec fails, or a hook raises. Other consumers
 * may take them meanwhile; then the strings are dropped. */
#include "binding/module.h"
#include "binding/object.h"
#include "binding/ring.h"
#include "binding/waiting.h"
#include "binding/watch.h"
#include "core/wait.h"

typedef struct {
  object object;
  shmseg_queue queue;
  ring_reader reader;
} queue;

const object_class queue_class = { &shmseg_queue_kind, "shmseg.queue", sizeof(queue), NULL };

/* --- producers ---------------------------------------------------------------------------- */

/* push(value [, timeout]) -> true | nil, "timeout" | "shutdown" */
static int queue_push(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  check_value(L, &q->object, 2);
  wait wait = wait_until(opt_deadline(L, 3));
  size_t pushed;
  int err;
  do {
    shmseg_source value = value_at(L, 2);
    err = shmseg_queue_push_many(&q->queue, &value, 1, &pushed, wait.deadline);
  } while (wait_again(L, &wait, &err));
  if (err)
    return push_value_failure(L, &q->object, 2, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* Pushes those of the checked list at index 2 that have not been pushed yet. *done counts them. */
static int push_rest(lua_State *L, queue *q, shmseg_source *values, size_t count, size_t *done,
                     int64_t deadline) {
  size_t pushed, left = count - *done;
  if (!values)
    values = list_at(L, &q->reader.buffer, 2, *done, left);
  q->reader.copies++; /* a message that is on its way through the buffer is spoilt */
  int err = shmseg_queue_push_many(&q->queue, values, left, &pushed, deadline);
  *done += pushed;
  return err;
}

/* push_many(list [, timeout]) -> n | n, message, code: so many of the list are pushed */
static int queue_push_many(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  wait wait = wait_until(opt_deadline(L, 3));
  shmseg_source *values;
  size_t count = check_list(L, &q->object, 2, &q->reader.buffer, &values), done = 0;
  int err = push_rest(L, q, values, count, &done, wait.deadline);
  while (wait_again(L, &wait, &err))
    err = push_rest(L, q, NULL, count, &done, wait.deadline);
  if (!err) {
    push_uint64(L, done);
    return 1;
  }
  int results = push_list_failure(L, &q->object, 2, err);
  push_uint64(L, done);
  lua_replace(L, -results - 1); /* in place of nil */
  return results;
}

/* shutdown() -> true */
static int queue_shutdown(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  return push_object_done(L, &q->object, shmseg_queue_shutdown(&q->queue));
}

/* --- consumers ---------------------------------------------------------------------------- */

/* A message that a batch shows. */
typedef struct {
  queue *queue;
  const shmseg_queue_batch *batch;
} shown;

static int copy_shown(void *context, void *to) {
  const shown *s = context;
  return shmseg_queue_copy(&s->queue->queue, s->batch, to);
}

/* Pushes the message that the batch has added last. It is the message if the batch can then be
 * claimed. */
static int push_shown(lua_State *L, queue *q, const shmseg_queue_batch *batch) {
  shown s = { q, batch };
  return push_message(L, &q->reader, batch->bytes, batch->size, copy_shown, &s);
}

/* Is an operation on messages that others have taken to be tried again? */
static bool try_again(lua_State *L, wait *w, int64_t *patience, int *err) {
  if (*err == SHMSEG_CHANGED)
    *err = shmseg_wait_overtaken(patience, w->deadline);
  return *err == SHMSEG_CHANGED || wait_again(L, w, err);
}

/* Pushes the next message, and takes it. */
static int pop_message(lua_State *L, queue *q, int64_t deadline) {
  shmseg_queue_batch batch;
  int err = shmseg_queue_look(&q->queue, &batch, 1, deadline);
  if (!err)
    err = shmseg_queue_next(&q->queue, &batch);
  if (!err)
    err = push_shown(L, q, &batch);
  if (!err)
    err = shmseg_queue_claim(&q->queue, &batch);
  q->reader.was_overtaken = err == SHMSEG_CHANGED;
  return err;
}

/* pop([timeout]) -> value | nil, "timeout" | "shutdown" */
static int queue_pop(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  wait wait = wait_until(opt_deadline(L, 2));
  int64_t patience = 0;
  int err = pop_message(L, q, wait.deadline);
  while (err && try_again(L, &wait, &patience, &err)) {
    lua_settop(L, 2); /* a string that was no message goes */
    err = pop_message(L, q, wait.deadline);
  }
  if (err)
    return push_object_failure(L, &q->object, err);
  decode_value(L, &q->object, 1);
  return 1;
}

/* Copies the next message into the target, and takes it. SHMSEG_TOO_SMALL: it has *size bytes. */
static int take_into(queue *q, const target *t, size_t *size, int64_t deadline) {
  shmseg_queue_batch batch;
  int err = shmseg_queue_look(&q->queue, &batch, 1, deadline);
  if (!err)
    err = shmseg_queue_next(&q->queue, &batch);
  if (err)
    return err;
  *size = batch.size;
  if (*size > t->available) {
    err = shmseg_queue_confirm(&q->queue, &batch);
    return err ? err : SHMSEG_TOO_SMALL;
  }
  err = shmseg_queue_copy(&q->queue, &batch, t->bytes);
  if (!err)
    err = segment_status(t->segment);
  return err ? err : shmseg_queue_claim(&q->queue, &batch);
}

/* pop_into(segment [, offset [, timeout]]) -> count | nil, "timeout" | "shutdown" | "too small" */
static int queue_pop_into(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  wait wait = wait_until(opt_deadline(L, 4));
  int64_t patience = 0;
  size_t size = 0;
  target t;
  int err;
  do {
    t = target_at(L, &q->object, 2);
    err = take_into(q, &t, &size, wait.deadline);
  } while (try_again(L, &wait, &patience, &err));
  if (err == SHMSEG_TOO_SMALL)
    return push_target_too_small(L, &q->object, size, &t);
  if (err)
    return push_value_failure(L, &q->object, 2, err);
  push_uint64(L, size);
  return 1;
}

/* --- many at once ------------------------------------------------------------------------- */

/* What drain has made of a batch. */
typedef struct {
  shmseg_queue_batch batch;
  int count;
  bool failed; /* an error of the codec is at the top, and is that of the first message */
} drained;

/* How many messages to make room for: at most those that are there. */
static int expected_count(const shmseg_queue_batch *batch) {
  uint64_t most = (batch->tail - batch->head) / SHMSEG_RECORD(1), some = 256;
  most = most < batch->left ? most : batch->left;
  return (int)(most < some ? most : some);
}

/* Makes the list. Hooks that run meanwhile may raise: nothing is taken yet. */
static int make_list(lua_State *L, queue *q, drained *d) {
  int err;
  lua_settop(L, LIST - 1);
  lua_createtable(L, expected_count(&d->batch), 0);
  while ((err = shmseg_queue_next(&q->queue, &d->batch)) == 0) {
    err = push_shown(L, q, &d->batch);
    if (err)
      return err;
    lua_rawseti(L, LIST, ++d->count);
    if (d->count % RING_GO == 0 && wait_run_hooks(L))
      return 0; /* a signal has come */
  }
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Bytes of the record of message n of the list. */
static uint64_t record_of(lua_State *L, int n) {
  return SHMSEG_RECORD((uint64_t)listed_size(L, n));
}

/* Makes the list of values. A message that the codec cannot decode ends it; when it is the first, the
 * batch is that message alone. */
static int decode_list(lua_State *L, queue *q, drained *d) {
  uint64_t end = d->batch.head;
  lua_createtable(L, d->count, 0);
  for (int n = 1; n <= d->count; n++) {
    int status = decode_element(L, &q->object, 1, LIST, n);
    if (status == 0) {
      lua_rawseti(L, VALUES, n);
      end += record_of(L, n);
      continue;
    }
    d->failed = n == 1;
    d->count = d->failed ? 1 : n - 1;
    d->batch.end = d->failed ? end + record_of(L, n) : end;
    if (d->failed && status == LUA_ERRMEM) { /* takes nothing; but it may be no message */
      int err = shmseg_queue_confirm(&q->queue, &d->batch);
      return err ? err : lua_error(L);
    }
    return 0;
  }
  return 0;
}

/* Claims the batch, or what others have left of it, and puts the list of its values at the top. */
static int claim_list(lua_State *L, queue *q, drained *d) {
  int list = q->object.has_codec ? VALUES : LIST, dropped = 0, err;
  uint64_t position = d->batch.head;
  while ((err = shmseg_queue_claim(&q->queue, &d->batch)) == SHMSEG_CHANGED) {
    while (dropped < d->count && position < d->batch.head)
      position += record_of(L, ++dropped);
    if (dropped == d->count || position != d->batch.head)
      return err;
  }
  if (err)
    return err;
  if (d->failed)
    return lua_error(L);
  drop_first(L, list, dropped, d->count);
  lua_settop(L, list);
  return 0;
}

/* Pushes a list of at most max messages, and takes them. */
static int drain_messages(lua_State *L, queue *q, uint64_t max, int64_t deadline) {
  drained d = { .count = 0 };
  uint64_t bytes;
  int err = shmseg_queue_look(&q->queue, &d.batch, max > 0 ? max : 1, deadline);
  if (!err && max == 0)
    return SHMSEG_TIMEOUT;
  if (!err && max > RING_GO)
    err = shmseg_queue_bytes(&q->queue, &bytes); /* tells of holes, which read as many messages */
  if (!err)
    err = make_list(L, q, &d);
  if (!err && q->object.has_codec)
    err = decode_list(L, q, &d);
  return err ? err : claim_list(L, q, &d);
}

/* drain([max]) -> list, perhaps empty [, "shutdown"]
 * drain(max, timeout) -> list, not empty | nil, "timeout" | "shutdown" */
static int queue_drain(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  bool waits = !lua_isnone(L, 3);
  int64_t max = lua_isnoneornil(L, 2) ? INT32_MAX : check_integer(L, 2);
  luaL_argcheck(L, max >= 0, 2, "negative number of messages");
  luaL_argcheck(L, max > 0 || !waits, 2, "a wait takes at least 1 message");
  wait wait = wait_until(waits ? opt_deadline(L, 3) : WAIT_PAST);
  int64_t patience = 0;
  int err;
  lua_settop(L, LIST - 1);
  do
    err = drain_messages(L, q, max < INT32_MAX ? (uint64_t)max : INT32_MAX, wait.deadline);
  while (try_again(L, &wait, &patience, &err));
  if (err == 0)
    return 1;
  if (waits || (err != SHMSEG_TIMEOUT && err != SHMSEG_SHUTDOWN))
    return push_object_failure(L, &q->object, err);
  lua_newtable(L);
  if (err == SHMSEG_TIMEOUT)
    return 1;
  lua_pushliteral(L, "shutdown");
  return 2;
}

/* --- looking ------------------------------------------------------------------------------ */

static int take_stock(lua_State *L, queue *q, shmseg_queue_stats *stats) {
  wait wait = wait_for_work();
  shmseg_queue_walk walk = { 0 };
  int err;
  do
    err = shmseg_queue_count_on(&q->queue, &walk, stats);
  while (wait_again(L, &wait, &err));
  return err;
}

static int queue_len(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  shmseg_queue_stats stats;
  int err = take_stock(L, q, &stats);
  if (err)
    return object_raise(L, &q->object, err);
  push_uint64(L, stats.messages);
  return 1;
}

/* stats() -> { messages, bytes, capacity, shutdown } */
static int queue_stats(lua_State *L) {
  queue *q = check_object(L, &queue_class);
  shmseg_queue_stats stats;
  int err = take_stock(L, q, &stats);
  if (err)
    return push_object_failure(L, &q->object, err);
  lua_createtable(L, 0, 4);
  set_number(L, "messages", (int64_t)stats.messages);
  set_number(L, "bytes", (int64_t)stats.bytes);
  set_number(L, "capacity", (int64_t)stats.capacity);
  lua_pushboolean(L, stats.shut);
  lua_setfield(L, -2, "shutdown");
  return 1;
}

/* --- watching ----------------------------------------------------------------------------- */

static int arm_watch(watch *w, uint64_t direction) {
  queue *q = w->what;
  return shmseg_queue_watch(&q->queue, (shmseg_direction)direction, &w->core);
}

/* watch("pop" | "push") -> watch | nil, message, code */
static int queue_watch(lua_State *L) {
  static const watch_source source = { .arm = arm_watch, .fail = fail_object_watch };
  static const char *const directions[] = { "pop", "push",
                                            NULL }; /* as shmseg_direction has them */
  check_object(L, &queue_class);
  return push_armed_watch(L, &source, (uint64_t)check_option(L, 2, directions));
}

static const luaL_Reg methods[] = {
  { "drain", queue_drain },
  { "pop", queue_pop },
  { "pop_into", queue_pop_into },
  { "push", queue_push },
  { "push_many", queue_push_many },
  { "shutdown", queue_shutdown },
  { "stats", queue_stats },
  { "watch", queue_watch },
  { NULL, NULL },
};

static const luaL_Reg metamethods[] = { { "__len", queue_len }, { NULL, NULL } };

void binding_open_queue(lua_State *L) {
  binding_open_class(L, &queue_class, methods);
  luaL_getmetatable(L, queue_class.name);
  binding_register(L, metamethods);
  lua_pop(L, 1);
}
