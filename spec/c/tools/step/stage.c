/* SPDX-License-Identifier: MIT */
/* A performance of a case: how it is set up, who comes after the subject, and what is left. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/owner.h"
#include "os/clock.h"
#include "step/scene.h"

/* So many milliseconds after a death a sleeper or a user has to be served (the promise is 100, on a
 * quiet machine). */
#define SERVED 400

struct step_totals step_totals;

void scene_fail(scene *s, const char *what, const char *more) {
  if (s->wrong[0] == '\0')
    snprintf(s->wrong, sizeof s->wrong, "%s%s%s", what, more ? ": " : "", more ? more : "");
}

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
    scene_fail(s, "an actor does not come to its place", NULL);
}

static void start_actors(scene *s, step_fate fate) {
  for (int i = 0; i < STEP_ACTORS; i++)
    if (s->play->actors[i].begin && s->play->actors[i].fate == fate)
      start_actor(s, i);
  for (int i = 0; fate == STEP_DIES && i < STEP_ACTORS; i++)
    if (s->play->actors[i].fate == STEP_DIES)
      step_process_kill(&s->actors[i]);
}

bool scene_begin(scene *s) {
  for (int i = 0; i < STEP_ACTORS; i++)
    s->actors[i] = (step_process){ 0, -1, -1 };
  s->subject = (step_process){ 0, -1, -1 };
  if (!make_object(s))
    scene_fail(s, "the object cannot be made", NULL);
  start_actors(s, STEP_DIES);
  start_actors(s, STEP_STAYS);
  fflush(stdout);
  s->subject.pid = fork();
  if (s->subject.pid == 0)
    subject(s);
  if (!step_trace_begin(s->subject.pid, s->play->entry))
    scene_fail(s, "the subject does not come to the operation", NULL);
  start_actors(s, STEP_SLEEPS);
  return s->wrong[0] == '\0';
}

void scene_end(scene *s) {
  shmseg_place place = { SHMSEG_NAME, step_name };
  step_process_kill(&s->subject);
  for (int i = 0; i < STEP_ACTORS; i++)
    step_process_kill(&s->actors[i]);
  shmseg_segment_close(&s->watch);
  shmseg_segment_remove(place);
  const char *complaint = step_complaint();
  if (complaint)
    scene_fail(s, "not as expected", complaint);
  if (step_names_count() != 0)
    scene_fail(s, "a name is left in /dev/shm", NULL);
}

int scene_outcome(const step_case *play, const char *found, int from) {
  for (int i = from; i < STEP_OUTCOMES && play->outcomes[i]; i++)
    if (strcmp(play->outcomes[i], found) == 0)
      return i;
  return -1;
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
      scene_fail(s, "a sleeper is not served in time", NULL);
    int64_t took = shmseg_clock_now() - began;
    if (actor->fate == STEP_SLEEPS && took > step_totals.slowest)
      step_totals.slowest = took;
    if (s->wrong[0] == '\0' && !step_process_finish(&s->actors[i]))
      scene_fail(s, "an actor fails to end", NULL);
  }
}

static bool same_outcome(const scene *s, const char *found, int exact) {
  if (s->play->live && strcmp(s->play->live, "*") != 0)
    return strcmp(s->play->live, found) == 0;
  if (exact >= 0)
    return scene_outcome(s->play, found, exact) == exact;
  return scene_outcome(s->play, found, 0) >= 0;
}

void scene_come_after(scene *s, int exact) {
  char found[256];
  serve_actors(s);
  if (s->wrong[0])
    return;
  int64_t began = shmseg_clock_now();
  step_use_elsewhere(s->structure, found, sizeof found);
  step_process_kill(&s->subject);
  if (shmseg_clock_now() - began > SERVED * (int64_t)1000000)
    scene_fail(s, "the user is not served in time", NULL);
  if (!same_outcome(s, found, exact))
    scene_fail(s, "after a kill the user found", found);
  if (!s->structure->look && step_locks_left(&s->watch))
    scene_fail(s, "a lock is left on the object", NULL);
}
