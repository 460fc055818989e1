/* SPDX-License-Identifier: MIT */
/* Who uses a backing, by /proc. */
#if defined(__linux__)
#define _GNU_SOURCE
#include "os/users.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/descriptor.h"

/* --- directories -------------------------------------------------------------------------- */

static int users_open_directory(const char *path, void **directory) {
  *directory = NULL;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int err = fd < 0 ? errno : shmseg_descriptor_raise(&fd);
  if (err)
    return err;
  *directory = fdopendir(fd);
  if (*directory)
    return 0;
  err = errno;
  close(fd);
  return err;
}

static void users_close_directory(void **directory) {
  if (*directory)
    closedir(*directory);
  *directory = NULL;
}

/* The next entry that is a number. SHMSEG_EMPTY behind the last one. */
static int users_next_number(void *directory, int *number) {
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(directory);
    if (!entry)
      return errno ? errno : SHMSEG_EMPTY;
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
      continue;
    *number = (int)strtol(entry->d_name, NULL, 10);
    return 0;
  }
}

/* A process that has ended, or that is none of ours to look into. */
static bool users_is_beyond(int err) {
  return err == ENOENT || err == ESRCH || err == EACCES || err == EPERM;
}

/* --- processes ---------------------------------------------------------------------------- */

int shmseg_users_open(shmseg_users *users) {
  users->pid = 0;
  users->maps.fd = 0;
  users->directory = users->tasks = NULL;
  if (access("/proc/self/maps", R_OK) != 0)
    return SHMSEG_NO_PROC;
  return users_open_directory("/proc", &users->directory);
}

int shmseg_users_next(shmseg_users *users) {
  char path[64];
  shmseg_proc_close(&users->maps);
  users_close_directory(&users->tasks);
  users->has_begun = false;
  for (;;) {
    int err = users_next_number(users->directory, &users->pid);
    if (err)
      return err;
    snprintf(path, sizeof path, "/proc/%d/maps", users->pid);
    err = shmseg_proc_open(&users->maps, path);
    users->last = (shmseg_identity){ 0, 0 };
    if (!users_is_beyond(err))
      return err;
  }
}

/* Goes on to another thread of the process, which has the same mappings as long as it lives. */
static int users_next_task(shmseg_users *users) {
  char path[64];
  int task = 0;
  shmseg_proc_close(&users->maps);
  snprintf(path, sizeof path, "/proc/%d/task", users->pid);
  int err = users->tasks ? 0 : users_open_directory(path, &users->tasks);
  while (!err) {
    err = users_next_number(users->tasks, &task);
    if (err || task == users->pid)
      continue;
    snprintf(path, sizeof path, "/proc/%d/task/%d/maps", users->pid, task);
    err = shmseg_proc_open(&users->maps, path);
    if (!users_is_beyond(err))
      return err;
    err = 0;
  }
  return users_is_beyond(err) ? SHMSEG_EMPTY : err;
}

/* The next line of the mappings of the process. */
static int users_next_line(shmseg_users *users, char line[SHMSEG_PROC_LINE]) {
  int err = users->maps.fd > 0 ? shmseg_proc_next(&users->maps, line) : SHMSEG_EMPTY;
  while ((err == SHMSEG_EMPTY || users_is_beyond(err)) && !users->has_begun) {
    err = users_next_task(users);
    if (err)
      return err;
    err = shmseg_proc_next(&users->maps, line);
  }
  users->has_begun = true;
  return users_is_beyond(err) ? SHMSEG_EMPTY : err;
}

int shmseg_users_mapping(shmseg_users *users, shmseg_identity *identity) {
  char line[SHMSEG_PROC_LINE];
  int err;
  while ((err = users_next_line(users, line)) == 0)
    if (shmseg_proc_mapping(line, identity) &&
        (identity->inode != users->last.inode || identity->device != users->last.device)) {
      users->last = *identity;
      return 0;
    }
  return err;
}

void shmseg_users_close(shmseg_users *users) {
  shmseg_proc_close(&users->maps);
  users_close_directory(&users->tasks);
  users_close_directory(&users->directory);
}

/* --- locks -------------------------------------------------------------------------------- */

int shmseg_users_open_locks(shmseg_proc *file) {
  int err = shmseg_proc_open(file, "/proc/locks");
  return err == ENOENT ? SHMSEG_NO_PROC : err;
}

int shmseg_users_next_lock(shmseg_proc *file, shmseg_proc_lock *lock) {
  char line[SHMSEG_PROC_LINE];
  int err;
  while ((err = shmseg_proc_next(file, line)) == 0)
    if (shmseg_proc_read_lock(line, lock))
      return 0;
  return users_is_beyond(err) ? SHMSEG_EMPTY : err;
}

/* One that has ended, and whose parent has not noticed yet, has no program any more. */
bool shmseg_users_is_alive(int pid) {
  char path[64], program;
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  return readlink(path, &program, 1) >= 0 || errno == EACCES || errno == EPERM;
}

int shmseg_users_open_descriptors(shmseg_descriptors *descriptors, int pid) {
  char path[64];
  descriptors->pid = pid;
  descriptors->locks.fd = 0;
  snprintf(path, sizeof path, "/proc/%d/fdinfo", pid);
  return users_open_directory(path, &descriptors->directory);
}

int shmseg_users_next_descriptor(shmseg_descriptors *descriptors) {
  char path[64];
  int number = 0;
  shmseg_proc_close(&descriptors->locks);
  for (;;) {
    int err = users_next_number(descriptors->directory, &number);
    if (err)
      return users_is_beyond(err) ? SHMSEG_EMPTY : err;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", descriptors->pid, number);
    err = shmseg_proc_open(&descriptors->locks, path);
    if (!users_is_beyond(err))
      return err;
  }
}

void shmseg_users_close_descriptors(shmseg_descriptors *descriptors) {
  shmseg_proc_close(&descriptors->locks);
  users_close_directory(&descriptors->directory);
}

#else
typedef int shmseg_users_linux_is_empty; /* ISO C forbids an empty file */
#endif
