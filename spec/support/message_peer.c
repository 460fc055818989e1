/* SPDX-License-Identifier: MIT */
/* The other end in C: messages and values through shmseg.h.
 *
 *   message_peer push|publish|set NAME TEXT     prints the sequence number or version, or "pushed"
 *   message_peer pop|next|get NAME              prints the text; next begins with the oldest
 *   message_peer produce NAME ID BYTES MAX      pushes messages of up to MAX bytes, BYTES together
 *   message_peer consume NAME                   pops until the queue is shut and empty
 *   message_peer write NAME SIZE                sets values of SIZE bytes until it is killed
 *   message_peer read NAME COUNT                gets COUNT values
 *   message_peer publisher NAME ID COUNT MAX    publishes COUNT messages of up to MAX bytes
 *   message_peer subscriber NAME                reads from the oldest until the shutdown
 *
 * A produced or published message is "ID NUMBER CHECKSUM\n" and random bytes; numbers count from 1
 * for each ID. A written value is one byte, SIZE times. Who reads checks this and prints a line of
 * sums at the end; status 1 and a word on stderr when something is wrong. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shmseg.h"

#define IDS 16
#define HEAD_MAX 48

static shmseg_segment segment;
static shmseg_cell cell;
static shmseg_queue queue;
static shmseg_broadcast broadcast;
static unsigned char *buffer;
static size_t room;

static _Noreturn void fail(const char *what, int code) {
  fprintf(stderr, "%s: %d", what, code);
  exit(EXIT_FAILURE);
}

static void check(const char *what, int code) {
  if (code != 0)
    fail(what, code);
}

static void reserve(uint64_t capacity) {
  room = (size_t)SHMSEG_RECORD(capacity) + HEAD_MAX;
  buffer = malloc(room);
  if (!buffer)
    fail("memory", 0);
}

static void open_cell(bool reads) {
  shmseg_mode mode = reads ? SHMSEG_READ : SHMSEG_WRITE;
  check("cell",
        shmseg_cell_open(&cell, (shmseg_slice){ &segment, 0, segment.size }, mode, NULL, NULL));
  reserve(cell.object.capacity);
}

static void open_queue(void) {
  check("queue", shmseg_queue_open(&queue, (shmseg_slice){ &segment, 0, segment.size },
                                   SHMSEG_WRITE, NULL, NULL));
  reserve(queue.object.capacity);
}

static void open_broadcast(bool reads) {
  shmseg_mode mode = reads ? SHMSEG_READ : SHMSEG_WRITE;
  check("broadcast", shmseg_broadcast_open(&broadcast, (shmseg_slice){ &segment, 0, segment.size },
                                           mode, NULL, NULL));
  reserve(broadcast.object.capacity);
}

static int push(const void *bytes, size_t size) {
  int code;
  while ((code = shmseg_queue_push(&queue, bytes, size, SHMSEG_FOREVER)) == SHMSEG_INTERRUPTED) {
  }
  return code;
}

/* The next message, behind its record's head in the buffer. */
static int pop(uint64_t *size) {
  size_t used;
  int code;
  do {
    code = shmseg_queue_take(&queue, buffer, room, 1, &used, SHMSEG_FOREVER);
  } while (code == SHMSEG_INTERRUPTED);
  memcpy(size, buffer, sizeof *size);
  return code;
}

static int next(shmseg_subscription *subscription, size_t *size, uint64_t *sequence,
                uint64_t *lost) {
  int code;
  do {
    code =
        shmseg_subscription_next(subscription, buffer, room, size, sequence, lost, SHMSEG_FOREVER);
  } while (code == SHMSEG_INTERRUPTED);
  return code;
}

/* --- messages that can be checked --------------------------------------------------------- */

static uint32_t seed;

static uint32_t draw(void) { /* xorshift32 */
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

static uint32_t sum_of(const unsigned char *bytes, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i < size; i++)
    sum = sum * 31 + bytes[i];
  return sum;
}

static unsigned char *noise;

static void make_noise(size_t size) {
  noise = malloc(size + 1);
  if (!noise)
    fail("memory", 0);
  for (size_t i = 0; i <= size; i++)
    noise[i] = (unsigned char)draw();
}

static size_t compose(uint32_t id, uint32_t number, size_t max) {
  size_t body = max > HEAD_MAX ? draw() % (max - HEAD_MAX + 1) : 0;
  uint32_t sum = sum_of(noise, body);
  int head = snprintf((char *)buffer, HEAD_MAX, "%" PRIu32 " %" PRIu32 " %08" PRIx32 "\n", id,
                      number, sum);
  memcpy(buffer + head, noise, body);
  noise[draw() % (body + 1)] = (unsigned char)draw();
  return (size_t)head + body;
}

/* Checks it, and gives its number and the slot of its id. */
static uint32_t inspect(const unsigned char *bytes, size_t size, uint32_t *id) {
  char head[HEAD_MAX + 1] = { 0 };
  uint32_t number, sum;
  int length;
  memcpy(head, bytes, size < HEAD_MAX ? size : HEAD_MAX);
  if (sscanf(head, "%" SCNu32 " %" SCNu32 " %" SCNx32, id, &number, &sum) != 3 || *id >= IDS)
    fail("no message", (int)size);
  length = (int)strcspn(head, "\n") + 1;
  if (sum_of(bytes + length, size - (size_t)length) != sum)
    fail("torn", (int)number);
  return number;
}

/* --- commands ----------------------------------------------------------------------------- */

static void produce(uint32_t id, uint64_t bytes, size_t max) {
  uint64_t sent = 0;
  uint32_t number = 0;
  while (sent < bytes) {
    size_t size = compose(id, ++number, max);
    check("push", push(buffer, size));
    sent += size;
  }
  printf("%" PRIu32 " %" PRIu64 "\n", number, sent);
}

static void consume(void) {
  uint32_t last[IDS] = { 0 };
  uint64_t count = 0, bytes = 0, size;
  int code;
  while ((code = pop(&size)) == 0) {
    uint32_t id, number = inspect(buffer + 8, (size_t)size, &id);
    if (number <= last[id])
      fail("order", (int)number);
    last[id] = number;
    count++;
    bytes += size;
  }
  if (code != SHMSEG_SHUTDOWN)
    fail("pop", code);
  printf("%" PRIu64 " %" PRIu64 "\n", count, bytes);
}

static void write_values(size_t size) {
  puts("begins");
  fflush(stdout);
  if (size > room)
    fail("size", (int)size);
  for (uint64_t version = 0;;) {
    memset(buffer, (int)(version & 0xff), size);
    check("set", shmseg_cell_set(&cell, buffer, size, &version));
  }
}

static void read_values(long count) {
  uint64_t last = 0;
  long changes = 0;
  /* on a busy machine the writers may not run at first */
  for (long i = 0; i < count || (changes < 2 && i < 1000 * count); i++) {
    size_t size;
    uint64_t version;
    check("get", shmseg_cell_get(&cell, buffer, room, &size, &version));
    if (size > 1 && memcmp(buffer, buffer + 1, size - 1) != 0)
      fail("torn", (int)version);
    if (version < last)
      fail("back", (int)version);
    changes += version != last;
    last = version;
  }
  printf("%ld\n", changes);
}

static void publish(uint32_t id, uint32_t count, size_t max) {
  uint64_t sequence = 0;
  for (uint32_t number = 1; number <= count; number++) {
    size_t size = compose(id, number, max);
    check("publish", shmseg_broadcast_publish(&broadcast, buffer, size, &sequence));
  }
  printf("%" PRIu64 "\n", sequence);
}

static void subscribe(void) {
  shmseg_subscription subscription;
  uint32_t last[IDS] = { 0 };
  uint64_t sequence = 0, before = 0, lost, received = 0, all_lost = 0;
  size_t size;
  int code;
  check("subscribe", shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_OLDEST, &subscription));
  puts("begins");
  fflush(stdout);
  while ((code = next(&subscription, &size, &sequence, &lost)) == 0) {
    uint32_t id, number = inspect(buffer, size, &id);
    if (number <= last[id])
      fail("order", (int)number);
    if (before != 0 && sequence != before + 1 + lost)
      fail("count", (int)lost);
    last[id] = number;
    before = sequence;
    received++;
    all_lost += lost;
  }
  if (code != SHMSEG_SHUTDOWN)
    fail("next", code);
  printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", received, all_lost, sequence);
}

static void show(const void *bytes, size_t size) {
  fwrite(bytes, 1, size, stdout);
  putchar('\n');
}

static void run_once(const char *command, const char *text) {
  uint64_t number = 0, lost, stored;
  size_t size = strlen(text);
  if (strcmp(command, "push") == 0) {
    open_queue();
    check(command, push(text, size));
    puts("pushed");
  } else if (strcmp(command, "pop") == 0) {
    open_queue();
    check(command, pop(&stored));
    show(buffer + 8, (size_t)stored);
  } else if (strcmp(command, "set") == 0) {
    open_cell(false);
    check(command, shmseg_cell_set(&cell, text, size, &number));
    printf("%" PRIu64 "\n", number);
  } else if (strcmp(command, "get") == 0) {
    open_cell(true);
    check(command, shmseg_cell_get(&cell, buffer, room, &size, &number));
    show(buffer, size);
  } else if (strcmp(command, "publish") == 0) {
    open_broadcast(false);
    check(command, shmseg_broadcast_publish(&broadcast, text, size, &number));
    printf("%" PRIu64 "\n", number);
  } else {
    shmseg_subscription subscription;
    open_broadcast(true);
    check(command, shmseg_broadcast_subscribe(&broadcast, SHMSEG_FROM_OLDEST, &subscription));
    check(command, next(&subscription, &size, &number, &lost));
    show(buffer, size);
  }
}

int main(int count, char **arguments) {
  if (count < 3)
    return 2;
  const char *command = arguments[1];
  uint64_t numbers[3] = { 0 };
  for (int i = 0; i < 3 && i + 3 < count; i++)
    numbers[i] = strtoull(arguments[i + 3], NULL, 10);
  bool reads = strchr("rsgn", command[0]) && strcmp(command, "set") != 0;
  shmseg_place place = { SHMSEG_NAME, arguments[2] };
  seed = (uint32_t)getpid() * 2654435761u | 1;
  shmseg_segment_init(&segment);
  check("open", shmseg_segment_open(&segment, place, reads ? SHMSEG_READ : SHMSEG_WRITE,
                                    &(shmseg_options){ 0 }, NULL));
  if (strcmp(command, "produce") == 0) {
    open_queue();
    make_noise(numbers[2]);
    produce((uint32_t)numbers[0], numbers[1], (size_t)numbers[2]);
  } else if (strcmp(command, "consume") == 0) {
    open_queue();
    consume();
  } else if (strcmp(command, "write") == 0) {
    open_cell(false);
    write_values((size_t)numbers[0]);
  } else if (strcmp(command, "read") == 0) {
    open_cell(true);
    read_values((long)numbers[0]);
  } else if (strcmp(command, "publisher") == 0) {
    open_broadcast(false);
    make_noise(numbers[2]);
    publish((uint32_t)numbers[0], (uint32_t)numbers[1], (size_t)numbers[2]);
  } else if (strcmp(command, "subscriber") == 0) {
    open_broadcast(true);
    subscribe();
  } else {
    run_once(command, count > 3 ? arguments[3] : "");
  }
  return EXIT_SUCCESS;
}
