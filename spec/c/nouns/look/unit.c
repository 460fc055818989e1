/* SPDX-License-Identifier: MIT */
/* objects/look: what lies behind a name; and objects/header: what its first bytes say. */
#define _GNU_SOURCE
#include "objects/look.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "objects/kinds.h"
#include "unit/help.h"

/* The bytes of a new object of the kind. */
static void header_of(const shmseg_kind *kind, unsigned char *bytes, uint64_t *size) {
  shmseg_object_options options = { .capacity = 100, .permits = 3 };
  shmseg_segment segment;
  union {
    shmseg_object object;
    unsigned char room[4096];
  } handle;
  must(kind->handle_size <= sizeof handle);
  *size = shmseg_object_size(kind, &options);
  new_anonymous(&segment, *size);
  must(shmseg_object_open(&handle.object, kind, shmseg_segment_whole(&segment), SHMSEG_CREATE_ONLY,
                          &options, NULL) == 0);
  memcpy(bytes, segment.data, SHMSEG_HEADER_SIZE);
  shmseg_object_close(&handle.object);
  shmseg_segment_close(&segment);
}

static const shmseg_kind *kind_number(uint32_t number) {
  return shmseg_kinds_find(number);
}

TEST(whole, "an object of each kind is known by its header, when all of its bytes are there") {
  unsigned char bytes[SHMSEG_HEADER_SIZE];
  shmseg_description d;
  uint64_t size;
  for (uint32_t i = 1; kind_number(i); i++) {
    header_of(kind_number(i), bytes, &size);
    check(shmseg_header_describe(bytes, sizeof bytes, size, &d) == 0 && d.kind == kind_number(i));
    check(d.size == size && d.mark == 0 && d.number == i && d.version == d.kind->version);
    check(shmseg_header_describe(bytes, sizeof bytes, size - 1, &d) == SHMSEG_TOO_SMALL);
    check(d.kind == kind_number(i) && d.found == size - 1 && d.wanted == size);
  }
}

TEST(cut, "a header that was cut is known by its first word, and read no further") {
  unsigned char bytes[SHMSEG_HEADER_SIZE];
  shmseg_description d;
  uint64_t size;
  header_of(&shmseg_queue_kind, bytes, &size);
  for (size_t count = 0; count < sizeof bytes; count++) {
    unsigned char *part = malloc(count + 1); /* the sanitizer sees what is read behind it */
    memcpy(part + 1, bytes, count);
    int err = shmseg_header_describe(part + 1, count, count, &d);
    check(err == (count < 4 ? SHMSEG_EMPTY : SHMSEG_TOO_SMALL) && !d.kind && d.mark == 0);
    free(part);
  }
}

TEST(marks, "a mark is told of an object alone that this library knows") {
  unsigned char bytes[SHMSEG_HEADER_SIZE];
  shmseg_description d;
  uint64_t size;
  uint32_t mark = SHMSEG_TEMPORARY_LAST, unknown = 99;
  header_of(&shmseg_event_kind, bytes, &size);
  memcpy(bytes + 12, &mark, sizeof mark);
  check(shmseg_header_describe(bytes, sizeof bytes, size, &d) == 0 && d.mark == (int)mark);
  memcpy(bytes + 8, &unknown, sizeof unknown);
  check(shmseg_header_describe(bytes, sizeof bytes, size, &d) == SHMSEG_INCOMPATIBLE);
  check(d.mark == 0 && strcmp(d.mismatch, "version") == 0 && d.found == 99);
  memset(bytes, 0, 4);
  check(shmseg_header_describe(bytes, sizeof bytes, size, &d) == SHMSEG_EMPTY && d.mark == 0);
}

TEST(hostile,
     "a header of random numbers is never taken for an object that is larger than its memory") {
  unsigned char bytes[SHMSEG_HEADER_SIZE], spoilt[SHMSEG_HEADER_SIZE];
  shmseg_description d;
  uint64_t size;
  srandom(1);
  for (uint32_t i = 1; kind_number(i); i++) {
    header_of(kind_number(i), bytes, &size);
    for (int round = 0; round < 20000; round++) {
      memcpy(spoilt, bytes, sizeof bytes);
      for (int n = (int)(random() % 4); n >= 0; n--) {
        uint64_t value = (uint64_t)random() << (random() % 40);
        memcpy(spoilt + 4 * (1 + random() % 14), &value, random() % 2 ? 4 : 8);
      }
      int err = shmseg_header_describe(spoilt, sizeof spoilt, size, &d);
      check(err == 0 || err == SHMSEG_INCOMPATIBLE || err == SHMSEG_TOO_SMALL);
      check(err != 0 || (d.size <= size && d.size == shmseg_kinds_size(d.kind, d.geometry)));
    }
  }
}

TEST(
    names,
    "what is no shared memory is not opened, and what may not be read is told as far as it can be") {
  shmseg_look look;
  char path[300];
  shmseg_place place = fresh_place();
  int descriptors = count_descriptors();
  check(shmseg_look_at(place, &look) == ENOENT);
  snprintf(path, sizeof path, "/dev/shm/%s", place.name);
  must(mkfifo(path, 0600) == 0);
  check(shmseg_look_at(place, &look) == ENODEV);
  must(unlink(path) == 0 && symlink("/etc/passwd", path) == 0);
  check(shmseg_look_at(place, &look) == ENODEV);
  must(unlink(path) == 0 && mkdir(path, 0700) == 0);
  check(shmseg_look_at(place, &look) == ENODEV);
  must(rmdir(path) == 0);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  must(fd >= 0);
  check(shmseg_look_at(place, &look) == 0 && look.code == SHMSEG_EMPTY);
  if (geteuid() != 0) {
    must(fchmod(fd, 0) == 0);
    check(shmseg_look_at(place, &look) == 0 && look.code == EACCES && look.status.st_ino != 0);
  }
  close(fd);
  check(count_descriptors() == descriptors);
}
