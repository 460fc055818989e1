/* SPDX-License-Identifier: MIT */
/* The public C API of mutex, rwlock, semaphore and event. shmseg.h includes it, and says what holds for all functions. */
#ifndef SHMSEG_LOCKS_H
#define SHMSEG_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg/object.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A mutex. *abandoned: the last owner died, or closed its handle, while holding. */
typedef struct shmseg_mutex {
  shmseg_object object;

  shmseg_hold hold; /* private */
} shmseg_mutex;

SHMSEG_OBJECT(mutex);
SHMSEG_API int shmseg_mutex_lock(shmseg_mutex *mutex, int64_t deadline, bool *abandoned);
SHMSEG_API int shmseg_mutex_unlock(shmseg_mutex *mutex);
SHMSEG_API bool shmseg_mutex_holds(const shmseg_mutex *mutex);

/* A lock of many readers or one writer, 64 readers at once, writers first. *abandoned: a writer
 * died while holding, and none has unlocked since. */
typedef struct shmseg_rwlock {
  shmseg_object object;

  /* private */
  shmseg_hold hold;
  uint32_t slot; /* where a reader is entered; SHMSEG_RWLOCK_WRITER for a writer */
  bool draining; /* a writer that waits for the readers to leave */
  bool dirty;
} shmseg_rwlock;

#define SHMSEG_RWLOCK_READERS 64
#define SHMSEG_RWLOCK_WRITER SHMSEG_RWLOCK_READERS

SHMSEG_OBJECT(rwlock);
SHMSEG_API int shmseg_rwlock_read_lock(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned);
SHMSEG_API int shmseg_rwlock_write_lock(shmseg_rwlock *rwlock, int64_t deadline, bool *abandoned);
/* Gives up a write_lock that has returned SHMSEG_INTERRUPTED and will not be called again. Until
 * then it lets no new readers in. */
SHMSEG_API void shmseg_rwlock_cancel(shmseg_rwlock *rwlock);
SHMSEG_API int shmseg_rwlock_unlock(shmseg_rwlock *rwlock);
SHMSEG_API bool shmseg_rwlock_holds(const shmseg_rwlock *rwlock);

/* A semaphore of 1 to 65,535 permits. A dead process's permits come back.
 *
 * With the option signal it is a counting signal: it begins with 0, anybody posts, and acquire takes
 * one, which is used up. Nothing comes back, and release is SHMSEG_NOT_HELD. Acquiring takes no
 * identity. */
typedef struct shmseg_semaphore {
  shmseg_object object;
  uint32_t permits; /* that this handle has acquired */

  /* private */
  uint32_t hint; /* where to look for a free one first */
  shmseg_hold hold;
} shmseg_semaphore;

#define SHMSEG_PERMITS_MAX 65535
#define SHMSEG_SIGNAL_MAX 2147483647

#define SHMSEG_SEMAPHORE_OWNED 1
#define SHMSEG_SEMAPHORE_SIGNAL 2

SHMSEG_OBJECT(semaphore);
SHMSEG_API int shmseg_semaphore_acquire(shmseg_semaphore *semaphore, int64_t deadline);
SHMSEG_API int shmseg_semaphore_release(shmseg_semaphore *semaphore);
/* Posts so many, from 1 on: all of them, or none and SHMSEG_TOO_MANY. EINVAL: it is no signal. */
SHMSEG_API int shmseg_semaphore_post(shmseg_semaphore *semaphore, uint32_t count);
SHMSEG_API bool shmseg_semaphore_is_signal(const shmseg_semaphore *semaphore);
SHMSEG_API int shmseg_semaphore_value(shmseg_semaphore *semaphore, uint32_t *value);

/* An event that stays set until it is cleared. A wait that began before a set returns, even when
 * it is cleared at once. *began is 0 at the first call of a wait, and is given to the later ones. */
typedef struct shmseg_event {
  shmseg_object object;
} shmseg_event;

SHMSEG_OBJECT(event);
SHMSEG_API int shmseg_event_set(shmseg_event *event);
SHMSEG_API int shmseg_event_clear(shmseg_event *event);
SHMSEG_API int shmseg_event_is_set(const shmseg_event *event, bool *set);
SHMSEG_API int shmseg_event_wait(const shmseg_event *event, uint32_t *began, int64_t deadline);

#ifdef __cplusplus
}
#endif

#endif
