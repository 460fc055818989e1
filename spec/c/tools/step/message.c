/* SPDX-License-Identifier: MIT */
/* Messages that tell what they are, and whether they are whole. */
#include <stdio.h>
#include <string.h>

#include "step/step.h"

#define LONGEST 256

const void *step_message(char letter, size_t size) {
  static unsigned char bytes[LONGEST];
  for (size_t i = 0; i < size && i < LONGEST; i++)
    bytes[i] = (unsigned char)((unsigned char)letter + 7 * i); /* no byte could be its neighbour */
  return bytes;
}

bool step_is_message(const void *bytes, size_t size, char letter, size_t expected) {
  return size == expected && memcmp(bytes, step_message(letter, size), size) == 0;
}

void step_tell(char *text, size_t available, const void *bytes, size_t size) {
  size_t length = strlen(text);
  char letter = size > 0 ? *(const char *)bytes : 0;
  if (size == 0)
    snprintf(text + length, available - length, "0");
  else
    snprintf(text + length, available - length, "%c%zu",
             step_is_message(bytes, size, letter, size) && letter >= 'a' ? letter : '?', size);
}
