/* SPDX-License-Identifier: MIT */
/* Messages of a ring on their way to Lua, one or a list of them. */
#ifndef SHMSEG_BINDING_RING_H
#define SHMSEG_BINDING_RING_H

#include "binding/value.h"

/* What a queue or subscription has to make strings; all zeroes to begin with. */
typedef struct {
  buffer buffer;      /* for messages that cannot become strings where they lie */
  uint64_t copies;    /* into the buffer, so far */
  bool was_overtaken; /* peers were faster than the last operation */
} ring_reader;

/* Copies the message that the context names from the ring. 0, or why it is not there any more. */
typedef int ring_copy(void *context, void *to);

/* A message of more bytes is copied in pieces while peers are faster. */
#define RING_LARGE 65536

/* drain runs hooks behind so many messages. */
#define RING_GO 4096

/* The stack of a drain: the messages are a list at LIST, and what a codec makes of them a list at
 * VALUES. */
enum { LIST = 4, VALUES = 5 };

#pragma GCC visibility push(hidden)

/* Pushes a message of size bytes by way of the buffer. 0, or what copy says. */
int push_copied(lua_State *L, ring_reader *reader, size_t size, ring_copy *copy, void *context);

/* Bytes of message n of the list. */
size_t listed_size(lua_State *L, int n);

/* Removes the first elements from the list, of count, at index. */
void drop_first(lua_State *L, int index, int dropped, int count);

#pragma GCC visibility pop

/* Pushes a message straight from the ring, if that can be done; bytes is NULL when it wraps. It is
 * the message only if a check after this call says so. Finalizers may run, and use the userdata at
 * index 1, whose reader it is. */
static inline int push_message(lua_State *L, ring_reader *reader, const unsigned char *bytes,
                               size_t size, ring_copy *copy, void *context) {
  bool in_pieces = size > RING_LARGE && reader->was_overtaken;
  if (bytes && !in_pieces && push_shared(L, bytes, size))
    return 0;
  return push_copied(L, reader, size, copy, context);
}

#endif
