/* SPDX-License-Identifier: MIT */
/* Watches of each noun: what makes them readable, at once and later. */
#include <signal.h>

#include "core/wait.h"
#include "core/watch.h"
#include "objects/kinds.h"
#include "os/signals.h"
#include "ways.h"

#define SIZE (64 * PAGE)

static shmseg_segment ours, reader;
static shmseg_watch watch;

static void set_up(void) {
  const char *name = fresh_name();
  new_segment(&ours, place_of(name), SIZE);
  must(shmseg_segment_open(&reader, place_of(name), SHMSEG_READ, NULL, NULL) == 0);
}

static void close_watch(void) {
  shmseg_watch_close(&watch);
}

static void tear_down(void) {
  shmseg_segment_close(&ours);
  shmseg_segment_close(&reader);
}

static const test_fixture fresh = { set_up, tear_down };
#define WATCH_FIXTURE fresh
#define WATCH_AFTER close_watch

static shmseg_slice slice(uint64_t page, uint64_t pages) {
  return (shmseg_slice){ &ours, page * PAGE, pages * PAGE };
}

/* A peer, in a process of its own, makes the change when it is told. */
static void do_change(void *argument) {
  void (**change)(void) = argument;
  hear();
  (*change)();
}

/* The watch is quiet, and a peer's change has it readable. */
static bool hears(int (*arm)(void), void (*change)(void)) {
  bool quiet = is_quiet(&watch, arm);
  child peer = child_start(do_change, &change);
  child_tell(&peer);
  bool heard = is_readable(&watch, SOON);
  return check(quiet) & check(heard) & (child_end(&peer) == 0);
}

/* It is readable as soon as the call returns. */
static bool finds(int (*arm)(void)) {
  return arm() == 0 && is_readable(&watch, 0);
}

/* --- queue -------------------------------------------------------------------------------- */

static shmseg_queue queue;

static void new_queue(uint64_t capacity) {
  shmseg_object_options options = { .capacity = capacity };
  must(shmseg_queue_open(&queue, slice(0, 16), SHMSEG_CREATE, &options, NULL) == 0);
}

static int arm_pop(void) {
  return shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &watch);
}

static int arm_push(void) {
  return shmseg_queue_watch(&queue, SHMSEG_WATCH_PUSH, &watch);
}

static void push_x(void) {
  must(shmseg_queue_push(&queue, "x", 1, SHMSEG_FOREVER) == 0);
}

static uint64_t buffer[PAGE];

static void take_one(void) {
  size_t used;
  must(shmseg_queue_take(&queue, buffer, sizeof buffer, 1, &used, 0) == 0);
}

static void shut(void) {
  must(shmseg_queue_shutdown(&queue) == 0);
}

WATCH(pops, "a queue's watch is readable when there is a message, until it is called again") {
  new_queue(100);
  for (int i = 0; i < 10; i++) {
    check(hears(arm_pop, push_x));
    check(is_readable(&watch, 0) && finds(arm_pop) && finds(arm_pop));
    take_one();
  }
  check(is_quiet(&watch, arm_pop) && is_quiet(&watch, arm_pop));
}

WATCH(shut_down, "a queue's watches are readable when it is shut") {
  new_queue(100);
  check(hears(arm_pop, shut));
  check(finds(arm_pop) && finds(arm_push));
}

WATCH(pushes, "a queue's watch for pushing is readable when the last push would find room") {
  char bytes[1000] = { 0 };
  new_queue(1000);
  check(finds(arm_push)); /* an empty one has room for anything */
  must(shmseg_queue_push(&queue, bytes, 400, 0) == 0);
  must(shmseg_queue_push(&queue, bytes, 500, 0) == 0);
  check(finds(arm_push)); /* no push has failed */
  check(shmseg_queue_push(&queue, bytes, 600, 0) == SHMSEG_TIMEOUT);
  check(hears(arm_push, take_one));
  check(is_quiet(&watch, arm_push)); /* 400 bytes are free: not enough */
  check(hears(arm_push, take_one));
  check(finds(arm_push));
  check(shmseg_queue_push(&queue, bytes, 600, 0) == 0 && finds(arm_push));
}

WATCH(turns, "a watch can go from one word to another one, and forgets the first") {
  new_queue(8);
  check(is_quiet(&watch, arm_pop));
  must(shmseg_queue_push(&queue, "12345678", 8, 0) == 0);
  check(shmseg_queue_push(&queue, "x", 1, 0) == SHMSEG_TIMEOUT && is_quiet(&watch, arm_push));
  check(hears(arm_push, take_one));
  check(is_quiet(&watch, arm_pop));
  check(hears(arm_pop, push_x));
}

WATCH(filled, "a queue that is full keeps a watch for pushing quiet") {
  new_queue(8);
  must(shmseg_queue_push(&queue, "12345678", 8, 0) == 0);
  check(hears(arm_push, take_one));
}

/* --- broadcast ---------------------------------------------------------------------------- */

static shmseg_broadcast broadcast;
static shmseg_subscription subscription;

static int arm_subscription(void) {
  return shmseg_subscription_watch(&subscription, &watch);
}

static void publish(void) {
  uint64_t sequence;
  must(shmseg_broadcast_publish(&broadcast, "x", 1, &sequence) == 0);
}

static void shut_broadcast(void) {
  must(shmseg_broadcast_shutdown(&broadcast) == 0);
}

WATCH(subscribes, "a subscription's watch is readable when there is a message, or it is shut") {
  shmseg_object_options options = { .capacity = 64 };
  size_t size;
  uint64_t sequence, lost;
  must(shmseg_broadcast_open(&broadcast, slice(0, 1), SHMSEG_CREATE, &options, NULL) == 0);
  must(shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_NEW, &subscription) == 0);
  check(hears(arm_subscription, publish) && finds(arm_subscription));
  check(shmseg_subscription_next(&subscription, buffer, 64, &size, &sequence, &lost, 0) == 0);
  check(is_quiet(&watch, arm_subscription));
  for (int i = 0; i < 1000; i++) /* what comes next is overwritten */
    publish();
  check(finds(arm_subscription));
  while (shmseg_subscription_next(&subscription, buffer, 64, &size, &sequence, &lost, 0) == 0)
    continue;
  check(hears(arm_subscription, shut_broadcast) && finds(arm_subscription));
}

/* --- cell, event, semaphore --------------------------------------------------------------- */

static shmseg_cell cell;
static uint64_t version;

static int arm_cell(void) {
  return shmseg_cell_watch(&cell, version, &watch);
}

static void set_cell(void) {
  uint64_t ignored;
  must(shmseg_cell_set(&cell, "x", 1, &ignored) == 0);
}

WATCH(cells, "a cell's watch is readable when the version is another one than was seen") {
  must(shmseg_cell_open(&cell, slice(0, 1), SHMSEG_CREATE, NULL, NULL) == 0);
  check(hears(arm_cell, set_cell) && finds(arm_cell));
  must(shmseg_cell_version(&cell, &version) == 0);
  check(hears(arm_cell, set_cell));
  check(finds(arm_cell));
  version = 7;
  check(finds(arm_cell));
  version = 0;
}

static shmseg_event event, remote;

static int arm_event(void) {
  return shmseg_event_watch(&event, &watch);
}

static int arm_remote(void) {
  return shmseg_event_watch(&remote, &watch);
}

static void set_event(void) {
  must(shmseg_event_set(&event) == 0);
}

static void pulse_event(void) {
  must(shmseg_event_set(&event) == 0 && shmseg_event_clear(&event) == 0);
}

WATCH(events, "an event's watch is readable when it is set, also for a moment, and for readers") {
  shmseg_slice there = { &reader, 0, PAGE };
  must(shmseg_event_open(&event, slice(0, 1), SHMSEG_CREATE, NULL, NULL) == 0);
  must(shmseg_event_open(&remote, there, SHMSEG_READ, NULL, NULL) == 0);
  check(hears(arm_event, set_event) && finds(arm_event));
  must(shmseg_event_clear(&event) == 0);
  check(hears(arm_event, pulse_event));
  shmseg_watch_close(&watch);
  check(hears(arm_remote, set_event) && finds(arm_remote));
}

static shmseg_semaphore posts;

static int arm_posts(void) {
  return shmseg_semaphore_watch(&posts, &watch);
}

static void post(void) {
  must(shmseg_semaphore_post(&posts, 1) == 0);
}

WATCH(signals, "a counting signal's watch is readable when something was posted") {
  shmseg_object_options options = { .permits = 10, .signal = SHMSEG_SEMAPHORE_SIGNAL };
  must(shmseg_semaphore_open(&posts, slice(0, 1), SHMSEG_CREATE, &options, NULL) == 0);
  check(hears(arm_posts, post) && finds(arm_posts));
  check(shmseg_semaphore_acquire(&posts, 0) == 0 && is_quiet(&watch, arm_posts));
}

WATCH(permits, "a semaphore of permits has no watch, and the refusal leaves nothing") {
  shmseg_object_options options = { .permits = 10 };
  must(shmseg_semaphore_open(&posts, slice(0, 1), SHMSEG_CREATE, &options, NULL) == 0);
  check(arm_posts() == ENOTSUP && watch.fd == 0);
}

/* --- dict --------------------------------------------------------------------------------- */

static shmseg_dict dict;
static shmseg_dict_token seen;
static int64_t left;

static int arm_dict(void) {
  return shmseg_dict_watch(&dict, "key", 3, &seen, &left, &watch);
}

static void store(int64_t ttl) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_INTEGER, .integer = 7 };
  shmseg_dict_how how = { .ttl = ttl };
  bool forcible;
  int64_t deadline = 0;
  must(shmseg_dict_store(&dict, "key", 3, &value, &how, &forcible, &deadline) == 0);
}

static void store_for_ever(void) {
  store(0);
}

static void see(void) {
  shmseg_dict_value value;
  must(shmseg_dict_get(&dict, "key", 3, buffer, sizeof buffer, &value) == 0);
  seen = value.token;
}

WATCH(dicts, "a dict's watch is readable when the key is another than was seen; it tells the end") {
  shmseg_object_options options = { .capacity = 16 * PAGE };
  must(shmseg_dict_open(&dict, slice(0, 64), SHMSEG_CREATE, &options, NULL) == 0);
  memset(&seen, 0, sizeof seen);
  check(hears(arm_dict, store_for_ever) && finds(arm_dict) && left == 0);
  see();
  check(hears(arm_dict, store_for_ever) && left == 0);
  store(50000);
  see();
  check(is_quiet(&watch, arm_dict) && left > 20000 * MILLISECOND && left <= 50000 * MILLISECOND);
  store(1);
  see();
  while (shmseg_dict_get(&dict, "key", 3, buffer, sizeof buffer, &(shmseg_dict_value){ 0 }) == 0)
    continue;
  check(finds(arm_dict));
  check(shmseg_dict_watch(&dict, "", 0, &seen, &left, &watch) == EINVAL);
}

/* --- words -------------------------------------------------------------------------------- */

static uint32_t wanted;

static int arm_word(void) {
  return shmseg_segment_watch(&ours, 8, wanted, &watch);
}

static void change_word(void) {
  set_word(&ours, 8, word_at(&ours, 8) + 1);
  shmseg_wait_wake((const uint32_t *)(ours.data + 8), SHMSEG_WAKE_ALL);
}

WATCH(words, "a word's watch is readable when it is not what was seen, which can be given anew") {
  wanted = 0;
  check(hears(arm_word, change_word) && finds(arm_word));
  wanted = 1;
  check(hears(arm_word, change_word));
  wanted = 2;
  check(is_quiet(&watch, arm_word));
  wanted = 5; /* an old wait is under way */
  check(finds(arm_word));
  set_word(&ours, 8, 5);
  check(hears(arm_word, change_word));
}

WATCH(words_misused, "what is no word of the segment is refused") {
  shmseg_segment copies;
  shmseg_options options = { .is_private = true };
  check(shmseg_segment_watch(&ours, 6, 0, &watch) == EINVAL);
  check(shmseg_segment_watch(&ours, SIZE, 0, &watch) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_watch(&ours, SIZE_MAX - 3, 0, &watch) == SHMSEG_OUT_OF_RANGE);
  check(shmseg_segment_watch(&ours, SIZE - 4, 0, &watch) == 0);
  shmseg_watch_close(&watch);
  must(shmseg_segment_open(&copies, ours.place, SHMSEG_READ, &options, NULL) == 0);
  check(shmseg_segment_watch(&copies, 0, 0, &watch) == EINVAL && watch.fd == 0);
  shmseg_segment_close(&copies);
  check(shmseg_segment_watch(&copies, 0, 0, &watch) == SHMSEG_CLOSED);
}

/* --- signals of the process --------------------------------------------------------------- */

static shmseg_watch *list;

static int arm_stop(void) {
  return shmseg_watch_signals(&list, &watch);
}

WATCH(stops, "a signal that is caught makes its watch readable, until it is taken") {
  const int number = SIGUSR1;
  must(shmseg_signals_catch(&number, 1) == 0);
  check(is_quiet(&watch, arm_stop));
  raise(number);
  check(is_readable(&watch, SOON) && finds(arm_stop));
  check(shmseg_signals_take() == number && is_quiet(&watch, arm_stop));
  shmseg_watch_end(&list, NULL);
  check(is_readable(&watch, 0) && arm_stop() == SHMSEG_CLOSED && list == NULL);
  shmseg_signals_release();
}

/* --- readers ------------------------------------------------------------------------------ */

static shmseg_queue looker;

static int arm_looker(void) {
  return shmseg_queue_watch(&looker, SHMSEG_WATCH_POP, &watch);
}

WATCH(polled, "through a read-only handle a watch is readable after a while, and at once") {
  shmseg_slice there = { &reader, 0, 16 * PAGE };
  shmseg_watch other = { 0 };
  new_queue(100);
  must(shmseg_queue_open(&looker, there, SHMSEG_READ, NULL, NULL) == 0);
  for (int i = 0; i < 3; i++)
    check(arm_looker() == 0 && is_readable(&watch, SOON));
  push_x();
  int descriptors = count_descriptors();
  for (int i = 0; i < 100; i++)
    check(finds(arm_looker));
  check(word_at(&ours, 136) == 1); /* nobody has asked to be woken */
  check(arm_pop() == EINVAL && is_readable(&watch, 0));
  must(shmseg_queue_watch(&queue, SHMSEG_WATCH_POP, &other) == 0);
  check(shmseg_queue_watch(&looker, SHMSEG_WATCH_POP, &other) == EINVAL);
  shmseg_watch_close(&other);
  shmseg_queue_close(&looker);
  check(is_readable(&watch, 0) && arm_looker() == SHMSEG_CLOSED);
  shmseg_watch_close(&watch);
  check(count_descriptors() == descriptors - 1);
}

int main(int count, char **words) {
  (void)count;
  return ways_run(words);
}
