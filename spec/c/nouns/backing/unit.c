/* SPDX-License-Identifier: MIT */
/* os/backing and os/temporary: objects, names, and names that go with the process. */
#define _GNU_SOURCE
#include "os/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/temporary.h"
#include "unit/help.h"

static uint64_t size_of(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static shmseg_identity identity_of(int fd) {
  struct stat status;
  must(fstat(fd, &status) == 0);
  return shmseg_backing_identity(&status);
}

static bool present(shmseg_place place) {
  struct stat status;
  return shmseg_backing_stat(place, &status) == 0;
}

/* A published object with that many bytes. */
static int make(shmseg_place place, uint64_t size) {
  int fd;
  must(shmseg_backing_build(place, &fd) == 0);
  must(shmseg_backing_grow(fd, 0, size, false) == 0);
  must(shmseg_backing_publish(fd, place, 0600) == 0);
  return fd;
}

TEST(published,
     "an object has no name until it is published, and then its permissions whatever the umask") {
  shmseg_place place = fresh_place();
  struct stat status;
  int fd, other;
  mode_t mask = umask(077);
  must(shmseg_backing_build(place, &fd) == 0);
  umask(mask);
  check(!present(place) && shmseg_backing_open(place, true, &other) == ENOENT);
  check(shmseg_backing_grow(fd, 0, 100, false) == 0 && size_of(fd) == 100);
  check(shmseg_backing_publish(fd, place, 0646) == 0);
  check(shmseg_backing_stat(place, &status) == 0 && (status.st_mode & 07777) == 0646);
  must(shmseg_backing_build(place, &other) == 0);
  check(shmseg_backing_publish(other, place, 0646) == EEXIST);
  close(other);
  check(shmseg_backing_open(place, false, &other) == 0 && fcntl(other, F_GETFD) == FD_CLOEXEC);
  check(write(other, "x", 1) == -1);
  close(other);
  check(shmseg_backing_unlink(place) == 0 && shmseg_backing_unlink(place) == ENOENT);
  close(fd);
}

TEST(abandoned, "an object that is abandoned before it was published leaves nothing") {
  shmseg_place place = fresh_place();
  int fd, descriptors = count_descriptors();
  must(shmseg_backing_build(place, &fd) == 0);
  shmseg_backing_abandon(fd, place);
  close(fd);
  check(!present(place) && count_descriptors() == descriptors);
  shmseg_place nowhere = { SHMSEG_FILE, "/nowhere/at/all" };
  check(shmseg_backing_build(nowhere, &fd) == ENOENT);
  check(shmseg_backing_open(nowhere, true, &fd) == ENOENT);
  check(count_descriptors() == descriptors);
}

TEST(strange_files,
     "what is not a regular file is ENODEV, does not block, and a link at a name is not followed") {
  char folder[] = "/tmp/shmseg-unit-XXXXXX", path[64], link[64];
  struct stat status;
  int fd, descriptors = count_descriptors();
  must(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/fifo", folder);
  must(mkfifo(path, 0600) == 0);
  shmseg_place fifo = { SHMSEG_FILE, path };
  check(shmseg_backing_open(fifo, true, &fd) == ENODEV);
  check(shmseg_backing_open(fifo, false, &fd) == ENODEV);
  check(shmseg_backing_open((shmseg_place){ SHMSEG_FILE, folder }, false, &fd) == ENODEV);
  check(shmseg_backing_open((shmseg_place){ SHMSEG_FILE, folder }, true, &fd) == EISDIR);
  unlink(path);
  rmdir(folder);
  const char *name = fresh_name();
  snprintf(link, sizeof link, "/dev/shm/%s", name);
  must(symlink("/etc/passwd", link) == 0);
  check(shmseg_backing_open(place_of(name), false, &fd) == ELOOP);
  check(shmseg_backing_stat(place_of(name), &status) == 0 && S_ISLNK(status.st_mode));
  unlink(link);
  check(count_descriptors() == descriptors);
}

TEST(grown, "growing takes the memory or not as asked, and never makes an object shorter") {
  shmseg_place place = fresh_place();
  struct stat status;
  int fd = make(place, 3);
  check(shmseg_backing_grow(fd, 3, 3 * PAGE, false) == 0 && size_of(fd) == 3 * PAGE);
  check(fstat(fd, &status) == 0 && status.st_blocks * 512 >= 3 * PAGE);
  check(shmseg_backing_grow(fd, 3 * PAGE, 100 * PAGE, true) == 0 && size_of(fd) == 100 * PAGE);
  check(fstat(fd, &status) == 0 && status.st_blocks * 512 < 10 * PAGE);
  check(shmseg_backing_grow(fd, 3 * PAGE, 50 * PAGE, true) == 0 && size_of(fd) == 100 * PAGE);
  check(shmseg_backing_grow(fd, 3 * PAGE, 50 * PAGE, false) == 0 && size_of(fd) == 100 * PAGE);
  check(shmseg_backing_grow(fd, 100 * PAGE, (uint64_t)1 << 50, false) == ENOSPC);
  check(size_of(fd) == 100 * PAGE);
  check(fstat(fd, &status) == 0 && status.st_blocks * 512 < 60 * PAGE);
  shmseg_backing_unlink(place);
  close(fd);
}

TEST(locked, "one at a time has an object's lock, until it is unlocked") {
  shmseg_place place = fresh_place();
  shmseg_backing_lock lock, other;
  int fd = make(place, PAGE), descriptors;
  shmseg_identity identity = identity_of(fd);
  descriptors = count_descriptors();
  check(shmseg_backing_lock_fd(fd, place, &lock) == 0 && lock.is_taken);
  check(shmseg_backing_lock_fd(fd, place, &other) == EAGAIN);
  check(shmseg_backing_lock_place(place, &other) == EAGAIN);
  check(shmseg_backing_remove(place) == EAGAIN && present(place));
  check(shmseg_backing_remove_own(place, fd, &identity) == EAGAIN && present(place));
  shmseg_backing_unlock(&lock);
  check(shmseg_backing_lock_place(place, &lock) == 0);
  check(shmseg_backing_lock_fd(fd, place, &other) == EAGAIN);
  shmseg_backing_unlock(&lock);
  check(count_descriptors() == descriptors);
  shmseg_backing_unlink(place);
  check(shmseg_backing_lock_place(place, &lock) == ENOENT && count_descriptors() == descriptors);
  close(fd);
}

static void wait_for_end(void *unused) {
  (void)unused;
  say('-');
  pause();
}

TEST(unlocked_though_forked,
     "an unlocked object is free, also when a child was forked under the lock") {
  shmseg_place place = fresh_place();
  shmseg_backing_lock lock, other;
  int fd = make(place, PAGE);
  must(shmseg_backing_lock_fd(fd, place, &lock) == 0);
  child heir = child_start(wait_for_end, NULL);
  must(child_hear(&heir) == '-');
  check(shmseg_backing_lock_fd(fd, place, &other) == EAGAIN);
  shmseg_backing_unlock(&lock);
  check(shmseg_backing_lock_fd(fd, place, &other) == 0);
  shmseg_backing_unlock(&other);
  child_kill(&heir);
  shmseg_backing_unlink(place);
  close(fd);
}

static void read_lock_all(int fd) {
  struct flock everything = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
  must(fcntl(fd, F_OFD_SETLK, &everything) == 0);
}

TEST(locked_beside_readers, "who locks an object for reading holds up nobody") {
  shmseg_place place = fresh_place();
  shmseg_backing_lock lock;
  int fd = make(place, PAGE), reader;
  shmseg_identity identity = identity_of(fd);
  must(shmseg_backing_open(place, false, &reader) == 0);
  read_lock_all(reader);
  check(shmseg_backing_lock_fd(fd, place, &lock) == 0 && !lock.is_taken);
  shmseg_backing_unlock(&lock);
  check(shmseg_backing_remove_own(place, fd, &identity) == 0 && !present(place));
  close(reader);
  close(fd);
}

/* As a user whom permissions bind: can the creator of an object that must not be written lock and remove it? */
static int work_without_permission(void) {
  shmseg_place place = fresh_place();
  shmseg_backing_lock lock;
  int fd, reader;
  if (geteuid() == 0 && seteuid(65534) != 0)
    return 1;
  if (shmseg_backing_build(place, &fd) != 0 || shmseg_backing_grow(fd, 0, PAGE, false) != 0 ||
      shmseg_backing_publish(fd, place, 0400) != 0)
    return 2;
  shmseg_identity identity = identity_of(fd);
  if (shmseg_backing_lock_fd(fd, place, &lock) != 0 || lock.fd != fd || !lock.is_taken)
    return 3;
  shmseg_backing_unlock(&lock);
  if (shmseg_backing_open(place, false, &reader) != 0)
    return 4;
  if (shmseg_backing_remove_own(place, reader, &identity) != EACCES || !present(place))
    return 5;
  return shmseg_backing_remove_own(place, fd, &identity) == 0 && !present(place) ? 0 : 6;
}

static void leave_without_permission(void *unused) {
  (void)unused;
  _exit(work_without_permission());
}

TEST(locked_without_permission,
     "permissions that shut out the creator do not keep it from locking; a reader is refused") {
  child c = child_start(leave_without_permission, NULL);
  check(child_end(&c) == 0);
}

TEST(raised, "no descriptor is one of the standard streams'") {
  int fd, saved = fcntl(0, F_DUPFD_CLOEXEC, 10);
  shmseg_place place = fresh_place();
  shmseg_listing listing;
  must(saved >= 0);
  close(0);
  check(shmseg_backing_build(place, &fd) == 0 && fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  must(shmseg_backing_publish(fd, place, 0600) == 0);
  close(fd);
  check(shmseg_backing_open(place, false, &fd) == 0 && fd > 2);
  close(fd);
  check(shmseg_backing_anonymous(&fd) == 0 && fd > 2);
  close(fd);
  check(shmseg_backing_list(&listing) == 0 && fcntl(0, F_GETFD) == -1);
  shmseg_backing_list_close(&listing);
  must(dup2(saved, 0) == 0);
  close(saved);
  shmseg_backing_unlink(place);
}

TEST(replaced, "an empty file gives its name up, and one that is not empty does not") {
  char file[] = "/tmp/shmseg-unit-XXXXXX";
  int there = mkstemp(file), fd;
  struct stat status;
  must(there >= 0);
  shmseg_place place = { SHMSEG_FILE, file };
  must(shmseg_backing_build(place, &fd) == 0 && shmseg_backing_grow(fd, 0, PAGE, false) == 0);
  must(write(there, "x", 1) == 1);
  check(shmseg_backing_replace_empty(fd, place, 0640) == EAGAIN);
  must(ftruncate(there, 0) == 0);
  check(shmseg_backing_replace_empty(fd, place, 0640) == 0);
  check(stat(file, &status) == 0 && status.st_size == PAGE && (status.st_mode & 07777) == 0640);
  shmseg_identity identity = shmseg_backing_identity(&status), own = identity_of(fd);
  check(identity.inode == own.inode && status.st_nlink == 1);
  check(shmseg_backing_replace_empty(fd, place, 0640) == EAGAIN);
  unlink(file);
  close(there);
  close(fd);
}

TEST(removed, "a name is removed only while it leads to the object that is meant") {
  shmseg_place place = fresh_place();
  int old = make(place, PAGE);
  shmseg_identity first = identity_of(old);
  must(shmseg_backing_unlink(place) == 0);
  int new = make(place, PAGE);
  shmseg_identity second = identity_of(new);
  check(shmseg_backing_remove_own(place, old, &first) == SHMSEG_RENAMED && present(place));
  check(shmseg_backing_remove_own(place, new, &second) == 0 && !present(place));
  check(shmseg_backing_remove_own(place, new, &second) == ENOENT);
  must(shmseg_backing_publish(new, place, 0600) == ENOENT); /* once is all */
  close(new);
  new = make(place, PAGE);
  check(shmseg_backing_remove(place) == 0 && shmseg_backing_remove(place) == ENOENT);
  close(old);
  close(new);
}

TEST(anonymous, "a sealed nameless object can grow and not shrink") {
  int fd;
  must(shmseg_backing_anonymous(&fd) == 0);
  check(shmseg_backing_grow(fd, 0, PAGE, false) == 0 && shmseg_backing_seal(fd) == 0);
  check(ftruncate(fd, 10) == -1 && errno == EPERM);
  check(shmseg_backing_grow(fd, PAGE, 2 * PAGE, false) == 0 && size_of(fd) == 2 * PAGE);
  close(fd);
}

TEST(listed, "a listing has each name once, and no name twice") {
  shmseg_place place = fresh_place();
  shmseg_listing listing;
  const char *name;
  int fd = make(place, PAGE), seen = 0;
  must(shmseg_backing_list(&listing) == 0);
  while (shmseg_backing_next(&listing, &name) == 0 && name)
    seen += strcmp(name, place.name) == 0;
  check(seen == 1 && name == NULL);
  shmseg_backing_list_close(&listing);
  shmseg_backing_list_close(&listing); /* twice is harmless */
  shmseg_backing_unlink(place);
  close(fd);
}

typedef struct {
  shmseg_place place[3];
  shmseg_identity identity[3];
  int fd[3];
  bool by_signal;
} names_at_exit;

static void exit_with_tickets(void *argument) {
  names_at_exit *at_exit = argument;
  shmseg_temporary *tickets[3];
  for (int i = 0; i < 3; i++)
    if (shmseg_temporary_add(at_exit->place[i], at_exit->identity[i], at_exit->fd[i], false,
                             &tickets[i]) != 0)
      _exit(1);
  if (!shmseg_temporary_remove(tickets[1]))
    _exit(2);
  pid_t pid = fork();
  if (pid == 0) /* the ticket of a parent is not the child's to use, nor at its exit */
    exit(shmseg_temporary_remove(tickets[0]) ? 3 : 0);
  child grandchild = { pid, -1, -1 };
  if (child_end(&grandchild) != 0)
    _exit(4);
  say(present(at_exit->place[0]) && present(at_exit->place[2]) ? 'p' : '-');
  hear(); /* the second name leads elsewhere now */
  if (at_exit->by_signal)
    raise(SIGKILL);
  exit(0);
}

static void temporary(bool by_signal, const char *sentence) {
  names_at_exit at_exit = { .by_signal = by_signal };
  int fds[3];
  test_begin(sentence);
  for (int i = 0; i < 3; i++) {
    at_exit.place[i] = fresh_place();
    fds[i] = make(at_exit.place[i], PAGE);
    at_exit.identity[i] = identity_of(fds[i]);
    at_exit.fd[i] = fds[i];
  }
  child c = child_start(exit_with_tickets, &at_exit);
  check(child_hear(&c) == 'p');
  must(shmseg_backing_unlink(at_exit.place[2]) == 0);
  close(fds[2]);
  fds[2] = make(at_exit.place[2], PAGE);
  child_tell(&c);
  check(child_end(&c) == (by_signal ? 256 + SIGKILL : 0));
  check(present(at_exit.place[0]) == by_signal); /* gone with the process */
  check(present(at_exit.place[1]));              /* its ticket was given back */
  check(present(at_exit.place[2]));              /* another object's name by now */
  for (int i = 0; i < 3; i++) {
    shmseg_backing_unlink(at_exit.place[i]);
    close(fds[i]);
  }
  test_done();
}

TESTS(temporary_at_exit) {
  temporary(false, "temporary names go at exit, those of others and of changed objects stay");
}

TESTS(temporary_at_signal) {
  temporary(true, "a fatal signal leaves temporary names");
}
