/* SPDX-License-Identifier: MIT */
/* A structure to test the stepper with: bytes copied by one instruction, and a word that publishes
 * them; one that does it right, and ones that it has to find out. */
#include <string.h>
#include <unistd.h>

#include "os/futex.h"
#include "step/step.h"

#define BYTES 300
#define AT 64
#define PATTERN 0x5a

static const char *verify(void) {
  return NULL;
}

/* Published: the bytes are whole. */
static const char *use(void) {
  if (step_segment.data[0] == 0)
    return "none";
  for (int i = 0; i < BYTES; i++)
    if (step_segment.data[AT + i] != PATTERN)
      return "a half made toy";
  return "there";
}

static void copy(void) {
  static unsigned char bytes[BYTES];
  memset(bytes, PATTERN, BYTES);
#if defined(__x86_64__)
  void *to = step_segment.data + AT;
  const void *from = bytes;
  size_t count = BYTES;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
#endif
}

static void publish(void) {
  __atomic_store_n(step_segment.data, 1, __ATOMIC_SEQ_CST);
}

static void copy_and_publish(void) {
  copy();
  publish();
}

static void publish_and_copy(void) {
  publish();
  copy();
}

/* A state between two that nobody may see. */
static void take_back(void) {
  copy_and_publish();
  __atomic_store_n(step_segment.data, 0, __ATOMIC_SEQ_CST);
  publish();
}

static void keep_descriptor(void) {
  copy_and_publish();
  step_expect(dup(0) >= 0 || dup(1) >= 0);
}

static void forget_to_wake(void) {
  copy_and_publish();
}

static uint32_t *eventcount(void) {
  return (uint32_t *)(step_segment.data + 8);
}

static void sleep_on_it(void) {
  shmseg_futex_wait(eventcount(), 0, 300 * (int64_t)1000000);
}

static void wake_too_early(void) {
  shmseg_futex_wake(eventcount(), 1);
  copy_and_publish();
}

static const step_case good[] = {
  { .sentence = "the stepper follows one instruction that copies many bytes",
    .operate = copy_and_publish,
    .outcomes = { "none", "there" } },
  { 0 },
};

static const step_case bad[] = {
  { .sentence = "published before the bytes",
    .operate = publish_and_copy,
    .outcomes = { "none", "there" } },
  { .sentence = "taken back for a moment", .operate = take_back, .outcomes = { "none", "there" } },
  { .sentence = "never published", .operate = copy, .outcomes = { "none", "there" } },
  { .sentence = "a descriptor left", .operate = keep_descriptor, .outcomes = { "none", "there" } },
  { .sentence = "nobody woken",
    .operate = forget_to_wake,
    .outcomes = { "none", "there" },
    .wakes = 1 },
  { .sentence = "woken before there is anything",
    .actors = { { STEP_SLEEPS, sleep_on_it, NULL } },
    .operate = wake_too_early,
    .outcomes = { "none", "there" },
    .wakes = 1 },
  { .sentence = "a change by who only looks",
    .operate = copy_and_publish,
    .outcomes = { "none", "there" },
    .changes_nothing = true },
  { 0 },
};

static const step_structure step_toy = {
  .noun = "toy", .size = 512, .verify = verify, .use = use, .cases = good
};
static const step_structure step_toy_wrong = { .noun = "a wrong toy is found out",
                                               .name = "toy.wrong",
                                               .size = 512,
                                               .verify = verify,
                                               .use = use,
                                               .sleepers_write_nothing = true,
                                               .is_wrong = true,
                                               .cases = bad };

STEP_PLAY(step_toy);
STEP_PLAY(step_toy_wrong);
