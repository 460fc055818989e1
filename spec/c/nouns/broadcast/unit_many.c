/* SPDX-License-Identifier: MIT */
/* objects/broadcast: very many messages, and holes that read as none. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/ring.h"
#include "options.h"
#include "unit/help.h"

#define LOCK 128
#define PUBLISHED 64
#define FLOOR 192
#define ENDS 200
#define RING 256

static shmseg_segment ours;
static shmseg_broadcast a;
static shmseg_subscription s;

static uint64_t publish(void) {
  uint64_t number = 0;
  return shmseg_broadcast_publish(&a, "", 0, &number) == 0 ? number : 0;
}

/* Receives the next message, an empty one of that number; none is lost. */
static int next(uint64_t number) {
  unsigned char byte;
  uint64_t sequence, lost;
  size_t size;
  int err = shmseg_subscription_next(&s, &byte, sizeof byte, &size, &sequence, &lost, 0);
  return err ? err : sequence == number && size == 0 && lost == 0 ? 0 : SHMSEG_CORRUPT;
}

#define MANY ((uint64_t)2 * SHMSEG_RING_GO + 1000)

/* A broadcast of MANY empty messages, in memory that is sparse else. */
static void set_up_many(void) {
  shmseg_options options = { .size = (size_t)1 << 33, .sparse = true };
  uint64_t capacity = 16 * MANY - 16;
  shmseg_segment_init(&ours);
  must(shmseg_segment_anonymous(&ours, &options) == 0);
  must(shmseg_broadcast_open(&a, (shmseg_slice){ &ours, 0, RING + 16 * MANY }, SHMSEG_CREATE,
                             OF_CAPACITY(capacity), NULL) == 0);
  for (uint64_t i = 1; i <= MANY; i++)
    must(publish() == i);
}

TEST(many_found,
     "a long way to a number goes on where it was interrupted; the next one is found at once") {
  shmseg_broadcast_walk walk = { 0 };
  set_up_many();
  check(shmseg_broadcast_subscribe_on(&a, MANY + 1, &walk, &s) == 0 && s.sequence == MANY + 1);
  check(next(0) == SHMSEG_TIMEOUT);
  memset(&walk, 0, sizeof walk);
  check(shmseg_broadcast_subscribe_on(&a, MANY, &walk, &s) == SHMSEG_INTERRUPTED);
  check(shmseg_broadcast_subscribe_on(&a, MANY, &walk, &s) == SHMSEG_INTERRUPTED);
  check(shmseg_broadcast_subscribe_on(&a, MANY, &walk, &s) == 0 && next(MANY) == 0);
  check(shmseg_broadcast_subscribe(&a, MANY - 1, &s) == 0 && next(MANY - 1) == 0);
  memset(&walk, 0, sizeof walk);
  check(shmseg_broadcast_subscribe_on(&a, MANY, &walk, &s) == SHMSEG_INTERRUPTED);
  set_number(&ours, FLOOR, number_at(&ours, FLOOR) + 16 * (MANY - 10)); /* overtaken: begins anew */
  set_number(&ours, RING + 16 * (MANY - 10), MANY - 9);
  check(shmseg_broadcast_subscribe_on(&a, MANY, &walk, &s) == 0 && next(MANY) == 0);
  shmseg_segment_close(&ours);
}

TEST(room_made,
     "who needs the room of many messages makes it bit by bit, and lets others in between") {
  static unsigned char large[16 * MANY];
  uint64_t number = 0, old;
  int64_t deadline = 0;
  set_up_many();
  for (int go = 1; go <= 2; go++) {
    old = number_at(&ours, FLOOR);
    check(shmseg_broadcast_publish_until(&a, &(shmseg_source){ large, sizeof large - 16, NULL },
                                         &deadline, &number) == SHMSEG_INTERRUPTED);
    check(number_at(&ours, FLOOR) == old + (uint64_t)16 * SHMSEG_RING_GO);
    check(word_at(&ours, LOCK) == SHMSEG_LOCK_FREE && !shmseg_broadcast_check(&a));
  }
  check(publish() == MANY + 1);
  check(shmseg_broadcast_publish(&a, large, sizeof large - 16, &number) == 0);
  check(number == MANY + 2 && !shmseg_broadcast_check(&a));
  shmseg_segment_close(&ours);
}

TEST(holes, "messages that nobody has ever written are corrupt, and looking takes no memory") {
  uint64_t capacity = ((uint64_t)1 << 33) - RING - 16 - 48, length = capacity + 16;
  struct stat before, after;
  set_up_many();
  set_number(
      &ours, 16,
      shmseg_broadcast_size(OF_CAPACITY(capacity))); /* as if the rest were of the broadcast */
  set_number(&ours, 24, capacity);
  set_number(&ours, FLOOR, length);
  set_number(&ours, PUBLISHED, (length / 16 + 1) << 2);
  set_number(&ours, ENDS, 2 * length);
  set_number(&ours, ENDS + 8, 2 * length);
  must(shmseg_broadcast_open(&a, shmseg_segment_whole(&ours), SHMSEG_WRITE, NULL, NULL) == 0);
  must(fstat(ours.fd, &before) == 0);
  int64_t began = now_ms();
  check(shmseg_broadcast_subscribe(&a, length / 16, &s) == SHMSEG_CORRUPT);
  check(shmseg_broadcast_check(&a) && now_ms() - began < 2000);
  must(fstat(ours.fd, &after) == 0);
  check(after.st_blocks == before.st_blocks);
  shmseg_segment_close(&ours);
}

TEST(patience, "who has waited for the lock and got it may wait as long for the next messages") {
  const shmseg_source messages[] = { { "a", 1, NULL }, { "b", 1, NULL }, { "c", 1, NULL } };
  int64_t deadline = in_ms(60000), past = 1; /* as if a piece before them had waited */
  uint64_t number = 0;
  size_t published;
  new_segment(&ours, (shmseg_place){ SHMSEG_NAME, fresh_name() }, PAGE);
  must(shmseg_broadcast_open(&a, shmseg_segment_whole(&ours), SHMSEG_CREATE, OF_CAPACITY(8),
                             NULL) == 0);
  check(shmseg_broadcast_publish_many(&a, messages, 3, &published, &deadline, &number) == 0);
  check(published == 3 && number == 3 && deadline == 0);
  check(shmseg_broadcast_publish_many(&a, messages, 3, &published, &past, &number) == 0);
  check(published == 3 && number == 6 && past == 1);
  shmseg_segment_close(&ours);
}
