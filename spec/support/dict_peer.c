/* SPDX-License-Identifier: MIT */
/* The other end of dict_bits_spec.lua: opens a dict by its name, and does the same to it as the spec does, at the
 * same time. */
#include <shmseg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS 2000

static shmseg_segment segment;
static shmseg_dict dict;

static void must(int err, const char *what) {
  if (err == 0)
    return;
  printf("%s: %s\n", what, shmseg_strerror(err));
  exit(1);
}

static void set(const char *key, const char *text) {
  shmseg_dict_value value = { .type = SHMSEG_DICT_STRING, .bytes = text, .size = strlen(text) };
  bool forcible;
  int64_t deadline = 0;
  int err;
  do
    err = shmseg_dict_store(&dict, key, strlen(key), &value, NULL, &forcible, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  must(err, "set");
}

static void add(const char *key) {
  shmseg_dict_step step = { .step = { .type = SHMSEG_DICT_INTEGER, .integer = 1 },
                            .init = { .type = SHMSEG_DICT_INTEGER } };
  shmseg_dict_value sum;
  bool forcible;
  int64_t deadline = 0;
  int err;
  do
    err = shmseg_dict_incr(&dict, key, strlen(key), &step, &sum, &forcible, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  must(err, "incr");
}

static void push_and_pop(int64_t number) {
  shmseg_dict_value element = { .type = SHMSEG_DICT_INTEGER, .integer = number }, popped;
  char buffer[64];
  uint64_t length;
  int64_t deadline = 0;
  int err;
  do
    err = shmseg_dict_push(&dict, "list", 4, true, &element, &length, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  must(err, "push");
  deadline = 0;
  do
    err = shmseg_dict_pop(&dict, "list", 4, false, buffer, sizeof buffer, &popped, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  must(err, "pop");
}

/* Adds to a number that nobody adds to without the claim on the key. */
static void add_claimed(void) {
  shmseg_dict_claim claim = { 0 };
  shmseg_dict_outcome outcome;
  shmseg_dict_value value;
  char buffer[64];
  int64_t deadline = 0;
  bool forcible;
  int err;
  do
    err = shmseg_dict_claim_take(&dict, "claimed", 7, &claim, &outcome, SHMSEG_FOREVER, &deadline);
  while (err == SHMSEG_INTERRUPTED || (!err && outcome != SHMSEG_DICT_CLAIMED));
  must(err, "claim");
  must(shmseg_dict_get(&dict, "claimed", 7, buffer, sizeof buffer, &value), "get");
  value.integer++;
  deadline = 0;
  do
    err = shmseg_dict_claim_store(&dict, &claim, "claimed", 7, &value, NULL, &forcible, &deadline);
  while (err == SHMSEG_INTERRUPTED);
  must(err, "store");
}

/* What Lua has set is read, and answered. */
static void answer(void) {
  shmseg_dict_value value;
  char buffer[1000], text[1100];
  must(shmseg_dict_get(&dict, "question", 8, buffer, sizeof buffer, &value), "get");
  snprintf(text, sizeof text, "answer to %.*s", (int)value.size, buffer);
  set("answer", text);
}

/* Waits until Lua is done too: while somebody writes, nothing can be checked. */
static void wait_for(const char *key) {
  shmseg_dict_value value;
  char buffer[16];
  int err;
  while ((err = shmseg_dict_get(&dict, key, strlen(key), buffer, sizeof buffer, &value)) ==
         SHMSEG_EMPTY) {
    err = shmseg_dict_wait(&dict, key, strlen(key), &value.token, SHMSEG_FOREVER);
    must(err == SHMSEG_INTERRUPTED ? 0 : err, "wait");
  }
  must(err, "get");
}

int main(int count, char **words) {
  if (count != 2)
    return 2;
  must(shmseg_object_open_named(&dict.object, &shmseg_dict_kind, &segment, words[1], SHMSEG_WRITE,
                                NULL, NULL, NULL),
       "dict");
  answer();
  for (int i = 0; i < TURNS; i++) {
    char key[16], text[600];
    add("sum");
    push_and_pop(i);
    add_claimed();
    snprintf(key, sizeof key, "key %d", i % 100);
    memset(text, 'c', sizeof text);
    text[i % 599] = 0;
    set(key, text);
  }
  wait_for("end");
  const char *broken = shmseg_dict_check(&dict);
  printf("%d bits: %s\n", (int)sizeof(void *) * 8, broken ? broken : "whole");
  shmseg_dict_close(&dict);
  shmseg_segment_close(&segment);
  return 0;
}
