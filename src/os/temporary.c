/* SPDX-License-Identifier: MIT */
/* Names that go with the process: unlinked at exit when nobody has done it before.
 *
 * A thread that changes an entry owns it: its state is CHANGING. exit() lets other threads run on:
 * one that adds an entry sees that exit has begun, or else temporary_at_exit() sees the entry. */
#define _GNU_SOURCE
#include "os/temporary.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/backing.h"
#include "os/clock.h"
#include "os/fork.h"
#include "os/presence.h"

#define CHUNK_BYTES 65536
#define MILLISECOND ((int64_t)1000000)

/* How long a peer may have the backing's lock, or a thread need to name one that it has made. */
#define PATIENCE (1000 * MILLISECOND)

enum {
  FREE,
  CHANGING,
  NAMELESS, /* its backing has no name yet */
  WAITING
};

typedef struct chunk chunk;

struct shmseg_temporary {
  int state;
  unsigned generation; /* of the process: a forked child has the entry too, and unlinks nothing, */
  bool last;           /* but here: whoever is the last */
  pthread_t maker;
  chunk *home;
  shmseg_place place;
  shmseg_identity identity;
  int fd;
  char short_name[SHMSEG_NAME_MAX + 1]; /* a longer one has pages of its own */
};

#define ENTRIES ((CHUNK_BYTES - 2 * sizeof(void *)) / sizeof(shmseg_temporary))

struct chunk {
  chunk *next;
  int free; /* entries, about */
  shmseg_temporary entries[ENTRIES];
};

_Static_assert(sizeof(chunk) <= CHUNK_BYTES, "a chunk fits");

static chunk *chunks; /* the newest first; they stay */
static int registered, ending;
static int any_last; /* was there ever one? */

/* --- entries ------------------------------------------------------------------------------ */

static bool temporary_change(shmseg_temporary *e, int from) {
  return __atomic_compare_exchange_n(&e->state, &from, CHANGING, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED);
}

/* Takes an entry that was added; *was is its state, CHANGING when another thread has it. */
static bool temporary_take_out(shmseg_temporary *e, int *was) {
  *was = __atomic_load_n(&e->state, __ATOMIC_SEQ_CST); /* after ending is set: see add */
  if (*was != NAMELESS && *was != WAITING)
    return false;
  if (temporary_change(e, *was))
    return true;
  *was = CHANGING;
  return false;
}

static shmseg_temporary *temporary_take_free(chunk *c) {
  for (size_t i = 0; i < ENTRIES; i++) {
    if (__atomic_load_n(&c->entries[i].state, __ATOMIC_RELAXED) == FREE &&
        temporary_change(&c->entries[i], FREE)) {
      __atomic_fetch_sub(&c->free, 1, __ATOMIC_RELAXED);
      c->entries[i].home = c;
      return &c->entries[i];
    }
  }
  return NULL;
}

static void *temporary_new_pages(size_t size) {
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? NULL : pages;
}

static shmseg_temporary *temporary_take_any(void) {
  for (chunk *c = __atomic_load_n(&chunks, __ATOMIC_ACQUIRE); c; c = c->next) {
    shmseg_temporary *e =
        __atomic_load_n(&c->free, __ATOMIC_RELAXED) > 0 ? temporary_take_free(c) : NULL;
    if (e)
      return e;
  }
  chunk *fresh = temporary_new_pages(CHUNK_BYTES);
  if (!fresh)
    return NULL;
  fresh->free = (int)ENTRIES;
  shmseg_temporary *e = temporary_take_free(fresh);
  fresh->next = __atomic_load_n(&chunks, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&chunks, &fresh->next, fresh, false, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED))
    continue;
  return e;
}

/* The entry is ours. */
static void temporary_put_back(shmseg_temporary *e) {
  if (e->place.name && e->place.name != e->short_name)
    munmap((void *)(uintptr_t)e->place.name, SHMSEG_PATH_MAX);
  e->place.name = NULL;
  __atomic_store_n(&e->generation, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&e->last, false, __ATOMIC_RELAXED);
  chunk *home = e->home;
  __atomic_store_n(&e->state, FREE, __ATOMIC_RELEASE);
  __atomic_fetch_add(&home->free, 1, __ATOMIC_RELAXED);
}

/* The folder that a relative path begins at, with a slash; "" when there is none to be had, or the
 * whole would be too long for the kernel: then the path stays relative. */
static void temporary_current_folder(char folder[SHMSEG_PATH_MAX], size_t name) {
  if (!getcwd(folder, SHMSEG_PATH_MAX - 1) || *folder != '/' ||
      strlen(folder) + 1 + name >= SHMSEG_PATH_MAX)
    *folder = '\0';
  else if (folder[1] != '\0')
    memcpy(folder + strlen(folder), "/", 2);
}

/* Copies the place, whose name the caller may free; a relative path becomes an absolute one. */
static int temporary_copy_place(shmseg_temporary *e, shmseg_place place) {
  char folder[SHMSEG_PATH_MAX] = "", target[SHMSEG_PATH_MAX];
  if (place.type == SHMSEG_FILE && realpath(place.name, target))
    place.name = target; /* the file that is there, and not a link to it */
  size_t name = strlen(place.name);
  if (place.type == SHMSEG_FILE && *place.name != '/')
    temporary_current_folder(folder, name);
  size_t before = strlen(folder);
  if (before + name >= SHMSEG_PATH_MAX)
    return ENAMETOOLONG;
  char *copy =
      before + name < sizeof e->short_name ? e->short_name : temporary_new_pages(SHMSEG_PATH_MAX);
  if (!copy)
    return ENOMEM;
  memcpy(stpcpy(copy, folder), place.name, name + 1);
  e->place = (shmseg_place){ place.type, copy };
  return 0;
}

/* --- unlinking ---------------------------------------------------------------------------- */

static bool temporary_leads_to(shmseg_place place, shmseg_identity identity) {
  struct stat status;
  if (shmseg_backing_stat(place, &status) != 0)
    return false;
  shmseg_identity found = shmseg_backing_identity(&status);
  return found.device == identity.device && found.inode == identity.inode;
}

/* For when the lock cannot be had: no descriptor is free, a sandbox refuses it, somebody does not
 * give it back. But a name that somebody may be using stays. Between the look and the unlink the
 * name could be given to another backing, if somebody removed ours in that moment. */
static void temporary_unlink_without_lock(const shmseg_temporary *e) {
  if (!e->last && temporary_leads_to(e->place, e->identity))
    shmseg_backing_unlink(e->place);
}

static int temporary_remove_under(const shmseg_temporary *e, int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    return errno;
  shmseg_identity found = shmseg_backing_identity(&status);
  if (found.device != e->identity.device || found.inode != e->identity.inode)
    return SHMSEG_RENAMED;
  int err = shmseg_presence_exclude(fd);
  if (err)
    return err;
  err = shmseg_backing_remove_own(e->place, fd, &e->identity);
  shmseg_presence_readmit(fd);
  return err;
}

/* Removes the name if no handle has the backing open: through a description of its own, since those
 * of the handles may be shared with forked children.
 *
 * Of such handles that close at once one removes it: the last one whose presence goes finds nobody
 * present. It may find another remover at work, who looked when somebody was still present: so it tries
 * again until that one is done. Who is present and does not try when he goes keeps the name: a handle
 * that has not asked or may not write, and for a moment an opening that fails. */
static int temporary_remove_if_last(const shmseg_temporary *e) {
  int fd;
  int err = shmseg_backing_open(e->place, true, &fd);
  if (err)
    return err;
  err = temporary_remove_under(e, fd);
  close(fd);
  return err;
}

/* Unlinks the name of an entry that was taken out. False: try again. */
static bool temporary_unlink_entry(const shmseg_temporary *e, int was) {
  int err = e->last ? temporary_remove_if_last(e)
                    : shmseg_backing_remove_own(e->place, e->fd, &e->identity);
  switch (err) {
  case 0: return true;
  case EAGAIN: return false;
  case ENOENT:
  case SHMSEG_RENAMED: /* the thread that would name it may be the one that ends the process */
    return was != NAMELESS || pthread_equal(e->maker, pthread_self());
  default: temporary_unlink_without_lock(e); return true;
  }
}

/* Was it added by this process, and not by one that it was forked from? */
static bool temporary_is_native(const shmseg_temporary *e) {
  return __atomic_load_n(&e->generation, __ATOMIC_RELAXED) == shmseg_fork_generation();
}

static bool temporary_is_own(const shmseg_temporary *e) {
  return temporary_is_native(e) || __atomic_load_n(&e->last, __ATOMIC_RELAXED);
}

/* Ends an entry at exit. False: try again. */
static bool temporary_end_entry(shmseg_temporary *e, bool is_final) {
  int was;
  if (!temporary_is_own(e))
    return true;
  if (!temporary_take_out(e, &was)) /* another thread may be unlinking it; none of the parent's */
    return was != CHANGING || !temporary_is_native(e);
  bool done = temporary_unlink_entry(e, temporary_is_native(e) ? was : WAITING);
  if (!done && is_final)
    temporary_unlink_without_lock(e);
  if (done || is_final)
    temporary_put_back(e);
  else
    __atomic_store_n(&e->state, was, __ATOMIC_RELEASE);
  return done;
}

static bool temporary_end_all(bool is_final) {
  bool done = true;
  for (chunk *c = __atomic_load_n(&chunks, __ATOMIC_SEQ_CST); c; c = c->next)
    for (size_t i = 0; i < ENTRIES; i++)
      done = temporary_end_entry(&c->entries[i], is_final) && done;
  return done;
}

static void temporary_at_exit(void) {
  int64_t deadline = shmseg_clock_now() + PATIENCE;
  __atomic_store_n(&ending, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&any_last, __ATOMIC_SEQ_CST))
    shmseg_presence_drop_all();
  while (!temporary_end_all(false)) {
    if (shmseg_clock_now() >= deadline) {
      temporary_end_all(true);
      return;
    }
    shmseg_clock_sleep(MILLISECOND);
  }
}

static int temporary_register_once(void) {
  if (__atomic_exchange_n(&registered, 1, __ATOMIC_ACQ_REL))
    return 0;
  if (atexit(temporary_at_exit) == 0)
    return 0;
  __atomic_store_n(&registered, 0, __ATOMIC_RELEASE);
  return ENOMEM;
}

/* --- what others call ---------------------------------------------------------------------- */

int shmseg_temporary_add(shmseg_place place, shmseg_identity identity, int fd, bool last,
                         shmseg_temporary **ticket) {
  int was, err = temporary_register_once();
  if (!err)
    err = shmseg_fork_prepare();
  if (err)
    return err;
  shmseg_temporary *e = temporary_take_any();
  if (!e)
    return ENOMEM;
  err = temporary_copy_place(e, place);
  if (err) {
    temporary_put_back(e);
    return err;
  }
  __atomic_store_n(&e->generation, shmseg_fork_generation(), __ATOMIC_RELAXED);
  __atomic_store_n(&e->last, last, __ATOMIC_RELAXED);
  if (last)
    __atomic_store_n(&any_last, 1, __ATOMIC_SEQ_CST);
  e->maker = pthread_self();
  e->identity = identity;
  e->fd = fd;
  bool named = temporary_leads_to(e->place, identity);
  __atomic_store_n(&e->state, named ? WAITING : NAMELESS, __ATOMIC_SEQ_CST);
  if (!__atomic_load_n(&ending, __ATOMIC_SEQ_CST)) { /* else at_exit may not look here any more */
    *ticket = e;
    return 0;
  }
  if (temporary_take_out(e, &was))
    temporary_put_back(e);
  return ECANCELED;
}

bool shmseg_temporary_is_last(const shmseg_temporary *ticket) {
  return __atomic_load_n(&ticket->last, __ATOMIC_RELAXED);
}

void shmseg_temporary_settle(shmseg_temporary *ticket) {
  int was = NAMELESS;
  __atomic_compare_exchange_n(&ticket->state, &was, WAITING, false, __ATOMIC_SEQ_CST,
                              __ATOMIC_RELAXED);
}

bool shmseg_temporary_remove(shmseg_temporary *ticket) {
  int was;
  if (!temporary_take_out(ticket, &was))
    return false;
  bool own = temporary_is_own(ticket);
  temporary_put_back(ticket);
  return own;
}

void shmseg_temporary_unlink(shmseg_temporary *ticket) {
  int was;
  if (!temporary_take_out(ticket, &was))
    return;
  int64_t deadline = shmseg_clock_now() + PATIENCE;
  bool done = !temporary_is_own(ticket) || temporary_unlink_entry(ticket, WAITING);
  while (!done && shmseg_clock_now() < deadline) {
    shmseg_clock_sleep(MILLISECOND);
    done = temporary_unlink_entry(ticket, WAITING);
  }
  if (!done)
    temporary_unlink_without_lock(ticket);
  temporary_put_back(ticket);
}
