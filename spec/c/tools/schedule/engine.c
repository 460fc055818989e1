/* SPDX-License-Identifier: MIT */
/* Processes as coroutines, their steps, and one run of one schedule.
 *
 * A step comes before every access to a shared word, every call of the OS, and between operations.
 * The running process goes on at each step unless a decision of the schedule says otherwise; who is
 * next when it sleeps or ends is a decision too, when there are several. Time passes only when all
 * are asleep. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "core/word.h"
#include "os/fault.h"
#include "schedule/schedule.h"

#undef memset

#define STACK 65536
#define STEPS 100000       /* of one run: more is a loop without end */
#define STEPS_AT_ONCE 1000 /* of one operation: from here on each takes time */
#define LONG_STEP MILLISECOND
#define PATIENCE (300 * MILLISECOND)      /* nothing happens any more; in naps, which */
#define NAP_PATIENCE (1500 * MILLISECOND) /* have an end of their own, */
#define VAIN (100 * MILLISECOND)          /* so long may a death make others wait */
#define NAPS (50 * MILLISECOND)           /* naps last so long when nothing happens in them */
#define LATE (200 * MILLISECOND)          /* so long may a call outlive its timeout */

world w;
static _Alignas(64) unsigned char stacks[PROCESSES][STACK];
static ucontext_t contexts[PROCESSES], starter;
static unsigned char image[BLOCK]; /* the starting state */
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

/* Leaves the running coroutine; returns when it is its turn again. */
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

/* Runs p until it leaves. */
static void enter(int p) {
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

static void die(int p) {
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

/* That of all handles: they meet the hole at once. */
static shmseg_fault fault;

void engine_segment(shmseg_segment *segment) {
  shmseg_segment_init(segment);
  segment->data = block;
  segment->size = block_object;
  segment->reserved = block_size;
  segment->fd = 1000;
  segment->writable = true;
  segment->fault = &fault;
}

/* A stranger has cut the object: who touches it meets zeroes. */
static void truncate(void) {
  engine_trace("the object is cut");
  w.truncated = true;
  fault.code = SHMSEG_TRUNCATED;
}

/* --- decisions ---------------------------------------------------------------------------- */

static int bits_of(state wanted) {
  int bits = 0;
  for (int p = 0; p < w.count; p++)
    bits |= (p != w.current && w.processes[p].state == wanted) << p;
  return bits;
}

static void note(const access *a, bool choice, bool resumed) {
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

static const decision *due(void) {
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
    die(w.current);
    engine_leave();
    return true;
  case 'k': die(d->about); return false;
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
    while (!again && (d = due()) != NULL)
      again = decide(d, a, stale);
    if (!again)
      note(a, false, resumed);
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

/* --- time --------------------------------------------------------------------------------- */

/* Everybody is asleep: did one of them have to be? */
static void look_for_lost_wakes(void) {
  for (int p = 0; p < PROCESSES; p++) {
    process *it = &w.processes[p];
    if (it->state != ASLEEP || !it->word || w.hostile)
      continue;
    bool vain = w.structure->in_vain(p);
    if (vain && !w.excused)
      engine_fail("process %d sleeps in vain: a lost wake", p);
    if (!vain)
      it->vain_since = 0;
    else if (it->vain_since == 0)
      it->vain_since = fake.now, w.late++;
    else if (fake.now - it->vain_since >= VAIN)
      engine_fail("process %d sleeps in vain for more than 100 ms", p);
  }
}

/* Does nobody sleep on a word? */
static bool only_naps(void) {
  for (int p = 0; p < PROCESSES; p++)
    if (w.processes[p].state == ASLEEP && w.processes[p].word)
      return false;
  return true;
}

/* To the next end of a sleep; false when nobody sleeps. */
static bool pass_time(void) {
  int64_t next = SHMSEG_FOREVER;
  for (int p = 0; p < PROCESSES; p++)
    if (w.processes[p].state == ASLEEP && w.processes[p].until < next)
      next = w.processes[p].until;
  if (next == SHMSEG_FOREVER || fake.now - w.progress > (only_naps() ? NAP_PATIENCE : PATIENCE))
    return false;
  look_for_lost_wakes();
  if (only_naps() && fake.now - w.progress > NAPS && next < fake.now + NAPS)
    next = fake.now + NAPS; /* a loaded machine: spares a thousand rounds */
  if (next > fake.now)
    fake.now = next;
  for (int p = 0; p < PROCESSES; p++)
    if (w.processes[p].state == ASLEEP && w.processes[p].until <= fake.now)
      w.processes[p].state = READY;
  return true;
}

/* Who runs next; NOBODY when nobody is ready. */
static int pick(int last) {
  if (w.forced != NOBODY && w.processes[w.forced].state == READY)
    return w.forced;
  int first = NOBODY, ready = 0;
  for (int i = 1; i <= PROCESSES; i++) {
    int p = (last + i + PROCESSES) % PROCESSES;
    if (w.processes[p].state != READY)
      continue;
    first = first == NOBODY ? p : first;
    ready++;
  }
  if (ready < 2)
    return first;
  w.step++;
  note(NULL, true, false);
  const decision *d = due();
  return d && d->action == 'c' && w.processes[d->about].state == READY ? d->about : first;
}

static void run_all(void) {
  int last = NOBODY;
  w.progress = fake.now;
  w.forced = NOBODY;
  while (!w.failure) {
    int p = pick(last);
    if (p != NOBODY)
      enter(p), last = p;
    else if (!pass_time())
      return;
  }
}

/* Those who are stopped or over die; true when somebody else is left, who can now go on. */
static bool clear_away(void) {
  bool others = false, died = false;
  for (int p = 0; p < PROCESSES; p++) {
    process *it = &w.processes[p];
    if (it->state == STALLED && it->counted) {
      it->state = READY; /* nobody does as many operations as it was to wait for */
      return true;
    }
    others |= it->state == ASLEEP;
  }
  for (int p = 0; p < PROCESSES; p++)
    if (w.processes[p].state == STALLED || w.processes[p].state == DONE) {
      died = true;
      die(p);
    }
  return others && died;
}

/* --- one run ------------------------------------------------------------------------------ */

static void reset(void) {
  const scenario *s = w.scenario;
  w.failure = NULL;
  w.step = w.total = w.queue = 0;
  w.next = w.candidate_count = 0;
  w.excused = w.hostile = w.truncated = w.stale = false;
  w.excused_until = 0;
  w.count = 0;
  fault.code = 0;
  fake_reset();
  fake.processors = s->processors ? s->processors : 1;
  fake_born(ID_STRANGER);
  memcpy(block, image, block_size);
  memory_begin();
  for (int p = 0; p < PROCESSES; p++) {
    process *it = &w.processes[p];
    const char *script = p == FRESH ? s->fresh : s->scripts[p];
    it->state = script && p != FRESH ? READY : DEAD;
    it->started = it->counted = it->spins = false;
    it->script = script;
    it->op = 0;
    it->vain_since = 0;
    it->word = NULL;
    it->id = 0;
    it->draws = 0;
    w.count += it->state == READY;
    engine_segment(&it->segment);
  }
  w.structure->begin(s);
}

static void check(void) {
  const char *wrong = w.hostile ? NULL : w.structure->check();
  if (wrong)
    engine_fail("the check: %s", wrong);
}

static void run_fresh(void) {
  check();
  if (w.failure || !w.processes[FRESH].script)
    return;
  w.processes[FRESH].state = READY;
  run_all();
  if (!w.failure && !w.hostile && w.processes[FRESH].state != DONE)
    engine_fail("a fresh process cannot use it");
  if (!w.failure)
    check();
}

void engine_run(void) {
  reset();
  do
    run_all();
  while (!w.failure && clear_away());
  for (int p = 0; p < w.count && !w.failure; p++)
    if (w.processes[p].state == ASLEEP) {
      if (!w.hostile && w.structure->in_vain(p))
        engine_fail("process %d never ends", p);
      else if (w.processes[p].deadline != SHMSEG_FOREVER)
        engine_fail("process %d outlives its timeout", p);
    }
  for (int p = 0; p < w.count && !w.failure; p++)
    if (w.processes[p].state == ASLEEP)
      die(p);
  if (!w.failure)
    run_fresh();
}

void engine_open(const structure *structure, const scenario *s) {
  w.structure = structure;
  w.scenario = s;
  fake.hooks = system_hooks;
  fake_reset();
  block_object = ((structure->size ? structure->size : OBJECT_SIZE) + 63) / 64 * 64;
  block_size = block_object + DATA_SIZE;
  if (block_size > BLOCK)
    abort();
  memset(block, 0, sizeof block);
  w.truncated = w.hostile = false;
  structure->make(s);
  memcpy(image, block, block_size);
}
