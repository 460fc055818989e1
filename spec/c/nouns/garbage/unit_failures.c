/* SPDX-License-Identifier: MIT */
/* objects/garbage: every system call of a removal fails once with each of its plausible errors. Then the
 * name is there or not, as the call says, handles get in, and nothing is left open. */
#define _GNU_SOURCE
#include "objects/garbage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit/help.h"
#include "unit/wrapped.h"

static const struct {
  const char *call;
  int errors[6];
} plausible[] = {
  { "open", { EMFILE, ENFILE, ENOMEM, EACCES, ENOENT } },
  { "lstat", { EACCES, ENOMEM } },
  { "fstat", { ENOMEM, EIO } },
  { "fcntl", { EMFILE, EPERM } },
  { "fcntl(lock)", { EAGAIN, EACCES, ENOLCK } },
  { "unlink", { EACCES, EBUSY, EPERM } },
};

static const char *path_of(shmseg_place place) {
  static char path[300];
  snprintf(path, sizeof path, "/dev/shm/%s", place.name);
  return path;
}

/* An event that is marked, and that no handle has open. */
static shmseg_place leave(void) {
  shmseg_place place = fresh_place();
  shmseg_segment segment;
  shmseg_event event;
  must(shmseg_object_open_named(&event.object, &shmseg_event_kind, &segment, place.name,
                                SHMSEG_CREATE_ONLY, NULL, NULL, NULL) == 0);
  set_word(&segment, 12, SHMSEG_TEMPORARY);
  shmseg_event_close(&event);
  shmseg_segment_close(&segment);
  return place;
}

static void *map(shmseg_place place) {
  int fd = open(path_of(place), O_RDONLY);
  void *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  must(fd >= 0 && memory != MAP_FAILED);
  close(fd);
  return memory;
}

static int collect(shmseg_place place) {
  int64_t deadline = in_ms(100);
  shmseg_garbage item;
  shmseg_garbage_begin(&item, place);
  while (shmseg_garbage_collect_until(&item, 1, false, &deadline) == SHMSEG_INTERRUPTED)
    continue;
  return item.code;
}

static bool opens(shmseg_place place) {
  shmseg_segment segment;
  int err = shmseg_segment_open(&segment, place, SHMSEG_WRITE, NULL, NULL);
  shmseg_segment_close(&segment);
  return err == 0;
}

/* Call number i fails with err. Tells whether the object is gone. */
static bool goes(shmseg_place place, int i, int err) {
  int descriptors = count_descriptors();
  wrapped_begin(i, err);
  int result = collect(place);
  wrapped_end();
  bool is_gone = access(path_of(place), F_OK) != 0;
  check(is_gone == (result == 0));
  check(is_gone || opens(place));
  check(count_descriptors() == descriptors);
  return is_gone;
}

/* Calls body for each call of a removal, and each error that it may have. */
static void each(bool is_mapped,
                 void (*body)(shmseg_place place, const char *call, int i, int err)) {
  static char names[1000][20];
  shmseg_place first = leave();
  void *memory = is_mapped ? map(first) : NULL;
  wrapped_begin(-1, 0);
  check(collect(first) == (is_mapped ? EBUSY : 0));
  int count = wrapped_end();
  must(count > 5 && count < 1000);
  for (int i = 0; i < count; i++)
    snprintf(names[i], sizeof names[i], "%s", wrapped_name(i));
  if (memory)
    munmap(memory, PAGE);
  unlink(path_of(first));
  for (int i = 0; i < count; i++)
    for (size_t p = 0; p < sizeof plausible / sizeof *plausible; p++)
      for (int e = 0; strcmp(plausible[p].call, names[i]) == 0 && plausible[p].errors[e]; e++) {
        shmseg_place place = leave();
        body(place, names[i], i, plausible[p].errors[e]);
        unlink(path_of(place));
      }
}

static void fails_once(shmseg_place place, const char *call, int i, int err) {
  (void)call;
  goes(place, i, err);
}

TEST(once,
     "a removal at which one call fails says whether the name is gone, and shuts nobody out") {
  each(false, fails_once);
}

/* A process into which nobody may look is not seen. */
static bool hides(const char *call, int err) {
  return strcmp(call, "open") == 0 && (err == EACCES || err == ENOENT);
}

static void fails_once_mapped(shmseg_place place, const char *call, int i, int err) {
  void *memory = map(place);
  check(!goes(place, i, err) || hides(call, err));
  munmap(memory, PAGE);
}

TEST(mapped, "what a process has mapped stays when any call fails that looks for it") {
  each(true, fails_once_mapped);
}
