/* SPDX-License-Identifier: MIT */
/* A fake OS: time, sleeping, waking, life and death, as a test wants them.
 *
 * Linked in place of os/futex_*.c, os/clock.c and os/liveness.c. Alone it is the world of one
 * process: a sleep lets the clock jump to its end. A scheduler puts its own functions into
 * fake_hooks and makes a world of several. Nothing here knows what runs above. */
#ifndef SHMSEG_SPEC_FAKE_H
#define SHMSEG_SPEC_FAKE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { FAKE_WAIT, FAKE_WAKE, FAKE_SLEEP, FAKE_ATTACH, FAKE_PROBE, FAKE_CALLS } fake_call;

extern const char *const fake_call_names[FAKE_CALLS];

typedef struct fake_hooks {
  /* Comes before each call takes effect; about: the word or identity it is about. */
  void (*call)(fake_call call, const uint32_t *word, uint32_t about);
  /* What the futex finds on the word. */
  uint32_t (*look)(const uint32_t *word);
  /* Sleeps on the word (NULL: on none) until a wake or that time: 0, ETIMEDOUT or EINTR. */
  int (*sleep)(const uint32_t *word, int64_t until);
  int (*wake)(const uint32_t *word, int count);
  /* The number of the next identity of the process that runs. */
  uint32_t (*draw)(void);
  /* An identity was found dead: what its process did is seen from now on. */
  void (*found_dead)(uint32_t id);
} fake_hooks;

#define FAKE_IDENTITIES 64

typedef struct fake_os {
  int64_t now;    /* nanoseconds */
  int64_t wall;   /* milliseconds since 1970 when now is 0: the time of day goes with now */
  int processors; /* 1: nobody spins */
  fake_hooks hooks;
  uint32_t alive[FAKE_IDENTITIES]; /* identities; 0: a free place */
  unsigned calls[FAKE_CALLS];      /* how many of each there were */
  struct {
    unsigned at; /* that call from now on, 1 the next; 0: none */
    int err;
  } failure[FAKE_CALLS];
} fake_os;

extern fake_os fake;

/* Nothing happened, nobody lives; the hooks stay. */
void fake_reset(void);

/* The nth call from now on fails: EINTR, EFAULT, ETIMEDOUT of FAKE_WAIT; EINTR of FAKE_SLEEP; any
 * error of FAKE_ATTACH; a failed FAKE_PROBE says alive; a failed FAKE_WAKE -1. */
void fake_fail(fake_call call, unsigned nth, int err);

void fake_born(uint32_t id);
void fake_died(uint32_t id);
bool fake_is_alive(uint32_t id);

#endif
