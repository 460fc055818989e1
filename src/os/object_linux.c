/* SPDX-License-Identifier: MIT */
/* Shared memory objects on Linux: files of the tmpfs at /dev/shm, built nameless. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os/object.h"

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

#define DIRECTORY "/dev/shm"

/* Memory is taken in pieces of this size, so that a signal costs one piece and not the whole. */
#define PIECE ((uint64_t)8 << 20)

/* Where the lock of shmseg_object_lock lies: far behind any data. */
#define LOCK_OFFSET (((off_t)1 << 62) - 1)

typedef struct {
  char bytes[SHMSEG_PATH_MAX];
} path;

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

static const char *path_of(shmseg_place place, path *buffer) {
  if (place.kind == SHMSEG_FILE)
    return place.name;
  snprintf(buffer->bytes, sizeof buffer->bytes, DIRECTORY "/%s", place.name);
  return buffer->bytes;
}

/* A path through which the kernel opens the object that fd leads to. */
static const char *path_of_fd(int fd, path *buffer) {
  snprintf(buffer->bytes, sizeof buffer->bytes, "/proc/self/fd/%d", fd);
  return buffer->bytes;
}

static int fail_and_close(int fd, int err) {
  close(fd);
  return err;
}

int shmseg_object_open(shmseg_place place, bool writable, int *fd) {
  path buffer;
  struct stat status;
  int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK; /* a FIFO must not block */
  if (place.kind == SHMSEG_NAME)
    flags |= O_NOFOLLOW; /* anybody can put a link into /dev/shm */
  *fd = open(path_of(place, &buffer), flags);
  if (*fd < 0)
    return errno;
  if (fstat(*fd, &status) != 0)
    return fail_and_close(*fd, errno);
  return S_ISREG(status.st_mode) ? 0 : fail_and_close(*fd, ENODEV);
}

static int folder_of(shmseg_place place, path *folder) {
  const char *name = place.kind == SHMSEG_NAME ? DIRECTORY "/" : place.name;
  const char *slash = strrchr(name, '/');
  size_t length = slash ? (size_t)(slash - name) : 0;
  if (length >= sizeof folder->bytes)
    return ENAMETOOLONG;
  memcpy(folder->bytes, name, length);
  strcpy(folder->bytes + length, length > 0 ? "" : slash ? "/" : ".");
  return 0;
}

bool shmseg_object_has_folder(shmseg_place place) {
  path folder;
  struct stat status;
  return folder_of(place, &folder) == 0 && stat(folder.bytes, &status) == 0;
}

/* A file system without O_TMPFILE: the object has a name of its own until it is published, and
 * only there a killed builder leaves something behind. */
static int build_named(path *folder, int *fd) {
  size_t length = strlen(folder->bytes);
  if (length + sizeof "/.shmseg-XXXXXX" > sizeof folder->bytes)
    return ENAMETOOLONG;
  memcpy(folder->bytes + length, "/.shmseg-XXXXXX", sizeof "/.shmseg-XXXXXX");
  *fd = mkostemp(folder->bytes, O_CLOEXEC);
  return *fd < 0 ? errno : 0;
}

/* Removes the name that build_named gave, if it did. */
static void drop_own_name(int fd, nlink_t links) {
  path link, name;
  struct stat status;
  if (fstat(fd, &status) != 0 || status.st_nlink != links)
    return;
  ssize_t length = readlink(path_of_fd(fd, &link), name.bytes, sizeof name.bytes - 1);
  if (length > 0) {
    name.bytes[length] = '\0';
    unlink(name.bytes);
  }
}

int shmseg_object_build(shmseg_place place, mode_t perm, int *fd) {
  path folder;
  int err = folder_of(place, &folder);
  if (err)
    return err;
  *fd = open(folder.bytes, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (*fd < 0 && errno == EOPNOTSUPP)
    err = build_named(&folder, fd);
  else if (*fd < 0)
    err = errno;
  if (err)
    return err;
  if (fchmod(*fd, perm) == 0)
    return 0;
  err = errno;
  drop_own_name(*fd, 1);
  return fail_and_close(*fd, err);
}

int shmseg_object_publish(int fd, shmseg_place place, mode_t perm) {
  path from, to;
  const char *name = path_of(place, &to);
  (void)perm; /* set since the object was built */
  if (linkat(AT_FDCWD, path_of_fd(fd, &from), AT_FDCWD, name, AT_SYMLINK_FOLLOW) != 0) {
    int err = errno;
    /* without /proc there is this way, which wants a privilege */
    if (err != ENOENT || linkat(fd, "", AT_FDCWD, name, AT_EMPTY_PATH) != 0)
      return err;
  }
  drop_own_name(fd, 2);
  return 0;
}

void shmseg_object_abandon(int fd, shmseg_place place) {
  (void)place;
  drop_own_name(fd, 1);
}

int shmseg_object_anonymous(int *fd) {
  *fd = memfd_create("shmseg", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return *fd < 0 ? errno : 0;
}

int shmseg_object_seal(int fd) {
  return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0 ? 0 : errno;
}

/* Beyond the limit the kernel would send SIGXFSZ, which kills. */
static bool is_over_limit(uint64_t size) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
         size > limit.rlim_cur;
}

static int allocate(int fd, int mode, uint64_t from, uint64_t count) {
  while (fallocate(fd, mode, (off_t)from, (off_t)count) != 0)
    if (errno != EINTR)
      return errno;
  return 0;
}

/* What can never fit is refused before it has filled the file system, or a memfd all memory, at
 * everybody's cost. */
static int check_space(int fd, uint64_t size) {
  struct statvfs space;
  struct stat status;
  struct sysinfo machine;
  if (fstatvfs(fd, &space) != 0 || fstat(fd, &status) != 0 || sysinfo(&machine) != 0)
    return errno;
  uint64_t has = (uint64_t)status.st_blocks * 512;
  uint64_t wanted = size > has ? size - has : 0;
  if (space.f_blocks > 0) /* else it is not limited */
    return wanted / space.f_frsize > space.f_bavail ? ENOSPC : 0;
  return wanted / machine.mem_unit > machine.totalram + machine.totalswap ? ENOMEM : 0;
}

/* Takes the memory of [0, size) and leaves the size as it is. */
static int reserve(int fd, uint64_t from, uint64_t size) {
  for (uint64_t at = 0; at < size; at += PIECE) {
    int err = allocate(fd, FALLOC_FL_KEEP_SIZE, at, size - at < PIECE ? size - at : PIECE);
    if (err) { /* give back what lies behind the end, where nobody has looked yet */
      if (at > from)
        allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, at - from);
      return err;
    }
  }
  return 0;
}

/* For file systems that cannot allocate: the callers' lock keeps peers of ours from growing the
 * object meanwhile. */
static int grow_without_fallocate(int fd, uint64_t from, uint64_t size, bool sparse) {
  if (sparse)
    return ftruncate(fd, (off_t)size) == 0 ? 0 : errno;
  return posix_fallocate(fd, (off_t)from, (off_t)(size - from));
}

int shmseg_object_grow(int fd, uint64_t from, uint64_t size, bool sparse) {
  int err = sparse ? 0 : check_space(fd, size);
  if (!err && is_over_limit(size))
    err = EFBIG;
  if (!err && !sparse)
    err = reserve(fd, from, size);
  if (!err) /* the last byte sets the size, in one step; ftruncate could cut a peer's growth */
    err = allocate(fd, 0, size - 1, 1);
  if (err == EOPNOTSUPP)
    err = grow_without_fallocate(fd, from, size, sparse);
  return err;
}

void shmseg_object_data(int fd, uint64_t from, uint64_t end, uint64_t *begin, uint64_t *stop) {
  off_t here = lseek(fd, 0, SEEK_CUR); /* the caller's too, when the descriptor is a duplicate */
  off_t data = lseek(fd, (off_t)from, SEEK_DATA);
  bool none = data < 0 && errno == ENXIO;
  off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
  if (here >= 0)
    lseek(fd, here, SEEK_SET);
  *begin = none || data > (off_t)end ? end : data < (off_t)from ? from : (uint64_t)data;
  *stop = hole <= (off_t)*begin || hole > (off_t)end ? end : (uint64_t)hole;
}

static int lock_or_close(int lock) {
  struct flock whole = {
    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_OFFSET, .l_len = 1
  };
  if (fcntl(lock, F_OFD_SETLK, &whole) == 0)
    return 0;
  return fail_and_close(lock, errno == EACCES ? EAGAIN : errno);
}

int shmseg_object_lock(int fd, int *lock) {
  path buffer;
  *lock = open(path_of_fd(fd, &buffer), O_RDWR | O_CLOEXEC);
  return *lock < 0 ? errno : lock_or_close(*lock);
}

int shmseg_object_lock_place(shmseg_place place, int *lock) {
  int err = shmseg_object_open(place, true, lock);
  return err ? err : lock_or_close(*lock);
}

int shmseg_object_stat(shmseg_place place, struct stat *status) {
  path buffer;
  const char *name = path_of(place, &buffer);
  int result = place.kind == SHMSEG_NAME ? lstat(name, status) : stat(name, status);
  return result == 0 ? 0 : errno;
}

int shmseg_object_unlink(shmseg_place place) {
  path buffer;
  return unlink(path_of(place, &buffer)) == 0 ? 0 : errno;
}

int shmseg_object_list(shmseg_listing *listing) {
  listing->directory = opendir(DIRECTORY);
  return listing->directory ? 0 : errno;
}

int shmseg_object_next(shmseg_listing *listing, const char **name) {
  struct dirent *entry;
  struct stat status;
  *name = NULL;
  errno = 0;
  while ((entry = readdir(listing->directory)) != NULL) {
    shmseg_place place = { SHMSEG_NAME, entry->d_name };
    if (shmseg_object_stat(place, &status) == 0 && S_ISREG(status.st_mode)) {
      *name = entry->d_name;
      return 0;
    }
    errno = 0;
  }
  return errno;
}

void shmseg_object_list_close(shmseg_listing *listing) {
  if (listing->directory)
    closedir(listing->directory);
  listing->directory = NULL;
}

#else
typedef int shmseg_object_linux_is_empty; /* ISO C forbids an empty file */
#endif
