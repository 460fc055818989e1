/* SPDX-License-Identifier: MIT */
/* The dict, stepped through Lua. */
#include "nouns/dict/step.h"
#include "step/script.h"

#define OPEN                                                                                       \
  "d = assert(dict.open(name)) a8, b8 = message('a', 8), message('b', 8) a60 = message('a', 60) "

START(d_open, OPEN)
START(d_two, OPEN "d:set('a', a8) d:set('b', b8)")
START(d_hot, OPEN "d:set('a', 5) d:incr('a', 2)")
START(d_list, OPEN "d:rpush('l', a8) d:rpush('l', b8)")
START(d_claim, OPEN "c = assert(d:claim('a'))")
START(d_flushed, OPEN "d:set('a', a8) d:set('b', b8) d:flush_all()")
START(d_watcher, "d = assert(dict.open(name)) d:wait('a', d:get('a'), 0.2)")
SCRIPT(d_get, "assert(d:get('a') == a8)")
SCRIPT(d_set, "assert(d:set('a', a60, 0))")
SCRIPT(d_set_brief, "assert(d:set('a', a60, 3600))")
SCRIPT(d_add, "assert(d:add('a', a8))")
SCRIPT(d_add_in_vain, "local ok, why = d:add('a', b8) assert(not ok and why == 'exists')")
SCRIPT(d_set_many, "assert(d:set_many({ a = a8 }))")
SCRIPT(d_delete, "d:delete('a')")
SCRIPT(d_set_nil, "d:set('a', nil)")
SCRIPT(d_incr, "assert(d:incr('a', 3) == 10)")
SCRIPT(d_incr_first, "assert(d:incr('a', 3, 4) == 7)")
SCRIPT(d_incr_float, "assert(d:incr('a', 1.0) == 8.0)")
SCRIPT(d_cas, "assert(d:cas('a', 7, a8))")
SCRIPT(d_update, "assert(d:update('a', function(v) return v + 1 end) == 8)")
SCRIPT(d_lpush, "assert(d:lpush('l', message('c', 8)) == 3)")
SCRIPT(d_rpush_first, "assert(d:rpush('l', 42) == 1)")
SCRIPT(d_lpop, "assert(d:lpop('l') == a8)")
SCRIPT(d_rpop, "assert(d:rpop('l') == b8)")
SCRIPT(d_expire, "assert(d:expire('a', 3600))")
SCRIPT(d_flush, "d:flush_all()")
SCRIPT(d_claim_set, "assert(c:set(a60))")
SCRIPT(d_claim_cancel, "c:cancel()")
SCRIPT(d_fetch, "assert(d:fetch('a', function() return a8 end) == a8)")

/* Writers find what one has left who died with the stripe's lock. */
static void die_inside(void) {
  step_enter_lock(DICT_STRIPES + STRIPE_LOCK);
}

#define DICT_CASE(what, state, call, function, ...)                                                \
  {                                                                                                \
    .sentence = what, .actors = { AFTER(step_dict_fix_hash) }, .prepare = state, .operate = call,  \
    ENTRY(function), HELD, .outcomes = {                                                           \
      __VA_ARGS__                                                                                  \
    }                                                                                              \
  }

static const step_case scripted_cases[] = {
  { .sentence = "set, the first one",
    .actors = { AFTER(step_dict_fix_hash) },
    .prepare = d_open,
    .operate = d_set,
    ENTRY(shmseg_dict_store),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a:a60" } },
  DICT_CASE("set", d_two, d_set, shmseg_dict_store, "a:a8 b:b8", "a:a60 b:b8"),
  { .sentence = "set, another writer died",
    .actors = { AFTER(step_dict_fix_hash), AFTER(d_two), AFTER(die_inside) },
    .prepare = d_open,
    .operate = d_set,
    ENTRY(shmseg_dict_store),
    TAKES_IDENTITY,
    .outcomes = { "a:a8 b:b8", "a:a60 b:b8" } },
  DICT_CASE("set with a time to live", d_two, d_set_brief, shmseg_dict_store, "a:a8 b:b8",
            "a:a60~ b:b8"),
  DICT_CASE("add", d_list, d_add, shmseg_dict_store, "l:[a8 b8]", "a:a8 l:[a8 b8]"),
  DICT_CASE("add in vain", d_two, d_add_in_vain, shmseg_dict_store, "a:a8 b:b8"),
  DICT_CASE("set_many", d_list, d_set_many, shmseg_dict_store, "l:[a8 b8]", "a:a8 l:[a8 b8]"),
  DICT_CASE("delete", d_two, d_delete, shmseg_dict_delete, "a:a8 b:b8", "b:b8"),
  DICT_CASE("set to nil", d_two, d_set_nil, shmseg_dict_delete, "a:a8 b:b8", "b:b8"),
  DICT_CASE("get", d_two, d_get, shmseg_dict_get, "a:a8 b:b8"),
  DICT_CASE("incr", d_hot, d_incr, shmseg_dict_incr, "a:7", "a:10"),
  DICT_CASE("incr of a first one", d_list, d_incr_first, shmseg_dict_incr, "l:[a8 b8]",
            "a:7 l:[a8 b8]"),
  DICT_CASE("incr to a float", d_hot, d_incr_float, shmseg_dict_incr, "a:7", "a:8.0"),
  DICT_CASE("cas", d_hot, d_cas, shmseg_dict_store, "a:7", "a:a8"),
  DICT_CASE("update", d_hot, d_update, shmseg_dict_store, "a:7", "a:8"),
  DICT_CASE("lpush", d_list, d_lpush, shmseg_dict_push, "l:[a8 b8]", "l:[c8 a8 b8]"),
  DICT_CASE("rpush of a first one", d_two, d_rpush_first, shmseg_dict_push, "a:a8 b:b8",
            "a:a8 b:b8 l:[42]"),
  DICT_CASE("lpop", d_list, d_lpop, shmseg_dict_peek, "l:[a8 b8]", "l:[b8]"),
  DICT_CASE("rpop", d_list, d_rpop, shmseg_dict_peek, "l:[a8 b8]", "l:[a8]"),
  DICT_CASE("expire", d_two, d_expire, shmseg_dict_expire, "a:a8 b:b8", "a:a8~ b:b8"),
  DICT_CASE("expire, flushed", d_flushed, d_expire, shmseg_dict_expire, "empty +2", "a:a8~ +1"),
  DICT_CASE("flush_all", d_two, d_flush, shmseg_dict_flush_all, "a:a8 b:b8", "empty +2"),
  DICT_CASE("fetch", d_list, d_fetch, shmseg_dict_claim_take, "l:[a8 b8]", "a:a8 l:[a8 b8]"),
  { .sentence = "set, somebody waits",
    .actors = { AFTER(step_dict_fix_hash), { STEP_SLEEPS, d_watcher, NULL } },
    .prepare = d_two,
    .operate = d_set,
    ENTRY(shmseg_dict_store),
    HELD,
    .outcomes = { "a:a8 b:b8", "a:a60 b:b8" },
    .wakes = 1 },
  { 0 },
};

/* A claim lives as long as the process. */
static const step_case claim_cases[] = {
  DICT_CASE("set", d_claim, d_claim_set, shmseg_dict_claim_store, "empty", "a:a60"),
  DICT_CASE("cancel", d_claim, d_claim_cancel, shmseg_dict_claim_end, "empty"),
  { 0 },
};

SCRIPT_PLAY("dict", scripted_cases);
SCRIPT_PLAY("dict, claims", claim_cases);
