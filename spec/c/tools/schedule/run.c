/* SPDX-License-Identifier: MIT */
/* One run of one schedule: who goes on, how time passes, and what must hold in the end.
 *
 * Time passes only when all are asleep. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/schedule.h"

#define PATIENCE (300 * MILLISECOND)      /* nothing happens any more; in naps, which */
#define NAP_PATIENCE (1500 * MILLISECOND) /* have an end of their own, */
#define NAPS (50 * MILLISECOND)           /* and last so long when nothing happens in them */

static unsigned char image[BLOCK]; /* the starting state */

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
  engine_note(NULL, true, false);
  const decision *d = engine_due();
  return d && d->action == 'c' && w.processes[d->about].state == READY ? d->about : first;
}

static void run_all(void) {
  int last = NOBODY;
  w.progress = fake.now;
  w.forced = NOBODY;
  while (!w.failure) {
    int p = pick(last);
    if (p != NOBODY)
      engine_enter(p), last = p;
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
      engine_die(p);
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
  engine_fault.code = 0;
  engine_fault.proof = 0;
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
      engine_die(p);
  if (!w.failure)
    run_fresh();
}

/* A number stands only behind an operation that takes it. */
static void check_script(const structure *structure, const char *script) {
  for (char op = 0; script && *script; script++)
    if (*script < '0' || *script > '9')
      op = *script;
    else if (!op || !structure->operands || !strchr(structure->operands, op)) {
      fprintf(stderr, "%s: no operand belongs where \"%s\" stands\n", structure->name, script);
      abort();
    }
}

void engine_open(const structure *structure, const scenario *s) {
  for (int p = 0; p < FRESH; p++)
    check_script(structure, s->scripts[p]);
  check_script(structure, s->fresh);
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
