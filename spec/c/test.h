/* SPDX-License-Identifier: MIT */
/* What a test program says: one line for each test, `ok - sentence` or `not ok - sentence`.
 *
 *   test("a mutex that is free is taken at once", shmseg_mutex_lock(…) == 0);
 *   return test_end();
 *
 * A sentence with a `# skip reason` counts as passed. Several checks make one test: group them
 * between test_begin("sentence") and test_done(), with check(condition) for each. */
#ifndef SHMSEG_SPEC_TEST_H
#define SHMSEG_SPEC_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int test_failures;
static const char *test_name;
static bool test_good;

static inline bool test_line(const char *sentence, bool good, const char *file, int line) {
  if (good)
    printf("ok - %s\n", sentence);
  else
    printf("not ok - %s (%s:%d)\n", sentence, file, line);
  fflush(stdout);
  test_failures += !good;
  return good;
}

static inline bool test_check(bool good, const char *what, const char *file, int line) {
  if (!good) {
    printf("# %s: %s (%s:%d)\n", test_name, what, file, line);
    fflush(stdout);
  }
  test_good = test_good && good;
  return good;
}

static inline void test_begin(const char *sentence) {
  test_name = sentence;
  test_good = true;
}

#define test(sentence, condition) test_line(sentence, condition, __FILE__, __LINE__)
#define check(condition) test_check(condition, #condition, __FILE__, __LINE__)
#define test_done() test_line(test_name, test_good, __FILE__, __LINE__)

static inline void test_skip(const char *sentence, const char *reason) {
  printf("ok - %s # skip %s\n", sentence, reason);
  fflush(stdout);
}

/* The exit status of main. */
static inline int test_end(void) {
  return test_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
