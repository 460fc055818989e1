/* SPDX-License-Identifier: MIT */
/* The walk: an operation instruction by instruction, with a user wherever the object has changed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "step/scene.h"

#define BYTES_MAX 65536
#define STEPS_MAX 2000000

/* --- what the outcome may be --------------------------------------------------------------- */

/* Outcomes come in their order, each of them. */
static void note_outcome(scene *s, const char *found) {
  course *c = s->course;
  int outcome = scene_outcome(s->play, found, c->outcome);
  char more[256];
  snprintf(more, sizeof more, "%s, after %u changes", found, c->changes);
  if (outcome < 0 || outcome > c->outcome + 1) {
    scene_fail(s, "a user of the copy found", more);
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
  step_totals.copies++;
  if (shmseg_segment_anonymous(&step_segment, &options) != 0) {
    scene_fail(s, "no memory for a copy", NULL);
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
    scene_fail(s, "the user has left a descriptor open", NULL);
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
    scene_fail(s, "the subject dies while it is stepped", NULL);
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
      scene_fail(s, "the subject is lost", NULL);
    else
      advance(s, next, where);
  }
}

static void check_course(scene *s, unsigned descriptors) {
  const course *c = s->course;
  int next = c->outcome + 1;
  if ((int)(step_descriptors(s->subject.pid) - descriptors) != s->play->descriptors)
    scene_fail(s, "descriptors are left open, or missing", NULL);
  if (next < STEP_OUTCOMES && s->play->outcomes[next])
    scene_fail(s, "an outcome has not come", s->play->outcomes[next]);
  if (c->woken < s->play->wakes)
    scene_fail(s, "nobody was woken, or not all", NULL);
  if (s->play->changes_nothing && c->changes != 0)
    scene_fail(s, "the bytes have changed", NULL);
}

void scene_walk(scene *s) {
  s->wrong[0] = '\0';
  memset(s->course, 0, sizeof *s->course);
  *step_walking = true;
  if (scene_begin(s)) {
    unsigned descriptors = step_descriptors(s->subject.pid);
    try_state(s);
    walk_through(s);
    *step_walking = false;
    check_course(s, descriptors);
    if (!s->structure->keeps_nothing)
      step_process_kill(&s->subject);
    scene_come_after(s, s->course->outcome);
  }
  *step_walking = false;
  scene_end(s);
}
