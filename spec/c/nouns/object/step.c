/* SPDX-License-Identifier: MIT */
/* Objects made on a slice, stepped: there or not, and never stuck. */
#include <errno.h>
#include <string.h>

#include "core/owner.h"
#include "objects/header.h"
#include "options.h"
#include "os/liveness.h"
#include "step/step.h"

#define PERMITS 3

static shmseg_mutex mutex;
static shmseg_rwlock rwlock;
static shmseg_semaphore semaphore;
static shmseg_event event;
static shmseg_cell cell;
static shmseg_queue queue;
static shmseg_broadcast broadcast;

static int open_mutex(shmseg_mode mode) {
  return shmseg_mutex_open(&mutex, (shmseg_slice){ &step_segment, 0, step_segment.size }, mode,
                           NULL, NULL);
}

static int open_rwlock(shmseg_mode mode) {
  return shmseg_rwlock_open(&rwlock, (shmseg_slice){ &step_segment, 0, step_segment.size }, mode,
                            NULL, NULL);
}

static int open_semaphore(shmseg_mode mode) {
  return shmseg_semaphore_open(&semaphore, (shmseg_slice){ &step_segment, 0, step_segment.size },
                               mode, OF_PERMITS(PERMITS), NULL);
}

static int open_event(shmseg_mode mode) {
  return shmseg_event_open(&event, (shmseg_slice){ &step_segment, 0, step_segment.size }, mode,
                           NULL, NULL);
}

static int open_cell(shmseg_mode mode) {
  return shmseg_cell_open(&cell, (shmseg_slice){ &step_segment, 0, step_segment.size }, mode,
                          OF_CAPACITY(STEP_CAPACITY), NULL);
}

static int open_queue(shmseg_mode mode) {
  return shmseg_queue_open(&queue, (shmseg_slice){ &step_segment, 0, step_segment.size }, mode,
                           OF_CAPACITY(STEP_CAPACITY), NULL);
}

static int open_broadcast(shmseg_mode mode) {
  return shmseg_broadcast_open(&broadcast, (shmseg_slice){ &step_segment, 0, step_segment.size },
                               mode, OF_CAPACITY(STEP_CAPACITY), NULL);
}

static const char *use_mutex(void) {
  bool abandoned = true;
  bool good = !shmseg_mutex_check(&mutex) && shmseg_mutex_lock(&mutex, 0, &abandoned) == 0 &&
              !abandoned && shmseg_mutex_unlock(&mutex) == 0;
  shmseg_mutex_close(&mutex);
  return good ? NULL : "it is no new mutex";
}

static const char *use_rwlock(void) {
  bool abandoned = true, again = true;
  bool good = !shmseg_rwlock_check(&rwlock) &&
              shmseg_rwlock_write_lock(&rwlock, 0, &abandoned) == 0 && !abandoned &&
              shmseg_rwlock_unlock(&rwlock) == 0 &&
              shmseg_rwlock_read_lock(&rwlock, 0, &again) == 0 && !again &&
              shmseg_rwlock_unlock(&rwlock) == 0;
  shmseg_rwlock_close(&rwlock);
  return good ? NULL : "it is no new rwlock";
}

static const char *use_semaphore(void) {
  uint32_t value;
  bool good = !shmseg_semaphore_check(&semaphore) &&
              shmseg_semaphore_value(&semaphore, &value) == 0 && value == PERMITS;
  for (int i = 0; i < PERMITS; i++)
    good = good && shmseg_semaphore_acquire(&semaphore, 0) == 0;
  good = good && shmseg_semaphore_acquire(&semaphore, 0) == SHMSEG_TIMEOUT;
  shmseg_semaphore_close(&semaphore);
  return good ? NULL : "it is no new semaphore";
}

static const char *use_event(void) {
  bool set = true;
  bool good = !shmseg_event_check(&event) && shmseg_event_is_set(&event, &set) == 0 && !set &&
              shmseg_event_set(&event) == 0;
  shmseg_event_close(&event);
  return good ? NULL : "it is no new event";
}

/* By the structure's own full use, which is to find it so. */
static const char *use_as_new(const step_structure *structure, const char *outcome) {
  if (structure->open() != 0)
    return "it cannot be opened";
  const char *wrong = structure->verify();
  const char *found = wrong ? wrong : structure->use();
  structure->close();
  return strcmp(found, outcome) == 0 ? NULL : found;
}

static const char *use_cell(void) {
  shmseg_cell_close(&cell);
  return use_as_new(&step_cell, "none");
}

static const char *use_queue(void) {
  shmseg_queue_close(&queue);
  return use_as_new(&step_queue, "empty");
}

static const char *use_broadcast(void) {
  shmseg_broadcast_close(&broadcast);
  return use_as_new(&step_broadcast, "none, then 1");
}

/* Is it there? And when it is not, can it be made? */
static const char *enter_and_use(int (*open)(shmseg_mode mode), const char *(*use)(void)) {
  int err = open(SHMSEG_WRITE);
  bool there = err == 0;
  if (err != 0 && err != ENOENT)
    return "the place is lost";
  if (!there && open(SHMSEG_CREATE) != 0)
    return "it cannot be made any more";
  const char *wrong = use();
  return wrong ? wrong : there ? "there" : "none";
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static const char *nothing_to_verify(void) {
  return NULL;
}

/* What a builder leaves that dies after its first stores, of any kind: only the state. */
static void begin_to_build(void) {
  uint32_t id;
  step_expect(shmseg_owner_identity(&step_segment, &id) == 0);
  __atomic_store_n((uint32_t *)step_segment.data, SHMSEG_HEADER_INIT | id, __ATOMIC_SEQ_CST);
}

/* The same, dead just before it publishes. */
static void build_to_the_end(int (*open)(shmseg_mode mode)) {
  step_expect(open(SHMSEG_CREATE) == 0);
  begin_to_build();
}

/* The same, of the smallest capacity. */
static void build_another(const shmseg_kind *kind) {
  static _Alignas(64) unsigned char handle[512];
  static const shmseg_object_options smallest = { .capacity = 1, .permits = 1 };
  shmseg_slice all = shmseg_segment_whole(&step_segment);
  step_expect(kind->handle_size <= sizeof handle);
  step_expect(
      shmseg_object_open((shmseg_object *)handle, kind, all, SHMSEG_CREATE, &smallest, NULL) == 0);
  begin_to_build();
}

/* One structure for each noun; OTHER is what keeps the cases of those that have a capacity. */
#define SIZED(...) __VA_ARGS__
#define NOT(...)
#define NOUN(object, bytes, OTHER)                                                                 \
  static const char *enter_##object(void) {                                                        \
    return enter_and_use(open_##object, use_##object);                                             \
  }                                                                                                \
  static void make_##object(void) {                                                                \
    step_expect(open_##object(SHMSEG_CREATE) == 0);                                                \
  }                                                                                                \
  static void half_##object(void) {                                                                \
    build_to_the_end(open_##object);                                                               \
  }                                                                                                \
  OTHER(static void other_##object(void) { build_another(&shmseg_##object##_kind); })              \
  static const step_case object##_cases[] = {                                                      \
    { .sentence = "made of zeroes", .operate = make_##object, .outcomes = { "none", "there" } },   \
    { .sentence = "made by who has no identity yet",                                               \
      .operate = make_##object,                                                                    \
      .outcomes = { "none", "there" },                                                             \
      .no_identity = true,                                                                         \
      .descriptors = 1 },                                                                          \
    { .sentence = "made after a builder died at its beginning",                                    \
      .actors = { { STEP_DIES, begin_to_build, NULL } },                                           \
      .operate = make_##object,                                                                    \
      .outcomes = { "none", "there" } },                                                           \
    { .sentence = "made after a builder died at its end",                                          \
      .actors = { { STEP_DIES, half_##object, NULL } },                                            \
      .operate = make_##object,                                                                    \
      .outcomes = { "none", "there" } },                                                           \
    OTHER({ .sentence = "made after a builder of another capacity died at its end",                \
            .actors = { { STEP_DIES, other_##object, NULL } },                                     \
            .operate = make_##object,                                                              \
            .outcomes = { "none", "there" } }, ){                                                  \
        .sentence = "opened where it is",                                                          \
        .actors = { { STEP_DIES, make_##object, NULL } },                                          \
        .operate = make_##object,                                                                  \
        .outcomes = { "there" } },                                                                 \
    { 0 },                                                                                         \
  };                                                                                               \
  const step_structure step_build_##object = { .noun = "build of a " #object,                      \
                                               .size = bytes,                                      \
                                               .verify = nothing_to_verify,                        \
                                               .use = enter_##object,                              \
                                               .cases = object##_cases };

NOUN(mutex, 128, NOT)
NOUN(rwlock, 384, NOT)
NOUN(semaphore, 192, SIZED)
NOUN(event, 128, NOT)
NOUN(cell, 448, SIZED)
NOUN(queue, 368, SIZED)
NOUN(broadcast, 248, SIZED)
