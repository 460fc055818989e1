/* SPDX-License-Identifier: MIT */
/* The stepper's engine: walks through an operation, and then kills it everywhere. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "step/scene.h"
#include "test.h"

/* Of the changes or calls that one instruction makes (rep movs, a loop) the first ones are killed
 * at, then every 64th, and the last: the others show the same again and again. */
#define KILLS_FIRST 3
#define KILLS_EACH 64

#define RETRIES 3

typedef enum { AT_CHANGE, BEFORE_CALL, AFTER_CALL, IN_CALL } point_kind;

static const char *const point_names[] = { "at change", "before call", "after call", "in call" };

typedef struct {
  point_kind kind;
  unsigned n; /* counted from 1 */
} point;

/* Runs up to a point. False when it does not come by it: a spin, say, went another way. */
static bool go_to(scene *s, point at) {
  const course *c = s->course;
  unsigned woken;
  pid_t pid = s->subject.pid;
  if (at.kind == AT_CHANGE)
    return step_trace_to(pid, c->where[at.n], c->time[at.n]) &&
           step_trace_step(pid, s->structure->look ? STEP_CALL : STEP_PLAIN, &woken);
  if (!step_trace_to_call(pid, at.n, at.kind == AFTER_CALL))
    return false;
  if (at.kind == IN_CALL && step_trace_run(pid))
    shmseg_clock_sleep(BLOCKED * (int64_t)1000000);
  return true;
}

static bool kill_at(scene *s, point at) {
  bool there = false;
  s->wrong[0] = '\0';
  if (scene_begin(s)) {
    there = go_to(s, at);
    step_process_kill(&s->subject);
    step_totals.kills++;
    step_alone =
        at.kind != IN_CALL; /* there the user waits for intervals to end, as after the walk */
    scene_come_after(s, there && at.kind == AT_CHANGE ? s->course->outcomes[at.n] : -1);
    step_alone = false;
  }
  scene_end(s);
  step_totals.missed += !there;
  if (s->wrong[0])
    printf("# killed %s %u:\n", point_names[at.kind], at.n);
  return s->wrong[0] == '\0';
}

/* Every byte that one instruction copies is a state of its own, for instance. */
static bool worth_killing(const uint64_t *where, unsigned n, unsigned last) {
  unsigned earlier = 0;
  for (unsigned i = 1; i < n; i++)
    earlier += where[i] == where[n];
  return earlier < KILLS_FIRST || earlier % KILLS_EACH == 0 || n == last;
}

static bool kill_at_changes(scene *s) {
  const course *known = s->course;
  unsigned last = known->changes < CHANGES_MAX ? known->changes : CHANGES_MAX;
  for (unsigned n = 1; n <= last; n++)
    if (worth_killing(known->where, n, last) && !kill_at(s, (point){ AT_CHANGE, n }))
      return false;
  return true;
}

static bool kill_at_calls(scene *s) {
  const course *known = s->course;
  unsigned last = known->calls < CALLS_MAX ? known->calls : CALLS_MAX;
  for (unsigned n = 1; n <= last; n++) {
    if (known->blocks[n] && !kill_at(s, (point){ IN_CALL, n }))
      return false;
    if (worth_killing(known->caller, n, last) &&
        (!kill_at(s, (point){ BEFORE_CALL, n }) || !kill_at(s, (point){ AFTER_CALL, n })))
      return false;
  }
  return true;
}

static bool has_sleepers(const step_case *c) {
  for (int i = 0; i < STEP_ACTORS; i++)
    if (c->actors[i].begin && c->actors[i].fate == STEP_SLEEPS)
      return true;
  return false;
}

/* What is wrong with it is in s->wrong. */
static void play(scene *s) {
  scene_walk(s);
  /* at its interval a sleeper is awake for an instant, and then nobody can be woken */
  for (int i = 0; i < RETRIES && s->wrong[0] && has_sleepers(s->play); i++)
    scene_walk(s);
  if (s->wrong[0] == '\0')
    (void)(kill_at_changes(s) && kill_at_calls(s));
  step_totals.cases++;
  step_totals.steps += s->course->steps;
  step_totals.states += s->course->changes + 1;
}

static void play_and_tell(const step_structure *structure, const step_case *c, const char *name) {
  static course known;
  char sentence[256];
  scene s = { .structure = structure, .play = c, .course = &known };
  play(&s);
  snprintf(sentence, sizeof sentence, "%s: %s", step_noun(structure), c->sentence);
  if (s.wrong[0])
    printf("# %s: %s\n", name, s.wrong);
  if (getenv("STEP_VERBOSE"))
    printf("# %u steps, %u changes, %u calls, %u woken\n", known.steps, known.changes, known.calls,
           known.woken);
  test(sentence, (s.wrong[0] != '\0') == structure->is_wrong);
}

static char **chosen; /* main's words */

void step_play(const step_structure *structure) {
  char name[80];
  for (int i = 0; structure->cases[i].sentence; i++) {
    snprintf(name, sizeof name, "%s.%d", step_name_of(structure), i);
    if (test_is_wanted(chosen, name, structure->cases[i].sentence))
      play_and_tell(structure, &structure->cases[i], name);
  }
}

extern const step_structure *__start_step_structures[], *__stop_step_structures[];

static int by_name(const void *a, const void *b) {
  return strcmp(step_name_of(*(const step_structure *const *)a),
                step_name_of(*(const step_structure *const *)b));
}

void step_for_each(void (*play)(const step_structure *structure)) {
  const step_structure **all = __start_step_structures;
  size_t count = (size_t)(__stop_step_structures - __start_step_structures);
  qsort(all, count, sizeof *all, by_name);
  for (size_t i = 0; i < count; i++)
    play(all[i]);
}

bool step_possible(const char *what, char **words) {
  chosen = words;
  step_totals.began = shmseg_clock_now();
  step_prepare_complaints();
  step_prepare_signals();
  if (step_trace_allowed())
    return true;
  test_skip(what, "ptrace is refused here, or this is no x86-64");
  return false;
}

int step_end(void) {
  const struct step_totals *t = &step_totals;
  if (t->cases > 0)
    printf(
        "# %u cases: %lu steps, %lu states, %lu copies used, %lu kills (%lu elsewhere) in %.1f s; "
        "the slowest sleeper was served after %.0f ms\n",
        t->cases, t->steps, t->states, t->copies, t->kills, t->missed,
        (double)(shmseg_clock_now() - t->began) / 1e9, (double)t->slowest / 1e6);
  return test_end();
}
