/* SPDX-License-Identifier: MIT */
/* Objects of any kind made on a slice, stepped: there or not, and never stuck. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/owner.h"
#include "objects/header.h"
#include "step/step.h"

static const step_structure *built; /* what is made */
static _Alignas(64) unsigned char handle[512];

static int make(shmseg_mode mode, const shmseg_object_options *options) {
  step_expect(built->kind->handle_size <= sizeof handle);
  return shmseg_object_open((shmseg_object *)handle, built->kind,
                            shmseg_segment_whole(&step_segment), mode, options, NULL);
}

/* What opening adds to what was built is not there before it is published. */
static void make_unopened(const shmseg_object_options *options) {
  static shmseg_kind unopened;
  unopened = *built->kind;
  unopened.open = NULL;
  step_expect(shmseg_object_open((shmseg_object *)handle, &unopened,
                                 shmseg_segment_whole(&step_segment), SHMSEG_CREATE, options,
                                 NULL) == 0);
}

/* By the structure's own full use, which is to find it so. */
static const char *use_as_new(void) {
  if (step_open(built, SHMSEG_WRITE) != 0)
    return "it cannot be opened";
  const char *wrong = step_verify(built);
  const char *found = wrong ? wrong : built->use();
  step_close(built);
  return strcmp(found, built->as_new) == 0 ? NULL : found;
}

/* Is it there? And when it is not, can it be made? */
static const char *enter_and_use(void) {
  int err = make(SHMSEG_WRITE, built->options);
  bool there = err == 0;
  if (err != 0 && err != ENOENT)
    return "the place is lost";
  if (!there && make(SHMSEG_CREATE, built->options) != 0)
    return "it cannot be made any more";
  shmseg_object_close((shmseg_object *)handle);
  const char *wrong = use_as_new();
  return wrong ? wrong : there ? "there" : "none";
}

/* --- what actors and subjects do -------------------------------------------------------------- */

static const char *nothing_to_verify(void) {
  return NULL;
}

static void make_it(void) {
  step_expect(make(SHMSEG_CREATE, built->options) == 0);
}

/* What a builder leaves that dies after its first stores, of any kind: only the state. */
static void begin(void) {
  uint32_t id;
  step_expect(shmseg_owner_identity(&step_segment, &id) == 0);
  __atomic_store_n((uint32_t *)step_segment.data, SHMSEG_HEADER_INIT | id, __ATOMIC_SEQ_CST);
}

/* The same, dead just before it publishes. */
static void make_half(void) {
  make_unopened(built->options);
  begin();
}

/* The same, of the smallest one that there is. */
static void make_half_of_another(void) {
  shmseg_object_options smallest = { .capacity = 1, .permits = 1 };
  if (built->options)
    smallest.signal = built->options->signal;
  make_unopened(&smallest);
  begin();
}

static const step_case cases[] = {
  /* first, and left out for kinds of one size */
  { .sentence = "made after a builder of another capacity died at its end",
    .actors = { { STEP_DIES, make_half_of_another, NULL } },
    .operate = make_it,
    .outcomes = { "none", "there" } },
  { .sentence = "made of zeroes", .operate = make_it, .outcomes = { "none", "there" } },
  { .sentence = "made by one that has no identity yet",
    .operate = make_it,
    .outcomes = { "none", "there" },
    TAKES_IDENTITY },
  { .sentence = "made after a builder died at its beginning",
    .actors = { { STEP_DIES, begin, NULL } },
    .operate = make_it,
    .outcomes = { "none", "there" } },
  { .sentence = "made after a builder died at its end",
    .actors = { { STEP_DIES, make_half, NULL } },
    .operate = make_it,
    .outcomes = { "none", "there" } },
  { .sentence = "opened where it is",
    .actors = { { STEP_DIES, make_it, NULL } },
    .operate = make_it,
    .outcomes = { "there" } },
  { 0 },
};

void step_play_build(const step_structure *structure, const step_case *play) {
  char noun[64], name[64];
  snprintf(noun, sizeof noun, "%s (new)", step_noun(structure));
  snprintf(name, sizeof name, "%s.build", step_name_of(structure));
  built = structure;
  step_play(&(const step_structure){
      .noun = noun,
      .name = name,
      .size = step_size(structure),
      .verify = nothing_to_verify,
      .use = enter_and_use,
      .cases = play                               ? play
               : structure->kind->numbers[0].name ? cases
                                                  : cases + 1,
  });
}
