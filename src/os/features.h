/* SPDX-License-Identifier: MIT */
/* What this platform has: decided when the library is compiled. */
#ifndef SHMSEG_OS_FEATURES_H
#define SHMSEG_OS_FEATURES_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

typedef struct shmseg_feature {
  const char *name; /* NULL ends the list */
  bool present;
} shmseg_feature;

extern const shmseg_feature shmseg_features[];
extern const char shmseg_platform[];

#pragma GCC visibility pop

#endif
