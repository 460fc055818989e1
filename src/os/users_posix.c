/* SPDX-License-Identifier: MIT */
/* Who uses a backing, where the kernel tells that in no way known here. Untested. */
#if !defined(__linux__)
#define _GNU_SOURCE
#include "os/users.h"

int shmseg_users_open(shmseg_users *users) {
  users->directory = NULL;
  users->maps.fd = 0;
  return SHMSEG_NO_PROC;
}

int shmseg_users_next(shmseg_users *users) {
  (void)users;
  return SHMSEG_EMPTY;
}

int shmseg_users_mapping(shmseg_users *users, shmseg_identity *identity) {
  (void)users;
  (void)identity;
  return SHMSEG_EMPTY;
}

void shmseg_users_close(shmseg_users *users) {
  (void)users;
}

int shmseg_users_open_locks(shmseg_proc *file) {
  file->fd = 0;
  return SHMSEG_NO_PROC;
}

int shmseg_users_next_lock(shmseg_proc *file, shmseg_proc_lock *lock) {
  (void)file;
  (void)lock;
  return SHMSEG_EMPTY;
}

bool shmseg_users_is_alive(int pid) {
  (void)pid;
  return false;
}

int shmseg_users_open_descriptors(shmseg_descriptors *descriptors, int pid) {
  descriptors->directory = NULL;
  descriptors->pid = pid;
  descriptors->locks.fd = 0;
  return SHMSEG_NO_PROC;
}

int shmseg_users_next_descriptor(shmseg_descriptors *descriptors) {
  (void)descriptors;
  return SHMSEG_EMPTY;
}

void shmseg_users_close_descriptors(shmseg_descriptors *descriptors) {
  (void)descriptors;
}

#else
typedef int shmseg_users_posix_is_empty; /* ISO C forbids an empty file */
#endif
