/* SPDX-License-Identifier: MIT */
/* The broadcast, stepped through Lua. */
#include "step/script.h"

#define LOCK 128

static void die_inside(void) {
  step_enter_lock(LOCK);
}

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
SCRIPT(broadcast_many, "assert(b:publish_many { message('e', 8), message('f', 8) } == 4)")
SCRIPT(broadcast_drain, "local list, n, lost = s:drain() assert(#list == 2 and list[1] == a8 and "
                        "list[2] == b8 and n == 1 and lost == 0)")
SCRIPT(broadcast_all, "assert(b:publish(message('d', 40)) == 3)")
SCRIPT(broadcast_shut, "assert(b:shutdown())")
SCRIPT(broadcast_next, "local v, n, lost = s:next() assert(v == a8 and n == 1 and lost == 0) "
                       "for v, n in s:messages() do assert(v == b8 and n == 2) break end")
SCRIPT(broadcast_in_vain, "s:next() s:next() assert(select(2, s:next(0.02)) == 'timeout')")

#define LATE_ONE                                                                                   \
  { STEP_STAYS, broadcast_late, broadcast_catch_up }

static const step_case broadcast_cases[] = {
  { .sentence = "publish",
    .actors = { LATE_ONE },
    .prepare = broadcast_open,
    .operate = broadcast_publish,
    ENTRY(shmseg_broadcast_publish_until),
    TAKES_IDENTITY,
    .outcomes = { "none, then 1", "1:c8, then 2" } },
  { .sentence = "publish over the oldest",
    .actors = { AFTER(broadcast_two), LATE_ONE },
    .prepare = broadcast_open,
    .operate = broadcast_publish,
    ENTRY(shmseg_broadcast_publish_until),
    TAKES_IDENTITY,
    .outcomes = { "1:a8 2:b8, then 3", "2:b8, then 3", "2:b8 3:c8, then 4" } },
  { .sentence = "publish over all",
    .actors = { AFTER(broadcast_two), LATE_ONE },
    .prepare = broadcast_open,
    .operate = broadcast_all,
    ENTRY(shmseg_broadcast_publish_until),
    TAKES_IDENTITY,
    .outcomes = { "1:a8 2:b8, then 3", "none, then 3", "3:d40, then 4" } },
  { .sentence = "publish_many over all",
    .actors = { AFTER(broadcast_two), LATE_ONE },
    .prepare = broadcast_open,
    .operate = broadcast_many,
    ENTRY(shmseg_broadcast_publish_many),
    TAKES_IDENTITY,
    .outcomes = { "1:a8 2:b8, then 3", "none, then 3", "3:e8 4:f8, then 5" } },
  { .sentence = "publish, a publisher died",
    .actors = { AFTER(die_inside) },
    .prepare = broadcast_open,
    .operate = broadcast_publish,
    ENTRY(shmseg_broadcast_publish_until),
    TAKES_IDENTITY,
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
    ENTRY(shmseg_subscription_look),
    HELD,
    .outcomes = { "1:a8 2:b8, then 3" },
    .changes_nothing = true },
  { .sentence = "drain, a reader",
    .actors = { AFTER(broadcast_two), AFTER(die_inside) },
    .prepare = broadcast_reader,
    .operate = broadcast_drain,
    ENTRY(shmseg_subscription_look),
    HELD,
    .outcomes = { "1:a8 2:b8, then 3" },
    .changes_nothing = true },
  { .sentence = "next in vain, a reader",
    .actors = { AFTER(broadcast_two) },
    .prepare = broadcast_reader,
    .operate = broadcast_in_vain,
    ENTRY(shmseg_subscription_look),
    HELD,
    .outcomes = { "1:a8 2:b8, then 3" },
    .changes_nothing = true },
  { 0 },
};

SCRIPT_PLAY("broadcast", broadcast_cases);
