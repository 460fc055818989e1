/* SPDX-License-Identifier: MIT */
/* Processes that open, and race to build, one object: what each of them may be told. */
#ifndef SHMSEG_SPEC_OPENING_H
#define SHMSEG_SPEC_OPENING_H

#include "schedule/schedule.h"

/* How the object's place looks before. */
enum { OPENING_ZERO, OPENING_DEAD_BUILDER, OPENING_HALF_BUILT, OPENING_STATES };

/* Makes such a state. */
void opening_make(int how, const shmseg_kind *kind);

/* The starting state of the scenario: one of those, or a new object, which *object has: true. */
bool opening_made(const scenario *s, shmseg_object *object);

/* The handle of process p, before a run: open, when the object is there. */
void opening_attach(int p);

/* The object's bytes, in the end; *object, a handle of zeroes, is then open. What is wrong, or NULL. */
const char *opening_check(shmseg_object *object);

void opening_begin(void);

/* The operations: o create or attach, O create only, j attach. */
bool opening_is(char op);
shmseg_mode opening_mode(char op);

/* Performs one of them: false when op is none. */
bool opening_perform(int p, char op);

/* What process p was told; true when it has the object. */
bool opening_told(int p, char op, int err, bool created);

#endif
