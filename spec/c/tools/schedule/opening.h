/* SPDX-License-Identifier: MIT */
/* Processes that open, and race to build, one object: what each of them may be told. */
#ifndef SHMSEG_SPEC_OPENING_H
#define SHMSEG_SPEC_OPENING_H

#include "schedule/schedule.h"

/* How the object's place looks before. */
enum { OPENING_ZERO, OPENING_DEAD_BUILDER, OPENING_HALF_BUILT, OPENING_STATES };

void opening_make(int how, const shmseg_kind *kind);
void opening_begin(void);

/* The operations: o create or attach, O create only, j attach. */
bool opening_is(char op);
shmseg_mode opening_mode(char op);

/* What process p was told; true when it has the object. */
bool opening_told(int p, char op, int err, bool created);

#endif
