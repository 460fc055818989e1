/* SPDX-License-Identifier: MIT */
/* What error codes mean, in English. */
#include <errno.h>
#include <string.h>

#include "shmseg/base.h"

const char *shmseg_strerror(int code) {
  switch (code) {
  case 0: return "success";
  case SHMSEG_TIMEOUT: return "timeout";
  case SHMSEG_EMPTY: return "empty";
  case SHMSEG_SHUTDOWN: return "shutdown";
  case SHMSEG_INTERRUPTED: return "interrupted";
  case SHMSEG_TOO_SMALL: return "there is not enough room";
  case SHMSEG_TRUNCATED: return "another process has shrunk the segment";
  case SHMSEG_CORRUPT: return "the object is damaged";
  case SHMSEG_INCOMPATIBLE: return "there is something else, or another kind, format or size";
  case SHMSEG_RENAMED: return "the name leads to something else now";
  case SHMSEG_CLOSED: return "the handle is closed, or its segment is";
  case SHMSEG_CHANGED: return "another process was faster";
  case SHMSEG_NO_PROC: return "what has no name cannot be locked without /proc";
  case SHMSEG_READ_ONLY: return "read-only: the segment was opened for reading";
  case ECANCELED: return "the process is ending";
  case ENODEV: return "not a regular file or shared memory object";
  case SHMSEG_OUT_OF_RANGE: return "offset and count reach past the end";
  case SHMSEG_HELD: return "this handle holds the lock already";
  case SHMSEG_NOT_HELD: return "this handle does not hold the lock";
  case SHMSEG_TOO_MANY: return "too many";
  case SHMSEG_FORKED: return "the handle was made before a fork";
  case SHMSEG_WRONG_TYPE: return "the value is of another type";
  default: return code > 0 ? strerror(code) : "unknown error";
  }
}
