/* SPDX-License-Identifier: MIT */
/* Fuzzing guided by coverage (libFuzzer), in an OS whose time is made up.
 *   FUZZ_SECONDS=600 build/c/fuzz/mutex-guided          build/c/fuzz/mutex-guided crash-file */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "test.h"

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *, size_t));

static int one(const uint8_t *input, size_t size) {
  static bool begun;
  if (!begun)
    fuzz_begin();
  begun = true;
  fuzz_run(input, size, false);
  return 0;
}

static int drive(char *program, char *file) {
  char time[40], prefix[4096];
  const char *seconds = getenv("FUZZ_SECONDS");
  snprintf(time, sizeof time, "-max_total_time=%s", seconds ? seconds : "5");
  snprintf(prefix, sizeof prefix, "-artifact_prefix=%s.", program);
  char *all[] = { program,
                  time,
                  prefix,
                  "-max_len=400",
                  "-len_control=0",
                  "-verbosity=0",
                  "-print_final_stats=1",
                  "-timeout=60",
                  "-rss_limit_mb=0",
                  file,
                  NULL };
  char **arguments = all;
  int count = file ? 10 : 9;
  return LLVMFuzzerRunDriver(&count, &arguments, one); /* which exits */
}

/* What the driver had to say: of a good run its size, else all. */
static void show(const char *log, bool good) {
  char line[400];
  FILE *file = fopen(log, "r");
  while (file && fgets(line, sizeof line, file))
    if (!good || strncmp(line, "stat::number_of", 15) == 0)
      printf("# %s", line);
  if (file)
    fclose(file);
}

int main(int argc, char **argv) {
  char sentence[100], log[4096];
  int status;
  snprintf(log, sizeof log, "%s.log", argv[0]);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(freopen(log, "w", stderr) ? drive(argv[0], argc > 1 ? argv[1] : NULL) : 2);
  }
  waitpid(pid, &status, 0);
  show(log, status == 0);
  snprintf(sentence, sizeof sentence, "%s: no input that the fuzzer finds does harm",
           fuzz_subject.kind->name);
  test(sentence, status == 0);
  return test_end();
}
