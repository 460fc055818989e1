/* SPDX-License-Identifier: MIT */
/* Who is alive: identities that the kernel takes back when their process ends. */
#define _GNU_SOURCE
#include "os/liveness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "os/backing.h"
#include "os/random.h"

#define SLOTS 65536
#define DRAWS 16

/* The byte of identity i is FIRST_BYTE + i. */
#define FIRST_BYTE ((off_t)1 << 62)

#if !defined(F_OFD_SETLK) /* locks of the whole process: two handles of it look like one */
#define F_OFD_SETLK F_SETLK
#define F_OFD_GETLK F_GETLK
#endif

/* A fork between opening a descriptor and noting it would leave the child with a lock that keeps
 * its parent alive: fork waits for this mutex. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int descriptors[SLOTS]; /* descriptor + 1, or 0 */
static int used;               /* slots from here on were never taken */
static unsigned generation;    /* of the process that they are of */
static int prepared;

static void liveness_before_fork(void) {
  pthread_mutex_lock(&mutex);
}

static void liveness_after_fork_in_parent(void) {
  pthread_mutex_unlock(&mutex);
}

/* Closing leaves the parent's locks alone: they belong to the description that it still has open.
 * An unlock would take them away. */
static void liveness_drop_inherited(void) {
  for (int i = 0; i < used; i++) {
    if (descriptors[i] > 0)
      close(descriptors[i] - 1);
    descriptors[i] = 0;
  }
  generation = shmseg_fork_generation();
}

static void liveness_after_fork_in_child(void) {
  liveness_drop_inherited();
  pthread_mutex_unlock(&mutex);
}

/* The mutex is held. */
static int liveness_prepare_once(void) {
  if (prepared)
    return 0;
  int err = shmseg_fork_prepare(); /* first: after a fork its handler, if any, runs before ours */
  if (!err)
    err = pthread_atfork(liveness_before_fork, liveness_after_fork_in_parent,
                         liveness_after_fork_in_child);
  prepared = err == 0;
  return err;
}

static struct flock liveness_byte_of(uint32_t id, short type) {
  struct flock lock = {
    .l_type = type, .l_whence = SEEK_SET, .l_start = FIRST_BYTE + (off_t)id, .l_len = 1
  };
  return lock;
}

/* Takes the byte of a number that nobody has. If a process that may only read has locked the byte,
 * no lock for writing can be had: then the number becomes one that a lock for reading proves. */
static int liveness_take_byte(int fd, uint32_t *id) {
  struct flock lock = liveness_byte_of(*id, F_WRLCK);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
    return 0;
  if (errno != EAGAIN && errno != EACCES)
    return errno;
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_RDLCK)
    return EAGAIN; /* somebody's */
  *id |= SHMSEG_ID_SHARED;
  lock = liveness_byte_of(*id, F_RDLCK);
  return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

static int liveness_draw(int fd, uint32_t *id) {
  for (int i = 0; i < DRAWS; i++) {
    uint64_t bits;
    int err = shmseg_random_draw(&bits);
    if (err)
      return err;
    *id = (uint32_t)bits & (SHMSEG_ID_SHARED - 1);
    if (*id < SHMSEG_ID_MIN)
      continue;
    err = liveness_take_byte(fd, id);
    if (err != EAGAIN && err != EACCES)
      return err;
  }
  return EAGAIN;
}

static int liveness_free_slot(void) {
  int slot = 0;
  while (slot < used && descriptors[slot] != 0)
    slot++;
  return slot;
}

/* The mutex is held. */
static int liveness_attach(int fd, shmseg_place place, shmseg_member *member) {
  int err = liveness_prepare_once();
  if (err)
    return err;
  if (generation != shmseg_fork_generation()) /* a raw clone, or the first time */
    liveness_drop_inherited();
  int slot = liveness_free_slot();
  if (slot == SLOTS)
    return ENFILE;
  int own;
  err = shmseg_backing_reopen(fd, place, &own); /* a description that shares no locks */
  if (err)
    return err;
  err = liveness_draw(own, &member->id);
  if (err) {
    close(own);
    member->id = 0;
    return err;
  }
  descriptors[slot] = own + 1;
  if (slot == used)
    used++;
  member->slot = slot;
  member->forks = generation;
  return 0;
}

int shmseg_liveness_attach(int fd, shmseg_place place, shmseg_member *member) {
  pthread_mutex_lock(&mutex);
  int err = liveness_attach(fd, place, member);
  pthread_mutex_unlock(&mutex);
  return err;
}

void shmseg_liveness_detach(shmseg_member *member) {
  if (member->id == 0)
    return;
  pthread_mutex_lock(&mutex);
  if (shmseg_liveness_own(member)) {
    close(descriptors[member->slot] - 1);
    descriptors[member->slot] = 0;
  }
  pthread_mutex_unlock(&mutex);
  member->id = 0;
}

void shmseg_liveness_renew(shmseg_member *member) {
  if (member->id == 0)
    return;
  pthread_mutex_lock(&mutex);
  uint32_t id = 0;
  if (shmseg_liveness_own(member)) {
    int own = descriptors[member->slot] - 1;
    struct flock lock = liveness_byte_of(member->id, F_UNLCK);
    if (fcntl(own, F_OFD_SETLK, &lock) != 0 || liveness_draw(own, &id) != 0) {
      close(own);
      descriptors[member->slot] = 0;
      id = 0;
    }
  }
  member->id = id;
  pthread_mutex_unlock(&mutex);
}

bool shmseg_liveness_byte(uint64_t byte, uint32_t *id) {
  uint64_t number = byte - (uint64_t)FIRST_BYTE;
  *id = (uint32_t)number;
  return number >= SHMSEG_ID_MIN && number <= SHMSEG_ID_MAX;
}

bool shmseg_liveness_probe(int fd, uint32_t id) {
  /* as a rule a lock for reading, which any process can have, is no sign of life */
  struct flock lock = liveness_byte_of(id, (id & SHMSEG_ID_SHARED) ? F_WRLCK : F_RDLCK);
  return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}
