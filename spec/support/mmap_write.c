/* SPDX-License-Identifier: MIT */
/* The writer of the demo as a plain C program: it makes memory.bin of 32 bytes and puts 32 random
 * letters into it now and then, until SIGINT or SIGTERM; then it unlinks the object.
 *
 *   mmap_write [NAME] */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 32, PAUSE = 5 };

static volatile sig_atomic_t running = 1;

static void stop(int signal) {
  (void)signal;
  running = 0;
}

static void write_letters(char *bytes) {
  for (int i = 0; i < SIZE; i++)
    bytes[i] = (char)('A' + rand() % 26);
  printf("%.*s\n", SIZE, bytes);
}

int main(int count, char **arguments) {
  const char *name = count > 1 ? arguments[1] : "memory.bin";
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGINT, stop);
  signal(SIGTERM, stop);
  srand((unsigned)time(NULL));

  int fd = shm_open(name, O_CREAT | O_RDWR, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
  if (fd < 0 || ftruncate(fd, SIZE) != 0) {
    perror(name);
    return EXIT_FAILURE;
  }
  printf("Allocate shared memory.\n");
  char *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) {
    perror(name);
    return EXIT_FAILURE;
  }
  printf("shared memory pointer: %p\n", (void *)bytes);
  while (running) {
    write_letters(bytes);
    sleep(PAUSE);
  }
  printf("finally\n");
  close(fd);
  shm_unlink(name);
  munmap(bytes, SIZE);
  return EXIT_SUCCESS;
}
