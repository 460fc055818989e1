/* SPDX-License-Identifier: MIT */
/* Segments made, removed and resized under their names, stepped: an outsider never sees half of
 * one, and a death leaves neither names nor locks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "step/step.h"

#define SMALL 4096
#define LARGE 12288
#define PATTERN 0x5a

static shmseg_segment mine;

static int fill(shmseg_segment *segment, void *context) {
  (void)context;
  memset(segment->data, PATTERN, segment->size);
  return 0;
}

static int open_in(shmseg_segment *segment, shmseg_mode mode, bool *created) {
  shmseg_options options = { .size = SMALL, .perm = 0640, .init = fill };
  return shmseg_segment_open(segment, (shmseg_place){ SHMSEG_NAME, step_name }, mode, &options,
                             created);
}

static int open_last(shmseg_mode mode) {
  shmseg_options options = {
    .size = SMALL, .perm = 0640, .init = fill, .temporary = SHMSEG_TEMPORARY_LAST
  };
  return shmseg_segment_open(&mine, (shmseg_place){ SHMSEG_NAME, step_name }, mode, &options, NULL);
}

static int make(void) {
  int err = open_in(&mine, SHMSEG_CREATE, NULL);
  shmseg_segment_close(&mine);
  return err;
}

/* What an outsider sees: all of it, or nothing. */
static const char *look(void) {
  static const shmseg_options none;
  shmseg_segment segment;
  struct stat status;
  int64_t deadline = 1; /* has come */
  int err = shmseg_segment_open_until(&segment, (shmseg_place){ SHMSEG_NAME, step_name },
                                      SHMSEG_WRITE, &none, &deadline, NULL);
  if (err == SHMSEG_TIMEOUT) /* kept out, by who is about to remove it */
    return "small";
  if (err)
    return err == ENOENT ? "none" : "a half made segment";
  const char *seen = segment.size == SMALL   ? "small"
                     : segment.size == LARGE ? "large"
                                             : "a strange size";
  if (fstat(segment.fd, &status) != 0 || (status.st_mode & 07777) != 0640)
    seen = "other permissions";
  for (size_t i = 0; i < SMALL; i++)
    if (segment.data[i] != PATTERN)
      seen = "other bytes";
  shmseg_segment_close(&segment);
  return seen;
}

/* It can be opened or made, resized and removed, whatever has happened. */
static const char *use(void) {
  shmseg_segment segment;
  if (open_in(&segment, SHMSEG_CREATE, NULL) != 0)
    return "it cannot be opened any more";
  const char *wrong = NULL;
  if (shmseg_segment_resize(&segment, LARGE) != 0 || segment.size != LARGE)
    wrong = "it does not grow";
  else if (shmseg_segment_resize(&segment, SMALL) != 0 || segment.size != SMALL)
    wrong = "it does not shrink";
  else if (shmseg_segment_unlink(&segment) != 0)
    wrong = "it cannot be removed";
  shmseg_segment_close(&segment);
  return wrong;
}

/* --- what subjects do ------------------------------------------------------------------------- */

static void open_mine(void) {
  step_expect(open_in(&mine, SHMSEG_WRITE, NULL) == 0);
}

static void create(void) {
  bool created = false;
  step_expect(open_in(&mine, SHMSEG_CREATE, &created) == 0 && created);
}

static void create_only(void) {
  step_expect(open_in(&mine, SHMSEG_CREATE_ONLY, NULL) == 0);
}

static void create_in_vain(void) {
  step_expect(open_in(&mine, SHMSEG_CREATE_ONLY, NULL) == EEXIST);
}

static void attach(void) {
  bool created = true;
  step_expect(open_in(&mine, SHMSEG_CREATE, &created) == 0 && !created);
}

static void remove_it(void) {
  step_expect(shmseg_segment_unlink(&mine) == 0);
}

static void remove_name(void) {
  step_expect(shmseg_segment_remove((shmseg_place){ SHMSEG_NAME, step_name }) == 0);
}

static void grow(void) {
  step_expect(shmseg_segment_resize(&mine, LARGE) == 0);
}

static void grow_and_shrink(void) {
  grow();
  step_expect(shmseg_segment_resize(&mine, SMALL) == 0);
}

static void create_last(void) {
  step_expect(open_last(SHMSEG_CREATE) == 0);
}

static void open_mine_last(void) {
  step_expect(open_last(SHMSEG_WRITE) == 0);
}

static void close_mine(void) {
  shmseg_segment_close(&mine);
}

static const step_case none_cases[] = {
  { .sentence = "created", .operate = create, .outcomes = { "none", "small" }, .descriptors = 1 },
  { .sentence = "created exclusively",
    .operate = create_only,
    .outcomes = { "none", "small" },
    .descriptors = 1 },
  { .sentence = "created, temporary up to the last",
    .operate = create_last,
    .outcomes = { "none", "small" },
    .descriptors = 1 },
  { 0 },
};

static const step_case there_cases[] = {
  { .sentence = "opened", .operate = attach, .outcomes = { "small" }, .descriptors = 1 },
  { .sentence = "created exclusively, in vain",
    .operate = create_in_vain,
    .outcomes = { "small" } },
  { .sentence = "unlinked by a handle",
    .prepare = open_mine,
    .operate = remove_it,
    .outcomes = { "small", "none" } },
  { .sentence = "removed by its name", .operate = remove_name, .outcomes = { "small", "none" } },
  { .sentence = "grown", .prepare = open_mine, .operate = grow, .outcomes = { "small", "large" } },
  { .sentence = "grown and shrunk",
    .prepare = open_mine,
    .operate = grow_and_shrink,
    .outcomes = { "small", "large", "small" } },
  { .sentence = "closed",
    .prepare = open_mine,
    .operate = close_mine,
    .outcomes = { "small" },
    .descriptors = -1 },
  { .sentence = "closed by the last",
    .prepare = open_mine_last,
    .operate = close_mine,
    .outcomes = { "small", "none" },
    .descriptors = -1 },
  { 0 },
};

static const step_structure step_name_none = {
  .noun = "absent segment", .name = "segment.absent", .look = look, .use = use, .cases = none_cases
};
static const step_structure step_name_there = {
  .noun = "segment", .build = make, .look = look, .use = use, .cases = there_cases
};

STEP_PLAY(step_name_none);
STEP_PLAY(step_name_there);
