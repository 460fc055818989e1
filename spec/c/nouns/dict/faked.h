/* SPDX-License-Identifier: MIT */
/* A dict in private memory, in a fake OS, and two processes that use it: a and b. */
#ifndef SHMSEG_SPEC_DICT_FAKED_H
#define SHMSEG_SPEC_DICT_FAKED_H

#include <errno.h>
#include <string.h>

#include "fake/fake.h"
#include "objects/dict.h"
#include "test.h"

#define CAPACITY 4096
#define SECOND ((int64_t)1000000000)
#define MILLISECOND ((int64_t)1000000)

static _Alignas(64) unsigned char memory[65536];
static shmseg_segment ours, theirs;
static shmseg_dict a, b;
static int64_t patience;
static bool forcible;
static shmseg_dict_value value;
static unsigned char buffer[CAPACITY];

/* Few lines, so that there are chains. */
static inline void set_up(void) {
  shmseg_object_options options = { .capacity = CAPACITY, .items = 1 };
  memset(memory, 0, sizeof memory);
  ours = theirs =
      (shmseg_segment){ .data = memory, .size = sizeof memory, .fd = 3, .writable = true };
  fake.hooks = (fake_hooks){ 0 };
  fake_reset();
  patience = 0;
  check(shmseg_dict_open(&a, (shmseg_slice){ &ours, 0, sizeof memory }, SHMSEG_CREATE, &options,
                         NULL) == 0);
  check(shmseg_dict_open(&b, (shmseg_slice){ &theirs, 0, sizeof memory }, SHMSEG_WRITE, NULL,
                         NULL) == 0);
}

static inline void tear_down(void) {
  check(shmseg_dict_check(&a) == NULL);
  shmseg_dict_close(&a);
  shmseg_dict_close(&b);
}

static const test_fixture fresh = { set_up, tear_down };

static inline void pass_ms(int64_t milliseconds) {
  fake.now += milliseconds * MILLISECOND;
}

static inline int set_with(shmseg_dict *dict, const char *key, const char *bytes,
                           const shmseg_dict_how *how) {
  shmseg_dict_value string = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = strlen(bytes) };
  return shmseg_dict_store(dict, key, strlen(key), &string, how, &forcible, &patience);
}

static inline int set(shmseg_dict *dict, const char *key, const char *bytes, int64_t ttl) {
  shmseg_dict_how how = { .ttl = ttl };
  return set_with(dict, key, bytes, &how);
}

static inline int push(const char *key, const char *bytes) {
  uint64_t length;
  shmseg_dict_value string = { .type = SHMSEG_DICT_STRING, .bytes = bytes, .size = strlen(bytes) };
  return shmseg_dict_push(&a, key, strlen(key), false, &string, &length, &patience);
}

static inline int get(const char *key) {
  return shmseg_dict_get(&a, key, strlen(key), buffer, sizeof buffer, &value);
}

static inline int get_stale(const char *key) {
  return shmseg_dict_get_stale(&a, key, strlen(key), buffer, sizeof buffer, &value);
}

static inline int expire(const char *key, int64_t ttl) {
  return shmseg_dict_expire(&a, key, strlen(key), ttl, &patience);
}

static inline bool has(const char *key, const char *bytes) {
  return get(key) == 0 && value.size == strlen(bytes) && memcmp(buffer, bytes, value.size) == 0;
}

/* What is left; 0: for ever; INT64_MIN: it is not there. */
static inline int64_t left(const char *key) {
  int64_t ttl = 0;
  return shmseg_dict_ttl(&a, key, strlen(key), &ttl) == 0 ? ttl : INT64_MIN;
}

static inline shmseg_dict_stats stats_now(void) {
  shmseg_dict_stats stats = { 0 };
  check(shmseg_dict_get_stats(&a, &stats) == 0);
  return stats;
}

#endif
