/* SPDX-License-Identifier: MIT */
/* Every system call of opening, resizing, refreshing, unlinking and of taking an identity fails
 * once with each of its plausible errors: the right code, and nothing is left behind. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/owner.h"
#include "os/zeroes.h"
#include "unit/help.h"
#include "unit/wrapped.h"

static const struct {
  const char *call;
  int errors[8];
} plausible[] = {
  { "open", { EMFILE, ENFILE, ENOMEM, EACCES, ENOENT } },
  { "open(O_TMPFILE)", { EMFILE, ENOMEM, ENOSPC, EACCES, EOPNOTSUPP, EROFS } },
  { "stat", { EACCES, ENOMEM } },
  { "lstat", { EACCES, ENOMEM } },
  { "fstat", { ENOMEM, EIO } },
  { "fchmod", { EPERM, EIO } },
  { "link", { ENOSPC, EACCES, EDQUOT } },
  { "rename", { ENOSPC, EACCES, EDQUOT } },
  { "linkat", { ENOSPC, EACCES, EEXIST, EDQUOT } },
  { "unlink", { EACCES, EBUSY, EPERM } },
  { "fallocate", { EINTR, ENOSPC, EFBIG, EOPNOTSUPP, EDQUOT } },
  { "posix_fallocate", { ENOSPC, EINTR } },
  { "ftruncate", { EPERM, EIO } },
  { "madvise(fork)", { EINVAL, ENOMEM, EAGAIN } },
  { "madvise", { EINVAL, EFAULT, EINTR, ENOMEM, EAGAIN } },
  { "mlock2", { ENOMEM, EAGAIN, EPERM, ENOSYS } },
  { "fstatvfs", { EIO, ENOSYS } },
  { "sysinfo", { ENOSYS } },
  { "memfd_create", { EMFILE, ENOMEM, ENOSYS } },
  { "mkostemp", { EMFILE, ENOSPC, EACCES } },
  { "readlink", { ENOMEM } },
  { "getentropy", { ENOSYS, EIO } },
  { "sigaction", { EINVAL } },
  { "atexit", { ENOMEM } },
  { "fcntl", { EMFILE, EPERM } },
  { "flock", { EWOULDBLOCK, ENOMEM, EOPNOTSUPP, ENOSYS, EPERM, EINVAL, ENOLCK } },
  { "fcntl(lock)", { EAGAIN, EACCES, ENOLCK } },
  { "fcntl(unlock)", { ENOLCK } },
  { "mmap", { ENOMEM, EAGAIN, EPERM } },
  { "mmap(pages)", { ENOMEM } },
  { "mmap(MAP_FIXED)", { ENOMEM, EAGAIN } },
};

/* What is right although it is not the error itself. The first row that fits counts. */
static const struct {
  const char *operation, *call; /* NULL: any */
  int err, code;
} instead[] = {
  { "unlink", "lstat", EACCES, EACCES }, /* what the name leads to has to be known */
  { "unlink", "lstat", ENOMEM, ENOMEM },
  { NULL, "fallocate", EINTR, 0 },      /* again */
  { NULL, "fallocate", EOPNOTSUPP, 0 }, /* the portable way */
  { NULL, "madvise", EINTR, 0 },
  { NULL, "madvise", EINVAL, 0 }, /* an old kernel: another way */
  { NULL, "mlock2", ENOSYS, 0 },
  { NULL, "madvise(fork)", EINVAL, 0 }, /* no page for raw clones, then */
  { NULL, "madvise(fork)", ENOMEM, 0 },
  { NULL, "madvise(fork)", EAGAIN, 0 },
  { NULL, "madvise", EFAULT, ENOSPC }, /* a hole that cannot be filled */
  { NULL, "fcntl(lock)", EAGAIN, 0 },  /* a peer had it: once more */
  { NULL, "fcntl(lock)", EACCES, 0 },
  { NULL, "open(O_TMPFILE)", EOPNOTSUPP, 0 },
  { "create", "linkat", EEXIST, 0 }, /* a peer was faster, and has unlinked it again */
  { "create", "open", ENOENT, 0 },   /* absent: create */
  { NULL, "lstat", EACCES, 0 },      /* a look that only spares work */
  { NULL, "lstat", ENOMEM, 0 },
  { "identity", "open", ENOENT, 0 },          /* no /proc: by name */
  { "shrink", "mmap(MAP_FIXED)", ENOMEM, 0 }, /* what is behind the end stays mapped */
  { "shrink", "mmap(MAP_FIXED)", EAGAIN, 0 },
  { "unlink", "fcntl(lock)", ENOLCK, 0 }, /* nobody can lock: without */
  { NULL, "fcntl(unlock)", ENOLCK, 0 },
  { NULL, "flock", EWOULDBLOCK, 0 }, /* some program has it: a lock of another sort, then */
  { "create last", "flock", EOPNOTSUPP, ENOTSUP },
  { "create last", "flock", ENOSYS, ENOTSUP },
  { "create last", "flock", EPERM, ENOTSUP },
  { "create last", "flock", EINVAL, ENOTSUP },
  { "create last", "flock", ENOLCK, ENOTSUP },
  { "attach last", "flock", EOPNOTSUPP, ENOTSUP },
  { "attach last", "flock", ENOSYS, ENOTSUP },
  { "attach last", "flock", EPERM, ENOTSUP },
  { "attach last", "flock", EINVAL, ENOTSUP },
  { "attach last", "flock", ENOLCK, ENOTSUP },
  { NULL, "flock", EOPNOTSUPP, 0 }, /* no presence, then */
  { NULL, "flock", ENOSYS, 0 },
  { NULL, "flock", EPERM, 0 },
  { NULL, "flock", EINVAL, 0 },
  { NULL, "flock", ENOLCK, 0 },
  { "from a descriptor", "stat", EACCES, 0 }, /* a presence that cannot be had */
  { "from a descriptor", "stat", ENOMEM, 0 },
};

static shmseg_segment segment, peer;
static shmseg_place place;
static const shmseg_options plain = { .size = 3 * PAGE, .perm = 0600 };
static const shmseg_options full = {
  .size = 3 * PAGE, .perm = 0600, .max = 8 * PAGE, .populate = true, .pin = true, .temporary = true
};

static const shmseg_options last = { .size = 3 * PAGE,
                                     .perm = 0600,
                                     .temporary = SHMSEG_TEMPORARY_LAST };

static void nothing(void) {}

static void have_segment(void) {
  must(shmseg_segment_open(&segment, place, SHMSEG_CREATE_ONLY, &plain, NULL) == 0);
  segment.data[0] = 'x';
}

static void have_roomy_segment(void) {
  shmseg_options roomy = full;
  roomy.temporary = false;
  must(shmseg_segment_open(&segment, place, SHMSEG_CREATE_ONLY, &roomy, NULL) == 0);
  segment.data[0] = 'x';
}

static void have_peer(void) {
  new_segment(&peer, place, 3 * PAGE);
  peer.data[0] = 'x';
}

static void have_written_peer(void) {
  have_peer();
  peer.data[PAGE + 1] = 'x'; /* only what was written is brought in through a window */
}

static void have_hole(void) {
  have_segment();
  must(ftruncate(segment.fd, PAGE) == 0 && segment.data[2 * PAGE] == 0);
  must(ftruncate(segment.fd, 3 * PAGE) == 0);
}

static void have_growth(void) {
  have_roomy_segment();
  must(shmseg_segment_open(&peer, place, SHMSEG_WRITE, &plain, NULL) == 0);
  must(shmseg_segment_resize(&peer, 6 * PAGE) == 0);
}

static int open_create(void) {
  return shmseg_segment_open(&segment, place, SHMSEG_CREATE, &plain, NULL);
}

static int open_create_only(void) {
  return shmseg_segment_open(&segment, place, SHMSEG_CREATE_ONLY, &full, NULL);
}

static int open_create_last(void) {
  return shmseg_segment_open(&segment, place, SHMSEG_CREATE_ONLY, &last, NULL);
}

static int open_last(void) {
  return shmseg_segment_open(&segment, place, SHMSEG_WRITE, &last, NULL);
}

/* Where unlink itself fails, the builder's own name stays: it is ours to remove. */
static void sweep(void) {
  DIR *names = opendir("/dev/shm");
  struct dirent *entry;
  while (names && (entry = readdir(names)) != NULL)
    if (strncmp(entry->d_name, ".shmseg-", 8) == 0)
      unlinkat(dirfd(names), entry->d_name, 0);
  if (names)
    closedir(names);
}

static int open_named(void) {
  wrapped_without_tmpfile();
  return shmseg_segment_open(&segment, place, SHMSEG_CREATE_ONLY, &plain, NULL);
}

static int open_write(void) {
  return shmseg_segment_open(&segment, place, SHMSEG_WRITE, &full, NULL);
}

static int open_read(void) {
  return shmseg_segment_open(&segment, place, SHMSEG_READ, &plain, NULL);
}

/* Both look at what they have got, for the pages may have been brought in in another way. */
static int open_window(void) {
  static const shmseg_options options = { .offset = PAGE, .length = 2 * PAGE, .populate = true };
  int err = shmseg_segment_open(&segment, place, SHMSEG_WRITE, &options, NULL);
  return err == 0 && segment.data[0] == 'x' ? -99 : err;
}

static int open_private(void) {
  static const shmseg_options options = { .is_private = true, .populate = true };
  int err = shmseg_segment_open(&segment, place, SHMSEG_WRITE, &options, NULL);
  if (err == 0)
    segment.data[0] = 'y';
  return err == 0 && peer.data[0] == 'y' ? -99 : err;
}

static int open_anonymous(void) {
  return shmseg_segment_anonymous(&segment, &plain);
}

static int open_from_fd(void) {
  return shmseg_segment_from_fd(&segment, peer.fd, true);
}

static int grow(void) {
  return shmseg_segment_resize(&segment, 5 * PAGE);
}

static int shrink(void) {
  return shmseg_segment_resize(&segment, PAGE);
}

static int refresh(void) {
  return shmseg_segment_refresh(&segment);
}

static int identity(void) {
  uint32_t id;
  int err = shmseg_owner_identity(&segment, &id);
  return err == 0 && id != segment.member.id ? -99 : err;
}

static int unlink_name(void) {
  return shmseg_segment_unlink(&segment);
}

typedef enum { OPENS, CHANGES } effect;

static const struct operation {
  const char *name;
  void (*before)(void);
  int (*run)(void);
  effect effect;
  size_t size; /* after success */
} operations[] = {
  { "create", nothing, open_create, OPENS, 3 * PAGE },
  { "create only", nothing, open_create_only, OPENS, 3 * PAGE },
  { "create without O_TMPFILE", nothing, open_named, OPENS, 3 * PAGE },
  { "attach", have_peer, open_write, OPENS, 3 * PAGE },
  { "attach for reading", have_peer, open_read, OPENS, 3 * PAGE },
  { "create last", nothing, open_create_last, OPENS, 3 * PAGE },
  { "attach last", have_peer, open_last, OPENS, 3 * PAGE },
  { "attach to a window", have_written_peer, open_window, OPENS, 2 * PAGE },
  { "attach in private", have_peer, open_private, OPENS, 3 * PAGE },
  { "anonymous", nothing, open_anonymous, OPENS, 3 * PAGE },
  { "from a descriptor", have_peer, open_from_fd, OPENS, 3 * PAGE },
  { "grow", have_segment, grow, CHANGES, 5 * PAGE },
  { "grow in place", have_roomy_segment, grow, CHANGES, 5 * PAGE },
  { "shrink", have_segment, shrink, CHANGES, PAGE },
  { "refresh after a hole", have_hole, refresh, CHANGES, 3 * PAGE },
  { "refresh after growth", have_growth, refresh, CHANGES, 6 * PAGE },
  { "identity", have_segment, identity, CHANGES, 3 * PAGE },
  { "unlink", have_segment, unlink_name, CHANGES, 3 * PAGE },
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* No new description: the segment's own carries the lock. */
static bool is_for_lock(const char *operation, const char *call) {
  return strcmp(call, "open") == 0 &&
         (strcmp(operation, "grow") == 0 || strcmp(operation, "grow in place") == 0 ||
          strcmp(operation, "shrink") == 0 || strcmp(operation, "unlink") == 0);
}

/* No new description: the segment's own is mapped; or the caller's has no presence. */
static bool is_for_presence(const char *operation, const char *const *names, int i) {
  bool entered =
      strcmp(operation, "from a descriptor") == 0 || strncmp(operation, "refresh", 7) == 0;
  for (int before = 0; before < i; before++)
    entered |= strcmp(names[before], "flock") == 0;
  return entered && strcmp(names[i], "open") == 0;
}

static int expected(const char *operation, const char *const *names, int at, int err) {
  const char *call = names[at];
  if (is_for_lock(operation, call) || is_for_presence(operation, names, at))
    return 0;
  for (size_t i = 0; i < COUNT(instead); i++)
    if ((!instead[i].operation || strcmp(instead[i].operation, operation) == 0) &&
        strcmp(instead[i].call, call) == 0 && instead[i].err == err)
      return instead[i].code;
  return err;
}

/* Files that this library may have left in /dev/shm. */
static int count_files(void) {
  int count = 0;
  DIR *folder = opendir("/dev/shm");
  const struct dirent *entry;
  must(folder);
  while ((entry = readdir(folder)) != NULL)
    count += strncmp(entry->d_name, ".shmseg-", 8) == 0 || strcmp(entry->d_name, place.name) == 0;
  closedir(folder);
  return count;
}

static off_t object_size(void) {
  struct stat status;
  return shmseg_segment_is_open(&segment) && fstat(segment.fd, &status) == 0 ? status.st_size : -1;
}

static bool usable(size_t size) {
  unsigned char byte = 1;
  return segment.size == size && shmseg_segment_read(&segment, size - 1, &byte, 1) == 0 &&
         byte == 0;
}

/* One attempt, in a process of its own. What is wrong, or NULL. */
static const char *attempt(const struct operation *op, int fail_at, int err, int code) {
  shmseg_zeroes_prepare(); /* whatever fails there is for later */
  op->before();
  int descriptors = count_descriptors(), files = count_files();
  long mappings = wrapped_mappings();
  off_t size = object_size();
  size_t mapped = op->effect == CHANGES ? segment.size : 0;
  wrapped_begin(fail_at, err);
  int got = op->run();
  int calls = wrapped_end();
  if (got != code)
    return got ? "the code is another" : "it succeeds";
  bool was_busy = got == 0 && err == EAGAIN && op->run != identity &&
                  strcmp(wrapped_name(fail_at), "fcntl(lock)") == 0;
  if (was_busy && strcmp(wrapped_name(calls - 1), "fcntl(unlock)") != 0)
    return "it goes on without the lock";
  if (got == 0)
    return usable(op->size) || op->run == shrink ? NULL : "a success that cannot be used";
  if (count_descriptors() != descriptors)
    return "a descriptor is left";
  if (count_files() != files)
    return "a file is left, or gone";
  if (op->run != identity && wrapped_mappings() != mappings)
    return "a mapping is left";
  if (op->effect == OPENS && shmseg_segment_is_open(&segment))
    return "the handle is open";
  if (op->effect == CHANGES && object_size() != size)
    return "the object has another size";
  if (op->effect == CHANGES && segment.size != mapped)
    return "the handle has another size";
  if (op->effect == CHANGES && (segment.data[0] != 'x' || segment.data[segment.size - 1] == 'x'))
    return "the handle does not lead to the object";
  return op->run() == 0 && (usable(op->size) || op->run == shrink) ? NULL : "it fails once more";
}

static void attempt_in_child(const struct operation *op, int fail_at, int err,
                             const char *const *names) {
  bool published = false;
  for (int i = 0; i < fail_at; i++)
    published |= strcmp(names[i], "linkat") == 0 || strcmp(names[i], "link") == 0;
  /* what comes after the publication only tidies up */
  int code = published ? 0 : expected(op->name, names, fail_at, err);
  pid_t pid = fork();
  must(pid >= 0);
  if (pid == 0) {
    const char *wrong = attempt(op, fail_at, err, code);
    if (wrong)
      printf("# %s: call %d, %s, fails with %s: %s\n", op->name, fail_at, names[fail_at],
             strerrorname_np(err), wrong);
    fflush(stdout);
    _exit(wrong ? 1 : 0);
  }
  int status;
  must(waitpid(pid, &status, 0) == pid);
  test_good = test_good && status == 0;
  shmseg_segment_remove(place);
}

static void every_failure(const struct operation *op, int calls, const char *const *names) {
  for (int i = 0; i < calls; i++) {
    bool known = false;
    for (size_t p = 0; p < COUNT(plausible); p++) {
      if (strcmp(plausible[p].call, names[i]) != 0)
        continue;
      known = true;
      for (int e = 0; plausible[p].errors[e]; e++)
        attempt_in_child(op, i, plausible[p].errors[e], names);
    }
    check(known);
  }
}

/* The calls that the operation makes when none fails; told by a child. */
static struct {
  int calls;
  const char *names[100]; /* literals: at the same address in the parent */
} * notes;

static void learn_calls(const struct operation *op) {
  pid_t pid = fork();
  must(pid >= 0);
  if (pid == 0) {
    shmseg_zeroes_prepare();
    op->before();
    wrapped_begin(-1, 0);
    int err = op->run();
    int calls = wrapped_end();
    for (notes->calls = 0; notes->calls < calls && notes->calls < 100; notes->calls++)
      notes->names[notes->calls] = wrapped_name(notes->calls);
    _exit(err ? 1 : 0);
  }
  int status;
  must(waitpid(pid, &status, 0) == pid && status == 0);
  sweep();
  shmseg_segment_remove(place);
}

/* This process itself opens nothing: what happens once in a process happens in each child. */
int main(int count, char **words) {
  (void)count;
  char sentence[100];
  notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(notes != MAP_FAILED);
  for (size_t i = 0; i < COUNT(operations); i++) {
    if (!test_is_wanted(words, operations[i].name, ""))
      continue;
    place = fresh_place();
    learn_calls(&operations[i]);
    snprintf(sentence, sizeof sentence, "%s: each of its %d system calls may fail",
             operations[i].name, notes->calls);
    test_begin(sentence);
    check(notes->calls > 0);
    every_failure(&operations[i], notes->calls, notes->names);
    test_done();
  }
  return help_end();
}
