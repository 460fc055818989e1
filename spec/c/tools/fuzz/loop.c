/* SPDX-License-Identifier: MIT */
/* Fuzzing with the real OS: random runs by number, and a second thread that scribbles meanwhile.
 *   FUZZ_SECONDS=60 FUZZ_SEED=1 build/c/fuzz/mutex-loop        FUZZ_RUNS=1 repeats one */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "os/clock.h"
#include "test.h"

#define STUCK 60 /* seconds; then a run is ended by a signal */

static struct notes { uint64_t runs, seed; } * notes; /* shared with the child that runs */

const int fuzz_longest = 10;
const int fuzz_patience = 20;

/* Runs that wait seconds for a lock that a stranger has made up would be few. */
int __real_shmseg_lock_enter_patiently_slowly(const shmseg_segment *segment, uint32_t *word,
                                              uint32_t id, int64_t patience, int64_t *deadline,
                                              bool *dirty);
int __wrap_shmseg_lock_enter_patiently_slowly(const shmseg_segment *segment, uint32_t *word,
                                              uint32_t id, int64_t patience, int64_t *deadline,
                                              bool *dirty);
int __wrap_shmseg_lock_enter_patiently_slowly(const shmseg_segment *segment, uint32_t *word,
                                              uint32_t id, int64_t patience, int64_t *deadline,
                                              bool *dirty) {
  (void)patience;
  return __real_shmseg_lock_enter_patiently_slowly(
      segment, word, id, fuzz_patience * (int64_t)1000000, deadline, dirty);
}

static _Thread_local uint64_t state;

static uint64_t draw(void) { /* splitmix64 */
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

void fuzz_os_reset(void) {}

void fuzz_os_access(void) {}

int64_t fuzz_now(void) {
  return shmseg_clock_now();
}

/* Linux 6.12 and later do not count all of what a sleeper waits after it is woken: run at a low
 * priority beside a load, a call can seem late that was not. */
int64_t fuzz_stolen(void) {
  long long on, stolen = 0;
  FILE *file = fopen("/proc/thread-self/schedstat", "r");
  if (file && fscanf(file, "%lld %lld", &on, &stolen) != 2)
    stolen = 0;
  if (file)
    fclose(file);
  return stolen;
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
  const char *value = getenv(name);
  return value ? strtoull(value, NULL, 0) : otherwise;
}

static int scribbling;                                      /* 1: now; 0: rest; -1: end */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER; /* a write does not outlast its run */

static void set_scribbling(int now) {
  pthread_mutex_lock(&writing);
  scribbling = now;
  pthread_mutex_unlock(&writing);
}

void fuzz_scribble(bool now) {
  set_scribbling(now);
}

/* One write, or a rest. */
static int scribble_once(void) {
  size_t count;
  pthread_mutex_lock(&writing);
  int now = scribbling;
  uint32_t *words = fuzz_words(&count);
  uint64_t r = draw();
  if (now > 0 && words) {
    uint32_t *word = &words[16 + (r >> 40) % (count - 16)];
    uint32_t value = r & 1 ? (uint32_t)(r >> 8) : 1u | (uint32_t)(r >> 8 & 3) << 30;
    if (r & 2)
      __atomic_store_n(word, value, __ATOMIC_RELAXED);
    else
      __atomic_fetch_add(word, 8 * (uint32_t)(int8_t)(r >> 8), __ATOMIC_RELAXED);
  }
  pthread_mutex_unlock(&writing);
  if (now == 0)
    usleep(100);
  else if ((r & 0xf0) == 0)
    usleep((unsigned)(r >> 32 & 0xff));
  return now;
}

static void *scribble(void *argument) {
  (void)argument;
  state = 1;
  while (scribble_once() >= 0)
    continue;
  return NULL;
}

static void run(uint64_t seed) {
  uint8_t input[400];
  state = seed;
  uint64_t size = 20 + draw() % (sizeof input - 20);
  for (uint64_t i = 0; i < size; i++)
    input[i] = (uint8_t)draw();
  fuzz_run(input, size, seed % 2);
}

static void run_all(void) {
  pthread_t thread;
  int64_t end = fuzz_now() + (int64_t)number_of("FUZZ_SECONDS", 5) * 1000000000;
  uint64_t most = number_of("FUZZ_RUNS", UINT64_MAX), first = number_of("FUZZ_SEED", 1);
  fuzz_begin();
  if (pthread_create(&thread, NULL, scribble, NULL) != 0)
    _exit(2);
  for (uint64_t i = 0; i < most && fuzz_now() < end; i++) {
    notes->seed = first + i;
    alarm(STUCK);
    run(first + i);
    notes->runs++;
  }
  set_scribbling(-1);
  pthread_join(thread, NULL);
}

int main(void) {
  char sentence[100];
  int status;
  notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_all();
    _exit(0);
  }
  waitpid(pid, &status, 0);
  if (status != 0)
    printf("# status %d in the run with FUZZ_SEED=%llu\n", status, (unsigned long long)notes->seed);
  printf("# %llu runs\n", (unsigned long long)notes->runs);
  snprintf(sentence, sizeof sentence, "%s: random bytes and a scribbling thread do no harm",
           fuzz_subject.kind->name);
  test(sentence, status == 0 && notes->runs > 0);
  return test_end();
}
