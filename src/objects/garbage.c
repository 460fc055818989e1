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

/* May what the item leads to be removed, if nobody has it open? */
static int garbage_judge(shmseg_garbage *item, bool plain) {
  shmseg_look look;
  int err = shmseg_look_through(item->fd, &look);
  if (err)
    return err;
  if (look.status.st_nlink == 0)
    return ENOENT;
  item->identity = shmseg_backing_identity(&look.status);
  if (look.code == SHMSEG_EMPTY)
    return plain ? 0 : EPERM;
  if (look.code != 0 && look.code != SHMSEG_INCOMPATIBLE && look.code != SHMSEG_TOO_SMALL)
    return look.code;
  return look.description.mark != 0 ? 0 : EPERM;
}

/* Shuts handles out. What is to stay is told before anybody has to wait. */
static int garbage_enter(shmseg_garbage *item, bool plain) {
  struct stat status;
  item->fd = item->pid = 0;
  int err = shmseg_segment_valid_place(item->place);
  if (!err)
    err = shmseg_backing_stat(item->place, &status);
  if (!err && !S_ISREG(status.st_mode)) /* is not opened: that could wake who waits at a FIFO */
    err = ENODEV;
  if (!err)
    err = shmseg_backing_open(item->place, true, &item->fd);
  if (err)
    return err;
  err = garbage_judge(item, plain);
  if (!err)
    err = shmseg_presence_exclude(item->fd);
  if (err) {
    close(item->fd);
    item->fd = 0;
  }
  return err;
}

/* While handles are shut out, and nobody is seen that has it mapped. EAGAIN: a peer is changing it. */
static int garbage_remove(shmseg_garbage *item, bool plain) {
  int err = garbage_judge(item, plain);
  if (err)
    return err;
  err = shmseg_backing_remove_own(item->place, item->fd, &item->identity);
  if (err == EPERM) /* another user's, in a folder from which only he may remove it */
    err = EACCES;
  return err == SHMSEG_RENAMED ? EAGAIN : err;
}

/* Notes of those from which handles are shut out that a process has them mapped. */
static void garbage_note(shmseg_garbage *items, size_t count, shmseg_identity mapped, int pid) {
  for (size_t i = 0; i < count; i++)
    if (items[i].fd > 0 && items[i].identity.inode == mapped.inode &&
        items[i].identity.device == mapped.device) {
      items[i].code = EBUSY;
      items[i].pid = pid;
    }
}

/* Looks at the mappings of all processes, once for all items. */
static int garbage_look(shmseg_garbage *items, size_t count) {
  shmseg_users users;
  shmseg_identity mapped;
  int err = shmseg_users_open(&users);
  if (err)
    return err;
  while ((err = shmseg_users_next(&users)) == 0) {
    while ((err = shmseg_users_mapping(&users, &mapped)) == 0)
      garbage_note(items, count, mapped, users.pid);
    if (err != SHMSEG_EMPTY)
      break;
  }
  shmseg_users_close(&users);
  return err == SHMSEG_EMPTY ? 0 : err;
}

/* Tries once to remove the items whose code is EAGAIN: true when some still have it. */
static bool garbage_try(shmseg_garbage *items, size_t count, bool plain) {
  bool again = false;
  size_t entered = 0;
  for (size_t i = 0; i < count; i++)
    if (items[i].code == EAGAIN) {
      items[i].code = garbage_enter(&items[i], plain);
      entered += items[i].code == 0;
    }
  int err = entered > 0 ? garbage_look(items, count) : 0;
  for (size_t i = 0; i < count; i++) {
    shmseg_garbage *item = &items[i];
    if (item->fd > 0) {
      if (item->code == 0)
        item->code = err ? err : garbage_remove(item, plain);
      shmseg_presence_readmit(item->fd);
      close(item->fd);
      item->fd = 0;
    }
    again |= item->code == EAGAIN;
  }
  return again;
}

void shmseg_garbage_begin(shmseg_garbage *item, shmseg_place place) {
  item->place = place;
  item->code = EAGAIN;
  item->pid = item->fd = 0;
}

int shmseg_garbage_collect_until(shmseg_garbage *items, size_t count, bool plain,
                                 int64_t *deadline) {
  int64_t interval = 0;
  while (garbage_try(items, count, plain)) {
    shmseg_wait_patience(&interval, INTERVAL);
    int err = shmseg_wait_pause(shmseg_wait_patience(deadline, PATIENCE));
    for (size_t i = 0; err && i < count; i++)
      if (items[i].code == EAGAIN)
        items[i].code = err;
    if (err)
      return 0;
    if (!shmseg_wait_left(interval))
      return SHMSEG_INTERRUPTED;
  }
  return 0;
}
