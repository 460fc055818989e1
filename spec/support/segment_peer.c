/* SPDX-License-Identifier: MIT */
/* The other end in C: what it can do to a segment through shmseg.h, one command for each.
 *
 *   segment_peer create NAME SIZE TEXT    makes the segment with the text at its start
 *   segment_peer write NAME OFFSET TEXT
 *   segment_peer read NAME OFFSET COUNT   prints the bytes
 *   segment_peer resize NAME SIZE
 *   segment_peer unlink NAME
 *
 * Status 0, or 1 with the code's number on stderr. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmseg.h"

enum { MOST = 4096 };

static int fill(shmseg_segment *segment, void *text) {
  return shmseg_segment_write(segment, 0, text, strlen(text));
}

static int print(const shmseg_segment *segment, size_t offset, size_t count) {
  static char bytes[MOST];
  if (count > sizeof bytes)
    return SHMSEG_OUT_OF_RANGE;
  int code = shmseg_segment_read(segment, offset, bytes, count);
  if (code == 0)
    fwrite(bytes, 1, count, stdout);
  return code;
}

static int apply(shmseg_segment *segment, const char *command, char **rest) {
  size_t number = rest[0] ? strtoul(rest[0], NULL, 10) : 0;
  if (strcmp(command, "write") == 0)
    return shmseg_segment_write(segment, number, rest[1], strlen(rest[1]));
  if (strcmp(command, "read") == 0)
    return print(segment, number, strtoul(rest[1], NULL, 10));
  if (strcmp(command, "resize") == 0)
    return shmseg_segment_resize(segment, number);
  if (strcmp(command, "unlink") == 0)
    return shmseg_segment_unlink(segment);
  return 0;
}

static int run(const char *command, const char *name, char **rest) {
  shmseg_segment segment;
  shmseg_place place = { SHMSEG_NAME, name };
  shmseg_options options = { 0 };
  shmseg_mode mode = strcmp(command, "read") == 0 ? SHMSEG_READ : SHMSEG_WRITE;
  if (strcmp(command, "create") == 0) {
    mode = SHMSEG_CREATE_ONLY;
    options = (shmseg_options){ .size = strtoul(rest[0], NULL, 10), .perm = 0600, .init = fill };
    options.context = rest[1];
  }
  shmseg_segment_init(&segment);
  int code = shmseg_segment_open(&segment, place, mode, &options, NULL);
  if (code == 0)
    code = apply(&segment, command, rest);
  shmseg_segment_close(&segment);
  return code;
}

int main(int count, char **arguments) {
  if (count < 3)
    return 2;
  int code = run(arguments[1], arguments[2], arguments + 3);
  if (code != 0)
    fprintf(stderr, "%d", code);
  return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
