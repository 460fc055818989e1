/* SPDX-License-Identifier: MIT */
/* System calls that fail when told: linked in their place by -Wl,--wrap. */
#ifndef SHMSEG_SPEC_UNIT_WRAPPED_H
#define SHMSEG_SPEC_UNIT_WRAPPED_H

#include <stdbool.h>

/* From now on calls are counted; the one with number fail_at (from 0 on, -1: none) fails with err. */
void wrapped_begin(int fail_at, int err);
/* How many calls there were. */
int wrapped_end(void);
/* The name of call i since wrapped_begin. */
const char *wrapped_name(int i);
/* From now on no file system makes nameless files. */
void wrapped_without_tmpfile(void);
/* New mappings less those that were removed. */
long wrapped_mappings(void);

#endif
