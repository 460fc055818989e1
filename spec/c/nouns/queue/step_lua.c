/* SPDX-License-Identifier: MIT */
/* The queue, stepped through Lua. */
#include "nouns/queue/step.h"
#include "step/script.h"

static void die_pushing(void) {
  step_enter_lock(PRODUCERS);
}

START(q_open, "q = assert(queue.open(name)) a8, b8 = message('a', 8), message('b', 8)")
START(q_two, "q = assert(queue.open(name)) a8, b8 = message('a', 8), message('b', 8) "
             "q:push(a8) q:push(b8)")
START(q_full, "q = assert(queue.open(name)) a8, b8 = message('a', 8), message('b', 8) "
              "q:push(a8) q:push(b8) q:push(message('c', 8))")
START(q_target, "q = assert(queue.open(name)) a8, b8 = message('a', 8), message('b', 8) "
                "c8 = message('c', 8) t = assert(segment.anonymous(64))")
START(q_consumer_of_all, "q = assert(queue.open(name)) m = q:drain(3, 0.2)")
START(q_reader, "q = assert(queue.open(name, 'r'))")
START(q_consumer, "q = assert(queue.open(name)) m = q:pop(0.2)")
START(q_producer, "q = assert(queue.open(name)) p = message('p', 8) m = q:push(p, 0.2)")
SCRIPT(q_give_back, "if m then q:push(m) end")
SCRIPT(q_give_all_back, "if m then q:push_many(m) end")
SCRIPT(q_withdraw, "for _, v in ipairs(m and q:drain() or {}) do if v ~= p then q:push(v) end end")
SCRIPT(q_push_a, "assert(q:push(a8, 5) == true)")
SCRIPT(q_push_around, "assert(q:push(message('d', 24), 0))")
SCRIPT(q_in_vain, "assert(select(2, q:push(a8, 0)) == 'timeout')")
SCRIPT(q_pop, "assert(q:pop(5) == a8)")
SCRIPT(q_pop_around, "assert(q:pop(5) == message('d', 24))")
SCRIPT(q_pop_in_vain, "assert(select(2, q:pop(0.02)) == 'timeout')")
SCRIPT(q_messages, "for m in q:messages() do assert(m == a8) break end")
SCRIPT(q_drain, "local l = q:drain() assert(#l == 2 and l[1] == a8 and l[2] == b8)")
SCRIPT(q_drain_one, "local l = q:drain(1) assert(#l == 1 and l[1] == a8)")
SCRIPT(q_drain_wait, "local l = q:drain(2, 5) assert(#l == 2 and l[1] == a8 and l[2] == b8)")
SCRIPT(q_drain_in_vain, "assert(select(2, q:drain(2, 0.02)) == 'timeout')")
SCRIPT(q_drain_around, "local l = q:drain() assert(#l == 1 and l[1] == message('d', 24))")
SCRIPT(q_pop_into, "assert(q:pop_into(t, 16, 5) == 8 and t:read(16, 8) == a8)")
SCRIPT(q_pop_into_around, "assert(q:pop_into(t, 0, 5) == 24 and t:read(0, 24) == message('d', 24))")
SCRIPT(q_pop_into_less, "assert(select(3, q:pop_into(t, 60, 5)) == 'too small')")
SCRIPT(q_push_many, "assert(q:push_many({ a8, b8 }, 5) == 2)")
SCRIPT(q_push_slice, "assert(q:push_many({ t, b8 }, 5) == 2)")
SCRIPT(q_push_three_of_four, "local n, _, code = q:push_many({ a8, b8, c8, a8 }, 0) "
                             "assert(n == 3 and code == 'timeout')")
SCRIPT(q_turn, "q:pop() q:pop()")
SCRIPT(q_shut, "assert(q:shutdown())")
SCRIPT(q_len, "assert(#q == 2 and q:stats().bytes == 32)")

static void q_turned(void) {
  q_two(), q_turn();
}

static void q_around(void) {
  q_turned(), q_push_around();
}

/* The same with a segment to copy into, and from. */
static void q_target_two(void) {
  q_target(), q_push_many();
}

static void q_target_around(void) {
  q_target_two(), q_turn(), q_push_around();
}

static void q_target_d(void) {
  q_target(), script_run("t = assert(segment.anonymous(8)) t:write(0, message('d', 8))");
}

static const step_case scripted_cases[] = {
  { .sentence = "push",
    .prepare = q_open,
    .operate = q_push_a,
    ENTRY(shmseg_queue_push_many),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8" } },
  { .sentence = "push around the end of the ring",
    .prepare = q_turned,
    .operate = q_push_around,
    ENTRY(shmseg_queue_push_many),
    HELD,
    .outcomes = { "empty", "d24" } },
  { .sentence = "push in vain, full",
    .prepare = q_full,
    .operate = q_in_vain,
    ENTRY(shmseg_queue_push_many),
    HELD,
    .outcomes = { "a8 b8 c8" } },
  { .sentence = "push, a producer died",
    .actors = { AFTER(die_pushing) },
    .prepare = q_open,
    .operate = q_push_a,
    ENTRY(shmseg_queue_push_many),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8" } },
  { .sentence = "push, two consumers sleep",
    .actors = { { STEP_SLEEPS, q_consumer, q_give_back },
                { STEP_SLEEPS, q_consumer, q_give_back } },
    .prepare = q_open,
    .operate = q_push_a,
    ENTRY(shmseg_queue_push_many),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8" },
    .wakes = 2 },
  { .sentence = "pop",
    .prepare = q_two,
    .operate = q_pop,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop around the end of the ring",
    .prepare = q_around,
    .operate = q_pop_around,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "d24", "empty" } },
  { .sentence = "pop, a producer died",
    .actors = { AFTER(q_two), AFTER(die_pushing) },
    .prepare = q_open,
    .operate = q_pop,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop in vain",
    .prepare = q_open,
    .operate = q_pop_in_vain,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "empty" } },
  { .sentence = "pop, a producer sleeps",
    .actors = { { STEP_SLEEPS, q_producer, q_withdraw } },
    .prepare = q_full,
    .operate = q_pop,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "one of the messages",
    .prepare = q_two,
    .operate = q_messages,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "drain",
    .prepare = q_two,
    .operate = q_drain,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "empty" } },
  { .sentence = "drain at most one",
    .prepare = q_two,
    .operate = q_drain_one,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "drain around the end of the ring",
    .prepare = q_around,
    .operate = q_drain_around,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "d24", "empty" } },
  { .sentence = "drain with a timeout, a producer died",
    .actors = { AFTER(q_two), AFTER(die_pushing) },
    .prepare = q_open,
    .operate = q_drain_wait,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "empty" } },
  { .sentence = "drain in vain with a timeout",
    .prepare = q_open,
    .operate = q_drain_in_vain,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "empty" } },
  { .sentence = "drain one, a producer sleeps",
    .actors = { { STEP_SLEEPS, q_producer, q_withdraw } },
    .prepare = q_full,
    .operate = q_drain_one,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8 c8", "b8 c8" },
    .wakes = 1 },
  { .sentence = "pop into a segment",
    .prepare = q_target_two,
    .operate = q_pop_into,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8", "b8" } },
  { .sentence = "pop into a segment, around the end of the ring",
    .prepare = q_target_around,
    .operate = q_pop_into_around,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "d24", "empty" } },
  { .sentence = "pop into a segment that is too small",
    .prepare = q_target_two,
    .operate = q_pop_into_less,
    ENTRY(shmseg_queue_look),
    HELD,
    .outcomes = { "a8 b8" },
    .changes_nothing = true },
  { .sentence = "push_many",
    .prepare = q_open,
    .operate = q_push_many,
    ENTRY(shmseg_queue_push_many),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8 b8" } },
  { .sentence = "push_many of a segment and a string, around the end of the ring",
    .actors = { AFTER(q_turned) },
    .prepare = q_target_d,
    .operate = q_push_slice,
    ENTRY(shmseg_queue_push_many),
    TAKES_IDENTITY,
    .outcomes = { "empty", "d8 b8" } },
  { .sentence = "push_many of as many as fit",
    .prepare = q_target,
    .operate = q_push_three_of_four,
    ENTRY(shmseg_queue_push_many),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8 b8 c8" } },
  { .sentence = "push_many, two consumers of all sleep",
    .actors = { { STEP_SLEEPS, q_consumer_of_all, q_give_all_back },
                { STEP_SLEEPS, q_consumer_of_all, q_give_all_back } },
    .prepare = q_open,
    .operate = q_push_many,
    ENTRY(shmseg_queue_push_many),
    TAKES_IDENTITY,
    .outcomes = { "empty", "a8 b8" },
    .wakes = 2 },
  { .sentence = "shutdown, two consumers sleep",
    .actors = { { STEP_SLEEPS, q_consumer, q_give_back },
                { STEP_SLEEPS, q_consumer, q_give_back } },
    .prepare = q_open,
    .operate = q_shut,
    ENTRY(shmseg_queue_shutdown),
    HELD,
    .outcomes = { "empty", "empty shut" },
    .wakes = 2 },
  { .sentence = "shutdown with messages",
    .prepare = q_two,
    .operate = q_shut,
    ENTRY(shmseg_queue_shutdown),
    HELD,
    .outcomes = { "a8 b8", "a8 b8 shut" } },
  { .sentence = "the length, a reader",
    .actors = { AFTER(q_two), AFTER(die_pushing) },
    .prepare = q_reader,
    .operate = q_len,
    ENTRY(shmseg_queue_count_on),
    HELD,
    .outcomes = { "a8 b8" },
    .changes_nothing = true },
  { 0 },
};

SCRIPT_PLAY("queue", scripted_cases);
