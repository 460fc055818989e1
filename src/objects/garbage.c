/* SPDX-License-Identifier: MIT */
/* Names that nobody needs any more.
 *
 * PROTOCOL    through a description of its own: shut handles out (os/presence.h), then look at the mark
 *             and at all mappings, then remove the name under the backing's lock, and let handles in
 *             again. A handle that was there before shows by its presence. One that comes while it
 *             is shut out waits; then it finds a backing without a name, and begins anew.
 *
 * CRASHES     the locks go with the description. The name is there or not. */
#define _GNU_SOURCE
#include "objects/garbage.h"

#include <errno.h>
#include <unistd.h>

#include "core/segment.h"
#include "core/wait.h"
#include "objects/look.h"
#include "os/backing.h"
#include "os/presence.h"
#include "os/users.h"

/* Nanoseconds that peers may resize, unlink or collect it; and those until the caller may look around. */
#define PATIENCE ((int64_t)5 * 1000000000)
#define INTERVAL ((int64_t)20 * 1000000)

/* May it be removed, if nobody has it open? */
static int garbage_judge(int fd, bool plain, shmseg_identity *identity) {
  shmseg_look look;
  int err = shmseg_look_through(fd, &look);
  if (err)
    return err;
  if (look.status.st_nlink == 0)
    return ENOENT;
  *identity = shmseg_backing_identity(&look.status);
  if (look.code == SHMSEG_EMPTY)
    return plain ? 0 : EPERM;
  if (look.code != 0 && look.code != SHMSEG_INCOMPATIBLE && look.code != SHMSEG_TOO_SMALL)
    return look.code;
  return look.description.mark != 0 ? 0 : EPERM;
}

/* While handles are shut out. EAGAIN: a peer is changing it. */
static int garbage_remove(shmseg_place place, int fd, bool plain, int *pid) {
  shmseg_identity identity;
  int err = garbage_judge(fd, plain, &identity);
  if (!err)
    err = shmseg_users_find(&identity, pid);
  if (!err && *pid != 0)
    err = EBUSY;
  if (err)
    return err;
  err = shmseg_backing_remove_own(place, fd, &identity);
  if (err == EPERM) /* another user's, in a folder from which only he may remove it */
    err = EACCES;
  return err == SHMSEG_RENAMED ? EAGAIN : err;
}

static int garbage_try(shmseg_place place, bool plain, int *pid) {
  struct stat status;
  shmseg_identity identity;
  int fd;
  *pid = 0;
  int err = shmseg_backing_stat(place, &status);
  if (!err && !S_ISREG(status.st_mode)) /* is not opened: that could wake who waits at a FIFO */
    err = ENODEV;
  if (!err)
    err = shmseg_backing_open(place, true, &fd);
  if (err)
    return err;
  err = garbage_judge(fd, plain, &identity); /* before anybody is made to wait */
  if (!err)
    err = shmseg_presence_exclude(fd);
  if (!err) {
    err = garbage_remove(place, fd, plain, pid);
    shmseg_presence_readmit(fd);
  }
  close(fd);
  return err;
}

int shmseg_garbage_collect_until(shmseg_place place, bool plain, int64_t *deadline, int *pid) {
  int64_t interval = 0;
  int err = shmseg_segment_valid_place(place);
  if (err)
    return err;
  while ((err = garbage_try(place, plain, pid)) == EAGAIN) {
    shmseg_wait_patience(&interval, INTERVAL);
    err = shmseg_wait_pause(shmseg_wait_patience(deadline, PATIENCE));
    if (err)
      return err;
    if (!shmseg_wait_left(interval))
      return SHMSEG_INTERRUPTED;
  }
  return err;
}
