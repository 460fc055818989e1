/* SPDX-License-Identifier: MIT */
/* The rwlock, stepped. */
#include "step/step.h"

#define READERS SHMSEG_RWLOCK_READERS

static shmseg_rwlock rwlock;

/* More participants of this process. */
static shmseg_segment segments[READERS];
static shmseg_rwlock readers[READERS];

static void close_it(void) {
  shmseg_rwlock_close(&rwlock);
}

static int read_with(shmseg_rwlock *lock, int64_t milliseconds, bool *abandoned) {
  int err;
  int64_t deadline = milliseconds ? step_deadline(milliseconds) : 0;
  STEP_UNTIL_DONE(err, shmseg_rwlock_read_lock(lock, deadline, abandoned));
  return err;
}

static int write_with(shmseg_rwlock *lock, int64_t milliseconds, bool *abandoned) {
  int err;
  int64_t deadline = milliseconds ? step_deadline(milliseconds) : 0;
  STEP_UNTIL_DONE(err, shmseg_rwlock_write_lock(lock, deadline, abandoned));
  return err;
}

/* --- a full use ------------------------------------------------------------------------------- */

/* All slots can be had, and one more cannot. */
static const char *read_all(bool expected) {
  const char *wrong = NULL;
  int opened = 0;
  for (; opened < READERS && !wrong; opened++) {
    bool abandoned = !expected;
    if (step_open_other(&segments[opened]) != 0 ||
        shmseg_rwlock_open(&readers[opened],
                           (shmseg_slice){ &segments[opened], 0, segments[opened].size },
                           SHMSEG_WRITE, NULL, NULL) != 0)
      wrong = "no other handle";
    else if (read_with(&readers[opened], 0, &abandoned) != 0)
      wrong = "a reader's slot is lost";
    else if (abandoned != expected)
      wrong = "readers are told different things";
  }
  bool ignored;
  if (!wrong && read_with(&rwlock, 0, &ignored) != SHMSEG_TIMEOUT)
    wrong = "more readers than slots";
  if (!wrong && write_with(&rwlock, 0, &ignored) != SHMSEG_TIMEOUT)
    wrong = "a writer beside readers";
  for (int i = 0; i < opened; i++) {
    if (!wrong && shmseg_rwlock_unlock(&readers[i]) != 0)
      wrong = "a reader cannot leave";
    shmseg_rwlock_close(&readers[i]);
    shmseg_segment_close(&segments[i]);
  }
  return wrong;
}

static const char *write_once(bool expected) {
  bool abandoned, ignored;
  shmseg_segment segment;
  shmseg_rwlock other;
  if (write_with(&rwlock, 0, &abandoned) != 0)
    return "the write lock is not to be had";
  if (abandoned != expected)
    return "a writer is told another thing than a reader";
  if (step_open_other(&segment) != 0 ||
      shmseg_rwlock_open(&other, shmseg_segment_whole(&segment), SHMSEG_WRITE, NULL, NULL) != 0)
    return "no second handle";
  const char *wrong = NULL;
  if (read_with(&other, 0, &ignored) != SHMSEG_TIMEOUT)
    wrong = "a reader beside a writer";
  else if (write_with(&other, 0, &ignored) != SHMSEG_TIMEOUT)
    wrong = "a second writer";
  else if (shmseg_rwlock_unlock(&rwlock) != 0)
    wrong = "a writer cannot unlock";
  shmseg_rwlock_close(&other);
  shmseg_segment_close(&segment);
  return wrong;
}

/* One reader first: who writes frees more than readers do. Readers and writers are told the same,
 * and after a writer's unlock nothing. */
static const char *use(void) {
  bool abandoned;
  if (read_with(&rwlock, 0, &abandoned) != 0)
    return "the read lock is not to be had";
  if (shmseg_rwlock_unlock(&rwlock) != 0)
    return "a reader cannot leave";
  const char *wrong = read_all(abandoned);
  if (!wrong)
    wrong = write_once(abandoned);
  bool again = true;
  if (!wrong && (read_with(&rwlock, 0, &again) != 0 || shmseg_rwlock_unlock(&rwlock) != 0 || again))
    wrong = "abandoned after a writer's unlock";
  return wrong ? wrong : abandoned ? "abandoned" : "clean";
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static void read_lock(void) {
  bool abandoned;
  step_expect(read_with(&rwlock, 5000, &abandoned) == 0);
}

static void write_lock(void) {
  bool abandoned;
  step_expect(write_with(&rwlock, 5000, &abandoned) == 0);
}

static void unlock(void) {
  step_expect(shmseg_rwlock_unlock(&rwlock) == 0);
}

static void read_and_unlock(void) {
  read_lock();
  unlock();
}

static void write_and_unlock(void) {
  write_lock();
  unlock();
}

static void read_in_vain(void) {
  bool abandoned;
  step_expect(read_with(&rwlock, 20, &abandoned) == SHMSEG_TIMEOUT);
}

static void write_in_vain(void) {
  bool abandoned;
  step_expect(write_with(&rwlock, 20, &abandoned) == SHMSEG_TIMEOUT);
}

static void write_and_close(void) {
  write_lock();
  close_it();
}

/* All slots taken by this process. */
static void fill(void) {
  for (int i = 0; i < READERS; i++) {
    bool abandoned;
    step_expect(step_open_other(&segments[i]) == 0);
    step_expect(shmseg_rwlock_open(&readers[i], (shmseg_slice){ &segments[i], 0, segments[i].size },
                                   SHMSEG_WRITE, NULL, NULL) == 0);
    step_expect(read_with(&readers[i], 0, &abandoned) == 0);
  }
}

static void empty(void) {
  for (int i = 0; i < READERS; i++)
    step_expect(shmseg_rwlock_unlock(&readers[i]) == 0);
}

/* A writer that waits for a reader to leave, and has been interrupted. */
static void drain(void) {
  bool abandoned;
  step_expect(shmseg_rwlock_write_lock(&rwlock, step_deadline(5000), &abandoned) ==
              SHMSEG_INTERRUPTED);
}

static void cancel(void) {
  shmseg_rwlock_cancel(&rwlock);
}

/* --- cases ------------------------------------------------------------------------------------ */

#define DEAD_READER                                                                                \
  { STEP_DIES, read_lock, NULL }
#define DEAD_WRITER                                                                                \
  { STEP_DIES, write_lock, NULL }
#define DEAD_READERS                                                                               \
  { STEP_DIES, fill, NULL }
#define DEAD_ASKER                                                                                 \
  { STEP_DIES, write_in_vain, NULL }
#define LIVE_READER                                                                                \
  { STEP_STAYS, read_lock, unlock }
#define LIVE_WRITER                                                                                \
  { STEP_STAYS, write_lock, unlock }
#define LIVE_READERS                                                                               \
  { STEP_STAYS, fill, empty }
#define SLEEPING_READER                                                                            \
  { STEP_SLEEPS, read_and_unlock, NULL }
#define SLEEPING_WRITER                                                                            \
  { STEP_SLEEPS, write_and_unlock, NULL }
#define CLOSED_WRITER                                                                              \
  { STEP_DIES, write_and_close, NULL }

static const step_case cases[] = {
  { .sentence = "read_lock, free", .operate = read_lock, .outcomes = { "clean" } },
  { .sentence = "read_lock, a reader is dead",
    .actors = { DEAD_READER },
    .operate = read_lock,
    .outcomes = { "clean" } },
  { .sentence = "read_lock, all slots are dead readers'",
    .actors = { DEAD_READERS },
    .operate = read_lock,
    .outcomes = { "clean" } },
  { .sentence = "read_lock in vain, all slots are live readers'",
    .actors = { LIVE_READERS },
    .operate = read_in_vain,
    .outcomes = { "clean" },
    .live = "clean" },
  { .sentence = "read_lock, the writer is dead",
    .actors = { DEAD_WRITER },
    .operate = read_lock,
    .outcomes = { "abandoned" } },
  { .sentence = "read_lock, abandoned by a close",
    .actors = { CLOSED_WRITER },
    .operate = read_lock,
    .outcomes = { "abandoned" } },
  { .sentence = "read_lock in vain, the writer lives",
    .actors = { LIVE_WRITER },
    .operate = read_in_vain,
    .outcomes = { "abandoned" },
    .live = "clean" },
  { .sentence = "write_lock, free", .operate = write_lock, .outcomes = { "clean", "abandoned" } },
  { .sentence = "write_lock, a reader is dead",
    .actors = { DEAD_READER },
    .operate = write_lock,
    .outcomes = { "clean", "abandoned" } },
  { .sentence = "write_lock, all slots are dead readers'",
    .actors = { DEAD_READERS },
    .operate = write_lock,
    .outcomes = { "clean", "abandoned" } },
  { .sentence = "write_lock, the writer is dead",
    .actors = { DEAD_WRITER },
    .operate = write_lock,
    .outcomes = { "abandoned" } },
  { .sentence = "write_lock, the writer is dead and the word flagged",
    .actors = { DEAD_WRITER, DEAD_ASKER },
    .operate = write_lock,
    .outcomes = { "abandoned" } },
  { .sentence = "write_lock, abandoned by a close",
    .actors = { CLOSED_WRITER },
    .operate = write_lock,
    .outcomes = { "abandoned" } },
  { .sentence = "write_lock in vain, a reader lives",
    .actors = { LIVE_READER },
    .operate = write_in_vain,
    .outcomes = { "clean", "abandoned", "clean" },
    .live = "*" },
  { .sentence = "write_lock in vain, a reader lives, abandoned before",
    .actors = { CLOSED_WRITER, LIVE_READER },
    .operate = write_in_vain,
    .outcomes = { "abandoned" },
    .live = "abandoned" },
  { .sentence = "unlock by a reader",
    .prepare = read_lock,
    .operate = unlock,
    .outcomes = { "clean" } },
  { .sentence = "unlock by a reader, a writer sleeps",
    .actors = { SLEEPING_WRITER },
    .prepare = read_lock,
    .operate = unlock,
    .outcomes = { "abandoned" }, /* a copy's writer is dead */
    .live = "clean",
    .wakes = 1 },
  { .sentence = "unlock by a reader, abandoned before",
    .actors = { CLOSED_WRITER },
    .prepare = read_lock,
    .operate = unlock,
    .outcomes = { "abandoned" } },
  { .sentence = "unlock by a writer",
    .prepare = write_lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" } },
  { .sentence = "unlock by a writer who was told abandoned",
    .actors = { DEAD_WRITER },
    .prepare = write_lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" } },
  { .sentence = "unlock by a writer, a reader sleeps",
    .actors = { SLEEPING_READER },
    .prepare = write_lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" },
    .live = "*",
    .wakes = 1 },
  { .sentence = "unlock by a writer, readers and a writer sleep",
    .actors = { SLEEPING_READER, SLEEPING_READER, SLEEPING_WRITER },
    .prepare = write_lock,
    .operate = unlock,
    .outcomes = { "abandoned", "clean" },
    .live = "*",
    .wakes = 1 },
  { .sentence = "close by a reader",
    .prepare = read_lock,
    .operate = close_it,
    .outcomes = { "clean" } },
  { .sentence = "close by a writer",
    .prepare = write_lock,
    .operate = close_it,
    .outcomes = { "abandoned" } },
  { .sentence = "close by a writer, a reader sleeps",
    .actors = { SLEEPING_READER },
    .prepare = write_lock,
    .operate = close_it,
    .outcomes = { "abandoned" },
    .live = "abandoned",
    .wakes = 1 },
  { .sentence = "write_lock, interrupted while a reader lives",
    .actors = { LIVE_READER },
    .operate = drain,
    .outcomes = { "clean", "abandoned" },
    .live = "*" },
  { .sentence = "cancel of an interrupted write_lock",
    .actors = { LIVE_READER },
    .prepare = drain,
    .operate = cancel,
    .outcomes = { "abandoned", "clean" },
    .live = "*" },
  { 0 },
};

static const step_structure step_rwlock = {
  .kind = &shmseg_rwlock_kind,
  .handle = &rwlock.object,
  .as_new = "clean",
  .use = use,
  .cases = cases,
};

STEP_PLAY(step_rwlock);
