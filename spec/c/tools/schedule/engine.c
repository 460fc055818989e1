/* SPDX-License-Identifier: MIT */
/* Processes as coroutines, and their steps.
 *
 * A step comes before every access to a shared word, every call of the OS, and between operations.
 * The running process goes on at each step unless a decision of the schedule says otherwise; who is
 * next when it sleeps or ends is a decision too, when there are several (run.c). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "core/word.h"
#include "schedule/schedule.h"

#undef memset

#define STACK 262144
#define STEPS 100000       /* of one run: more is a loop without end */
#define STEPS_AT_ONCE 1000 /* of one operation: from here on each takes time */
#define LONG_STEP MILLISECOND
#define LATE (200 * MILLISECOND) /* so long may a call outlive its timeout */

world w;
static _Alignas(64) unsigned char stacks[PROCESSES][STACK];
static ucontext_t contexts[PROCESSES], starter;
static candidate noted[CANDIDATES];

/* --- reports ------------------------------------------------------------------------------ */

void engine_trace(const char *format, ...) {
  if (!w.trace || w.current == NOBODY)
    return;
  va_list arguments;
  va_start(arguments, format);
  printf("%6u  %*s%d: ", w.step, 20 * w.current, "", w.current);
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
}

void engine_fail(const char *format, ...) {
  va_list arguments;
  if (w.failure)
    return;
  va_start(arguments, format);
  vsnprintf(w.text, sizeof w.text, format, arguments);
  va_end(arguments);
  w.failure = w.text;
  engine_trace("WRONG: %s", w.text);
  if (w.current != NOBODY)
    longjmp(w.scheduler, 1);
}

/* --- processes ---------------------------------------------------------------------------- */

void engine_leave(void) {
  if (_setjmp(w.processes[w.current].here) == 0)
    _longjmp(w.scheduler, 1);
}

static void live(int p) {
  process *me = &w.processes[p];
  for (; *me->script; me->script++) {
    access between = { "between", NULL, 0, false, false, 0, false };
    engine_step(&between, NULL);
    me->op = *me->script;
    me->operand = 0;
    while (me->script[1] >= '0' && me->script[1] <= '9')
      me->operand = 10 * me->operand + (unsigned)(*++me->script - '0');
    me->op_steps = 0;
    me->deadline = SHMSEG_FOREVER;
    engine_trace(me->operand ? "begins %c%u" : "begins %c", me->op, me->operand);
    w.structure->perform(p, me->op);
    must(me->deadline == SHMSEG_FOREVER || fake.now <= me->deadline + LATE,
         "%c outlives its timeout by %ld ms", me->op,
         (long)((fake.now - me->deadline) / MILLISECOND));
    engine_trace("has done %c: %d", me->op, me->last);
    me->op = 0;
    w.progress = fake.now;
    for (int i = 0; i < PROCESSES; i++)
      w.processes[i].vain_since = 0;
    for (int i = 0; i < w.count; i++)
      w.processes[i].resume -= i != p && w.processes[i].counted;
    for (int i = 0; i < w.count; i++)
      if (w.processes[i].state == STALLED && w.processes[i].counted && w.processes[i].resume <= 0) {
        w.processes[i].state = READY;
        w.forced = i;
        engine_leave();
      }
  }
  access end = { "between", NULL, 0, false, false, 0, false };
  engine_step(&end, NULL);
}

static void body(int p) {
  if (_setjmp(w.processes[p].start) == 0)
    swapcontext(&contexts[p], &starter);
  live(w.current);
  w.processes[w.current].state = DONE;
  engine_trace("is done");
  _longjmp(w.scheduler, 1);
}

void engine_start(void) {
  w.current = NOBODY;
  w.candidates = noted;
  for (int p = 0; p < PROCESSES; p++) {
    getcontext(&contexts[p]);
    contexts[p].uc_stack.ss_sp = stacks[p];
    contexts[p].uc_stack.ss_size = STACK;
    contexts[p].uc_link = NULL;
    makecontext(&contexts[p], (void (*)(void))body, 1, p);
    swapcontext(&starter, &contexts[p]);
  }
}

void engine_enter(int p) {
  process *it = &w.processes[p];
  bool started = it->started;
  it->started = true;
  w.current = p;
  w.forced = NOBODY;
  if (_setjmp(w.scheduler) == 0)
    _longjmp(started ? it->here : it->start, 1);
  w.current = NOBODY;
}

bool engine_lives(int p) {
  return w.processes[p].state != DEAD;
}

void engine_excuse(void) {
  w.excused = true;
  w.excused_until = fake.now + VAIN;
}

void engine_die(int p) {
  process *it = &w.processes[p];
  engine_trace("%d dies", p);
  it->state = DEAD;
  it->word = NULL;
  for (int q = 0; q < PROCESSES; q++)
    w.processes[q].vain_since = 0; /* others have their time from the last death on */
  fake_died(it->id);
  engine_excuse();
  w.structure->died(p);
}

/* --- segments ----------------------------------------------------------------------------- */

shmseg_fault engine_fault; /* that of all handles: they meet the hole at once */

void engine_segment(shmseg_segment *segment) {
  shmseg_segment_init(segment);
  segment->data = block;
  segment->size = block_object;
  segment->reserved = block_size;
  segment->fd = 1000;
  segment->writable = true;
  segment->fault = &engine_fault;
}

/* A stranger has cut the object: who touches it meets zeroes. */
static void truncate(void) {
  engine_trace("the object is cut");
  w.truncated = true;
  engine_fault.code = SHMSEG_TRUNCATED;
  engine_fault.proof = 0;
}

/* --- decisions ---------------------------------------------------------------------------- */

static int bits_of(state wanted) {
  int bits = 0;
  for (int p = 0; p < w.count; p++)
    bits |= (p != w.current && w.processes[p].state == wanted) << p;
  return bits;
}

void engine_note(const access *a, bool choice, bool resumed) {
  if (w.current != NOBODY && w.processes[w.current].spins)
    return;
  if (w.next < w.code.count || w.candidate_count == CANDIDATES ||
      fake.now - w.progress > 200 * MILLISECOND)
    return;
  w.candidates[w.candidate_count++] = (candidate){
    .step = w.step,
    .ready = (unsigned char)bits_of(READY),
    .asleep = (unsigned char)bits_of(ASLEEP),
    .stale = (unsigned char)(a ? a->stale : 0),
    .choice = choice,
    .plain =
        a && a->word && !a->wait && (!a->changes || a->idle) && !memory_changes(a->word, a->size),
    .resumed = resumed,
    .word = a && a->word,
    .wait = a && a->wait,
  };
}

const decision *engine_due(void) {
  if (w.next == w.code.count || w.code.list[w.next].step != w.step)
    return NULL;
  return &w.code.list[w.next++];
}

/* The running process is stopped; goes on when it is woken by the schedule. */
static void stall(bool counted, int operations) {
  process *me = &w.processes[w.current];
  engine_trace("is stopped");
  me->state = STALLED;
  me->counted = counted;
  me->resume = operations;
  engine_excuse();
  engine_leave();
  if (me->deadline < fake.now)
    me->deadline = fake.now; /* the time that it was stopped is not its fault */
}

/* True when the running process was away: its step comes again. */
static bool decide(const decision *d, const access *a, int *stale) {
  switch (d->action) {
  case '>':
    w.forced = d->about;
    engine_leave();
    return true;
  case 'd':
    engine_die(w.current);
    engine_leave();
    return true;
  case 'k': engine_die(d->about); return false;
  case 's': stall(false, 0); return true;
  case 'r': stall(true, d->about); return true;
  case 'f':
    w.hostile = true;
    engine_excuse();
    if (d->about >= FLIPS)
      truncate();
    else if (a->word)
      memory_flip(a->word, a->size, d->about);
    return false;
  case 'o':
    if (stale)
      *stale = d->about;
    w.stale = true;
    return false;
  case 'e': w.processes[w.current].reason = EINTR; return false;
  }
  return false;
}

void engine_step(const access *a, int *stale) {
  if (w.current == NOBODY)
    return;
  must(++w.total < STEPS, "no end after %d steps", STEPS);
  if (++w.processes[w.current].op_steps > STEPS_AT_ONCE)
    fake.now += LONG_STEP; /* a loop that only time ends */
  if (a->changes || !a->word)
    w.processes[w.current].spins = false;
  if (w.current == FRESH)
    return;
  bool resumed = false, again = true;
  while (again) {
    const decision *d;
    w.step++;
    again = false;
    while (!again && (d = engine_due()) != NULL)
      again = decide(d, a, stale);
    if (!again)
      engine_note(a, false, resumed);
    resumed = true;
  }
}

/* Somebody spins: a microsecond is over, and another one runs. Nothing is decided at the loads of a
 * loop that spins. */
void step_pause(void) {
  if (w.current == NOBODY)
    return;
  process *me = &w.processes[w.current];
  fake.now += 1000;
  me->spins = true;
  for (int i = 1; i < PROCESSES && w.forced == NOBODY; i++)
    if (w.processes[(w.current + i) % PROCESSES].state == READY)
      w.forced = (w.current + i) % PROCESSES;
  if (w.forced != NOBODY)
    engine_leave();
}

int64_t engine_deadline(int p, int64_t timeout) {
  w.processes[p].deadline = timeout == SHMSEG_FOREVER ? timeout : fake.now + timeout;
  return w.processes[p].deadline;
}
