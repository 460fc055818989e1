/* SPDX-License-Identifier: MIT */
/* What the kernel tells in lines below /proc: mappings and locks. Nothing is allocated, and no line is
 * too long: what stands behind its first bytes is passed over. */
#ifndef SHMSEG_OS_PROC_H
#define SHMSEG_OS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmseg/base.h"

#pragma GCC visibility push(hidden)

/* More bytes than the numbers of any line take. */
#define SHMSEG_PROC_LINE 256

/* A file that is read line by line. One of zeroes is a closed one. */
typedef struct shmseg_proc {
  int fd; /* 0: closed */
  size_t at, end;
  char bytes[4096];
} shmseg_proc;

int shmseg_proc_open(shmseg_proc *file, const char *path);

/* The next line, without its end; of a long one the first bytes. SHMSEG_EMPTY behind the last one. */
int shmseg_proc_next(shmseg_proc *file, char line[SHMSEG_PROC_LINE]);

void shmseg_proc_close(shmseg_proc *file);

/* What a line of /proc/PID/maps maps. False for one that maps no file. */
bool shmseg_proc_mapping(const char *line, shmseg_identity *identity);

/* A line of /proc/locks, or of /proc/PID/fdinfo/FD, where "lock:" stands before it. */
typedef struct shmseg_proc_lock {
  shmseg_identity identity;
  int pid;       /* of a flock; else, or when it is of another PID namespace, 0 or less */
  bool is_flock; /* of a whole description */
  bool is_ofd;   /* of a description's range */
  bool is_write;
  bool is_waiting; /* somebody waits for it */
  uint64_t start;  /* of the range */
} shmseg_proc_lock;

/* False for a line that is none. */
bool shmseg_proc_read_lock(const char *line, shmseg_proc_lock *lock);

#pragma GCC visibility pop

#endif
