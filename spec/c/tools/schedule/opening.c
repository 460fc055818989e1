/* SPDX-License-Identifier: MIT */
/* Processes that open, and race to build, one object: what each of them may be told. */
#include "schedule/opening.h"

#include <errno.h>
#include <string.h>

#include "objects/header.h"

static int built; /* how many were told that they have created it */

/* Of another capacity than the scenarios', where there is one. */
static int open_another(shmseg_segment *segment, const shmseg_kind *kind) {
  static _Alignas(64) unsigned char handle[512];
  static const shmseg_object_options other = { .capacity = 1, .permits = 5 };
  must(kind->handle_size <= sizeof handle, "room for a handle");
  return shmseg_object_open((shmseg_object *)handle, kind, shmseg_segment_whole(segment),
                            SHMSEG_CREATE, &other, NULL);
}

void opening_make(int how, const shmseg_kind *kind) {
  static shmseg_segment segment;
  const uint32_t state = SHMSEG_HEADER_INIT | ID_DEAD;
  if (how == OPENING_HALF_BUILT) { /* all but published */
    engine_segment(&segment);
    must(open_another(&segment, kind) == 0, "building half of it");
  }
  if (how != OPENING_ZERO)
    memcpy(block, &state, sizeof state);
}

static shmseg_object *handle_of(int p) {
  return (shmseg_object *)((char *)w.structure->handles +
                           (size_t)p * w.structure->kind->handle_size);
}

bool opening_made(const scenario *s, shmseg_object *object) {
  static shmseg_segment segment;
  if (s->start < OPENING_STATES) {
    opening_make(s->start, w.structure->kind);
    return false;
  }
  engine_segment(&segment);
  must(shmseg_object_open(object, w.structure->kind, shmseg_segment_whole(&segment), SHMSEG_CREATE,
                          w.structure->options, NULL) == 0,
       "making it");
  return true;
}

static void attach(int p) {
  shmseg_segment *segment = &w.processes[p].segment;
  memset(handle_of(p), 0, w.structure->kind->handle_size);
  if (w.scenario->start >= OPENING_STATES)
    must(shmseg_object_open(handle_of(p), w.structure->kind, shmseg_segment_whole(segment),
                            segment->writable ? SHMSEG_WRITE : SHMSEG_READ, NULL, NULL) == 0,
         "attaching");
}

void opening_begin(unsigned read_only) {
  built = 0;
  for (int p = 0; p < PROCESSES; p++) {
    w.processes[p].segment.writable = !(read_only >> p & 1);
    attach(p);
  }
}

const char *opening_check(shmseg_object *object) {
  static shmseg_segment segment;
  engine_segment(&segment);
  if (shmseg_object_open(object, w.structure->kind, shmseg_segment_whole(&segment), SHMSEG_WRITE,
                         NULL, NULL) != 0)
    return w.scenario->start < OPENING_STATES && !w.processes[FRESH].started
               ? NULL
               : "it cannot be attached";
  return shmseg_object_check(object);
}

/* What process p was told. */
static void told(int p, char op, int err, bool created) {
  w.processes[p].last = err;
  built += created && err == 0;
  /* a builder that is stopped is waited for; one that died after it published has built it */
  bool fine = err == 0 || (err == SHMSEG_TIMEOUT && w.excused) ||
              (err == EEXIST && op == 'O' && (built > 0 || w.excused)) ||
              (err == ENOENT && op == 'j');
  expect(fine, "opening with %c: %d", op, err);
  expect(built <= 1, "two have created it");
  expect(op != 'O' || err != 0 || created, "created only, and yet not created");
}

bool opening_perform(int p, char op) {
  bool created = false;
  shmseg_mode mode = op == 'o' ? SHMSEG_CREATE : op == 'O' ? SHMSEG_CREATE_ONLY : SHMSEG_WRITE;
  if (op != 'o' && op != 'O' && op != 'j')
    return false;
  int err = shmseg_object_open(handle_of(p), w.structure->kind,
                               shmseg_segment_whole(&w.processes[p].segment), mode,
                               op == 'j' ? NULL : w.structure->options, &created);
  told(p, op, err, created);
  return true;
}
