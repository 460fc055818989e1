/* SPDX-License-Identifier: MIT */
/* objects/cell: the latest value, whole; its versions, its readers, and writers that die. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "options.h"
#include "unit/help.h"

#define CAPACITY 100
#define LOCK 64
#define VERSION 128
#define BUFFER(version) (192 + (version) % 4 * 128u) /* of a cell of that capacity */

static shmseg_segment ours, reader;
static shmseg_cell a, r;
static const char *name;
static char bytes[CAPACITY + 1], got[CAPACITY];
static uint64_t version;
static size_t size;

static void set_up(void) {
  shmseg_options options = { 0 };
  name = fresh_name();
  new_segment(&ours, place_of(name), PAGE);
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, &options, NULL) == 0);
  must(shmseg_cell_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(CAPACITY),
                        NULL) == 0);
  must(shmseg_cell_open(&r, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_READ, NULL, NULL) == 0);
}

static void tear_down(void) {
  shmseg_cell_close(&a);
  shmseg_cell_close(&r);
  shmseg_segment_close(&ours);
  shmseg_segment_close(&reader);
}

static const test_fixture fresh = { set_up, tear_down };

/* Sets a value of so many equal bytes; its version, or 0. */
static uint64_t set(char byte, size_t count) {
  uint64_t now = 0;
  memset(bytes, byte, sizeof bytes);
  return shmseg_cell_set(&a, bytes, count, &now) == 0 ? now : 0;
}

/* Does a reader get that value of that version? */
static bool has(uint64_t expected, char byte, size_t count) {
  memset(got, '-', sizeof got);
  if (shmseg_cell_get(&r, got, sizeof got, &size, &version) != 0)
    return false;
  for (size_t i = 0; i < sizeof got; i++)
    if (got[i] != (i < count ? byte : '-'))
      return false;
  return size == count && version == expected;
}

static int wait_for_other(const shmseg_cell *cell, uint64_t seen, int64_t deadline) {
  int err;
  do
    err = shmseg_cell_wait(cell, seen, deadline);
  while (err == SHMSEG_INTERRUPTED);
  return err;
}

TEST(sizes, "a cell takes four buffers of its capacity, and a capacity that cannot be is refused") {
  shmseg_cell cell;
  bool created;
  check(shmseg_cell_size(OF_CAPACITY(1)) == 448 && shmseg_cell_size(OF_CAPACITY(56)) == 448 &&
        shmseg_cell_size(OF_CAPACITY(57)) == 704);
  check(shmseg_cell_size(NULL) == shmseg_cell_size(OF_CAPACITY(1)) &&
        shmseg_cell_size(OF_CAPACITY(SHMSEG_CAPACITY_MAX + 1)) == 0);
  check(shmseg_cell_size(OF_CAPACITY(SHMSEG_CAPACITY_MAX)) > 4 * SHMSEG_CAPACITY_MAX);
  check(shmseg_cell_size(OF_CAPACITY(UINT64_MAX)) == 0 &&
        shmseg_cell_size(OF_CAPACITY(UINT64_MAX / 4)) == 0);
  new_anonymous(&ours, PAGE);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                         OF_CAPACITY(SHMSEG_CAPACITY_MAX + 1), NULL) == EINVAL);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(PAGE),
                         NULL) == SHMSEG_TOO_SMALL);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, 447 }, SHMSEG_CREATE, OF_CAPACITY(1),
                         NULL) == SHMSEG_TOO_SMALL);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, 447 }, SHMSEG_CREATE, NULL, NULL) ==
        SHMSEG_TOO_SMALL);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 32, 448 }, SHMSEG_CREATE, OF_CAPACITY(1),
                         NULL) == EINVAL);
  check(word_at(&ours, 0) == 0);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, 703 }, SHMSEG_CREATE, NULL, &created) ==
            0 &&
        created);
  check(cell.object.capacity == 56 && cell.object.size == 448); /* what fits */
  shmseg_segment_close(&ours);
}

TEST_WITH(fresh, geometry, "who attaches takes the cell's capacity, and what disagrees is named") {
  shmseg_cell cell;
  shmseg_queue queue;
  bool created;
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, NULL, &created) ==
            0 &&
        !created);
  check(cell.object.capacity == CAPACITY &&
        cell.object.size == shmseg_cell_size(OF_CAPACITY(CAPACITY)));
  int err = shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                             OF_CAPACITY(CAPACITY + 1), NULL);
  check(disagrees(err, &cell.object, "capacity"));
  err = shmseg_queue_open(&queue, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE,
                          OF_CAPACITY(CAPACITY), NULL);
  check(disagrees(err, &queue.object, "kind"));
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, 512 }, SHMSEG_WRITE, NULL, NULL) ==
        SHMSEG_TOO_SMALL);
  check(shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE_ONLY, NULL, NULL) ==
        EEXIST);
  set_number(&ours, 24, 2 * CAPACITY); /* what a handle has learnt, it does not read again */
  check(set('a', CAPACITY + 1) == 0 && set('a', CAPACITY) == 1 && has(1, 'a', CAPACITY));
  err = shmseg_cell_open(&cell, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_WRITE, NULL, NULL);
  check(disagrees(err, &cell.object, "size") && shmseg_cell_check(&a));
}

TESTS(values) {
  set_up();
  test_begin("a value is empty at first, then the latest, with versions from 1 on");
  check(shmseg_cell_get(&r, got, sizeof got, &size, &version) == SHMSEG_EMPTY);
  check(shmseg_cell_version(&r, &version) == 0 && version == 0);
  check(set('a', 5) == 1 && has(1, 'a', 5));
  check(set('b', CAPACITY) == 2 && has(2, 'b', CAPACITY));
  check(set('c', 0) == 3 && has(3, 'c', 0));
  for (uint64_t v = 4; v < 100; v++)
    check(set((char)('a' + v % 26), v) == v && has(v, (char)('a' + v % 26), v));
  check(shmseg_cell_version(&a, &version) == 0 && version == 99 && !shmseg_cell_check(&a));
  test_done();
  test_begin("a value that is too large for the cell, or for the reader, changes nothing");
  check(set('x', CAPACITY + 1) == 0 && has(99, 'v', 99));
  check(shmseg_cell_set(&a, bytes, CAPACITY + 1, &version) == EINVAL);
  check(shmseg_cell_set(&a, bytes, SIZE_MAX, &version) == EINVAL);
  check(shmseg_cell_get(&r, got, 98, &size, &version) == SHMSEG_TOO_SMALL && size == 99);
  check(shmseg_cell_get(&r, got, 99, &size, &version) == 0 && size == 99);
  test_done();
  tear_down();
}

/* Sets so many bytes of a segment, of any version or the expected one. */
static int set_from(const shmseg_segment *segment, size_t offset, size_t count, uint64_t expected) {
  shmseg_source value = { segment->data + offset, count, segment };
  int64_t deadline = 0;
  return shmseg_cell_set_until(&a, expected, &value, &deadline, &version);
}

static bool lock_is_free(void) {
  return word_at(&ours, LOCK) == SHMSEG_LOCK_FREE;
}

TEST_WITH(fresh, sources,
          "a value may lie in a segment, one for reading or the cell's own, beside the cell") {
  shmseg_segment other, theirs;
  shmseg_place place = fresh_place();
  new_segment(&other, place, PAGE);
  must(shmseg_segment_open(&theirs, place, SHMSEG_READ, NULL, NULL) == 0);
  memset(other.data + 7, 'a', 60);
  check(set_from(&theirs, 7, 60, SHMSEG_ANY_VERSION) == 0 && version == 1 && has(1, 'a', 60));
  memset(ours.data + PAGE - CAPACITY, 'b', CAPACITY);
  check(set_from(&ours, PAGE - CAPACITY, CAPACITY, 1) == 0 && has(2, 'b', CAPACITY));
  check(set_from(&theirs, PAGE, 0, SHMSEG_ANY_VERSION) == 0 && has(3, 0, 0));
  check(set_from(&theirs, 0, CAPACITY + 1, SHMSEG_ANY_VERSION) == EINVAL && has(3, 0, 0));
  check(set_from(&theirs, 7, 60, 2) == SHMSEG_CHANGED && version == 3 && has(3, 0, 0));
  check(lock_is_free() && !shmseg_cell_check(&a));
  shmseg_segment_close(&theirs);
  shmseg_segment_close(&other);
}

TEST_WITH(fresh, cut_sources,
          "a value whose segment is cut, before the call or half way, changes nothing") {
  shmseg_segment other;
  new_segment(&other, fresh_place(), 2 * PAGE);
  memset(other.data, 'a', PAGE + 50);
  check(set_from(&other, PAGE - 50, CAPACITY, SHMSEG_ANY_VERSION) == 0 && has(1, 'a', CAPACITY));
  must(ftruncate(other.fd, PAGE) == 0);
  check(set_from(&other, PAGE - 50, CAPACITY, SHMSEG_ANY_VERSION) == SHMSEG_TRUNCATED);
  check(has(1, 'a', CAPACITY) && lock_is_free() && !shmseg_cell_check(&a));
  check(set_from(&other, 0, 10, 1) == SHMSEG_TRUNCATED && lock_is_free()); /* its bytes are there */
  check(set_from(&other, 0, 10, 0) == SHMSEG_CHANGED && version == 1);
  check(set('b', 5) == 2 && has(2, 'b', 5));
  must(shmseg_segment_refresh(&other) == 0);
  check(set_from(&other, 0, 10, SHMSEG_ANY_VERSION) == 0 && has(3, 'a', 10));
  shmseg_segment_close(&other);
}

TEST_WITH(fresh, targets,
          "a value is copied straight into a segment, or, where it does not fit, "
          "is not copied at all") {
  shmseg_segment other;
  new_segment(&other, fresh_place(), 2 * PAGE);
  memset(other.data, '-', 2 * PAGE);
  check(set('a', 60) == 1);
  check(shmseg_cell_get(&r, other.data + 3, 60, &size, &version) == 0 && size == 60);
  check(memcmp(other.data, "---aaa", 6) == 0 && memcmp(other.data + 60, "aaa---", 6) == 0);
  check(set('b', CAPACITY) == 2);
  check(shmseg_cell_get(&r, other.data + 3, 60, &size, &version) == SHMSEG_TOO_SMALL &&
        size == CAPACITY && version == 2);
  check(memcmp(other.data, "---aaa", 6) == 0 && memcmp(other.data + 60, "aaa---", 6) == 0);
  must(ftruncate(other.fd, PAGE) == 0);
  check(shmseg_cell_get(&r, other.data + PAGE, PAGE, &size, &version) == 0 && size == CAPACITY);
  check(shmseg_segment_status(&other) == SHMSEG_TRUNCATED);
  shmseg_segment_close(&other);
}

TEST_WITH(fresh, compared,
          "cas sets what has the expected version, and tells the actual one otherwise") {
  check(shmseg_cell_cas(&a, 1, "x", 1, &version) == SHMSEG_CHANGED && version == 0);
  check(shmseg_cell_cas(&a, 0, "aaa", 3, &version) == 0 && version == 1 && has(1, 'a', 3));
  check(shmseg_cell_cas(&a, 0, "x", 1, &version) == SHMSEG_CHANGED && version == 1);
  check(shmseg_cell_cas(&a, 1, "bb", 2, &version) == 0 && version == 2);
  check(shmseg_cell_cas(&a, UINT64_MAX, "x", 1, &version) == SHMSEG_CHANGED);
  check(shmseg_cell_cas(&a, 2, bytes, CAPACITY + 1, &version) == EINVAL && has(2, 'b', 2));
}

TEST_WITH(fresh, read_only, "a read-only handle reads and waits, and cannot set") {
  check(set('a', 5) == 1 && has(1, 'a', 5));
  check(shmseg_cell_set(&r, "x", 1, &version) == SHMSEG_READ_ONLY);
  check(shmseg_cell_cas(&r, 1, "x", 1, &version) == SHMSEG_READ_ONLY);
  check(shmseg_cell_wait(&r, 0, 0) == 0 && shmseg_cell_wait(&r, 1, 0) == SHMSEG_TIMEOUT);
  check(shmseg_cell_version(&r, &version) == 0 && version == 1 && has(1, 'a', 5));
}

TEST_WITH(fresh, halves,
          "what was peeked at is good for two more versions, and then confirm tells") {
  const unsigned char *where;
  for (char i = 0; i < 5; i++)
    check(set((char)('a' + i), 9) != 0);
  check(shmseg_cell_peek(&r, &where, &size, &version) == 0 && size == 9 && version == 5);
  for (char i = 0; i < 3; i++) {
    check(memcmp(where, "eeeeeeeee", 9) == 0 && shmseg_cell_confirm(&r, version) == 0);
    check(set('x', 9) != 0);
  }
  check(shmseg_cell_confirm(&r, version) == SHMSEG_CHANGED);
}

static void wait_for_two(void *argument) {
  const shmseg_cell *cell = argument;
  say(shmseg_cell_wait(cell, 1, in_ms(1)) != 0 ? 'w' : 'x');
  int err = wait_for_other(cell, 1, in_ms(5000));
  say(err == 0 && shmseg_cell_version(cell, &version) == 0 && version == 2 ? 's' : 'x');
}

TEST_WITH(fresh, waits, "a wait ends with a version that has not been seen, or with its deadline") {
  check(shmseg_cell_wait(&a, 0, 0) == SHMSEG_TIMEOUT);
  int64_t began = now_ms();
  check(wait_for_other(&a, 0, in_ms(120)) == SHMSEG_TIMEOUT);
  check(wait_for_other(&r, 0, in_ms(120)) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 238 && is_soon(began));
  check(set('a', 1) == 1 && shmseg_cell_wait(&a, 0, SHMSEG_FOREVER) == 0);
  child children[4];
  for (int i = 0; i < 4; i++) {
    children[i] = child_start(wait_for_two, i % 2 ? &a : &r);
    check(child_hear(&children[i]) == 'w');
  }
  usleep(30000);
  began = now_ms();
  check(set('b', 1) == 2);
  for (int i = 0; i < 4; i++)
    check(child_hear(&children[i]) == 's' && child_end(&children[i]) == 0);
  check(is_soon(began));
}

static void wait_often(void *argument) {
  for (uint64_t seen = 0; seen < WAKES; seen++)
    say(wait_for_other(argument, seen, in_ms(5000)) == 0 ? sleep_ended() : 'x');
}

static bool set_next(int round) {
  return set('a', 1) == (uint64_t)round + 1;
}

TEST_WITH(fresh, woken,
          "sleepers are woken each time, and do not depend on the end of their interval") {
  child c = child_start(wait_often, &a);
  check(wakes_each_time(&c, set_next) && child_end(&c) == 0);
}

TEST_WITH(fresh, dead_writer,
          "a writer that dies half way leaves the old value, and the next one sets") {
  check(set('a', 20) == 1);
  child c = child_inside(&ours, LOCK);
  set_number(&ours, BUFFER(2), CAPACITY); /* as far as it got */
  memset(ours.data + BUFFER(2) + 8, 'x', 50);
  check(has(1, 'a', 20));
  child_kill(&c);
  check(has(1, 'a', 20));
  int64_t began = now_ms();
  check(set('b', 30) == 2 && has(2, 'b', 30) && is_soon(began));
  check(word_at(&ours, LOCK) == SHMSEG_LOCK_FREE && !shmseg_cell_check(&a));
}

TEST_WITH(fresh, stopped_writer,
          "a writer that is stopped keeps others from writing for 5 seconds, readers not at all") {
  check(set('a', 20) == 1);
  child c = child_inside(&ours, LOCK);
  int64_t began = now_ms();
  check(has(1, 'a', 20) && is_soon(began));
  check(shmseg_cell_set(&a, "x", 1, &version) == SHMSEG_TIMEOUT && has(1, 'a', 20));
  check(now_ms() - began >= 4900 && now_ms() - began < 9000);
  child_tell(&c);
  check(child_end(&c) == 0 && set('b', 30) == 2);
}

TEST_WITH(fresh, corrupt,
          "a version or a size that cannot be is corrupt, and no lock stays behind") {
  static const uint64_t words[] = { 0, ((uint64_t)1 << 53) + 1, UINT64_MAX };
  for (int i = 0; i < 3; i++) {
    set_number(&ours, VERSION, words[i]);
    check(shmseg_cell_get(&r, got, sizeof got, &size, &version) == SHMSEG_CORRUPT);
    check(shmseg_cell_version(&r, &version) == SHMSEG_CORRUPT);
    check(shmseg_cell_wait(&r, 0, SHMSEG_FOREVER) == SHMSEG_CORRUPT);
    check(shmseg_cell_set(&a, "x", 1, &version) == SHMSEG_CORRUPT);
    check(word_at(&ours, LOCK) == (SHMSEG_LOCK_FREE | SHMSEG_LOCK_DIRTY));
  }
  set_number(&ours, VERSION, 1);
  check(set('a', 5) == 1 && has(1, 'a', 5) && word_at(&ours, LOCK) == SHMSEG_LOCK_FREE);
  set_number(&ours, BUFFER(1), CAPACITY + 1);
  check(shmseg_cell_get(&r, got, sizeof got, &size, &version) == SHMSEG_CORRUPT);
  check(shmseg_cell_check(&a));
  set_number(&ours, BUFFER(1), 5);
  set_word(&ours, LOCK, 0);
  check(shmseg_cell_set(&a, "x", 1, &version) == SHMSEG_CORRUPT && word_at(&ours, LOCK) == 0);
  check(has(1, 'a', 5) && shmseg_cell_check(&a));
}

TEST_WITH(fresh, truncated, "after a cut a cell says so, and so does one whose segment is closed") {
  check(set('a', 5) == 1);
  must(ftruncate(ours.fd, 0) == 0);
  check(shmseg_cell_get(&r, got, sizeof got, &size, &version) == SHMSEG_TRUNCATED);
  check(wait_for_other(&r, 1, SHMSEG_FOREVER) == SHMSEG_TRUNCATED);
  check(shmseg_cell_set(&a, "x", 1, &version) == SHMSEG_TRUNCATED);
  check(shmseg_cell_version(&a, &version) == SHMSEG_TRUNCATED);
  must(ftruncate(ours.fd, PAGE) == 0 && shmseg_segment_refresh(&ours) == 0);
  check(shmseg_cell_set(&a, "x", 1, &version) == SHMSEG_TRUNCATED);
  must(shmseg_cell_open(&a, (shmseg_slice){ &ours, 0, PAGE }, SHMSEG_CREATE, OF_CAPACITY(CAPACITY),
                        NULL) == 0);
  check(set('b', 5) == 1);
  shmseg_segment_close(&reader);
  check(shmseg_cell_get(&r, got, sizeof got, &size, &version) == SHMSEG_CLOSED);
  shmseg_cell_close(&a);
  check(shmseg_cell_set(&a, "x", 1, &version) == SHMSEG_CLOSED);
  check(shmseg_cell_wait(&a, 0, SHMSEG_FOREVER) == SHMSEG_CLOSED);
}
