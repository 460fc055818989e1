/* SPDX-License-Identifier: MIT */
/* What a test program says: one line for each test, `ok - sentence` or `not ok - sentence`.
 *
 *   test("a mutex that is free is taken at once", shmseg_mutex_lock(…) == 0);
 *   return test_end();
 *
 * A sentence with a `# skip reason` counts as passed. Several checks make one test: group them
 * between test_begin("sentence") and test_done(), with check(condition) for each.
 *
 * A program of many tests gives them names: each is a function TEST(name, "sentence") { … } with such
 * checks, and test_run calls them in the order of the file. Then `program name` runs one, and
 * `program --list` tells what there is. TEST_WITH has a fixture before and behind it; a function that
 * is several tests is TESTS(name). */
#ifndef SHMSEG_SPEC_TEST_H
#define SHMSEG_SPEC_TEST_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures;
static const char *test_name = "";
static bool test_good;
static bool test_found, test_passed_over; /* by the words of the command line */

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

/* Is what has that name to run? The words of the command line are names, or what names begin with up
 * to a dot: "mutex" names "mutex.3", too. Without words everything runs; `--list` shows it instead. */
static inline bool test_is_wanted(char **words, const char *name, const char *about) {
  if (words[1] && strcmp(words[1], "--list") == 0) {
    printf("%s  %s\n", name, about);
    return false;
  }
  bool wanted = !words[1];
  for (char **word = words + 1; *word; word++) {
    size_t length = strlen(*word);
    wanted |= strncmp(name, *word, length) == 0 && (name[length] == '\0' || name[length] == '.');
  }
  test_found |= wanted;
  test_passed_over |= !wanted;
  return wanted;
}

/* The exit status of main. */
static inline int test_end(void) {
  if (test_passed_over && !test_found)
    fprintf(stderr, "nothing has that name; --list shows what there is\n");
  return test_failures || (test_passed_over && !test_found) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- tests with names ------------------------------------------------------------------------- */

typedef struct test_fixture {
  void (*set_up)(void), (*tear_down)(void);
} test_fixture;

typedef struct test_case {
  const char *name, *sentence, *file;
  int line;
  void (*run)(void);
  const test_fixture *fixture;
} test_case;

#define TEST_CASE(function, sentence, fixture)                                                     \
  static void function(void);                                                                      \
  static const test_case function##_case = { #function, sentence, __FILE__,                        \
                                             __LINE__,  function, fixture };                       \
  static const test_case *function##_entry __attribute__((section("test_cases"), used)) =          \
      &function##_case;                                                                            \
  static void function(void)

#define TEST(function, sentence) TEST_CASE(function, sentence, NULL)
#define TEST_WITH(fixture, function, sentence) TEST_CASE(function, sentence, &(fixture))
#define TESTS(function) TEST_CASE(function, NULL, NULL)

extern const test_case *__start_test_cases[] __attribute__((weak));
extern const test_case *__stop_test_cases[] __attribute__((weak));

static inline int test_by_line(const void *a, const void *b) {
  return (*(const test_case *const *)a)->line - (*(const test_case *const *)b)->line;
}

static inline void test_run_one(const test_case *it) {
  if (it->fixture)
    it->fixture->set_up();
  if (it->sentence)
    test_begin(it->sentence);
  it->run();
  if (it->sentence)
    test_line(test_name, test_good, it->file, it->line);
  if (it->fixture)
    it->fixture->tear_down();
}

/* Runs the tests of this program, or those that main's words name. */
static inline void test_run(char **words) {
  const test_case **all = __start_test_cases;
  size_t count = (size_t)(__stop_test_cases - __start_test_cases);
  if (count > 0)
    qsort(all, count, sizeof *all, test_by_line);
  for (size_t i = 0; i < count; i++)
    if (test_is_wanted(words, all[i]->name, all[i]->sentence ? all[i]->sentence : ""))
      test_run_one(all[i]);
}

#endif
