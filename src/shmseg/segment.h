/* SPDX-License-Identifier: MIT */
/* The public C API of segments. shmseg.h includes it, and says what holds for all functions. */
#ifndef SHMSEG_SEGMENT_H
#define SHMSEG_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shmseg/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  SHMSEG_READ,       /* attach, read only */
  SHMSEG_WRITE,      /* attach, read and write */
  SHMSEG_CREATE,     /* attach, or create when it is absent */
  SHMSEG_CREATE_ONLY /* create; EEXIST when it is there */
} shmseg_mode;

struct shmseg_fault;
struct shmseg_hold;
struct shmseg_temporary;
struct shmseg_watch;
typedef struct shmseg_segment shmseg_segment;

/* What becomes of a name, which else stays until somebody removes it.
 *
 * SHMSEG_TEMPORARY is for what the call creates: the name goes when that handle closes, or its
 * process exits. SHMSEG_TEMPORARY_LAST is for all that ask for it, creators or not: who of them
 * closes, or exits, when no other handle of the library has the backing open, removes the name, if he
 * may write the backing and unlink it. Handles that are forked count, and so do those that do not
 * ask; of an ordinary file only those that ask. An object tells by itself, in its header, that its
 * creator has asked; the handles of shmseg_object_open_named() need not ask, and what is there
 * without the mark is not changed. A fatal signal, _exit() and exec leave the name to the next who
 * closes. ENOTSUP where the platform or the file system has no locks for it. */
enum { SHMSEG_TEMPORARY = 1, SHMSEG_TEMPORARY_LAST = 2 };

typedef struct shmseg_options {
  size_t size;   /* of a new backing; of one that is there the least that will do */
  size_t max;    /* address space to reserve for growth, 0 for none */
  mode_t perm;   /* of a new backing, exact whatever the umask; 0 shuts out its creator, too */
  bool sparse;   /* take memory at the first write, not now */
  bool populate; /* map every page now */
  bool pin;      /* keep the pages in memory (mlock) */
  int temporary; /* 0, SHMSEG_TEMPORARY or SHMSEG_TEMPORARY_LAST */
  bool grow;     /* a smaller backing that is there, and not empty, is grown to size */
  /* A window: what is mapped begins at offset, a multiple of 64, and has length bytes; 0: up to the end. The
   * segment's offsets count from there. It cannot be resized or refreshed, nor grown at opening. */
  uint64_t offset;
  size_t length;
  /* The mapping is private: what is written to it nobody else sees, and it may be written although the
   * backing may not. Only to attach; no objects, no resize, no flush, no temporary. A hole loses all
   * that was written. */
  bool is_private;
  /* Fills a new segment before anyone can see it. A code other than 0 gives it up: open's result. */
  int (*init)(shmseg_segment *segment, void *context);
  void *context;
} shmseg_options;

/* A mapping of one whole backing, or of a window of it. A segment of zeroes is a closed one. The fields
 * are for reading only. */
struct shmseg_segment {
  unsigned char *data; /* first byte; moves when the segment is resized or refreshed */
  size_t size;         /* bytes that may be touched */
  shmseg_place place;
  shmseg_identity identity;
  int fd; /* of the backing; 0: closed */
  bool writable;

  /* private: the library's business from here on */
  bool sparse, populate, pin;
  bool is_window, is_private;
  uint64_t window;            /* where in the backing data is */
  bool apart;                 /* what is mapped has a description of its own, not that of fd */
  unsigned pieces;            /* such descriptions that what is mapped may have */
  struct shmseg_fault *fault; /* the guard's record: was a hole met? */
  size_t reserved;            /* address space at data */
  size_t max;                 /* least address space to reserve */
  struct shmseg_temporary *temporary; /* ticket of os/temporary.h, NULL for none */
  shmseg_member member;
  struct shmseg_hold *holds;    /* what this handle has locked */
  struct shmseg_watch *watches; /* what event loops wait for in it */
  unsigned generation;          /* another one after each hole: objects from before have ended */
  unsigned opened;              /* what generation was when the backing was opened */
};

/* Makes a closed handle, which is all zeroes; needed when close may come before open. */
SHMSEG_API void shmseg_segment_init(shmseg_segment *segment);

static inline bool shmseg_segment_is_open(const shmseg_segment *segment) {
  return segment->fd > 0;
}

/* Opens place as mode says. options may be NULL: nothing is asked for, and without a size nothing is
 * created (EINVAL). *created (may be NULL) tells whether this call made the backing.
 * EEXIST, ENOENT, EACCES, ENOSPC, SHMSEG_TOO_SMALL, …; EAGAIN after 100 rounds of create
 * and attach against peers that unlink and create; SHMSEG_TIMEOUT when a process has been removing
 * the name for 5 seconds. A failed call leaves nothing behind. */
SHMSEG_API int shmseg_segment_open(shmseg_segment *segment, shmseg_place place, shmseg_mode mode,
                                   const shmseg_options *options, bool *created);

/* A function whose name ends with _until does the same as the one without, for a caller that must
 * not be held up by a process that is stopped. It returns SHMSEG_INTERRUPTED after each interval of
 * its wait, so that the caller can look around: the operation is not over, and the function is
 * called again with the same arguments. *deadline is 0 at the first call. The first wait sets
 * *deadline, as far ahead as the function without _until would wait. SHMSEG_TIMEOUT when that
 * moment has come, also for a deadline that the caller has set.
 *
 * Opening waits for a process that is removing the name just now, at most 5 seconds. init may run
 * once more after each interval: what it was given before is closed. */
SHMSEG_API int shmseg_segment_open_until(shmseg_segment *segment, shmseg_place place,
                                         shmseg_mode mode, const shmseg_options *options,
                                         int64_t *deadline, bool *created);

/* Makes a nameless segment (a memfd, sealed against shrinking, where there is one). */
SHMSEG_API int shmseg_segment_anonymous(shmseg_segment *segment, const shmseg_options *options);

/* Maps the backing behind fd, which stays the caller's: the handle has a duplicate. On a shared memory
 * object that has a name it has a description of its own, if the object can be opened anew. */
SHMSEG_API int shmseg_segment_from_fd(shmseg_segment *segment, int fd, bool writable);

/* Harmless on a closed handle. */
SHMSEG_API void shmseg_segment_close(shmseg_segment *segment);

/* Copies between the segment and private memory. SHMSEG_TRUNCATED or ENOSPC when the bytes
 * were not there: what was copied is then undefined. Not atomic. */
SHMSEG_API int shmseg_segment_read(const shmseg_segment *segment, size_t offset, void *buffer,
                                   size_t count);
SHMSEG_API int shmseg_segment_write(const shmseg_segment *segment, size_t offset, const void *bytes,
                                    size_t count);

/* 0, or why an access since the last refresh may have met a hole: SHMSEG_TRUNCATED or ENOSPC. */
SHMSEG_API int shmseg_segment_status(const shmseg_segment *segment);

/* Grows or shrinks the segment; growing never undoes a peer's growth. SHMSEG_TIMEOUT when another
 * process has been resizing or unlinking it for 5 seconds. A failed call changes nothing. */
SHMSEG_API int shmseg_segment_resize(shmseg_segment *segment, size_t size);

SHMSEG_API int shmseg_segment_resize_until(shmseg_segment *segment, size_t size, int64_t *deadline);

/* Sees a peer's resize and recovers from a hole. data may move; size may be 0 after it. A failed
 * call changes nothing. EINVAL for a window. A private mapping is mapped anew after a hole, and else left
 * as it is. */
SHMSEG_API int shmseg_segment_refresh(shmseg_segment *segment);

/* Writes the range back to the file (msync). */
SHMSEG_API int shmseg_segment_flush(const shmseg_segment *segment, size_t offset, size_t count);

/* Removes the name if it still leads to this backing. ENOENT when it leads to none, SHMSEG_RENAMED to
 * another one; EINVAL without a name. EACCES through a read-only handle when the backing must not be
 * written: then it could not be exact. */
SHMSEG_API int shmseg_segment_unlink(shmseg_segment *segment);
SHMSEG_API int shmseg_segment_unlink_until(shmseg_segment *segment, int64_t *deadline);

/* *current: does the name still lead to this backing? False without a name, and where none is. EACCES, … */
SHMSEG_API int shmseg_segment_is_current(const shmseg_segment *segment, bool *current);

/* Removes whatever the name leads to. */
SHMSEG_API int shmseg_segment_remove(shmseg_place place);
SHMSEG_API int shmseg_segment_remove_until(shmseg_place place, int64_t *deadline);

#ifdef __cplusplus
}
#endif

#endif
