/* SPDX-License-Identifier: MIT */
/* Backings on Linux: files of the tmpfs at /dev/shm, ordinary files, memfds; built nameless. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os/backing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "os/descriptor.h"

#define DIRECTORY "/dev/shm"

/* Memory is taken in pieces of this size, so that a signal costs one piece and not the whole. */
#define PIECE ((uint64_t)8 << 20)

/* How often a lock is tried whose owner gives it back, each time, before it is seen. */
#define TRIES 10

/* Where the lock of shmseg_backing_lock lies: far behind any data. */
#define LOCK_OFFSET (((off_t)1 << 62) - 1)

typedef struct {
  char bytes[SHMSEG_PATH_MAX];
} path;

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

static const char *backing_path_of(shmseg_place place, path *buffer) {
  if (place.type == SHMSEG_FILE)
    return place.name;
  snprintf(buffer->bytes, sizeof buffer->bytes, DIRECTORY "/%s", place.name);
  return buffer->bytes;
}

/* A path through which the kernel opens the backing that fd leads to. */
static const char *backing_path_of_fd(int fd, path *buffer) {
  snprintf(buffer->bytes, sizeof buffer->bytes, "/proc/self/fd/%d", fd);
  return buffer->bytes;
}

static int backing_fail_and_close(int fd, int err) {
  close(fd);
  return err;
}

/* Opens with close-on-exec, away from the standard streams. */
static int backing_open_path(const char *name, int flags, int *fd) {
  *fd = open(name, flags | O_CLOEXEC, 0600);
  return *fd < 0 ? errno : shmseg_descriptor_raise(fd);
}

int shmseg_backing_open(shmseg_place place, bool writable, int *fd) {
  path buffer;
  struct stat status;
  int flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK; /* a FIFO must not block */
  if (place.type == SHMSEG_NAME)
    flags |= O_NOFOLLOW; /* anybody can put a link into /dev/shm */
  int err = backing_open_path(backing_path_of(place, &buffer), flags, fd);
  if (err)
    return err;
  if (fstat(*fd, &status) != 0)
    return backing_fail_and_close(*fd, errno);
  return S_ISREG(status.st_mode) ? 0 : backing_fail_and_close(*fd, ENODEV);
}

static int backing_folder_of_path(const char *name, path *folder) {
  const char *slash = strrchr(name, '/');
  const char *from = !slash ? "." : slash == name ? "/" : name;
  int length = from == name ? (int)(slash - name) : 1;
  int needed = snprintf(folder->bytes, sizeof folder->bytes, "%.*s", length, from);
  return needed < (int)sizeof folder->bytes ? 0 : ENAMETOOLONG;
}

/* Where the backing will lie; a link that leads to a file counts as that file. */
static int backing_folder_of(shmseg_place place, path *folder) {
  path target;
  if (place.type == SHMSEG_NAME)
    return backing_folder_of_path(DIRECTORY "/", folder);
  return backing_folder_of_path(realpath(place.name, target.bytes) ? target.bytes : place.name,
                                folder);
}

bool shmseg_backing_has_folder(shmseg_place place) {
  path folder;
  struct stat status;
  return backing_folder_of(place, &folder) == 0 && stat(folder.bytes, &status) == 0;
}

/* --- a backing that has a name of its own until it is published ---------------------------------
 *
 * Where nothing can be nameless (a file system without O_TMPFILE) or nothing nameless can get a
 * name (no /proc); and for the moment in which it takes the place of an empty file. Only then a
 * killed builder leaves something behind. */

/* The name follows from the backing's number, so that nobody has to remember it. */
static int backing_own_name(int fd, const path *folder, path *name) {
  struct stat status;
  if (fstat(fd, &status) != 0)
    return errno;
  int length = snprintf(name->bytes, sizeof name->bytes, "%s/.shmseg-%llx", folder->bytes,
                        (unsigned long long)status.st_ino);
  return length < (int)sizeof name->bytes ? 0 : ENAMETOOLONG;
}

static bool backing_leads_to(const char *name, int fd) {
  struct stat named, opened;
  return lstat(name, &named) == 0 && fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

static int backing_build_named(const path *folder, int *fd) {
  path first, name;
  size_t length = strlen(folder->bytes);
  if (length + sizeof "/.shmseg-XXXXXX" > sizeof first.bytes)
    return ENAMETOOLONG;
  memcpy(first.bytes, folder->bytes, length);
  memcpy(first.bytes + length, "/.shmseg-XXXXXX", sizeof "/.shmseg-XXXXXX");
  *fd = mkostemp(first.bytes, O_CLOEXEC);
  if (*fd < 0)
    return errno;
  int err = shmseg_descriptor_raise(fd);
  if (!err)
    err = backing_own_name(*fd, folder, &name);
  if (!err && rename(first.bytes, name.bytes) != 0)
    err = errno;
  if (!err)
    return 0;
  unlink(first.bytes);
  return *fd < 0 ? err : backing_fail_and_close(*fd, err);
}

static void backing_drop_own_name(int fd, shmseg_place place) {
  path folder, name;
  if (backing_folder_of(place, &folder) == 0 && backing_own_name(fd, &folder, &name) == 0 &&
      backing_leads_to(name.bytes, fd))
    unlink(name.bytes);
}

/* --- building and publishing -------------------------------------------------------------------- */

bool shmseg_backing_has_proc(void) {
  return access("/proc/self/fd", X_OK) == 0;
}

int shmseg_backing_build(shmseg_place place, int *fd) {
  path folder;
  int err = backing_folder_of(place, &folder);
  if (err)
    return err;
  err = shmseg_backing_has_proc() ? backing_open_path(folder.bytes, O_TMPFILE | O_RDWR, fd)
                                  : EOPNOTSUPP;
  return err == EOPNOTSUPP ? backing_build_named(&folder, fd) : err;
}

static bool backing_is_nameless(int fd) {
  struct stat status;
  return fstat(fd, &status) != 0 || status.st_nlink == 0;
}

static int backing_link_nameless(int fd, const char *name) {
  path from;
  int result = linkat(AT_FDCWD, backing_path_of_fd(fd, &from), AT_FDCWD, name, AT_SYMLINK_FOLLOW);
  return result == 0 ? 0 : errno;
}

static int backing_link_named(int fd, shmseg_place place, const char *name) {
  path folder, own;
  int err = backing_folder_of(place, &folder);
  if (!err)
    err = backing_own_name(fd, &folder, &own);
  if (!err && link(own.bytes, name) != 0)
    err = errno;
  if (!err)
    unlink(own.bytes);
  return err;
}

int shmseg_backing_publish(int fd, shmseg_place place, mode_t perm) {
  path to;
  struct stat status;
  const char *name = backing_path_of(place, &to);
  if (fstat(fd, &status) != 0 || fchmod(fd, perm) != 0)
    return errno;
  return status.st_nlink == 0 ? backing_link_nameless(fd, name)
                              : backing_link_named(fd, place, name);
}

void shmseg_backing_abandon(int fd, shmseg_place place) {
  if (!backing_is_nameless(fd))
    backing_drop_own_name(fd, place);
}

/* Under the lock of the file that is there: is it empty, and still there? */
static int backing_replace_locked(int lock, int fd, const char *file, const path *folder) {
  path own;
  struct stat status;
  int err = backing_own_name(fd, folder, &own);
  if (!err && fstat(lock, &status) != 0)
    err = errno;
  if (!err && (status.st_size != 0 || !backing_leads_to(file, lock)))
    err = EAGAIN;
  if (!err && backing_is_nameless(fd))
    err = backing_link_nameless(fd, own.bytes);
  if (!err && rename(own.bytes, file) != 0)
    err = errno;
  return err;
}

int shmseg_backing_replace_empty(int fd, shmseg_place place, mode_t perm) {
  path folder, target;
  shmseg_backing_lock lock;
  if (!realpath(place.name, target.bytes))
    return errno == ENOENT ? EAGAIN : errno;
  int err = backing_folder_of_path(target.bytes, &folder);
  if (!err && fchmod(fd, perm) != 0)
    err = errno;
  if (!err)
    err = shmseg_backing_lock_place((shmseg_place){ SHMSEG_FILE, target.bytes }, &lock);
  if (err)
    return err == ENOENT ? EAGAIN : err;
  err = backing_replace_locked(lock.fd, fd, target.bytes, &folder);
  shmseg_backing_unlock(&lock);
  return err;
}

int shmseg_backing_anonymous(int *fd) {
  *fd = memfd_create("shmseg", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return *fd < 0 ? errno : shmseg_descriptor_raise(fd);
}

int shmseg_backing_seal(int fd) {
  return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0 ? 0 : errno;
}

/* Beyond the limit the kernel would send SIGXFSZ, which kills. */
static bool backing_is_over_limit(uint64_t size) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
         size > limit.rlim_cur;
}

static int backing_allocate(int fd, int mode, uint64_t from, uint64_t count) {
  while (fallocate(fd, mode, (off_t)from, (off_t)count) != 0)
    if (errno != EINTR)
      return errno;
  return 0;
}

/* What can never fit is refused before it has filled the file system, or a memfd all memory, at
 * everybody's cost. */
static int backing_check_space(int fd, uint64_t from, uint64_t size) {
  struct statvfs space;
  struct sysinfo machine;
  uint64_t wanted = size > from ? size - from : 0;
  if (fstatvfs(fd, &space) != 0 || sysinfo(&machine) != 0)
    return errno;
  if (space.f_blocks > 0) /* else it is not limited */
    return wanted / space.f_frsize > space.f_bavail ? ENOSPC : 0;
  return wanted / machine.mem_unit > machine.totalram + machine.totalswap ? ENOMEM : 0;
}

/* Takes the memory of [0, size) and leaves the size as it is. */
static int backing_reserve(int fd, uint64_t from, uint64_t size) {
  for (uint64_t at = from; at < size; at += PIECE) {
    int err = backing_allocate(fd, FALLOC_FL_KEEP_SIZE, at, size - at < PIECE ? size - at : PIECE);
    if (err) { /* give back what lies behind the end, where nobody has looked yet */
      if (at > from)
        backing_allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, at - from);
      return err;
    }
  }
  return 0;
}

/* For file systems that cannot allocate: the callers' lock keeps peers of ours from growing the
 * backing meanwhile. */
static int backing_grow_without_fallocate(int fd, uint64_t from, uint64_t size, bool sparse) {
  if (sparse)
    return ftruncate(fd, (off_t)size) == 0 ? 0 : errno;
  return posix_fallocate(fd, (off_t)from, (off_t)(size - from));
}

int shmseg_backing_grow(int fd, uint64_t from, uint64_t size, bool sparse) {
  int err = sparse ? 0 : backing_check_space(fd, from, size);
  if (!err && backing_is_over_limit(size))
    err = EFBIG;
  if (!err && !sparse)
    err = backing_reserve(fd, from, size);
  if (!err) /* the last byte sets the size, in one step; ftruncate could cut a peer's growth */
    err = backing_allocate(fd, 0, size - 1, 1);
  if (err == EOPNOTSUPP)
    err = backing_grow_without_fallocate(fd, from, size, sparse);
  return err;
}

static void backing_find_data(int fd, uint64_t from, uint64_t end, uint64_t *begin,
                              uint64_t *stop) {
  off_t data = lseek(fd, (off_t)from, SEEK_DATA);
  bool none = data < 0 && errno == ENXIO;
  off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
  *begin = none || data > (off_t)end ? end : data < (off_t)from ? from : (uint64_t)data;
  *stop = hole <= (off_t)*begin || hole > (off_t)end ? end : (uint64_t)hole;
}

/* A look moves the file position of a description, which the caller may be using: so it is done on
 * another description, if one can be opened. */
void shmseg_backing_data(int fd, uint64_t from, uint64_t end, uint64_t *begin, uint64_t *stop) {
  path buffer;
  int look;
  if (backing_open_path(backing_path_of_fd(fd, &buffer), O_RDONLY, &look) == 0) {
    backing_find_data(look, from, end, begin, stop);
    close(look);
    return;
  }
  off_t here = lseek(fd, 0, SEEK_CUR);
  backing_find_data(fd, from, end, begin, stop);
  if (here >= 0)
    lseek(fd, here, SEEK_SET);
}

/* --- the lock ------------------------------------------------------------------------------- */

/* Opens the path if it leads to what fd does. */
static int backing_open_same(const char *name, int fd, int *fresh) {
  struct stat a, b;
  int err = backing_open_path(name, O_RDWR | O_NONBLOCK, fresh);
  if (err)
    return err;
  if (fstat(fd, &a) == 0 && fstat(*fresh, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
    return 0;
  return backing_fail_and_close(*fresh, ENOENT);
}

/* By its name, or by the one that it has while it is built. */
static int backing_reopen_by_name(int fd, shmseg_place place, int *fresh) {
  path to, folder, own;
  if (!place.name)
    return SHMSEG_NO_PROC;
  int err = backing_open_same(backing_path_of(place, &to), fd, fresh);
  if (err == ENOENT && backing_folder_of(place, &folder) == 0 &&
      backing_own_name(fd, &folder, &own) == 0)
    err = backing_open_same(own.bytes, fd, fresh);
  return err == ENOENT ? SHMSEG_NO_PROC : err;
}

int shmseg_backing_reopen(int fd, shmseg_place place, int *fresh) {
  path buffer;
  int err = backing_open_path(backing_path_of_fd(fd, &buffer), O_RDWR, fresh);
  if (err != ENOENT)
    return err;
  return fcntl(fd, F_GETFD) == -1 ? EBADF : backing_reopen_by_name(fd, place, fresh);
}

static struct flock backing_lock_of(short type) {
  struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = LOCK_OFFSET, .l_len = 1 };
  return lock;
}

static int backing_try_lock(int fd) {
  struct flock whole = backing_lock_of(F_WRLCK);
  if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
    return 0;
  return errno == EACCES ? EAGAIN : errno;
}

/* What stands in the way of the lock: F_WRLCK, F_RDLCK, or F_UNLCK when it is gone. */
static int backing_obstacle(int fd) {
  struct flock lock = backing_lock_of(F_WRLCK);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 ? lock.l_type : F_WRLCK;
}

/* A process that may only read can lock for reading as long as it likes: such a lock counts for
 * nothing. */
static int backing_take_lock(shmseg_backing_lock *lock) {
  int way = F_UNLCK;
  int err = EAGAIN;
  for (int i = 0; i < TRIES && err == EAGAIN && way == F_UNLCK; i++) {
    err = backing_try_lock(lock->fd);
    if (err == EAGAIN)
      way = backing_obstacle(lock->fd);
  }
  lock->is_taken = err == 0;
  if (err == EAGAIN && way == F_RDLCK)
    return 0;
  return err && lock->is_fresh ? backing_fail_and_close(lock->fd, err) : err;
}

int shmseg_backing_lock_fd(int fd, shmseg_place place, shmseg_backing_lock *lock) {
  int err = shmseg_backing_reopen(fd, place, &lock->fd);
  lock->is_fresh = err == 0;
  if (err) {
    int flags = fcntl(fd, F_GETFL);
    if (flags == -1 || (flags & O_ACCMODE) == O_RDONLY)
      return err;
    lock->fd = fd;
  }
  return backing_take_lock(lock);
}

int shmseg_backing_lock_place(shmseg_place place, shmseg_backing_lock *lock) {
  lock->is_fresh = true;
  int err = shmseg_backing_open(place, true, &lock->fd);
  return err ? err : backing_take_lock(lock);
}

/* Unlocks before it closes: a child that was forked meanwhile has the description, too. */
void shmseg_backing_unlock(shmseg_backing_lock *lock) {
  struct flock whole = backing_lock_of(F_UNLCK);
  if (lock->is_taken)
    fcntl(lock->fd, F_OFD_SETLK, &whole);
  if (lock->is_fresh)
    close(lock->fd);
}

/* --- names ---------------------------------------------------------------------------------- */

int shmseg_backing_stat(shmseg_place place, struct stat *status) {
  path buffer;
  const char *name = backing_path_of(place, &buffer);
  int result = place.type == SHMSEG_NAME ? lstat(name, status) : stat(name, status);
  return result == 0 ? 0 : errno;
}

int shmseg_backing_unlink(shmseg_place place) {
  path buffer;
  return unlink(backing_path_of(place, &buffer)) == 0 ? 0 : errno;
}

int shmseg_backing_list(shmseg_listing *listing) {
  int fd;
  listing->directory = NULL;
  int err = backing_open_path(DIRECTORY, O_RDONLY | O_DIRECTORY, &fd);
  if (err)
    return err;
  listing->directory = fdopendir(fd);
  return listing->directory ? 0 : backing_fail_and_close(fd, errno);
}

int shmseg_backing_next(shmseg_listing *listing, const char **name) {
  struct dirent *entry;
  struct stat status;
  *name = NULL;
  errno = 0;
  while ((entry = readdir(listing->directory)) != NULL) {
    shmseg_place place = { SHMSEG_NAME, entry->d_name };
    if (shmseg_backing_stat(place, &status) == 0 && S_ISREG(status.st_mode)) {
      *name = entry->d_name;
      return 0;
    }
    errno = 0;
  }
  return errno;
}

void shmseg_backing_list_close(shmseg_listing *listing) {
  if (listing->directory)
    closedir(listing->directory);
  listing->directory = NULL;
}

#else
typedef int shmseg_backing_linux_is_empty; /* ISO C forbids an empty file */
#endif
