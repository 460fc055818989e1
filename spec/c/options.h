/* SPDX-License-Identifier: MIT */
/* Options of objects, for tests. */
#ifndef SHMSEG_SPEC_OPTIONS_H
#define SHMSEG_SPEC_OPTIONS_H

#include "objects/kinds.h"

#define OF_CAPACITY(bytes) (&(shmseg_object_options){ .capacity = (bytes) })
#define OF_PERMITS(count) (&(shmseg_object_options){ .permits = (count) })
#define OF_PERMITS_OWNED(count)                                                                    \
  (&(shmseg_object_options){ .permits = (count), .signal = SHMSEG_SEMAPHORE_OWNED })
#define OF_SIGNAL(most)                                                                            \
  (&(shmseg_object_options){ .permits = (most), .signal = SHMSEG_SEMAPHORE_SIGNAL })

#endif
