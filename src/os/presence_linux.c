/* SPDX-License-Identifier: MIT */
/* Presence on Linux: shared flocks, and a range for removers. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os/presence.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include "os/descriptor.h"

/* The range of removers: far behind any data, and behind the identities of os/liveness.h. */
#define RANGE_FIRST (((off_t)1 << 62) + ((off_t)1 << 32))
#define RANGE_SIZE 16

/* Descriptors from here on are not dropped at exit: their presences last as long as the process. */
#define DESCRIPTORS 65536

typedef struct {
  ino_t inode;    /* of the backing; 0: no presence */
  unsigned forks; /* that there were when it was taken */
} entry;

/* Between closing a descriptor and noting it, its number may become another file's: both are done
 * under this mutex, and so is what happens at exit. fork waits for it, so that a child can use it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static entry entries[DESCRIPTORS]; /* by descriptor; valid in a forked child, too */
static int used;                   /* descriptors from here on have none */
static unsigned forks;             /* of this process and its ancestors */
static int prepared;
static bool over; /* exit has dropped all of them, and lets nobody in any more */

/* --- fork --------------------------------------------------------------------------------- */

static void presence_before_fork(void) {
  pthread_mutex_lock(&mutex);
}

static void presence_after_fork(void) {
  forks++;
  pthread_mutex_unlock(&mutex);
}

/* The mutex is held. */
static int presence_prepare_once(void) {
  if (prepared)
    return 0;
  int err = pthread_atfork(presence_before_fork, presence_after_fork, presence_after_fork);
  prepared = err == 0;
  return err;
}

/* --- coming and going --------------------------------------------------------------------- */

static struct flock presence_range(short type) {
  struct flock lock = {
    .l_type = type, .l_whence = SEEK_SET, .l_start = RANGE_FIRST, .l_len = RANGE_SIZE
  };
  return lock;
}

/* Does the file system, or a sandbox, refuse such locks? */
static int presence_reason(int err) {
  bool is_refused =
      err == EPERM || err == EINVAL || err == ENOSYS || err == ENOLCK || err == EOPNOTSUPP;
  return is_refused ? ENOTSUP : err;
}

static int presence_take(int fd) {
  struct flock range = presence_range(F_RDLCK);
  if (flock(fd, LOCK_SH | LOCK_NB) == 0)
    return 0;
  if (errno != EWOULDBLOCK)
    return presence_reason(errno);
  if (fcntl(fd, F_OFD_SETLK, &range) == 0)
    return 0;
  return errno == EACCES || errno == EAGAIN ? EAGAIN : presence_reason(errno);
}

/* The mutex is held. */
static void presence_note(int fd, ino_t inode) {
  if (fd >= DESCRIPTORS)
    return;
  entries[fd] = (entry){ inode, forks };
  if (fd >= used)
    used = fd + 1;
}

int shmseg_presence_enter(int fd, struct stat *status) {
  pthread_mutex_lock(&mutex);
  int err = presence_prepare_once();
  if (!err)
    err = over ? ECANCELED : presence_take(fd);
  if ((!err || shmseg_presence_is_none(err)) && fstat(fd, status) != 0)
    err = errno;
  if (!err)
    presence_note(fd, status->st_ino);
  pthread_mutex_unlock(&mutex);
  return err;
}

bool shmseg_presence_is_due(const struct stat *status) {
  struct stat folder;
  return status->st_nlink > 0 && stat("/dev/shm", &folder) == 0 && folder.st_dev == status->st_dev;
}

void shmseg_presence_close(int fd) {
  pthread_mutex_lock(&mutex);
  if (fd < DESCRIPTORS)
    entries[fd].inode = 0;
  close(fd);
  pthread_mutex_unlock(&mutex);
}

/* --- at exit ------------------------------------------------------------------------------ */

/* Puts another description of the same backing in the place of the one that a child may share. If
 * no number is free for it the descriptor is closed, and makes room for the others. */
static void presence_exchange(int fd) {
  int fresh;
  int err = shmseg_descriptor_reopen(fd, &fresh);
  if (!err) {
    dup3(fresh, fd, O_CLOEXEC);
    close(fresh);
  } else if (err == EMFILE || err == ENFILE) {
    close(fd);
  }
}

/* Is it still the descriptor that took the presence? Somebody else may have closed it. */
static bool presence_is_there(int fd) {
  struct stat status;
  return entries[fd].inode != 0 && fstat(fd, &status) == 0 && status.st_ino == entries[fd].inode;
}

/* The mutex is held. */
static void presence_drop(int fd) {
  struct flock range = presence_range(F_UNLCK);
  entry was = entries[fd];
  entries[fd].inode = 0;
  if (was.forks == forks) { /* nobody shares it */
    flock(fd, LOCK_UN);
    fcntl(fd, F_OFD_SETLK, &range);
  } else {
    presence_exchange(fd);
  }
}

void shmseg_presence_drop_all(void) {
  pthread_mutex_lock(&mutex);
  int last = -1, spare;
  over = true;
  for (int fd = 0; fd < used; fd++) {
    if (!presence_is_there(fd))
      continue;
    presence_drop(fd);
    last = fd;
  }
  if (last >= 0 && shmseg_descriptor_duplicate(last, &spare) == 0)
    close(spare);
  else if (last >= 0) /* whoever removes a name needs a descriptor */
    close(last);
  pthread_mutex_unlock(&mutex);
}

/* --- removers ----------------------------------------------------------------------------- */

static void presence_leave_range(int fd) {
  struct flock range = presence_range(F_UNLCK);
  fcntl(fd, F_OFD_SETLK, &range);
}

/* Why the range cannot be had: a presence, or another remover, who may be gone by now. */
static int presence_obstacle(int fd) {
  struct flock range = presence_range(F_WRLCK);
  return fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type == F_RDLCK ? EBUSY : EAGAIN;
}

int shmseg_presence_exclude(int fd) {
  struct flock range = presence_range(F_WRLCK);
  if (fcntl(fd, F_OFD_SETLK, &range) != 0)
    return errno == EACCES || errno == EAGAIN ? presence_obstacle(fd) : presence_reason(errno);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0)
    return 0;
  int err = errno == EWOULDBLOCK ? EBUSY : presence_reason(errno);
  presence_leave_range(fd);
  return err;
}

/* Unlocks explicitly: a child that was forked meanwhile has the description, too. The range is left
 * last: an opener that is refused its flock must find it locked. */
void shmseg_presence_readmit(int fd) {
  int err = errno;
  flock(fd, LOCK_UN);
  presence_leave_range(fd);
  errno = err;
}

bool shmseg_presence_is_lock(const shmseg_proc_lock *lock) {
  bool is_range = lock->is_ofd && lock->start == (uint64_t)RANGE_FIRST;
  return !lock->is_write && !lock->is_waiting && (lock->is_flock || is_range);
}

#else
typedef int shmseg_presence_linux_is_empty; /* ISO C forbids an empty file */
#endif
