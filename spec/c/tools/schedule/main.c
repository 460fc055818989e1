/* SPDX-License-Identifier: MIT */
/* Runs every scenario through its schedules, or one schedule again.
 *
 *   schedule                       all of them
 *   schedule mutex rwlock.2        these
 *   schedule --list                what there is
 *   schedule --replay mutex.0:1c1,14>0,20d      one schedule, step by step
 *
 * SCHEDULES=n in the environment: about as many for each scenario, at most. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schedule/schedule.h"
#include "test.h"

extern const structure *__start_schedules[], *__stop_schedules[];

static const structure **structures = __start_schedules;
static int structures_count;

static int by_name(const void *a, const void *b) {
  return strcmp((*(const structure *const *)a)->name, (*(const structure *const *)b)->name);
}

static void find_structures(void) {
  structures_count = (int)(__stop_schedules - __start_schedules);
  qsort(structures, (size_t)structures_count, sizeof *structures, by_name);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const structure *structure, int number) {
  const scenario *s = &structure->scenarios[number];
  char sentence[300], text[200];
  double began = seconds();
  found f = explore(structure, s);
  bool wanted = s->title[0] == '!'; /* a self-test */
  double took = seconds() - began;
  printf("# %s.%d: %llu schedules, %.1f s, %llu late\n", structure->name, number,
         (unsigned long long)f.schedules, took, (unsigned long long)f.late);
  if (f.failed) {
    code_print(&f.code, text, sizeof text);
    printf("# %s (%s --replay %s.%d:%s)\n", f.text, "build/c/schedule/schedule", structure->name,
           number, text);
  }
  snprintf(sentence, sizeof sentence, "%s: %s", structure->name, s->title + wanted);
  test(sentence, f.failed == wanted);
  return (int)f.schedules;
}

static int run_named(char **names) {
  char name[64];
  for (int i = 0; i < structures_count; i++) {
    const structure *it = structures[i];
    uint64_t total = 0;
    double began = seconds();
    for (int k = 0; k < it->count; k++) {
      snprintf(name, sizeof name, "%s.%d", it->name, k);
      if (test_is_wanted(names, name, it->scenarios[k].title))
        total += (uint64_t)run(it, k);
    }
    if (total > 0)
      printf("# %s: %llu schedules in %.1f s\n", it->name, (unsigned long long)total,
             seconds() - began);
  }
  return test_end();
}

/* The schedule that "noun.number:decisions" names. */
static bool find(const char *text, const structure **structure, int *number, code *c) {
  const char *dot = strchr(text, '.'), *colon = strchr(text, ':');
  if (!dot || !colon || colon < dot)
    return false;
  *number = atoi(dot + 1);
  *structure = NULL;
  for (int i = 0; i < structures_count; i++)
    if (strlen(structures[i]->name) == (size_t)(dot - text) &&
        strncmp(text, structures[i]->name, (size_t)(dot - text)) == 0)
      *structure = structures[i];
  return *structure && *number >= 0 && *number < (*structure)->count && code_parse(colon + 1, c);
}

static int replay(const char *text) {
  const structure *structure;
  int number;
  code c;
  if (!find(text, &structure, &number, &c)) {
    fprintf(stderr, "no such schedule: %s\n", text);
    return 2;
  }
  const scenario *s = &structure->scenarios[number];
  printf("%s\n", s->title);
  engine_open(structure, s);
  w.code = c;
  w.trace = true;
  w.weak = strchr(strchr(text, ':'), 'o') != NULL;
  engine_run();
  printf("%s\n", w.failure ? w.failure : "all is well");
  return w.failure ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int count, char **words) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  engine_start();
  find_structures();
  if (count == 3 && strcmp(words[1], "--replay") == 0)
    return replay(words[2]);
  return run_named(words);
}
