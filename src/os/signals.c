/* SPDX-License-Identifier: MIT */
/* Signals that ask a process to stop: caught, and kept until somebody takes them. */
#define _GNU_SOURCE
#include "os/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "os/futex.h"

static const struct {
  const char *name;
  int number;
} signals[] = {
  { "HUP", SIGHUP },   { "INT", SIGINT },   { "QUIT", SIGQUIT }, { "TERM", SIGTERM },
  { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "ALRM", SIGALRM }, { "CHLD", SIGCHLD },
  { "CONT", SIGCONT }, { "TSTP", SIGTSTP }, { "PIPE", SIGPIPE }, { "WINCH", SIGWINCH },
};

#define SIGNALS (sizeof signals / sizeof *signals)

uint32_t shmseg_signals_word; /* by the indexes of the table */

static int owned; /* somebody has called catch and not yet release */
static struct sigaction old[SIGNALS];
static size_t caught[SIGNALS]; /* indexes, in the order they were caught */
static size_t caught_count;

static size_t signals_index_of(int number) {
  size_t i = 0;
  while (i < SIGNALS && signals[i].number != number)
    i++;
  return i;
}

/* An event loop may wait on the word. */
static void signals_note(int number) {
  int err = errno;
  __atomic_fetch_or(&shmseg_signals_word, 1u << signals_index_of(number), __ATOMIC_SEQ_CST);
  shmseg_futex_wake(&shmseg_signals_word, INT32_MAX);
  errno = err;
}

/* Unblocks it in the calling thread: the program that started this one may have blocked it. */
static void signals_unblock(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Such a signal ends io.read and its like, too, for its sender wants the process to stop. After the
 * others such a call goes on as if nothing had happened. The library's own waits end either way:
 * the system never restarts a sleep with a timeout. */
static bool signals_asks_to_stop(int number) {
  return number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

static int signals_catch_one(int number) {
  size_t i = signals_index_of(number);
  if (i == SIGNALS)
    return EINVAL;
  for (size_t j = 0; j < caught_count; j++)
    if (caught[j] == i)
      return 0; /* named twice */
  struct sigaction action = { 0 };
  action.sa_handler = signals_note;
  action.sa_flags = signals_asks_to_stop(number) ? 0 : SA_RESTART;
  sigfillset(&action.sa_mask);
  if (sigaction(number, &action, &old[i]) != 0)
    return errno;
  caught[caught_count++] = i;
  signals_unblock(number);
  return 0;
}

int shmseg_signals_catch(const int *numbers, size_t count) {
  if (__atomic_exchange_n(&owned, 1, __ATOMIC_ACQUIRE))
    return EBUSY;
  caught_count = 0;
  __atomic_store_n(&shmseg_signals_word, 0, __ATOMIC_RELAXED);
  for (size_t i = 0; i < count; i++) {
    int err = signals_catch_one(numbers[i]);
    if (err) {
      shmseg_signals_release();
      return err;
    }
  }
  return 0;
}

void shmseg_signals_default(int number) {
  struct sigaction action = { 0 };
  action.sa_handler = SIG_DFL;
  sigaction(number, &action, NULL);
  signals_unblock(number);
}

int shmseg_signals_take(void) {
  for (size_t i = 0; i < SIGNALS; i++)
    if (__atomic_fetch_and(&shmseg_signals_word, ~(1u << i), __ATOMIC_RELAXED) & 1u << i)
      return signals[i].number;
  return 0;
}

void shmseg_signals_release(void) {
  while (caught_count > 0) {
    size_t i = caught[--caught_count];
    struct sigaction current;
    if (sigaction(signals[i].number, NULL, &current) == 0 && current.sa_handler == signals_note)
      sigaction(signals[i].number, &old[i], NULL);
  }
  __atomic_store_n(&shmseg_signals_word, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&owned, 0, __ATOMIC_RELEASE);
}

const char *shmseg_signals_name(int number) {
  size_t i = signals_index_of(number);
  return i < SIGNALS ? signals[i].name : NULL;
}

int shmseg_signals_number(const char *name) {
  for (size_t i = 0; i < SIGNALS; i++)
    if (strcmp(signals[i].name, name) == 0)
      return signals[i].number;
  return 0;
}
