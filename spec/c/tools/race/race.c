/* SPDX-License-Identifier: MIT */
/* Races: threads with handles of their own over one mapping. */
#define _GNU_SOURCE
#include "race/race.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/owner.h"
#include "core/wait.h"

/* A report ends the program with this, so that the test fails. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
  return "exitcode=66:second_deadlock_stack=1:halt_on_error=0:handle_sigbus=0:handle_segv=0";
}

unsigned char *race_bytes;
static int object;
static void (*the_body)(participant *p);
static pthread_barrier_t barrier;

int race_rounds(void) {
  const char *rounds = getenv("RACE_ROUNDS");
  return rounds ? atoi(rounds) : 10000;
}

void race_must_be(bool good, const char *what, const char *file, int line) {
  if (good)
    return;
  test_line(what, false, file, line);
  _exit(1);
}

int64_t race_ms(int64_t milliseconds) {
  return shmseg_wait_deadline(milliseconds * 1000000);
}

void race_join(participant *p, int number) {
  race_must(shmseg_segment_from_fd(&p->segment, object, true) == 0);
  p->own = p->segment.data;
  p->segment.data = race_bytes;
  p->number = number;
  p->random += (uint64_t)number + 1;
}

void race_leave(participant *p) {
  shmseg_owner_abandon_all(&p->segment); /* in the common mapping */
  p->segment.data = p->own;
  shmseg_segment_close(&p->segment);
}

uint32_t race_draw(participant *p, uint32_t limit) {
  p->random = p->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(p->random >> 33) % limit;
}

static void *start(void *argument) {
  participant p = { .random = 1 };
  race_join(&p, *(int *)argument);
  pthread_barrier_wait(&barrier);
  the_body(&p);
  race_leave(&p);
  return NULL;
}

void race_run(void (*body)(participant *p)) {
  pthread_t threads[RACE_THREADS];
  int numbers[RACE_THREADS];
  object = memfd_create("race", MFD_CLOEXEC);
  race_must(object >= 0 && ftruncate(object, RACE_SIZE) == 0);
  race_bytes = mmap(NULL, RACE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
  race_must(race_bytes != MAP_FAILED);
  the_body = body;
  pthread_barrier_init(&barrier, NULL, RACE_THREADS);
  for (int i = 0; i < RACE_THREADS; i++) {
    numbers[i] = i;
    race_must(pthread_create(&threads[i], NULL, start, &numbers[i]) == 0);
  }
  for (int i = 0; i < RACE_THREADS; i++)
    pthread_join(threads[i], NULL);
}
