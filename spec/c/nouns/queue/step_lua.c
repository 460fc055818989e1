/* SPDX-License-Identifier: MIT */
/* The queue, stepped through Lua. */
#include "nouns/queue/step.h"
#include "step/script.h"

static void die_pushing(void) {
  step_enter_lock(PRODUCERS);
}

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

static const step_case scripted_cases[] = {
  { .sentence = "push",
    .prepare = queue_open,
    .operate = queue_push_a,
    ENTRY(shmseg_queue_push),
    TAKES_IDENTITY,
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
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8" } },
  { .sentence = "push, two consumers sleep",
    .actors = { { STEP_SLEEPS, queue_consumer, queue_give_back },
                { STEP_SLEEPS, queue_consumer, queue_give_back } },
    .prepare = queue_open,
    .operate = queue_push_a,
    ENTRY(shmseg_queue_push),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8" },
    .wakes = 2 },
  { .sentence = "pop",
    .prepare = queue_two,
    .operate = queue_pop,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop around the end of the ring",
    .prepare = queue_around,
    .operate = queue_pop_around,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "d24", "empty" } },
  { .sentence = "pop, a producer died",
    .actors = { AFTER(queue_two), AFTER(die_pushing) },
    .prepare = queue_open,
    .operate = queue_pop,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop in vain",
    .prepare = queue_open,
    .operate = queue_pop_in_vain,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "empty" } },
  { .sentence = "pop, a producer sleeps",
    .actors = { { STEP_SLEEPS, queue_producer, queue_withdraw } },
    .prepare = queue_full,
    .operate = queue_pop,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "one of the messages",
    .prepare = queue_two,
    .operate = queue_messages,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "drain",
    .prepare = queue_two,
    .operate = queue_drain,
    ENTRY(shmseg_queue_look),
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
    .actors = { AFTER(queue_two), AFTER(die_pushing) },
    .prepare = queue_reader,
    .operate = queue_len,
    ENTRY(shmseg_queue_count_on),
    HELD,
    .outcomes = { "a8 b8" },
    .changes_nothing = true },
  { 0 },
};

SCRIPT_PLAY("queue", scripted_cases);
