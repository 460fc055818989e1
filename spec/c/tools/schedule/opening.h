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

/* Before a run, when the model is ready: opens the handles, where the object is there. Bits of
 * processes that may only read. */
void opening_begin(unsigned read_only);

/* The object's bytes, in the end; *object, a handle of zeroes, is then open. What is wrong, or NULL. */
const char *opening_check(shmseg_object *object);

/* Performs o create or attach, O create only, j attach: false when op is none of them. */
bool opening_perform(int p, char op);

#endif
