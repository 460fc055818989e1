/* SPDX-License-Identifier: MIT */
/* A name in the storm: made, found complete, built upon and removed by everybody. */
#include <errno.h>
#include <string.h>

#include "os/clock.h"
#include "storm/storm.h"

#define SIZE 4096
#define PATTERN 0x5a

/* Zeroes for a mutex, and then what every attacher must find. */
static int fill(shmseg_segment *segment, void *context) {
  (void)context;
  memset(segment->data + SIZE / 2, PATTERN, SIZE / 2);
  return 0;
}

static bool complete(const shmseg_segment *segment) {
  for (size_t i = SIZE / 2; i < SIZE; i++)
    if (segment->data[i] != PATTERN)
      return false;
  return segment->size == SIZE;
}

/* Whoever comes first builds it; who dies at that is replaced. */
static void build_upon(shmseg_segment *segment) {
  shmseg_mutex mutex;
  bool abandoned;
  storm_begin("mutex: open", 0);
  int err =
      shmseg_mutex_open(&mutex, (shmseg_slice){ segment, 0, SIZE / 2 }, SHMSEG_CREATE, NULL, NULL);
  storm_end(err, true);
  if (err)
    return;
  int64_t deadline = shmseg_clock_now() + 10000000;
  do
    err = shmseg_mutex_lock(&mutex, deadline, &abandoned);
  while (err == SHMSEG_INTERRUPTED);
  if (err == 0 && storm_draw(4))
    err = shmseg_mutex_unlock(&mutex);
  storm_expect(err == 0 || err == SHMSEG_TIMEOUT);
  shmseg_mutex_close(&mutex);
}

static void operate(void) {
  shmseg_segment segment;
  shmseg_options options = { .size = SIZE, .perm = 0600, .init = fill };
  if (storm_draw(4))
    return;
  options.temporary = storm_draw(2) ? SHMSEG_TEMPORARY_LAST : 0;
  storm_begin("segment: open", 0);
  int err = shmseg_segment_open(&segment, (shmseg_place){ SHMSEG_NAME, storm_scratch_name },
                                SHMSEG_CREATE, &options, NULL);
  storm_end(err, true);
  if (err)
    return;
  storm_expect(complete(&segment));
  build_upon(&segment);
  if (storm_draw(3) == 0) {
    storm_begin("segment: unlink", 0);
    err = shmseg_segment_unlink(&segment);
    storm_end(err == ENOENT || err == SHMSEG_RENAMED ? 0 : err, true);
  }
  shmseg_segment_close(&segment);
}

static const char *finish(void) {
  int err = shmseg_segment_remove((shmseg_place){ SHMSEG_NAME, storm_scratch_name });
  return err == 0 || err == ENOENT ? NULL : "it cannot be removed";
}

static const storm_noun storm_name = { .name = "segment", .operate = operate, .finish = finish };

STORM_PLAY(storm_name);
