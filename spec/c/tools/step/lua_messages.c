/* SPDX-License-Identifier: MIT */
/* The stepper inside of Lua: cell, queue and broadcast. */
#include "nouns/queue/step.h"
#include "step/script.h"

#define LOCK 64 /* of cell and broadcast */

#define AFTER(function)                                                                            \
  { STEP_DIES, function, NULL }

static void die_inside(void) {
  step_enter_lock(LOCK);
}

static void die_pushing(void) {
  step_enter_lock(PRODUCERS);
}

static void die_taking(void) {
  step_enter_lock(CONSUMERS);
}

/* --- cell ------------------------------------------------------------------------------------- */

START(cell_open, "c = assert(cell.open(name))")
START(cell_old, "c = assert(cell.open(name)) assert(c:set(message('a', 24)) == 1)")
START(cell_reader, "c = assert(cell.open(name, 'r')) a24 = message('a', 24)")
START(cell_sleeper, "c = assert(cell.open(name)) local v, n = c:wait(1, 0.2) "
                    "assert(v == nil and n == 'timeout' or v == message('b', 40) and n == 2)")
SCRIPT(cell_set, "assert(c:set(message('b', 40)))")
SCRIPT(cell_cas, "assert(c:cas(1, message('c', 13)) == 2)")
SCRIPT(cell_cas_misses, "local hit, actual = c:cas(0, 'x') assert(hit == false and actual == 1)")
SCRIPT(cell_get, "local v, n = c:get() assert(v == a24 and n == 1)")
SCRIPT(cell_wait, "local v, n = c:wait() assert(v == a24 and n == 1)")
SCRIPT(cell_changes, "for v, n in c:changes() do assert(v == a24 and n == 1) break end")
SCRIPT(cell_in_vain, "assert(select(2, c:wait(1, 0.02)) == 'timeout')")

const step_case script_cell_cases[] = {
  { .sentence = "set, no value yet",
    .prepare = cell_open,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    LOCKS,
    .outcomes = { "none", "1:b40" } },
  { .sentence = "set over another value",
    .prepare = cell_old,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "set, a writer died",
    .actors = { AFTER(cell_old), AFTER(die_inside) },
    .prepare = cell_open,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    LOCKS,
    .outcomes = { "1:a24", "2:b40" } },
  { .sentence = "set, two sleep",
    .actors = { { STEP_SLEEPS, cell_sleeper, NULL }, { STEP_SLEEPS, cell_sleeper, NULL } },
    .prepare = cell_old,
    .operate = cell_set,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24", "2:b40" },
    .wakes = 2 },
  { .sentence = "cas that hits",
    .prepare = cell_old,
    .operate = cell_cas,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24", "2:c13" } },
  { .sentence = "cas that misses",
    .prepare = cell_old,
    .operate = cell_cas_misses,
    ENTRY(shmseg_cell_set_until),
    HELD,
    .outcomes = { "1:a24" } },
  { .sentence = "get by a reader, a writer died",
    .actors = { AFTER(cell_old), AFTER(die_inside) },
    .prepare = cell_reader,
    .operate = cell_get,
    ENTRY(shmseg_cell_peek),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "wait by a reader",
    .actors = { AFTER(cell_old) },
    .prepare = cell_reader,
    .operate = cell_wait,
    ENTRY(shmseg_cell_wait),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "changes, a reader",
    .actors = { AFTER(cell_old) },
    .prepare = cell_reader,
    .operate = cell_changes,
    ENTRY(shmseg_cell_wait),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { .sentence = "wait in vain by a reader",
    .actors = { AFTER(cell_old) },
    .prepare = cell_reader,
    .operate = cell_in_vain,
    ENTRY(shmseg_cell_wait),
    HELD,
    .outcomes = { "1:a24" },
    .changes_nothing = true },
  { 0 },
};

/* --- queue ------------------------------------------------------------------------------------ */

START(queue_open, "q = assert(queue.open(name)) a8, b8 = message('a', 8), message('b', 8)")
START(queue_two, "q = assert(queue.open(name)) a8, b8 = message('a', 8), message('b', 8) "
                 "q:push(a8) q:push(b8)")
START(queue_full, "q = assert(queue.open(name)) a8, b8 = message('a', 8), message('b', 8) "
                  "q:push(a8) q:push(b8) q:push(message('c', 8))")
START(queue_reader, "q = assert(queue.open(name, 'r'))")
START(queue_consumer, "q = assert(queue.open(name)) m = q:pop(0.2)")
START(queue_producer, "q = assert(queue.open(name)) p = message('p', 8) m = q:push(p, 0.2)")
SCRIPT(queue_give_back, "if m then q:push(m) end")
SCRIPT(queue_withdraw,
       "for _, v in ipairs(m and q:drain() or {}) do if v ~= p then q:push(v) end end")
SCRIPT(queue_push_a, "assert(q:push(a8, 5) == true)")
SCRIPT(queue_push_around, "assert(q:push(message('d', 24), 0))")
SCRIPT(queue_in_vain, "assert(select(2, q:push(a8, 0)) == 'timeout')")
SCRIPT(queue_pop, "assert(q:pop(5) == a8)")
SCRIPT(queue_pop_around, "assert(q:pop(5) == message('d', 24))")
SCRIPT(queue_pop_in_vain, "assert(select(2, q:pop(0.02)) == 'timeout')")
SCRIPT(queue_messages, "for m in q:messages() do assert(m == a8) break end")
SCRIPT(queue_drain, "local l = q:drain() assert(#l == 2 and l[1] == a8 and l[2] == b8)")
SCRIPT(queue_turn, "q:pop() q:pop()")
SCRIPT(queue_shut, "assert(q:shutdown())")
SCRIPT(queue_len, "assert(#q == 2 and q:stats().bytes == 32)")

static void queue_turned(void) {
  queue_two(), queue_turn();
}

static void queue_around(void) {
  queue_turned(), queue_push_around();
}

const step_case script_queue_cases[] = {
  { .sentence = "push",
    .prepare = queue_open,
    .operate = queue_push_a,
    ENTRY(shmseg_queue_push),
    LOCKS,
    .outcomes = { "empty", "a8" } },
  { .sentence = "push around the end of the ring",
    .prepare = queue_turned,
    .operate = queue_push_around,
    ENTRY(shmseg_queue_push),
    HELD,
    .outcomes = { "empty", "d24" } },
  { .sentence = "push in vain, full",
    .prepare = queue_full,
    .operate = queue_in_vain,
    ENTRY(shmseg_queue_push),
    HELD,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push, a producer died",
    .actors = { AFTER(die_pushing) },
    .prepare = queue_open,
    .operate = queue_push_a,
    ENTRY(shmseg_queue_push),
    LOCKS,
    .outcomes = { "empty", "a8" } },
  { .sentence = "push, two consumers sleep",
    .actors = { { STEP_SLEEPS, queue_consumer, queue_give_back },
                { STEP_SLEEPS, queue_consumer, queue_give_back } },
    .prepare = queue_open,
    .operate = queue_push_a,
    ENTRY(shmseg_queue_push),
    LOCKS,
    .outcomes = { "empty", "a8" },
    .wakes = 2 },
  { .sentence = "pop",
    .prepare = queue_two,
    .operate = queue_pop,
    ENTRY(shmseg_queue_peek),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop around the end of the ring",
    .prepare = queue_around,
    .operate = queue_pop_around,
    ENTRY(shmseg_queue_peek),
    HELD,
    .outcomes = { "d24", "empty" } },
  { .sentence = "pop, a consumer died",
    .actors = { AFTER(queue_two), AFTER(die_taking) },
    .prepare = queue_open,
    .operate = queue_pop,
    ENTRY(shmseg_queue_peek),
    LOCKS,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop in vain",
    .prepare = queue_open,
    .operate = queue_pop_in_vain,
    ENTRY(shmseg_queue_peek),
    LOCKS,
    .outcomes = { "empty" } },
  { .sentence = "pop, a producer sleeps",
    .actors = { { STEP_SLEEPS, queue_producer, queue_withdraw } },
    .prepare = queue_full,
    .operate = queue_pop,
    ENTRY(shmseg_queue_peek),
    HELD,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "one of the messages",
    .prepare = queue_two,
    .operate = queue_messages,
    ENTRY(shmseg_queue_peek),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "drain",
    .prepare = queue_two,
    .operate = queue_drain,
    ENTRY(shmseg_queue_bytes),
    HELD,
    .outcomes = { "a8 b8", "empty" } },
  { .sentence = "shutdown, two consumers sleep",
    .actors = { { STEP_SLEEPS, queue_consumer, queue_give_back },
                { STEP_SLEEPS, queue_consumer, queue_give_back } },
    .prepare = queue_open,
    .operate = queue_shut,
    ENTRY(shmseg_queue_shutdown),
    HELD,
    .outcomes = { "empty", "empty shut" },
    .wakes = 2 },
  { .sentence = "shutdown with messages",
    .prepare = queue_two,
    .operate = queue_shut,
    ENTRY(shmseg_queue_shutdown),
    HELD,
    .outcomes = { "a8 b8", "a8 b8 shut" } },
  { .sentence = "the length, a reader",
    .actors = { AFTER(queue_two), AFTER(die_taking) },
    .prepare = queue_reader,
    .operate = queue_len,
    ENTRY(shmseg_queue_count_on),
    HELD,
    .outcomes = { "a8 b8" },
    .changes_nothing = true },
  { 0 },
};

/* --- broadcast -------------------------------------------------------------------------------- */

START(broadcast_open, "b = assert(broadcast.open(name))")
START(broadcast_two, "b = assert(broadcast.open(name)) "
                     "b:publish(message('a', 8)) b:publish(message('b', 8))")
START(broadcast_reader, "s = assert(broadcast.open(name, 'r')):subscribe('oldest') "
                        "a8, b8 = message('a', 8), message('b', 8)")
START(broadcast_late, "s = assert(broadcast.open(name)):subscribe('oldest')")
START(broadcast_sleeper, "s = assert(broadcast.open(name)):subscribe() local v, n = s:next(0.2) "
                         "assert(v == nil or v == message('c', 8) and n == 3)")
SCRIPT(broadcast_catch_up, "local next = 1 for _ = 1, 9 do local v, n, lost = s:next(0) "
                           "if not v then break end assert(n == next + lost) next = n + 1 end")
SCRIPT(broadcast_publish, "assert(b:publish(message('c', 8)))")
SCRIPT(broadcast_all, "assert(b:publish(message('d', 40)) == 3)")
SCRIPT(broadcast_shut, "assert(b:shutdown())")
SCRIPT(broadcast_next, "local v, n, lost = s:next() assert(v == a8 and n == 1 and lost == 0) "
                       "for v, n in s:messages() do assert(v == b8 and n == 2) break end")
SCRIPT(broadcast_in_vain, "s:next() s:next() assert(select(2, s:next(0.02)) == 'timeout')")

#define LATE_ONE                                                                                   \
  { STEP_STAYS, broadcast_late, broadcast_catch_up }

const step_case script_broadcast_cases[] = {
  { .sentence = "publish",
    .actors = { LATE_ONE },
    .prepare = broadcast_open,
    .operate = broadcast_publish,
    ENTRY(shmseg_broadcast_publish_until),
    LOCKS,
    .outcomes = { "none, then 1", "1:c8, then 2" } },
  { .sentence = "publish over the oldest",
    .actors = { AFTER(broadcast_two), LATE_ONE },
    .prepare = broadcast_open,
    .operate = broadcast_publish,
    ENTRY(shmseg_broadcast_publish_until),
    LOCKS,
    .outcomes = { "1:a8 2:b8, then 3", "2:b8, then 3", "2:b8 3:c8, then 4" } },
  { .sentence = "publish over all",
    .actors = { AFTER(broadcast_two), LATE_ONE },
    .prepare = broadcast_open,
    .operate = broadcast_all,
    ENTRY(shmseg_broadcast_publish_until),
    LOCKS,
    .outcomes = { "1:a8 2:b8, then 3", "none, then 3", "3:d40, then 4" } },
  { .sentence = "publish, a publisher died",
    .actors = { AFTER(die_inside) },
    .prepare = broadcast_open,
    .operate = broadcast_publish,
    ENTRY(shmseg_broadcast_publish_until),
    LOCKS,
    .outcomes = { "none, then 1", "1:c8, then 2" } },
  { .sentence = "publish, two sleep",
    .actors = { { STEP_SLEEPS, broadcast_sleeper, NULL },
                { STEP_SLEEPS, broadcast_sleeper, NULL } },
    .prepare = broadcast_two,
    .operate = broadcast_publish,
    ENTRY(shmseg_broadcast_publish_until),
    HELD,
    .outcomes = { "1:a8 2:b8, then 3", "2:b8, then 3", "2:b8 3:c8, then 4" },
    .wakes = 2 },
  { .sentence = "shutdown, two sleep",
    .actors = { { STEP_SLEEPS, broadcast_sleeper, NULL },
                { STEP_SLEEPS, broadcast_sleeper, NULL } },
    .prepare = broadcast_open,
    .operate = broadcast_shut,
    ENTRY(shmseg_broadcast_shutdown),
    HELD,
    .outcomes = { "none, then 1", "none, then 1, shut" },
    .wakes = 2 },
  { .sentence = "next, a reader",
    .actors = { AFTER(broadcast_two), AFTER(die_inside) },
    .prepare = broadcast_reader,
    .operate = broadcast_next,
    ENTRY(shmseg_subscription_next),
    HELD,
    .outcomes = { "1:a8 2:b8, then 3" },
    .changes_nothing = true },
  { .sentence = "next in vain, a reader",
    .actors = { AFTER(broadcast_two) },
    .prepare = broadcast_reader,
    .operate = broadcast_in_vain,
    ENTRY(shmseg_subscription_next),
    HELD,
    .outcomes = { "1:a8 2:b8, then 3" },
    .changes_nothing = true },
  { 0 },
};

/* --- making ------------------------------------------------------------------------------------ */

START(slice, "seg = assert(segment.open(name)) option = { capacity = 40 }")
SCRIPT(build_cell, "assert(cell.open(seg, 'c', option))")
SCRIPT(build_queue, "assert(queue.open(seg, 'c', option))")
SCRIPT(build_broadcast, "assert(broadcast.open(seg, 'c', option))")

#define BUILD(noun)                                                                                \
  const step_case script_build_##noun##_cases[] = { { .sentence = "made of zeroes",                \
                                                      .prepare = slice,                            \
                                                      .operate = build_##noun,                     \
                                                      ENTRY(shmseg_##noun##_open),                 \
                                                      LOCKS,                                       \
                                                      .outcomes = { "none", "there" } },           \
                                                    { 0 } }

BUILD(cell);
BUILD(queue);
BUILD(broadcast);
