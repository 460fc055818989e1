/* SPDX-License-Identifier: MIT */
/* What the two files of the subscription share. */
#ifndef SHMSEG_OBJECTS_SUBSCRIPTION_H
#define SHMSEG_OBJECTS_SUBSCRIPTION_H

#include "core/wait.h"
#include "objects/broadcast.h"

/* Nanoseconds for which publishers may overtake every try. */
#define READ_PATIENCE ((int64_t)100 * 1000000)

/* Of a subscription whose next message was overwritten: no record's position. */
#define GONE 0

/* When a publisher was faster: 0, try again; SHMSEG_TIMEOUT when *deadline, 0 at first, is over. */
static inline int subscription_try_again(int64_t *deadline) {
  return shmseg_wait_left(shmseg_wait_patience(deadline, READ_PATIENCE)) ? 0 : SHMSEG_TIMEOUT;
}

/* What lies below it may have been overwritten while it was copied. */
static inline uint64_t subscription_floor(const shmseg_broadcast *b) {
  fence_acquire(); /* the copy was loaded before this */
  return load_relaxed(broadcast_word64(b, BROADCAST_FLOOR));
}

#pragma GCC visibility push(hidden)

/* Goes to the oldest message that is there, or to the next one. False: a publisher was faster. *end
 * is where the last message ends. */
bool shmseg_subscription_find_floor(const shmseg_broadcast *b, shmseg_subscription *s,
                                    uint64_t *end);

#pragma GCC visibility pop

#endif
