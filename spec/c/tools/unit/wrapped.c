/* SPDX-License-Identifier: MIT */
/* System calls that fail when told: linked in their place by -Wl,--wrap. */
#define _GNU_SOURCE
#include "unit/wrapped.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/types.h>

#define CALLS 1000

static struct {
  bool on, without_tmpfile;
  int count, fail_at, err;
  const char *names[CALLS];
  long mappings;
} script;

void wrapped_begin(int fail_at, int err) {
  script.on = true;
  script.count = 0;
  script.fail_at = fail_at;
  script.err = err;
}

int wrapped_end(void) {
  script.on = false;
  return script.count;
}

const char *wrapped_name(int i) {
  return script.names[i];
}

void wrapped_without_tmpfile(void) {
  script.without_tmpfile = true;
}

long wrapped_mappings(void) {
  return script.mappings;
}

static bool fails(const char *name) {
  if (!script.on || script.count >= CALLS)
    return false;
  script.names[script.count] = name;
  if (script.count++ != script.fail_at)
    return false;
  errno = script.err;
  return true;
}

/* A call that returns an int, -1 for failure. */
#define WRAP(name, parameters, arguments)                                                          \
  int __real_##name parameters;                                                                    \
  int __wrap_##name parameters;                                                                    \
  int __wrap_##name parameters {                                                                   \
    return fails(#name) ? -1 : __real_##name arguments;                                            \
  }

WRAP(stat, (const char *path, struct stat *status), (path, status))
WRAP(lstat, (const char *path, struct stat *status), (path, status))
WRAP(fstat, (int fd, struct stat *status), (fd, status))
WRAP(fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(linkat, (int from, const char *path, int to, const char *name, int flags),
     (from, path, to, name, flags))
WRAP(link, (const char *path, const char *name), (path, name))
WRAP(rename, (const char *path, const char *name), (path, name))
WRAP(unlink, (const char *path), (path))
WRAP(fallocate, (int fd, int mode, off_t from, off_t count), (fd, mode, from, count))
WRAP(ftruncate, (int fd, off_t size), (fd, size))
WRAP(flock, (int fd, int operation), (fd, operation))
WRAP(mlock2, (const void *base, size_t length, unsigned flags), (base, length, flags))
WRAP(fstatvfs, (int fd, struct statvfs *space), (fd, space))
WRAP(sysinfo, (struct sysinfo * info), (info))
WRAP(memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(mkostemp, (char *path, int flags), (path, flags))
WRAP(getentropy, (void *bytes, size_t count), (bytes, count))
WRAP(eventfd, (unsigned count, int flags), (count, flags))
WRAP(timerfd_create, (int clock, int flags), (clock, flags))
WRAP(sigaction, (int number, const struct sigaction *new, struct sigaction *old),
     (number, new, old))

int __real_atexit(void (*function)(void));
int __wrap_atexit(void (*function)(void));
int __wrap_atexit(void (*function)(void)) {
  return fails("atexit") ? 1 : __real_atexit(function);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) {
  return fails("pthread_create") ? script.err
                                 : __real_pthread_create(thread, attributes, run, argument);
}

int __real_madvise(void *base, size_t length, int advice);
int __wrap_madvise(void *base, size_t length, int advice);
int __wrap_madvise(void *base, size_t length, int advice) {
  return fails(advice == MADV_WIPEONFORK ? "madvise(fork)" : "madvise")
             ? -1
             : __real_madvise(base, length, advice);
}

int __real_posix_fallocate(int fd, off_t from, off_t count);
int __wrap_posix_fallocate(int fd, off_t from, off_t count);
int __wrap_posix_fallocate(int fd, off_t from, off_t count) {
  return fails("posix_fallocate") ? script.err : __real_posix_fallocate(fd, from, count);
}

ssize_t __real_readlink(const char *path, char *buffer, size_t available);
ssize_t __wrap_readlink(const char *path, char *buffer, size_t available);
ssize_t __wrap_readlink(const char *path, char *buffer, size_t available) {
  return fails("readlink") ? -1 : __real_readlink(path, buffer, available);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
  mode_t mode = 0;
  bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE;
  if (tmpfile || flags & O_CREAT) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (tmpfile && script.without_tmpfile) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return fails(tmpfile ? "open(O_TMPFILE)" : "open") ? -1 : __real_open(path, flags, mode);
}

/* Every fcntl of ours takes an int or a pointer. */
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (command == F_GETFL) /* cannot fail */
    return __real_fcntl(fd, command);
  bool locks = command == F_OFD_SETLK || command == F_OFD_GETLK;
  bool unlocks = locks && ((struct flock *)argument)->l_type == F_UNLCK;
  return fails(unlocks ? "fcntl(unlock)"
               : locks ? "fcntl(lock)"
                       : "fcntl")
             ? -1
             : __real_fcntl(fd, command, argument);
}

void *__real_mmap(void *base, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *base, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *base, size_t length, int protection, int flags, int fd, off_t offset) {
  /* pages of the process's own, which it keeps for all that comes */
  bool own = flags & MAP_ANONYMOUS && protection != PROT_NONE && !(flags & MAP_FIXED);
  if (fails(own ? "mmap(pages)" : flags & MAP_FIXED ? "mmap(MAP_FIXED)" : "mmap"))
    return MAP_FAILED;
  void *mapped = __real_mmap(base, length, protection, flags, fd, offset);
  script.mappings += mapped != MAP_FAILED && !own && !(flags & MAP_FIXED);
  return mapped;
}

int __real_munmap(void *base, size_t length);
int __wrap_munmap(void *base, size_t length);
int __wrap_munmap(void *base, size_t length) {
  script.mappings--;
  return __real_munmap(base, length);
}
