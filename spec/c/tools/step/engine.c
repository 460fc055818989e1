/* SPDX-License-Identifier: MIT */
/* The stepper's engine: walks through an operation, and then kills it everywhere. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/owner.h"
#include "os/clock.h"
#include "step/step.h"
#include "test.h"

#define BYTES_MAX 8192
#define STEPS_MAX 2000000
#define CHANGES_MAX 8192
#define CALLS_MAX 256

/* Milliseconds: a call that has not come back by then is asleep in the kernel; and how soon a
 * sleeper or user has to be served after a death (the promise is 100, on a quiet machine). */
#define BLOCKED 5
#define SERVED 400

/* Of the changes or calls that one instruction makes (rep movs, a loop) the first ones are killed
 * at, then each so-manieth, and the last: the others show the same again and again. */
#define KILLS_FIRST 3
#define KILLS_EACH 64

#define RETRIES 3

typedef enum { AT_CHANGE, BEFORE_CALL, AFTER_CALL, IN_CALL } point_kind;

static const char *const point_names[] = { "at change", "before call", "after call", "in call" };

typedef struct {
  point_kind kind;
  unsigned n; /* counted from 1 */
} point;

/* What a walk learns. */
typedef struct {
  unsigned steps, changes, calls, woken;
  int outcome;                     /* index of the last one seen */
  int outcomes[CHANGES_MAX + 1];   /* after each change, from 0 on */
  uint64_t where[CHANGES_MAX + 1]; /* the instruction that made it */
  unsigned time[CHANGES_MAX + 1];  /* its so-manieth execution */
  uint64_t caller[CALLS_MAX + 1];
  bool blocks[CALLS_MAX + 1];
} course;

/* One performance of a case. */
typedef struct {
  const step_structure *structure;
  const step_case *play;
  shmseg_segment watch; /* ours; not opened where the structure looks */
  step_process subject, actors[STEP_ACTORS];
  course *course; /* what the walk has learned */
  char wrong[512];
} scene;

static struct {
  unsigned cases;
  unsigned long steps, states, copies, kills, missed;
  int64_t slowest, began;
} totals;

static void fail(scene *s, const char *what, const char *more) {
  if (s->wrong[0] == '\0')
    snprintf(s->wrong, sizeof s->wrong, "%s%s%s", what, more ? ": " : "", more ? more : "");
}

/* --- the object and its processes --------------------------------------------------------- */

static bool make_object(scene *s) {
  static unsigned number;
  const step_structure *structure = s->structure;
  shmseg_options options = { .size = step_size(structure), .perm = 0600 };
  shmseg_place place = { SHMSEG_NAME, step_name };
  snprintf(step_name, sizeof step_name, "shmseg-step-%d-%u", (int)getpid(), ++number);
  shmseg_segment_init(&s->watch);
  if (structure->look)
    return !structure->build || structure->build() == 0;
  bool made = shmseg_segment_open(&s->watch, place, SHMSEG_CREATE_ONLY, &options, NULL) == 0;
  step_segment = s->watch;
  made = made && step_open(structure, SHMSEG_CREATE) == 0;
  if (made)
    step_close(structure);
  shmseg_owner_abandon_all(&step_segment); /* the identity, which is the builder's */
  shmseg_segment_init(&step_segment);
  return made;
}

static void subject(const scene *s) {
  if (step_trace_me() != 0)
    _exit(1);
  uint32_t id;
  step_enter(s->structure);
  alarm(0);
  if (!s->structure->look && !s->play->no_identity)
    step_expect(shmseg_owner_identity(&step_segment, &id) == 0);
  if (s->play->prepare)
    s->play->prepare();
  step_mark();
  s->play->operate();
  step_mark();
  _exit(0);
}

static bool wait_asleep(step_process *process) {
  for (int i = 0; i < 2000; i++) {
    if (step_process_asleep(process->pid))
      return true;
    shmseg_clock_sleep(1000000);
  }
  return false;
}

static void start_actor(scene *s, int i) {
  const step_actor *actor = &s->play->actors[i];
  s->actors[i] = step_process_start(s->structure, actor);
  bool ready = actor->fate == STEP_SLEEPS ? wait_asleep(&s->actors[i])
                                          : step_process_arrived(&s->actors[i], 10000);
  if (!ready)
    fail(s, "an actor does not come to its place", NULL);
}

static void start_actors(scene *s, step_fate fate) {
  for (int i = 0; i < STEP_ACTORS; i++)
    if (s->play->actors[i].begin && s->play->actors[i].fate == fate)
      start_actor(s, i);
  for (int i = 0; fate == STEP_DIES && i < STEP_ACTORS; i++)
    if (s->play->actors[i].fate == STEP_DIES)
      step_process_kill(&s->actors[i]);
}

static bool raise_curtain(scene *s) {
  for (int i = 0; i < STEP_ACTORS; i++)
    s->actors[i] = (step_process){ 0, -1, -1 };
  s->subject = (step_process){ 0, -1, -1 };
  if (!make_object(s))
    fail(s, "the object cannot be made", NULL);
  start_actors(s, STEP_DIES);
  start_actors(s, STEP_STAYS);
  fflush(stdout);
  s->subject.pid = fork();
  if (s->subject.pid == 0)
    subject(s);
  if (!step_trace_begin(s->subject.pid, s->play->entry))
    fail(s, "the subject does not come to the operation", NULL);
  start_actors(s, STEP_SLEEPS);
  return s->wrong[0] == '\0';
}

static void drop_curtain(scene *s) {
  shmseg_place place = { SHMSEG_NAME, step_name };
  step_process_kill(&s->subject);
  for (int i = 0; i < STEP_ACTORS; i++)
    step_process_kill(&s->actors[i]);
  shmseg_segment_close(&s->watch);
  shmseg_segment_remove(place);
  const char *complaint = step_complaint();
  if (complaint)
    fail(s, "not as expected", complaint);
  if (step_names_count() != 0)
    fail(s, "a name is left in /dev/shm", NULL);
}

/* --- what the outcome may be --------------------------------------------------------------- */

static int find_outcome(const step_case *play, const char *found, int from) {
  for (int i = from; i < STEP_OUTCOMES && play->outcomes[i]; i++)
    if (strcmp(play->outcomes[i], found) == 0)
      return i;
  return -1;
}

/* Outcomes come in their order, each of them. */
static void note_outcome(scene *s, const char *found) {
  course *c = s->course;
  int outcome = find_outcome(s->play, found, c->outcome);
  char more[256];
  snprintf(more, sizeof more, "%s, after %u changes", found, c->changes);
  if (outcome < 0 || outcome > c->outcome + 1) {
    fail(s, "a user of the copy found", more);
    return;
  }
  if (outcome > 0 && c->outcome == 0)
    c->woken = 0; /* who was woken before has found nothing, and is asleep again */
  c->outcome = outcome;
  if (c->changes <= CHANGES_MAX)
    c->outcomes[c->changes] = c->outcome;
}

/* A copy of the bytes, of which everybody is dead: is it valid, and what does a user find? */
static void try_copy(scene *s) {
  const step_structure *structure = s->structure;
  const char *found = NULL;
  shmseg_options options = { .size = s->watch.size };
  totals.copies++;
  if (shmseg_segment_anonymous(&step_segment, &options) != 0) {
    fail(s, "no memory for a copy", NULL);
    return;
  }
  memcpy(step_segment.data, s->watch.data, s->watch.size);
  step_alone = true;
  int err = step_open(structure, SHMSEG_WRITE);
  if (err == 0)
    found = step_verify(structure);
  if (err == 0 && !found)
    found = structure->use();
  note_outcome(s, found ? found : "a copy that cannot be opened");
  if (err == 0)
    step_close(structure);
  shmseg_segment_close(&step_segment);
  step_alone = false;
}

static void try_state(scene *s) {
  unsigned before = step_descriptors(getpid());
  if (s->structure->look)
    note_outcome(s, s->structure->look());
  else
    try_copy(s);
  if (step_descriptors(getpid()) != before)
    fail(s, "the user has left a descriptor open", NULL);
}

/* --- walking ------------------------------------------------------------------------------- */

/* The shared bytes; or what an outsider sees of the name. */
static size_t take_bytes(scene *s, unsigned char *bytes) {
  size_t size = s->watch.size < BYTES_MAX ? s->watch.size : BYTES_MAX;
  if (s->structure->look) {
    const char *seen = s->structure->look();
    size = strlen(seen);
    memcpy(bytes, seen, size);
  } else {
    memcpy(bytes, s->watch.data, size);
  }
  return size;
}

static bool changed(scene *s, const unsigned char *before, size_t size) {
  static unsigned char after[BYTES_MAX];
  return take_bytes(s, after) != size || memcmp(before, after, size) != 0;
}

/* A name changes in a system call only, and shared bytes never do: if so, somebody who was woken
 * has changed them. */
static bool worth_looking(const scene *s, step_instruction next) {
  return (s->structure->look != NULL) == (next == STEP_CALL) &&
         (s->course->woken == 0 || s->structure->sleepers_write_nothing);
}

static void note_change(scene *s, uint64_t where, unsigned time) {
  course *c = s->course;
  c->changes++;
  if (c->changes <= CHANGES_MAX) {
    c->where[c->changes] = where;
    c->time[c->changes] = time;
  }
  try_state(s);
}

static void note_call(course *c, uint64_t where, int64_t took) {
  c->calls++;
  if (c->calls <= CALLS_MAX) {
    c->blocks[c->calls] = took > BLOCKED * (int64_t)1000000;
    c->caller[c->calls] = where;
  }
}

/* One instruction. */
static void advance(scene *s, step_instruction next, uint64_t where) {
  static unsigned char before[BYTES_MAX];
  course *c = s->course;
  unsigned time = step_trace_count(where, c->steps == 0);
  bool looking = worth_looking(s, next);
  size_t size = looking ? take_bytes(s, before) : 0;
  int64_t began = shmseg_clock_now();
  if (!step_trace_step(s->subject.pid, next, &c->woken)) {
    fail(s, "the subject dies while it is stepped", NULL);
    return;
  }
  c->steps++;
  if (next == STEP_CALL)
    note_call(c, where, shmseg_clock_now() - began);
  if (looking && changed(s, before, size))
    note_change(s, where, time);
}

static void walk_through(scene *s) {
  while (s->wrong[0] == '\0') {
    uint64_t where;
    step_instruction next = step_trace_look(s->subject.pid, &where);
    if (next == STEP_DONE)
      return;
    if (next == STEP_LOST || s->course->steps > STEPS_MAX)
      fail(s, "the subject is lost", NULL);
    else
      advance(s, next, where);
  }
}

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

/* Whoever sleeps must come out of it; who lives on, ends. */
static void serve_actors(scene *s) {
  int64_t began = shmseg_clock_now();
  *step_over = true;
  for (int i = 0; i < STEP_ACTORS; i++) {
    const step_actor *actor = &s->play->actors[i];
    if (!actor->begin || actor->fate == STEP_DIES)
      continue;
    if (actor->fate == STEP_SLEEPS && !step_process_arrived(&s->actors[i], SERVED))
      fail(s, "a sleeper is not served in time", NULL);
    int64_t took = shmseg_clock_now() - began;
    if (actor->fate == STEP_SLEEPS && took > totals.slowest)
      totals.slowest = took;
    if (s->wrong[0] == '\0' && !step_process_finish(&s->actors[i]))
      fail(s, "an actor fails to end", NULL);
  }
}

static bool same_outcome(const scene *s, const char *found, int exact) {
  if (s->play->live && strcmp(s->play->live, "*") != 0)
    return strcmp(s->play->live, found) == 0;
  if (exact >= 0)
    return find_outcome(s->play, found, exact) == exact;
  return find_outcome(s->play, found, 0) >= 0;
}

/* The subject is at its end, or dead: what do others find? exact: an outcome, or -1 for any. */
static void come_after(scene *s, int exact) {
  char found[256];
  serve_actors(s);
  if (s->wrong[0])
    return;
  int64_t began = shmseg_clock_now();
  step_use_elsewhere(s->structure, found, sizeof found);
  step_process_kill(&s->subject);
  if (shmseg_clock_now() - began > SERVED * (int64_t)1000000)
    fail(s, "the user is not served in time", NULL);
  if (!same_outcome(s, found, exact))
    fail(s, "after a kill the user found", found);
  if (!s->structure->look && step_locks_left(&s->watch))
    fail(s, "a lock is left on the object", NULL);
}

static void check_course(scene *s, unsigned descriptors) {
  const course *c = s->course;
  int next = c->outcome + 1;
  if ((int)(step_descriptors(s->subject.pid) - descriptors) != s->play->descriptors)
    fail(s, "descriptors are left open, or missing", NULL);
  if (next < STEP_OUTCOMES && s->play->outcomes[next])
    fail(s, "an outcome has not come", s->play->outcomes[next]);
  if (c->woken < s->play->wakes)
    fail(s, "nobody was woken, or not all", NULL);
  if (s->play->changes_nothing && c->changes != 0)
    fail(s, "the bytes have changed", NULL);
}

static void walk(scene *s) {
  s->wrong[0] = '\0';
  memset(s->course, 0, sizeof *s->course);
  if (raise_curtain(s)) {
    unsigned descriptors = step_descriptors(s->subject.pid);
    try_state(s);
    walk_through(s);
    check_course(s, descriptors);
    if (!s->structure->keeps_nothing)
      step_process_kill(&s->subject);
    come_after(s, s->course->outcome);
  }
  drop_curtain(s);
}

static bool kill_at(scene *s, point at) {
  bool there = false;
  s->wrong[0] = '\0';
  if (raise_curtain(s)) {
    there = go_to(s, at);
    step_process_kill(&s->subject);
    totals.kills++;
    step_alone = at.kind != IN_CALL; /* there the user waits for slices to end, as after the walk */
    come_after(s, there && at.kind == AT_CHANGE ? s->course->outcomes[at.n] : -1);
    step_alone = false;
  }
  drop_curtain(s);
  totals.missed += !there;
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
  walk(s);
  /* a sleeper may have been awake for a moment, between two slices, and then nobody is woken, or
   * what it changed is taken for the subject's */
  for (int i = 0; i < RETRIES && s->wrong[0] && has_sleepers(s->play); i++)
    walk(s);
  if (s->wrong[0] == '\0')
    (void)(kill_at_changes(s) && kill_at_calls(s));
  totals.cases++;
  totals.steps += s->course->steps;
  totals.states += s->course->changes + 1;
}

static void play_and_tell(const step_structure *structure, const step_case *c) {
  static course known;
  char sentence[256];
  scene s = { .structure = structure, .play = c, .course = &known };
  play(&s);
  snprintf(sentence, sizeof sentence, "%s: %s", step_noun(structure), c->sentence);
  if (s.wrong[0])
    printf("# %s\n", s.wrong);
  if (getenv("STEP_VERBOSE"))
    printf("# %u steps, %u changes, %u calls, %u woken\n", known.steps, known.changes, known.calls,
           known.woken);
  test(sentence, (s.wrong[0] != '\0') == structure->is_wrong);
}

void step_play(const step_structure *structure) {
  const char *only = getenv("STEP_ONLY");
  char name[300];
  for (const step_case *c = structure->cases; c->sentence; c++) {
    snprintf(name, sizeof name, "%s: %s", step_noun(structure), c->sentence);
    if (!only || strstr(name, only))
      play_and_tell(structure, c);
  }
}

extern const step_structure *const __start_step_structures[], *const __stop_step_structures[];

static int by_noun(const void *a, const void *b) {
  return strcmp(step_noun(*(const step_structure *const *)a),
                step_noun(*(const step_structure *const *)b));
}

void step_for_each(void (*play)(const step_structure *structure)) {
  const step_structure *all[64];
  size_t count = (size_t)(__stop_step_structures - __start_step_structures);
  if (count > sizeof all / sizeof *all)
    abort();
  memcpy(all, __start_step_structures, count * sizeof *all);
  qsort(all, count, sizeof *all, by_noun);
  for (size_t i = 0; i < count; i++)
    play(all[i]);
}

bool step_possible(const char *what) {
  totals.began = shmseg_clock_now();
  step_prepare_complaints();
  step_prepare_signals();
  if (step_trace_allowed())
    return true;
  test_skip(what, "ptrace is refused here, or this is no x86-64");
  return false;
}

int step_end(void) {
  printf(
      "# %u cases: %lu steps, %lu states, %lu copies used, %lu kills (%lu elsewhere) in %.1f s; the slowest "
      "sleeper was served after %.0f ms\n",
      totals.cases, totals.steps, totals.states, totals.copies, totals.kills, totals.missed,
      (double)(shmseg_clock_now() - totals.began) / 1e9, (double)totals.slowest / 1e6);
  return test_end();
}
