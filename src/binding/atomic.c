/* SPDX-License-Identifier: MIT */
/* The atomic userdata: one aligned integer, changed in one step and waited for. */
#include "binding/atomic.h"
#include "binding/module.h"
#include "binding/scalar.h"
#include "binding/segment.h"
#include "binding/waiting.h"
#include "binding/watch.h"
#include "core/wait.h"
#include "core/word.h"

#define CLASS "shmseg.atomic"

const char atomic_tag;

static const char *const types[] = { "i32", "u32", "i64", "u64", NULL };
static const scalar scalars[] = { SCALAR_i32, SCALAR_u32, SCALAR_i64, SCALAR_u64 };

static inline atomic *check_atomic(lua_State *L) {
  atomic *n = test_tag(L, 1, &atomic_tag);
  return n ? n : type_error(L, 1, CLASS);
}

/* An operand: any integer. Of one that is too large the low bits are taken. */
static inline uint64_t check_operand(lua_State *L, int arg) {
  int exact;
  uint64_t bits = to_uint64(L, arg, &exact);
  return exact ? bits : (uint64_t)integer_error(L, arg);
}

/* The address of the word, which is aligned: push_atomic() has checked that. */
static inline void *check_word(lua_State *L, const atomic *n) {
  return check_bytes(L, &n->view, 1, 0, n->view.size);
}

static inline void push_value(lua_State *L, const atomic *n, uint64_t bits) {
  scalar_value value;
  if (atomic_is_wide(n))
    value.u64 = bits;
  else
    value.u32 = (uint32_t)bits;
  scalar_push(L, n->type, value);
}

static inline int push_result(lua_State *L, const atomic *n, uint64_t bits) {
  int err = view_status(&n->view);
  if (err)
    return push_view_failure(L, &n->view, err);
  push_value(L, n, bits);
  return 1;
}

#if LUA_VERSION_NUM >= 503
static inline int apply64(lua_State *L, const atomic *n, uint64_t *word, atomic_operation op,
                          uint64_t operand) {
  switch (op) {
  case ATOMIC_SWAP: return push_result(L, n, swap_ordered(word, operand));
  case ATOMIC_ADD: return push_result(L, n, add_ordered(word, operand));
  case ATOMIC_AND: return push_result(L, n, and_ordered(word, operand));
  case ATOMIC_OR: return push_result(L, n, or_ordered(word, operand));
  default: return push_result(L, n, xor_ordered(word, operand));
  }
}
#else
static bool is_plain(const atomic *n, uint64_t bits) {
  return scalar_is_plain(n->type, (scalar_value){ .u64 = bits });
}

/* The result is the old value. If no number holds it, this raises or makes cdata for it before the
 * word changes. */
static int apply64(lua_State *L, const atomic *n, uint64_t *word, atomic_operation op,
                   uint64_t operand) {
  void *memory = NULL;
  uint64_t old = load_ordered(word);
  for (int i = 0; i < ATOMIC_TRIES; i++) {
    if (!memory && !is_plain(n, old)) {
      memory = push_inexact(L, n->type == SCALAR_i64, old);
      check_writable(L, &n->view); /* making cdata may have run Lua code */
      word = check_word(L, n);
    }
    if (!cas_ordered(word, &old, atomic_result(op, old, operand)))
      continue;
    if (is_plain(n, old) || view_status(&n->view) != 0)
      return push_result(L, n, old);
    memcpy(memory, &old, sizeof old);
    return 1;
  }
  return luaL_error(L, "the word changed at every one of %d tries", ATOMIC_TRIES);
}
#endif

/* Inline, so that the compiler makes of each method its one operation. */
static inline int apply(lua_State *L, atomic_operation op, uint64_t sign) {
  atomic *n = check_atomic(L);
  uint64_t operand = check_operand(L, 2) * sign;
  check_writable(L, &n->view);
  void *word = check_word(L, n);
  return atomic_is_wide(n) ? apply64(L, n, word, op, operand)
                           : push_result(L, n, atomic_apply32(word, op, (uint32_t)operand));
}

static int atomic_add(lua_State *L) {
  return apply(L, ATOMIC_ADD, 1);
}

static int atomic_sub(lua_State *L) {
  return apply(L, ATOMIC_ADD, (uint64_t)-1);
}

static int atomic_band(lua_State *L) {
  return apply(L, ATOMIC_AND, 1);
}

static int atomic_bor(lua_State *L) {
  return apply(L, ATOMIC_OR, 1);
}

static int atomic_bxor(lua_State *L) {
  return apply(L, ATOMIC_XOR, 1);
}

static int atomic_swap(lua_State *L) {
  return apply(L, ATOMIC_SWAP, 1);
}

/* load() -> value */
static int atomic_load(lua_State *L) {
  atomic *n = check_atomic(L);
  return push_result(L, n, atomic_load_word(n, check_word(L, n)));
}

/* store(value) -> true */
static int atomic_store(lua_State *L) {
  atomic *n = check_atomic(L);
  uint64_t bits = check_operand(L, 2);
  check_writable(L, &n->view);
  void *word = check_word(L, n);
  atomic_store_word(n, word, bits);
  return push_view_done(L, &n->view, view_status(&n->view));
}

/* cas(expected, new) -> true | false, actual */
static int atomic_cas(lua_State *L) {
  atomic *n = check_atomic(L);
  uint64_t expected = check_operand(L, 2);
  uint64_t bits = check_operand(L, 3);
  check_writable(L, &n->view);
  void *word = check_word(L, n);
  bool done = atomic_exchange(n, word, &expected, bits);
  int err = view_status(&n->view);
  if (err)
    return push_view_failure(L, &n->view, err);
  lua_pushboolean(L, done);
  if (done)
    return 1;
  push_value(L, n, expected);
  return 2;
}

static void check_narrow(lua_State *L, const atomic *n) {
  if (atomic_is_wide(n))
    luaL_error(L, "only an i32 or u32 can be waited for, not an %s", scalar_names[n->type]);
}

/* Is the word there? SHMSEG_CLOSED: Lua code has closed the segment, or made it shorter. */
static int word_status(const atomic *n) {
  bool gone = view_is_closed(&n->view) || view_limit(&n->view) < n->view.size;
  return gone ? SHMSEG_CLOSED : 0;
}

/* Waits once. */
static int wait_for_change(const atomic *n, uint32_t seen, uint32_t *now, int64_t deadline) {
  if (word_status(n) != 0)
    return SHMSEG_CLOSED;
  const uint32_t *word = (uint32_t *)(n->view.segment->data + n->view.offset);
  int err = shmseg_wait_word(n->view.segment, word, seen, deadline);
  if (err)
    return err;
  *now = load_ordered(word);
  return *now == seen ? shmseg_wait_again(deadline) : 0;
}

/* wait(seen [, timeout]) -> value | nil, "timeout" */
static int atomic_wait(lua_State *L) {
  atomic *n = check_atomic(L);
  uint32_t now = 0, seen = (uint32_t)check_operand(L, 2);
  wait wait = wait_until(opt_deadline(L, 3));
  int err;
  check_narrow(L, n);
  check_word(L, n);
  check_shared(L, &n->view);
  do
    err = wait_for_change(n, seen, &now, wait.deadline);
  while (wait_again(L, &wait, &err));
  if (err == SHMSEG_TIMEOUT || err == SHMSEG_INTERRUPTED)
    return push_outcome(L, err == SHMSEG_TIMEOUT ? "timeout" : "interrupted");
  if (err == SHMSEG_CLOSED)
    check_word(L, n); /* raises */
  return err ? push_view_failure(L, &n->view, err) : push_result(L, n, now);
}

static int arm_watch(watch *w, uint64_t seen) {
  const atomic *n = w->what;
  int err = word_status(n);
  return err ? err
             : shmseg_segment_watch(n->view.segment, n->view.offset, (uint32_t)seen, &w->core);
}

static int fail_watch(lua_State *L, const watch *w, int err) {
  const atomic *n = w->what;
  const char *hint = watch_hint(err);
  if (err == SHMSEG_CLOSED)
    check_word(L, n); /* raises */
  if (!hint)
    return push_view_failure(L, &n->view, err);
  return push_failure(L, err, push_subject(L, "segment", n->view.segment->place.name), hint);
}

/* watch(seen) -> watch | nil, message, code */
static int atomic_watch(lua_State *L) {
  static const watch_source source = { .arm = arm_watch, .fail = fail_watch, .see = check_operand };
  atomic *n = check_atomic(L);
  uint64_t seen = check_operand(L, 2);
  check_narrow(L, n);
  check_word(L, n);
  check_shared(L, &n->view);
  return push_armed_watch(L, &source, seen);
}

/* notify([count]) -> how many were woken */
static int atomic_notify(lua_State *L) {
  atomic *n = check_atomic(L);
  int64_t count = lua_isnoneornil(L, 2) ? SHMSEG_WAKE_ALL : check_integer(L, 2);
  luaL_argcheck(L, count >= 0, 2, "negative number of waiters");
  check_narrow(L, n);
  const uint32_t *word = check_word(L, n);
  int woken = 0;
  if (count > 0)
    woken = shmseg_wait_wake(word, count < SHMSEG_WAKE_ALL ? (int)count : SHMSEG_WAKE_ALL);
  if (woken < 0)
    return push_view_failure(L, &n->view, SHMSEG_TRUNCATED);
  lua_pushinteger(L, woken);
  return 1;
}

static int atomic_tostring(lua_State *L) {
  atomic *n = check_atomic(L);
  lua_pushfstring(L, CLASS " (%s)", view_is_closed(&n->view) ? "closed" : scalar_names[n->type]);
  return 1;
}

/* Pushes an atomic for the word that is inner bytes behind the offset of argument 2. */
static int push_atomic(lua_State *L, uint64_t inner) {
  view *v = check_view(L, 1);
  uint64_t offset = check_size(L, 2);
  scalar type = scalars[check_option(L, 3, types)];
  push_views(L, 1);
  atomic *n = push_part(L, lua_gettop(L), sizeof *n, &atomic_tag);
  n->type = type;
  luaL_getmetatable(L, CLASS);
  lua_setmetatable(L, -2);
  uint64_t size = scalar_size(type);
  check_bytes(L, v, 2, offset, inner <= INT64_MAX ? inner + size : inner);
  if ((v->offset + offset + inner) % size != 0)
    luaL_argerror(L, 2,
                  lua_pushfstring(L, "misaligned: an %s lies at a multiple of %d",
                                  scalar_names[type], (int)size));
  view_aim(&n->view, v, offset + inner, size);
  return 1;
}

/* segment:atomic(offset, type) -> atomic */
static int segment_atomic(lua_State *L) {
  return push_atomic(L, 0);
}

/* atomic(segment, offset of a struct, type, offset of the field in it) -> atomic */
static int field_atomic(lua_State *L) {
  return push_atomic(L, check_size(L, 4));
}

static const luaL_Reg methods[] = {
  { "add", atomic_add },   { "band", atomic_band },     { "bor", atomic_bor },
  { "bxor", atomic_bxor }, { "cas", atomic_cas },       { "load", atomic_load },
  { "sub", atomic_sub },   { "store", atomic_store },   { "swap", atomic_swap },
  { "wait", atomic_wait }, { "notify", atomic_notify }, { "watch", atomic_watch },
  { NULL, NULL },
};

static const luaL_Reg metamethods[] = { { "__tostring", atomic_tostring }, { NULL, NULL } };

const luaL_Reg segment_atomic_methods[] = { { "atomic", segment_atomic }, { NULL, NULL } };

void binding_open_atomic(lua_State *L) {
  binding_new_class(L, CLASS, metamethods, methods);
  lua_pop(L, 2);
  lua_pushcfunction(L, field_atomic);
  lua_setfield(L, -2, "atomic");
}
