/* SPDX-License-Identifier: MIT */
/* The other end of library_spec.lua, in what C and C++ have in common: opens a queue, a cell and a
 * mutex by their names. Takes a message and pushes it back with a word before it; the same with
 * the cell's value; counts under the mutex. */
#include <shmseg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int err, const char *what) {
  if (err == 0)
    return;
  printf("%s: %s\n", what, shmseg_strerror(err));
  exit(1);
}

static void answer_messages(const char *name) {
  shmseg_segment segment;
  shmseg_queue queue;
  shmseg_queue_batch batch;
  shmseg_source source;
  char message[64], text[256];
  size_t pushed;
  int err;
  must(shmseg_object_open_named(&queue.object, &shmseg_queue_kind, &segment, name, SHMSEG_WRITE,
                                NULL, NULL, NULL),
       "queue");
  do
    err = shmseg_queue_look(&queue, &batch, 1, SHMSEG_FOREVER);
  while (err == SHMSEG_INTERRUPTED);
  must(err, "look");
  must(shmseg_queue_next(&queue, &batch), "next");
  must(batch.size > sizeof message, "a message that is too large");
  must(shmseg_queue_copy(&queue, &batch, message), "copy");
  must(shmseg_queue_claim(&queue, &batch), "claim");
  source.bytes = text;
  source.size = (size_t)snprintf(text, sizeof text, "answer to %.*s", (int)batch.size, message);
  source.segment = NULL;
  must(shmseg_queue_push_many(&queue, &source, 1, &pushed, 0), "push");
  shmseg_queue_close(&queue);
  shmseg_segment_close(&segment);
}

static void answer_value(const char *name) {
  shmseg_segment segment;
  shmseg_cell cell;
  char value[64], text[128];
  size_t size;
  uint64_t version;
  must(shmseg_object_open_named(&cell.object, &shmseg_cell_kind, &segment, name, SHMSEG_WRITE, NULL,
                                NULL, NULL),
       "cell");
  must(shmseg_cell_get(&cell, value, sizeof value, &size, &version), "get");
  int length = snprintf(text, sizeof text, "after %.*s", (int)size, value);
  must(shmseg_cell_set(&cell, text, (size_t)length, &version), "set");
  shmseg_cell_close(&cell);
  shmseg_segment_close(&segment);
}

/* The mutex is at 0 of the segment, the count at 4096. */
static void count(const char *name, int times) {
  shmseg_segment segment;
  shmseg_mutex mutex;
  shmseg_place place;
  shmseg_options options;
  bool abandoned;
  place.type = SHMSEG_NAME;
  place.name = name;
  memset(&options, 0, sizeof options);
  must(shmseg_segment_open(&segment, place, SHMSEG_WRITE, &options, NULL), "segment");
  must(shmseg_mutex_open(&mutex, shmseg_segment_whole(&segment), SHMSEG_WRITE, NULL, NULL),
       "mutex");
  for (int i = 0; i < times; i++) {
    int err;
    int32_t number;
    do
      err = shmseg_mutex_lock(&mutex, SHMSEG_FOREVER, &abandoned);
    while (err == SHMSEG_INTERRUPTED);
    must(err, "lock");
    must(shmseg_segment_read(&segment, 4096, &number, sizeof number), "read");
    number++;
    must(shmseg_segment_write(&segment, 4096, &number, sizeof number), "write");
    must(shmseg_mutex_unlock(&mutex), "unlock");
  }
  shmseg_mutex_close(&mutex);
  shmseg_segment_close(&segment);
}

int main(int argc, char **argv) {
  if (argc != 5)
    return 2;
  answer_messages(argv[1]);
  answer_value(argv[2]);
  count(argv[3], atoi(argv[4]));
  printf("done with version %d.%d.%d\n", SHMSEG_VERSION_MAJOR, SHMSEG_VERSION_MINOR,
         SHMSEG_VERSION_PATCH);
  return 0;
}
