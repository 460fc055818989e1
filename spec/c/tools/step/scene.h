/* SPDX-License-Identifier: MIT */
/* One performance of a case, and what is learned from it: between the engine's files. */
#ifndef SHMSEG_STEP_SCENE_H
#define SHMSEG_STEP_SCENE_H

#include "step/step.h"

#define CHANGES_MAX 8192
#define CALLS_MAX 256

/* A call that has not come back after so many milliseconds is asleep in the kernel. */
#define BLOCKED 5

/* What a walk learns. */
typedef struct course {
  unsigned steps, changes, calls, woken;
  int outcome;                     /* index of the last one seen */
  int outcomes[CHANGES_MAX + 1];   /* after each change, from 0 on */
  uint64_t where[CHANGES_MAX + 1]; /* the instruction that made it */
  unsigned time[CHANGES_MAX + 1];  /* which execution of that */
  uint64_t caller[CALLS_MAX + 1];
  bool blocks[CALLS_MAX + 1];
} course;

/* One performance of a case. */
typedef struct scene {
  const step_structure *structure;
  const step_case *play;
  shmseg_segment watch; /* ours; not opened where the structure looks */
  step_process subject, actors[STEP_ACTORS];
  course *course; /* what the walk has learned */
  char wrong[512];
} scene;

extern struct step_totals {
  unsigned cases;
  unsigned long steps, states, copies, kills, missed;
  int64_t slowest, began;
} step_totals;

/* Notes what is wrong; the first thing counts. */
void scene_fail(scene *s, const char *what, const char *more);

/* All of its processes are in their places, the subject before its operation. */
bool scene_begin(scene *s);
/* Takes everything away, and looks at what is left. */
void scene_end(scene *s);

/* The outcome of the case with these words, from that one on; or -1. */
int scene_outcome(const step_case *play, const char *found, int from);

/* The subject is at its end, or dead: what do others find? exact: an outcome, or -1 for any. */
void scene_come_after(scene *s, int exact);

/* Steps through the operation, with a user at each state (walk.c). */
void scene_walk(scene *s);

#endif
