/* SPDX-License-Identifier: MIT */
/* Processes that open, and race to build, one object: what each of them may be told. */
#include "schedule/opening.h"

#include <errno.h>
#include <string.h>

#include "objects/object.h"

static int built; /* how many were told that they have created it */

typedef union {
  shmseg_mutex mutex;
  shmseg_rwlock rwlock;
  shmseg_semaphore semaphore;
  shmseg_event event;
  shmseg_cell cell;
  shmseg_queue queue;
  shmseg_broadcast broadcast;
} any_object;

/* Of another capacity than the scenarios', where there is one. */
static int open_another(shmseg_segment *segment, uint32_t kind) {
  static any_object o;
  const shmseg_mode mode = SHMSEG_CREATE;
  switch (kind) {
  case SHMSEG_KIND_MUTEX: return shmseg_mutex_open(&o.mutex, segment, 0, DATA, mode, NULL);
  case SHMSEG_KIND_RWLOCK: return shmseg_rwlock_open(&o.rwlock, segment, 0, DATA, mode, NULL);
  case SHMSEG_KIND_SEMAPHORE:
    return shmseg_semaphore_open(&o.semaphore, segment, 0, DATA, mode, 5, NULL);
  case SHMSEG_KIND_EVENT: return shmseg_event_open(&o.event, segment, 0, DATA, mode, NULL);
  case SHMSEG_KIND_CELL: return shmseg_cell_open(&o.cell, segment, 0, DATA, mode, 1, NULL);
  case SHMSEG_KIND_QUEUE: return shmseg_queue_open(&o.queue, segment, 0, DATA, mode, 1, NULL);
  default: return shmseg_broadcast_open(&o.broadcast, segment, 0, DATA, mode, 1, NULL);
  }
}

void opening_make(int how, uint32_t kind) {
  static shmseg_segment segment;
  const uint32_t state = SHMSEG_HEADER_INIT | ID_DEAD;
  if (how == OPENING_HALF_BUILT) { /* all but published */
    engine_segment(&segment);
    must(open_another(&segment, kind) == 0, "building half of it");
  }
  if (how != OPENING_ZERO)
    memcpy(block, &state, sizeof state);
}

void opening_begin(void) {
  built = 0;
}

bool opening_is(char op) {
  return op == 'o' || op == 'O' || op == 'j';
}

shmseg_mode opening_mode(char op) {
  return op == 'o' ? SHMSEG_CREATE : op == 'O' ? SHMSEG_CREATE_ONLY : SHMSEG_WRITE;
}

bool opening_told(int p, char op, int err, bool created) {
  w.processes[p].last = err;
  built += created && err == 0;
  /* a builder that is stopped is waited for; one that died after it published has built it */
  bool fine = err == 0 || (err == SHMSEG_TIMEOUT && w.excused) ||
              (err == EEXIST && op == 'O' && (built > 0 || w.excused)) ||
              (err == ENOENT && op == 'j');
  expect(fine, "opening with %c: %d", op, err);
  expect(built <= 1, "two have created it");
  expect(op != 'O' || err != 0 || created, "created only, and yet not created");
  return err == 0;
}
