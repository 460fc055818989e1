/* SPDX-License-Identifier: MIT */
/* What the LuaJIT front calls by FFI for objects.
 *
 * A message or value is copied to the scratch and proved whole there, then it becomes a string, then it is
 * taken, if it was not only looked at. So nothing is lost when memory runs out, or a hook raises. Each
 * call that writes the scratch begins with another serial: one that a hook makes between these steps is
 * seen by the front, or by the call that takes. */
#include "binding/front_objects.h"
#include "binding/lua.h"

#if LUA_VERSION_NUM == 501

#include <errno.h>
#include <math.h>

#include "binding/dict.h"
#include "binding/subscription.h"
#include "core/lock.h"
#include "core/word.h"
#include "objects/queue.h"

/* One in so many sums is left to the C binding. That keeps the place of one in four. */
#define SUMS 64

/* The handle in the userdata of an object of that class; NULL: it is another one, or its values go
 * through a codec. The front has looked at the metatable, which the debug library can change. */
static void *handle_of(void *userdata, const object_class *class) {
  object *o = userdata;
  return o->view.tag == class && !o->has_codec ? object_handle(o) : NULL;
}

static double begin(front_scratch *scratch) {
  return ++scratch->serial;
}

static int32_t stored(int err) {
  return err ? FRONT_NOT : FRONT_STORED;
}

/* --- cells -------------------------------------------------------------------------------- */

static double front_cell_set(void *userdata, const void *bytes, uint32_t size) {
  shmseg_cell *cell = handle_of(userdata, &cell_class);
  shmseg_source value = { bytes, size, NULL };
  int64_t deadline = WAIT_PAST;
  uint64_t version;
  if (!cell || shmseg_cell_set_until(cell, SHMSEG_ANY_VERSION, &value, &deadline, &version) != 0)
    return FRONT_NOT;
  return (double)version;
}

static double front_cell_get(void *userdata, front_scratch *scratch) {
  const shmseg_cell *cell = handle_of(userdata, &cell_class);
  const unsigned char *bytes;
  size_t size;
  uint64_t version;
  double serial = begin(scratch);
  if (!cell || shmseg_cell_peek(cell, &bytes, &size, &version) != 0 || size > FRONT_BYTES)
    return FRONT_NOT;
  copy_from_shared(scratch->bytes, bytes, size);
  if (shmseg_cell_confirm(cell, version) != 0)
    return FRONT_NOT;
  scratch->size = (int32_t)size;
  scratch->number = (double)version;
  return serial;
}

/* --- queues ------------------------------------------------------------------------------- */

/* Is another producer at work? One that is stopped would be waited for, for a moment. */
static bool is_busy(const shmseg_queue *queue) {
  return (load_relaxed(queue_word32(queue, QUEUE_PRODUCERS)) & SHMSEG_LOCK_STATE) !=
         SHMSEG_LOCK_FREE;
}

static int32_t front_queue_push(void *userdata, const void *bytes, uint32_t size) {
  shmseg_queue *queue = handle_of(userdata, &queue_class);
  shmseg_source message = { bytes, size, NULL };
  size_t pushed;
  if (!queue || shmseg_object_ready(&queue->object) != 0 || is_busy(queue))
    return FRONT_NOT;
  return stored(shmseg_queue_push_many(queue, &message, 1, &pushed, WAIT_PAST));
}

static double front_queue_see(void *userdata, front_scratch *scratch) {
  shmseg_queue *queue = handle_of(userdata, &queue_class);
  shmseg_queue_batch *batch = &scratch->batch.queue;
  double serial = begin(scratch);
  if (!queue || shmseg_queue_look(queue, batch, 1, WAIT_PAST) != 0 ||
      shmseg_queue_next(queue, batch) != 0 || batch->size > FRONT_BYTES ||
      shmseg_queue_copy(queue, batch, scratch->bytes) != 0)
    return FRONT_NOT;
  scratch->size = (int32_t)batch->size;
  return serial;
}

static int32_t front_queue_take(void *userdata, front_scratch *scratch, double serial) {
  shmseg_queue *queue = handle_of(userdata, &queue_class);
  if (!queue || scratch->serial != serial)
    return FRONT_NOT;
  return stored(shmseg_queue_claim(queue, &scratch->batch.queue));
}

/* --- broadcasts --------------------------------------------------------------------------- */

static double front_broadcast_publish(void *userdata, const void *bytes, uint32_t size) {
  shmseg_broadcast *broadcast = handle_of(userdata, &broadcast_class);
  shmseg_source message = { bytes, size, NULL };
  int64_t deadline = WAIT_PAST;
  uint64_t sequence;
  if (!broadcast || shmseg_broadcast_publish_until(broadcast, &message, &deadline, &sequence) != 0)
    return FRONT_NOT;
  return (double)sequence;
}

/* NULL: no subscription, or a closed one, or one whose messages go through a codec. */
static shmseg_subscription *subscription_of(void *userdata) {
  subscription *s = userdata;
  bool is_plain = s->tag == &subscription_tag && s->broadcast && !s->broadcast->object.has_codec;
  return is_plain ? &s->subscription : NULL;
}

static double front_subscription_see(void *userdata, front_scratch *scratch) {
  shmseg_subscription *s = subscription_of(userdata);
  shmseg_subscription_batch *batch = &scratch->batch.subscription;
  uint64_t floor;
  double serial = begin(scratch);
  batch->patience = 0;
  if (!s || shmseg_subscription_look(s, batch, WAIT_PAST) != 0 ||
      shmseg_subscription_show(s, batch) != 0 || batch->size > FRONT_BYTES ||
      shmseg_subscription_copy(s, batch, scratch->bytes) != 0 ||
      shmseg_subscription_confirm(s, batch, &floor) != 0)
    return FRONT_NOT;
  scratch->size = (int32_t)batch->size;
  scratch->number = (double)batch->sequence;
  scratch->lost = (double)batch->lost;
  return serial;
}

/* What a hook has called since may have moved the subscription. */
static int32_t front_subscription_advance(void *userdata, front_scratch *scratch, double serial) {
  shmseg_subscription *s = subscription_of(userdata);
  const shmseg_subscription_batch *batch = &scratch->batch.subscription;
  if (!s || scratch->serial != serial || s->sequence != batch->sequence)
    return FRONT_NOT;
  shmseg_subscription_advance(s, batch);
  return FRONT_STORED;
}

/* --- dicts -------------------------------------------------------------------------------- */

/* NULL: no dict, or one whose values go through a codec; or a key that cannot be one. */
static dict *dict_of(void *userdata, uint32_t key_size) {
  bool is_key = key_size > 0 && key_size <= SHMSEG_DICT_KEY_MAX;
  return is_key && handle_of(userdata, &dict_class) ? userdata : NULL;
}

/* The same for a call that writes. NULL also while the function of an update runs: is it of this key? */
static dict *written_dict_of(void *userdata, uint32_t key_size) {
  dict *d = dict_of(userdata, key_size);
  return d && d->updates == 0 ? d : NULL;
}

/* What became of a call that stores. */
static int32_t outcome(int err, bool forcible) {
  switch (err) {
  case 0: return forcible ? FRONT_STORED_FORCIBLY : FRONT_STORED;
  case ENOMEM:
  case EFBIG: return forcible ? FRONT_NO_MEMORY_FORCIBLY : FRONT_NO_MEMORY;
  case EEXIST: return FRONT_EXISTS;
  case SHMSEG_EMPTY: return FRONT_NOT_FOUND;
  default: return forcible ? FRONT_NOT_FORCIBLY : FRONT_NOT;
  }
}

/* A peer's NaN may have bits that LuaJIT takes for a value of another type. */
static double lua_number(double number) {
  return isnan(number) ? NAN : number;
}

/* Leaves what was read. False: it is no boolean, string, or number that Lua has. */
static bool leave_value(const shmseg_dict_value *value, front_scratch *scratch) {
  scratch->type = (int32_t)value->type;
  scratch->flags = value->flags;
  switch (value->type) {
  case SHMSEG_DICT_BOOLEAN:
  case SHMSEG_DICT_INTEGER:
    scratch->number = (double)value->integer;
    return holds_int64(value->integer);
  case SHMSEG_DICT_FLOAT: scratch->number = lua_number(value->number); return true;
  case SHMSEG_DICT_STRING: scratch->size = (int32_t)value->size; return true;
  default: return false;
  }
}

/* A value that the C binding would keep is left to it, and it is to note that this time. */
static double front_dict_get(void *userdata, const void *bytes, uint32_t size,
                             front_scratch *scratch) {
  dict *d = dict_of(userdata, size);
  dict_key key = { .bytes = bytes, .size = size };
  shmseg_dict_value value;
  int kept = d && d->cache ? dict_find_kept(d, &key) : 0;
  if (kept != 0)
    return FRONT_KEPT - kept;
  double serial = begin(scratch);
  if (!d)
    return FRONT_NOT;
  int err = shmseg_dict_get(&d->dict, bytes, size, scratch->bytes, FRONT_BYTES, &value);
  if (err)
    return err == SHMSEG_EMPTY ? FRONT_NOT_FOUND : FRONT_NOT;
  if (value.flags == 0 && dict_would_keep(d, &key, &value)) {
    d->reads--;
    return FRONT_NOT;
  }
  return leave_value(&value, scratch) ? serial : FRONT_NOT;
}

static int32_t store(void *userdata, const void *key, uint32_t key_size, shmseg_dict_value *value,
                     int32_t how, double exptime, double flags) {
  dict *d = written_dict_of(userdata, key_size);
  shmseg_dict_how condition = { .add = how & FRONT_ADD,
                                .replace = how & FRONT_REPLACE,
                                .safe = how & FRONT_SAFE };
  bool forcible;
  int64_t deadline = WAIT_PAST;
  if (!d || !dict_to_ttl(exptime, &condition.ttl) || !dict_to_flags(flags, &value->flags))
    return FRONT_NOT;
  int err = shmseg_dict_store(&d->dict, key, key_size, value, &condition, &forcible, &deadline);
  return outcome(err, forcible);
}

static int32_t front_dict_set(void *userdata, const void *key, uint32_t key_size, const void *bytes,
                              uint32_t size, int32_t how, double exptime, double flags) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = size };
  return store(userdata, key, key_size, &value, how, exptime, flags);
}

static int32_t front_dict_set_number(void *userdata, const void *key, uint32_t key_size,
                                     double number, int32_t how, double exptime, double flags) {
  shmseg_dict_value value = dict_from_number(number);
  if (how & FRONT_BOOLEAN)
    value.type = SHMSEG_DICT_BOOLEAN;
  return store(userdata, key, key_size, &value, how, exptime, flags);
}

static int32_t front_dict_delete(void *userdata, const void *key, uint32_t key_size) {
  dict *d = written_dict_of(userdata, key_size);
  int64_t deadline = WAIT_PAST;
  return d ? outcome(shmseg_dict_delete(&d->dict, key, key_size, NULL, &deadline), false)
           : FRONT_NOT;
}

/* Adds a whole number: to an integer, which stays one, or to a float. So no memory is needed, and nothing is
 * evicted. A key whose place was not kept is left to the C binding now and then, which may keep it. */
static int add(dict *d, const dict_key *key, const shmseg_dict_step *step, shmseg_dict_value *sum) {
  bool forcible;
  int64_t deadline = WAIT_PAST;
  if (d->cache && dict_add_to_kept(d, key, step, sum) == 0)
    return 0;
  if (++d->sums % SUMS == SUMS - 1)
    return SHMSEG_CHANGED;
  return shmseg_dict_incr(&d->dict, key->bytes, key->size, step, sum, &forcible, &deadline);
}

static double front_dict_incr(void *userdata, const void *bytes, uint32_t size, double by) {
  dict *d = written_dict_of(userdata, size);
  dict_key key = { .bytes = bytes, .size = size };
  shmseg_dict_value sum;
  shmseg_dict_step step;
  step.step = dict_from_number(by);
  step.init.type = 0; /* the rest of it is of no meaning then */
  step.ttl = 0;
  step.exact = true;
  if (!d || size > d->dict.object.capacity / 4 || step.step.type != SHMSEG_DICT_INTEGER ||
      add(d, &key, &step, &sum) != 0)
    return NAN;
  return sum.type == SHMSEG_DICT_INTEGER ? (double)sum.integer : lua_number(sum.number);
}

const front_objects front_objects_calls = {
  .cell_set = front_cell_set,
  .cell_get = front_cell_get,
  .queue_push = front_queue_push,
  .queue_see = front_queue_see,
  .queue_take = front_queue_take,
  .broadcast_publish = front_broadcast_publish,
  .subscription_see = front_subscription_see,
  .subscription_advance = front_subscription_advance,
  .dict_get = front_dict_get,
  .dict_set = front_dict_set,
  .dict_set_number = front_dict_set_number,
  .dict_delete = front_dict_delete,
  .dict_incr = front_dict_incr,
};

#endif
