/* SPDX-License-Identifier: MIT */
/* The public C API of shmseg: what a C program at the other end includes.
 *
 * Handles are plain structs that the caller owns and keeps at one address from
 * open to close; nothing here allocates. A handle is for one thread at a time.
 * Every function returns 0 or a code: an errno value (positive) or one of
 * SHMSEG_* (negative). Sizes, offsets and counts are bytes. */
#ifndef SHMSEG_H
#define SHMSEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(hidden) /* linked into the module, none of it is exported */
#endif

enum {
  SHMSEG_TIMEOUT = -1,
  SHMSEG_EMPTY = -2,
  SHMSEG_SHUTDOWN = -3,
  SHMSEG_TOO_SMALL = -4, /* the object is smaller than the caller needs */
  SHMSEG_TRUNCATED = -5, /* a peer shrank the object under the mapping */
  SHMSEG_CORRUPT = -6,
  SHMSEG_INCOMPATIBLE = -7,
  SHMSEG_INTERRUPTED = -8,  /* a signal came, or a slice of the wait is over: call again */
  SHMSEG_OUT_OF_RANGE = -9, /* misuse: offset and count reach past the end */
  SHMSEG_READ_ONLY = -10,   /* misuse: the handle was opened for reading */
  SHMSEG_CLOSED = -11,      /* misuse: the handle is not open */
  SHMSEG_RENAMED = -12      /* the name leads to another object, or to none */
};

/* A deadline that never comes. Deadlines are nanoseconds of shmseg_clock_now(). */
#define SHMSEG_FOREVER INT64_MAX

/* Where an object lives: a POSIX shared memory name ("memory.bin", no slash) or the
 * path of an ordinary file. */
typedef enum { SHMSEG_NAME, SHMSEG_FILE } shmseg_kind;

typedef struct shmseg_place {
  shmseg_kind kind;
  const char *name; /* borrowed: lives as long as the handle; NULL for a nameless object */
} shmseg_place;

/* Which object it is, whatever its name. */
typedef struct shmseg_identity {
  uint64_t device, inode;
} shmseg_identity;

typedef enum {
  SHMSEG_READ,       /* attach, read only */
  SHMSEG_WRITE,      /* attach, read and write */
  SHMSEG_CREATE,     /* attach, or create when absent */
  SHMSEG_CREATE_ONLY /* create; EEXIST when present */
} shmseg_mode;

struct shmseg_fault;
typedef struct shmseg_segment shmseg_segment;

typedef struct shmseg_options {
  size_t size;    /* of a new object; for an existing one the least that will do */
  size_t max;     /* address space to hold for growth, 0 for none */
  mode_t perm;    /* of a new object, exact whatever the umask */
  bool sparse;    /* take memory at the first write, not now */
  bool populate;  /* map every page now */
  bool pin;       /* keep the pages in memory (mlock) */
  bool temporary; /* unlink when this handle closes or this process exits */
  /* Fills a new object before anyone can see it; a code other than 0 gives it up. */
  int (*init)(shmseg_segment *segment, void *context);
  void *context;
} shmseg_options;

/* A mapping of one whole object. The fields are for reading only. */
struct shmseg_segment {
  unsigned char *data;        /* first byte; moves when the segment is resized or refreshed */
  size_t size;                /* bytes that may be touched */
  struct shmseg_fault *fault; /* the guard's record: was a hole met? */
  size_t room;                /* address space held at data */
  size_t max;                 /* least address space to hold */
  shmseg_place place;
  shmseg_identity identity;
  int temporary; /* ticket of os/temporary.h, 0 for none */
  int fd;        /* -1: closed */
  bool writable, sparse, populate, pin;
};

/* The code for a closed handle; must be set before open if close may come first. */
void shmseg_segment_init(shmseg_segment *segment);

/* Opens place as mode says. *created (may be NULL) tells whether this call made the object.
 * EEXIST, ENOENT, EACCES, ENOSPC, SHMSEG_TOO_SMALL, …; EAGAIN after 100 rounds of create
 * and attach against peers that unlink and create. A failed call leaves nothing behind. */
int shmseg_segment_open(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                        const shmseg_options *options, bool *created);

/* Makes a nameless segment (a memfd, sealed against shrinking, where there is one). */
int shmseg_segment_anonymous(shmseg_segment *segment, const shmseg_options *options);

/* Maps the object behind fd, which stays the caller's. */
int shmseg_segment_from_fd(shmseg_segment *segment, int fd, bool writable);

/* Harmless on a closed handle. */
void shmseg_segment_close(shmseg_segment *segment);

/* Copies between the segment and private memory. SHMSEG_TRUNCATED or ENOSPC when the bytes
 * were not there: what was copied is then undefined. Not atomic. */
int shmseg_segment_read(const shmseg_segment *segment, size_t offset, void *buffer, size_t count);
int shmseg_segment_write(const shmseg_segment *segment, size_t offset, const void *bytes,
                         size_t count);

/* 0, or why an access since the last refresh may have met a hole: SHMSEG_TRUNCATED or ENOSPC. */
int shmseg_segment_status(const shmseg_segment *segment);

/* Grows or shrinks the object; growing never undoes a peer's growth. SHMSEG_TIMEOUT when
 * another process has been resizing it for 5 seconds. */
int shmseg_segment_resize(shmseg_segment *segment, size_t size);

/* Sees a peer's resize and recovers from a hole. data may move; size may be 0 after it. */
int shmseg_segment_refresh(shmseg_segment *segment);

/* Writes the range back to the file (msync). */
int shmseg_segment_flush(const shmseg_segment *segment, size_t offset, size_t count);

/* Removes the name if it still leads to this object; SHMSEG_RENAMED otherwise. */
int shmseg_segment_unlink(shmseg_segment *segment);

/* Removes whatever object the name leads to. */
int shmseg_segment_remove(shmseg_place place);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
