/* SPDX-License-Identifier: MIT */
/* The broadcast, stepped: what its cases use. */
#ifndef SHMSEG_STEP_BROADCAST_H
#define SHMSEG_STEP_BROADCAST_H

#include "step/step.h"

/* This process's handle. */
extern shmseg_broadcast broadcast;

/* Publishes a message. */
void broadcast_publish_now(char letter, size_t size);

/* As a publisher is left that dies over the oldest of two messages of 8 bytes. */
void broadcast_die_over_a(void);

/* One who subscribes to the oldest, and in the end gets, or misses, all that there are. */
void broadcast_subscribe_oldest(void);
void broadcast_catch_up(void);

/* Sleeps for a message, which is c8 or e8. */
void broadcast_sleep(void);

/* This process reads through a read-only mapping. */
void broadcast_be_reader(void);

#define LATE_ONE                                                                                   \
  { STEP_STAYS, broadcast_subscribe_oldest, broadcast_catch_up }
#define SLEEPER                                                                                    \
  { STEP_SLEEPS, broadcast_sleep, NULL }

extern const step_case broadcast_many_cases[];

#endif
