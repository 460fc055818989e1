/* SPDX-License-Identifier: MIT */
/* The other end in C: takes a lock through shmseg.h, and gives it back.
 *
 *   lock_peer mutex|read|write|permit NAME
 *
 * Prints "held" or "held abandoned"; waits for SIGUSR1; unlocks and prints "free". Status 1 with the
 * code's number on stderr when something fails. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmseg.h"

static shmseg_segment segment;
static shmseg_mutex mutex;
static shmseg_rwlock rwlock;
static shmseg_semaphore semaphore;

static int lock_mutex(bool *abandoned) {
  int code = shmseg_mutex_open(&mutex, (shmseg_slice){ &segment, 0, segment.size }, SHMSEG_WRITE,
                               NULL, NULL);
  do {
    if (code == 0 || code == SHMSEG_INTERRUPTED)
      code = shmseg_mutex_lock(&mutex, SHMSEG_FOREVER, abandoned);
  } while (code == SHMSEG_INTERRUPTED);
  return code;
}

static int lock_rwlock(bool write, bool *abandoned) {
  int code = shmseg_rwlock_open(&rwlock, (shmseg_slice){ &segment, 0, segment.size }, SHMSEG_WRITE,
                                NULL, NULL);
  do {
    if (code == 0 || code == SHMSEG_INTERRUPTED)
      code = write ? shmseg_rwlock_write_lock(&rwlock, SHMSEG_FOREVER, abandoned)
                   : shmseg_rwlock_read_lock(&rwlock, SHMSEG_FOREVER, abandoned);
  } while (code == SHMSEG_INTERRUPTED);
  return code;
}

static int acquire_permit(void) {
  int code = shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, segment.size },
                                   SHMSEG_WRITE, NULL, NULL);
  do {
    if (code == 0 || code == SHMSEG_INTERRUPTED)
      code = shmseg_semaphore_acquire(&semaphore, SHMSEG_FOREVER);
  } while (code == SHMSEG_INTERRUPTED);
  return code;
}

static int take(const char *kind, bool *abandoned) {
  if (strcmp(kind, "mutex") == 0)
    return lock_mutex(abandoned);
  if (strcmp(kind, "permit") == 0)
    return acquire_permit();
  return lock_rwlock(strcmp(kind, "write") == 0, abandoned);
}

static int give_back(const char *kind) {
  if (strcmp(kind, "mutex") == 0)
    return shmseg_mutex_unlock(&mutex);
  if (strcmp(kind, "permit") == 0)
    return shmseg_semaphore_release(&semaphore);
  return shmseg_rwlock_unlock(&rwlock);
}

static int fail(int code) {
  fprintf(stderr, "%d", code);
  return EXIT_FAILURE;
}

static int say(const char *word) {
  puts(word);
  return fflush(stdout);
}

int main(int count, char **arguments) {
  if (count < 3)
    return 2;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);

  shmseg_place place = { SHMSEG_NAME, arguments[2] };
  bool abandoned = false;
  shmseg_segment_init(&segment);
  int code = shmseg_segment_open(&segment, place, SHMSEG_WRITE, &(shmseg_options){ 0 }, NULL);
  if (code == 0)
    code = take(arguments[1], &abandoned);
  if (code != 0)
    return fail(code);
  say(abandoned ? "held abandoned" : "held");

  int arrived;
  sigwait(&signals, &arrived);
  code = give_back(arguments[1]);
  if (code != 0)
    return fail(code);
  say("free");
  return EXIT_SUCCESS;
}
