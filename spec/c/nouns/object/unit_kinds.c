/* SPDX-License-Identifier: MIT */
/* objects/kinds: the list, and kinds with several numbers of geometry, which no structure has yet. */
#include <errno.h>
#include <string.h>

#include "core/owner.h"
#include "objects/header.h"
#include "options.h"
#include "unit/help.h"

#define INIT SHMSEG_HEADER_INIT

static shmseg_segment segment;

/* --- a kind of two numbers: a table of so many rows, each with a word that is 7 at first ---------- */

typedef struct {
  shmseg_object object;
  uint64_t opened;
} table;

static table handle;
static int closes;

static uint64_t table_size(const uint64_t *geometry) {
  uint64_t rows = geometry[0], row = geometry[1];
  return row != 0 && row % 8 == 0 && rows <= 1000 && row <= 1000 ? 64 + rows * row : 0;
}

static void table_fit(uint64_t available, uint64_t *geometry) {
  if (geometry[1] == 0)
    geometry[1] = 16;
  if (geometry[0] == 0)
    geometry[0] = available > 64 ? (available - 64) / geometry[1] : 0;
}

static int table_build(const uint64_t *geometry, shmseg_words *words) {
  words[0] = (shmseg_words){ 64, geometry[0], 4, 7, 0 };
  return 1;
}

static void table_open(shmseg_object *object) {
  ((table *)object)->opened = object->geometry[0] * object->geometry[1];
}

static void table_close(shmseg_object *object) {
  closes += object->segment != NULL;
}

static const char *table_check(const shmseg_object *object) {
  return word_at(object->segment, object->offset + 64) == 7 ? NULL : "T1: a word";
}

static const shmseg_kind table_kind = {
  .name = "table",
  .number = 1000,
  .version = 3,
  .handle_size = sizeof(table),
  .numbers = { SHMSEG_NUMBER(permits), SHMSEG_NUMBER(capacity) },
  .size = table_size,
  .fit = table_fit,
  .build = table_build,
  .open = table_open,
  .close = table_close,
  .check = table_check,
};

static int open_table(shmseg_mode mode, uint64_t rows, uint64_t row, bool *created) {
  shmseg_object_options options = { .capacity = row, .permits = rows };
  shmseg_object_close(&handle.object);
  return shmseg_object_open(&handle.object, &table_kind, shmseg_segment_whole(&segment), mode,
                            &options, created);
}

static void wipe(void) {
  memset(segment.data, 0, segment.size);
}

static uint32_t dead_identity(void) {
  shmseg_segment other;
  uint32_t id;
  same_segment(&other, &segment);
  must(shmseg_owner_identity(&other, &id) == 0);
  shmseg_segment_close(&other);
  return id;
}

/* --- tests ---------------------------------------------------------------------------------------- */

TEST(list, "the kinds are numbered from 1 in the order of the list") {
  const shmseg_kind *kind;
  uint64_t count = 0;
  check(shmseg_kinds_find(0) == NULL);
  while ((kind = shmseg_kinds_find(count + 1)) != NULL) {
    count++;
    check(kind->number == count && kind->version >= 1);
    check(kind->handle_size >= sizeof(shmseg_object));
    check(shmseg_object_size(kind, NULL) > SHMSEG_HEADER_SIZE);
  }
#define ONE(noun) count--;
  SHMSEG_KINDS(ONE)
#undef ONE
  check(count == 0 && shmseg_kinds_find(UINT64_MAX) == NULL);
}

TEST(several, "several numbers size an object, and one that disagrees is named") {
  bool created;
  wipe();
  check(open_table(SHMSEG_CREATE, 5, 24, &created) == 0 && created);
  check(handle.object.size == 64 + 5 * 24 && handle.opened == 120);
  check(number_at(&segment, 24) == 5 && number_at(&segment, 32) == 24);
  check(word_at(&segment, 64) == 7 && word_at(&segment, 64 + 16) == 7);
  check(shmseg_object_check(&handle.object) == NULL);
  check(open_table(SHMSEG_WRITE, 0, 0, NULL) == 0 && handle.opened == 120);
  check(open_table(SHMSEG_WRITE, 5, 0, NULL) == 0 && open_table(SHMSEG_WRITE, 0, 24, NULL) == 0);
  check(disagrees(open_table(SHMSEG_WRITE, 6, 24, NULL), &handle.object, "permits"));
  check(disagrees(open_table(SHMSEG_WRITE, 5, 16, NULL), &handle.object, "capacity"));
  check(handle.object.found == 24 && handle.object.wanted == 16);
  check(open_table(SHMSEG_CREATE, 5, 7, NULL) == EINVAL); /* no such object can be */
}

TEST(completed, "numbers that are not given are what fits") {
  wipe();
  check(open_table(SHMSEG_CREATE, 0, 32, NULL) == 0);
  check(handle.object.geometry[0] == (PAGE - 64) / 32 && handle.object.geometry[1] == 32);
  wipe();
  check(open_table(SHMSEG_CREATE, 9, 0, NULL) == 0);
  check(handle.object.geometry[0] == 9 && handle.object.geometry[1] == 16);
  check(shmseg_object_size(&table_kind, &(shmseg_object_options){ .permits = 9 }) == 64 + 9 * 16);
}

TEST(closing, "a handle is closed by its kind, a closed one and one of zeroes do not mind") {
  table none;
  memset(&none, 0, sizeof none);
  shmseg_object_close(&none.object);
  wipe();
  check(open_table(SHMSEG_CREATE, 5, 24, NULL) == 0);
  closes = 0;
  shmseg_object_close(&handle.object);
  shmseg_object_close(&handle.object);
  check(closes == 1);
}

/* A builder for 5 rows of 24 bytes has died when so much of it was written. */
static void half_table(uint32_t dead, int steps) {
  wipe();
  must(open_table(SHMSEG_CREATE, 5, 24, NULL) == 0);
  shmseg_object_close(&handle.object);
  const uint64_t head[][2] = { { 32, 8 }, { 24, 8 }, { 16, 8 }, { 4, 4 }, { 8, 4 } };
  for (int i = steps; i < 5; i++)
    memset(segment.data + head[i][0], 0, head[i][1]);
  for (int i = steps > 5 ? steps - 5 : 0; i < 5; i++)
    set_word(&segment, 64 + 4 * (uint64_t)i, 0);
  set_word(&segment, 0, INIT | dead);
}

TEST(half_built,
     "what a dead builder of another geometry has left is built anew, however far it came") {
  uint32_t dead = dead_identity();
  bool created;
  for (int steps = 0; steps <= 10; steps++) {
    half_table(dead, steps);
    check(open_table(SHMSEG_CREATE, 2, 8, &created) == 0 && created);
    check(number_at(&segment, 24) == 2 && number_at(&segment, 32) == 8);
    check(word_at(&segment, 68) == 7 && word_at(&segment, 72) == 0);
    half_table(dead, steps);
    check(open_table(SHMSEG_CREATE, 5, 32, &created) == 0 && created); /* the same rows */
    check(shmseg_object_check(&handle.object) == NULL && number_at(&segment, 32) == 32);
  }
}

TEST(meaningless, "a number that the kind gives no meaning is somebody's data") {
  uint32_t dead = dead_identity();
  shmseg_mutex mutex;
  for (uint64_t offset = 32; offset < 64; offset += 8) {
    wipe();
    set_word(&segment, 0, INIT | dead);
    set_number(&segment, offset, 1);
    check(shmseg_mutex_open(&mutex, shmseg_segment_whole(&segment), SHMSEG_CREATE, NULL, NULL) ==
          SHMSEG_INCOMPATIBLE);
    check(number_at(&segment, offset) == 1);
  }
}

int main(int count, char **words) {
  (void)count;
  new_anonymous(&segment, PAGE);
  test_run(words);
  shmseg_object_close(&handle.object);
  shmseg_segment_close(&segment);
  return help_end();
}
