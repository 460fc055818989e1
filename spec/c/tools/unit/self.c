/* SPDX-License-Identifier: MIT */
/* test.h under test: what one file of a program finds wrong, the others know. */
#include "unit/help.h"

TEST(broken, "a check that fails") {
  check(false);
}

static void fail_in_silence(void *argument) {
  static char *words[] = { "self", "broken", NULL };
  (void)argument;
  if (!freopen("/dev/null", "w", stdout))
    return;
  test_run(words);
  exit(help_end()); /* of another file */
}

int main(void) {
  child c = child_start(fail_in_silence, NULL);
  test("a check that fails fails its program, whichever file asks", child_end(&c) == EXIT_FAILURE);
  return help_end();
}
