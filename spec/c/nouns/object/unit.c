/* SPDX-License-Identifier: MIT */
/* objects/object: who attaches to what, who builds, and what is left alone. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/owner.h"
#include "objects/header.h"
#include "options.h"
#include "unit/help.h"

#define MAGIC SHMSEG_HEADER_MAGIC
#define INIT SHMSEG_HEADER_INIT

static shmseg_segment segment, reader;
static shmseg_mutex mutex;
static const char *name;

static int open_at(uint64_t offset, uint64_t available, shmseg_mode mode, bool *created) {
  shmseg_mutex_close(&mutex);
  return shmseg_mutex_open(&mutex, (shmseg_slice){ &segment, offset, available }, mode, NULL,
                           created);
}

static int attach(void) {
  return open_at(0, PAGE, SHMSEG_WRITE, NULL);
}

static void wipe(void) {
  memset(segment.data, 0, segment.size);
}

/* A valid mutex at 0. */
static void build(void) {
  wipe();
  must(open_at(0, PAGE, SHMSEG_CREATE, NULL) == 0);
}

TEST(modes, "each mode attaches or builds as the table says, and building is told") {
  bool created = true;
  wipe();
  check(open_at(0, PAGE, SHMSEG_READ, &created) == ENOENT && !created);
  check(attach() == ENOENT);
  check(open_at(0, PAGE, SHMSEG_CREATE, &created) == 0 && created);
  check(open_at(0, PAGE, SHMSEG_CREATE, &created) == 0 && !created);
  check(open_at(0, PAGE, SHMSEG_CREATE_ONLY, &created) == EEXIST && !created);
  check(open_at(0, PAGE, SHMSEG_READ, &created) == 0 && attach() == 0);
  check(open_at(128, PAGE - 128, SHMSEG_CREATE_ONLY, &created) == 0 && created);
}

TEST(places, "an object begins at a multiple of 64 and fits where it is opened") {
  wipe();
  check(open_at(8, PAGE - 8, SHMSEG_CREATE, NULL) == EINVAL);
  check(open_at(63, PAGE - 63, SHMSEG_CREATE, NULL) == EINVAL);
  check(open_at(64, PAGE - 64, (shmseg_mode)9, NULL) == EINVAL);
  check(open_at(0, PAGE + 1, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(0, 127, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(mutex.object.found == 127 && mutex.object.wanted == 128);
  check(open_at(0, 63, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(0, 0, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(PAGE, 0, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(PAGE - 64, 64, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(2 * PAGE, 64, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(UINT64_MAX - 63, 128, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(0, UINT64_MAX, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(open_at(64, UINT64_MAX - 32, SHMSEG_CREATE, NULL) == SHMSEG_TOO_SMALL);
  check(word_at(&segment, 0) == 0 && word_at(&segment, PAGE - 64) == 0);
  check(open_at(PAGE - 128, 128, SHMSEG_CREATE, NULL) == 0);
  build();
  check(open_at(0, 127, SHMSEG_WRITE, NULL) == SHMSEG_TOO_SMALL); /* it has 128 */
}

/* With one word of a valid object changed, attaching names what is wrong. */
static bool refused(uint64_t offset, uint32_t value, const char *what) {
  build();
  set_word(&segment, offset, value);
  unsigned char before[256];
  memcpy(before, segment.data, sizeof before);
  int attached = attach();
  bool named = attached == SHMSEG_INCOMPATIBLE && mutex.object.mismatch &&
               strcmp(mutex.object.mismatch, what) == 0;
  int created = open_at(0, PAGE, SHMSEG_CREATE, NULL);
  return named && created == SHMSEG_INCOMPATIBLE && memcmp(before, segment.data, 256) == 0;
}

TEST(incompatible, "what is something else is incompatible, is named, and is not touched") {
  check(refused(0, MAGIC + 1, "magic"));
  check(refused(0, 0x534d4853, "magic")); /* the other byte order */
  check(refused(0, 1, "magic") && refused(0, 0x7fffffff, "magic"));
  check(refused(4, shmseg_rwlock_kind.number, "kind") && refused(4, 0, "kind"));
  check(refused(8, 2, "version") && refused(8, 0, "version"));
  check(refused(16, 129, "size") && refused(16, 0, "size") && refused(16, 64, "size"));
  check(refused(20, 1, "size")); /* the upper half */
  check(refused(24, 2, "size") && refused(24, 0, "size") && refused(28, 1, "size"));
  check(!mutex.object.segment && shmseg_mutex_lock(&mutex, 0, NULL) == SHMSEG_CLOSED);
}

TEST(options_disagree,
     "an option that disagrees is incompatible by its name, and none takes what is there") {
  shmseg_semaphore semaphore;
  wipe();
  must(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                             OF_PERMITS(3), NULL) == 0);
  shmseg_semaphore_close(&semaphore);
  check(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                              OF_PERMITS(4), NULL) == SHMSEG_INCOMPATIBLE);
  check(strcmp(semaphore.object.mismatch, "permits") == 0);
  check(semaphore.object.found == 3 && semaphore.object.wanted == 4);
  check(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_WRITE, NULL,
                              NULL) == 0);
  check(semaphore.object.capacity == 3);
  shmseg_semaphore_close(&semaphore);
  wipe();
  check(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                              OF_PERMITS_OWNED(65536), NULL) == EINVAL);
  check(word_at(&segment, 0) == 0);
}

TEST(not_zero, "a place that is not zero is not built upon") {
  bool good = true;
  for (uint64_t offset = 4; offset < 128; offset++) {
    wipe();
    segment.data[offset] = 1;
    good = good && open_at(0, PAGE, SHMSEG_CREATE, NULL) == SHMSEG_INCOMPATIBLE;
    good = good && open_at(0, PAGE, SHMSEG_CREATE_ONLY, NULL) == SHMSEG_INCOMPATIBLE;
    good = good && word_at(&segment, 0) == 0 && segment.data[offset] == 1;
  }
  check(good);
  segment.data[127] = 0;
  segment.data[128] = 1; /* behind the object: somebody else's */
  check(open_at(0, PAGE, SHMSEG_CREATE, NULL) == 0 && segment.data[128] == 1);
}

/* An identity that nobody has. */
static uint32_t dead_identity(void) {
  shmseg_segment other;
  uint32_t id;
  same_segment(&other, &segment);
  must(shmseg_owner_identity(&other, &id) == 0);
  shmseg_segment_close(&other);
  return id;
}

TEST(dead_builder, "what a dead builder has left is built anew, however far it came") {
  uint32_t dead = dead_identity();
  bool created = false;
  wipe();
  set_word(&segment, 0, INIT | dead);
  check(attach() == ENOENT);
  check(open_at(0, PAGE, SHMSEG_CREATE_ONLY, &created) == 0 && created);
  check(shmseg_mutex_check(&mutex) == NULL);
  build();
  set_word(&segment, 0, INIT | dead); /* all but published */
  check(open_at(0, PAGE, SHMSEG_CREATE, &created) == 0 && created);
  check(word_at(&segment, 64) == 1 && shmseg_mutex_check(&mutex) == NULL);
}

/* A semaphore whose builder, for that many permits, has died when so much of it was written: first
 * the capacity, then the size, the kind, the version, and then the words behind the header. */
static void half_semaphore(uint64_t permits, uint32_t dead, int steps) {
  shmseg_semaphore semaphore;
  wipe();
  must(shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, PAGE }, SHMSEG_CREATE,
                             OF_PERMITS(permits), NULL) == 0);
  shmseg_semaphore_close(&semaphore);
  const uint64_t head[][2] = { { 24, 8 }, { 16, 8 }, { 4, 4 }, { 8, 4 } };
  for (int i = steps; i < 4; i++)
    memset(segment.data + head[i][0], 0, head[i][1]);
  uint64_t words = steps > 4 ? (uint64_t)steps - 4 : 0;
  if (words == 0)
    set_word(&segment, 64, 0);
  for (uint64_t i = words > 0 ? words - 1 : 0; i < permits; i++)
    set_word(&segment, 128 + 4 * i, 0);
  set_word(&segment, 0, INIT | dead);
}

static int rebuild_semaphore(uint64_t available, uint64_t permits) {
  shmseg_semaphore semaphore;
  bool created;
  int err = shmseg_semaphore_open(&semaphore, (shmseg_slice){ &segment, 0, available },
                                  SHMSEG_CREATE, OF_PERMITS(permits), &created);
  if (err)
    return err;
  bool good = created && shmseg_semaphore_check(&semaphore) == NULL;
  shmseg_semaphore_close(&semaphore);
  return good ? 0 : EIO;
}

static bool is_zero_behind(uint64_t offset) {
  for (uint64_t i = offset; i < PAGE; i++)
    if (segment.data[i] != 0)
      return false;
  return true;
}

TEST(other_capacity,
     "what a dead builder of another capacity has left is built anew, however far it came") {
  uint32_t dead = dead_identity();
  bool good = true;
  for (int steps = 0; steps <= 45; steps++) {
    half_semaphore(40, dead, steps);
    good = good && rebuild_semaphore(PAGE, 3) == 0 && is_zero_behind(128 + 12);
    half_semaphore(40, dead, steps);
    good = good && rebuild_semaphore(PAGE, 90) == 0 && word_at(&segment, 128 + 4 * 89) == 1;
    half_semaphore(40, dead, steps);
    good = good && rebuild_semaphore(192, 3) == 0; /* a place that is shorter than the dead one's */
  }
  check(good);
}

/* The 65th permit's word is not what a builder for 40 writes. */
TEST(beyond_capacity,
     "what lies behind the words that a dead builder's capacity explains is not cleared") {
  uint32_t dead = dead_identity();
  half_semaphore(40, dead, 45);
  set_word(&segment, 128 + 4 * 64, 1);
  check(rebuild_semaphore(PAGE, 90) == SHMSEG_INCOMPATIBLE);
  check(word_at(&segment, 128) == 1 && word_at(&segment, 128 + 4 * 64) == 1);
  check(rebuild_semaphore(PAGE, 20) == 0); /* which does not reach so far */
  check(word_at(&segment, 128 + 4 * 64) == 1);
  half_semaphore(40, dead, 45);
  set_number(&segment, 24, 0); /* no capacity explains them */
  set_number(&segment, 16, 0);
  check(rebuild_semaphore(PAGE, 40) == SHMSEG_INCOMPATIBLE && word_at(&segment, 128) == 1);
}

static bool kept(uint64_t offset, uint32_t value, uint32_t dead) {
  build();
  set_word(&segment, 0, INIT | dead);
  set_word(&segment, offset, value);
  return open_at(0, PAGE, SHMSEG_CREATE, NULL) == SHMSEG_INCOMPATIBLE &&
         word_at(&segment, 0) == (INIT | dead) && word_at(&segment, offset) == value;
}

TEST(looks_like_init, "data that only looks like what a builder leaves is not cleared") {
  uint32_t dead = dead_identity();
  check(kept(4, shmseg_event_kind.number, dead) && kept(4, 77, dead));
  check(kept(8, 2, dead) && kept(12, 1, dead));
  check(kept(32, 1, dead) && kept(36, 1, dead) && kept(60, 1, dead));
  check(kept(4, 1, 0) && kept(4, 1, 15) && kept(4, 1, 1u << 30));
  check(kept(64, 99, dead) && kept(68, 1, dead) && kept(124, 1, dead));
  check(kept(16, 129, dead) && kept(24, 2, dead) && kept(28, 1, dead));
  wipe();
  memset(segment.data, 0xff, 256);
  check(open_at(0, PAGE, SHMSEG_CREATE, NULL) == SHMSEG_INCOMPATIBLE && segment.data[77] == 0xff);
}

static void take_identity(void *argument) {
  uint32_t id;
  shmseg_segment own;
  (void)argument;
  same_segment(&own, &segment);
  must(shmseg_owner_identity(&own, &id) == 0);
  set_word(&own, 0, INIT | id);
  say('b');
  if (hear() == 'g') { /* be done with it */
    shmseg_mutex built;
    set_word(&own, 0, 0);
    must(shmseg_mutex_open(&built, (shmseg_slice){ &own, 0, PAGE }, SHMSEG_CREATE, NULL, NULL) ==
         0);
    say('d');
    hear();
  }
}

TEST(living_builder,
     "a living builder is waited for, a second at most; a killed one is taken over at once") {
  wipe();
  child c = child_start(take_identity, NULL);
  must(child_hear(&c) == 'b');
  int64_t began = now_ms();
  check(open_at(0, PAGE, SHMSEG_CREATE, NULL) == SHMSEG_TIMEOUT);
  check(now_ms() - began >= 990 && now_ms() - began < 4000);
  check(attach() == SHMSEG_TIMEOUT);
  child_tell(&c);
  check(open_at(0, PAGE, SHMSEG_CREATE, NULL) == 0 && child_hear(&c) == 'd');
  check(child_end(&c) == 0);
  wipe();
  c = child_start(take_identity, NULL);
  must(child_hear(&c) == 'b');
  child_kill(&c);
  began = now_ms();
  check(open_at(0, PAGE, SHMSEG_CREATE, NULL) == 0 && is_soon(began));
}

static void nothing(int number) {
  (void)number;
}

TEST(alarmed, "who waits for a living builder waits its second, whatever signals come") {
  struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
  wipe();
  child c = child_start(take_identity, NULL);
  must(child_hear(&c) == 'b');
  signal(SIGALRM, nothing);
  must(setitimer(ITIMER_REAL, &often, NULL) == 0);
  int err = open_at(0, PAGE, SHMSEG_CREATE, NULL);
  must(setitimer(ITIMER_REAL, &never, NULL) == 0);
  check(err == SHMSEG_TIMEOUT);
  int64_t deadline = 0;
  check(shmseg_object_open_until(&mutex.object, &shmseg_mutex_kind, shmseg_segment_whole(&segment),
                                 SHMSEG_CREATE, NULL, &deadline, NULL) == SHMSEG_INTERRUPTED);
  check(deadline > 0);
  child_kill(&c);
}

/* The parent is building: its copied identity is no licence for the child. */
static void open_inherited(void *argument) {
  (void)argument;
  int err = open_at(0, PAGE, SHMSEG_CREATE, NULL);
  say(err == SHMSEG_TIMEOUT && word_at(&segment, 0) == (INIT | segment.member.id) ? 'w' : '-');
}

TEST(parents_building,
     "a child that was forked while its parent builds does not take the building over") {
  uint32_t id;
  wipe();
  must(shmseg_owner_identity(&segment, &id) == 0);
  set_word(&segment, 0, INIT | id);
  child c = child_start(open_inherited, NULL);
  check(child_hear(&c) == 'w');
  check(child_end(&c) == 0);
  check(open_at(0, PAGE, SHMSEG_CREATE, NULL) == 0); /* the parent's own: from before */
}

static void race(void *argument) {
  shmseg_segment own;
  shmseg_mutex one;
  bool created;
  (void)argument;
  same_segment(&own, &segment);
  while (word_at(&own, PAGE - 4) == 0)
    continue;
  int err = shmseg_mutex_open(&one, (shmseg_slice){ &own, 0, PAGE }, SHMSEG_CREATE, NULL, &created);
  say(err ? 'x' : created ? 'c' : 'a');
}

TEST(racing, "of processes that race to build, one does, and all have the same object") {
  int creators = 0, others = 0;
  for (int round = 0; round < 30; round++) {
    wipe();
    child children[3];
    for (int i = 0; i < 3; i++)
      children[i] = child_start(race, NULL);
    set_word(&segment, PAGE - 4, 1);
    for (int i = 0; i < 3; i++) {
      char answer = child_hear(&children[i]);
      creators += answer == 'c';
      others += answer == 'a';
      child_end(&children[i]);
    }
  }
  check(creators == 30 && others == 60);
}

TEST(read_only, "a read-only handle attaches and does not build") {
  shmseg_options options = { 0 };
  shmseg_mutex other;
  bool created;
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, &options, NULL) == 0);
  wipe();
  check(shmseg_mutex_open(&other, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_CREATE, NULL, NULL) ==
        SHMSEG_READ_ONLY);
  build();
  check(shmseg_mutex_open(&other, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_CREATE, NULL,
                          &created) == 0 &&
        !created);
  check(shmseg_mutex_lock(&other, 0, &created) == SHMSEG_READ_ONLY);
  check(shmseg_mutex_unlock(&other) == SHMSEG_NOT_HELD);
  shmseg_segment_close(&reader);
  check(shmseg_mutex_open(&other, (shmseg_slice){ &reader, 0, PAGE }, SHMSEG_READ, NULL, NULL) ==
        SHMSEG_CLOSED);
}

TEST(ended,
     "an object ends when its segment closes or is cut, and not when the segment only grows") {
  build();
  bool abandoned;
  check(shmseg_segment_resize(&segment, 4 * PAGE) == 0);
  check(shmseg_mutex_lock(&mutex, 0, &abandoned) == 0 && shmseg_mutex_unlock(&mutex) == 0);
  must(ftruncate(segment.fd, 0) == 0);
  int err = shmseg_mutex_lock(&mutex, 0, &abandoned);
  check(err == SHMSEG_TRUNCATED);
  must(ftruncate(segment.fd, PAGE) == 0 && shmseg_segment_refresh(&segment) == 0);
  check(shmseg_mutex_lock(&mutex, 0, &abandoned) == SHMSEG_TRUNCATED);
  build();
  check(shmseg_mutex_lock(&mutex, 0, &abandoned) == 0);
  shmseg_segment_close(&segment);
  check(shmseg_mutex_lock(&mutex, 0, &abandoned) == SHMSEG_CLOSED);
  check(shmseg_mutex_unlock(&mutex) == SHMSEG_CLOSED && !shmseg_mutex_holds(&mutex));
  shmseg_mutex_close(&mutex);
  shmseg_mutex_close(&mutex); /* twice is harmless */
}

int main(int count, char **words) {
  (void)count;
  name = fresh_name();
  new_segment(&segment, place_of(name), PAGE);
  test_run(words);
  return help_end();
}
