/* SPDX-License-Identifier: MIT */
/* The public C API of watches. shmseg.h includes it, and says what holds for all functions. */
#ifndef SHMSEG_WATCH_H
#define SHMSEG_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg/dict.h"
#include "shmseg/locks.h"
#include "shmseg/messages.h"
#include "shmseg/segment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A watch: a descriptor for an event loop, which is readable when an operation may have something to do.
 * Then try the operation, with a deadline that is over, and call the same function again, which looks once
 * and has the descriptor readable at once if there is something. It stays readable until that call, and may
 * be readable for nothing.
 *
 *   shmseg_watch watch = { 0 };
 *   err = shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &watch);
 *   while (!err) {
 *     poll watch.fd for reading, at most a second;
 *     while ((err = shmseg_queue_take(&queue, …, 0)) == 0)
 *       use what was taken;
 *     if (err == SHMSEG_TIMEOUT)
 *       err = shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &watch);
 *   }
 *   shmseg_watch_close(&watch);
 *
 * A peer that dies between its change and its wake, one that cuts the segment, and a time to live that is
 * over wake nobody: hence the second. Through a read-only handle, but for an event and a word, the
 * descriptor is readable 10 ms after each call.
 *
 * The first call makes the watch; if it fails it leaves nothing. A later one that fails leaves the descriptor
 * readable. SHMSEG_CLOSED, SHMSEG_TRUNCATED, …, as of the object; ENOTSUP: the system has no way for it;
 * EMFILE, ENFILE, ENOMEM, EAGAIN: it has none left. SHMSEG_FORKED in a child of the process that has
 * made it: nothing but close is good there, and that harms no other process. EINVAL: a private segment, or a
 * watch that goes from a read-only handle to another one.
 *
 * Closing the object, or its segment, ends the watch: it is readable for good, and is closed like any other.
 * Resizing does not. It belongs to its segment's handle, which knows where it is: do not move or copy an open
 * one. Both are for one thread at a time. Mutexes, rwlocks and semaphores of permits have none: their wake is
 * for one sleeper, who then takes it. */
typedef struct shmseg_watch {
  int fd; /* poll it for reading; 0: closed. Never read it, write it or close it. It stays the same */

  /* private */
  struct shmseg_watch *next, **link; /* of its segment's watches; link is NULL when it has ended */
  const void *of;                    /* the object whose end is its end */
  bool is_polled;                    /* a timer of 10 ms: nobody wakes it */
  bool is_made;                      /* a call has succeeded */
  shmseg_futexfd futexfd;
} shmseg_watch;

/* Harmless on a closed one. */
SHMSEG_API void shmseg_watch_close(shmseg_watch *watch);

typedef enum { SHMSEG_WATCH_POP, SHMSEG_WATCH_PUSH } shmseg_direction;

/* Pop: there is a message, or the queue is shut. Push: there is room for what the handle's last push found
 * none for, else for the smallest message; or the queue is shut. */
SHMSEG_API int shmseg_queue_watch(shmseg_queue *queue, shmseg_direction direction,
                                  shmseg_watch *watch);

/* There is a next message, or messages were lost, or the broadcast is shut. */
SHMSEG_API int shmseg_subscription_watch(shmseg_subscription *subscription, shmseg_watch *watch);

/* The version is another one than seen. */
SHMSEG_API int shmseg_cell_watch(const shmseg_cell *cell, uint64_t seen, shmseg_watch *watch);

/* The event is set, or was for a moment. */
SHMSEG_API int shmseg_event_watch(const shmseg_event *event, shmseg_watch *watch);

/* A counting signal is above 0. ENOTSUP: it is a semaphore of permits. */
SHMSEG_API int shmseg_semaphore_watch(const shmseg_semaphore *semaphore, shmseg_watch *watch);

/* The key's state differs from the token's; at once for NULL, when the caller has seen that. *left is how many
 * nanoseconds the value has to live, 0: no end: that end makes nothing readable. */
SHMSEG_API int shmseg_dict_watch(const shmseg_dict *dict, const void *key, size_t key_size,
                                 const shmseg_dict_token *seen, int64_t *left, shmseg_watch *watch);

/* The 32-bit word at offset, a multiple of 4, is not seen. Who changes it wakes by FUTEX_WAKE, and
 * counts the watch among the sleepers. SHMSEG_OUT_OF_RANGE. */
SHMSEG_API int shmseg_segment_watch(const shmseg_segment *segment, size_t offset, uint32_t seen,
                                    shmseg_watch *watch);

/* How watches are told of a change here: "io_uring", "thread"; or NULL: there is no way. */
SHMSEG_API const char *shmseg_watch_way(void);

#ifdef __cplusplus
}
#endif

#endif
