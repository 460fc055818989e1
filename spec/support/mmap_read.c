/* SPDX-License-Identifier: MIT */
/* The reader of the demo as a plain C program: it prints the 32 letters in memory.bin now and then,
 * until SIGINT or SIGTERM.
 *
 *   mmap_read [NAME] */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 32, PAUSE = 5 };

static volatile sig_atomic_t running = 1;

static void stop(int signal) {
  (void)signal;
  running = 0;
}

int main(int count, char **arguments) {
  const char *name = count > 1 ? arguments[1] : "memory.bin";
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGINT, stop);
  signal(SIGTERM, stop);

  int fd = shm_open(name, O_RDONLY, 0);
  if (fd < 0) {
    perror(name);
    return EXIT_FAILURE;
  }
  char *bytes = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) {
    perror(name);
    return EXIT_FAILURE;
  }
  printf("shared memory pointer: %p\n", (void *)bytes);
  while (running) {
    printf("%.*s\n", SIZE, bytes);
    sleep(PAUSE);
  }
  printf("finally\n");
  close(fd);
  munmap(bytes, SIZE);
  return EXIT_SUCCESS;
}
