/* SPDX-License-Identifier: MIT */
/* The queue userdata.
 *
 * As a rule a message becomes a string while it is still in the queue, and is taken after that. When
 * another consumer comes between, it is copied into private memory under the consumers' lock, and
 * becomes a string afterwards. If memory for the string is short then, the message stays in private
 * memory for the next pop. */
#include <string.h>

#include "binding/module.h"
#include "binding/object.h"
#include "binding/value.h"
#include "binding/waiting.h"
#include "os/liveness.h"

/* Bytes of the first private buffer, and of the one that drain asks for. */
#define BUFFER_MIN 4096
#define DRAIN_BUFFER 65536

typedef struct {
  object object;
  shmseg_queue queue;
  buffer buffer;
  size_t begin, end;      /* of the buffer: records that are taken, and not yet given to Lua */
  uint64_t changes;       /* how often begin and end have changed */
  shmseg_member taken_by; /* the process that took them: they are not a forked child's */
} queue;

static const object_class class = { &shmseg_queue_kind, "shmseg.queue", sizeof(queue) };

/* --- producers ---------------------------------------------------------------------------- */

/* push(value [, timeout]) -> true | nil, "timeout" | "shutdown" */
static int queue_push(lua_State *L) {
  queue *q = check_object(L, &class);
  check_value(L, &q->object, 2);
  wait wait = wait_until(opt_deadline(L, 3));
  int err;
  do {
    shmseg_source value = value_at(L, 2);
    err = shmseg_queue_push(&q->queue, value.bytes, value.size, wait.deadline);
  } while (wait_again(L, &wait, &err));
  if (err)
    return push_value_failure(L, &q->object, 2, err);
  lua_pushboolean(L, 1);
  return 1;
}

/* shutdown() -> true */
static int queue_shutdown(lua_State *L) {
  queue *q = check_object(L, &class);
  return push_object_done(L, &q->object, shmseg_queue_shutdown(&q->queue));
}

/* --- consumers ---------------------------------------------------------------------------- */

/* Takes at most max messages into the empty buffer. After SHMSEG_TOO_SMALL, *used is what the first
 * message needs. */
static int queue_take(lua_State *L, queue *q, uint64_t max, size_t *used, int64_t deadline) {
  wait wait = wait_until(deadline);
  int err;
  do {
    q->begin = q->end = 0; /* a hook may have used the queue, and left records here */
    err = shmseg_queue_take(&q->queue, q->buffer.bytes, q->buffer.available, max, used,
                            wait.deadline);
  } while (wait_again(L, &wait, &err));
  return err;
}

/* Fills the empty buffer with at most max messages. */
static int refill(lua_State *L, queue *q, uint64_t max, size_t size, int64_t deadline) {
  size_t used;
  int err;
  if (q->buffer.available < size)
    grow_buffer(L, &q->buffer, size);
  while ((err = queue_take(L, q, max, &used, deadline)) == SHMSEG_TOO_SMALL)
    grow_buffer(L, &q->buffer, used + used / 2);
  q->changes++;
  q->begin = 0;
  q->end = err ? 0 : used;
  if (!err)
    q->taken_by = q->queue.object.segment->member;
  return err;
}

/* Are there records in the buffer? In a forked child they are the parent's, and are dropped. */
static bool has_records(queue *q) {
  shmseg_segment *segment = q->queue.object.segment;
  if (q->begin < q->end && segment && !shmseg_liveness_own(&q->taken_by))
    q->begin = q->end;
  return q->begin < q->end;
}

/* Pushes the first message of the buffer, which stays there until its string is made. False: a
 * finalizer has taken it meanwhile. */
static bool push_first(lua_State *L, queue *q) {
  uint64_t size, changes = q->changes;
  memcpy(&size, q->buffer.bytes + q->begin, sizeof size);
  push_buffered(L, &q->buffer, q->begin + sizeof size, (size_t)size);
  if (q->changes != changes) {
    lua_pop(L, 1);
    return false;
  }
  q->changes++;
  q->begin += (size_t)SHMSEG_RECORD(size);
  decode_value(L, &q->object, 1);
  return true;
}

/* Makes the string straight from the ring, and then takes the message. After SHMSEG_CHANGED the
 * message was not taken, and a string that was pushed is not valid. */
static int push_in_place(lua_State *L, queue *q) {
  const unsigned char *bytes;
  size_t size;
  uint64_t position;
  int err = shmseg_queue_peek(&q->queue, &bytes, &size, &position);
  if (err)
    return err;
  if (!push_shared(L, bytes, size))
    return SHMSEG_CHANGED;
  return shmseg_queue_claim(&q->queue, position, size); /* a finalizer may have closed the handle */
}

/* pop([timeout]) -> value | nil, "timeout" | "shutdown" */
static int queue_pop(lua_State *L) {
  queue *q = check_object(L, &class);
  int64_t deadline = opt_deadline(L, 2);
  do {
    int err = 0;
    lua_settop(L, 2);
    if (!has_records(q)) {
      if (push_in_place(L, q) == 0) {
        decode_value(L, &q->object, 1);
        return 1;
      }
      /* refill() meets the same failure again; a finalizer may have drained, and left records here */
      err = has_records(q) ? 0 : refill(L, q, 1, BUFFER_MIN, deadline);
    } else if (!q->queue.object.segment) {
      err = SHMSEG_CLOSED;
    }
    if (err)
      return push_object_failure(L, &q->object, err);
  } while (!push_first(L, q));
  return 1;
}

/* (queue, list, n) -> boolean: sets element n of the list to the buffer's first message, if any. */
static int set_first(lua_State *L) {
  bool is_there = push_first(L, check_object(L, &class));
  if (is_there)
    lua_rawseti(L, 2, (int)lua_tointeger(L, 3));
  lua_pushboolean(L, is_there);
  return 1;
}

/* Adds a message to the list at index 3, which has *count of them (none if a finalizer takes it);
 * set_first is at index 4. False when that raised: then the error is at the top, and the message
 * still in the buffer. An error that neither a lack of memory nor a codec has caused is a hook's
 * (Ctrl-C, for example): it ends the call. */
static bool add_first(lua_State *L, queue *q, int *count) {
  size_t begin = q->begin;
  uint64_t changes = q->changes;
  lua_pushvalue(L, 4);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  lua_pushinteger(L, *count + 1);
  int status = lua_pcall(L, 3, 1, 0);
  if (status == 0) {
    *count += lua_toboolean(L, -1);
    lua_pop(L, 1);
    return true;
  }
  if (status == LUA_ERRRUN && (!q->object.has_codec || q->changes == changes))
    lua_error(L);
  /* A message that the codec cannot decode is lost when it is the first of the list, as it is in
   * pop; also when decode has used the queue, since the buffer then has other records. */
  if ((*count > 0 || status == LUA_ERRMEM) && q->changes == changes + 1) {
    q->changes++;
    q->begin = begin;
  }
  return false;
}

/* drain([max]) -> list of values, perhaps empty. It takes as many bytes as the queue had at the
 * beginning, even if producers add more meanwhile. A message of which no value can be made ends the
 * list: what was taken before is returned, and the next call begins with that message. (An error of
 * a hook loses the list.) */
static int queue_drain(lua_State *L) {
  queue *q = check_object(L, &class);
  int64_t max = lua_isnoneornil(L, 2) ? INT32_MAX : check_integer(L, 2);
  luaL_argcheck(L, max >= 0, 2, "negative number of messages");
  lua_settop(L, 2);
  lua_newtable(L);
  lua_pushcfunction(L, set_first);
  uint64_t there;
  int err = shmseg_queue_bytes(&q->queue, &there);
  if (err)
    return push_object_failure(L, &q->object, err);
  for (int count = 0; count < max;) {
    if (!has_records(q)) {
      if (count > 0 && wait_run_hooks(L)) /* it may take long */
        break;
      err = there > 0 ? refill(L, q, (uint64_t)(max - count), DRAIN_BUFFER, 0) : SHMSEG_TIMEOUT;
      there -= q->end < there ? q->end : there;
      if (err && err != SHMSEG_TIMEOUT && err != SHMSEG_SHUTDOWN && count == 0)
        return push_object_failure(L, &q->object, err);
      if (err)
        break;
    }
    if (add_first(L, q, &count))
      continue;
    if (count == 0)
      return lua_error(L);
    break;
  }
  lua_settop(L, 3);
  return 1;
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
  queue *q = check_object(L, &class);
  shmseg_queue_stats stats;
  int err = take_stock(L, q, &stats);
  if (err)
    return object_raise(L, &q->object, err);
  push_uint64(L, stats.messages);
  return 1;
}

/* stats() -> { messages, bytes, capacity, shutdown } */
static int queue_stats(lua_State *L) {
  queue *q = check_object(L, &class);
  shmseg_queue_stats stats;
  int err = take_stock(L, q, &stats);
  if (err)
    return push_object_failure(L, &q->object, err);
  lua_createtable(L, 0, 4);
  push_uint64(L, stats.messages);
  lua_setfield(L, -2, "messages");
  push_uint64(L, stats.bytes);
  lua_setfield(L, -2, "bytes");
  push_uint64(L, stats.capacity);
  lua_setfield(L, -2, "capacity");
  lua_pushboolean(L, stats.shut);
  lua_setfield(L, -2, "shutdown");
  return 1;
}

static const luaL_Reg methods[] = {
  { "drain", queue_drain },       { "pop", queue_pop },     { "push", queue_push },
  { "shutdown", queue_shutdown }, { "stats", queue_stats }, { NULL, NULL },
};

static const luaL_Reg metamethods[] = { { "__len", queue_len }, { NULL, NULL } };

void binding_open_queue(lua_State *L) {
  binding_open_class(L, &class, methods);
  luaL_getmetatable(L, class.name);
  binding_register(L, metamethods);
  lua_pop(L, 1);
}
