/* SPDX-License-Identifier: MIT */
/* Names that go with the process: unlinked at exit when nobody has done it before. */
#define _GNU_SOURCE
#include "os/temporary.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/object.h"

#define ENTRIES 4096

enum { FREE, CHANGING, WAITING };

typedef struct {
  int state;
  pid_t process; /* a forked child has the table too, and must unlink nothing */
  shmseg_place place;
  shmseg_identity identity;
  int fd;
} entry;

static entry entries[ENTRIES];
static int registered;

static void unlink_all(void) {
  for (int i = 0; i < ENTRIES; i++)
    if (__atomic_load_n(&entries[i].state, __ATOMIC_ACQUIRE) == WAITING &&
        entries[i].process == getpid())
      shmseg_object_remove_own(entries[i].place, entries[i].fd,
                               &entries[i].identity); /* EAGAIN: a peer removes it */
}

static int register_once(void) {
  if (__atomic_exchange_n(&registered, 1, __ATOMIC_ACQ_REL))
    return 0;
  if (atexit(unlink_all) == 0)
    return 0;
  __atomic_store_n(&registered, 0, __ATOMIC_RELEASE);
  return ENOMEM;
}

int shmseg_temporary_add(shmseg_place place, shmseg_identity identity, int fd, int *ticket) {
  int err = register_once();
  if (err)
    return err;
  for (int i = 0; i < ENTRIES; i++) {
    int state = FREE;
    entry *e = &entries[i];
    if (__atomic_compare_exchange_n(&e->state, &state, CHANGING, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      e->process = getpid();
      e->place = place;
      e->identity = identity;
      e->fd = fd;
      __atomic_store_n(&e->state, WAITING, __ATOMIC_RELEASE);
      *ticket = i + 1;
      return 0;
    }
  }
  return ENFILE;
}

bool shmseg_temporary_remove(int ticket) {
  entry *e = &entries[ticket - 1];
  bool own = e->process == getpid();
  __atomic_store_n(&e->state, FREE, __ATOMIC_RELEASE);
  return own;
}
