/* SPDX-License-Identifier: MIT */
/* The ground of the C API: versions, error codes, places. shmseg.h includes it. */
#ifndef SHMSEG_BASE_H
#define SHMSEG_BASE_H

#include <stdbool.h>
#include <stdint.h>

/* What the shared library exports; its build hides the rest. The Lua module exports its open function
 * alone: LuaRocks cannot pass a flag that hides, so the headers that are not public say it themselves. */
#if defined(SHMSEG_MODULE)
#define SHMSEG_API __attribute__((visibility("hidden")))
#elif defined(__GNUC__)
#define SHMSEG_API __attribute__((visibility("default")))
#else
#define SHMSEG_API
#endif

/* The version of all of it: this header, the Lua module, the tool. The build takes it from here. Before 1.0
 * a new minor version may change the API; it is a part of the shared library's soname then. */
#define SHMSEG_VERSION_MAJOR 0
#define SHMSEG_VERSION_MINOR 1
#define SHMSEG_VERSION_PATCH 0
#define SHMSEG_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* Every function that can fail returns 0 or a code: an errno value (positive) or one of these. */
enum {
  SHMSEG_TIMEOUT = -1,      /* the deadline has come, or a patience is over */
  SHMSEG_EMPTY = -2,        /* the cell has no value yet */
  SHMSEG_SHUTDOWN = -3,     /* the queue or broadcast is shut, and nothing is left */
  SHMSEG_TOO_SMALL = -4,    /* a segment, slice or buffer is smaller than what is needed */
  SHMSEG_TRUNCATED = -5,    /* a peer shrank the backing under the mapping */
  SHMSEG_CORRUPT = -6,      /* the bytes are none of the object's: somebody wrote over them */
  SHMSEG_INCOMPATIBLE = -7, /* something else is there, or another kind, version or size */
  SHMSEG_INTERRUPTED = -8,  /* a signal came, or an interval of the wait is over: call again */
  SHMSEG_OUT_OF_RANGE = -9, /* misuse: offset and count reach past the end */
  SHMSEG_READ_ONLY = -10,   /* misuse: the handle was opened for reading */
  SHMSEG_CLOSED = -11,      /* misuse: the handle is not open */
  SHMSEG_RENAMED = -12,     /* the name leads to another backing */
  SHMSEG_HELD = -13,        /* misuse: this handle holds the lock already */
  SHMSEG_NOT_HELD = -14,    /* misuse: this handle does not hold the lock */
  SHMSEG_CHANGED = -15,     /* a peer was faster */
  SHMSEG_NO_PROC = -16,     /* there is no /proc, through which a nameless backing is opened anew */
  SHMSEG_WRONG_TYPE = -17,  /* the value is of another type than the call is for */
  SHMSEG_TOO_MANY = -18,    /* a signal has no room for so many posts */
  SHMSEG_FORKED = -19       /* misuse: the handle was made before a fork, by another process */
};

/* What a code means. For SHMSEG_* and 0 an English string that stays; for errno values what
 * strerror() says, but for a few that mean something of their own here. */
SHMSEG_API const char *shmseg_strerror(int code);

/* Nanoseconds since a moment in the past that is the same for all processes of the machine. */
SHMSEG_API int64_t shmseg_clock_now(void);

/* Milliseconds since 1970 of the system's real-time clock, which can be set. */
SHMSEG_API int64_t shmseg_clock_wall(void);

/* A deadline that never comes. Deadlines are nanoseconds of shmseg_clock_now(). */
#define SHMSEG_FOREVER INT64_MAX

/* Where a backing is found: the name of a POSIX shared memory object ("memory.bin", with no slash before it) or
 * the path of an ordinary file. */
typedef enum { SHMSEG_NAME, SHMSEG_FILE } shmseg_place_type;

typedef struct shmseg_place {
  shmseg_place_type type;
  const char *name; /* borrowed: lives as long as the handle; NULL for a nameless one */
} shmseg_place;

/* Which backing it is, whatever its name. */
typedef struct shmseg_identity {
  uint64_t device, inode;
} shmseg_identity;

/* The identity of a segment handle, which it gets when it first takes a lock; private. */
typedef struct shmseg_member {
  uint32_t id;    /* 0: none yet */
  int slot;       /* index in this process's table */
  unsigned forks; /* the process that has it: a forked child has none of its parent's */
} shmseg_member;

/* A descriptor that becomes readable when a word changes; private. os/futexfd.h has its functions. */
typedef struct shmseg_futexfd {
  int fd;           /* what is polled; 0: closed */
  short way;        /* how it is told of a change */
  bool pending;     /* of an io_uring: a wait is under way, as far as is known */
  unsigned process; /* that has made it */

  /* the word that is waited on */
  const uint32_t *address;
  uint64_t offset; /* in the backing */
  int file;        /* of the backing; -1: private memory */

  /* of an io_uring: its descriptor, or 0, its memory, and where what is in that */
  int ring;
  unsigned char *memory;
  void *entry;
  uint32_t size, sq_tail, cq_head, cq_tail, cq_flags, cq_entries;

  int slot; /* of the table of the threads, plus 1; 0: none */
} shmseg_futexfd;

#ifdef __cplusplus
}
#endif

#endif
